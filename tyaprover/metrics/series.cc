#include "tyaprover/metrics/series.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <stdexcept>

namespace tyaprover::metrics::detail {
namespace {

constexpr std::uint64_t kRemoved = 1;  // an entry of a table that probing must pass
constexpr unsigned kHashShift = 48;    // pointers have 48 bits; above them stand bits of the hash

Series* series_of(std::uint64_t entry) noexcept {
  // NOLINTNEXTLINE(performance-no-int-to-ptr)
  return reinterpret_cast<Series*>(entry & ((1ULL << kHashShift) - 1));
}

// What stands before the text and the raw values of a series' labels.
struct LabelsHeader {
  std::uint32_t text_size;
  std::uint32_t raw_size;
  std::uint64_t present;  // by label: whether its value is not empty; 0 where any labels go
  bool plain;
  bool repaired;
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

SeriesLabels Series::label_text() const noexcept {
  const LabelsHeader header = header_of(labels);
  const char* text = labels + sizeof(header);
  return {.text = {text, header.text_size},
          .raw = {text + header.text_size, header.raw_size},
          .plain = header.plain,
          .repaired = header.repaired};
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
  tables_.push_back(std::make_unique<Table>(4));
  table_.store(tables_.back().get(), std::memory_order_release);
}

Family::~Family() = default;  // every series is free by now

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
  if (!header.plain) {
    std::string_view raw(at + header.text_size, header.raw_size);
    bool same = true;
    key.for_each([&](std::string_view name, std::string_view value) {
      same = same && !raw.empty() && take_raw_label(raw) == Label{name, value};
    });
    return same && raw.empty();
  }
  // name="value",… with known names: only the values need to be compared, at their places. A value
  // with `"` in it cannot pass for several labels: then as many were missing.
  const char* const end = at + header.text_size;
  std::uint64_t present = 0;
  bool first = true;
  for (std::size_t i = 0; i < key.values.size(); ++i) {
    const std::string_view value = key.values[i];
    if (value.empty()) continue;
    present |= std::uint64_t{1} << i;
    at += (first ? 0 : 1) + key.names[i].size() + 2;
    first = false;
    if (static_cast<std::ptrdiff_t>(value.size()) >= end - at) return false;
    if (!same_bytes(at, value.data(), value.size()) || at[value.size()] != '"') return false;
    at += value.size() + 1;
  }
  return at == end && present == header.present;
}

SeriesRef Family::find(std::uint64_t hash, const Key& key) const noexcept {
  // Acquire: an entry that is seen was written before its table, its series before the entry.
  const Table& table = *table_.load(std::memory_order_acquire);
  for (std::size_t i = hash & table.mask;; i = (i + 1) & table.mask) {
    const std::uint64_t entry = table.entries[i].load(std::memory_order_acquire);
    if (entry == 0) return {};
    if (entry == kRemoved || entry >> kHashShift != hash >> kHashShift) continue;
    Series* series = series_of(entry);
    // A free series is not to be revived: it may be on its way to other labels.
    std::uint32_t references = series->references.load(std::memory_order_relaxed);
    while (references != 0 &&
           !series->references.compare_exchange_weak(
               references, references + 1, std::memory_order_acquire, std::memory_order_relaxed)) {
    }
    if (references == 0) continue;
    SeriesRef found(series);
    if (series->listed.load(std::memory_order_acquire) && matches(*series, key)) return found;
  }
}

Series* Family::find_listed(std::uint64_t hash, const Key& key) const noexcept {
  const Table& table = *tables_.back();
  for (std::size_t i = hash & table.mask;; i = (i + 1) & table.mask) {
    const std::uint64_t entry = table.entries[i].load(std::memory_order_relaxed);
    if (entry == 0) return nullptr;
    if (entry == kRemoved || entry >> kHashShift != hash >> kHashShift) continue;
    if (matches(*series_of(entry), key)) return series_of(entry);
  }
}

SeriesRef Family::with(std::span<const std::string_view> values) {
  return find_or_make({.names = description_.labels, .pairs = {}, .values = values});
}

SeriesRef Family::with(std::span<const Label> labels) {
  if (!description_.any_labels) {
    std::vector<std::string_view> values(description_.labels.size());
    for (const auto& [name, value] : labels) {
      const auto at = std::find(description_.labels.begin(), description_.labels.end(), name);
      if (at == description_.labels.end()) {
        throw std::invalid_argument(description_.name + " has no label \"" + repaired(name) + "\"");
      }
      values[static_cast<std::size_t>(at - description_.labels.begin())] = value;
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
      throw std::invalid_argument(description_.name + ": the label \"" +
                                  std::string(sorted[i].first) + "\" is given twice");
    }
  }
  return find_or_make({.names = {}, .pairs = sorted, .values = {}});
}

SeriesRef Family::find_or_make(const Key& key) {
  const std::uint64_t hashed = hash(key);
  if (SeriesRef found = find(hashed, key)) return found;

  const std::lock_guard lock(mutex_);
  if (Series* listed = find_listed(hashed, key)) {
    listed->references.fetch_add(1, std::memory_order_relaxed);
    return SeriesRef(listed);
  }
  if (listed_.load(std::memory_order_relaxed) < description_.max_series) {
    return SeriesRef(make(hashed, key, 2));  // the list's and the caller's
  }
  dropped_.fetch_add(1, std::memory_order_relaxed);
  if (overflow_ == nullptr) {
    const std::vector<std::string_view> values(description_.labels.size(), "other");
    std::vector<Label> pairs;  // of a family with any labels: with the names of this set
    for (const Label& label : key.pairs) pairs.emplace_back(label.first, "other");
    const Key other{.names = description_.labels, .pairs = pairs, .values = values};
    // The very set may be listed already: then that is the one.
    overflow_ = find_listed(hash(other), other);
    if (overflow_ == nullptr) overflow_ = make(hash(other), other, 1);
  }
  overflow_->references.fetch_add(1, std::memory_order_relaxed);
  return SeriesRef(overflow_);
}

Series* Family::make(std::uint64_t hashed, const Key& key, std::uint32_t references) {
  std::string text;
  std::string raw;
  LabelsHeader header{};
  header.plain = !description_.any_labels;  // those are compared by name too
  key.for_each([&](std::string_view name, std::string_view value) {
    append_label(text, name, value);
    append_raw_label(raw, name, value);
    header.plain = header.plain && is_plain(value);
    header.repaired = header.repaired || !is_utf8(value);
  });
  for (std::size_t i = 0; i < key.values.size(); ++i) {
    if (!key.values[i].empty()) header.present |= std::uint64_t{1} << i;
  }
  if (header.plain) raw.clear();
  header.text_size = static_cast<std::uint32_t>(text.size());
  header.raw_size = static_cast<std::uint32_t>(raw.size());
  auto labels = std::make_unique<char[]>(sizeof(header) + text.size() + raw.size());
  std::memcpy(labels.get(), &header, sizeof(header));
  std::copy(text.begin(), text.end(), labels.get() + sizeof(header));
  std::copy(raw.begin(), raw.end(), labels.get() + sizeof(header) + text.size());

  CellIndex cells = kNoCells;
  if (description_.kind == Kind::counter) cells = allocate_cells(1);
  if (description_.kind == Kind::histogram) cells = allocate_cells(description_.histogram.cells());

  Series* series = take_free();
  series->hash = static_cast<std::uint32_t>(hashed);
  series->family = this;
  series->value.store(0, std::memory_order_relaxed);
  series->cells = cells;
  series->labels = labels.release();
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
  series->listed.store(true, std::memory_order_relaxed);
  // Release: who gets a reference finds all of the above.
  series->references.store(references, std::memory_order_release);
  enter(hashed, series);
  listed_.fetch_add(1, std::memory_order_relaxed);
  return series;
}

Series* Family::take_free() {
  if (!free_.empty()) {
    Series* series = free_.back();
    free_.pop_back();
    return series;
  }
  const std::size_t number = series_made_;
  std::size_t made = 0;
  for (std::size_t i = 0; i < chunks_.size(); ++i) made += kFirstChunk << i;
  if (number == made) {
    chunks_.push_back(std::make_unique<Series[]>(kFirstChunk << chunks_.size()));
  }
  ++series_made_;
  return &at(number);
}

Series& Family::at(std::size_t number) noexcept {
  // Chunk c begins at number kFirstChunk * (2^c - 1).
  const std::size_t chunk = static_cast<std::size_t>(std::bit_width(number / kFirstChunk + 1)) - 1;
  return chunks_[chunk][number - kFirstChunk * ((std::size_t{1} << chunk) - 1)];
}

void Family::enter(std::uint64_t hashed, Series* series) {
  Table* table = tables_.back().get();
  // At most 7/8 full, so that a miss ends soon; otherwise a new table without the removed entries,
  // twice as long if they were few.
  if ((used_entries_ + 1) * 8 > table->entries.size() * 7) {
    const std::size_t listed = listed_.load(std::memory_order_relaxed);
    const std::size_t size = std::bit_ceil((listed + 1) * 8 / 5 + 4);
    auto next = std::make_unique<Table>(size);
    used_entries_ = 0;
    for (const auto& old : table->entries) {
      const std::uint64_t entry = old.load(std::memory_order_relaxed);
      if (entry == 0 || entry == kRemoved) continue;
      std::size_t i = series_of(entry)->hash & next->mask;
      while (next->entries[i].load(std::memory_order_relaxed) != 0) i = (i + 1) & next->mask;
      next->entries[i].store(entry, std::memory_order_relaxed);
      ++used_entries_;
    }
    table = next.get();
    tables_.push_back(std::move(next));
    table_.store(table, std::memory_order_release);
  }
  std::size_t i = hashed & table->mask;
  while (table->entries[i].load(std::memory_order_relaxed) > kRemoved) i = (i + 1) & table->mask;
  if (table->entries[i].load(std::memory_order_relaxed) == 0) ++used_entries_;
  const auto pointer = reinterpret_cast<std::uintptr_t>(series);
  table->entries[i].store(pointer | (hashed >> kHashShift) << kHashShift,
                          std::memory_order_release);
}

void Family::unlist(Series& series) noexcept {
  Table& table = *tables_.back();
  for (std::size_t i = series.hash & table.mask;; i = (i + 1) & table.mask) {
    const std::uint64_t entry = table.entries[i].load(std::memory_order_relaxed);
    if (entry == 0) break;
    if (entry != kRemoved && series_of(entry) == &series) {
      table.entries[i].store(kRemoved, std::memory_order_relaxed);
      break;
    }
  }
  series.listed.store(false, std::memory_order_release);
  listed_.fetch_sub(1, std::memory_order_relaxed);
  if (overflow_ == &series) overflow_ = nullptr;
}

bool Family::remove(std::span<const std::string_view> values) {
  const Key key{.names = description_.labels, .pairs = {}, .values = values};
  const SeriesRef series = find(hash(key), key);  // let go of after the lock
  if (!series) return false;
  const std::lock_guard lock(mutex_);
  if (!series->listed.load(std::memory_order_relaxed)) return false;
  unlist(*series.get());
  series->references.fetch_sub(1, std::memory_order_release);  // the list's; ours is left
  return true;
}

void Family::clear() {
  const std::lock_guard lock(mutex_);
  for (std::size_t i = 0; i < series_made_; ++i) {
    Series& series = at(i);
    if (!series.listed.load(std::memory_order_relaxed)) continue;
    unlist(series);
    if (series.references.fetch_sub(1, std::memory_order_acq_rel) == 1) {
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
  delete[] series.labels;
  series.labels = nullptr;
  free_.push_back(&series);
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
    if (series.listed.load(std::memory_order_relaxed)) {
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

// Takes a series off the list for good if nobody but the list and the page that is being written
// refers to it. A look-up that comes between may already have its address from the table. Its
// reference counts either before ours is exchanged, and the series stays; or after, and then it
// also sees that the series is listed no more, and makes a new one.
bool Family::try_expire(Series& series) noexcept {
  series.listed.store(false, std::memory_order_relaxed);
  std::uint32_t references = 2;
  if (series.references.compare_exchange_strong(references, 1, std::memory_order_acq_rel)) {
    unlist(series);
    return true;
  }
  series.listed.store(true, std::memory_order_relaxed);
  return false;
}

bool Family::read_for_page(Series& series, Reading& reading, bool counts_as_scrape) {
  read(series, reading);
  if (description_.expire_after_scrapes == 0) return true;
  // A family without labels has one series, which is always there.
  if (!description_.any_labels && description_.labels.empty()) return true;

  const std::lock_guard lock(mutex_);
  if (!series.listed.load(std::memory_order_relaxed)) return false;
  SeriesExtras& extras = series.get_extras();
  if (extras.last == nullptr || !extras.last->same_values(reading)) {
    extras.last = std::make_unique<Reading>(reading);
    extras.unchanged = 0;
    extras.hidden = false;
  } else if (counts_as_scrape) {
    ++extras.unchanged;
  }
  if (!extras.hidden && extras.unchanged >= description_.expire_after_scrapes) {
    extras.hidden = true;
    extras.baseline = std::make_unique<Reading>(reading);
  }
  if (extras.hidden) {
    static_cast<void>(try_expire(series));
    return false;
  }
  const bool is_sum = description_.kind == Kind::counter || description_.kind == Kind::histogram ||
                      description_.kind == Kind::summary;
  if (extras.baseline != nullptr && is_sum) reading.subtract(*extras.baseline);
  return true;
}

}  // namespace tyaprover::metrics::detail
