// The parts of the handles that need no inlining.
#include <algorithm>
#include <cmath>
#include <limits>

#include "tyaprover/metrics/counter.h"
#include "tyaprover/metrics/gauge.h"
#include "tyaprover/metrics/histogram.h"
#include "tyaprover/metrics/summary.h"

namespace tyaprover::metrics {
namespace {

using detail::CellIndex;
using detail::SeriesExtras;
using detail::SeriesRef;

constexpr std::int64_t kExemplarIntervalNanos = 100'000'000;

// Keeps what `exemplar()` gives as the last one of its bucket, unless the series had one a moment
// ago: then it is not asked.
template <class MakeExemplar>
void keep_exemplar(const SeriesRef& series, std::size_t bucket, std::size_t buckets, double value,
                   MakeExemplar&& make_exemplar) noexcept {
  if (!series) return;
  const std::int64_t now = series->family->clock().now().time_since_epoch().count();
  if (const SeriesExtras* extras = series->extras.load(std::memory_order_acquire)) {
    if (now < extras->exemplar_due.load(std::memory_order_relaxed)) return;
  }
  const Exemplar exemplar = make_exemplar();
  if (exemplar.empty()) return;
  SeriesExtras& extras = series->get_extras();
  // One of those that come at once wins, the others go without.
  std::int64_t due = extras.exemplar_due.load(std::memory_order_relaxed);
  if (now < due || !extras.exemplar_due.compare_exchange_strong(due, now + kExemplarIntervalNanos,
                                                                std::memory_order_relaxed)) {
    return;
  }
  const std::unique_lock lock(extras.exemplar_mutex, std::try_to_lock);
  if (!lock) return;
  if (extras.exemplars.empty()) extras.exemplars.resize(buckets);
  extras.exemplars[bucket] = {exemplar, value, std::chrono::system_clock::now()};
}

void refuse_value(const SeriesRef& series) noexcept {
  if (series) series->family->count_invalid();
}

// The number of bounds below the value: the bucket it belongs to. Without branches: latencies are
// not predictable, and there are few bounds.
template <class Number>
std::size_t bucket_of(const std::vector<Number>& bounds, Number value) noexcept {
  std::size_t first = 0;
  std::size_t length = bounds.size();
  while (length > 8) {
    const std::size_t half = length / 2;
    first += bounds[first + half - 1] < value ? half : 0;
    length -= half;
  }
  std::size_t below = 0;
  for (std::size_t i = 0; i < length; ++i) below += bounds[first + i] < value ? 1U : 0U;
  return first + below;
}

// Nanoseconds of a number of seconds, at most what fits.
Nanos nanos(double seconds) noexcept {
  constexpr double kMost = 9.2e9;
  return Nanos(std::llround(std::clamp(seconds, -kMost, kMost) * 1e9));
}

}  // namespace

void Counter::add_real(double n) noexcept {
  if (!(n >= 0) || std::isinf(n)) return refuse();
  constexpr double kExact = 0x1p63;
  if (n == std::floor(n) && n < kExact) return add(static_cast<std::uint64_t>(n));
  if (!series_) return;
  SeriesExtras& extras = series_->get_extras();
  CellIndex fraction = extras.fraction.load(std::memory_order_acquire);
  if (fraction == detail::kNoCells) {
    const CellIndex made = detail::allocate_cells(1);
    if (extras.fraction.compare_exchange_strong(fraction, made, std::memory_order_acq_rel)) {
      fraction = made;
    } else {
      detail::free_cells(made, 1);
    }
  }
  detail::add_real_to_cell(fraction, n);
  if (const ExemplarHook hook = detail::exemplar_hook.load(std::memory_order_relaxed)) {
    keep_of_hook(n, hook);
  }
}

void Counter::keep(double n, const Exemplar& exemplar) noexcept {
  keep_exemplar(series_, 0, 1, n, [&]() -> const Exemplar& { return exemplar; });
}

void Counter::keep_of_hook(double n, ExemplarHook hook) noexcept {
  keep_exemplar(series_, 0, 1, n, hook);
}

void Counter::refuse() noexcept {
  refuse_value(series_);
}

double Counter::value() const {
  if (!series_) return 0;
  detail::Reading reading;
  series_->family->read(*series_.get(), reading);
  return static_cast<double>(reading.integer) + reading.real;
}

void Summary::observe(double value) {
  if (!series_) return;
  if (std::isnan(value)) return refuse_value(series_);
  series_->extras.load(std::memory_order_acquire)->quantiles->observe(value);
}

// The native bucket is counted before the classic one, and both are read the other way round: so
// the native buckets of a page hold at least what the classic ones do, and the difference, which
// are observations under way, goes to the classic bucket without bound.
std::size_t Histogram::record(double value) noexcept {
  if (layout_ == nullptr) return 0;
  if (layout_->durations) return record(nanos(value));
  if (layout_->native) {
    series_->extras.load(std::memory_order_acquire)->native->observe(value);
  }
  const std::size_t bucket = bucket_of(layout_->bounds, value);
  if (detail::Cell* cells = detail::own_cells(cells_)) [[likely]] {
    detail::add_real(cells[layout_->sum_cell()], value);
    detail::add(cells[bucket], 1, std::memory_order_release);  // after the native bucket
    return bucket;
  }
  detail::add_real_to_cell(cells_ + static_cast<CellIndex>(layout_->sum_cell()), value);
  detail::add_to_cell(cells_ + static_cast<CellIndex>(bucket), 1, std::memory_order_release);
  return bucket;
}

std::size_t Histogram::record(Nanos duration) noexcept {
  if (layout_ == nullptr) return 0;
  if (!layout_->durations) return record(std::chrono::duration<double>(duration).count());
  if (layout_->native) {
    series_->extras.load(std::memory_order_acquire)
        ->native->observe(std::chrono::duration<double>(duration).count());
  }
  const std::size_t bucket = bucket_of(layout_->nanos_bounds, duration.count());
  const auto sum = static_cast<std::uint64_t>(duration.count());
  if (detail::Cell* cells = detail::own_cells(cells_)) [[likely]] {
    detail::add(cells[layout_->sum_cell()], sum);
    detail::add(cells[bucket], 1, std::memory_order_release);  // after the native bucket
    return bucket;
  }
  detail::add_to_cell(cells_ + static_cast<CellIndex>(layout_->sum_cell()), sum);
  detail::add_to_cell(cells_ + static_cast<CellIndex>(bucket), 1, std::memory_order_release);
  return bucket;
}

void Histogram::observe(double value) noexcept {
  if (std::isnan(value)) return refuse_value(series_);
  keep_of_hook(record(value), value);
}

void Histogram::observe(Nanos duration) noexcept {
  keep_of_hook(record(duration), std::chrono::duration<double>(duration).count());
}

void Histogram::observe(double value, const Exemplar& exemplar) noexcept {
  if (std::isnan(value)) return refuse_value(series_);
  keep(record(value), value, exemplar);
}

void Histogram::observe(Nanos duration, const Exemplar& exemplar) noexcept {
  keep(record(duration), std::chrono::duration<double>(duration).count(), exemplar);
}

void Histogram::keep_of_hook(std::size_t bucket, double value) noexcept {
  const ExemplarHook hook = detail::exemplar_hook.load(std::memory_order_relaxed);
  if (hook == nullptr || layout_ == nullptr) return;
  keep_exemplar(series_, bucket, layout_->bounds.size() + 1, value, hook);
}

void Histogram::keep(std::size_t bucket, double value, const Exemplar& exemplar) noexcept {
  if (layout_ == nullptr) return;
  keep_exemplar(series_, bucket, layout_->bounds.size() + 1, value,
                [&]() -> const Exemplar& { return exemplar; });
}

std::uint64_t Histogram::count() const {
  if (!series_) return 0;
  detail::Reading reading;
  series_->family->read(*series_.get(), reading);
  std::uint64_t count = 0;
  for (const std::uint64_t bucket : reading.counts) count += bucket;
  return count;
}

double Histogram::sum() const {
  if (!series_) return 0;
  detail::Reading reading;
  series_->family->read(*series_.get(), reading);
  return layout_->durations ? static_cast<double>(reading.sum_nanos) * 1e-9 : reading.real;
}

std::vector<double> seconds_buckets() {
  return {.005, .01, .025, .05, .075, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10};
}

std::vector<double> bytes_buckets() {
  return {1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8};
}

std::vector<double> linear_buckets(double first, double step, std::size_t count) {
  std::vector<double> bounds;
  for (std::size_t i = 0; i < count; ++i) bounds.push_back(first + step * static_cast<double>(i));
  return bounds;
}

std::vector<double> exponential_buckets(double first, double factor, std::size_t count) {
  std::vector<double> bounds;
  for (double bound = first; bounds.size() < count; bound *= factor) bounds.push_back(bound);
  return bounds;
}

}  // namespace tyaprover::metrics
