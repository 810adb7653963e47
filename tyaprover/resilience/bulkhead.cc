#include "tyaprover/resilience/bulkhead.h"

#include <algorithm>
#include <condition_variable>

#include "tyaprover/resilience/option_check.h"

namespace tyaprover::resilience {

std::optional<std::string> BulkheadOptions::validate() const {
  return OptionCheck()
      .between("limit", limit, 1, 1'000'000'000)
      .between("queue", queue, 0, 1'000'000'000)
      .not_negative("max_wait", max_wait)
      .problem();
}

Bulkhead::Bulkhead(BulkheadOptions options) : options_(options) {
  OptionCheck::require("bulkhead", options_.validate());
}

bool Bulkhead::take_free_place() noexcept {
  std::uint64_t counts = counts_.load(std::memory_order_relaxed);
  while (waiting_of(counts) == 0 && in_flight_of(counts) < options_.limit) {
    if (counts_.compare_exchange_weak(counts, counts + 1, std::memory_order_acquire,
                                      std::memory_order_relaxed))
      return true;
  }
  return false;
}

std::optional<Bulkhead::Place> Bulkhead::try_acquire() noexcept {
  if (!take_free_place()) return std::nullopt;
  return Place(this);
}

Bulkhead::Entry Bulkhead::enter(Waiting& waiting) {
  waiting.bulkhead_ = this;
  if (take_free_place()) {
    waiting.has_place_.store(true, std::memory_order_relaxed);
    return Entry::granted;
  }
  const std::lock_guard lock(mutex_);
  std::uint64_t counts = counts_.load(std::memory_order_relaxed);
  for (;;) {
    // A place may have become free before the lock was taken; then nobody waits.
    const bool free = waiting_of(counts) == 0 && in_flight_of(counts) < options_.limit;
    if (!free && waiting_of(counts) >= options_.queue) return Entry::full;
    if (!counts_.compare_exchange_weak(counts, counts + (free ? 1 : kOneWaiting),
                                       std::memory_order_acquire, std::memory_order_relaxed))
      continue;
    if (free) {
      waiting.has_place_.store(true, std::memory_order_relaxed);
      return Entry::granted;
    }
    waiting.queued_ = true;
    waiting.prev_ = last_;
    waiting.next_ = nullptr;
    (last_ ? last_->next_ : first_) = &waiting;
    last_ = &waiting;
    return Entry::queued;
  }
}

void Bulkhead::release() noexcept {
  std::uint64_t counts = counts_.load(std::memory_order_relaxed);
  while (waiting_of(counts) == 0) {
    if (counts_.compare_exchange_weak(counts, counts - 1, std::memory_order_release,
                                      std::memory_order_relaxed))
      return;
  }
  std::unique_lock lock(mutex_);
  Waiting* next = first_;
  if (!next) {  // the last one gave up meanwhile
    lock.unlock();
    return release();
  }
  unlink(*next);
  counts_.fetch_sub(kOneWaiting, std::memory_order_release);
  // The place passes on: nobody can come between. The node may be destroyed as soon as it has it.
  const std::function<void()> granted = std::move(next->granted_);
  next->has_place_.store(true, std::memory_order_release);
  lock.unlock();
  granted();
}

void Bulkhead::unlink(Waiting& waiting) noexcept {
  (waiting.prev_ ? waiting.prev_->next_ : first_) = waiting.next_;
  (waiting.next_ ? waiting.next_->prev_ : last_) = waiting.prev_;
  waiting.queued_ = false;
}

bool Bulkhead::cancel(Waiting& waiting) noexcept {
  const std::lock_guard lock(mutex_);
  if (!waiting.queued_) return false;
  unlink(waiting);
  counts_.fetch_sub(kOneWaiting, std::memory_order_relaxed);
  return true;
}

Bulkhead::Waiting::~Waiting() {
  cancel();
  static_cast<void>(take());
}

Result<Bulkhead::Place, CallError> Bulkhead::acquire(const Deadline& deadline) {
  if (auto place = try_acquire()) return std::move(*place);
  std::mutex mutex;
  std::condition_variable_any changed;
  bool granted = false;
  Waiting waiting([&] {
    // Notifies under the lock: the waiter destroys the condition as soon as it may.
    const std::lock_guard lock(mutex);
    granted = true;
    changed.notify_one();
  });
  switch (enter(waiting)) {
    case Entry::granted:
      return std::move(*waiting.take());
    case Entry::full:
      return err(CallError{.kind = CallError::Kind::shed});
    case Entry::queued:
      break;
  }
  // On the steady clock, whatever the deadline's: it is the thread that waits.
  const Nanos wait = std::min(options_.max_wait, deadline.left());
  {
    std::unique_lock lock(mutex);
    changed.wait_until(lock, deadline.stop_token(), after(SteadyClock::instance().now(), wait),
                       [&] { return granted; });
  }
  if (waiting.cancel()) {
    return err(CallError{.kind = deadline.stop_requested() ? CallError::Kind::cancelled
                                                           : CallError::Kind::shed});
  }
  // Granted; but the call of `granted` may still be on its way and needs the condition.
  std::unique_lock lock(mutex);
  changed.wait(lock, [&] { return granted; });
  return std::move(*waiting.take());
}

}  // namespace tyaprover::resilience
