// Bulkhead: at most so many calls at once, and a bounded queue of those that wait for a place.
//
// Thread-safe: a place is taken and given back by one compare-and-swap while nobody waits; the
// queue is under a mutex. First come, first served. Borrows the nodes of its queue. It must outlive
// its places and its queue.
//
// Three ways in:
//   if (auto place = bulkhead.try_acquire()) …          // now or never
//   auto place = bulkhead.acquire(deadline);            // blocks the thread
//   Bulkhead::Waiting waiting([&] { resume(); });       // any event loop or coroutine
//   switch (bulkhead.enter(waiting)) …
//
// As a policy it blocks up to the deadline of the call, or its own max_wait:
//   auto guarded = breaker | bulkhead;
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "tyaprover/base/result.h"
#include "tyaprover/resilience/policy.h"

namespace tyaprover::resilience {

struct BulkheadOptions {
  unsigned limit = 10;                       // calls at once, at least 1
  unsigned queue = 0;                        // callers that may wait
  Nanos max_wait = std::chrono::seconds(1);  // of the blocking forms, in the queue

  [[nodiscard]] std::optional<std::string> validate() const;
};

class Bulkhead;

// One of the places; given back when it is destroyed. Movable, also between threads.
class [[nodiscard]] BulkheadPlace {
 public:
  BulkheadPlace(BulkheadPlace&& other) noexcept
      : bulkhead_(std::exchange(other.bulkhead_, nullptr)) {}
  BulkheadPlace& operator=(BulkheadPlace&& other) noexcept {
    std::swap(bulkhead_, other.bulkhead_);
    return *this;
  }
  ~BulkheadPlace();

 private:
  friend class Bulkhead;
  explicit BulkheadPlace(Bulkhead* bulkhead) noexcept : bulkhead_(bulkhead) {}
  Bulkhead* bulkhead_;
};

class Bulkhead : public Policy {
 public:
  using Place = BulkheadPlace;
  class Waiting;

  // Throws std::invalid_argument if an option is wrong.
  explicit Bulkhead(BulkheadOptions options);
  Bulkhead(const Bulkhead&) = delete;
  Bulkhead& operator=(const Bulkhead&) = delete;

  // A place if one is free and nobody waits for it.
  [[nodiscard]] std::optional<Place> try_acquire() noexcept;
  // A place, waiting for it in the queue until the deadline, max_wait or the stop of `deadline`;
  // the errors are shed (also when the queue is full) and cancelled. Blocks the thread on the
  // steady clock.
  [[nodiscard]] Result<Place, CallError> acquire(const Deadline& deadline);

  enum class Entry : std::uint8_t {
    granted,  // waiting.take() has the place
    queued,   // the node is in the queue and must live until it was granted or cancelled
    full,
  };
  // Takes a place for `waiting`, or queues it. Deadlines are the caller's: he cancels.
  [[nodiscard]] Entry enter(Waiting& waiting);

  [[nodiscard]] unsigned in_flight() const noexcept {
    return in_flight_of(counts_.load(std::memory_order_relaxed));
  }
  [[nodiscard]] bool is_full() const noexcept { return in_flight() >= options_.limit; }
  [[nodiscard]] unsigned waiting() const noexcept {
    return waiting_of(counts_.load(std::memory_order_relaxed));
  }

  template <class Op>
  auto run(const Deadline& deadline, Op&& op) {
    using Returned = decltype(op(deadline));
    auto place = acquire(deadline);
    if (!place) return Returned(err(std::move(place.error())));
    return op(deadline);
  }

 private:
  friend class BulkheadPlace;

  [[nodiscard]] static constexpr unsigned in_flight_of(std::uint64_t counts) noexcept {
    return static_cast<unsigned>(counts);
  }
  [[nodiscard]] static constexpr unsigned waiting_of(std::uint64_t counts) noexcept {
    return static_cast<unsigned>(counts >> 32);
  }
  static constexpr std::uint64_t kOneWaiting = std::uint64_t{1} << 32;

  [[nodiscard]] Place place() noexcept { return Place(this); }
  [[nodiscard]] bool take_free_place() noexcept;
  void release() noexcept;
  [[nodiscard]] bool cancel(Waiting& waiting) noexcept;
  void unlink(Waiting& waiting) noexcept;

  const BulkheadOptions options_;
  // In flight 32 bits, waiting 32. Invariant: while somebody waits, no place is free. Taking and
  // giving acquire and release, as a lock's would.
  std::atomic<std::uint64_t> counts_{0};
  std::mutex mutex_;  // guards the queue; the waiting count changes only under it
  Waiting* first_ = nullptr;
  Waiting* last_ = nullptr;
};

// A caller in the queue. `granted` is called once, by the thread that gave the place back and
// without a lock, unless it was cancelled before; it must not throw. A place that was granted and
// not taken is given back by the destructor.
class Bulkhead::Waiting {
 public:
  explicit Waiting(std::function<void()> granted) : granted_(std::move(granted)) {}
  ~Waiting();
  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;

  // Leaves the queue. False if it was granted before: then `granted` was called or is just being
  // called, and the place is there to be taken.
  bool cancel() noexcept { return bulkhead_ && bulkhead_->cancel(*this); }
  // The place, once granted.
  [[nodiscard]] std::optional<Place> take() noexcept {
    // Acquire: pairs with the grant.
    if (!has_place_.exchange(false, std::memory_order_acquire)) return std::nullopt;
    return bulkhead_->place();
  }

 private:
  friend class Bulkhead;
  std::function<void()> granted_;
  Bulkhead* bulkhead_ = nullptr;
  std::atomic<bool> has_place_{false};
  bool queued_ = false;  // under the bulkhead's mutex, as are the links
  Waiting* prev_ = nullptr;
  Waiting* next_ = nullptr;
};

inline BulkheadPlace::~BulkheadPlace() {
  if (bulkhead_) bulkhead_->release();
}

}  // namespace tyaprover::resilience
