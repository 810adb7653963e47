// Sliding quantiles: which value had a given share of the last ten minutes' values below it.
//
// The window is cut into slices of equal length; when a slice is full of age it is emptied and used
// again, so that what is shown covers between (slices - 1) and slices slices. Each slice is a
// Greenwald–Khanna summary: its answer for quantile q is a value whose rank is off by at most
// kRankError of the number of values, and it keeps a few hundred values however many there were.
//
// Thread-safe: a mutex, held for the time of a push_back at most 255 times out of 256. Meant for
// hundreds of thousands of values a second, not for millions; a Histogram is for those.
//
// Internal to the metrics library: use Summary.
#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>
#include <vector>

#include "tyaprover/base/clock.h"

namespace tyaprover::metrics::detail {

// A Greenwald–Khanna summary of a set of numbers (SIGMOD 2001), filled in sorted batches.
class RankSummary {
 public:
  explicit RankSummary(double error) : error_(error) {}

  // REQUIRES: sorted, without NaN.
  void insert(const std::vector<double>& sorted);
  void clear() noexcept;
  [[nodiscard]] std::uint64_t count() const noexcept { return count_; }
  [[nodiscard]] std::size_t kept() const noexcept { return tuples_.size(); }

  // The value at quantile q of all summaries together; NaN when they are empty.
  [[nodiscard]] static double quantile(const std::vector<const RankSummary*>& summaries, double q);

 private:
  // A value that was seen. Its rank is at least the sum of all gaps up to it, and at most that and
  // its spread more.
  struct Tuple {
    double value;
    std::uint64_t gap;
    std::uint64_t spread;
  };
  void compress();

  double error_;
  std::uint64_t count_ = 0;
  std::vector<Tuple> tuples_;
};

class SlidingQuantiles {
 public:
  static constexpr double kRankError = 0.005;

  SlidingQuantiles(Nanos window, std::size_t slices, const Clock& clock);

  // REQUIRES: value is not NaN.
  void observe(double value);

  struct Reading {
    std::uint64_t count;         // ever
    double sum;                  // ever
    std::vector<double> values;  // in the window, one for each quantile asked for; NaN when empty
  };
  [[nodiscard]] Reading read(const std::vector<double>& quantiles);

 private:
  void rotate();
  void flush();

  static constexpr std::size_t kBuffered = 256;

  std::mutex mutex_;
  const Clock& clock_;
  Nanos slice_length_;
  TimePoint slice_end_;
  std::size_t current_ = 0;
  std::vector<RankSummary> slices_;
  std::vector<double> buffer_;
  std::uint64_t count_ = 0;
  double sum_ = 0;
};

}  // namespace tyaprover::metrics::detail
