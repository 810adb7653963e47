// call_on() and execute_on(): the hard form of a timeout for blocking functions. The function runs
// elsewhere, and its caller leaves at the deadline whether it has ended or not.
//
// Thread-safe. The function and what it captures are moved to the executor and live until it ends;
// it must not borrow from its caller. At the deadline, or when the caller gives up, the stop token
// of its Deadline is told to stop; what it returns later is dropped. A bulkhead that the function
// enters by itself keeps its place until the function really ended.
//
// An executor is anything that can be called with a std::function<void()> and runs it on another
// thread, now or later.
//
//   auto fetch_it = [url](std::stop_token stop) { return fetch(url, stop); };
//   auto reply = execute_on(breaker, pool, fetch_it);
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <utility>

#include "tyaprover/resilience/circuit_breaker.h"

namespace tyaprover::resilience {

namespace detail {

// What the caller and the running function share.
template <class R>
struct Handover {
  std::mutex mutex;
  std::condition_variable_any changed;
  std::optional<R> result;
  std::stop_source stop;
};

}  // namespace detail

// Calls fn on `executor` and waits for it until the deadline; the errors of the waiting itself are
// timeout and cancelled. Waits on the steady clock for as long as the deadline's clock has left.
template <class Executor, class F>
CallResult<F> call_on(Executor&& executor, const Deadline& deadline, F fn) {
  using Returned = CallResult<F>;
  auto handover = std::make_shared<detail::Handover<Returned>>();
  const Deadline own(deadline.at(), deadline.clock(), handover->stop.get_token());
  auto function = std::make_shared<F>(std::move(fn));
  executor(std::function<void()>([handover, own, function] {
    Returned result = call(*function, own);
    const std::lock_guard lock(handover->mutex);
    handover->result.emplace(std::move(result));
    handover->changed.notify_all();
  }));
  std::unique_lock lock(handover->mutex);
  const bool ended = handover->changed.wait_until(
      lock, deadline.stop_token(), after(SteadyClock::instance().now(), deadline.left()),
      [&] { return handover->result.has_value(); });
  if (ended) return std::move(*handover->result);
  lock.unlock();
  handover->stop.request_stop();
  return err(CallError{.kind = deadline.stop_requested() ? CallError::Kind::cancelled
                                                         : CallError::Kind::timeout});
}

// breaker.execute() in the hard form.
template <class Executor, class F>
CallResult<F> execute_on(CircuitBreaker& breaker, Executor&& executor, F fn) {
  return breaker.execute(
      [&](const Deadline& deadline) { return call_on(executor, deadline, std::move(fn)); });
}

}  // namespace tyaprover::resilience
