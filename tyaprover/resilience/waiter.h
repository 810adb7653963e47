// Waiter: how a policy of the blocking form waits, so that tests need not.
//
// Thread-safe. Borrowed by who waits.
//
//   if (!waiter.wait_until(when, stop)) return cancelled;
#pragma once

#include <stop_token>

#include "tyaprover/base/clock.h"

namespace tyaprover::resilience {

class Waiter {
 public:
  virtual ~Waiter() = default;
  // Returns at `when`, or earlier if a stop is requested: then false.
  [[nodiscard]] virtual bool wait_until(TimePoint when, const std::stop_token& stop) = 0;
};

// Blocks the thread, on std::chrono::steady_clock.
class SteadyWaiter final : public Waiter {
 public:
  [[nodiscard]] bool wait_until(TimePoint when, const std::stop_token& stop) override;
  // The process-wide instance.
  static SteadyWaiter& instance() noexcept;
};

// Moves a manual clock on instead.
class ManualWaiter final : public Waiter {
 public:
  explicit ManualWaiter(ManualClock& clock) noexcept : clock_(&clock) {}
  [[nodiscard]] bool wait_until(TimePoint when, const std::stop_token& stop) override;

 private:
  ManualClock* clock_;
};

}  // namespace tyaprover::resilience
