// A number that only grows: requests served, bytes sent, errors seen.
//
// A handle on one series: cheap to copy, safe to use from any thread at any time, also after its
// series was removed or its registry is gone (then nobody sees what it counts). Ask the family for
// it once and keep it. Watched by metrics_bench: an increment takes no lock and no atomic
// read-modify-write.
//
//   Counter mail = registry.counter("jobs_total", "Jobs done.", {"queue"}).with({"mail"});
//   mail.inc();
#pragma once

#include <concepts>
#include <cstdint>
#include <type_traits>

#include "tyaprover/metrics/exemplar.h"
#include "tyaprover/metrics/series.h"

namespace tyaprover::metrics {

class Counter {
 public:
  static constexpr Kind kKind = Kind::counter;

  // Counts nothing.
  Counter() = default;

  // Whole numbers are added exactly, up to 2^64 - 1. A negative one changes nothing and is counted
  // in tyaprover_metrics_invalid_total.
  void inc() noexcept { add(1); }
  template <std::integral Integer>
  void inc(Integer n) noexcept {
    if constexpr (std::is_signed_v<Integer>) {
      if (n < 0) return refuse();
    }
    add(static_cast<std::uint64_t>(n));
  }
  // What is not whole is summed as a double. Negative numbers, NaN and infinities change nothing
  // and are counted in tyaprover_metrics_invalid_total.
  template <std::floating_point Real>
  void inc(Real n) noexcept {
    add_real(static_cast<double>(n));
  }
  // With an exemplar of the caller's instead of the hook's.
  void inc(std::uint64_t n, const Exemplar& exemplar) noexcept {
    detail::add_to_cell(cells_, n);
    keep(static_cast<double>(n), exemplar);
  }

  // The present value, over all threads.
  [[nodiscard]] double value() const;

 private:
  template <class>
  friend class FamilyOf;
  explicit Counter(detail::SeriesRef series) noexcept
      : series_(std::move(series)), cells_(series_->cells) {}

  void add(std::uint64_t n) noexcept {
    detail::add_to_cell(cells_, n);
    // Relaxed: the hook is a function, there is nothing behind it to be seen.
    const ExemplarHook hook = detail::exemplar_hook.load(std::memory_order_relaxed);
    if (hook != nullptr) [[unlikely]] {
      keep_of_hook(static_cast<double>(n), hook);
    }
  }
  void add_real(double n) noexcept;
  void keep(double n, const Exemplar& exemplar) noexcept;
  void keep_of_hook(double n, ExemplarHook hook) noexcept;
  void refuse() noexcept;

  detail::SeriesRef series_;
  detail::CellIndex cells_ = detail::kNoCells;
};

}  // namespace tyaprover::metrics
