// BreakerFamily: a circuit breaker per key (tenant, host, shard), bounded.
//
// Thread-safe by one mutex, held for a look-up; keep what get() returned where a key is used often.
//
//   BreakerFamily<std::string> per_host({.failure_threshold = 3}, 1000);
//   if (auto breaker = per_host.get(host)) breaker->execute(fetch);
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "tyaprover/resilience/circuit_breaker.h"
#include "tyaprover/resilience/lru_map.h"

namespace tyaprover::resilience {

template <class Key, class Hash = std::hash<Key>>
class BreakerFamily {
 public:
  // Every breaker has these options and this name. REQUIRES: bound is at least 1. Throws
  // std::invalid_argument if an option is wrong.
  BreakerFamily(CircuitBreakerOptions options, std::size_t bound)
      : options_(std::move(options)), breakers_(bound) {
    CircuitBreaker checked(options_);
  }

  // The breaker of `key`. When the family is full, the one used longest ago makes room, but never
  // one that is not closed, is held by somebody or has calls in flight; when all are such, the
  // result is null, and the caller decides whether to call unprotected or not at all.
  [[nodiscard]] std::shared_ptr<CircuitBreaker> get(const Key& key) {
    const std::lock_guard lock(mutex_);
    auto* found = breakers_.find_or_make(
        key, [this] { return std::make_shared<CircuitBreaker>(options_); },
        [](const std::shared_ptr<CircuitBreaker>& breaker) {
          return breaker.use_count() == 1 && breaker->state() == BreakerState::closed &&
                 breaker->stats().in_flight == 0;
        });
    return found ? *found : nullptr;
  }

  [[nodiscard]] std::size_t size() const {
    const std::lock_guard lock(mutex_);
    return breakers_.size();
  }
  // Calls visit(key, breaker) for all. It must not call the family.
  template <class Visit>
  void for_each(Visit&& visit) const {
    const std::lock_guard lock(mutex_);
    breakers_.for_each([&](const Key& key, const auto& breaker) { visit(key, *breaker); });
  }

 private:
  const CircuitBreakerOptions options_;
  mutable std::mutex mutex_;
  LruMap<Key, std::shared_ptr<CircuitBreaker>, Hash> breakers_;
};

}  // namespace tyaprover::resilience
