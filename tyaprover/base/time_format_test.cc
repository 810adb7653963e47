#include "tyaprover/base/time_format.h"

#include <gtest/gtest.h>

#include <ctime>
#include <string>

#include "tyaprover/base/ids.h"

namespace tyaprover {
namespace {

using std::chrono::milliseconds;
using std::chrono::system_clock;

std::string rfc3339(system_clock::time_point time) {
  char out[kRfc3339Size];
  write_rfc3339(out, time);
  return {out, sizeof(out)};
}

std::string imf_fixdate(system_clock::time_point time) {
  char out[kImfFixdateSize];
  write_imf_fixdate(out, time);
  return {out, sizeof(out)};
}

TEST(TimeFormat, WritesTheExamplesOfTheStandards) {
  const system_clock::time_point time(milliseconds(784111777'123));
  EXPECT_EQ(rfc3339(time), "1994-11-06T08:49:37.123Z");
  EXPECT_EQ(imf_fixdate(time), "Sun, 06 Nov 1994 08:49:37 GMT");  // RFC 9110 §5.6.7
}

TEST(TimeFormat, KnowsLeapDaysAndTheTimeBeforeTheEpoch) {
  EXPECT_EQ(rfc3339(system_clock::time_point(milliseconds(951782400'000))),
            "2000-02-29T00:00:00.000Z");
  EXPECT_EQ(rfc3339(system_clock::time_point(milliseconds(-1))), "1969-12-31T23:59:59.999Z");
  EXPECT_EQ(imf_fixdate(system_clock::time_point(milliseconds(0))),
            "Thu, 01 Jan 1970 00:00:00 GMT");
}

TEST(TimeFormat, AgreesWithTheCLibrary) {
  for (int i = 0; i < 20'000; ++i) {
    const auto seconds = static_cast<std::time_t>(random_u64() % 9'000'000'000);  // up to 2255
    std::tm parts{};
    gmtime_r(&seconds, &parts);
    char iso[32];
    char fix[32];
    std::strftime(iso, sizeof(iso), "%Y-%m-%dT%H:%M:%S.000Z", &parts);
    std::strftime(fix, sizeof(fix), "%a, %d %b %Y %H:%M:%S GMT", &parts);
    const auto time = system_clock::from_time_t(seconds);
    EXPECT_EQ(rfc3339(time), iso);
    EXPECT_EQ(imf_fixdate(time), fix);
  }
}

}  // namespace
}  // namespace tyaprover
