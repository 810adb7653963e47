#include "tyaprover/cache/cache_invalidation.h"

#include <algorithm>
#include <mutex>
#include <vector>

namespace tyaprover::cache {
namespace {

struct Registry {
  std::mutex mutex;
  std::vector<InvalidationTarget*> caches;

  // Never destroyed: static memoized functions may outlive it otherwise.
  static Registry& instance() {
    static auto* registry = new Registry;
    return *registry;
  }
};

template <class F>
std::size_t sum_over_caches(F&& f) {
  Registry& registry = Registry::instance();
  const std::lock_guard lock(registry.mutex);
  std::size_t sum = 0;
  for (InvalidationTarget* cache : registry.caches) sum += f(*cache);
  return sum;
}

}  // namespace

CacheRegistration::CacheRegistration(InvalidationTarget& cache) : cache_(cache) {
  Registry& registry = Registry::instance();
  const std::lock_guard lock(registry.mutex);
  registry.caches.push_back(&cache);
}

CacheRegistration::~CacheRegistration() {
  Registry& registry = Registry::instance();
  const std::lock_guard lock(registry.mutex);
  registry.caches.erase(std::find(registry.caches.begin(), registry.caches.end(), &cache_));
}

std::size_t CacheInvalidation::by_key(std::string_view key) {
  return sum_over_caches([&](InvalidationTarget& cache) { return cache.invalidate_key(key); });
}
std::size_t CacheInvalidation::by_prefix(std::string_view prefix) {
  return sum_over_caches(
      [&](InvalidationTarget& cache) { return cache.invalidate_prefix(prefix); });
}
std::size_t CacheInvalidation::by_pattern(std::string_view pattern, PatternKind kind) {
  return sum_over_caches(
      [&](InvalidationTarget& cache) { return cache.invalidate_pattern(pattern, kind); });
}
std::size_t CacheInvalidation::by_tag(std::string_view tag) {
  return sum_over_caches([&](InvalidationTarget& cache) { return cache.invalidate_tag(tag); });
}
std::size_t CacheInvalidation::all() {
  return sum_over_caches([](InvalidationTarget& cache) { return cache.clear(); });
}

CacheStats CacheInvalidation::stats() {
  CacheStats stats;
  sum_over_caches([&](InvalidationTarget& cache) {
    stats += cache.stats();
    return std::size_t{0};
  });
  return stats;
}

}  // namespace tyaprover::cache
