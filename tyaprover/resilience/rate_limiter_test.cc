#include "tyaprover/resilience/rate_limiter.h"

#include <gtest/gtest.h>

#include <atomic>
#include <deque>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace tyaprover::resilience {
namespace {

using namespace std::chrono_literals;

TEST(TokenBucketTest, AdmitsABurstThenItsRate) {
  ManualClock clock;
  TokenBucket bucket({.limit = 10, .period = 1s, .burst = 3});
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(bucket.try_acquire(clock.now())) << i;
  const auto refused = bucket.try_acquire(clock.now());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error(), 100ms);
  clock.advance(refused.error() - 1ns);
  EXPECT_FALSE(bucket.try_acquire(clock.now()));
  clock.advance(1ns);
  EXPECT_TRUE(bucket.try_acquire(clock.now()));
  EXPECT_FALSE(bucket.try_acquire(clock.now()));
  clock.advance(1h);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(bucket.try_acquire(clock.now())) << i;
  EXPECT_FALSE(bucket.try_acquire(clock.now())) << "a pause earns no more than a burst";
}

TEST(TokenBucketTest, NeverExceedsItsRateInTheLongRun) {
  for (const unsigned limit : {1U, 3U, 7U, 1000U, 999'999U}) {
    ManualClock clock;
    TokenBucket bucket({.limit = limit, .period = 1s, .burst = 1});
    std::uint64_t admitted = 0;
    for (int i = 0; i < 200'000; ++i) {
      if (bucket.try_acquire(clock.now())) ++admitted;
      clock.advance(100us);
    }
    EXPECT_LE(admitted, 20 * std::uint64_t{limit} + 1) << limit;
    EXPECT_GE(static_cast<double>(admitted), std::min(20.0 * limit, 200'000.0) * 0.94) << limit;
  }
}

TEST(TokenBucketTest, ThreadsTogetherGetNoMoreThanTheBurst) {
  ManualClock clock;
  TokenBucket bucket({.limit = 1000, .period = 1s});
  std::atomic<int> admitted{0};
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < 1'000; ++i) {
          if (bucket.try_acquire(clock.now())) admitted.fetch_add(1);
        }
      });
    }
  }
  EXPECT_EQ(admitted.load(), 1'000);
}

TEST(SlidingWindowTest, AdmitsItsLimitAndSaysWhenTheNextFits) {
  ManualClock clock;  // one hour: the beginning of a period
  SlidingWindow window({.limit = 4, .period = 1s});
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(window.try_acquire(clock.now())) << i;
  const auto refused = window.try_acquire(clock.now());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error(), 1250ms) << "a quarter of the last period has left the window";
  clock.advance(1250ms);
  EXPECT_TRUE(window.try_acquire(clock.now()));
  EXPECT_FALSE(window.try_acquire(clock.now()));
}

TEST(SlidingWindowTest, WhatItPromisesItKeeps) {
  std::mt19937_64 random(11);
  for (const unsigned limit : {1U, 2U, 5U, 100U}) {
    ManualClock clock;
    SlidingWindow window({.limit = limit, .period = 1s});
    for (int i = 0; i < 20'000; ++i) {
      clock.advance(Nanos(random() % (2'000'000'000 / limit)));
      const auto refused = window.try_acquire(clock.now());
      if (refused) continue;
      clock.advance(refused.error());
      ASSERT_TRUE(window.try_acquire(clock.now())) << limit << " at " << i;
    }
  }
}

TEST(SlidingWindowTest, EvenTrafficNeverPassesMoreThanTheLimitInAnyPeriod) {
  ManualClock clock;
  SlidingWindow window({.limit = 50, .period = 1s});
  std::deque<TimePoint> admitted;
  for (int i = 0; i < 50'000; ++i) {
    clock.advance(7ms);
    if (window.try_acquire(clock.now())) admitted.push_back(clock.now());
    while (!admitted.empty() && admitted.front() <= clock.now() - 1s) admitted.pop_front();
    ASSERT_LE(admitted.size(), 51u);
  }
}

TEST(SlidingWindowTest, ForgetsAfterAnIdlePeriod) {
  ManualClock clock;
  SlidingWindow window({.limit = 2, .period = 1s});
  EXPECT_TRUE(window.try_acquire(clock.now()));
  EXPECT_TRUE(window.try_acquire(clock.now()));
  clock.advance(2s);
  EXPECT_TRUE(window.try_acquire(clock.now()));
  EXPECT_TRUE(window.try_acquire(clock.now()));
}

TEST(KeyedRateLimiterTest, EachKeyHasItsOwnLimitAndTheNumberOfKeysIsBounded) {
  ManualClock clock;
  KeyedRateLimiter<std::string, TokenBucket> limiter({.limit = 1, .period = 1s}, 2);
  EXPECT_TRUE(limiter.try_acquire("a", clock.now()));
  EXPECT_FALSE(limiter.try_acquire("a", clock.now()));
  EXPECT_TRUE(limiter.try_acquire("b", clock.now()));
  EXPECT_FALSE(limiter.try_acquire("a", clock.now()));
  EXPECT_TRUE(limiter.try_acquire("c", clock.now())) << "b is forgotten";
  EXPECT_EQ(limiter.size(), 2u);
  EXPECT_FALSE(limiter.try_acquire("a", clock.now()));
  EXPECT_TRUE(limiter.try_acquire("b", clock.now()));
}

TEST(RateLimitTest, BadOptionsFail) {
  EXPECT_THROW(TokenBucket({.limit = 0}), std::invalid_argument);
  EXPECT_THROW(TokenBucket({.limit = 10, .period = 9ns}), std::invalid_argument);
  EXPECT_THROW(SlidingWindow({.period = 0s}), std::invalid_argument);
  EXPECT_THROW((KeyedRateLimiter<int, SlidingWindow>({.limit = 0}, 1)), std::invalid_argument);
}

}  // namespace
}  // namespace tyaprover::resilience
