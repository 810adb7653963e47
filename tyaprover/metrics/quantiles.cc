// How ranks are bounded.
//
// A summary keeps some of the values, in order. Each kept value stands for `gap` values: itself and
// those that were dropped between it and the kept value before it. So its smallest possible rank is
// the sum of the gaps up to it. Values inserted later between two kept ones make their ranks
// uncertain: `spread` is by how much more the rank may be. As long as gap + spread of every kept
// value stays at or below 2 * error * count, some kept value lies within error * count of any rank
// (Greenwald and Khanna, proposition 1). compress() drops a value when its successor can take over
// its gap and still keep that bound.
//
// Several summaries are read as one by adding bounds: the smallest rank of a value in the union is
// its own smallest rank plus that of the last kept value below it in every other summary; the
// largest is its own largest plus the largest of the first kept value above it, less one. The error
// of the union is at most error * (count + count + …).
#include "tyaprover/metrics/quantiles.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace tyaprover::metrics::detail {

void RankSummary::insert(const std::vector<double>& sorted) {
  std::vector<Tuple> merged;
  merged.reserve(tuples_.size() + sorted.size());
  auto old = tuples_.begin();
  for (const double value : sorted) {
    while (old != tuples_.end() && old->value <= value) merged.push_back(*old++);
    // A new smallest or largest value has a known rank. Any other lies somewhere before the next
    // kept one.
    const bool at_the_end = old == tuples_.end() || merged.empty();
    merged.push_back({value, 1, at_the_end ? 0 : old->gap + old->spread - 1});
  }
  merged.insert(merged.end(), old, tuples_.end());
  tuples_ = std::move(merged);
  count_ += sorted.size();
  compress();
}

void RankSummary::clear() noexcept {
  tuples_.clear();
  count_ = 0;
}

void RankSummary::compress() {
  if (tuples_.size() < 3) return;
  const auto bound = static_cast<std::uint64_t>(2 * error_ * static_cast<double>(count_));
  // From the largest down; the smallest and the largest value are always kept.
  std::size_t write = tuples_.size() - 1;
  for (std::size_t i = tuples_.size() - 1; i-- > 1;) {
    Tuple& next = tuples_[write];
    if (tuples_[i].gap + next.gap + next.spread <= bound) {
      next.gap += tuples_[i].gap;
    } else {
      tuples_[--write] = tuples_[i];
    }
  }
  tuples_[--write] = tuples_[0];
  tuples_.erase(tuples_.begin(), tuples_.begin() + static_cast<std::ptrdiff_t>(write));
}

double RankSummary::quantile(const std::vector<const RankSummary*>& summaries, double q) {
  struct Bounds {
    double value;
    std::size_t summary;
    std::uint64_t lowest;
    std::uint64_t highest;
  };
  std::vector<Bounds> all;
  std::uint64_t count = 0;
  for (std::size_t s = 0; s < summaries.size(); ++s) {
    std::uint64_t lowest = 0;
    for (const Tuple& tuple : summaries[s]->tuples_) {
      lowest += tuple.gap;
      all.push_back({tuple.value, s, lowest, lowest + tuple.spread});
    }
    count += summaries[s]->count_;
  }
  if (all.empty()) return std::numeric_limits<double>::quiet_NaN();
  std::sort(all.begin(), all.end(), [](const Bounds& a, const Bounds& b) {
    return a.value != b.value ? a.value < b.value : a.summary < b.summary;
  });

  // For each summary: the bounds of its last value at or below, and of its first value above.
  std::vector<std::uint64_t> lowest_below(summaries.size(), 0);
  std::vector<std::vector<std::uint64_t>> highest(summaries.size());
  for (const Bounds& bounds : all) highest[bounds.summary].push_back(bounds.highest);
  std::vector<std::size_t> passed(summaries.size(), 0);

  // The nearest rank: of the smallest value that has at least this share at or below it.
  const double wanted = std::max(1.0, std::ceil(q * static_cast<double>(count)));
  double best = all.front().value;
  double best_distance = std::numeric_limits<double>::infinity();
  for (const Bounds& bounds : all) {
    const std::size_t own = bounds.summary;
    lowest_below[own] = bounds.lowest;
    ++passed[own];
    std::uint64_t low = 0;
    std::uint64_t high = 0;
    for (std::size_t s = 0; s < summaries.size(); ++s) {
      low += lowest_below[s];
      if (s == own) {
        high += bounds.highest;
      } else if (passed[s] < highest[s].size()) {
        high += highest[s][passed[s]] - 1;
      } else {
        high += summaries[s]->count_;
      }
    }
    const double distance = std::max(std::fabs(static_cast<double>(low) - wanted),
                                     std::fabs(static_cast<double>(high) - wanted));
    if (distance < best_distance) {
      best_distance = distance;
      best = bounds.value;
    }
  }
  return best;
}

SlidingQuantiles::SlidingQuantiles(Nanos window, std::size_t slices, const Clock& clock)
    : clock_(clock),
      slice_length_(window / static_cast<Nanos::rep>(slices)),
      slice_end_(clock.now() + slice_length_),
      slices_(slices, RankSummary(kRankError)) {
  buffer_.reserve(kBuffered);
}

void SlidingQuantiles::observe(double value) {
  const std::lock_guard lock(mutex_);
  rotate();
  ++count_;
  sum_ += value;
  buffer_.push_back(value);
  if (buffer_.size() == kBuffered) flush();
}

SlidingQuantiles::Reading SlidingQuantiles::read(const std::vector<double>& quantiles) {
  const std::lock_guard lock(mutex_);
  rotate();
  flush();
  std::vector<const RankSummary*> summaries;
  for (const RankSummary& slice : slices_) {
    if (slice.count() > 0) summaries.push_back(&slice);
  }
  Reading reading{.count = count_, .sum = sum_, .values = {}};
  for (const double q : quantiles) {
    reading.values.push_back(RankSummary::quantile(summaries, q));
  }
  return reading;
}

void SlidingQuantiles::rotate() {
  const TimePoint now = clock_.now();
  if (now < slice_end_) return;
  flush();
  for (std::size_t i = 0; i < slices_.size() && now >= slice_end_; ++i) {
    current_ = (current_ + 1) % slices_.size();
    slices_[current_].clear();
    slice_end_ += slice_length_;
  }
  if (now >= slice_end_) slice_end_ = now + slice_length_;
}

void SlidingQuantiles::flush() {
  std::sort(buffer_.begin(), buffer_.end());
  slices_[current_].insert(buffer_);
  buffer_.clear();
}

}  // namespace tyaprover::metrics::detail
