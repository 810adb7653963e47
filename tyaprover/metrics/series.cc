#include "tyaprover/metrics/series.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <functional>
#include <stdexcept>

namespace tyaprover::metrics::detail {
namespace {

// Entries of a table: the number of a series plus kFirstNumber, below bits of its hash.
constexpr std::uint32_t kFirstNumber = 1;  // 0 is an empty entry
constexpr unsigned kNumberBits = 22;
constexpr std::uint32_t kNumberMask = (1U << kNumberBits) - 1;

constexpr std::uint32_t tag_of(std::uint64_t hash) noexcept {
  return static_cast<std::uint32_t>(hash >> 32U) & ~kNumberMask;
}

// What stands before the packed labels of a series: their size, and two bits.
struct LabelsHeader {
  std::uint32_t size : 30;
  std::uint32_t plain : 1;
  std::uint32_t lookalikes : 1;
};

LabelsHeader header_of(const char* labels) noexcept {
  LabelsHeader header;
  std::memcpy(&header, labels, sizeof(header));
  return header;
}

__extension__ using Wide = unsigned __int128;
constexpr std::uint64_t mix(std::uint64_t a, std::uint64_t b) noexcept {
  const Wide product = Wide{a} * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64U);
}
constexpr std::uint64_t kFirstFactor = 0x9E3779B97F4A7C15;   // 2^64 / golden ratio
constexpr std::uint64_t kSecondFactor = 0xD1342543DE82EF95;  // a multiplier of good spectral test

template <class Word>
std::uint64_t load(const char* at) noexcept {
  Word word;
  std::memcpy(&word, at, sizeof(word));
  return word;
}

// Short texts, as label values are, take two loads that may overlap.
std::uint64_t hash_text(std::uint64_t seed, std::string_view text) noexcept {
  std::uint64_t hash = seed ^ text.size();
  const char* at = text.data();
  std::size_t left = text.size();
  for (; left > 16; at += 8, left -= 8) hash = mix(hash ^ load<std::uint64_t>(at), kSecondFactor);
  std::uint64_t first = 0;
  std::uint64_t last = 0;
  if (left >= 8) {
    first = load<std::uint64_t>(at);
    last = load<std::uint64_t>(at + left - 8);
  } else if (left >= 4) {
    first = load<std::uint32_t>(at);
    last = load<std::uint32_t>(at + left - 4);
  } else if (left > 0) {
    first = load<std::uint8_t>(at);
    last = load<std::uint8_t>(at + left / 2) << 8U | load<std::uint8_t>(at + left - 1);
  }
  return mix(mix(hash ^ first, kFirstFactor) ^ last, kSecondFactor);
}

// memcmp without a call for the few bytes that label values have.
bool same_bytes(const char* a, const char* b, std::size_t size) noexcept {
  if (size < 4) {
    return size == 0 || (a[0] == b[0] && a[size / 2] == b[size / 2] && a[size - 1] == b[size - 1]);
  }
  if (size < 8) {
    return load<std::uint32_t>(a) == load<std::uint32_t>(b) &&
           load<std::uint32_t>(a + size - 4) == load<std::uint32_t>(b + size - 4);
  }
  for (std::size_t at = 0; at + 8 < size; at += 8) {
    if (load<std::uint64_t>(a + at) != load<std::uint64_t>(b + at)) return false;
  }
  return load<std::uint64_t>(a + size - 8) == load<std::uint64_t>(b + size - 8);
}

void subtract_counts(std::vector<std::uint64_t>& from, const std::vector<std::uint64_t>& what) {
  for (std::size_t i = 0; i < from.size() && i < what.size(); ++i) from[i] -= what[i];
}

[[noreturn]] void refuse_twice(const std::string& family, std::string_view label) {
  throw std::invalid_argument(family + ": the label \"" + std::string(label) + "\" is given twice");
}

template <class T>
std::optional<std::string> first_difference(std::string_view what, const T& a, const T& b) {
  if (a == b) return std::nullopt;
  return std::string(what);
}

}  // namespace

void Reading::subtract(const Reading& earlier) {
  integer -= earlier.integer;
  real -= earlier.real;
  sum_nanos -= earlier.sum_nanos;
  subtract_counts(counts, earlier.counts);
  if (native && earlier.native) native->subtract(*earlier.native);
  summary.count -= earlier.summary.count;
  summary.sum -= earlier.summary.sum;
}

bool Reading::same_values(const Reading& other) const noexcept {
  return integer == other.integer &&
         std::bit_cast<std::uint64_t>(real) == std::bit_cast<std::uint64_t>(other.real) &&
         counts == other.counts && summary.count == other.summary.count &&
         native.has_value() == other.native.has_value() &&
         (!native || native->count() == other.native->count());
}

PackedLabels Series::packed_labels() const noexcept {
  const LabelsHeader header = header_of(labels);
  return {.names = family->description().labels,
          .bytes = {labels + sizeof(header), header.size},
          .plain = header.plain != 0,
          .lookalikes = header.lookalikes != 0};
}

SeriesExtras& Series::get_extras() {
  // Acquire and release: who finds the extras finds them complete.
  SeriesExtras* present = extras.load(std::memory_order_acquire);
  if (present != nullptr) return *present;
  auto made = std::make_unique<SeriesExtras>();
  if (extras.compare_exchange_strong(present, made.get(), std::memory_order_acq_rel)) {
    return *made.release();
  }
  return *present;
}

void SeriesRef::release() noexcept {
  // Release: what this handle wrote happened before the series is used again. Acquire: so does what
  // the others wrote.
  if (series_->references.fetch_sub(1, std::memory_order_acq_rel) == 1) {
    series_->family->recycle(series_);
  }
}

char* LabelBlocks::take(std::size_t size) {
  if (size > kLargest) return new char[size];
  size = (size + kStep - 1) / kStep * kStep;
  char*& free = free_[size / kStep - 1];
  if (free != nullptr) {
    char* block = free;
    std::memcpy(static_cast<void*>(&free), block, sizeof(free));
    return block;
  }
  if (left_ < size) {  // what is left of the slab is too little to be missed
    slabs_.push_back(std::make_unique<char[]>(slab_size_));
    next_ = slabs_.back().get();
    left_ = slab_size_;
    slab_size_ = std::min(slab_size_ * 2, kLargestSlab);
  }
  left_ -= size;
  return std::exchange(next_, next_ + size);
}

void LabelBlocks::give_back(char* block, std::size_t size) noexcept {
  if (size > kLargest) {
    delete[] block;
    return;
  }
  char*& free = free_[(size + kStep - 1) / kStep - 1];
  std::memcpy(block, static_cast<const void*>(&free), sizeof(free));
  free = block;
}

std::optional<std::string> FamilyDescription::difference(const FamilyDescription& other) const {
  if (kind != other.kind) {
    return "its type is " + std::string(to_string(other.kind)) + ", not " +
           std::string(to_string(kind));
  }
  if (auto what = first_difference("its help differs", help, other.help)) return what;
  if (auto what = first_difference("its labels differ", labels, other.labels)) return what;
  if (auto what = first_difference("its labels differ", any_labels, other.any_labels)) return what;
  if (auto what = first_difference("its unit differs", unit, other.unit)) return what;
  if (auto what =
          first_difference("its buckets differ", histogram.bounds, other.histogram.bounds)) {
    return what;
  }
  if (auto what = first_difference("only one of them has native buckets", histogram.native,
                                   other.histogram.native)) {
    return what;
  }
  if (auto what = first_difference("only one of them is of durations", histogram.durations,
                                   other.histogram.durations)) {
    return what;
  }
  if (auto what = first_difference("its quantiles differ", quantiles, other.quantiles)) return what;
  if (auto what = first_difference("its window differs", window, other.window)) return what;
  if (auto what = first_difference("its window differs", slices, other.slices)) return what;
  if (auto what = first_difference("its states differ", states, other.states)) return what;
  if (auto what = first_difference("its limit of series differs", max_series, other.max_series)) {
    return what;
  }
  return first_difference("its expiry differs", expire_after_scrapes, other.expire_after_scrapes);
}

Family::Family(FamilyDescription description, const Clock& clock)
    : description_(std::move(description)), clock_(clock) {
  static_assert(kMaxSeries + kFirstNumber <= kNumberMask);
  tables_.push_back(std::make_unique<Table>(4));
  table_.store(tables_.back().get(), std::memory_order_release);
}

Family::~Family() {
  // Every series is free by now.
  for (const auto& chunk : chunks_) delete[] chunk.load(std::memory_order_relaxed);
}

std::uint64_t Family::hash(const Key& key) noexcept {
  std::uint64_t hash = kFirstFactor;
  // The names of a family are the same for all its series; those of pairs are not.
  for (const auto& [name, value] : key.pairs) {
    if (!value.empty()) hash = hash_text(hash_text(hash, name), value);
  }
  for (const std::string_view value : key.values) hash = hash_text(hash, value);
  return hash;
}

bool Family::matches(const Series& series, const Key& key) noexcept {
  const LabelsHeader header = header_of(series.labels);
  const char* at = series.labels + sizeof(header);
  const char* const end = at + header.size;
  const auto next_is = [&at](std::string_view text) {
    const std::string_view kept = unpack(at);
    return kept.size() == text.size() && same_bytes(kept.data(), text.data(), text.size());
  };
  for (const auto& [name, value] : key.pairs) {
    if (value.empty()) continue;
    if (at == end || !next_is(name) || !next_is(value)) return false;
  }
  for (const std::string_view value : key.values) {
    if (!next_is(value)) return false;
  }
  return at == end;
}

SeriesRef Family::find(std::uint64_t hash, const Key& key) const noexcept {
  // Acquire: an entry that is seen was written before its table, its series before the entry.
  const Table& table = *table_.load(std::memory_order_acquire);
  for (std::size_t i = hash & table.mask;; i = (i + 1) & table.mask) {
    const std::uint32_t entry = table.entries[i].load(std::memory_order_acquire);
    if (entry == 0) return {};
    if ((entry & ~kNumberMask) != tag_of(hash)) continue;
    Series* series = &at((entry & kNumberMask) - kFirstNumber);
    // One that is not listed is not to be revived: it may be on its way to other labels.
    std::uint32_t references = series->references.load(std::memory_order_relaxed);
    while ((references & Series::kListed) != 0 &&
           !series->references.compare_exchange_weak(
               references, references + 1, std::memory_order_acquire, std::memory_order_relaxed)) {
    }
    if ((references & Series::kListed) == 0) continue;
    SeriesRef found(series);
    if (matches(*series, key)) return found;
  }
}

Series* Family::find_listed(std::uint64_t hash, const Key& key) const noexcept {
  const Table& table = *tables_.back();
  for (std::size_t i = hash & table.mask;; i = (i + 1) & table.mask) {
    const std::uint32_t entry = table.entries[i].load(std::memory_order_relaxed);
    if (entry == 0) return nullptr;
    if ((entry & ~kNumberMask) != tag_of(hash)) continue;
    Series& series = at((entry & kNumberMask) - kFirstNumber);
    if (matches(series, key)) return &series;
  }
}

SeriesRef Family::with(std::span<const std::string_view> values) {
  return find_or_make({.pairs = {}, .values = values});
}

SeriesRef Family::with(std::span<const Label> labels) {
  if (!description_.any_labels) {
    std::vector<std::string_view> values(description_.labels.size());
    for (const auto& [name, value] : labels) {
      const auto at = std::find(description_.labels.begin(), description_.labels.end(), name);
      if (at == description_.labels.end()) {
        throw std::invalid_argument(description_.name + " has no label \"" + repaired(name) + "\"");
      }
      std::string_view& at_name =
          values[static_cast<std::size_t>(at - description_.labels.begin())];
      if (at_name.data() != nullptr) refuse_twice(description_.name, name);
      // A value may be empty and without address too; "" has one.
      at_name = value.empty() ? std::string_view("") : value;
    }
    return with(std::span<const std::string_view>(values));
  }
  std::vector<Label> sorted(labels.begin(), labels.end());
  std::sort(sorted.begin(), sorted.end());
  for (std::size_t i = 0; i < sorted.size(); ++i) {
    if (auto problem = label_name_problem(sorted[i].first, description_.kind)) {
      throw std::invalid_argument(description_.name + ": " + *problem);
    }
    if (i > 0 && sorted[i - 1].first == sorted[i].first) {
      refuse_twice(description_.name, sorted[i].first);
    }
    if (std::find(description_.taken_labels.begin(), description_.taken_labels.end(),
                  sorted[i].first) != description_.taken_labels.end()) {
      throw std::invalid_argument(description_.name + ": the label \"" +
                                  std::string(sorted[i].first) +
                                  "\" is a constant label of its registry");
    }
  }
  return find_or_make({.pairs = sorted, .values = {}});
}

SeriesRef Family::find_or_make(const Key& key) {
  const std::uint64_t hashed = hash(key);
  if (SeriesRef found = find(hashed, key)) return found;

  const auto refer_to = [](Series* series) {
    series->references.fetch_add(1, std::memory_order_relaxed);
    return SeriesRef(series);
  };
  const std::lock_guard lock(mutex_);
  if (Series* listed = find_listed(hashed, key)) return refer_to(listed);
  // The last number is kept for the overflow series.
  const bool has_room = !free_.empty() || series_made_ + 1 < kMaxSeries;
  if (has_room && listed_.load(std::memory_order_relaxed) < description_.max_series) {
    return SeriesRef(make(hashed, key));
  }
  dropped_.fetch_add(1, std::memory_order_relaxed);
  if (overflow_ != nullptr) return refer_to(overflow_);
  const std::vector<std::string_view> values(key.values.size(), "other");
  std::vector<Label> pairs;  // of a family with any labels: with the names of this set
  for (const Label& label : key.pairs) pairs.emplace_back(label.first, "other");
  const Key other{.pairs = pairs, .values = values};
  // The very set may be listed already: then that is the one.
  overflow_ = find_listed(hash(other), other);
  if (overflow_ != nullptr) return refer_to(overflow_);
  overflow_ = make(hash(other), other);
  return SeriesRef(overflow_);
}

Series* Family::make(std::uint64_t hashed, const Key& key) {
  std::string packed;
  LabelsHeader header{.size = 0, .plain = 1, .lookalikes = 0};
  const auto pack_value = [&](std::string_view value) {
    pack(packed, value);
    if (!is_plain(value)) header.plain = 0;
    if (has_lookalikes(value)) header.lookalikes = 1;
  };
  for (const auto& [name, value] : key.pairs) {
    if (value.empty()) continue;
    pack(packed, name);
    pack_value(value);
  }
  for (const std::string_view value : key.values) pack_value(value);
  header.size = static_cast<std::uint32_t>(packed.size()) & ((1U << 30U) - 1);
  char* labels = blocks_.take(sizeof(header) + packed.size());
  std::memcpy(labels, &header, sizeof(header));
  std::copy(packed.begin(), packed.end(), labels + sizeof(header));

  const std::uint32_t number = take_free();
  Series* series = &at(number);
  series->hash = static_cast<std::uint32_t>(hashed);
  series->family = this;
  series->labels = labels;
  if (description_.kind == Kind::counter) {
    series->cells = allocate_cells(1);
  } else if (description_.kind == Kind::histogram) {
    series->cells = allocate_cells(description_.histogram.cells());
  } else {
    series->value.store(0, std::memory_order_relaxed);
  }
  if (description_.histogram.native) {
    series->get_extras().native = std::make_unique<NativeBuckets>();
  }
  if (description_.kind == Kind::summary) {
    series->get_extras().quantiles =
        std::make_unique<SlidingQuantiles>(description_.window, description_.slices, clock_);
  }
  if (description_.created_timestamps) {
    series->get_extras().created = std::chrono::system_clock::now();
  }
  references_.fetch_add(1, std::memory_order_relaxed);
  // Release: who gets a reference finds all of the above.
  series->references.store(Series::kListed | 1, std::memory_order_release);
  enter(hashed, number);
  listed_.fetch_add(1, std::memory_order_relaxed);
  return series;
}

std::uint32_t Family::take_free() {
  if (!free_.empty()) {
    const std::uint32_t number = free_.back();
    free_.pop_back();
    return number;
  }
  // The next number is the first of a chunk when all chunks before it are full.
  const std::size_t chunk =
      static_cast<std::size_t>(std::bit_width(series_made_ / kFirstChunk + 1)) - 1;
  if (chunks_[chunk].load(std::memory_order_relaxed) == nullptr) {
    // Release: who reads a number in a table finds its chunk.
    chunks_[chunk].store(new Series[kFirstChunk << chunk], std::memory_order_release);
  }
  return static_cast<std::uint32_t>(series_made_++);
}

Series& Family::at(std::size_t number) const noexcept {
  // Chunk c begins at number kFirstChunk * (2^c - 1).
  const std::size_t chunk = static_cast<std::size_t>(std::bit_width(number / kFirstChunk + 1)) - 1;
  // Relaxed: the number came by an acquiring load or under the mutex.
  return chunks_[chunk].load(
      std::memory_order_relaxed)[number - kFirstChunk * ((std::size_t{1} << chunk) - 1)];
}

std::uint32_t Family::number_of(const Series& series) const noexcept {
  std::size_t first = 0;
  for (std::size_t chunk = 0;; first += kFirstChunk << chunk, ++chunk) {
    const Series* begin = chunks_[chunk].load(std::memory_order_relaxed);
    const std::less<const Series*> before;
    if (!before(&series, begin) && before(&series, begin + (kFirstChunk << chunk))) {
      return static_cast<std::uint32_t>(first + static_cast<std::size_t>(&series - begin));
    }
  }
}

void Family::enter(std::uint64_t hashed, std::uint32_t number) {
  Table* table = tables_.back().get();
  // At most 7/8 full, so that a miss ends soon; otherwise a table twice as long. The old one stays,
  // for those who are reading it.
  const std::size_t listed = listed_.load(std::memory_order_relaxed);
  if ((listed + 1) * 8 > table->entries.size() * 7) {
    auto next = std::make_unique<Table>(table->entries.size() * 2);
    for (const auto& old : table->entries) {
      const std::uint32_t entry = old.load(std::memory_order_relaxed);
      if (entry == 0) continue;
      std::size_t i = home_of(entry) & next->mask;
      while (next->entries[i].load(std::memory_order_relaxed) != 0) i = (i + 1) & next->mask;
      next->entries[i].store(entry, std::memory_order_relaxed);
    }
    table = next.get();
    tables_.push_back(std::move(next));
    table_.store(table, std::memory_order_release);
  }
  std::size_t i = hashed & table->mask;
  while (table->entries[i].load(std::memory_order_relaxed) != 0) i = (i + 1) & table->mask;
  table->entries[i].store((number + kFirstNumber) | tag_of(hashed), std::memory_order_release);
}

std::size_t Family::home_of(std::uint32_t entry) const noexcept {
  return at((entry & kNumberMask) - kFirstNumber).hash;
}

// Closes the gap by moving entries that stand behind it. A look-up that goes on meanwhile may miss
// one of those; then it looks again under the mutex.
void Family::leave_table(const Series& series) noexcept {
  Table& table = *tables_.back();
  const std::uint32_t number = number_of(series) + kFirstNumber;
  std::size_t gap = series.hash & table.mask;
  while ((table.entries[gap].load(std::memory_order_relaxed) & kNumberMask) != number) {
    gap = (gap + 1) & table.mask;
  }
  for (std::size_t i = (gap + 1) & table.mask;; i = (i + 1) & table.mask) {
    const std::uint32_t entry = table.entries[i].load(std::memory_order_relaxed);
    if (entry == 0) break;
    // It may move back as far as its home.
    const std::size_t distance = (i - home_of(entry)) & table.mask;
    if (distance < ((i - gap) & table.mask)) continue;
    table.entries[gap].store(entry, std::memory_order_release);
    gap = i;
  }
  table.entries[gap].store(0, std::memory_order_relaxed);
}

bool Family::unlist(Series& series) noexcept {
  leave_table(series);
  listed_.fetch_sub(1, std::memory_order_relaxed);
  if (overflow_ == &series) overflow_ = nullptr;
  // As in SeriesRef::release.
  return series.references.fetch_and(~Series::kListed, std::memory_order_acq_rel) ==
         Series::kListed;
}

bool Family::remove(std::span<const std::string_view> values) {
  const Key key{.pairs = {}, .values = values};
  const std::lock_guard lock(mutex_);
  Series* series = find_listed(hash(key), key);
  if (series == nullptr) return false;
  if (unlist(*series)) {
    empty(*series);
    references_.fetch_sub(1, std::memory_order_relaxed);  // the registry's is left
  }
  return true;
}

void Family::clear() {
  const std::lock_guard lock(mutex_);
  for (std::size_t i = 0; i < series_made_; ++i) {
    Series& series = at(i);
    if ((series.references.load(std::memory_order_relaxed) & Series::kListed) == 0) continue;
    if (unlist(series)) {
      empty(series);
      references_.fetch_sub(1, std::memory_order_relaxed);  // the registry's is left
    }
  }
}

void Family::close() noexcept {
  clear();
  drop_reference();
}

void Family::empty(Series& series) noexcept {
  if (SeriesExtras* extras = series.extras.exchange(nullptr, std::memory_order_relaxed)) {
    free_cells(extras->fraction.load(std::memory_order_relaxed), 1);
    delete extras;
  }
  if (description_.kind == Kind::counter) free_cells(series.cells, 1);
  if (description_.kind == Kind::histogram)
    free_cells(series.cells, description_.histogram.cells());
  blocks_.give_back(series.labels, sizeof(LabelsHeader) + header_of(series.labels).size);
  series.labels = nullptr;
  free_.push_back(number_of(series));
}

void Family::recycle(Series* series) noexcept {
  {
    const std::lock_guard lock(mutex_);
    empty(*series);
  }
  drop_reference();
}

void Family::drop_reference() noexcept {
  if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
}

std::optional<std::size_t> Family::list(std::size_t from, std::vector<SeriesRef>& out,
                                        std::size_t max) {
  const std::lock_guard lock(mutex_);
  while (from < series_made_ && max > 0) {
    Series& series = at(from);
    if ((series.references.load(std::memory_order_relaxed) & Series::kListed) != 0) {
      series.references.fetch_add(1, std::memory_order_relaxed);
      out.emplace_back(&series);
      --max;
    }
    ++from;
  }
  if (max > 0) return std::nullopt;
  return from;
}

void Family::read(Series& series, Reading& reading) const {
  SeriesExtras* extras = series.extras.load(std::memory_order_acquire);
  // A reading is used again for the next series, maybe of another kind; its vectors keep their
  // room.
  reading.integer = 0;
  reading.real = 0;
  reading.sum_nanos = 0;
  reading.native.reset();
  reading.created = {};
  reading.exemplars.clear();
  switch (description_.kind) {
    case Kind::counter: {
      read_cells(series.cells, {&reading.integer, 1});
      reading.real =
          extras == nullptr ? 0 : read_real_cell(extras->fraction.load(std::memory_order_acquire));
      break;
    }
    case Kind::gauge:
    case Kind::info:
      reading.real = series.value.load(std::memory_order_relaxed);
      break;
    case Kind::state_set:
      reading.integer = static_cast<std::uint64_t>(series.value.load(std::memory_order_relaxed));
      break;
    case Kind::histogram: {
      // The sum is a cell like the others where durations are summed, and a double's bits where
      // not.
      const HistogramLayout& layout = description_.histogram;
      reading.counts.resize(layout.durations ? layout.cells() : layout.cells() - 1);
      read_cells(series.cells, reading.counts);
      if (layout.durations) {
        reading.sum_nanos = static_cast<std::int64_t>(reading.counts.back());
        reading.counts.pop_back();
      } else {
        reading.real = read_real_cell(series.cells + static_cast<CellIndex>(layout.sum_cell()));
      }
      // After the classic buckets: see Histogram::observe.
      if (layout.native) reading.native = extras->native->read();
      break;
    }
    case Kind::summary:
      reading.summary = extras->quantiles->read(description_.quantiles);
      break;
  }
  if (extras == nullptr) return;
  reading.created = extras->created;
  // A series that has never had an exemplar has not got the vector either; empty under no lock
  // would be a race, so the lock is taken, uncontended but for the moment of an exemplar.
  const std::lock_guard lock(extras->exemplar_mutex);
  reading.exemplars = extras->exemplars;
}

// Takes a series off the list for good if nobody but the page that is being written refers to it.
// Who looked it up before that and has let go again may have used it after it was read: then it
// stays. Who looks it up after that finds it listed no more, waits for the mutex, and finds it
// again or makes a new one.
void Family::try_expire(Series& series, const Reading& reading) {
  std::uint32_t references = Series::kListed | 1;
  if (!series.references.compare_exchange_strong(references, 1, std::memory_order_acq_rel)) return;
  Reading now;
  read(series, now);
  if (!now.same_values(reading)) {
    series.references.fetch_or(Series::kListed, std::memory_order_release);
    return;
  }
  static_cast<void>(unlist(series));
}

bool Family::read_for_page(Series& series, Reading& reading, bool counts_as_scrape) {
  read(series, reading);
  if (description_.expire_after_scrapes == 0) return true;
  // A family without labels has one series, which is always there; what info says never changes.
  if (!description_.any_labels && description_.labels.empty()) return true;
  if (description_.kind == Kind::info) return true;

  const std::lock_guard lock(mutex_);
  if ((series.references.load(std::memory_order_relaxed) & Series::kListed) == 0) return false;
  SeriesExtras& extras = series.get_extras();
  const bool changed = extras.last == nullptr || !extras.last->same_values(reading);
  if (!counts_as_scrape) {
    if (extras.hidden && !changed) return false;
  } else if (changed) {
    extras.last = std::make_unique<Reading>(reading);
    extras.unchanged = 0;
    extras.hidden = false;
  } else if (++extras.unchanged >= description_.expire_after_scrapes) {
    if (!extras.hidden) extras.baseline = std::make_unique<Reading>(reading);
    extras.hidden = true;
    try_expire(series, reading);
    return false;
  }
  const bool is_sum = description_.kind == Kind::counter || description_.kind == Kind::histogram ||
                      description_.kind == Kind::summary;
  if (extras.baseline != nullptr && is_sum) reading.subtract(*extras.baseline);
  return true;
}

}  // namespace tyaprover::metrics::detail
