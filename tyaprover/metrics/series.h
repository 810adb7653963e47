// Families and their series: the storage behind the typed handles.
//
// A family is one metric name with its label names; a series is one set of label values in it.
// Looking an existing series up takes no lock; making, removing and listing series does.
//
// Ownership: a registry holds its families; a series lives while it is listed in its family or a
// handle refers to it, and a family lives while its registry or one of its series does. So a handle
// is valid for ever, whatever happens to the registry.
//
// Invariant: memory of a Series is never given back before its family dies, only used again for
// another set of labels, and only when nobody refers to it. So a reader may touch the reference
// count of any Series that it has ever seen in the table, and knows what it holds once it has a
// reference.
//
// A thousand sets of labels in the four families of HTTP, written by two threads, are to fit in
// 1 MB; metrics_memory_test watches it. That is why labels are packed, entries of a table are
// numbers of 32 bits, and what few series need stands apart.
//
// Internal to the metrics library: use Registry, Counter, Gauge, Histogram, Summary.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tyaprover/base/clock.h"
#include "tyaprover/metrics/cells.h"
#include "tyaprover/metrics/exemplar.h"
#include "tyaprover/metrics/labels.h"
#include "tyaprover/metrics/native_buckets.h"
#include "tyaprover/metrics/quantiles.h"

namespace tyaprover::metrics::detail {

class Family;

// The bounds of a histogram's classic buckets and what its values are.
struct HistogramLayout {
  bool native = false;
  // Durations: values are integer nanoseconds inside and seconds outside.
  bool durations = false;
  std::vector<double> bounds;              // as given
  std::vector<std::int64_t> nanos_bounds;  // the same in nanoseconds, for durations
  // Cells of a series: one per bucket, the one beyond the last bound, the sum.
  [[nodiscard]] std::size_t sum_cell() const noexcept { return bounds.size() + 1; }
  [[nodiscard]] std::size_t cells() const noexcept { return bounds.size() + 2; }
};

// One reading of a series, by kind: counter (integer + real), gauge (real), histogram (counts by
// bucket, not cumulative, and sum), summary, state set (integer: the state's number).
struct Reading {
  std::uint64_t integer = 0;
  double real = 0;
  std::vector<std::uint64_t> counts;
  std::int64_t sum_nanos = 0;  // of durations; `real` otherwise
  std::optional<NativeCounts> native;
  SlidingQuantiles::Reading summary{};
  std::vector<ShownExemplar> exemplars;  // empty, or one per bucket (histogram), or one (counter)
  std::chrono::system_clock::time_point created{};

  // Takes away what an older reading of the same series held.
  void subtract(const Reading& earlier);
  // Whether the series was used between the two.
  [[nodiscard]] bool same_values(const Reading& other) const noexcept;
};

// What few series need.
struct SeriesExtras {
  std::unique_ptr<NativeBuckets> native;
  std::unique_ptr<SlidingQuantiles> quantiles;
  std::chrono::system_clock::time_point created{};
  // A counter's part that is not whole: a cell with a double's bits.
  std::atomic<CellIndex> fraction{kNoCells};

  std::mutex exemplar_mutex;
  std::atomic<std::int64_t> exemplar_due{0};  // steady nanoseconds; before it none is taken
  std::vector<ShownExemplar> exemplars;

  // Expiry; touched only while a page is written, under the family's mutex.
  std::unique_ptr<Reading> last;      // at the last scrape
  std::unique_ptr<Reading> baseline;  // what it held when it left the page
  unsigned unchanged = 0;             // scrapes
  bool hidden = false;
};

struct Series {
  // Whether its family lists it: the upper bit of `references`, so that a look-up takes a reference
  // and sees this in one step.
  static constexpr std::uint32_t kListed = 1U << 31U;

  // Handles and pages, with kListed. 0: free, or on its way there.
  std::atomic<std::uint32_t> references{0};
  std::uint32_t hash = 0;
  Family* family = nullptr;
  union {
    std::atomic<double> value{0};  // of a gauge or state set
    CellIndex cells;               // the first of a counter or histogram
  };
  std::atomic<SeriesExtras*> extras{nullptr};
  char* labels = nullptr;  // a LabelsHeader and what is packed

  [[nodiscard]] PackedLabels packed_labels() const noexcept;
  [[nodiscard]] SeriesExtras& get_extras();  // makes them at the first call
};

// A counted reference to a series; null for handles that were never given one.
class SeriesRef {
 public:
  SeriesRef() = default;
  // Takes over a reference.
  explicit SeriesRef(Series* series) noexcept : series_(series) {}
  SeriesRef(const SeriesRef& other) noexcept : series_(other.series_) {
    // Relaxed: who copies has a reference already.
    if (series_ != nullptr) series_->references.fetch_add(1, std::memory_order_relaxed);
  }
  SeriesRef(SeriesRef&& other) noexcept : series_(std::exchange(other.series_, nullptr)) {}
  SeriesRef& operator=(SeriesRef other) noexcept {
    std::swap(series_, other.series_);
    return *this;
  }
  ~SeriesRef() {
    if (series_ != nullptr) release();
  }

  [[nodiscard]] Series* get() const noexcept { return series_; }
  Series* operator->() const noexcept { return series_; }
  explicit operator bool() const noexcept { return series_ != nullptr; }

 private:
  void release() noexcept;

  Series* series_ = nullptr;
};

// Memory for packed labels, in steps of 8 bytes: they are short, and malloc would add half as much
// again. Not thread-safe.
class LabelBlocks {
 public:
  [[nodiscard]] char* take(std::size_t size);
  void give_back(char* block, std::size_t size) noexcept;

 private:
  static constexpr std::size_t kStep = 8;
  static constexpr std::size_t kLargest = 128;  // what is longer comes from malloc
  static constexpr std::size_t kFirstSlab = 256;
  static constexpr std::size_t kLargestSlab = 4096;

  std::array<char*, kLargest / kStep> free_{};  // by size; each block holds the address of the next
  std::vector<std::unique_ptr<char[]>> slabs_;
  std::size_t slab_size_ = kFirstSlab;
  char* next_ = nullptr;  // of the last slab
  std::size_t left_ = 0;
};

// What a family is; fixed once it is registered.
struct FamilyDescription {
  std::string name;
  std::string help;
  Kind kind = Kind::counter;
  std::string unit;  // suffix of the name, or empty
  std::vector<std::string> labels;
  bool any_labels = false;                // the seed's facade: label names come with each call
  std::vector<std::string> taken_labels;  // the registry's constant ones, which no series may have
  std::size_t max_series = 2000;
  unsigned expire_after_scrapes = 0;  // 0: never
  bool created_timestamps = false;
  HistogramLayout histogram;
  std::vector<double> quantiles;  // of a summary
  Nanos window{};                 // of a summary
  std::size_t slices = 0;
  std::vector<std::string> states;  // of a state set

  // The first thing in which two registrations of one name differ, or nothing.
  [[nodiscard]] std::optional<std::string> difference(const FamilyDescription& other) const;
};

class Family {
 public:
  // With one reference, the registry's.
  Family(FamilyDescription description, const Clock& clock);
  Family(const Family&) = delete;
  Family& operator=(const Family&) = delete;

  [[nodiscard]] const FamilyDescription& description() const noexcept { return description_; }
  [[nodiscard]] const Clock& clock() const noexcept { return clock_; }

  // The series with these values (one per label name, in their order), made if need be; the
  // overflow series when there are max_series already. REQUIRES: as many values as label names.
  [[nodiscard]] SeriesRef with(std::span<const std::string_view> values);
  // The series with these labels, in any order; those not named are empty. An unknown name is a
  // std::invalid_argument.
  [[nodiscard]] SeriesRef with(std::span<const Label> labels);

  // Takes a series off the page. Handles to it stay harmless. False if there is none.
  bool remove(std::span<const std::string_view> values);
  void clear();

  // The registry's end: unlists every series and gives up the registry's reference.
  void close() noexcept;

  // Appends up to `max` references to listed series from number `from` on; returns the number to go
  // on from, or nothing at the end.
  [[nodiscard]] std::optional<std::size_t> list(std::size_t from, std::vector<SeriesRef>& out,
                                                std::size_t max);
  [[nodiscard]] std::size_t size() const noexcept {
    return listed_.load(std::memory_order_relaxed);
  }

  // Reads a series into `reading` and says whether it belongs on the page: counts its scrapes
  // without a change when `counts_as_scrape`, hides it, or unlists it when nobody has a handle.
  [[nodiscard]] bool read_for_page(Series& series, Reading& reading, bool counts_as_scrape);
  void read(Series& series, Reading& reading) const;

  // Keeps the family alive for a page; given back by drop_reference.
  void add_reference() noexcept { references_.fetch_add(1, std::memory_order_relaxed); }
  void drop_reference() noexcept;

  void count_invalid() noexcept { invalid_.fetch_add(1, std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t invalid() const noexcept {
    return invalid_.load(std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint64_t dropped() const noexcept {
    return dropped_.load(std::memory_order_relaxed);
  }

 private:
  friend class SeriesRef;
  ~Family();

  // Label names beside their values, as both kinds of look-up have them.
  struct Key {
    std::span<const Label> pairs;              // of a family with any labels: sorted by name
    std::span<const std::string_view> values;  // of any other: one for each of its names
  };
  // Open addressing; an entry is the number of a series plus one, with bits of its hash above.
  struct Table {
    explicit Table(std::size_t size) : mask(size - 1), entries(size) {}
    std::size_t mask;
    std::vector<std::atomic<std::uint32_t>> entries;
  };

  [[nodiscard]] static std::uint64_t hash(const Key& key) noexcept;
  [[nodiscard]] static bool matches(const Series& series, const Key& key) noexcept;
  [[nodiscard]] SeriesRef find(std::uint64_t hash, const Key& key) const noexcept;
  [[nodiscard]] SeriesRef find_or_make(const Key& key);

  // With mutex_ held.
  [[nodiscard]] Series* find_listed(std::uint64_t hash, const Key& key) const noexcept;
  [[nodiscard]] Series* make(std::uint64_t hash, const Key& key);  // with one reference
  [[nodiscard]] std::uint32_t take_free();                         // a number
  void enter(std::uint64_t hash, std::uint32_t number);
  // Whether nobody refers to it: then it is to be emptied.
  [[nodiscard]] bool unlist(Series& series) noexcept;
  void leave_table(const Series& series) noexcept;
  [[nodiscard]] std::size_t home_of(std::uint32_t entry) const noexcept;
  void try_expire(Series& series, const Reading& reading);
  void empty(Series& series) noexcept;

  void recycle(Series* series) noexcept;
  [[nodiscard]] Series& at(std::size_t number) const noexcept;
  [[nodiscard]] std::uint32_t number_of(const Series& series) const noexcept;

  static constexpr std::size_t kFirstChunk = 4;
  static constexpr std::size_t kChunks = 20;
  static constexpr std::size_t kMaxSeries = kFirstChunk * ((std::size_t{1} << kChunks) - 1);

  const FamilyDescription description_;
  const Clock& clock_;
  std::atomic<std::size_t> references_{1};  // the registry, pages, and series that are not free
  std::atomic<std::uint64_t> invalid_{0};
  std::atomic<std::uint64_t> dropped_{0};
  std::atomic<std::size_t> listed_{0};
  std::atomic<Table*> table_;
  std::array<std::atomic<Series*>, kChunks> chunks_{};  // each twice as long as the one before

  mutable std::mutex mutex_;  // guards all that follows, and every change of a table
  std::vector<std::unique_ptr<Table>> tables_;
  std::size_t series_made_ = 0;
  std::vector<std::uint32_t> free_;
  LabelBlocks blocks_;
  Series* overflow_ = nullptr;
};

// A counted reference to a family.
class FamilyRef {
 public:
  explicit FamilyRef(Family& family) noexcept : family_(&family) { family.add_reference(); }
  FamilyRef(const FamilyRef&) = delete;
  FamilyRef(FamilyRef&& other) noexcept : family_(std::exchange(other.family_, nullptr)) {}
  FamilyRef& operator=(FamilyRef&& other) noexcept {
    std::swap(family_, other.family_);
    return *this;
  }
  FamilyRef& operator=(const FamilyRef&) = delete;
  ~FamilyRef() {
    if (family_ != nullptr) family_->drop_reference();
  }
  Family& operator*() const noexcept { return *family_; }
  Family* operator->() const noexcept { return family_; }

 private:
  Family* family_;
};

}  // namespace tyaprover::metrics::detail
