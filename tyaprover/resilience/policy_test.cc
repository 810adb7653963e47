// Policies and how they compose: order, errors, deadlines.
#include "tyaprover/resilience/policy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "tyaprover/resilience/bulkhead.h"
#include "tyaprover/resilience/circuit_breaker.h"
#include "tyaprover/resilience/fallback.h"
#include "tyaprover/resilience/rate_limiter.h"
#include "tyaprover/resilience/retry.h"
#include "tyaprover/resilience/single_flight.h"
#include "tyaprover/resilience/timeout.h"

namespace tyaprover::resilience {
namespace {

using namespace std::chrono_literals;
using Kind = CallError::Kind;

class PolicyTest : public testing::Test {
 protected:
  RetryOptions retries(unsigned attempts) {
    return {.attempts = attempts,
            .backoff = {.first = 100ms, .factor = 2, .jitter = Backoff::Jitter::none},
            .waiter = &waiter_};
  }
  CircuitBreakerOptions options(unsigned threshold) {
    return {.name = "test", .failure_threshold = threshold, .clock = &clock_};
  }
  [[nodiscard]] Deadline deadline(Nanos left = 24h) const {
    return Deadline(clock_.now() + left, clock_);
  }
  // A function that fails so many times and then returns its number of calls.
  auto failing(int times) {
    return [this, times] {
      if (++calls_ <= times) throw std::runtime_error("down");
      return calls_;
    };
  }

  ManualClock clock_;
  ManualWaiter waiter_{clock_};
  int calls_ = 0;
};

TEST_F(PolicyTest, RetryOutsideABreakerCountsAttemptsAndStopsWhenItOpens) {
  CircuitBreaker breaker(options(3));
  auto guarded = retry(retries(10)) | breaker;
  const auto result = guarded.call_until(deadline(), failing(100));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind, Kind::open);
  EXPECT_EQ(calls_, 3);
  EXPECT_EQ(breaker.stats().total(Outcome::failure), 3u);
}

TEST_F(PolicyTest, BreakerOutsideARetryCountsOneOutcomePerSequence) {
  CircuitBreaker breaker(options(3));
  auto guarded = breaker | retry(retries(3));
  EXPECT_EQ(*guarded.call_until(deadline(), failing(2)), 3);
  EXPECT_EQ(breaker.stats().total(Outcome::success), 1u);
  EXPECT_EQ(breaker.stats().total(Outcome::failure), 0u);
}

TEST_F(PolicyTest, FullBulkheadIsShedAndNoFailureOfTheBreaker) {
  CircuitBreaker breaker(options(1));
  Bulkhead bulkhead({.limit = 1});
  const auto place = bulkhead.try_acquire();
  auto guarded = breaker | bulkhead;
  const auto result = guarded.call_until(deadline(), failing(0));
  EXPECT_EQ(result.error().kind, Kind::shed);
  EXPECT_EQ(breaker.state(), BreakerState::closed);
  EXPECT_EQ(breaker.stats().total(Outcome::shed), 1u);
}

TEST_F(PolicyTest, TimeoutInsideABreakerIsItsFailure) {
  CircuitBreaker breaker(options(1));
  auto guarded = breaker | timeout(2s);
  const auto result = guarded.call_until(deadline(), [&] { return clock_.advance(3s), 1; });
  EXPECT_EQ(result.error().kind, Kind::timeout);
  EXPECT_EQ(breaker.state(), BreakerState::open);
}

TEST_F(PolicyTest, TimeoutAroundARetryIsOneDeadlineForAllAttempts) {
  auto guarded = timeout(250ms) | retry(retries(10));
  const TimePoint before = clock_.now();
  EXPECT_FALSE(guarded.call_until(deadline(), failing(100)));
  EXPECT_EQ(calls_, 2) << "a second pause would not fit";
  EXPECT_EQ(clock_.now() - before, 100ms);
}

TEST_F(PolicyTest, TimeoutInsideARetryIsADeadlinePerAttempt) {
  std::vector<Nanos> left;
  auto guarded = retry(retries(3)) | timeout(2s);
  EXPECT_FALSE(guarded.call_until(deadline(), [&](const Deadline& d) -> int {
    left.push_back(d.left());
    clock_.advance(1s);
    throw std::runtime_error("down");
  }));
  EXPECT_THAT(left, testing::ElementsAre(2s, 2s, 2s));
}

TEST_F(PolicyTest, FallbacksChainFromTheInsideOut) {
  std::vector<std::string> seen;
  auto guarded = fallback([&](const CallError& e) {
                   seen.push_back(describe(e));
                   return 7;
                 }) |
                 fallback([&](const CallError& e) -> int {
                   seen.push_back(describe(e));
                   throw std::runtime_error("second");
                 }) |
                 timeout(1s);
  EXPECT_EQ(*guarded.call_until(deadline(), [&]() -> int { throw std::runtime_error("first"); }),
            7);
  EXPECT_THAT(seen, testing::ElementsAre("failed: first", "failed: second"));
}

TEST_F(PolicyTest, WholeChainOfTheSpecificationComposes) {
  CircuitBreaker breaker(options(5));
  auto guarded =
      fallback([] { return -1; }) | retry(retries(3)) | breaker | Timeout(2s) | timeout(1s);
  EXPECT_EQ(*guarded.call_until(deadline(), failing(2)), 3);
  calls_ = 0;
  EXPECT_EQ(*guarded.call_until(deadline(), failing(100)), -1);
}

TEST_F(PolicyTest, AnyPolicyForgetsTheTypeAndNothingElse) {
  CircuitBreaker breaker(options(5));
  AnyPolicy<int> any(fallback([] { return -1; }) | breaker);
  EXPECT_EQ(*any(failing(1)), -1);
  EXPECT_EQ(*any(failing(0)), 2);
  auto around = timeout(1s) | any;
  EXPECT_EQ(*around.call_until(deadline(), failing(0)), 3);
}

TEST_F(PolicyTest, RateLimiterShedsAndSaysWhenToComeBack) {
  TokenBucket limiter({.limit = 10, .period = 1s, .burst = 1});
  auto guarded =
      fallback([](const CallError& e) -> Result<int, CallError> { return err(e); }) | limiter;
  EXPECT_TRUE(guarded.call_until(deadline(), failing(0)));
  const auto second = guarded.call_until(deadline(), failing(0));
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().kind, Kind::shed);
  EXPECT_EQ(second.error().retry_after, 100ms);
}

TEST(SingleFlightTest, CallersOfOneKeyShareOneCallAndItsOutcome) {
  CircuitBreaker breaker({.name = "test"});
  SingleFlight<std::string, int> flights;
  std::atomic<int> calls{0};
  std::atomic<int> arrived{0};
  std::vector<std::jthread> threads;
  std::atomic<int> sum{0};
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      arrived.fetch_add(1);
      const auto result = flights.run("key", [&] {
        return breaker.execute([&] {
          // Until all others are about to ask.
          while (arrived.load() < 4) std::this_thread::yield();
          return calls.fetch_add(1) + 1;
        });
      });
      sum.fetch_add(*result);
    });
  }
  threads.clear();
  EXPECT_EQ(breaker.stats().total(Outcome::success), static_cast<std::uint64_t>(calls.load()));
  EXPECT_GE(sum.load(), 4);
  // Whoever came while the call ran has its result; a late one made its own.
  EXPECT_LE(calls.load(), 4);
}

TEST(SingleFlightTest, WaiterGetsTheErrorOfTheCallThatIsUnderWay) {
  SingleFlight<int, int> flights;
  std::atomic<bool> running{false};
  std::atomic<bool> go{false};
  int second_calls = 0;
  std::jthread first([&] {
    const auto result = flights.run(1, [&]() -> int {
      running = true;
      while (!go) std::this_thread::yield();
      throw std::runtime_error("shared");
    });
    EXPECT_FALSE(result);
  });
  while (!running) std::this_thread::yield();
  EXPECT_TRUE(flights.run(2, [] { return 2; })) << "another key does not wait";
  std::jthread opener([&] { go = true; });
  const auto result = flights.run(1, [&] { return ++second_calls; });
  // It shared the call, or came after it had ended.
  EXPECT_EQ(result.has_value(), second_calls == 1);
}

}  // namespace
}  // namespace tyaprover::resilience
