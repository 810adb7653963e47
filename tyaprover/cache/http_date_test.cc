// HTTP dates: the three forms, what is no date, and the century of two digits.
#include "tyaprover/cache/http_date.h"

#include <gtest/gtest.h>

#include <string>

#include "tyaprover/base/time_format.h"

namespace tyaprover::cache {
namespace {

using std::chrono::days;
using std::chrono::seconds;
using std::chrono::sys_days;

// 2026-11-24T12:00:00Z
const WallSeconds kNow = sys_days(std::chrono::year(2026) / 11 / 24) + std::chrono::hours(12);

std::optional<std::int64_t> read(std::string_view text) {
  const auto date = parse_http_date(text, kNow);
  if (!date) return std::nullopt;
  return date->time_since_epoch().count();
}

TEST(HttpDate, ReadsEveryForm) {
  struct Case {
    std::string_view text;
    std::int64_t seconds;
  };
  constexpr Case kCases[] = {
      {"Sun, 06 Nov 1994 08:49:37 GMT", 784111777},   // IMF-fixdate
      {"Sunday, 06-Nov-94 08:49:37 GMT", 784111777},  // RFC 850
      {"Sun Nov  6 08:49:37 1994", 784111777},        // asctime
      {"Thu Nov 16 08:49:37 1995", 816511777},
      {"Thu, 01 Jan 1970 00:00:00 GMT", 0},
      {"sun, 06 nov 1994 08:49:37 gmt", 784111777},  // RFC 9111 §4.2: in any case
      {"SUNDAY, 06-NOV-94 08:49:37 gMT", 784111777},
      {"Mon, 06 Nov 1994 08:49:37 GMT", 784111777},   // nobody compares the day of the week
      {"Sat, 31 Dec 2016 23:59:60 GMT", 1483228800},  // a leap second
      {"Mon, 29 Feb 2016 00:00:00 GMT", 1456704000},
  };
  for (const Case& c : kCases) EXPECT_EQ(read(c.text), c.seconds) << c.text;
}

TEST(HttpDate, RefusesEverythingElse) {
  constexpr std::string_view kCases[] = {
      "",
      "0",
      "-1",
      "now",
      "Sun, 06 Nov 1994 08:49:37 UTC",
      "Sun, 06 Nov 1994 08:49:37 AEST",
      "Sun, 06 Nov 1994 08:49:37",
      "Sun, 06 Nov 1994 08:49:37 GMT ",
      " Sun, 06 Nov 1994 08:49:37 GMT",
      "Sun, 06 Nov 94 08:49:37 GMT",
      "Sun 06 Nov 1994 08:49:37 GMT",
      "Sun, 06  Nov  1994 08:49:37 GMT",
      "Sun, 06-Nov-1994 08:49:37 GMT",
      "Sun, 06 Nov 1994 08.49.37 GMT",
      "Sun, 06 Nov 1994 8:49:37 GMT",
      "Sun, 6 Nov 1994 08:49:37 GMT",
      "Sun, 31 Nov 1994 08:49:37 GMT",
      "Tue, 29 Feb 2015 00:00:00 GMT",
      "Sun, 00 Nov 1994 08:49:37 GMT",
      "Sun, 06 Nov 1994 24:00:00 GMT",
      "Sun, 06 Nov 1994 08:60:00 GMT",
      "Sun, 06 Nov 1994 08:49:61 GMT",
      "Sun, 06 Foo 1994 08:49:37 GMT",
      "Xyz, 06 Nov 1994 08:49:37 GMT",
      "Sun Nov 6 08:49:37 1994",
      "Sun Nov 06 08:49:37 94",
      "Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT",
  };
  for (const auto text : kCases) EXPECT_EQ(read(text), std::nullopt) << text;
}

// RFC 9110 §5.6.7: more than 50 years in the future means the century before.
TEST(HttpDate, TwoDigitYearsLieAtMostFiftyYearsAhead) {
  struct Case {
    std::string_view text;
    int year;
  };
  constexpr Case kCases[] = {
      {"Thursday, 18-Aug-50 02:01:18 GMT", 2050}, {"Monday, 23-Nov-76 00:00:00 GMT", 2076},
      {"Tuesday, 24-Nov-76 12:00:00 GMT", 2076},  {"Tuesday, 24-Nov-76 12:00:01 GMT", 1976},
      {"Friday, 31-Dec-76 00:00:00 GMT", 1976},   {"Friday, 31-Dec-99 00:00:00 GMT", 1999},
      {"Tuesday, 24-Nov-26 11:00:00 GMT", 2026},  {"Saturday, 01-Jan-00 00:00:00 GMT", 2000},
  };
  for (const Case& c : kCases) {
    const auto date = parse_http_date(c.text, kNow);
    ASSERT_TRUE(date) << c.text;
    const std::chrono::year_month_day day(std::chrono::floor<days>(*date));
    EXPECT_EQ(static_cast<int>(day.year()), c.year) << c.text;
  }
}

TEST(HttpDate, ReadsWhatTheWriterWrites) {
  for (std::int64_t at = 0; at < 4'000'000'000; at += 7'654'321) {
    char text[kImfFixdateSize];
    write_imf_fixdate(text, WallSeconds(seconds(at)));
    EXPECT_EQ(read({text, sizeof text}), at);
  }
}

}  // namespace
}  // namespace tyaprover::cache
