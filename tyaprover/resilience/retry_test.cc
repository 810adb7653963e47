#include "tyaprover/resilience/retry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <thread>
#include <vector>

namespace tyaprover::resilience {
namespace {

using namespace std::chrono_literals;
using Kind = CallError::Kind;

constexpr std::uint64_t kAlmostOne = ~std::uint64_t{0};

TEST(BackoffTest, GrowsToItsMaximum) {
  const Backoff backoff{.first = 100ms, .factor = 2, .max = 1s, .jitter = Backoff::Jitter::none};
  std::vector<Nanos> delays;
  for (unsigned i = 0; i < 6; ++i) delays.push_back(backoff.delay(i, {}, nullptr));
  EXPECT_THAT(delays, testing::ElementsAre(100ms, 200ms, 400ms, 800ms, 1s, 1s));
  EXPECT_EQ(backoff.ceiling(100'000), 1s);
}

TEST(BackoffTest, FullJitterIsBetweenZeroAndTheDelay) {
  const Backoff backoff{.first = 100ms, .factor = 2, .max = 1s, .jitter = Backoff::Jitter::full};
  EXPECT_EQ(backoff.delay(1, {}, [] { return 0; }), 0ns);
  EXPECT_EQ(backoff.delay(1, {}, [] { return 1ULL << 63; }), 100ms);
  EXPECT_NEAR(static_cast<double>(backoff.delay(1, {}, [] { return kAlmostOne; }).count()), 2e8, 2);
}

TEST(BackoffTest, DecorrelatedJitterIsBetweenTheFirstAndThriceTheLast) {
  const Backoff backoff{.first = 100ms, .max = 1s, .jitter = Backoff::Jitter::decorrelated};
  EXPECT_EQ(backoff.delay(1, 200ms, [] { return 0; }), 100ms);
  EXPECT_EQ(backoff.delay(1, 200ms, [] { return 1ULL << 63; }), 350ms);
  EXPECT_EQ(backoff.delay(1, 900ms, [] { return kAlmostOne; }), 1s);
  EXPECT_EQ(backoff.delay(0, 0ms, [] { return kAlmostOne; }), 100ms);
}

class RetrySequenceTest : public testing::Test {
 protected:
  RetryOptions options(unsigned attempts = 3) {
    return {.attempts = attempts, .backoff = {.first = 100ms, .jitter = Backoff::Jitter::none}};
  }
  [[nodiscard]] Deadline deadline(Nanos left = 1h) const {
    return Deadline(clock_.now() + left, clock_);
  }
  ManualClock clock_;
};

TEST_F(RetrySequenceTest, EndsWhenTheAttemptsAreUsedUp) {
  const RetryOptions o = options(3);
  RetrySequence sequence(o, clock_.now());
  EXPECT_EQ(sequence.next({}, deadline()), Nanos(100ms));
  EXPECT_EQ(sequence.next({}, deadline()), Nanos(200ms));
  EXPECT_EQ(sequence.next({}, deadline()), std::nullopt);
  EXPECT_EQ(sequence.retries(), 2u);
}

TEST_F(RetrySequenceTest, OnlyFailuresAndTimeoutsAreRetriedByDefault) {
  struct Case {
    CallError error;
    bool retried;
  };
  const RetryOptions o = options();
  for (const Case& c : {Case{{.kind = Kind::failed}, true}, Case{{.kind = Kind::timeout}, true},
                        Case{{.kind = Kind::open}, false}, Case{{.kind = Kind::shed}, false},
                        Case{{.kind = Kind::cancelled}, false},
                        Case{{.kind = Kind::failed, .ignored = true}, false}}) {
    RetrySequence sequence(o, clock_.now());
    EXPECT_EQ(sequence.next(c.error, deadline()).has_value(), c.retried) << to_string(c.error.kind);
  }
}

TEST_F(RetrySequenceTest, PredicateDecidesButNeverAboutCancellation) {
  RetryOptions o = options();
  o.retry_on = [](const CallError& e) { return e.kind != Kind::failed; };
  RetrySequence sequence(o, clock_.now());
  EXPECT_TRUE(sequence.next({.kind = Kind::shed}, deadline()));
  EXPECT_FALSE(sequence.next({.kind = Kind::failed}, deadline()));
  EXPECT_FALSE(sequence.next({.kind = Kind::cancelled}, deadline()));
}

TEST_F(RetrySequenceTest, RequestedPauseIsKeptUpToALimit) {
  const RetryOptions o = options();
  RetrySequence sequence(o, clock_.now());
  EXPECT_EQ(sequence.next({.retry_after = 5s}, deadline()), Nanos(5s));
  EXPECT_FALSE(sequence.next({.retry_after = 31s}, deadline()));
}

TEST_F(RetrySequenceTest, NoPauseBeginsThatCannotEndBeforeTheDeadline) {
  const RetryOptions o = options();
  RetrySequence sequence(o, clock_.now());
  EXPECT_FALSE(sequence.next({}, deadline(100ms)));
  EXPECT_TRUE(sequence.next({}, deadline(101ms)));
}

TEST_F(RetrySequenceTest, CallerWhoGaveUpIsNotRetriedFor) {
  const RetryOptions o = options();
  std::stop_source source;
  RetrySequence sequence(o, clock_.now());
  source.request_stop();
  EXPECT_FALSE(sequence.next({}, Deadline(TimePoint::max(), clock_, source.get_token())));
}

TEST_F(RetrySequenceTest, StopDuringAPauseCancelsTheCall) {
  struct Stops final : Waiter {
    bool wait_until(TimePoint, const std::stop_token&) override { return false; }
  } waiter;
  RetryOptions o = options();
  o.waiter = &waiter;
  Retry policy(o);
  int calls = 0;
  const auto result = policy.run(deadline(), [&](const Deadline&) -> Result<int, CallError> {
    ++calls;
    return err(CallError{});
  });
  EXPECT_EQ(result.error().kind, Kind::cancelled);
  EXPECT_EQ(calls, 1);
}

TEST_F(RetrySequenceTest, BadOptionsFail) {
  EXPECT_THROW(Retry({.attempts = 0}), std::invalid_argument);
  EXPECT_THROW(Retry({.backoff = {.first = 0ms}}), std::invalid_argument);
  EXPECT_THROW(Retry({.backoff = {.factor = 0.5}}), std::invalid_argument);
  EXPECT_THROW(RetryBudget({.share = 1.5}), std::invalid_argument);
}

TEST(RetryBudgetTest, AllowsAFewAlwaysAndThenItsShare) {
  ManualClock clock;
  RetryBudget budget({.share = 0.2, .minimum = 3});
  const auto retries = [&] {
    int n = 0;
    while (budget.try_retry(clock.now())) ++n;
    return n;
  };
  EXPECT_EQ(retries(), 3);
  for (int i = 0; i < 100; ++i) budget.on_request(clock.now());
  EXPECT_EQ(retries(), 17) << "20 % of 100 less the three";
  clock.advance(5s);
  EXPECT_EQ(retries(), 0);
  clock.advance(5s);
  EXPECT_EQ(retries(), 3) << "the window is over";
}

TEST(RetryBudgetTest, StormMakesAtMostAQuarterMoreAttemptsThanRequests) {
  // Everything fails, clients want three attempts, and requests come at a random, changing pace.
  ManualClock clock;
  std::mt19937_64 random(3);
  RetryBudget budget;
  RetryOptions options{.attempts = 3, .backoff = {.first = 1ms}, .budget = &budget};
  std::uint64_t requests = 0;
  std::uint64_t attempts = 0;
  for (int i = 0; i < 200'000; ++i) {
    clock.advance(Nanos(random() % (i % 20'000 < 10'000 ? 2'000'000 : 20'000'000)));
    ++requests;
    ++attempts;
    RetrySequence sequence(options, clock.now());
    while (sequence.next({}, Deadline(clock.now() + 1h, clock))) ++attempts;
  }
  EXPECT_LE(static_cast<double>(attempts), 1.25 * static_cast<double>(requests));
  EXPECT_GE(static_cast<double>(attempts), 1.1 * static_cast<double>(requests)) << "it is used";
}

TEST(RetryBudgetTest, ThreadsTogetherSpendNoMoreThanTheBudget) {
  ManualClock clock;
  RetryBudget budget({.share = 0.2, .minimum = 0});
  std::atomic<int> retries{0};
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < 5'000; ++i) {
          budget.on_request(clock.now());
          if (budget.try_retry(clock.now())) retries.fetch_add(1);
        }
      });
    }
  }
  EXPECT_LE(retries.load(), 4'000);
  EXPECT_GE(retries.load(), 3'900);
}

}  // namespace
}  // namespace tyaprover::resilience
