// LruCache: a bounded map that forgets what was used least recently, with lifetimes.
//
// Thread-safe; not movable. The order of use is exact within a stripe, and by default there is one:
// then it is exact altogether. With more stripes, threads that use different keys do not meet.
//
//   LruCache<std::string, User> users({.max_size = 1000, .ttl = 5min, .use_lru = true});
//   users.set("key", user, 60s);
//   std::optional<User> found = users.get("key");
//   users.erase("key");
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "tyaprover/cache/cache_stats.h"
#include "tyaprover/cache/entry_table.h"

namespace tyaprover::cache {

struct LruCacheOptions {
  std::size_t max_size = 500;                     // entries; at least 1
  Nanos ttl = std::chrono::minutes(5);            // lifetime of entries; kForever; 0: none is kept
  Nanos check_period = std::chrono::seconds(60);  // how often calls look for what has expired
  bool use_lru = true;                            // false: the oldest leaves, used or not
  std::size_t stripes = 1;                        // a power of two
  const Clock* clock = nullptr;                   // null: the steady clock
};

template <class K, class V>
class LruCache {
 public:
  using View = KeyView<K>;

  // Throws std::invalid_argument for max_size 0, negative times, or stripes that are no power of
  // two or more than max_size.
  explicit LruCache(const LruCacheOptions& options = {})
      : options_(checked(options)),
        table_({.max_entries = options.max_size,
                .policy = Policy::lru,
                .stripes = options.stripes,
                .clock = options.clock}),
        next_check_(nanos_after(options.check_period)) {}

  // The value, which is now the last used. Counted as hit or miss.
  [[nodiscard]] std::optional<V> get(View key) {
    check();
    const ReaderEpochs::Guard guard(table_.epochs());
    auto* entry = find(key);
    ReaderEpochs::Slot::count(entry != nullptr ? guard.slot().hits : guard.slot().misses);
    if (entry == nullptr) return std::nullopt;
    if (options_.use_lru) table_.touch(*entry);
    return entry->value;
  }
  // Replaces the value of a key, or makes room for it. Throws std::invalid_argument for a negative
  // lifetime; one of 0 stores nothing.
  SetResult set(View key, V value, std::optional<Nanos> ttl = std::nullopt) {
    check();
    return table_.set(key, table_.hash(key), std::move(value), 0, lifetime(ttl), {}, nullptr);
  }
  // Neither counted nor a use.
  [[nodiscard]] bool has(View key) {
    const ReaderEpochs::Guard guard(table_.epochs());
    return find(key) != nullptr;
  }
  [[nodiscard]] std::optional<V> peek(View key) {
    const ReaderEpochs::Guard guard(table_.epochs());
    const auto* entry = find(key);
    return entry != nullptr ? std::optional<V>(entry->value) : std::nullopt;
  }
  // True when it was there.
  bool erase(View key) {
    return table_.erase(key, table_.hash(key), RemovalCause::erased, nullptr);
  }
  void clear() {
    table_.erase_if([](const auto&) { return true; }, RemovalCause::cleared, nullptr);
  }
  // Without what has expired.
  [[nodiscard]] std::size_t size() {
    sweep();
    return table_.entries();
  }
  // From the last used to the one that leaves next; per stripe.
  [[nodiscard]] std::vector<K> keys() {
    std::vector<K> keys;
    for_each([&](View key, const V&) { keys.emplace_back(key); });
    return keys;
  }
  // Lifetime left; kForever; nothing for a key that is not there.
  [[nodiscard]] std::optional<Nanos> ttl(View key) {
    const ReaderEpochs::Guard guard(table_.epochs());
    const auto* entry = find(key);
    if (entry == nullptr) return std::nullopt;
    const std::int64_t until = entry->fresh_until.load(std::memory_order_relaxed);
    if (until == detail::kNever) return kForever;
    return Nanos(until) - table_.now().time_since_epoch();
  }
  // Starts the lifetime of an entry anew and makes it the last used; false when it is not there.
  bool touch(View key, std::optional<Nanos> ttl = std::nullopt) {
    const ReaderEpochs::Guard guard(table_.epochs());
    auto* entry = find(key);
    if (entry == nullptr) return false;
    const Nanos life = lifetime(ttl);
    if (life == Nanos(0)) return erase(key);
    if (options_.use_lru) table_.touch(*entry);
    return table_.renew(key, table_.hash(key), life);
  }
  // Calls f(key, value) in the order of keys(), without a lock.
  template <class F>
  void for_each(F&& f) {
    table_.for_each_newest_first([&](const auto& entry) {
      if (table_.is_fresh(entry)) f(entry.key(), entry.value);
    });
  }
  // Evicts what is too much. Throws std::invalid_argument for 0.
  void resize(std::size_t max_size) {
    if (max_size == 0) throw std::invalid_argument("max_size is 0");
    table_.resize(max_size, 0, nullptr);
  }
  // Removes what has expired, now.
  void sweep() { table_.sweep(static_cast<std::size_t>(-1), nullptr); }

  [[nodiscard]] CacheStats stats() {
    CacheStats stats;
    stats.keys = size();
    stats.bytes = table_.bytes();
    const auto counts = table_.epochs().counts();
    stats.hits = counts.hits;
    stats.misses = counts.misses;
    stats.removals = table_.removals();
    return stats;
  }

 private:
  static LruCacheOptions checked(const LruCacheOptions& options) {
    if (options.max_size == 0) throw std::invalid_argument("max_size is 0");
    if (options.ttl < Nanos(0)) throw std::invalid_argument("ttl is negative");
    if (options.check_period < Nanos(0)) throw std::invalid_argument("check_period is negative");
    if (!std::has_single_bit(options.stripes) || options.stripes > options.max_size) {
      throw std::invalid_argument("stripes is not a power of two up to max_size");
    }
    return options;
  }
  [[nodiscard]] Nanos lifetime(std::optional<Nanos> ttl) const {
    const Nanos life = ttl.value_or(options_.ttl);
    if (life < Nanos(0)) throw std::invalid_argument("a lifetime is negative");
    return life;
  }
  [[nodiscard]] std::int64_t nanos_after(Nanos time) const noexcept {
    return detail::later(table_.now().time_since_epoch().count(), time);
  }
  [[nodiscard]] auto* find(View key) noexcept {
    auto* entry = table_.find(key, table_.hash(key));
    return entry != nullptr && table_.is_fresh(*entry) ? entry : nullptr;
  }
  // Relaxed: two calls that both find it time to look do no harm.
  void check() {
    if (nanos_after(Nanos(0)) < next_check_.load(std::memory_order_relaxed)) return;
    next_check_.store(nanos_after(options_.check_period), std::memory_order_relaxed);
    sweep();
  }

  const LruCacheOptions options_;
  EntryTable<K, V> table_;
  std::atomic<std::int64_t> next_check_;
};

}  // namespace tyaprover::cache
