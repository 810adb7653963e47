// Deadline: until when a call may run, on whose clock, and whether its caller has given up.
//
// A value type, cheap to copy. It borrows the clock, which must outlive it. It is handed to
// functions that take one as their last parameter; those that take a std::stop_token get that.
//
//   breaker.execute([](const Deadline& deadline) { return read_within(deadline.left()); });
#pragma once

#include <algorithm>
#include <stop_token>
#include <utility>

#include "tyaprover/base/clock.h"

namespace tyaprover::resilience {

class Deadline {
 public:
  explicit Deadline(TimePoint at = TimePoint::max(), const Clock& clock = SteadyClock::instance(),
                    std::stop_token stop = {})
      : at_(at), clock_(&clock), stop_(std::move(stop)) {}

  // TimePoint::max() means never.
  [[nodiscard]] TimePoint at() const noexcept { return at_; }
  // Never negative; Nanos::max() when there is no end.
  [[nodiscard]] Nanos left() const noexcept {
    if (at_ == TimePoint::max()) return Nanos::max();
    return std::max(Nanos(0), at_ - clock_->now());
  }
  [[nodiscard]] bool passed() const noexcept {
    return at_ != TimePoint::max() && clock_->now() > at_;
  }
  [[nodiscard]] bool stop_requested() const noexcept { return stop_.stop_requested(); }
  [[nodiscard]] const std::stop_token& stop_token() const noexcept { return stop_; }
  [[nodiscard]] const Clock& clock() const noexcept { return *clock_; }

  // The same, but not later than `at`.
  [[nodiscard]] Deadline not_after(TimePoint at) const {
    return Deadline(std::min(at_, at), *clock_, stop_);
  }

 private:
  TimePoint at_;
  const Clock* clock_;
  std::stop_token stop_;
};

// `now` plus `period`; TimePoint::max() where that is beyond the scale.
[[nodiscard]] constexpr TimePoint after(TimePoint now, Nanos period) noexcept {
  return period >= TimePoint::max() - now ? TimePoint::max() : now + period;
}

}  // namespace tyaprover::resilience
