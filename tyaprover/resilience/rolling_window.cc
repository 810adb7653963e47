#include "tyaprover/resilience/rolling_window.h"

#include <algorithm>

namespace tyaprover::resilience {
namespace {

constexpr std::uint64_t kOneCall = 1;
void raise(std::atomic<std::uint64_t>& most, std::uint64_t to) noexcept {
  std::uint64_t seen = most.load(std::memory_order_relaxed);
  while (seen < to && !most.compare_exchange_weak(seen, to, std::memory_order_seq_cst)) {
  }
}

}  // namespace

// Whether `a` is later than `b` on the circle of a tag's part.
constexpr bool RollingWindow::later(std::uint64_t a, std::uint64_t b) noexcept {
  const std::uint64_t ahead = (a - b) & kTagPartMask;
  return ahead != 0 && ahead <= kTagPartMask / 2;
}

constexpr bool RollingWindow::newer_tag(std::uint64_t a, std::uint64_t b) noexcept {
  const std::uint64_t a_generation = a >> kTagPartBits;
  const std::uint64_t b_generation = b >> kTagPartBits;
  return a_generation == b_generation ? later(a, b) : later(a_generation, b_generation);
}

// Adds both counters of `more`, each up to its limit.
constexpr std::uint64_t RollingWindow::add_counts(std::uint64_t word, std::uint64_t more) noexcept {
  const std::uint64_t first = std::min(low(word) + low(more), kCounterMask);
  const std::uint64_t second = std::min(high(word) + high(more), kCounterMask);
  return (word >> kTagShift << kTagShift) | second << kCounterBits | first;
}

// Whether the word counts for one of the kSlots epochs that end at `epoch`.
constexpr bool RollingWindow::in_window(std::uint64_t word, std::uint64_t epoch,
                                        std::uint64_t generation) noexcept {
  const std::uint64_t tag = word >> kTagShift;
  return tag >> kTagPartBits == (generation & kTagPartMask) &&
         ((epoch - tag) & kTagPartMask) < kSlots;
}

RollingWindow::RollingWindow(Nanos width, TimePoint now) noexcept
    : slot_(static_cast<std::uint64_t>(width.count()) / kSlots),
      origin_(static_cast<std::uint64_t>(now.time_since_epoch().count()) - kFirst * slot_) {
  clear(kFirst, 0);
}

std::uint64_t RollingWindow::divide(std::uint64_t since) const noexcept {
  if (static_cast<std::int64_t>(since) < 0) return kSlots;
  return std::max<std::uint64_t>(since / slot_, kSlots);
}

TimePoint RollingWindow::begin_of(std::uint64_t epoch) const noexcept {
  return TimePoint(Nanos(static_cast<Nanos::rep>(origin_ + epoch * slot_)));
}

// Clears the slots between the newest epoch and this one, then announces it. The order matters: who
// sees the new epoch finds its slot cleared, and nobody who was late clears what was counted since.
void RollingWindow::advance(std::uint64_t epoch, std::uint64_t generation) noexcept {
  std::uint64_t newest = newest_.load(std::memory_order_seq_cst);
  while (epoch > newest) {
    const std::uint64_t passed = std::min<std::uint64_t>(epoch - newest, kSlots);
    bool still_newest = true;
    for (std::uint64_t e = epoch - passed + 1; e <= epoch && still_newest; ++e) {
      const std::uint64_t cleared = tag_of(e, generation) << kTagShift;
      const std::size_t index = e % kSlots;
      for (Stripe& stripe : stripes_) {
        still_newest = still_newest && clear_while(stripe.calls[index], cleared, newest);
      }
      still_newest = still_newest && clear_while(slow(index), cleared, newest);
    }
    if (!still_newest) {
      newest = newest_.load(std::memory_order_seq_cst);
    } else if (newest_.compare_exchange_strong(newest, epoch, std::memory_order_seq_cst)) {
      return;
    }
  }
}

// Replaces the word, unless the newest epoch is another one by now.
bool RollingWindow::clear_while(Word& slot, std::uint64_t cleared, std::uint64_t newest) noexcept {
  std::uint64_t word = slot.load(std::memory_order_seq_cst);
  do {
    // Read after the word: if it was counted in since, the epoch had been announced before.
    if (newest_.load(std::memory_order_seq_cst) != newest) return false;
  } while (!slot.compare_exchange_weak(word, cleared, std::memory_order_seq_cst));
  return true;
}

void RollingWindow::add(Word& slot, std::uint64_t tag, std::uint64_t counts) noexcept {
  std::uint64_t word = slot.load(std::memory_order_relaxed);
  for (;;) {
    const std::uint64_t found = word >> kTagShift;
    std::uint64_t next;
    if (found == tag) {
      next = ((word | counts) & kTopBits) == 0 ? word + counts : add_counts(word, counts);
    } else if (newer_tag(found, tag)) {
      return;
    } else {
      next = tag << kTagShift | counts;
    }
    // Sequentially consistent: see may_trip().
    if (slot.compare_exchange_weak(word, next, std::memory_order_seq_cst,
                                   std::memory_order_relaxed))
      return;
  }
}

void RollingWindow::record_any(std::uint64_t epoch, std::uint64_t generation, bool failure,
                               bool is_slow) noexcept {
  const std::uint64_t newest = newest_.load(std::memory_order_relaxed);
  if (epoch > newest) [[unlikely]] {
    advance(epoch, generation);
  } else if (newest - epoch >= kSlots) [[unlikely]] {
    return;
  }
  // Before the counters, so that who counts after us looks at them.
  if (failure) raise(last_failure_, epoch);
  if (is_slow) raise(last_slow_, epoch);
  const std::uint64_t tag = tag_of(epoch, generation);
  const std::size_t index = epoch % kSlots;
  if (is_slow) add(slow(index), tag, 1);
  add(stripes_[thread_stripe()].calls[index], tag,
      failure ? kOneCall | kOneCall << kCounterBits : kOneCall);
}

void RollingWindow::restore(std::uint64_t epoch, std::uint64_t generation,
                            const WindowCounts& counts) noexcept {
  if (epoch + kSlots <= newest_.load(std::memory_order_relaxed)) return;
  advance(epoch, generation);
  if (counts.failures > 0) raise(last_failure_, epoch);
  if (counts.slow > 0) raise(last_slow_, epoch);
  const std::uint64_t tag = tag_of(epoch, generation);
  const std::size_t index = epoch % kSlots;
  add(slow(index), tag, std::min(counts.slow, kCounterMask));
  add(stripes_[0].calls[index], tag,
      std::min(counts.failures, kCounterMask) << kCounterBits |
          std::min(counts.calls, kCounterMask));
}

WindowCounts RollingWindow::at(std::uint64_t epoch, std::uint64_t generation) const noexcept {
  WindowCounts counts;
  if (epoch > newest_.load(std::memory_order_seq_cst)) return counts;
  const std::uint64_t tag = tag_of(epoch, generation);
  const std::size_t index = epoch % kSlots;
  for (const Stripe& stripe : stripes_) {
    const std::uint64_t word = stripe.calls[index].load(std::memory_order_seq_cst);
    if (word >> kTagShift != tag) continue;
    counts.calls += low(word);
    counts.failures += high(word);
  }
  const std::uint64_t word = slow(index).load(std::memory_order_seq_cst);
  if (word >> kTagShift == tag) counts.slow = low(word);
  return counts;
}

WindowCounts RollingWindow::sum(std::uint64_t epoch, std::uint64_t generation) const noexcept {
  WindowCounts counts;
  // All words are of the last twenty epochs, so within the next ten no tag is mistaken.
  if (epoch >= newest_.load(std::memory_order_seq_cst) + kSlots) return counts;
  for (const Stripe& stripe : stripes_) {
    for (const Word& slot : stripe.calls) {
      const std::uint64_t word = slot.load(std::memory_order_seq_cst);
      if (!in_window(word, epoch, generation)) continue;
      counts.calls += low(word);
      counts.failures += high(word);
    }
  }
  if (last_slow_.load(std::memory_order_seq_cst) + kSlots <= epoch) return counts;
  for (std::size_t index = 0; index < kSlots; ++index) {
    const std::uint64_t word = slow(index).load(std::memory_order_seq_cst);
    if (in_window(word, epoch, generation)) counts.slow += low(word);
  }
  return counts;
}

void RollingWindow::clear(std::uint64_t epoch, std::uint64_t generation) noexcept {
  raise(newest_, epoch);
  const std::uint64_t newest = newest_.load(std::memory_order_relaxed);
  // Every word gets the tag of an epoch that the window has already forgotten.
  for (std::uint64_t e = newest - kSlots + 1; e <= newest; ++e) {
    const std::uint64_t word = tag_of(e - kSlots, generation) << kTagShift;
    const std::size_t index = e % kSlots;
    for (Stripe& stripe : stripes_) stripe.calls[index].store(word, std::memory_order_seq_cst);
    slow(index).store(word, std::memory_order_seq_cst);
  }
}

}  // namespace tyaprover::resilience
