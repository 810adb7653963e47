// How values are distributed: counts in buckets, and their sum. For latencies and sizes.
//
// A handle on one series: cheap to copy, safe to use from any thread at any time, also after its
// series was removed or its registry is gone (then nobody sees what it counts). Ask the family for
// it once and keep it. Watched by metrics_bench: an observation takes no lock and no atomic
// read-modify-write.
//
// A bucket counts the values up to and including its bound. On every page the buckets add up to the
// count, also while other threads observe; the sum may be ahead of the count or behind it by the
// observations that are under way.
//
//   Histogram latency =
//       registry.histogram("job_duration_seconds", "Time per job.", {.labels = {"queue"}})
//           .with({"mail"});
//   latency.observe(0.25);
//   { Timer timer(latency); work(); }
#pragma once

#include <chrono>
#include <cstdint>
#include <vector>

#include "tyaprover/base/clock.h"
#include "tyaprover/metrics/exemplar.h"
#include "tyaprover/metrics/series.h"

namespace tyaprover::metrics {

// Bounds for latencies in seconds: 5 ms to 10 s in 14 steps.
[[nodiscard]] std::vector<double> seconds_buckets();
// Bounds for sizes in bytes: 100 to 100,000,000 in powers of ten.
[[nodiscard]] std::vector<double> bytes_buckets();
// `count` bounds from `first` on, each `step` more than the one before.
[[nodiscard]] std::vector<double> linear_buckets(double first, double step, std::size_t count);
// `count` bounds from `first` on, each `factor` times the one before.
[[nodiscard]] std::vector<double> exponential_buckets(double first, double factor,
                                                      std::size_t count);

class Histogram {
 public:
  static constexpr Kind kKind = Kind::histogram;

  // Observes nothing.
  Histogram() = default;

  // NaN changes nothing and is counted in tyaprover_metrics_invalid_total. In a histogram of
  // durations the value is in seconds.
  void observe(double value) noexcept;
  // In a histogram of durations exact; in any other, seconds as a double.
  void observe(Nanos duration) noexcept;
  // With an exemplar of the caller's instead of the hook's.
  void observe(double value, const Exemplar& exemplar) noexcept;
  void observe(Nanos duration, const Exemplar& exemplar) noexcept;

  [[nodiscard]] std::uint64_t count() const;
  // In seconds, if of durations.
  [[nodiscard]] double sum() const;

 private:
  template <class>
  friend class FamilyOf;
  friend class Timer;
  explicit Histogram(detail::SeriesRef series) noexcept
      : series_(std::move(series)),
        layout_(&series_->family->description().histogram),
        cells_(series_->cells) {}

  // Return the bucket.
  std::size_t record(double value) noexcept;
  std::size_t record(Nanos duration) noexcept;
  void keep(std::size_t bucket, double value, const Exemplar& exemplar) noexcept;
  void keep_of_hook(std::size_t bucket, double value) noexcept;

  detail::SeriesRef series_;
  const detail::HistogramLayout* layout_ = nullptr;
  detail::CellIndex cells_ = detail::kNoCells;
};

// Observes the time from its making to the end of its scope.
class [[nodiscard]] Timer {
 public:
  // The clock must outlive the timer.
  explicit Timer(Histogram histogram, const Clock& clock = SteadyClock::instance()) noexcept
      : histogram_(std::move(histogram)), clock_(clock), start_(clock.now()) {}
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;
  ~Timer() {
    if (!cancelled_) histogram_.observe(clock_.now() - start_);
  }

  // Nothing will be observed.
  void cancel() noexcept { cancelled_ = true; }

 private:
  Histogram histogram_;
  const Clock& clock_;
  TimePoint start_;
  bool cancelled_ = false;
};

}  // namespace tyaprover::metrics
