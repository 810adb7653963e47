// Freshness: the order of lifetimes, age, and what reuse needs to know.
#include "tyaprover/cache/freshness.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tyaprover/base/time_format.h"

namespace tyaprover::cache {
namespace {

using namespace std::chrono_literals;
using std::chrono::seconds;

const WallTime kNow = std::chrono::sys_days(std::chrono::year(2026) / 11 / 24) + 12h;

// A date so many seconds from now.
std::string date(std::int64_t offset) {
  char text[kImfFixdateSize];
  write_imf_fixdate(text, std::chrono::time_point_cast<std::chrono::system_clock::duration>(
                              kNow + seconds(offset)));
  return {text, sizeof text};
}

Freshness evaluate(HeaderFields fields, int status = 200, const FreshnessOptions& options = {}) {
  return evaluate_freshness(status, fields, {.request = kNow, .response = kNow}, options);
}

std::int64_t in_seconds(Nanos time) {
  return std::chrono::floor<seconds>(time).count();
}

TEST(Freshness, TakesTheFirstLifetimeInTheOrderOfH4) {
  const std::string later = date(300);
  const std::string before = date(-7200);
  const std::string now = date(0);
  struct Case {
    std::vector<HeaderField> fields;
    std::int64_t lifetime;
    LifetimeSource source;
  };
  const Case cases[] = {
      {{}, 0, LifetimeSource::none},
      {{{"Cache-Control", "max-age=60"}}, 60, LifetimeSource::max_age},
      {{{"Cache-Control", "max-age=60, s-maxage=10"}}, 10, LifetimeSource::s_maxage},
      {{{"Cache-Control", "max-age=1, s-maxage=3600"}}, 3600, LifetimeSource::s_maxage},
      {{{"Cache-Control", "max-age=0"}, {"Expires", later}}, 0, LifetimeSource::max_age},
      {{{"Cache-Control", "max-age=60"}, {"Expires", before}}, 60, LifetimeSource::max_age},
      {{{"Cache-Control", "max-age=60"}, {"Expires", "0"}}, 60, LifetimeSource::max_age},
      {{{"Cache-Control", "max-age=x"}, {"Expires", later}}, 0, LifetimeSource::max_age},
      {{{"Cache-Control", "s-maxage=x, max-age=60"}}, 0, LifetimeSource::s_maxage},
      {{{"Date", now}, {"Expires", later}}, 300, LifetimeSource::expires},
      {{{"Expires", later}}, 300, LifetimeSource::expires},  // without Date: the time of receipt
      {{{"Date", "foo"}, {"Expires", later}}, 300, LifetimeSource::expires},
      {{{"Date", now}, {"Expires", before}}, 0, LifetimeSource::expires},
      {{{"Date", now}, {"Expires", "0"}}, 0, LifetimeSource::expires},
      {{{"Date", now}, {"Expires", now}}, 0, LifetimeSource::expires},
      {{{"Expires", later}, {"Expires", later}}, 0, LifetimeSource::expires},  // one or none
      {{{"CDN-Cache-Control", "max-age=5"}, {"Cache-Control", "max-age=60"}},
       5,
       LifetimeSource::cdn_cache_control},
      {{{"CDN-Cache-Control", "max-age=x y"}, {"Cache-Control", "max-age=60"}},
       60,
       LifetimeSource::max_age},
      {{{"CDN-Cache-Control", ""}, {"Cache-Control", "max-age=60"}}, 60, LifetimeSource::max_age},
      {{{"CDN-Cache-Control", "no-cache"}, {"Expires", later}}, 0, LifetimeSource::none},
      {{{"CDN-Cache-Control", "max-age=5"}, {"Surrogate-Control", "max-age=60"}},
       5,
       LifetimeSource::cdn_cache_control},
      {{{"Surrogate-Control", "max-age=5"}, {"Cache-Control", "max-age=60, no-store"}},
       5,
       LifetimeSource::surrogate_control},
      {{{"Surrogate-Control", "max-age=5;other"}, {"Cache-Control", "max-age=60"}},
       60,
       LifetimeSource::max_age},
  };
  for (const Case& c : cases) {
    const Freshness f = evaluate(c.fields);
    const std::string_view about = c.fields.empty() ? "nothing" : c.fields[0].value;
    EXPECT_EQ(in_seconds(f.lifetime), c.lifetime) << about;
    EXPECT_EQ(f.source, c.source) << about << ": " << to_string(f.source);
  }
}

TEST(Freshness, DatesOfOtherAgesAreTaken) {
  EXPECT_GT(evaluate({{"Expires", "Thu, 21 Nov 9999 04:46:39 GMT"}}).lifetime, Nanos(200 * 8760h));
  EXPECT_EQ(evaluate({{"Expires", "Sat, 01 Jan 0000 00:00:00 GMT"}}).lifetime, Nanos(0));
  EXPECT_GT(evaluate({{"Date", "Sat, 01 Jan 0000 00:00:00 GMT"},
                      {"Expires", "Thu, 21 Nov 9999 04:46:39 GMT"}})
                .lifetime,
            Nanos(200 * 8760h));
}

// §4.2.2
TEST(Freshness, GuessesATenthOfTheAgeOfTheContent) {
  const std::string day_ago = date(-86400);
  const std::string years_ago = date(-100 * 86400);
  const std::string now = date(0);
  const HeaderField dated[] = {{"Last-Modified", day_ago}, {"Date", now}};
  EXPECT_EQ(in_seconds(evaluate(dated).lifetime), 8640);
  EXPECT_EQ(in_seconds(evaluate({{"Last-Modified", years_ago}, {"Date", now}}).lifetime), 86400);
  EXPECT_EQ(in_seconds(evaluate({{"Last-Modified", now}, {"Date", now}}).lifetime), 0);
  EXPECT_EQ(in_seconds(evaluate(dated, 200, {.heuristic = false}).lifetime), 0);
  for (const int status : {203, 204, 300, 301, 308, 404, 405, 410, 414, 501}) {
    EXPECT_EQ(in_seconds(evaluate(dated, status).lifetime), 8640) << status;
  }
  for (const int status : {201, 202, 302, 307, 403, 500, 502, 503, 504, 599}) {
    EXPECT_EQ(in_seconds(evaluate(dated, status).lifetime), 0) << status;
  }
  EXPECT_EQ(in_seconds(evaluate({dated[0], dated[1], {"Cache-Control", "public"}}, 599).lifetime),
            8640);
}

TEST(Freshness, ForcedLifetimeCountsBeforeAll) {
  const Freshness f = evaluate({{"Cache-Control", "max-age=1"}}, 200, {.forced_lifetime = 5min});
  EXPECT_EQ(f.lifetime, Nanos(5min));
  EXPECT_EQ(f.source, LifetimeSource::forced);
}

// §4.2.3, §5.1
TEST(Freshness, AgeIsTheLargerOfBothReckonings) {
  const std::string ago = date(-10);
  const std::string ahead = date(10);
  struct Case {
    std::vector<HeaderField> fields;
    std::int64_t age;
    bool odd;
  };
  const Case cases[] = {
      {{}, 0, false},
      {{{"Date", ago}}, 10, false},
      {{{"Date", ahead}}, 0, false},
      {{{"Date", ago}, {"Age", "25"}}, 25, false},
      {{{"Date", ago}, {"Age", "5"}}, 10, false},
      {{{"Age", "7200,0"}}, 7200, true},
      {{{"Age", "0,7200"}}, 0, true},
      {{{"Age", "7200"}, {"Age", "0"}}, 7200, true},
      {{{"Age", "0"}, {"Age", "7200"}}, 0, true},
      {{{"Age", "abc"}}, 0, true},
      {{{"Age", "-7200"}}, 0, true},
      {{{"Age", "7200.0"}}, 0, true},
      {{{"Age", "7200;foo=bar"}}, 0, true},
      {{{"Age", ""}}, 0, true},
      {{{"Age", " 7 "}}, 7, false},
      {{{"Age", "99999999999999999999"}}, DeltaSeconds::kMax, false},
  };
  for (const Case& c : cases) {
    const std::string_view about = c.fields.empty() ? "nothing" : c.fields.back().value;
    EXPECT_EQ(in_seconds(evaluate(c.fields).initial_age), c.age) << about;
    EXPECT_EQ(parse_age(c.fields).odd, c.odd) << about;
  }
}

TEST(Freshness, TheWayToUsCountsAsAge) {
  const Freshness f = evaluate_freshness(200, {{"Age", "3"}, {"Cache-Control", "max-age=60"}},
                                         {.request = kNow - 2s, .response = kNow});
  EXPECT_EQ(f.initial_age, Nanos(5s));
}

TEST(Freshness, AgeGrowsOnTheSteadyScale) {
  ManualClock clock;
  const TimePoint stored = clock.now();
  const Freshness f = evaluate({{"Age", "3"}, {"Cache-Control", "max-age=10"}});
  clock.advance(6999ms);
  EXPECT_TRUE(is_fresh(f, current_age(f, stored, clock.now())));
  clock.advance(1ms);
  EXPECT_FALSE(is_fresh(f, current_age(f, stored, clock.now())));
  EXPECT_EQ(current_age(f, stored, stored - 1h), Nanos(3s));
}

TEST(Freshness, OddAgeIsStaleWhenAskedFor) {
  const FreshnessOptions strict{.odd_age = OddAge::stale};
  for (const std::string_view age : {"abc", "-1", "7.0", "0, 0", "7;a=b"}) {
    const HeaderField fields[] = {{"Cache-Control", "max-age=3600"}, {"Age", age}};
    EXPECT_EQ(evaluate(fields, 200, strict).lifetime, Nanos(0)) << age;
    EXPECT_EQ(evaluate(fields).lifetime, Nanos(1h)) << age;
  }
  EXPECT_EQ(evaluate({{"Cache-Control", "max-age=3600"}, {"Age", "5"}}, 200, strict).lifetime,
            Nanos(1h));
}

// §4.2.4, §5.2.2, RFC 5861
TEST(Freshness, KnowsWhenStaleIsForbidden) {
  struct Case {
    std::string_view value;
    bool never_stale;
    bool always_validate;
  };
  constexpr Case kCases[] = {
      {"max-age=1", false, false},
      {"max-age=1, must-revalidate", true, false},
      {"max-age=1, proxy-revalidate", true, false},
      {"max-age=1, s-maxage=1", true, false},
      {"max-age=1, no-cache", true, true},
      {"max-age=1, no-cache=\"a\"", false, false},
  };
  for (const Case& c : kCases) {
    const Freshness f = evaluate({{"Cache-Control", c.value}});
    EXPECT_EQ(f.never_stale, c.never_stale) << c.value;
    EXPECT_EQ(f.always_validate, c.always_validate) << c.value;
  }
  const Freshness f =
      evaluate({{"Cache-Control", "stale-while-revalidate=7, stale-if-error=nonsense"}});
  EXPECT_EQ(f.stale_while_revalidate, Nanos(7s));
  EXPECT_EQ(f.stale_if_error, std::nullopt);
}

TEST(Freshness, AgeFieldsAreWholeSecondsWithinBounds) {
  EXPECT_EQ(age_seconds(1999ms), 1);
  EXPECT_EQ(age_seconds(-1s), 0);
  EXPECT_EQ(age_seconds(Nanos::max()), DeltaSeconds::kMax);
}

}  // namespace
}  // namespace tyaprover::cache
