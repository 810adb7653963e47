// A number that goes up and down: connections open, queue length, temperature.
//
// A handle on one series: cheap to copy, safe to use from any thread at any time, also after its
// series was removed or its registry is gone. A gauge is one atomic double, shared by the threads
// that change it; for a number that a program knows anyway, Registry::gauge_callback costs nothing.
//
//   Gauge workers = registry.gauge("workers", "Workers running.").with({});
//   workers.set(4);
#pragma once

#include <chrono>

#include "tyaprover/metrics/series.h"

namespace tyaprover::metrics {

class Gauge {
 public:
  static constexpr Kind kKind = Kind::gauge;

  // Shows nothing.
  Gauge() = default;

  // Any double, NaN and infinities too.
  void set(double value) noexcept {
    if (series_) series_->value.store(value, std::memory_order_relaxed);
  }
  void inc(double by = 1) noexcept {
    if (series_) series_->value.fetch_add(by, std::memory_order_relaxed);
  }
  void dec(double by = 1) noexcept { inc(-by); }
  // Seconds since 1970, with their fraction.
  void set_to_current_time() noexcept {
    set(std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count());
  }

  [[nodiscard]] double value() const noexcept {
    return series_ ? series_->value.load(std::memory_order_relaxed) : 0;
  }

 private:
  template <class>
  friend class FamilyOf;
  explicit Gauge(detail::SeriesRef series) noexcept : series_(std::move(series)) {}

  detail::SeriesRef series_;
};

// One of a fixed set of states: each is shown as 0 or 1 (OpenMetrics' stateset).
//
//   StateSet state = registry.state_set("breaker_state", "…", {"closed", "open"}).with({});
//   state.set(1);
class StateSet {
 public:
  static constexpr Kind kKind = Kind::state_set;

  StateSet() = default;

  // The number of the state, from 0 in the order of registration. A number without a state changes
  // nothing and is counted in tyaprover_metrics_invalid_total.
  void set(std::size_t state) noexcept {
    if (!series_) return;
    if (state >= series_->family->description().states.size()) {
      series_->family->count_invalid();
      return;
    }
    series_->value.store(static_cast<double>(state), std::memory_order_relaxed);
  }

 private:
  template <class>
  friend class FamilyOf;
  explicit StateSet(detail::SeriesRef series) noexcept : series_(std::move(series)) {}

  detail::SeriesRef series_;
};

}  // namespace tyaprover::metrics
