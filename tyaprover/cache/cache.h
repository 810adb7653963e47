// Cache: keys to values in memory, bounded, with lifetimes, single-flight loads, stale windows,
// tags and listeners.
//
// Thread-safe; look-ups take no lock (see EntryTable). Not movable: it is held where it lives. Owns
// keys and values; get() copies a value out, visit() shows it in place. Values are immutable while
// they are in: to change one, set another.
//
//   Cache<std::string, Blob> blobs({.max_bytes = 64 << 20, .ttl = 5min});
//   blobs.set("a", blob, {.ttl = 60s, .tags = {"user"}});
//   std::optional<Blob> blob = blobs.get("a");
//   auto loaded = blobs.get_or_load("b", [&] { return fetch("b"); });   // Result<Blob,
//   exception_ptr> blobs.invalidate_tag("user");
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <vector>

#include "tyaprover/base/clock.h"
#include "tyaprover/base/result.h"
#include "tyaprover/cache/background.h"
#include "tyaprover/cache/cache_stats.h"
#include "tyaprover/cache/entry_table.h"
#include "tyaprover/cache/invalidation_target.h"

namespace tyaprover::cache {

struct EntryOptions {
  std::optional<Nanos> ttl{};       // lifetime; absent: the cache's; kForever; 0: not stored
  std::vector<std::string> tags{};  // names under which it can be invalidated
};

// What a loader may return instead of a bare value: a value and how to store it.
template <class V>
struct Loaded {
  V value;
  EntryOptions options{};
};

template <class K, class V>
struct CacheOptions {
  std::size_t max_entries = 0;  // 0: no bound of entries
  std::size_t max_bytes = 0;    // 0: no bound of bytes; else of keys, values and overhead together
  // Bytes of a value beyond sizeof(V): what it holds on the heap. Absent: 0, or the size of a
  // string.
  std::function<std::size_t(const V&)> weigher{};
  Policy policy = Policy::s3_fifo;
  Nanos ttl = kForever;           // lifetime of entries
  Nanos idle_timeout = kForever;  // entries that nobody asked for this long leave
  // For so long after its lifetime an entry is still returned by get_or_load, which refreshes it in
  // the background.
  Nanos stale_while_revalidate{};
  // For so long after its lifetime an entry is returned by get_or_load when its load fails.
  Nanos stale_if_error{};
  // Refresh in the background when this part of the lifetime is over (0.8: after 80 %); 1: never.
  double refresh_ahead = 1;
  Nanos negative_ttl{};  // for so long a failed load is not tried again; 0: it is
  std::size_t max_negative = 1024;
  // Called for every entry that leaves, outside of locks, on the thread whose call caused it. Must
  // not throw.
  std::function<void(KeyView<K>, const V&, RemovalCause)> on_removed{};
  // Runs refreshes; absent: a thread of the cache's own. A refresh owns a copy of the loader, so
  // what the loader refers to must outlive the cache or the executor's tasks.
  std::function<void(std::function<void()>)> executor{};
  std::size_t stripes = 0;       // of locks for writers; 0: by the bounds
  std::uint64_t hash_seed = 0;   // 0: random
  const Clock* clock = nullptr;  // null: the steady clock

  // The name of the first option that is wrong; empty when none is.
  [[nodiscard]] std::string_view validate() const noexcept {
    if (ttl < Nanos(0)) return "ttl";
    if (idle_timeout <= Nanos(0)) return "idle_timeout";
    if (stale_while_revalidate < Nanos(0)) return "stale_while_revalidate";
    if (stale_if_error < Nanos(0)) return "stale_if_error";
    if (negative_ttl < Nanos(0)) return "negative_ttl";
    if (!(refresh_ahead > 0 && refresh_ahead <= 1)) return "refresh_ahead";
    if (stripes != 0 && !std::has_single_bit(stripes)) return "stripes";
    return {};
  }
};

// E is what a failed load leaves behind; default-constructible. With std::exception_ptr, exceptions
// of loaders become errors; with another E, loaders return Result<V, E>, and an exception reaches
// all who wait.
template <class K, class V, class E = std::exception_ptr>
class Cache final : public InvalidationTarget {
 public:
  using View = KeyView<K>;
  using Value = V;
  using Options = CacheOptions<K, V>;

  // Throws std::invalid_argument that names the wrong option.
  explicit Cache(Options options)
      : options_(checked(std::move(options))), table_(table_options()) {}
  ~Cache() override = default;

  // The fresh value of a key. A look-up: counted as hit or miss.
  [[nodiscard]] std::optional<V> get(View key) {
    std::optional<V> value;
    visit(key, [&](const V& found) { value.emplace(found); });
    return value;
  }
  // Calls f(value) with the fresh value in place, without a copy; false on a miss. Counted. f may
  // use the cache; while it runs, memory of removed entries is not given back.
  template <class F>
  bool visit(View key, F&& f) {
    const std::uint64_t hash = table_.hash(key);
    const ReaderEpochs::Guard guard(table_.epochs());
    Entry* entry = table_.find(key, hash);
    if (entry == nullptr || !table_.is_fresh(*entry)) {
      count(guard.slot().misses);
      if (entry != nullptr) sweep_after_miss(hash);
      return false;
    }
    count(guard.slot().hits);
    table_.touch(*entry);
    f(std::as_const(entry->value));
    return true;
  }
  // Neither counted nor a use.
  [[nodiscard]] bool contains(View key) { return peek(key).has_value(); }
  [[nodiscard]] std::optional<V> peek(View key) {
    const ReaderEpochs::Guard guard(table_.epochs());
    const Entry* entry = table_.find(key, table_.hash(key));
    if (entry == nullptr || !table_.is_fresh(*entry)) return std::nullopt;
    return entry->value;
  }
  // Lifetime left; kForever; nothing for a key that is not there or not fresh.
  [[nodiscard]] std::optional<Nanos> ttl(View key) {
    const ReaderEpochs::Guard guard(table_.epochs());
    const Entry* entry = table_.find(key, table_.hash(key));
    if (entry == nullptr || !table_.is_fresh(*entry)) return std::nullopt;
    const std::int64_t until = entry->fresh_until.load(std::memory_order_relaxed);
    if (until == detail::kNever) return kForever;
    return Nanos(until) - table_.now().time_since_epoch();
  }

  // Throws std::invalid_argument for a negative lifetime.
  SetResult set(View key, V value, const EntryOptions& options = {}) {
    const Nanos ttl = options.ttl.value_or(options_.ttl);
    if (ttl < Nanos(0)) throw std::invalid_argument("a lifetime is negative");
    const std::uint64_t hash = table_.hash(key);
    const std::size_t bytes = weight(value);
    return mutate(hash, [&](Removed* removed) {
      return table_.set(key, hash, std::move(value), bytes, ttl, options.tags, removed);
    });
  }

  // True when there was an entry. A load of the key that is running will not be stored.
  bool erase(View key) {
    const std::uint64_t hash = table_.hash(key);
    LoadStripe& loads = load_stripe(hash);
    {
      const std::lock_guard lock(loads.mutex);
      if (const auto at = loads.running.find(K(key)); at != loads.running.end()) {
        at->second->cancelled = true;
      }
      loads.negatives.erase(K(key));
    }
    return mutate(hash, [&](Removed* removed) {
      return table_.erase(key, hash, RemovalCause::erased, removed);
    });
  }

  // The value of a key, loaded if need be. `loader()` returns V, Loaded<V>, Result<V, E> or
  // Result<Loaded<V>, E>. One load per key runs at a time: others wait for it and get the same
  // value or error. Stale entries are returned as the options say. Counted.
  template <class F>
  Result<V, E> get_or_load(View key, F&& loader, const EntryOptions& options = {});

  // --- invalidation; each returns how many entries it removed
  // -------------------------------------
  std::size_t invalidate_key(std::string_view key) override {
    if constexpr (std::is_same_v<K, std::string>) return erase(key) ? 1 : 0;
    return 0;
  }
  // O(1): entries become invalid at once and leave memory as they are met. What is loading under
  // that tag is not stored. An entry that another of its tags made invalid before, and that nobody
  // met since, is counted again.
  std::size_t invalidate_tag(std::string_view tag) override {
    return table_.tags().invalidate(tag);
  }
  // These two look at every key, in slices; keys that are no strings never match.
  std::size_t invalidate_prefix(std::string_view prefix) override {
    return invalidate_where([&](std::string_view key) { return key.starts_with(prefix); });
  }
  std::size_t invalidate_pattern(std::string_view pattern,
                                 PatternKind kind = PatternKind::substring) override {
    return invalidate_where(
        [&](std::string_view key) { return matches_pattern(key, pattern, kind); });
  }
  // By key and value.
  template <class F>
  std::size_t invalidate_if(F&& pred) {
    return erase_if([&](const Entry& entry) { return pred(entry.key(), entry.value); },
                    RemovalCause::erased);
  }
  std::size_t clear() override {
    for (LoadStripe& loads : loads_) {
      const std::lock_guard lock(loads.mutex);
      for (auto& [key, load] : loads.running) load->cancelled = true;
      loads.negatives.clear();
    }
    return erase_if([](const Entry&) { return true; }, RemovalCause::cleared);
  }

  // Removes what has expired; true when nothing is left to remove. Writers do so in passing; owners
  // with a scheduler may call it so that a quiet cache shrinks too.
  bool sweep(std::size_t budget = static_cast<std::size_t>(-1)) {
    return mutate(0, [&](Removed* removed) { return table_.sweep(budget, removed); });
  }

  // Calls f(key, value) for every entry, fresh or stale, without a lock.
  template <class F>
  void for_each(F&& f) {
    table_.for_each([&](const Entry& entry) { f(entry.key(), entry.value); });
  }
  // Calls f(key, value, lifetime left, tags) for every fresh entry: what a dump needs.
  template <class F>
  void for_each_fresh(F&& f) {
    const TimePoint now = table_.now();
    table_.for_each([&](const Entry& entry) {
      if (!table_.is_fresh(entry)) return;
      const std::int64_t until = entry.fresh_until.load(std::memory_order_relaxed);
      const Nanos left = until == detail::kNever ? kForever : Nanos(until) - now.time_since_epoch();
      std::vector<std::string> tags;
      if (entry.tags != nullptr) {
        for (const auto& stamp : *entry.tags) tags.emplace_back(stamp.tag->name);
      }
      f(entry.key(), entry.value, left, std::move(tags));
    });
  }

  // New bounds, of the kinds that it was made with; evicts what is too much.
  void resize(std::size_t max_entries, std::size_t max_bytes) {
    if ((max_bytes != 0) != (options_.max_bytes != 0)) {
      throw std::invalid_argument("a bound of bytes cannot come or go");
    }
    mutate(0, [&](Removed* removed) {
      table_.resize(max_entries, max_bytes, removed);
      return true;
    });
  }

  // Entries and bytes without what has expired: sweeps first.
  [[nodiscard]] std::size_t size() {
    sweep();
    return table_.entries();
  }
  [[nodiscard]] std::size_t bytes() {
    sweep();
    return table_.bytes();
  }
  [[nodiscard]] CacheStats stats() override;
  // The sum over all entries, counted anew: equals bytes().
  [[nodiscard]] std::size_t recount_bytes() { return table_.recount_bytes(); }

  // --- the steps of get_or_load, for its coroutine form (async_cache.h)
  // --------------------------- A load that runs, or has just ended: who waits holds it.
  struct Load {
    std::thread::id leader;  // who must not wait for it; none when its loader can wait itself
    bool cancelled = false;  // guarded by the stripe's mutex, as are all below until it is done
    std::uint64_t tags_mark = 0;  // see TagRegistry::mark
    std::optional<Result<V, E>> result;
    std::exception_ptr thrown;  // when E cannot hold it
    bool done = false;
    std::condition_variable ended;
    std::vector<std::function<void()>> continuations;  // called when it is done
  };

  struct Start {
    std::optional<Result<V, E>> ready;  // answered from the cache
    std::shared_ptr<Load> load;         // to be waited for, or led, or to refresh what is ready
    bool leads = false;                 // the caller runs the loader and calls finish()
  };
  // One look-up. A caller that is to wait has its continuation called when the load is done, on the
  // leader's thread and outside of locks; without one it waits on `ended`.
  Start start(View key, std::thread::id leader, std::function<void()> continuation);
  // Stores what was loaded, if nothing spoke against it meanwhile, and lets all who wait go on.
  void finish(View key, const std::shared_ptr<Load>& load, Result<Loaded<V>, E> loaded,
              std::exception_ptr thrown, Nanos took);
  // What all who asked get; throws what the loader threw if E cannot hold it. REQUIRES: it is done.
  static Result<V, E> outcome(const Load& load) {
    if (load.thrown) std::rethrow_exception(load.thrown);
    return *load.result;
  }
  // Runs a loader. Never throws: an exception becomes the error, or `thrown` if E cannot hold it;
  // then the error means nothing.
  template <class F>
  static Result<Loaded<V>, E> run_loader(F& loader, const EntryOptions& options,
                                         std::exception_ptr& thrown);
  // What a loader returned, with how to store it.
  template <class R>
  static Result<Loaded<V>, E> loaded_from(R&& returned, const EntryOptions& options);
  [[nodiscard]] TimePoint now() const noexcept { return table_.now(); }

 private:
  using Entry = typename EntryTable<K, V>::Entry;
  using Removed = typename EntryTable<K, V>::Removed;

  struct Negative {
    E error;
    std::int64_t until;
  };
  struct Hasher {
    std::size_t operator()(const K& key) const { return KeyHash<K>{}(key); }
  };
  // Loads are apart from the entries: no eviction can lose one.
  struct alignas(64) LoadStripe {
    std::mutex mutex;
    std::unordered_map<K, std::shared_ptr<Load>, Hasher> running;
    std::unordered_map<K, Negative, Hasher> negatives;
    std::deque<K> negative_order;  // oldest first; may name keys that are gone
  };
  static constexpr std::size_t kLoadStripes = 16;

  struct Counters {
    std::atomic<std::uint64_t> stale_hits{0};
    std::atomic<std::uint64_t> negative_hits{0};
    std::atomic<std::uint64_t> loads_ok{0};
    std::atomic<std::uint64_t> loads_failed{0};
    std::atomic<std::int64_t> load_nanos{0};
    std::atomic<std::uint64_t> collapsed{0};
    std::atomic<std::uint64_t> refreshes{0};
  };

  static Options checked(Options options) {
    if (const std::string_view wrong = options.validate(); !wrong.empty()) {
      throw std::invalid_argument("cache option " + std::string(wrong) + " is out of range");
    }
    return options;
  }
  [[nodiscard]] EntryTableOptions table_options() const {
    return {.max_entries = options_.max_entries,
            .max_bytes = options_.max_bytes,
            .policy = options_.policy,
            .stripes = options_.stripes,
            .idle_timeout = options_.idle_timeout,
            .stale_window = std::max(options_.stale_while_revalidate, options_.stale_if_error),
            .hash_seed = options_.hash_seed,
            .clock = options_.clock};
  }
  [[nodiscard]] std::size_t weight(const V& value) const {
    if (options_.weigher) return options_.weigher(value);
    if constexpr (std::is_same_v<V, std::string>) return value.size();
    return 0;
  }
  static void count(std::atomic<std::uint64_t>& counter) noexcept {
    ReaderEpochs::Slot::count(counter);
  }
  static void bump(std::atomic<std::uint64_t>& counter) noexcept {
    counter.fetch_add(1, std::memory_order_relaxed);  // a statistic
  }
  [[nodiscard]] std::int64_t now_nanos() const noexcept {
    return table_.now().time_since_epoch().count();
  }
  [[nodiscard]] LoadStripe& load_stripe(std::uint64_t hash) noexcept {
    return loads_[hash >> 48 & (kLoadStripes - 1)];
  }

  [[nodiscard]] Removed* removed_list(Removed& list) const noexcept {
    return options_.on_removed ? &list : nullptr;
  }
  void notify(const Removed& removed) const {
    for (const Entry* entry : removed) {
      options_.on_removed(entry->key(), entry->value, entry->cause);
    }
  }
  // Runs an operation of the table and tells the listener what left.
  template <class F>
  auto mutate(std::uint64_t hash, F&& f) {
    if (!options_.on_removed) return f(nullptr);
    Removed list;
    const auto result = [&] {
      const ReaderEpochs::Guard guard(table_.epochs());
      const auto inner = f(&list);
      notify(list);
      return inner;
    }();
    if (!list.empty()) table_.reclaim(hash);
    return result;
  }
  template <class F>
  std::size_t erase_if(F&& pred, RemovalCause cause) {
    return mutate(0, [&](Removed* removed) { return table_.erase_if(pred, cause, removed); });
  }
  template <class F>
  std::size_t invalidate_where(F&& matches);
  void sweep_after_miss(std::uint64_t hash) {
    Removed list;
    table_.sweep_some(hash, removed_list(list));
    notify(list);
  }

  // Where a look-up of get_or_load ended.
  struct Lookup {
    std::optional<V> value;  // to be returned
    bool refresh = false;    // and to be refreshed
  };
  Lookup look_up(View key, std::uint64_t hash);
  std::optional<V> stale_for_error(View key, std::uint64_t hash);

  template <class F>
  Result<V, E> lead(View key, const std::shared_ptr<Load>& load, F& loader,
                    const EntryOptions& options);
  template <class F>
  void refresh(View key, const std::shared_ptr<Load>& load, F& loader, const EntryOptions& options);
  void remember_failure(LoadStripe& stripe, View key, const E& error);
  [[nodiscard]] std::optional<E> remembered_failure(LoadStripe& stripe, View key);

  const Options options_;
  EntryTable<K, V> table_;
  std::array<LoadStripe, kLoadStripes> loads_;
  Counters counters_;
  BackgroundTasks background_;  // last: its tasks use all of the above
};

template <class K, class V, class E>
auto Cache<K, V, E>::look_up(View key, std::uint64_t hash) -> Lookup {
  const ReaderEpochs::Guard guard(table_.epochs());
  Entry* entry = table_.find(key, hash);
  if (entry == nullptr) return {};
  const std::int64_t until = entry->fresh_until.load(std::memory_order_relaxed);
  Lookup found;
  if (until != detail::kNever) {
    const std::int64_t left = until - now_nanos();
    if (left <= -options_.stale_while_revalidate.count() && left <= 0) return {};
    const auto life = static_cast<double>(entry->ttl.load(std::memory_order_relaxed));
    const bool ahead = options_.refresh_ahead < 1 &&
                       life - static_cast<double>(left) >= options_.refresh_ahead * life;
    found.refresh = left <= 0 || ahead;
    if (left <= 0) bump(counters_.stale_hits);
  }
  table_.touch(*entry);
  found.value.emplace(entry->value);
  return found;
}

template <class K, class V, class E>
std::optional<V> Cache<K, V, E>::stale_for_error(View key, std::uint64_t hash) {
  if (options_.stale_if_error == Nanos(0)) return std::nullopt;
  const ReaderEpochs::Guard guard(table_.epochs());
  const Entry* entry = table_.find(key, hash);
  if (entry == nullptr) return std::nullopt;
  const std::int64_t until = entry->fresh_until.load(std::memory_order_relaxed);
  if (now_nanos() >= detail::later(until, options_.stale_if_error)) return std::nullopt;
  bump(counters_.stale_hits);
  return entry->value;
}

template <class K, class V, class E>
auto Cache<K, V, E>::start(View key, std::thread::id leader, std::function<void()> continuation)
    -> Start {
  const std::uint64_t hash = table_.hash(key);
  ReaderEpochs::Slot& slot = table_.epochs().slot();
  Lookup found = look_up(key, hash);
  if (found.value && !found.refresh) {
    count(slot.hits);
    return {.ready = *std::move(found.value)};
  }

  LoadStripe& loads = load_stripe(hash);
  const std::lock_guard lock(loads.mutex);
  const auto running = loads.running.find(K(key));
  const bool runs = running != loads.running.end();
  if (!found.value) {
    if (auto error = remembered_failure(loads, key)) {
      count(slot.hits);
      bump(counters_.negative_hits);
      return {.ready = Result<V, E>(err(*std::move(error)))};
    }
    if (runs) {
      count(slot.misses);
      const std::shared_ptr<Load>& load = running->second;
      // A loader that asks for its own key would wait for itself: it is on its own.
      if (leader != std::thread::id() && load->leader == leader) return {.leads = true};
      bump(counters_.collapsed);
      if (continuation) load->continuations.push_back(std::move(continuation));
      return {.load = load};
    }
    // Another load may have ended between the look-up and the lock.
    found = look_up(key, hash);
  }
  Start start;
  if (found.value) {
    count(slot.hits);
    start.ready = *std::move(found.value);
    if (!found.refresh || runs || remembered_failure(loads, key)) return start;
    bump(counters_.refreshes);
  } else {
    count(slot.misses);
    start.leads = true;
  }
  start.load = std::make_shared<Load>();
  start.load->leader = start.leads ? leader : std::thread::id();
  start.load->tags_mark = table_.tags().mark();
  loads.running.emplace(K(key), start.load);
  return start;
}

template <class K, class V, class E>
template <class F>
Result<V, E> Cache<K, V, E>::get_or_load(View key, F&& loader, const EntryOptions& options) {
  Start start = this->start(key, std::this_thread::get_id(), nullptr);
  if (start.ready) {
    if (start.load) refresh(key, start.load, loader, options);
    return *std::move(start.ready);
  }
  if (start.leads) {
    if (!start.load) start.load = std::make_shared<Load>();  // on its own: nobody else sees it
    return lead(key, start.load, loader, options);
  }
  std::unique_lock lock(load_stripe(table_.hash(key)).mutex);
  start.load->ended.wait(lock, [&] { return start.load->done; });
  lock.unlock();
  return outcome(*start.load);
}

template <class K, class V, class E>
template <class R>
Result<Loaded<V>, E> Cache<K, V, E>::loaded_from(R&& returned, const EntryOptions& options) {
  using Returned = std::remove_cvref_t<R>;
  if constexpr (requires { typename Returned::error_type; }) {
    if (!returned) return err(E(std::forward<R>(returned).error()));
    return loaded_from(*std::forward<R>(returned), options);
  } else if constexpr (std::is_same_v<Returned, Loaded<V>>) {
    return std::forward<R>(returned);
  } else {
    return Loaded<V>{V(std::forward<R>(returned)), options};
  }
}

template <class K, class V, class E>
template <class F>
Result<Loaded<V>, E> Cache<K, V, E>::run_loader(F& loader, const EntryOptions& options,
                                                std::exception_ptr& thrown) {
  try {
    return loaded_from(loader(), options);
  } catch (...) {
    if constexpr (std::is_same_v<E, std::exception_ptr>) {
      return err(std::current_exception());
    } else {
      thrown = std::current_exception();
      return err(E{});
    }
  }
}

template <class K, class V, class E>
template <class F>
Result<V, E> Cache<K, V, E>::lead(View key, const std::shared_ptr<Load>& load, F& loader,
                                  const EntryOptions& options) {
  const TimePoint began = now();
  std::exception_ptr thrown;
  Result<Loaded<V>, E> loaded = run_loader(loader, options, thrown);
  finish(key, load, std::move(loaded), thrown, now() - began);
  return outcome(*load);
}

template <class K, class V, class E>
void Cache<K, V, E>::finish(View key, const std::shared_ptr<Load>& load,
                            Result<Loaded<V>, E> loaded, std::exception_ptr thrown, Nanos took) {
  const std::uint64_t hash = table_.hash(key);
  // A statistic, like all of counters_.
  counters_.load_nanos.fetch_add(took.count(), std::memory_order_relaxed);
  bump(loaded ? counters_.loads_ok : counters_.loads_failed);
  std::optional<V> stale;
  if (!loaded) stale = stale_for_error(key, hash);

  LoadStripe& loads = load_stripe(hash);
  std::vector<std::function<void()>> continuations;
  mutate(hash, [&](Removed* removed) {
    const std::lock_guard lock(loads.mutex);
    const auto running = loads.running.find(K(key));
    const bool listed = running != loads.running.end() && running->second == load;
    if (loaded) {
      load->result.emplace(loaded->value);
      const Nanos ttl = std::max(loaded->options.ttl.value_or(options_.ttl), Nanos(0));
      // Under the lock: an erase that comes later finds the entry, one that came before is seen.
      if (listed && !load->cancelled &&
          !table_.tags().invalidated_since(load->tags_mark, loaded->options.tags)) {
        const std::size_t bytes = weight(loaded->value);
        table_.set(key, hash, std::move(loaded->value), bytes, ttl, loaded->options.tags, removed);
      }
    } else if (stale) {
      load->result.emplace(*std::move(stale));
    } else {
      load->result.emplace(err(std::move(loaded).error()));
      load->thrown = thrown;
      if (listed && !thrown && !load->cancelled) {
        remember_failure(loads, key, load->result->error());
      }
    }
    load->done = true;
    continuations.swap(load->continuations);
    if (listed) loads.running.erase(running);
    load->ended.notify_all();
    return true;
  });
  for (const auto& continuation : continuations) continuation();
}

template <class K, class V, class E>
template <class F>
void Cache<K, V, E>::refresh(View key, const std::shared_ptr<Load>& load, F& loader,
                             const EntryOptions& options) {
  auto task = [this, key = K(key), load, loader = std::decay_t<F>(loader), options]() mutable {
    {
      const std::lock_guard lock(load_stripe(table_.hash(key)).mutex);
      load->leader = std::this_thread::get_id();
    }
    const TimePoint began = now();
    std::exception_ptr thrown;
    Result<Loaded<V>, E> loaded = run_loader(loader, options, thrown);
    finish(key, load, std::move(loaded), thrown, now() - began);
  };
  if (options_.executor) {
    options_.executor(std::move(task));
  } else if (!background_.post(task)) {
    task();  // so many wait already that this caller does its part itself
  }
}

template <class K, class V, class E>
void Cache<K, V, E>::remember_failure(LoadStripe& stripe, View key, const E& error) {
  if (options_.negative_ttl == Nanos(0)) return;
  const std::size_t most = std::max<std::size_t>(options_.max_negative / kLoadStripes, 1);
  while (stripe.negative_order.size() >= most) {
    stripe.negatives.erase(stripe.negative_order.front());
    stripe.negative_order.pop_front();
  }
  stripe.negatives.insert_or_assign(
      K(key), Negative{error, detail::later(now_nanos(), options_.negative_ttl)});
  stripe.negative_order.push_back(K(key));
}

template <class K, class V, class E>
std::optional<E> Cache<K, V, E>::remembered_failure(LoadStripe& stripe, View key) {
  if (stripe.negatives.empty()) return std::nullopt;
  const auto at = stripe.negatives.find(K(key));
  if (at == stripe.negatives.end()) return std::nullopt;
  if (now_nanos() < at->second.until) return at->second.error;
  stripe.negatives.erase(at);
  return std::nullopt;
}

template <class K, class V, class E>
template <class F>
std::size_t Cache<K, V, E>::invalidate_where(F&& matches) {
  if constexpr (std::is_same_v<K, std::string>) {
    for (LoadStripe& loads : loads_) {
      const std::lock_guard lock(loads.mutex);
      for (auto& [key, load] : loads.running) {
        if (matches(key)) load->cancelled = true;
      }
      std::erase_if(loads.negatives, [&](const auto& item) { return matches(item.first); });
    }
    return erase_if([&](const Entry& entry) { return matches(entry.key()); }, RemovalCause::erased);
  }
  return 0;
}

template <class K, class V, class E>
CacheStats Cache<K, V, E>::stats() {
  CacheStats stats;
  stats.keys = size();
  stats.bytes = table_.bytes();
  const ReaderEpochs::Counts counts = table_.epochs().counts();
  stats.hits = counts.hits;
  stats.misses = counts.misses;
  const auto read = [](const auto& counter) { return counter.load(std::memory_order_relaxed); };
  stats.stale_hits = read(counters_.stale_hits);
  stats.negative_hits = read(counters_.negative_hits);
  stats.loads_ok = read(counters_.loads_ok);
  stats.loads_failed = read(counters_.loads_failed);
  stats.load_time = Nanos(read(counters_.load_nanos));
  stats.collapsed = read(counters_.collapsed);
  stats.refreshes = read(counters_.refreshes);
  stats.refused = table_.refused();
  stats.removals = table_.removals();
  return stats;
}

}  // namespace tyaprover::cache
