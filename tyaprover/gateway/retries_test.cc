#include "tyaprover/gateway/retries.h"

#include <gtest/gtest.h>

namespace tyaprover::gateway {
namespace {

using http::Method;
using http::Reason;

// R34, one line per case.
TEST(MayRetry, FollowsTheTable) {
  struct Case {
    const char* what;
    TryEnd end;
    bool retry;
  };
  const Case cases[] = {
      {"connect refused", {.reason = Reason::upstream_connect_failed, .nothing_sent = true}, true},
      {"connect timed out",
       {.reason = Reason::upstream_connect_timeout, .nothing_sent = true},
       true},
      {"reset", {.reason = Reason::upstream_reset, .repeatable = true}, true},
      {"reset, not repeatable", {.reason = Reason::upstream_reset}, false},
      {"no HTTP", {.reason = Reason::upstream_protocol_error, .repeatable = true}, true},
      {"no answer", {.reason = Reason::upstream_response_timeout, .repeatable = true}, true},
      {"no answer, not repeatable", {.reason = Reason::upstream_response_timeout}, false},
      {"502", {.status = 502, .repeatable = true}, true},
      {"503", {.status = 503, .repeatable = true}, true},
      {"504", {.status = 504, .repeatable = true}, true},
      {"503, not repeatable", {.status = 503}, false},
      {"500", {.status = 500, .repeatable = true}, false},
      {"501", {.status = 501, .repeatable = true}, false},
      {"429", {.status = 429, .repeatable = true}, false},
      {"200", {.status = 200, .repeatable = true}, false},
      {"client left", {.reason = Reason::client_disconnected, .repeatable = true}, false},
      {"no time left", {.reason = Reason::request_timeout, .repeatable = true}, false},
      {"body too large", {.reason = Reason::body_too_large, .repeatable = true}, false},
      {"our queue", {.reason = Reason::overloaded, .repeatable = true}, false},
  };
  for (const Case& c : cases) EXPECT_EQ(may_retry({}, c.end), c.retry) << c.what;
}

TEST(MayRepeat, IdempotentMethodsAndWhatOptsIn) {
  RetryConfig config;
  for (const Method method : {Method::get, Method::head, Method::put, Method::delete_}) {
    EXPECT_TRUE(may_repeat(config, method));
  }
  for (const Method method : {Method::post, Method::patch, Method::other}) {
    EXPECT_FALSE(may_repeat(config, method));
  }
  config.non_idempotent = true;
  EXPECT_TRUE(may_repeat(config, Method::post));
}

TEST(SharedRetries, AreWithinTheBudgetOfTheUpstream) {
  SharedRetries shared({.attempts = 8, .budget = 0.2, .budget_minimum = 3});
  const TimePoint now = SteadyClock::instance().now();
  int retries = 0;
  for (int i = 0; i < 100; ++i) {
    resilience::RetrySequence sequence(shared.options(), now);
    while (sequence.next({}, resilience::Deadline())) ++retries;
  }
  // The first request's three are the minimum; a slow machine may see the window move on once.
  EXPECT_GE(retries, 20);
  EXPECT_LE(retries, 26);
}

}  // namespace
}  // namespace tyaprover::gateway
