// Rate limiters: a token bucket, a sliding window, and either of them per key.
//
// Thread-safe. No timer and no queue: a caller is admitted now, or told when to come back. Each
// answer costs O(1). Watched by policies_bench: no allocation.
//
//   TokenBucket limiter({.limit = 100, .period = 1s, .burst = 20});
//   if (auto admitted = limiter.try_acquire(clock.now()); !admitted) come_back(admitted.error());
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "tyaprover/base/clock.h"
#include "tyaprover/base/result.h"
#include "tyaprover/resilience/lru_map.h"
#include "tyaprover/resilience/policy.h"

namespace tyaprover::resilience {

struct RateLimit {
  unsigned limit = 100;                    // calls per period, at least 1
  Nanos period = std::chrono::seconds(1);  // not shorter than `limit` nanoseconds
  unsigned burst = 0;  // of a token bucket: calls at once after a pause; 0 = limit

  [[nodiscard]] std::optional<std::string> validate() const;
};

// Admits `burst` calls at once and `limit` per period in the long run, evenly spread. Lock-free.
//
// Kept as one number, the theoretical arrival time of the generic cell rate algorithm (ITU-T
// I.371): the time at which the bucket will be full again. A period that is no multiple of the
// limit is rounded so that the rate is never exceeded.
class TokenBucket : public Policy {
 public:
  // Throws std::invalid_argument if an option is wrong.
  explicit TokenBucket(RateLimit options);

  // Takes one token, or says in how long there will be one.
  [[nodiscard]] Result<void, Nanos> try_acquire(TimePoint now) noexcept;

  // As a policy: what is not admitted is shed.
  template <class Op>
  auto run(const Deadline& deadline, Op&& op) {
    return run_limited(*this, deadline, op);
  }
  template <class Limiter, class Op>
  static auto run_limited(Limiter& limiter, const Deadline& deadline, Op& op) {
    using Returned = decltype(op(deadline));
    const auto admitted = limiter.try_acquire(deadline.clock().now());
    if (!admitted) {
      return Returned(
          err(CallError{.kind = CallError::Kind::shed, .retry_after = admitted.error()}));
    }
    return op(deadline);
  }

 private:
  const TimePoint::rep interval_;  // between tokens
  const TimePoint::rep depth_;     // of the bucket, in time
  // Relaxed: the number orders nothing but itself.
  std::atomic<TimePoint::rep> full_at_;
};

// Admits `limit` calls in any period, as far as two counters can tell: the calls of the last period
// are taken as evenly spread over it. A mutex guards the two numbers, which is cheaper than to pack
// them with enough bits for the time.
class SlidingWindow : public Policy {
 public:
  // Throws std::invalid_argument if an option is wrong.
  explicit SlidingWindow(RateLimit options);

  // Admits one call, or says in how long one will be admitted if nobody else comes.
  [[nodiscard]] Result<void, Nanos> try_acquire(TimePoint now) noexcept;

  template <class Op>
  auto run(const Deadline& deadline, Op&& op) {
    return TokenBucket::run_limited(*this, deadline, op);
  }

 private:
  const RateLimit options_;
  std::mutex mutex_;
  TimePoint::rep window_ = 0;  // the number of the current period
  unsigned current_ = 0;       // calls in it
  unsigned previous_ = 0;      // and in the one before
};

// A limiter per key; the key used longest ago is forgotten when there are more than `bound`. Under
// one mutex for the look-up.
template <class Key, class Limiter, class Hash = std::hash<Key>>
class KeyedRateLimiter {
 public:
  // Throws std::invalid_argument if an option is wrong. REQUIRES: bound is at least 1.
  KeyedRateLimiter(RateLimit options, std::size_t bound) : options_(options), limiters_(bound) {
    Limiter checked(options_);
  }

  [[nodiscard]] Result<void, Nanos> try_acquire(const Key& key, TimePoint now) {
    const std::lock_guard lock(mutex_);
    return limiters_.find_or_make(key, [this] { return std::make_unique<Limiter>(options_); })
        ->try_acquire(now);
  }
  [[nodiscard]] std::size_t size() const {
    const std::lock_guard lock(mutex_);
    return limiters_.size();
  }

 private:
  const RateLimit options_;
  mutable std::mutex mutex_;
  LruMap<Key, std::unique_ptr<Limiter>, Hash> limiters_;
};

}  // namespace tyaprover::resilience
