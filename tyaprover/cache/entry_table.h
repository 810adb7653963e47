// EntryTable: where a Cache keeps its entries: a striped hash table with bounds, eviction, expiry
// and tags.
//
// Thread-safe. Readers take no lock: they walk the chains under a ReaderEpochs guard, and what a
// writer unlinks is freed when no reader is left that may see it. Writers lock one of a few
// stripes. Values are immutable once they are in; a guard keeps what it found alive.
//
// Eviction (S3-FIFO, Yang et al., SOSP 2023): new entries enter a small queue of a tenth of the
// room; who is not asked for twice until its end leaves, remembered by hash only; who was, or comes
// back while remembered, joins the main queue, whose entries get another round for each of up to
// three hits. A hit adds to a two-bit counter and moves nothing. One pass over many keys therefore
// flows through the small queue and leaves the main one alone. LRU instead moves an entry to the
// front at every hit, under the stripe's lock.
//
// Invariant: entries_ and bytes_ are the sums over all linked entries, whenever no writer is
// inside.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tyaprover/base/clock.h"
#include "tyaprover/cache/cache_stats.h"
#include "tyaprover/cache/expiry_wheel.h"
#include "tyaprover/cache/ghost_table.h"
#include "tyaprover/cache/key_hash.h"
#include "tyaprover/cache/reader_epochs.h"
#include "tyaprover/cache/tag_registry.h"

namespace tyaprover::cache {

enum class Policy : std::uint8_t {
  s3_fifo,  // resists scans; hits take no lock
  lru,      // exact per stripe; a hit takes its stripe's lock
};
[[nodiscard]] constexpr std::string_view to_string(Policy policy) noexcept {
  switch (policy) {
    case Policy::s3_fifo:
      return "s3-fifo";
    case Policy::lru:
      return "lru";
  }
  return "unknown";
}

// A lifetime that does not end.
inline constexpr Nanos kForever = Nanos::max();

enum class SetResult : std::uint8_t {
  stored,
  replaced,   // stored in the place of an older value
  too_large,  // larger than the whole cache: not stored, and an older value is gone
  expired,    // a lifetime of zero: not stored, and an older value is gone
};
[[nodiscard]] constexpr std::string_view to_string(SetResult result) noexcept {
  switch (result) {
    case SetResult::stored:
      return "stored";
    case SetResult::replaced:
      return "replaced";
    case SetResult::too_large:
      return "too large";
    case SetResult::expired:
      return "expired";
  }
  return "unknown";
}

namespace detail {

inline constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();

// `at` + `by`, at most kNever.
[[nodiscard]] constexpr std::int64_t later(std::int64_t at, Nanos by) noexcept {
  return by.count() > kNever - at ? kNever : at + by.count();
}

// A key inside its entry; the bytes of a string stand behind the entry, in the same allocation.
template <class K>
struct StoredKey {
  explicit StoredKey(const K& from) : key(from) {}
  K key;
  static std::size_t extra(const K&) noexcept { return 0; }
};
template <>
struct StoredKey<std::string> {
  explicit StoredKey(std::string_view from) noexcept
      : size(static_cast<std::uint32_t>(from.size())) {}
  std::uint32_t size;
  static std::size_t extra(std::string_view key) noexcept { return key.size(); }
};

enum class Queue : std::uint8_t { none, small, main };

// What is needed for every look-up stands last, beside value and key.
template <class K, class V>
struct Entry : ExpiryHook {
  using View = KeyView<K>;

  Entry* newer = nullptr;
  Entry* older = nullptr;
  std::unique_ptr<TagStamps> tags;
  std::size_t bytes = 0;
  std::atomic<Nanos::rep> ttl{0};
  std::atomic<std::int64_t> last_access{0};  // kept when there is a time to idle
  std::uint64_t retired = 0;                 // stamp of ReaderEpochs once it is unlinked
  RemovalCause cause = RemovalCause::erased;
  Queue queue = Queue::none;  // none: not linked

  std::atomic<Entry*> chain{nullptr};
  std::uint64_t hash;
  std::atomic<std::int64_t> fresh_until;
  std::atomic<std::uint8_t> frequency{0};
  StoredKey<K> stored_key;
  V value;

  [[nodiscard]] View key() const noexcept {
    if constexpr (std::is_same_v<K, std::string>) {
      return {reinterpret_cast<const char*>(this + 1), stored_key.size};
    } else {
      return stored_key.key;
    }
  }

  static Entry* make(View key, V value, std::uint64_t hash, std::int64_t fresh_until) {
    void* memory = ::operator new(sizeof(Entry) + StoredKey<K>::extra(key));
    Entry* entry = nullptr;
    try {
      entry = new (memory) Entry(key, std::move(value), hash, fresh_until);
    } catch (...) {
      ::operator delete(memory);
      throw;
    }
    if constexpr (std::is_same_v<K, std::string>) {
      key.copy(reinterpret_cast<char*>(entry + 1), key.size());
    }
    return entry;
  }
  static void destroy(Entry* entry) noexcept {
    entry->~Entry();
    ::operator delete(entry);
  }

 private:
  Entry(View key, V&& v, std::uint64_t h, std::int64_t fresh)
      : hash(h), fresh_until(fresh), stored_key(key), value(std::move(v)) {}
  ~Entry() = default;
};

// An intrusive FIFO with the newest at the front.
template <class E>
struct EntryQueue {
  E* newest = nullptr;
  E* oldest = nullptr;
  std::size_t entries = 0;
  std::size_t bytes = 0;

  void push(E& entry) noexcept {
    entry.older = newest;
    entry.newer = nullptr;
    (newest != nullptr ? newest->newer : oldest) = &entry;
    newest = &entry;
    ++entries;
    bytes += entry.bytes;
  }
  void remove(E& entry) noexcept {
    (entry.newer != nullptr ? entry.newer->older : newest) = entry.older;
    (entry.older != nullptr ? entry.older->newer : oldest) = entry.newer;
    --entries;
    bytes -= entry.bytes;
  }
};

}  // namespace detail

struct EntryTableOptions {
  std::size_t max_entries = 0;  // 0: no bound
  std::size_t max_bytes = 0;    // 0: no bound
  Policy policy = Policy::s3_fifo;
  std::size_t stripes = 0;        // a power of two; 0: by the bounds
  Nanos idle_timeout = kForever;  // time to idle
  Nanos stale_window{};           // how long entries are kept beyond their lifetime
  std::uint64_t hash_seed = 0;    // 0: random
  const Clock* clock = nullptr;   // null: SteadyClock
};

template <class K, class V>
class EntryTable {
 public:
  using Entry = detail::Entry<K, V>;
  using View = KeyView<K>;
  using Guard = ReaderEpochs::Guard;

  explicit EntryTable(const EntryTableOptions& options);
  ~EntryTable();
  EntryTable(const EntryTable&) = delete;
  EntryTable& operator=(const EntryTable&) = delete;

  [[nodiscard]] ReaderEpochs& epochs() noexcept { return epochs_; }
  [[nodiscard]] TagRegistry& tags() noexcept { return tags_; }
  [[nodiscard]] TimePoint now() const noexcept { return clock_.now(); }

  // The entry of a key, fresh or not, unless its tags are invalid or it has been idle too long.
  // Lock-free. REQUIRES: a guard lives while the entry is used.
  [[nodiscard]] Entry* find(View key, std::uint64_t hash) noexcept {
    Entry* entry = find_linked(stripe_of(hash), key, hash);
    return entry != nullptr && is_usable(*entry) ? entry : nullptr;
  }
  [[nodiscard]] bool is_fresh(const Entry& entry) const noexcept {
    // Relaxed: the entry itself was published by the link that led to it.
    const std::int64_t until = entry.fresh_until.load(std::memory_order_relaxed);
    return until == detail::kNever || nanos(now()) < until;
  }
  // Records a use: what the policy and the time to idle need.
  void touch(Entry& entry) noexcept;
  [[nodiscard]] std::uint64_t hash(View key) const { return hasher_(key); }

  // Entries that left, for listeners: keys and values stay readable while a guard lives.
  using Removed = std::vector<const Entry*>;

  // `bytes` are those of the value beyond sizeof(V). A removed entry is added to `removed`, if not
  // null.
  SetResult set(View key, std::uint64_t hash, V value, std::size_t bytes, Nanos ttl,
                std::span<const std::string> tags, Removed* removed);
  bool erase(View key, std::uint64_t hash, RemovalCause cause, Removed* removed);
  // Removes the entries for which pred(entry) holds; the number of them. Looks at entries in slices
  // and calls pred without a lock.
  template <class F>
  std::size_t erase_if(F&& pred, RemovalCause cause, Removed* removed);
  // Starts the lifetime of an entry anew; false when there is none.
  bool renew(View key, std::uint64_t hash, Nanos ttl);
  // Calls f(entry) for every entry, per stripe from the newest (with LRU: the last used) to the
  // oldest, without a lock.
  template <class F>
  void for_each_newest_first(F&& f);
  // Calls f(entry) for every entry that is there from beginning to end, without a lock.
  template <class F>
  void for_each(F&& f);
  // Removes what has expired, looking at up to `budget` entries. True when it found all.
  bool sweep(std::size_t budget, Removed* removed);
  // A few expired entries of this key's stripe, if nobody holds it.
  void sweep_some(std::uint64_t hash, Removed* removed);
  // After the last guard of an operation: frees what nobody reads any more.
  void reclaim(std::uint64_t hash);

  // New bounds; evicts what is too much. REQUIRES: a bound of bytes stays one, none stays none.
  void resize(std::size_t max_entries, std::size_t max_bytes, Removed* removed);

  [[nodiscard]] std::size_t entries() const noexcept {
    return entries_.load(std::memory_order_relaxed);
  }
  [[nodiscard]] std::size_t bytes() const noexcept {
    return bytes_.load(std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint64_t refused() const noexcept {
    return refused_.load(std::memory_order_relaxed);
  }
  [[nodiscard]] std::array<std::uint64_t, kRemovalCauses> removals() const;
  // Sum over all entries, one by one: for tests of the accounting.
  [[nodiscard]] std::size_t recount_bytes();

  // Of an entry beside its value's own bytes: itself, its key, its part of the tables, and what the
  // allocator adds.
  [[nodiscard]] static std::size_t overhead(View key) noexcept {
    constexpr std::size_t kTablesAndAllocator = 48;
    return sizeof(Entry) + detail::StoredKey<K>::extra(key) + kTablesAndAllocator;
  }

 private:
  struct Table {
    std::size_t mask;
    [[nodiscard]] std::atomic<Entry*>& bucket(std::uint64_t hash) noexcept {
      return reinterpret_cast<std::atomic<Entry*>*>(this + 1)[hash & mask];
    }
    static Table* make(std::size_t buckets);
    static void destroy(Table* table) noexcept { ::operator delete(table); }
  };
  struct RetiredTable {
    Table* table;
    std::uint64_t stamp;
  };
  struct alignas(64) Stripe {
    std::atomic<Table*> table{nullptr};
    // Odd while entries move to a larger table. A reader that misses looks again when it changed.
    std::atomic<std::uint64_t> growths{0};
    alignas(64) std::mutex mutex;
    detail::EntryQueue<Entry> small;
    detail::EntryQueue<Entry> main;
    std::atomic<std::size_t> measure{0};  // entries or bytes, by what bounds the cache
    GhostTable ghosts;
    std::unique_ptr<ExpiryWheel> wheel;  // from the first entry that can expire
    Entry* first_retired = nullptr;      // linked by `older`, oldest stamp first
    Entry* last_retired = nullptr;
    std::size_t retired_entries = 0;
    std::size_t retired_bytes = 0;
    std::vector<RetiredTable> retired_tables;
    std::array<std::uint64_t, kRemovalCauses> removals{};
  };

  static constexpr std::size_t kMinBuckets = 16;
  static constexpr std::size_t kReservedBuckets = 1 << 16;
  static constexpr std::uint8_t kMaxFrequency = 3;
  static constexpr std::uint8_t kPromoted = 1;  // hits in the small queue that lead to the main one
  static constexpr std::size_t kSweepPerWrite = 8;
  static constexpr std::size_t kReclaimEntries = 16;
  static constexpr std::size_t kReclaimBytes = 64 << 10;

  static std::int64_t nanos(TimePoint time) noexcept { return time.time_since_epoch().count(); }
  static std::size_t stripe_count(const EntryTableOptions& options);

  [[nodiscard]] Stripe& stripe_of(std::uint64_t hash) noexcept {
    return stripes_[hash >> 32 & (stripe_count_ - 1)];
  }
  [[nodiscard]] std::size_t measure(const Entry& entry) const noexcept {
    return by_bytes_ ? entry.bytes : 1;
  }
  [[nodiscard]] bool is_over() const noexcept {
    const std::size_t max_entries = max_entries_.load(std::memory_order_relaxed);
    const std::size_t max_bytes = max_bytes_.load(std::memory_order_relaxed);
    return (max_entries != 0 && entries() > max_entries) || (max_bytes != 0 && bytes() > max_bytes);
  }
  [[nodiscard]] bool is_usable(const Entry& entry) const noexcept {
    if (entry.tags != nullptr && !TagRegistry::is_current(*entry.tags)) return false;
    return idle_timeout_ == kForever || nanos(now()) < idle_until(entry);
  }
  [[nodiscard]] std::int64_t idle_until(const Entry& entry) const noexcept {
    return detail::later(entry.last_access.load(std::memory_order_relaxed), idle_timeout_);
  }
  // When the entry may leave memory.
  [[nodiscard]] std::int64_t dead_at(const Entry& entry) const noexcept {
    const std::int64_t until = entry.fresh_until.load(std::memory_order_relaxed);
    return std::min(detail::later(until, stale_window_), idle_until(entry));
  }

  Entry* find_linked(Stripe& stripe, View key, std::uint64_t hash) noexcept;
  static Entry* find_in(Table& table, View key, std::uint64_t hash) noexcept;
  void link(Stripe& stripe, Entry& entry);
  void unlink(Stripe& stripe, Entry& entry, RemovalCause cause, Removed* removed) noexcept;
  void grow(Stripe& stripe);
  bool evict_one(Stripe& stripe, Removed* removed);
  void evict_elsewhere(Stripe& except, Removed* removed);
  void evict_from(Stripe& stripe, bool only_if_heavy, std::size_t most, Removed* removed);
  std::size_t sweep_locked(Stripe& stripe, std::size_t budget, Removed* removed);
  [[nodiscard]] bool is_heavy(const Stripe& stripe) const noexcept;
  [[nodiscard]] Entry* take_reclaimable(Stripe& stripe) noexcept;
  void destroy_chain(Entry* first) noexcept;
  [[nodiscard]] Entry* reclaimable(Stripe& stripe, const Removed* removed) noexcept;
  void reclaim(Stripe& stripe);
  template <class F>
  void for_each_in(Stripe& stripe, F&& f);

  KeyHash<K> hasher_;
  const Clock& clock_;
  const Policy policy_;
  const Nanos idle_timeout_;
  const Nanos stale_window_;
  const bool by_bytes_;  // what shares are reckoned in
  const std::size_t stripe_count_;
  std::unique_ptr<Stripe[]> stripes_;
  ReaderEpochs epochs_;
  TagRegistry tags_;
  // Relaxed throughout: bounds and sums that writers compare; the entries themselves are published
  // by the links.
  std::atomic<std::size_t> max_entries_;
  std::atomic<std::size_t> max_bytes_;
  alignas(64) std::atomic<std::size_t> entries_{0};
  std::atomic<std::size_t> bytes_{0};
  std::atomic<std::size_t> next_victim_{0};
  std::atomic<std::uint64_t> refused_{0};
};

// A number for KeyHash that differs from process to process and from table to table.
[[nodiscard]] std::uint64_t random_hash_seed() noexcept;

template <class K, class V>
std::size_t EntryTable<K, V>::stripe_count(const EntryTableOptions& options) {
  if (options.stripes != 0) return std::bit_floor(options.stripes);
  // Stripes divide the room: below these sizes their borders would cost hits.
  constexpr std::size_t kMost = 16;
  std::size_t most = kMost;
  if (options.max_entries != 0) most = std::min(most, options.max_entries / 1024);
  if (options.max_bytes != 0) most = std::min(most, options.max_bytes / (1 << 20));
  return std::bit_floor(std::max<std::size_t>(most, 1));
}

template <class K, class V>
EntryTable<K, V>::EntryTable(const EntryTableOptions& options)
    : hasher_{options.hash_seed != 0 ? options.hash_seed : random_hash_seed()},
      clock_(options.clock != nullptr ? *options.clock : SteadyClock::instance()),
      policy_(options.policy),
      idle_timeout_(options.idle_timeout),
      stale_window_(options.stale_window),
      by_bytes_(options.max_bytes != 0),
      stripe_count_(stripe_count(options)),
      stripes_(std::make_unique<Stripe[]>(stripe_count_)),
      max_entries_(options.max_entries),
      max_bytes_(options.max_bytes) {
  // Twice as many buckets as entries, when it is known how many there will be.
  const std::size_t expected = options.max_entries / stripe_count_ * 2;
  const std::size_t buckets = std::bit_ceil(std::clamp(expected, kMinBuckets, kReservedBuckets));
  for (std::size_t i = 0; i < stripe_count_; ++i) {
    stripes_[i].table.store(Table::make(buckets), std::memory_order_relaxed);
    if (policy_ == Policy::s3_fifo) stripes_[i].ghosts.reset(buckets);
  }
}

template <class K, class V>
EntryTable<K, V>::~EntryTable() {
  for (std::size_t i = 0; i < stripe_count_; ++i) {
    Stripe& stripe = stripes_[i];
    for (auto* queue : {&stripe.small, &stripe.main}) destroy_chain(queue->newest);
    destroy_chain(stripe.first_retired);
    for (const RetiredTable& retired : stripe.retired_tables) Table::destroy(retired.table);
    Table::destroy(stripe.table.load(std::memory_order_relaxed));
  }
}

template <class K, class V>
auto EntryTable<K, V>::Table::make(std::size_t buckets) -> Table* {
  void* memory = ::operator new(sizeof(Table) + buckets * sizeof(std::atomic<Entry*>));
  auto* table = new (memory) Table{buckets - 1};
  for (std::size_t i = 0; i < buckets; ++i) new (&table->bucket(i)) std::atomic<Entry*>(nullptr);
  return table;
}

// Sequentially consistent loads: see ReaderEpochs. On x86 and ARMv8 they cost what acquire costs.
template <class K, class V>
auto EntryTable<K, V>::find_in(Table& table, View key, std::uint64_t hash) noexcept -> Entry* {
  Entry* entry = table.bucket(hash).load(std::memory_order_seq_cst);
  while (entry != nullptr && !(entry->hash == hash && entry->key() == key)) {
    entry = entry->chain.load(std::memory_order_seq_cst);
  }
  return entry;
}

template <class K, class V>
auto EntryTable<K, V>::find_linked(Stripe& stripe, View key, std::uint64_t hash) noexcept
    -> Entry* {
  const std::uint64_t growths = stripe.growths.load(std::memory_order_seq_cst);
  Entry* entry = find_in(*stripe.table.load(std::memory_order_seq_cst), key, hash);
  if (entry != nullptr) return entry;
  // While entries move, a chain may lead past the one that is looked for.
  if (growths % 2 == 0 && stripe.growths.load(std::memory_order_seq_cst) == growths) return nullptr;
  const std::lock_guard lock(stripe.mutex);
  return find_in(*stripe.table.load(std::memory_order_relaxed), key, hash);
}

template <class K, class V>
void EntryTable<K, V>::touch(Entry& entry) noexcept {
  if (idle_timeout_ != kForever) {
    entry.last_access.store(nanos(now()), std::memory_order_relaxed);
  }
  if (policy_ == Policy::s3_fifo) {
    // Relaxed, not a read-modify-write: of two hits at once one may not count.
    const std::uint8_t frequency = entry.frequency.load(std::memory_order_relaxed);
    if (frequency < kMaxFrequency) {
      entry.frequency.store(static_cast<std::uint8_t>(frequency + 1), std::memory_order_relaxed);
    }
    return;
  }
  Stripe& stripe = stripe_of(entry.hash);
  const std::lock_guard lock(stripe.mutex);
  if (entry.queue == detail::Queue::none || stripe.main.newest == &entry) return;
  stripe.main.remove(entry);
  stripe.main.push(entry);
}

template <class K, class V>
void EntryTable<K, V>::link(Stripe& stripe, Entry& entry) {
  Table& present = *stripe.table.load(std::memory_order_relaxed);
  if (stripe.small.entries + stripe.main.entries > present.mask) {
    try {
      grow(stripe);
    } catch (const std::bad_alloc&) {  // longer chains then
    }
  }
  std::atomic<Entry*>& bucket = stripe.table.load(std::memory_order_relaxed)->bucket(entry.hash);
  entry.chain.store(bucket.load(std::memory_order_relaxed), std::memory_order_relaxed);
  bucket.store(&entry, std::memory_order_seq_cst);

  // A key that was evicted a short while ago goes where it should have been.
  const bool to_main =
      policy_ == Policy::lru ||
      stripe.ghosts.take(entry.hash, std::max<std::size_t>(stripe.main.entries, 1));
  entry.queue = to_main ? detail::Queue::main : detail::Queue::small;
  (to_main ? stripe.main : stripe.small).push(entry);
  // Relaxed: only this stripe's lock holder writes it.
  stripe.measure.store(stripe.measure.load(std::memory_order_relaxed) + measure(entry),
                       std::memory_order_relaxed);
  if (const std::int64_t dead = dead_at(entry); dead != detail::kNever) {
    if (stripe.wheel == nullptr) stripe.wheel = std::make_unique<ExpiryWheel>(now());
    stripe.wheel->add(entry, TimePoint(Nanos(dead)));
  }
}

template <class K, class V>
void EntryTable<K, V>::unlink(Stripe& stripe, Entry& entry, RemovalCause cause,
                              Removed* removed) noexcept {
  std::atomic<Entry*>* link = &stripe.table.load(std::memory_order_relaxed)->bucket(entry.hash);
  while (link->load(std::memory_order_relaxed) != &entry) {
    link = &link->load(std::memory_order_relaxed)->chain;
  }
  link->store(entry.chain.load(std::memory_order_relaxed), std::memory_order_seq_cst);
  (entry.queue == detail::Queue::small ? stripe.small : stripe.main).remove(entry);
  entry.queue = detail::Queue::none;
  if (stripe.wheel != nullptr) stripe.wheel->remove(entry);
  if (entry.tags != nullptr) tags_.drop(*entry.tags);
  stripe.measure.store(stripe.measure.load(std::memory_order_relaxed) - measure(entry),
                       std::memory_order_relaxed);
  entries_.fetch_sub(1, std::memory_order_relaxed);
  bytes_.fetch_sub(entry.bytes, std::memory_order_relaxed);
  entry.cause = cause;
  ++stripe.removals[static_cast<std::size_t>(cause)];
  if (removed != nullptr) removed->push_back(&entry);

  entry.retired = epochs_.retire();
  entry.older = nullptr;
  (stripe.last_retired != nullptr ? stripe.last_retired->older : stripe.first_retired) = &entry;
  stripe.last_retired = &entry;
  ++stripe.retired_entries;
  stripe.retired_bytes += entry.bytes;
}

template <class K, class V>
void EntryTable<K, V>::grow(Stripe& stripe) {
  Table* old = stripe.table.load(std::memory_order_relaxed);
  const std::size_t buckets = (old->mask + 1) * 2;
  Table* larger = Table::make(buckets);
  stripe.retired_tables.reserve(stripe.retired_tables.size() + 1);
  stripe.growths.fetch_add(1, std::memory_order_seq_cst);
  for (std::size_t i = 0; i <= old->mask; ++i) {
    Entry* entry = old->bucket(i).load(std::memory_order_relaxed);
    while (entry != nullptr) {
      Entry* next = entry->chain.load(std::memory_order_relaxed);
      std::atomic<Entry*>& bucket = larger->bucket(entry->hash);
      entry->chain.store(bucket.load(std::memory_order_relaxed), std::memory_order_seq_cst);
      bucket.store(entry, std::memory_order_seq_cst);
      entry = next;
    }
  }
  stripe.table.store(larger, std::memory_order_seq_cst);
  stripe.growths.fetch_add(1, std::memory_order_seq_cst);
  stripe.retired_tables.push_back({old, epochs_.retire()});
  if (policy_ == Policy::s3_fifo) stripe.ghosts.reset(buckets);
}

template <class K, class V>
bool EntryTable<K, V>::evict_one(Stripe& stripe, Removed* removed) {
  const std::size_t bound = by_bytes_ ? max_bytes_.load(std::memory_order_relaxed)
                                      : max_entries_.load(std::memory_order_relaxed);
  const std::size_t small_share = std::max<std::size_t>(bound / stripe_count_ / 10, 1);
  const auto is_dead = [](const Entry& entry) {
    return entry.tags != nullptr && !TagRegistry::is_current(*entry.tags);
  };
  while (stripe.small.oldest != nullptr || stripe.main.oldest != nullptr) {
    const std::size_t small = by_bytes_ ? stripe.small.bytes : stripe.small.entries;
    const bool from_small =
        stripe.small.oldest != nullptr && (small >= small_share || stripe.main.oldest == nullptr);
    Entry& victim = from_small ? *stripe.small.oldest : *stripe.main.oldest;
    const std::uint8_t frequency = victim.frequency.load(std::memory_order_relaxed);
    if (from_small) {
      if (frequency >= kPromoted && !is_dead(victim)) {
        stripe.small.remove(victim);
        victim.frequency.store(0, std::memory_order_relaxed);
        victim.queue = detail::Queue::main;
        stripe.main.push(victim);
        continue;
      }
      stripe.ghosts.insert(victim.hash);
    } else if (policy_ == Policy::s3_fifo && frequency > 0 && !is_dead(victim)) {
      stripe.main.remove(victim);
      victim.frequency.store(static_cast<std::uint8_t>(frequency - 1), std::memory_order_relaxed);
      stripe.main.push(victim);
      continue;
    }
    unlink(stripe, victim, RemovalCause::evicted, removed);
    return true;
  }
  return false;
}

// Whether a stripe holds its part of the room, or nearly: then it makes room for its own.
template <class K, class V>
bool EntryTable<K, V>::is_heavy(const Stripe& stripe) const noexcept {
  const std::size_t total = by_bytes_ ? bytes() : entries();
  return stripe.measure.load(std::memory_order_relaxed) >= total / stripe_count_ / 8 * 7;
}

template <class K, class V>
void EntryTable<K, V>::evict_from(Stripe& stripe, bool only_if_heavy, std::size_t most,
                                  Removed* removed) {
  Entry* garbage = nullptr;
  {
    const std::lock_guard lock(stripe.mutex);
    for (; most > 0 && is_over() && (!only_if_heavy || is_heavy(stripe)); --most) {
      if (!evict_one(stripe, removed)) break;
    }
    garbage = reclaimable(stripe, removed);
  }
  destroy_chain(garbage);
}

// Room for an entry whose own stripe had none to give: from heavy stripes; for an entry that is
// larger than a stripe's part, from all in turn, one at a time; from its own stripe in the end.
template <class K, class V>
void EntryTable<K, V>::evict_elsewhere(Stripe& except, Removed* removed) {
  constexpr std::size_t kAll = std::numeric_limits<std::size_t>::max();
  const auto next = [&]() -> Stripe& {
    return stripes_[next_victim_.fetch_add(1, std::memory_order_relaxed) & (stripe_count_ - 1)];
  };
  for (std::size_t i = 0; i < stripe_count_ && is_over(); ++i) {
    Stripe& stripe = next();
    if (&stripe != &except) evict_from(stripe, true, kAll, removed);
  }
  for (std::size_t fruitless = 0; fruitless < stripe_count_ && is_over(); ++fruitless) {
    Stripe& stripe = next();
    if (&stripe == &except || stripe.measure.load(std::memory_order_relaxed) == 0) continue;
    evict_from(stripe, false, 1, removed);
    fruitless = 0;
  }
  if (is_over()) evict_from(except, false, kAll, removed);
}

template <class K, class V>
SetResult EntryTable<K, V>::set(View key, std::uint64_t hash, V value, std::size_t bytes, Nanos ttl,
                                std::span<const std::string> tags, Removed* removed) {
  const std::size_t whole = overhead(key) + bytes;
  const std::size_t max_bytes = max_bytes_.load(std::memory_order_relaxed);
  if (ttl == Nanos(0) || (max_bytes != 0 && whole > max_bytes)) {
    erase(key, hash, RemovalCause::replaced, removed);
    if (ttl == Nanos(0)) return SetResult::expired;
    refused_.fetch_add(1, std::memory_order_relaxed);
    return SetResult::too_large;
  }
  const bool timed = ttl != kForever || idle_timeout_ != kForever;
  const std::int64_t at = timed ? nanos(now()) : 0;
  Entry* entry = Entry::make(key, std::move(value), hash,
                             ttl == kForever ? detail::kNever : detail::later(at, ttl));
  entry->bytes = whole;
  entry->ttl.store(ttl.count(), std::memory_order_relaxed);
  entry->last_access.store(at, std::memory_order_relaxed);
  if (!tags.empty()) entry->tags = std::make_unique<TagStamps>(tags_.attach(tags));

  Stripe& stripe = stripe_of(hash);
  SetResult result = SetResult::stored;
  Entry* garbage = nullptr;
  {
    const std::lock_guard lock(stripe.mutex);
    entries_.fetch_add(1, std::memory_order_relaxed);
    bytes_.fetch_add(whole, std::memory_order_relaxed);
    Entry* old = find_in(*stripe.table.load(std::memory_order_relaxed), key, hash);
    if (old != nullptr) {
      // What was asked for often stays so.
      entry->frequency.store(old->frequency.load(std::memory_order_relaxed),
                             std::memory_order_relaxed);
      const bool in_main = old->queue == detail::Queue::main;
      unlink(stripe, *old, RemovalCause::replaced, removed);
      link(stripe, *entry);
      if (in_main && entry->queue == detail::Queue::small) {
        stripe.small.remove(*entry);
        entry->queue = detail::Queue::main;
        stripe.main.push(*entry);
      }
      result = SetResult::replaced;
    } else {
      // Room first, so that the new entry is not the victim.
      while (is_over() && is_heavy(stripe) && evict_one(stripe, removed)) {
      }
      link(stripe, *entry);
    }
    sweep_locked(stripe, kSweepPerWrite, removed);
    garbage = reclaimable(stripe, removed);
  }
  destroy_chain(garbage);
  if (is_over()) evict_elsewhere(stripe, removed);
  return result;
}

template <class K, class V>
bool EntryTable<K, V>::erase(View key, std::uint64_t hash, RemovalCause cause, Removed* removed) {
  Stripe& stripe = stripe_of(hash);
  bool was_usable = false;
  Entry* garbage = nullptr;
  {
    const std::lock_guard lock(stripe.mutex);
    Entry* entry = find_in(*stripe.table.load(std::memory_order_relaxed), key, hash);
    if (entry != nullptr) {
      was_usable = is_usable(*entry) && nanos(now()) < dead_at(*entry);
      unlink(stripe, *entry, cause, removed);
    }
    sweep_locked(stripe, kSweepPerWrite, removed);
    garbage = reclaimable(stripe, removed);
  }
  destroy_chain(garbage);
  return was_usable;
}

// Entries in slices of buckets: pointers under the lock, f without it. A table that grows meanwhile
// keeps entry e in bucket e & mask of every size, so that no entry is left out: bucket b of the
// smaller table is b, b + size, b + 2 size… of the larger.
template <class K, class V>
template <class F>
void EntryTable<K, V>::for_each_in(Stripe& stripe, F&& f) {
  constexpr std::size_t kSlice = 256;
  std::vector<Entry*> slice;
  const std::size_t buckets = [&] {
    const std::lock_guard lock(stripe.mutex);
    return stripe.table.load(std::memory_order_relaxed)->mask + 1;
  }();
  for (std::size_t begin = 0; begin < buckets; begin += kSlice) {
    slice.clear();
    {
      const std::lock_guard lock(stripe.mutex);
      Table& table = *stripe.table.load(std::memory_order_relaxed);
      for (std::size_t b = begin; b < std::min(begin + kSlice, buckets); ++b) {
        for (std::size_t at = b; at <= table.mask; at += buckets) {
          Entry* entry = table.bucket(at).load(std::memory_order_relaxed);
          for (; entry != nullptr; entry = entry->chain.load(std::memory_order_relaxed)) {
            slice.push_back(entry);
          }
        }
      }
    }
    for (Entry* entry : slice) f(*entry);
  }
}

template <class K, class V>
template <class F>
void EntryTable<K, V>::for_each(F&& f) {
  const Guard guard(epochs_);
  for (std::size_t i = 0; i < stripe_count_; ++i) {
    for_each_in(stripes_[i], [&](Entry& entry) {
      if (is_usable(entry)) f(std::as_const(entry));
    });
  }
}

template <class K, class V>
template <class F>
std::size_t EntryTable<K, V>::erase_if(F&& pred, RemovalCause cause, Removed* removed) {
  std::size_t erased = 0;
  for (std::size_t i = 0; i < stripe_count_; ++i) {
    Stripe& stripe = stripes_[i];
    {
      const Guard guard(epochs_);
      for_each_in(stripe, [&](Entry& entry) {
        if (!pred(std::as_const(entry))) return;
        const std::lock_guard lock(stripe.mutex);
        if (entry.queue == detail::Queue::none) return;
        if (is_usable(entry)) ++erased;
        unlink(stripe, entry, cause, removed);
      });
    }
    if (removed == nullptr) reclaim(stripe);
  }
  return erased;
}

template <class K, class V>
template <class F>
void EntryTable<K, V>::for_each_newest_first(F&& f) {
  const Guard guard(epochs_);
  std::vector<Entry*> order;
  for (std::size_t i = 0; i < stripe_count_; ++i) {
    order.clear();
    {
      const std::lock_guard lock(stripes_[i].mutex);
      for (auto* queue : {&stripes_[i].small, &stripes_[i].main}) {
        for (Entry* entry = queue->newest; entry != nullptr; entry = entry->older) {
          order.push_back(entry);
        }
      }
    }
    for (Entry* entry : order) {
      if (is_usable(*entry)) f(std::as_const(*entry));
    }
  }
}

template <class K, class V>
bool EntryTable<K, V>::renew(View key, std::uint64_t hash, Nanos ttl) {
  Stripe& stripe = stripe_of(hash);
  const std::lock_guard lock(stripe.mutex);
  Entry* entry = find_in(*stripe.table.load(std::memory_order_relaxed), key, hash);
  if (entry == nullptr || !is_usable(*entry) || !is_fresh(*entry)) return false;
  const std::int64_t at = nanos(now());
  entry->ttl.store(ttl.count(), std::memory_order_relaxed);
  entry->fresh_until.store(ttl == kForever ? detail::kNever : detail::later(at, ttl),
                           std::memory_order_relaxed);
  entry->last_access.store(at, std::memory_order_relaxed);
  if (stripe.wheel != nullptr) stripe.wheel->remove(*entry);
  if (const std::int64_t dead = dead_at(*entry); dead != detail::kNever) {
    if (stripe.wheel == nullptr) stripe.wheel = std::make_unique<ExpiryWheel>(now());
    stripe.wheel->add(*entry, TimePoint(Nanos(dead)));
  }
  return true;
}

template <class K, class V>
std::size_t EntryTable<K, V>::sweep_locked(Stripe& stripe, std::size_t budget, Removed* removed) {
  if (stripe.wheel == nullptr) return budget;
  const TimePoint at = now();
  while (ExpiryHook* hook = stripe.wheel->pop_due(at, budget)) {
    auto& entry = static_cast<Entry&>(*hook);
    const std::int64_t dead = dead_at(entry);
    if (dead > nanos(at)) {
      stripe.wheel->add(entry, TimePoint(Nanos(dead)));  // used since
    } else {
      unlink(stripe, entry, RemovalCause::expired, removed);
    }
  }
  return budget;
}

template <class K, class V>
bool EntryTable<K, V>::sweep(std::size_t budget, Removed* removed) {
  for (std::size_t i = 0; i < stripe_count_; ++i) {
    {
      const std::lock_guard lock(stripes_[i].mutex);
      budget = sweep_locked(stripes_[i], budget, removed);
    }
    if (removed == nullptr) reclaim(stripes_[i]);
    if (budget == 0) return false;
  }
  return true;
}

template <class K, class V>
void EntryTable<K, V>::sweep_some(std::uint64_t hash, Removed* removed) {
  Stripe& stripe = stripe_of(hash);
  const std::unique_lock lock(stripe.mutex, std::try_to_lock);
  if (lock.owns_lock()) sweep_locked(stripe, kSweepPerWrite, removed);
}

template <class K, class V>
auto EntryTable<K, V>::take_reclaimable(Stripe& stripe) noexcept -> Entry* {
  const std::uint64_t oldest = epochs_.oldest_reader();
  Entry* first = stripe.first_retired;
  Entry* last = nullptr;
  for (Entry* entry = first; entry != nullptr && entry->retired < oldest; entry = entry->older) {
    last = entry;
    --stripe.retired_entries;
    stripe.retired_bytes -= entry->bytes;
  }
  while (!stripe.retired_tables.empty() && stripe.retired_tables.front().stamp < oldest) {
    Table::destroy(stripe.retired_tables.front().table);
    stripe.retired_tables.erase(stripe.retired_tables.begin());
  }
  if (last == nullptr) return nullptr;
  stripe.first_retired = last->older;
  if (stripe.first_retired == nullptr) stripe.last_retired = nullptr;
  last->older = nullptr;
  return first;
}

// What to destroy once the lock is released, for values' destructors may do anything. With
// listeners to come, nothing yet.
template <class K, class V>
auto EntryTable<K, V>::reclaimable(Stripe& stripe, const Removed* removed) noexcept -> Entry* {
  if (removed != nullptr) return nullptr;
  if (stripe.retired_entries < kReclaimEntries && stripe.retired_bytes < kReclaimBytes) {
    return nullptr;
  }
  return take_reclaimable(stripe);
}

template <class K, class V>
void EntryTable<K, V>::reclaim(Stripe& stripe) {
  Entry* garbage = nullptr;
  {
    const std::lock_guard lock(stripe.mutex);
    garbage = reclaimable(stripe, nullptr);
  }
  destroy_chain(garbage);
}

template <class K, class V>
void EntryTable<K, V>::reclaim(std::uint64_t hash) {
  reclaim(stripe_of(hash));
}

template <class K, class V>
void EntryTable<K, V>::destroy_chain(Entry* first) noexcept {
  while (first != nullptr) {
    Entry* next = first->older;
    if (first->tags != nullptr) {
      if (first->queue != detail::Queue::none) tags_.drop(*first->tags);
      tags_.detach(std::move(*first->tags));
    }
    Entry::destroy(first);
    first = next;
  }
}

template <class K, class V>
void EntryTable<K, V>::resize(std::size_t max_entries, std::size_t max_bytes, Removed* removed) {
  max_entries_.store(max_entries, std::memory_order_relaxed);
  max_bytes_.store(max_bytes, std::memory_order_relaxed);
  if (is_over()) evict_elsewhere(stripes_[0], removed);
}

template <class K, class V>
std::array<std::uint64_t, kRemovalCauses> EntryTable<K, V>::removals() const {
  std::array<std::uint64_t, kRemovalCauses> sum{};
  for (std::size_t i = 0; i < stripe_count_; ++i) {
    const std::lock_guard lock(stripes_[i].mutex);
    for (std::size_t c = 0; c < kRemovalCauses; ++c) sum[c] += stripes_[i].removals[c];
  }
  return sum;
}

template <class K, class V>
std::size_t EntryTable<K, V>::recount_bytes() {
  std::size_t sum = 0;
  const Guard guard(epochs_);
  for (std::size_t i = 0; i < stripe_count_; ++i) {
    for_each_in(stripes_[i], [&](Entry& entry) { sum += entry.bytes; });
  }
  return sum;
}

}  // namespace tyaprover::cache
