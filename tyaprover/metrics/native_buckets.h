// Native (exponential) buckets: a histogram's counts in buckets whose bounds grow by 2^(1/8).
//
// Schema 3 of Prometheus' native histograms: bucket i holds values in (2^((i-1)/8), 2^(i/8)], so a
// quantile read from it is off by at most 4.4 %. Values whose magnitude is at most 2^-128 go to a
// zero bucket. Recording always has this resolution; what is shown has at most 160 buckets and for
// that, if need be, half or a quarter of the resolution, and so on.
//
// Thread-safe. Cells (cells.h) are taken for one power of two at a time, when the first value falls
// into it: latencies from 1 ms to 10 s take 14 lines of 64 bytes per thread.
//
// Internal to the metrics library: use Histogram.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "tyaprover/metrics/cells.h"

namespace tyaprover::metrics {

// A native histogram as read: counts by bucket index, ascending, without empty buckets. Bucket i of
// schema s ends at 2^(i * 2^-s), inclusive.
struct NativeCounts {
  struct Bucket {
    std::int32_t index;
    std::uint64_t count;
  };
  std::int32_t schema = 3;
  std::uint64_t zero_count = 0;
  std::vector<Bucket> positive;
  std::vector<Bucket> negative;

  static constexpr double kZeroThreshold = 0x1p-128;

  [[nodiscard]] std::uint64_t count() const noexcept;
  // Takes away what `earlier`, an older reading of the same histogram at the same schema, held.
  void subtract(const NativeCounts& earlier);
  // Halves the resolution until there are at most `max` buckets.
  void reduce_to(std::size_t max);
};

namespace detail {

// Index of the bucket of schema 3 that holds this magnitude. An infinity counts as the largest
// double. REQUIRES: magnitude > kZeroThreshold.
[[nodiscard]] std::int32_t native_index(double magnitude) noexcept;

class NativeBuckets {
 public:
  NativeBuckets();
  // REQUIRES: nobody observes any more.
  ~NativeBuckets();
  NativeBuckets(const NativeBuckets&) = delete;
  NativeBuckets& operator=(const NativeBuckets&) = delete;

  // REQUIRES: value is not NaN.
  void observe(double value) noexcept;

  // At schema 3.
  [[nodiscard]] NativeCounts read() const;

 private:
  // Open addressing from an octave (a power of two and a sign) to its eight cells. Grown by making
  // a larger one; the smaller ones stay, for those who are reading them, until the end.
  struct Table {
    explicit Table(std::size_t size) : mask(size - 1), entries(size) {}
    std::size_t mask;
    std::vector<std::atomic<std::uint64_t>> entries;  // octave + 1 in the upper half, cells below
  };

  [[nodiscard]] CellIndex cells_of(std::uint32_t octave) noexcept;
  [[nodiscard]] CellIndex make_octave(std::uint32_t octave);

  std::atomic<Table*> table_;
  CellIndex zero_;
  std::mutex mutex_;  // guards what follows, and every change of a table
  std::vector<std::unique_ptr<Table>> tables_;
  std::size_t octaves_ = 0;
};

}  // namespace detail
}  // namespace tyaprover::metrics
