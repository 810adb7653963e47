// The forms that run a function on another thread: the hard timeout and the hedge.
#include "tyaprover/resilience/execute_on.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <vector>

#include "tyaprover/resilience/bulkhead.h"
#include "tyaprover/resilience/hedge.h"

namespace tyaprover::resilience {
namespace {

using namespace std::chrono_literals;
using Kind = CallError::Kind;

// A thread per job; joins them all at its end.
class Threads {
 public:
  void operator()(std::function<void()> job) {
    const std::lock_guard lock(mutex_);
    threads_.emplace_back(std::move(job));
  }

 private:
  std::mutex mutex_;
  std::vector<std::jthread> threads_;
};

void wait_for(const std::atomic<bool>& flag) {
  while (!flag) std::this_thread::yield();
}
void wait_for_stop(const std::stop_token& stop) {
  while (!stop.stop_requested()) std::this_thread::yield();
}

TEST(ExecuteOnTest, CallerIsReleasedAtTheDeadlineAndTheFunctionIsToldToStop) {
  std::atomic<bool> stopped{false};
  Threads threads;
  CircuitBreaker breaker({.name = "test", .timeout = 5ms});
  const auto result = execute_on(breaker, threads, [&](std::stop_token stop) {
    wait_for_stop(stop);
    stopped = true;
    return 1;
  });
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind, Kind::timeout);
  EXPECT_EQ(breaker.stats().total(Outcome::timeout), 1u);
  wait_for(stopped);
}

TEST(ExecuteOnTest, ResultInTimeIsReturnedAndNothingIsToldToStop) {
  Threads threads;
  CircuitBreaker breaker({.name = "test", .timeout = 1h});
  std::stop_token seen;
  const auto result = execute_on(breaker, threads, [&](std::stop_token stop) {
    seen = stop;
    return 7;
  });
  EXPECT_EQ(*result, 7);
  EXPECT_FALSE(seen.stop_requested());
  const auto failed = execute_on(breaker, threads, []() -> int { throw std::runtime_error("x"); });
  EXPECT_EQ(describe(failed.error()), "failed: x");
}

TEST(ExecuteOnTest, LateResultIsDropped) {
  std::atomic<bool> ended{false};
  CircuitBreaker breaker({.name = "test", .timeout = 1ms});
  {
    Threads threads;
    EXPECT_FALSE(execute_on(breaker, threads, [&](std::stop_token stop) {
      wait_for_stop(stop);
      ended = true;
      return 1;
    }));
    wait_for(ended);
  }
  EXPECT_EQ(breaker.stats().total(Outcome::success), 0u);
  EXPECT_EQ(breaker.stats().total(Outcome::timeout), 1u);
}

TEST(ExecuteOnTest, PlaceInABulkheadIsFreeOnlyWhenTheFunctionReallyEnded) {
  Threads threads;
  Bulkhead bulkhead({.limit = 1});
  std::atomic<bool> let_go{false};
  CircuitBreaker breaker({.name = "test", .timeout = 1ms});
  std::atomic<bool> inside{false};
  const auto result = execute_on(breaker, threads, [&] {
    const auto place = bulkhead.try_acquire();
    inside = true;
    wait_for(let_go);  // does not listen to its stop token
  });
  EXPECT_EQ(result.error().kind, Kind::timeout);
  wait_for(inside);
  EXPECT_FALSE(bulkhead.try_acquire());
  let_go = true;
  while (!bulkhead.try_acquire()) std::this_thread::yield();
}

TEST(ExecuteOnTest, CallersStopReleasesItAndCountsAsCancelled) {
  Threads threads;
  CircuitBreaker breaker({.name = "test"});
  std::stop_source source;
  const Deadline deadline(TimePoint::max(), SteadyClock::instance(), source.get_token());
  const auto result = breaker.execute_until(deadline, [&](const Deadline& d) {
    return call_on(threads, d, [&](std::stop_token stop) {
      source.request_stop();
      wait_for_stop(stop);
    });
  });
  EXPECT_EQ(result.error().kind, Kind::cancelled);
  EXPECT_EQ(breaker.stats().total(Outcome::cancelled), 1u);
}

TEST(HedgeTest, SecondAttemptWinsWhenTheFirstHangsAndTheFirstIsToldToStop) {
  Hedge hedge({.delay = 1ms, .share = 1});
  Threads threads;
  std::atomic<int> attempts{0};
  std::atomic<bool> first_stopped{false};
  const auto result = hedge.call_on(threads, Deadline(), [&](std::stop_token stop) {
    const int attempt = attempts.fetch_add(1) + 1;
    if (attempt == 1) {
      wait_for_stop(stop);
      first_stopped = true;
    }
    return attempt;
  });
  EXPECT_EQ(*result, 2);
  wait_for(first_stopped);
}

TEST(HedgeTest, FastCallHasNoSecondAttempt) {
  Hedge hedge({.delay = 1h, .share = 1});
  Threads threads;
  std::atomic<int> attempts{0};
  EXPECT_EQ(*hedge.call_on(threads, Deadline(), [&] { return attempts.fetch_add(1) + 1; }), 1);
  EXPECT_EQ(attempts.load(), 1);
}

TEST(HedgeTest, FailureOfTheOnlyAttemptIsTheResult) {
  Hedge hedge({.delay = 1h, .share = 1});
  Threads threads;
  const auto result =
      hedge.call_on(threads, Deadline(), []() -> int { throw std::runtime_error("down"); });
  EXPECT_EQ(describe(result.error()), "failed: down");
}

TEST(HedgeTest, SuccessWinsOverAnEarlierFailureOfTheOtherAttempt) {
  Hedge hedge({.delay = 0ns, .share = 1});
  Threads threads;
  std::atomic<int> attempts{0};
  std::atomic<bool> failed{false};
  const auto result = hedge.call_on(threads, Deadline(), [&]() -> int {
    if (attempts.fetch_add(1) == 0) {
      while (attempts.load() < 2) std::this_thread::yield();
      failed = true;
      throw std::runtime_error("down");
    }
    wait_for(failed);
    return 2;
  });
  EXPECT_EQ(*result, 2);
}

TEST(HedgeTest, NoMoreThanTheStatedShareOfCallsIsHedged) {
  Hedge hedge({.share = 0.05});
  int hedges = 0;
  for (int i = 0; i < 10'000; ++i) {
    hedge.on_call();
    hedges += hedge.try_hedge();
  }
  EXPECT_LE(hedges, 500);
  EXPECT_GE(hedges, 498);
}

TEST(HedgeTest, DelayFollowsTheQuantileOfLatencies) {
  Hedge hedge({.delay = 1s, .quantile = 0.95});
  EXPECT_EQ(hedge.delay(), 1s);
  for (int i = 0; i < 640; ++i) hedge.on_latency(i % 10 == 0 ? 100ms : 10ms);
  EXPECT_GE(hedge.delay(), 100ms);
  EXPECT_LE(hedge.delay(), 130ms);
  for (int i = 0; i < 20'000; ++i) hedge.on_latency(10ms);
  EXPECT_GE(hedge.delay(), 10ms);
  EXPECT_LE(hedge.delay(), 13ms) << "old latencies fade";
}

TEST(HedgeTest, BadOptionsFail) {
  EXPECT_THROW(Hedge({.quantile = 1.0}), std::invalid_argument);
  EXPECT_THROW(Hedge({.share = -0.1}), std::invalid_argument);
}

}  // namespace
}  // namespace tyaprover::resilience
