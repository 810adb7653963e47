// CacheInvalidation: tells all caches of the process at once to forget, for applications that do
// not keep track of their caches.
//
// Thread-safe. Speaks to the caches that registered: every memoized function does, others by a
// CacheRegistration. Convenience: the gateway names its caches instead.
//
//   CacheInvalidation::by_key("specific-key");
//   CacheInvalidation::by_pattern("user:");        // every key with "user:" in it
//   CacheInvalidation::all();
//   CacheInvalidation::stats().hit_rate();         // 92.31
#pragma once

#include <cstddef>
#include <string_view>

#include "tyaprover/cache/cache_stats.h"
#include "tyaprover/cache/invalidation_target.h"

namespace tyaprover::cache {

// Lets CacheInvalidation speak to a cache while it lives. The cache outlives it.
class [[nodiscard]] CacheRegistration {
 public:
  explicit CacheRegistration(InvalidationTarget& cache);
  ~CacheRegistration();
  CacheRegistration(const CacheRegistration&) = delete;
  CacheRegistration& operator=(const CacheRegistration&) = delete;

 private:
  InvalidationTarget& cache_;
};

struct CacheInvalidation {
  // Each returns how many entries were removed. They wait for a registration that ends meanwhile,
  // and must not be called from a cache's listener.
  static std::size_t by_key(std::string_view key);
  static std::size_t by_prefix(std::string_view prefix);
  static std::size_t by_pattern(std::string_view pattern,
                                PatternKind kind = PatternKind::substring);
  static std::size_t by_tag(std::string_view tag);
  static std::size_t all();
  // The sum over all registered caches.
  [[nodiscard]] static CacheStats stats();
};

}  // namespace tyaprover::cache
