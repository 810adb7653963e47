// Clock: where time comes from, so that tests can turn it by hand.
//
// Thread-safe. Clocks are borrowed, never owned: one outlives everything that uses it.
// Every timeout, age and duration of the product is measured on this steady scale; the wall clock
// is only for what people and other machines read (log lines, Date).
//
//   ManualClock clock;
//   Thing thing(clock);
//   clock.advance(10s);
#pragma once

#include <atomic>
#include <chrono>

namespace tyaprover {

using Nanos = std::chrono::nanoseconds;
// A point on a clock's steady scale. Points of different clocks must not be mixed.
using TimePoint = std::chrono::time_point<std::chrono::steady_clock, Nanos>;

class Clock {
 public:
  virtual ~Clock() = default;
  [[nodiscard]] virtual TimePoint now() const noexcept = 0;
};

// std::chrono::steady_clock.
class SteadyClock final : public Clock {
 public:
  [[nodiscard]] TimePoint now() const noexcept override { return std::chrono::steady_clock::now(); }
  // The process-wide instance, for code that is not given a clock.
  static const SteadyClock& instance() noexcept {
    static const SteadyClock clock;
    return clock;
  }
};

// Stands still until told otherwise. Starts one hour after zero, so that subtracting is safe.
class ManualClock final : public Clock {
 public:
  // Relaxed: a test that advances from another thread synchronises by its own means.
  [[nodiscard]] TimePoint now() const noexcept override {
    return TimePoint(Nanos(now_.load(std::memory_order_relaxed)));
  }
  void advance(Nanos by) noexcept { now_.fetch_add(by.count(), std::memory_order_relaxed); }
  void set(TimePoint to) noexcept {
    now_.store(to.time_since_epoch().count(), std::memory_order_relaxed);
  }

 private:
  std::atomic<Nanos::rep> now_{std::chrono::duration_cast<Nanos>(std::chrono::hours(1)).count()};
};

}  // namespace tyaprover
