// Hedge: a second attempt for a call that takes longer than usual, when one more call is cheaper
// than the wait. The first success wins and the other attempt is told to stop.
//
// Thread-safe and lock-free but for the waiting of call_on(). Only for calls that may be made
// twice. What decides (delay(), try_hedge()) is apart from what waits, so that coroutines use the
// same.
//
//   Hedge hedge({.quantile = 0.95, .share = 0.05});
//   auto get_it = [url](std::stop_token stop) { return get(url, stop); };
//   auto page = hedge.call_on(pool, Deadline(), get_it);
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>

#include "tyaprover/resilience/call.h"

namespace tyaprover::resilience {

struct HedgeOptions {
  // When the second attempt begins; with a quantile, until enough calls were seen.
  Nanos delay = std::chrono::milliseconds(100);
  // Begin it when the call takes longer than this share of the calls before, 0 < x < 1.
  std::optional<double> quantile = std::nullopt;
  double share = 0.1;  // of all calls that may have a second attempt, 0 to 1

  [[nodiscard]] std::optional<std::string> validate() const;
};

class Hedge {
 public:
  // Throws std::invalid_argument if an option is wrong.
  explicit Hedge(HedgeOptions options);

  // How long the first attempt is given alone.
  [[nodiscard]] Nanos delay() const noexcept {
    return Nanos(delay_.load(std::memory_order_relaxed));
  }
  // A call begins: earns its share of a second attempt.
  void on_call() noexcept;
  // Whether a second attempt is within the share; if so it is spent.
  [[nodiscard]] bool try_hedge() noexcept;
  // How long an attempt took that succeeded.
  void on_latency(Nanos latency) noexcept;

  // Calls fn on `executor` (see execute_on.h) once or twice; the result is the first success, or
  // else the last failure, or the error of the deadline.
  template <class Executor, class F>
  CallResult<F> call_on(Executor&& executor, const Deadline& deadline, F fn);

 private:
  // Latencies are counted in buckets of a quarter of a power of two.
  static constexpr std::size_t kBuckets = 64 * 4;
  static constexpr std::uint32_t kBetweenJudgements = 64;
  static constexpr std::uint64_t kEnough = 1024;      // halve all counts then: old ones fade
  static constexpr std::int64_t kOneHedge = 1 << 20;  // credit
  static constexpr std::int64_t kMostCredit = 10 * kOneHedge;

  static std::size_t bucket_of(Nanos latency) noexcept;
  static Nanos top_of(std::size_t bucket) noexcept;
  void judge_delay() noexcept;

  const HedgeOptions options_;
  // All relaxed: they are statistics, and a lost update hurts nothing.
  std::atomic<Nanos::rep> delay_;
  std::atomic<std::int64_t> credit_{0};
  std::atomic<std::uint32_t> seen_{0};
  std::array<std::atomic<std::uint32_t>, kBuckets> buckets_{};
};

namespace detail {

template <class R>
struct Race {
  std::mutex mutex;
  std::condition_variable_any changed;
  std::optional<R> winner;  // a success
  std::optional<R> loser;   // the last failure
  int running = 0;
  std::stop_source stop;
};

}  // namespace detail

template <class Executor, class F>
CallResult<F> Hedge::call_on(Executor&& executor, const Deadline& deadline, F fn) {
  using Returned = CallResult<F>;
  auto race = std::make_shared<detail::Race<Returned>>();
  const Deadline own(deadline.at(), deadline.clock(), race->stop.get_token());
  auto function = std::make_shared<F>(std::move(fn));
  // An executor may run it at once, so not under the lock.
  const auto begin = [&] {
    {
      const std::lock_guard lock(race->mutex);
      ++race->running;
    }
    executor(std::function<void()>([this, race, own, function] {
      const TimePoint start = own.clock().now();
      Returned result = call(*function, own);
      const bool success = outcome_of(result) == Outcome::success;
      const std::lock_guard lock(race->mutex);
      --race->running;
      if (race->stop.stop_requested()) return;  // the caller may be gone, and this with it
      if (success) on_latency(own.clock().now() - start);
      (success ? race->winner : race->loser).emplace(std::move(result));
      if (success) race->stop.request_stop();
      race->changed.notify_all();
    }));
  };
  on_call();
  const auto decided = [&] { return race->winner || race->running == 0; };
  const TimePoint began = SteadyClock::instance().now();
  const TimePoint end = after(began, deadline.left());
  const auto& stop = deadline.stop_token();

  begin();
  std::unique_lock lock(race->mutex);
  const TimePoint second = std::min(end, after(began, delay()));
  if (!race->changed.wait_until(lock, stop, second, decided) && second < end &&
      !stop.stop_requested() && try_hedge()) {
    lock.unlock();
    begin();
    lock.lock();
  }
  race->changed.wait_until(lock, stop, end, decided);
  race->stop.request_stop();
  if (race->winner) return std::move(*race->winner);
  if (race->running == 0 && race->loser) return std::move(*race->loser);
  return err(CallError{.kind = deadline.stop_requested() ? CallError::Kind::cancelled
                                                         : CallError::Kind::timeout});
}

}  // namespace tyaprover::resilience
