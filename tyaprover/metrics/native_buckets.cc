#include "tyaprover/metrics/native_buckets.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

namespace tyaprover::metrics {
namespace {

// The upper bounds of an octave's buckets but the last, as fractions of its upper end: 2^(k/8 - 1).
constexpr double kBounds[7] = {0.5452538663326288, 0.5946035575013605, 0.6484197773255048,
                               0.7071067811865476, 0.7711054127039704, 0.8408964152537145,
                               0.9170040432046712};
constexpr unsigned kPerOctave = 8;

// Octaves are numbered so that all of a double's, of both signs, are small positive numbers.
constexpr std::int32_t kOctaveOffset = 1100;
constexpr std::uint32_t kNegative = 1U << 16U;
constexpr std::size_t kFirstTableSize = 32;

std::int32_t ceil_halved(std::int32_t index) noexcept {
  return index > 0 ? (index + 1) / 2 : index / 2;
}

void halve(std::vector<NativeCounts::Bucket>& buckets) {
  std::size_t kept = 0;
  for (const NativeCounts::Bucket& bucket : buckets) {
    const std::int32_t index = ceil_halved(bucket.index);
    if (kept > 0 && buckets[kept - 1].index == index) {
      buckets[kept - 1].count += bucket.count;
    } else {
      buckets[kept++] = {index, bucket.count};
    }
  }
  buckets.resize(kept);
}

void subtract_buckets(std::vector<NativeCounts::Bucket>& from,
                      const std::vector<NativeCounts::Bucket>& what) {
  auto earlier = what.begin();
  for (NativeCounts::Bucket& bucket : from) {
    while (earlier != what.end() && earlier->index < bucket.index) ++earlier;
    if (earlier != what.end() && earlier->index == bucket.index) bucket.count -= earlier->count;
  }
  std::erase_if(from, [](const NativeCounts::Bucket& bucket) { return bucket.count == 0; });
}

}  // namespace

std::uint64_t NativeCounts::count() const noexcept {
  std::uint64_t count = zero_count;
  for (const Bucket& bucket : positive) count += bucket.count;
  for (const Bucket& bucket : negative) count += bucket.count;
  return count;
}

void NativeCounts::subtract(const NativeCounts& earlier) {
  zero_count -= earlier.zero_count;
  subtract_buckets(positive, earlier.positive);
  subtract_buckets(negative, earlier.negative);
}

void NativeCounts::reduce_to(std::size_t max) {
  constexpr std::int32_t kCoarsest = -4;  // what Prometheus accepts
  while (positive.size() + negative.size() > max && schema > kCoarsest) {
    halve(positive);
    halve(negative);
    --schema;
  }
}

namespace detail {

std::int32_t native_index(double magnitude) noexcept {
  // An infinity belongs to the bucket beyond all others; it is counted with the largest numbers.
  magnitude = std::min(magnitude, std::numeric_limits<double>::max());
  // magnitude = fraction * 2^exponent with fraction in [0.5, 1).
  const auto bits = std::bit_cast<std::uint64_t>(magnitude);
  const int exponent = static_cast<int>(bits >> 52U) - 1022;
  constexpr std::uint64_t kFractionBits = (1ULL << 52U) - 1;
  const auto fraction = std::bit_cast<double>((bits & kFractionBits) | (1022ULL << 52U));
  // A power of two is the upper end of the octave below it.
  if (fraction == 0.5) return (exponent - 1) * static_cast<int>(kPerOctave);
  int within = 1;
  for (const double bound : kBounds) within += fraction > bound ? 1 : 0;
  return (exponent - 1) * static_cast<int>(kPerOctave) + within;
}

NativeBuckets::NativeBuckets() : zero_(allocate_cells(1)) {
  tables_.push_back(std::make_unique<Table>(kFirstTableSize));
  table_.store(tables_.back().get(), std::memory_order_release);
}

NativeBuckets::~NativeBuckets() {
  for (const auto& entry : tables_.back()->entries) {
    const std::uint64_t value = entry.load(std::memory_order_relaxed);
    if (value != 0) free_cells(static_cast<CellIndex>(value), kPerOctave);
  }
  free_cells(zero_, 1);
}

void NativeBuckets::observe(double value) noexcept {
  const double magnitude = std::fabs(value);
  if (magnitude <= NativeCounts::kZeroThreshold) {
    add_to_cell(zero_, 1);
    return;
  }
  // Bucket 1 of an octave is its first: index 8k+1 … 8k+8 share octave k.
  const std::int32_t index = native_index(magnitude) - 1 + kOctaveOffset * int{kPerOctave};
  auto octave = static_cast<std::uint32_t>(index) / kPerOctave;
  if (value < 0) octave |= kNegative;
  add_to_cell(cells_of(octave) + static_cast<std::uint32_t>(index) % kPerOctave, 1);
}

CellIndex NativeBuckets::cells_of(std::uint32_t octave) noexcept {
  // Acquire: an entry that is seen was written before its table was shown, or is read as zero.
  const Table& table = *table_.load(std::memory_order_acquire);
  for (std::size_t i = octave & table.mask;; i = (i + 1) & table.mask) {
    const std::uint64_t entry = table.entries[i].load(std::memory_order_acquire);
    if (entry >> 32U == octave + 1) return static_cast<CellIndex>(entry);
    if (entry == 0) return make_octave(octave);
  }
}

CellIndex NativeBuckets::make_octave(std::uint32_t octave) {
  const std::lock_guard lock(mutex_);
  const auto slot_of = [octave](Table& table) -> std::atomic<std::uint64_t>& {
    std::size_t i = octave & table.mask;
    for (;; i = (i + 1) & table.mask) {
      const std::uint64_t entry = table.entries[i].load(std::memory_order_relaxed);
      if (entry == 0 || entry >> 32U == octave + 1) return table.entries[i];
    }
  };
  Table* table = table_.load(std::memory_order_relaxed);
  const std::uint64_t known = slot_of(*table).load(std::memory_order_relaxed);
  if (known != 0) return static_cast<CellIndex>(known);  // another thread was first
  if ((octaves_ + 1) * 2 > table->entries.size()) {
    auto larger = std::make_unique<Table>(table->entries.size() * 2);
    for (const auto& entry : table->entries) {
      const std::uint64_t value = entry.load(std::memory_order_relaxed);
      if (value == 0) continue;
      std::size_t i = ((value >> 32U) - 1) & larger->mask;
      while (larger->entries[i].load(std::memory_order_relaxed) != 0) i = (i + 1) & larger->mask;
      larger->entries[i].store(value, std::memory_order_relaxed);
    }
    table = larger.get();
    tables_.push_back(std::move(larger));
    table_.store(table, std::memory_order_release);
  }
  const CellIndex cells = allocate_cells(kPerOctave);
  slot_of(*table).store(std::uint64_t{octave + 1} << 32U | cells, std::memory_order_release);
  ++octaves_;
  return cells;
}

NativeCounts NativeBuckets::read() const {
  NativeCounts counts;
  std::uint64_t zero = 0;
  read_cells(zero_, {&zero, 1});
  counts.zero_count = zero;
  const Table& table = *table_.load(std::memory_order_acquire);
  for (const auto& entry : table.entries) {
    const std::uint64_t value = entry.load(std::memory_order_acquire);
    if (value == 0) continue;
    auto octave = static_cast<std::uint32_t>(value >> 32U) - 1;
    auto& side = (octave & kNegative) != 0 ? counts.negative : counts.positive;
    octave &= ~kNegative;
    std::uint64_t cells[kPerOctave];
    read_cells(static_cast<CellIndex>(value), cells);
    for (unsigned i = 0; i < kPerOctave; ++i) {
      if (cells[i] == 0) continue;
      const auto index = static_cast<std::int32_t>(octave * kPerOctave + i) -
                         kOctaveOffset * static_cast<std::int32_t>(kPerOctave) + 1;
      side.push_back({index, cells[i]});
    }
  }
  const auto by_index = [](const auto& a, const auto& b) { return a.index < b.index; };
  std::sort(counts.positive.begin(), counts.positive.end(), by_index);
  std::sort(counts.negative.begin(), counts.negative.end(), by_index);
  return counts;
}

}  // namespace detail
}  // namespace tyaprover::metrics
