#include "tyaprover/resilience/rate_limiter.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "tyaprover/resilience/option_check.h"

namespace tyaprover::resilience {
namespace {

const RateLimit& checked(const RateLimit& options) {
  OptionCheck::require("rate limit", options.validate());
  return options;
}

TimePoint::rep interval_of(const RateLimit& options) noexcept {
  return (options.period.count() + options.limit - 1) / options.limit;
}

}  // namespace

std::optional<std::string> RateLimit::validate() const {
  return OptionCheck()
      .between("limit", limit, 1, 1'000'000'000)
      .at_least("period", period, Nanos(limit))
      .at_most("period", period, std::chrono::hours(24 * 31))
      .between("burst", burst, 0, 1'000'000'000)
      .problem();
}

TokenBucket::TokenBucket(RateLimit options)
    : interval_(interval_of(checked(options))),
      depth_(interval_ * (options.burst > 0 ? options.burst : options.limit)),
      full_at_(std::numeric_limits<TimePoint::rep>::min()) {}

Result<void, Nanos> TokenBucket::try_acquire(TimePoint now) noexcept {
  const TimePoint::rep at = now.time_since_epoch().count();
  TimePoint::rep full_at = full_at_.load(std::memory_order_relaxed);
  for (;;) {
    const TimePoint::rep next = std::max(full_at, at) + interval_;
    if (next - at > depth_) return err(Nanos(next - at - depth_));
    if (full_at_.compare_exchange_weak(full_at, next, std::memory_order_relaxed)) return {};
  }
}

SlidingWindow::SlidingWindow(RateLimit options) : options_(checked(options)) {}

Result<void, Nanos> SlidingWindow::try_acquire(TimePoint now) noexcept {
  const TimePoint::rep period = options_.period.count();
  const TimePoint::rep at = now.time_since_epoch().count();
  const double limit = options_.limit;
  const std::lock_guard lock(mutex_);
  if (const TimePoint::rep window = at / period; window > window_) {
    previous_ = window == window_ + 1 ? current_ : 0;
    current_ = 0;
    window_ = window;
  }
  const auto elapsed = static_cast<double>(std::max<TimePoint::rep>(at - window_ * period, 0));
  const auto width = static_cast<double>(period);
  if (previous_ * (1 - elapsed / width) + current_ + 1 <= limit) {
    ++current_;
    return {};
  }
  // Nobody else coming, the weight of the calls before falls in a straight line: of the previous
  // period's in this one, of this one's in the next.
  double wait = width;
  if (current_ + 1 <= limit) {
    wait = (1 - (limit - current_ - 1) / previous_) * width - elapsed;
  } else {
    wait = width - elapsed + (1 - (limit - 1) / current_) * width;
  }
  return err(Nanos(std::max<Nanos::rep>(static_cast<Nanos::rep>(std::ceil(wait)), 1)));
}

}  // namespace tyaprover::resilience
