// Resilience for boost::asio::awaitable: the breaker, timeouts, retries and bulkheads of
// tyaprover/resilience around coroutines, with real cancellation of what took too long.
//
// Thread-safe as the policies are. One call belongs to the executor of the coroutine that awaits
// it, which must run one handler at a time: an io_context with one thread, or a strand. An
// operation is a function without arguments that returns an awaitable. It is kept alive until it
// really ended, which after a timeout may be later than its caller: so it must own what it uses.
//
//   auto reply = co_await awaitable::execute(breaker, [url] { return fetch(url); });
//   Reply reply = co_await awaitable::execute_or_throw(breaker, [url] { return fetch(url); });
//
// At the deadline the caller is released at once, and the operation gets a terminal cancellation
// through its slot; what it returns after that is dropped. A caller that is cancelled itself passes
// that on, and its call counts as cancelled. An operation that ends in time leaves no timer armed
// and is never cancelled.
#pragma once

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>
#include <exception>
#include <memory>
#include <optional>
#include <utility>

#include "tyaprover/resilience/bulkhead.h"
#include "tyaprover/resilience/circuit_breaker.h"
#include "tyaprover/resilience/retry.h"

namespace tyaprover::awaitable {

namespace detail {

template <class Awaitable>
struct AwaitedType;
template <class T, class Executor>
struct AwaitedType<boost::asio::awaitable<T, Executor>> {
  using type = T;
};

}  // namespace detail

// What the operation's awaitable holds, and what calling it through a policy returns.
template <class Operation>
using Awaited = typename detail::AwaitedType<std::invoke_result_t<Operation&>>::type;
template <class Operation>
using Awaits = boost::asio::awaitable<resilience::Lifted<Awaited<Operation>>>;

namespace detail {

// The exception that an awaitable ended with, as an error: cancellation is the caller's, whoever
// noticed it.
[[nodiscard]] inline resilience::CallError error_of(const std::exception_ptr& thrown) noexcept {
  try {
    std::rethrow_exception(thrown);
  } catch (const boost::system::system_error& e) {
    if (e.code() == boost::asio::error::operation_aborted) {
      return {.kind = resilience::CallError::Kind::cancelled, .cause = thrown};
    }
    return {.kind = resilience::CallError::Kind::failed, .cause = thrown};
  } catch (...) {
    return resilience::current_call_error();
  }
}

// What the caller and the running operation share.
template <class Operation>
struct Running {
  using Returned = resilience::Lifted<Awaited<Operation>>;

  Running(const boost::asio::any_io_executor& executor, Operation op)
      : timer(executor), operation(std::move(op)) {}

  boost::asio::steady_timer timer;
  boost::asio::cancellation_signal cancel;
  std::optional<Returned> result;
  Operation operation;
};

// Awaits the operation and leaves its result, or what it threw as an error. Keeps `running` alive.
template <class Operation>
boost::asio::awaitable<void> run(std::shared_ptr<Running<Operation>> running) {
  try {
    if constexpr (std::is_void_v<Awaited<Operation>>) {
      co_await running->operation();
      running->result.emplace();
    } else {
      running->result.emplace(co_await running->operation());
    }
  } catch (...) {
    running->result.emplace(err(error_of(std::current_exception())));
  }
}

}  // namespace detail

// Awaits operation() for at most `limit`; the errors of the waiting itself are timeout and
// cancelled. Nanos::max() = no limit.
template <class Operation>
Awaits<Operation> with_timeout(Nanos limit, Operation operation) {
  using Returned = resilience::Lifted<Awaited<Operation>>;
  using Kind = resilience::CallError::Kind;
  const auto none = boost::asio::cancellation_type::none;
  const auto cancellation = co_await boost::asio::this_coro::cancellation_state;
  // Awaiting anything would throw.
  if (cancellation.cancelled() != none) {
    co_return Returned(err(resilience::CallError{.kind = Kind::cancelled}));
  }
  const auto executor = co_await boost::asio::this_coro::executor;
  auto running = std::make_shared<detail::Running<Operation>>(executor, std::move(operation));
  running->timer.expires_at(resilience::after(SteadyClock::instance().now(), limit));
  boost::asio::co_spawn(
      executor, detail::run(running),
      boost::asio::bind_cancellation_slot(
          running->cancel.slot(),
          boost::asio::bind_executor(
              executor, [running](const std::exception_ptr&) { running->timer.cancel(); })));
  if (!running->result) {
    co_await running->timer.async_wait(boost::asio::as_tuple(boost::asio::use_awaitable));
  }
  if (running->result) co_return std::move(*running->result);
  running->cancel.emit(boost::asio::cancellation_type::terminal);
  co_return Returned(err(resilience::CallError{
      .kind = cancellation.cancelled() != none ? Kind::cancelled : Kind::timeout}));
}

// CircuitBreaker::execute() for an awaitable, within the breaker's timeout.
template <class Operation>
Awaits<Operation> execute(resilience::CircuitBreaker& breaker, Operation operation) {
  auto permit = breaker.try_acquire();
  if (!permit) {
    co_return err(resilience::CallError{.kind = resilience::CallError::Kind::open,
                                        .retry_after = permit.error().retry_after});
  }
  const Nanos timeout = breaker.options().timeout;
  auto result =
      co_await with_timeout(timeout > Nanos(0) ? timeout : Nanos::max(), std::move(operation));
  co_return breaker.settle_call(*permit, std::move(result));
}

// The same; throws BreakerOpen, CallTimeout, CallCancelled, CallShed or what the operation threw.
template <class Operation>
boost::asio::awaitable<Awaited<Operation>> execute_or_throw(resilience::CircuitBreaker& breaker,
                                                            Operation operation) {
  auto result = co_await execute(breaker, std::move(operation));
  if (!result) resilience::throw_error(result.error());
  if constexpr (!std::is_void_v<Awaited<Operation>>) co_return std::move(*result);
}

// Awaits operation() again after failures, as resilience::retry() calls a function. The pauses are
// timers of the executor; a caller that is cancelled in one ends the sequence.
template <class Operation>
Awaits<Operation> retry(const resilience::RetryOptions& options, Operation operation,
                        resilience::Deadline deadline = resilience::Deadline()) {
  resilience::RetrySequence sequence(options, deadline.clock().now());
  for (;;) {
    auto result = co_await with_timeout(deadline.left(), operation);
    if (resilience::outcome_of(result) == resilience::Outcome::success) co_return result;
    const auto pause = sequence.next(resilience::error_of(result), deadline);
    if (!pause) co_return result;
    boost::asio::steady_timer timer(co_await boost::asio::this_coro::executor, *pause);
    const auto [error] =
        co_await timer.async_wait(boost::asio::as_tuple(boost::asio::use_awaitable));
    if (error) {
      co_return err(resilience::CallError{.kind = resilience::CallError::Kind::cancelled});
    }
  }
}

// A place in the bulkhead, waiting in its queue for at most `limit`; the errors are shed and
// cancelled. The place may be given back by any thread.
inline boost::asio::awaitable<Result<resilience::Bulkhead::Place, resilience::CallError>> acquire(
    resilience::Bulkhead& bulkhead, Nanos limit) {
  using Kind = resilience::CallError::Kind;
  using Entry = resilience::Bulkhead::Entry;
  const auto executor = co_await boost::asio::this_coro::executor;
  const auto timer = std::make_shared<boost::asio::steady_timer>(
      executor, resilience::after(SteadyClock::instance().now(), limit));
  // Posted, because another thread may give the place; the timer outlives this coroutine then.
  resilience::Bulkhead::Waiting waiting(
      [timer, executor] { boost::asio::post(executor, [timer] { timer->cancel(); }); });
  switch (bulkhead.enter(waiting)) {
    case Entry::granted:
      co_return std::move(*waiting.take());
    case Entry::full:
      co_return err(resilience::CallError{.kind = Kind::shed});
    case Entry::queued:
      break;
  }
  co_await timer->async_wait(boost::asio::as_tuple(boost::asio::use_awaitable));
  if (auto place = waiting.take()) co_return std::move(*place);
  const auto cancelled = (co_await boost::asio::this_coro::cancellation_state).cancelled();
  co_return err(resilience::CallError{
      .kind = cancelled != boost::asio::cancellation_type::none ? Kind::cancelled : Kind::shed});
}

}  // namespace tyaprover::awaitable
