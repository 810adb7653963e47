// Reuse: fresh, stale and validated answers, and what may be sent when the origin fails.
#include "tyaprover/cache/reuse.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace tyaprover::cache {
namespace {

using namespace std::chrono_literals;
using Fields = std::vector<HeaderField>;

Freshness stored(std::string_view cache_control) {
  return evaluate_freshness(200, {{"Cache-Control", cache_control}}, ExchangeTimes{});
}
ClientControl client(std::string_view cache_control) {
  if (cache_control.empty()) return client_control({});
  return client_control({{"Cache-Control", cache_control}});
}

// RFC 9111 §4.2, §5.2.1, §5.2.2; RFC 5861 §3
TEST(Reuse, FollowsTheDirectivesOfBothSides) {
  struct Case {
    std::string_view response;
    Nanos age;
    std::string_view request;
    Reuse expected;
  };
  constexpr Case kCases[] = {
      {"max-age=60", 0s, "", Reuse::fresh},
      {"max-age=60", 59999ms, "", Reuse::fresh},
      {"max-age=60", 60s, "", Reuse::validate},
      {"max-age=60", 100s, "", Reuse::validate},
      {"no-cache", 0s, "", Reuse::validate},
      {"max-age=60, no-cache", 0s, "", Reuse::validate},
      {"max-age=60, no-cache=\"a\"", 0s, "", Reuse::fresh},
      {"max-age=60, must-revalidate", 0s, "", Reuse::fresh},
      {"max-age=60", 1s, "no-cache", Reuse::validate},
      {"max-age=60", 1s, "no-store", Reuse::unusable},
      {"max-age=60", 1ms, "max-age=0", Reuse::validate},
      {"max-age=60", 1s, "max-age=1", Reuse::fresh},
      {"max-age=60", 1001ms, "max-age=1", Reuse::validate},
      {"max-age=60", 1s, "max-age=x", Reuse::validate},
      {"max-age=60", 40s, "min-fresh=20", Reuse::fresh},
      {"max-age=60", 41s, "min-fresh=20", Reuse::validate},
      {"max-age=60", 1s, "min-fresh=x", Reuse::validate},
      {"max-age=60", 70s, "max-stale=10", Reuse::stale},
      {"max-age=60", 71s, "max-stale=10", Reuse::validate},
      {"max-age=60", 9999s, "max-stale", Reuse::stale},
      {"max-age=60", 70s, "max-stale=x", Reuse::validate},
      {"max-age=60, must-revalidate", 61s, "max-stale", Reuse::validate},
      {"max-age=60, proxy-revalidate", 61s, "max-stale", Reuse::validate},
      {"s-maxage=60", 61s, "max-stale", Reuse::validate},
      {"max-age=60, no-cache", 61s, "max-stale", Reuse::validate},
      {"max-age=60, stale-while-revalidate=10", 59s, "", Reuse::fresh},
      {"max-age=60, stale-while-revalidate=10", 60s, "", Reuse::stale_and_refresh},
      {"max-age=60, stale-while-revalidate=10", 69999ms, "", Reuse::stale_and_refresh},
      {"max-age=60, stale-while-revalidate=10", 70s, "", Reuse::validate},
      {"max-age=60, stale-while-revalidate=10", 65s, "max-age=60", Reuse::validate},
      {"max-age=60, stale-while-revalidate=10, must-revalidate", 65s, "", Reuse::validate},
      {"s-maxage=60, stale-while-revalidate=10", 65s, "", Reuse::validate},
      {"max-age=60", 1s, "only-if-cached", Reuse::fresh},
      {"max-age=60", 61s, "only-if-cached", Reuse::gateway_timeout},
      {"max-age=60", 61s, "only-if-cached, max-stale", Reuse::stale},
  };
  for (const Case& c : kCases) {
    const auto decision = decide_reuse(client(c.request), stored(c.response), c.age);
    EXPECT_EQ(decision.reuse, c.expected) << c.response << " at " << c.age.count() << " for "
                                          << c.request << ": " << to_string(decision.reuse);
    EXPECT_EQ(decision.ttl, stored(c.response).lifetime - c.age);
  }
}

TEST(Reuse, SaysWhenOnlyTheClientWantedMore) {
  EXPECT_TRUE(decide_reuse(client("no-cache"), stored("max-age=60"), 1s).by_request);
  EXPECT_FALSE(decide_reuse(client(""), stored("max-age=60"), 61s).by_request);
}

TEST(Reuse, PragmaCountsWithoutCacheControl) {
  EXPECT_TRUE(client_control({{"Pragma", "no-cache"}}).validate);
  EXPECT_FALSE(client_control({{"Pragma", "no-cache"}}, false).validate);
  EXPECT_FALSE(client_control({{"Cache-Control", "no-store, no-cache"}}, false).no_store);
}

TEST(Reuse, AMissIsForwardedUnlessTheClientForbids) {
  EXPECT_EQ(decide_miss(client("")), Reuse::validate);
  EXPECT_EQ(decide_miss(client("no-store")), Reuse::unusable);
  EXPECT_EQ(decide_miss(client("only-if-cached")), Reuse::gateway_timeout);
}

// RFC 9111 §4.2.4, RFC 5861 §4, H15
TEST(StaleOnError, KeepsToItsWindows) {
  constexpr auto kGone = OriginFailure::unreachable;
  constexpr auto kStatus = OriginFailure::error_status;
  constexpr auto kOpen = OriginFailure::circuit_open;
  struct Case {
    std::string_view response;
    Nanos age;
    std::string_view request;
    OriginFailure failure;
    Nanos window;
    bool expected;
  };
  constexpr Case kCases[] = {
      {"max-age=2", 5s, "", kGone, 0s, true},
      {"max-age=2", 5s, "", kOpen, 0s, true},
      {"max-age=2", 5s, "", kStatus, 0s, false},
      {"max-age=2", 5s, "", kStatus, 1h, true},
      {"max-age=2", 3602s, "", kStatus, 1h, false},
      {"max-age=2, stale-if-error=60", 61s, "", kStatus, 0s, true},
      {"max-age=2, stale-if-error=60", 62s, "", kStatus, 1h, false},
      {"max-age=2, stale-if-error=60", 62s, "", kGone, 1h, false},
      {"max-age=2, stale-if-error=0", 5s, "", kGone, 1h, false},
      {"max-age=2", 5s, "stale-if-error=4", kStatus, 0s, true},
      {"max-age=2", 6s, "stale-if-error=4", kStatus, 0s, false},
      {"max-age=2, must-revalidate", 5s, "", kGone, 1h, false},
      {"max-age=2, proxy-revalidate", 5s, "", kGone, 1h, false},
      {"max-age=2, s-maxage=2", 5s, "", kOpen, 1h, false},
      {"max-age=2, no-cache", 5s, "", kGone, 1h, false},
      {"max-age=2, no-cache", 1s, "", kGone, 1h, false},
      {"max-age=9, must-revalidate", 5s, "no-cache", kGone, 0s, true},  // still fresh
      {"max-age=2", 5s, "no-store", kGone, 1h, false},
  };
  for (const Case& c : kCases) {
    EXPECT_EQ(may_serve_on_error(client(c.request), stored(c.response), c.age, c.failure,
                                 {.window = c.window}),
              c.expected)
        << c.response << " at " << c.age.count() << ", " << c.request << ", "
        << to_string(c.failure);
  }
  EXPECT_FALSE(may_serve_on_error({}, stored("max-age=2"), 5s, kGone, {.when_unreachable = false}));
}

TEST(StaleOnError, ErrorsAreFourStatuses) {
  for (const int status : {500, 502, 503, 504}) EXPECT_TRUE(is_error_status(status)) << status;
  for (const int status : {200, 404, 501, 505, 599})
    EXPECT_FALSE(is_error_status(status)) << status;
}

}  // namespace
}  // namespace tyaprover::cache
