// ResponseStore: the responses that all workers have stored, and the requests to origins under way.
//
// Thread-safe. One per gateway; outlives the workers' ResponseCaches. A look-up takes no lock and
// allocates nothing. Everything in it is bounded: the store by bytes (heads, bodies and overhead)
// and entries, fills by requests, the memory of what cannot be stored by a fixed table.
//
//   ResponseStore store({.max_bytes = 64 << 20});
//   if (ResponseStore::Entry found = store.find(key)) …
//   store.erase("http://shop/cart", Purge::hard);
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <iosfwd>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tyaprover/cache/cache.h"
#include "tyaprover/cache/cache_key.h"
#include "tyaprover/cache/dump.h"
#include "tyaprover/filters/cache_fill.h"
#include "tyaprover/filters/response_cache_options.h"
#include "tyaprover/filters/stored_response.h"

namespace tyaprover::filters {

// What became of a request, as X-Cache says it.
enum class CacheResult : std::uint8_t { hit, miss, stale, revalidated, bypass };
inline constexpr std::size_t kCacheResults = 5;
[[nodiscard]] std::string_view to_string(CacheResult result) noexcept;  // "HIT"
[[nodiscard]] std::string_view log_word(CacheResult result) noexcept;   // "hit"

// hard: it is gone. soft: it is stale, may be revalidated and sent on errors.
enum class Purge : std::uint8_t { hard, soft };

struct ResponseStoreOptions {
  std::size_t max_bytes = 64u << 20;
  std::size_t max_entries = 0;                       // URLs; 0: no bound
  const Clock* clock = nullptr;                      // null: the steady clock
  std::function<cache::WallTime()> wall_clock = {};  // absent: the system's
  bool keys_have_additions = false;  // some route adds fields or cookies to its keys
};

// What one worker counts. Relaxed: one writer, statistics for others.
struct CacheCounters {
  explicit CacheCounters(std::size_t apps) : results(apps) {}

  std::deque<std::array<std::atomic<std::uint64_t>, kCacheResults>> results;  // by app
  std::atomic<std::uint64_t> collapsed{0};  // requests that waited for another's
  std::atomic<std::uint64_t> refreshes_ok{0};
  std::atomic<std::uint64_t> refreshes_failed{0};
};

struct ResponseStoreStats {
  std::array<std::uint64_t, kCacheResults> results{};                 // of all apps
  std::vector<std::array<std::uint64_t, kCacheResults>> app_results;  // by app
  std::uint64_t collapsed = 0;
  std::uint64_t refreshes_ok = 0;
  std::uint64_t refreshes_failed = 0;
  std::size_t entries = 0;  // URLs
  std::size_t bytes = 0;    // of heads, bodies and overhead
  std::size_t max_bytes = 0;
  std::array<std::uint64_t, cache::kRemovalCauses> removals{};

  // Answered from the store: hit, stale or revalidated.
  [[nodiscard]] std::uint64_t hits() const noexcept;
  // Asked of the origin although they might have been answered from the store.
  [[nodiscard]] std::uint64_t misses() const noexcept;
};

class ResponseStore {
 public:
  using Entry = std::shared_ptr<const StoredVariants>;

  explicit ResponseStore(ResponseStoreOptions options, std::size_t apps = 1);

  [[nodiscard]] cache::WallTime wall_now() const { return wall_clock_(); }
  // Lives as long as the store.
  [[nodiscard]] CacheCounters& add_worker();

  // --- responses ---

  [[nodiscard]] Entry find(std::string_view key) { return responses_.get(key).value_or(nullptr); }
  // What has been erased so far under this key: taken before the origin is asked.
  [[nodiscard]] std::uint64_t erasures(std::string_view key) const noexcept;
  // Adds a variant, in place of one that the same requests select; unless something was erased
  // since `erasures`.
  bool put(const std::string& key, std::string_view url, StoredResponse response,
           std::uint64_t erasures);
  // Takes a variant away, if it is still there.
  void drop(const std::string& key, const std::shared_ptr<const StoredHead>& head);

  // --- purging; each returns how many URLs it removed, or made stale ---

  // `url` as http://host/path?query; "#…" does not count. All variants, whatever is added to keys.
  std::size_t erase(std::string_view url, Purge purge, const cache::QueryRules& rules = {});
  std::size_t erase_prefix(std::string_view url_prefix, Purge purge);
  // A part of the URL, or, with * or ?, a pattern of the whole.
  std::size_t erase_pattern(std::string_view pattern, Purge purge);
  std::size_t erase_tag(std::string_view tag, Purge purge);
  std::size_t clear(Purge purge);

  [[nodiscard]] ResponseStoreStats stats();
  // Sum over all entries, counted anew: for tests of the accounting.
  [[nodiscard]] std::size_t recount_bytes() { return responses_.recount_bytes(); }

  // --- over a restart ---

  // What is stored, on a stream; the number of URLs.
  [[nodiscard]] Result<std::size_t, cache::DumpError> save(std::ostream& out);
  // What save() wrote, without what has left its time since. All or nothing.
  [[nodiscard]] Result<std::size_t, cache::DumpError> load(std::istream& in);

  // --- requests under way ---

  struct Joined {
    std::shared_ptr<CacheFill> fill;
    bool leads = false;  // the caller makes the request and calls leave()
  };
  // A fill's name begins with its key; behind it stands what else tells requests apart. The fill of
  // that name, or a new one. Null when there is one and `only_lead`.
  [[nodiscard]] Joined join(std::string_view key, const std::string& name, bool only_lead = false);
  void leave(std::string_view key, const std::string& name, const std::shared_ptr<CacheFill>& fill);

  // Whether answers under this key could not be stored a moment ago.
  [[nodiscard]] bool is_uncacheable(std::string_view key, TimePoint now) const noexcept;
  void note_uncacheable(std::string_view key, TimePoint until) noexcept;

  // Bytes of bodies that are on their way into the store. False: too many, do not store.
  [[nodiscard]] bool reserve(std::size_t bytes) noexcept;
  void unreserve(std::size_t bytes) noexcept {
    filling_.fetch_sub(bytes, std::memory_order_relaxed);
  }

 private:
  using Responses = cache::Cache<std::string, Entry>;
  struct alignas(64) FillStripe {
    std::mutex mutex;
    std::unordered_map<std::string, std::shared_ptr<CacheFill>> fills;
  };
  static constexpr std::size_t kFillStripes = 32;
  static constexpr std::size_t kKeyStripes = 64;
  static constexpr std::size_t kUncacheable = 4096;
  static constexpr std::size_t kErasures = 16 * 1024;
  static constexpr std::size_t kMaxVariants = 64;
  // How long what is no more fresh stays for revalidation and for errors, at least.
  static constexpr Nanos kKeepStale = std::chrono::hours(24);

  [[nodiscard]] std::uint64_t hash(std::string_view key) const noexcept;
  [[nodiscard]] FillStripe& fill_stripe(std::string_view key) {
    return fills_[hash(key) % kFillStripes];
  }
  [[nodiscard]] std::mutex& mutex_of(std::string_view key) {
    return key_mutexes_[hash(key) % kKeyStripes];
  }
  std::size_t erase_key(const std::string& key, Purge purge);
  bool set_locked(const std::string& key, StoredVariants variants);
  void forget_fills(std::string_view key);
  void forget_all();
  template <class F>
  std::size_t erase_where(Purge purge, F&& matches);
  static void expire(const StoredVariants& stored) noexcept;

  const std::size_t max_bytes_;
  const Clock& clock_;
  const std::function<cache::WallTime()> wall_clock_;
  const std::size_t apps_;
  const bool keys_have_additions_;
  const std::uint64_t seed_;
  Responses responses_;
  std::array<std::mutex, kKeyStripes> key_mutexes_;  // of those who change the variants of a key
  // Counted by a key's hash. That another key's count is taken for one's own costs one storing.
  std::array<std::atomic<std::uint64_t>, kErasures> erasures_{};
  std::atomic<std::uint64_t> all_erasures_{0};
  std::array<FillStripe, kFillStripes> fills_;
  // Upper half: of a key's hash; lower half: the second until which it counts. What is overwritten
  // is only waited for once more. Relaxed: hints.
  std::array<std::atomic<std::uint64_t>, kUncacheable> uncacheable_{};
  std::atomic<std::size_t> filling_{0};
  std::mutex workers_mutex_;
  std::deque<CacheCounters> workers_;
};

}  // namespace tyaprover::filters
