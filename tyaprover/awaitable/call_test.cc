// The rules of the breaker that depend on the form of the call, for awaitables. All operations that
// hang wait on a timer that never expires, so that only cancellation can end them.
#include "tyaprover/awaitable/call.h"

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>

namespace tyaprover::awaitable {
namespace {

using namespace std::chrono_literals;
namespace asio = boost::asio;
using resilience::BreakerState;
using resilience::Bulkhead;
using resilience::CallError;
using resilience::CircuitBreaker;
using resilience::Outcome;
using Kind = CallError::Kind;

class AwaitableTest : public testing::Test {
 protected:
  CircuitBreaker& make(resilience::CircuitBreakerOptions options = {}) {
    options.name = "test";
    options.clock = &clock_;
    breaker_ = std::make_unique<CircuitBreaker>(std::move(options));
    return *breaker_;
  }
  // Runs a coroutine to its end; what it started may go on.
  void run(asio::awaitable<void> coroutine) {
    bool done = false;
    std::exception_ptr thrown;
    asio::co_spawn(context_, std::move(coroutine), [&](std::exception_ptr e) {
      done = true;
      thrown = e;
    });
    run_until([&] { return done; });
    if (thrown) std::rethrow_exception(thrown);
  }
  void run_until(const std::function<bool()>& done) {
    const auto end = std::chrono::steady_clock::now() + 30s;
    context_.restart();
    while (!done() && std::chrono::steady_clock::now() < end) context_.run_one_for(100ms);
    ASSERT_TRUE(done());
  }
  asio::awaitable<int> hang() {
    const auto executor = co_await asio::this_coro::executor;
    asio::steady_timer never(executor, asio::steady_timer::time_point::max());
    ++hanging_;
    try {
      co_await never.async_wait(asio::use_awaitable);
    } catch (const boost::system::system_error&) {
      ++cancelled_;
      throw;
    }
    co_return 0;
  }
  // Hangs and does not listen to its cancellation, until told to end.
  asio::awaitable<int> hang_on() {
    co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
    stubborn_ = std::make_unique<asio::steady_timer>(co_await asio::this_coro::executor,
                                                     asio::steady_timer::time_point::max());
    co_await stubborn_->async_wait(asio::as_tuple(asio::use_awaitable));
    ++ended_;
    co_return 5;
  }
  static asio::awaitable<int> give(int value) { co_return value; }
  static asio::awaitable<int> fail() {
    throw std::runtime_error("down");
    co_return 0;
  }

  ManualClock clock_;
  asio::io_context context_;
  std::unique_ptr<CircuitBreaker> breaker_;
  std::unique_ptr<asio::steady_timer> stubborn_;
  int hanging_ = 0;
  int cancelled_ = 0;
  int ended_ = 0;
};

TEST_F(AwaitableTest, ReturnsTheValueOfTheOperation) {
  CircuitBreaker& breaker = make();
  run([&]() -> asio::awaitable<void> {
    const auto value = co_await execute(breaker, [] { return give(7); });
    EXPECT_EQ(*value, 7);
    EXPECT_EQ(co_await execute_or_throw(breaker, [] { return give(8); }), 8);
    EXPECT_TRUE(co_await execute(breaker, []() -> asio::awaitable<void> { co_return; }));
  }());
  EXPECT_EQ(breaker.stats().total(Outcome::success), 3u);
}

TEST_F(AwaitableTest, FailuresOpenAndTheTrialOfALaterCallCloses) {
  CircuitBreaker& breaker = make({.failure_threshold = 3});
  run([&]() -> asio::awaitable<void> {
    for (int i = 0; i < 3; ++i) {
      const auto result = co_await execute(breaker, [] { return fail(); });
      EXPECT_EQ(describe(result.error()), "failed: down");
    }
    const auto rejected = co_await execute(breaker, [] { return give(1); });
    EXPECT_EQ(rejected.error().kind, Kind::open);
    EXPECT_EQ(rejected.error().retry_after, 60s);
    clock_.advance(60s);
    EXPECT_TRUE(co_await execute(breaker, [&]() -> asio::awaitable<int> {
      EXPECT_EQ(breaker.state(), BreakerState::half_open);
      const auto second = co_await execute(breaker, [] { return give(1); });
      EXPECT_EQ(second.error().kind, Kind::open);
      co_return 1;
    }));
  }());
  EXPECT_EQ(breaker.state(), BreakerState::closed);
}

TEST_F(AwaitableTest, TimeoutCancelsTheOperationAndIsAFailure) {
  CircuitBreaker& breaker = make({.failure_threshold = 1, .timeout = 1ms});
  run([&]() -> asio::awaitable<void> {
    const auto result = co_await execute(breaker, [&] { return hang(); });
    EXPECT_EQ(result.error().kind, Kind::timeout);
  }());
  run_until([&] { return cancelled_ == 1; });
  EXPECT_EQ(breaker.stats().total(Outcome::timeout), 1u);
  EXPECT_EQ(breaker.state(), BreakerState::open);
}

TEST_F(AwaitableTest, CallerIsReleasedThoughTheOperationDoesNotListenAndItsLateResultIsDropped) {
  CircuitBreaker& breaker = make({.timeout = 1ms});
  run([&]() -> asio::awaitable<void> {
    const auto result = co_await execute(breaker, [&] { return hang_on(); });
    EXPECT_EQ(result.error().kind, Kind::timeout);
    EXPECT_EQ(ended_, 0);
  }());
  stubborn_->cancel();
  run_until([&] { return ended_ == 1; });
  EXPECT_EQ(breaker.stats().total(Outcome::success), 0u);
  EXPECT_EQ(breaker.stats().total(Outcome::timeout), 1u);
}

TEST_F(AwaitableTest, OperationThatEndsInTimeLeavesNoTimer) {
  CircuitBreaker& breaker = make({.timeout = 1h});
  run([&]() -> asio::awaitable<void> {
    EXPECT_TRUE(co_await execute(breaker, [] { return give(1); }));
  }());
  context_.restart();
  context_.run();  // would wait for an hour
}

TEST_F(AwaitableTest, CancelledCallerCancelsTheOperationAndIsNoFailure) {
  CircuitBreaker& breaker = make({.failure_threshold = 1});
  asio::cancellation_signal signal;
  bool done = false;
  asio::co_spawn(
      context_,
      [&]() -> asio::awaitable<void> {
        const auto result = co_await execute(breaker, [&] { return hang(); });
        EXPECT_EQ(result.error().kind, Kind::cancelled);
      },
      asio::bind_cancellation_slot(signal.slot(), [&](std::exception_ptr) { done = true; }));
  run_until([&] { return hanging_ == 1; });
  signal.emit(asio::cancellation_type::terminal);
  run_until([&] { return done && cancelled_ == 1; });
  EXPECT_EQ(breaker.stats().total(Outcome::cancelled), 1u);
  EXPECT_EQ(breaker.state(), BreakerState::closed);
}

TEST_F(AwaitableTest, CancelledTrialGivesItsPlaceBack) {
  CircuitBreaker& breaker = make();
  breaker.open();
  clock_.advance(60s);
  asio::cancellation_signal signal;
  bool done = false;
  asio::co_spawn(
      context_,
      [&]() -> asio::awaitable<void> {
        static_cast<void>(co_await execute(breaker, [&] { return hang(); }));
      },
      asio::bind_cancellation_slot(signal.slot(), [&](std::exception_ptr) { done = true; }));
  run_until([&] { return hanging_ == 1; });
  signal.emit(asio::cancellation_type::terminal);
  run_until([&] { return done; });
  EXPECT_EQ(breaker.state(), BreakerState::half_open);
  EXPECT_TRUE(breaker.try_acquire());
}

TEST_F(AwaitableTest, ThrowingFormThrowsWhatHappened) {
  CircuitBreaker& breaker = make({.failure_threshold = 2, .timeout = 1ms});
  run([&]() -> asio::awaitable<void> {
    const auto thrown = [&](auto operation) -> asio::awaitable<std::string> {
      try {
        co_await execute_or_throw(breaker, operation);
      } catch (const resilience::BreakerOpen&) {
        co_return "open";
      } catch (const resilience::CallTimeout&) {
        co_return "timeout";
      } catch (const std::runtime_error& e) {
        co_return e.what();
      }
      co_return "nothing";
    };
    EXPECT_EQ(co_await thrown([] { return fail(); }), "down");
    EXPECT_EQ(co_await thrown([&] { return hang(); }), "timeout");
    EXPECT_EQ(co_await thrown([] { return give(1); }), "open");
  }());
}

TEST_F(AwaitableTest, RetryAwaitsAgainUntilItSucceeds) {
  int attempts = 0;
  run([&]() -> asio::awaitable<void> {
    const resilience::RetryOptions options{
        .attempts = 5, .backoff = {.first = 1ms, .jitter = resilience::Backoff::Jitter::none}};
    const auto result = co_await retry(options, [&]() -> asio::awaitable<int> {
      if (++attempts < 3) throw std::runtime_error("down");
      co_return attempts;
    });
    EXPECT_EQ(*result, 3);
  }());
}

TEST_F(AwaitableTest, RetryStopsAtAnOpenBreaker) {
  CircuitBreaker& breaker = make({.failure_threshold = 2});
  int attempts = 0;
  run([&]() -> asio::awaitable<void> {
    const resilience::RetryOptions options{.attempts = 10, .backoff = {.first = 1ns}};
    const auto result = co_await retry(options, [&] {
      return execute(breaker, [&] {
        ++attempts;
        return fail();
      });
    });
    EXPECT_EQ(result.error().kind, Kind::open);
  }());
  EXPECT_EQ(attempts, 2);
}

TEST_F(AwaitableTest, WaiterOfABulkheadGetsThePlaceOrLeavesInTime) {
  Bulkhead bulkhead({.limit = 1, .queue = 1});
  auto place = bulkhead.try_acquire();
  run([&]() -> asio::awaitable<void> {
    const auto too_late = co_await acquire(bulkhead, 1ms);
    EXPECT_EQ(too_late.error().kind, Kind::shed);
    EXPECT_EQ(bulkhead.waiting(), 0u);
    asio::post(context_, [&] { place.reset(); });
    EXPECT_TRUE(co_await acquire(bulkhead, 1h));
  }());
  EXPECT_EQ(bulkhead.in_flight(), 0u);
}

}  // namespace
}  // namespace tyaprover::awaitable
