// Quantiles of the values of the last ten minutes, computed here.
//
// A handle on one series: cheap to copy, safe to use from any thread at any time, also after its
// series was removed or its registry is gone. Each quantile is the value of a rank that is off by
// at most 1 % of the number of values. Summaries of several processes cannot be added up; prefer a
// Histogram unless one process's exact quantiles are what is wanted. Observing takes a mutex.
//
//   Summary sizes = registry.summary("message_bytes", "Size of messages.").with({});
//   sizes.observe(512);
#pragma once

#include "tyaprover/metrics/series.h"

namespace tyaprover::metrics {

class Summary {
 public:
  static constexpr Kind kKind = Kind::summary;

  Summary() = default;

  // NaN changes nothing and is counted in tyaprover_metrics_invalid_total.
  void observe(double value);

 private:
  template <class>
  friend class FamilyOf;
  explicit Summary(detail::SeriesRef series) noexcept : series_(std::move(series)) {}

  detail::SeriesRef series_;
};

}  // namespace tyaprover::metrics
