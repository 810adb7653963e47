// RollingWindow: how many calls, failures and slow calls were recorded lately, counted in slots.
//
// Thread-safe and lock-free: record() and sum() may run on any threads at once; clear() excludes
// only itself. Watched by breaker_bench: no allocation.
//
// Time is divided into slots of a tenth of the window; a slot's number is its epoch. The window at
// some moment is the current epoch and the nine before it, so nothing in it is older than its
// width, and it forgets a tenth at a time. A slot is one 64-bit word of packed counters that is
// tagged with the epoch and the generation it counts for. A recorder that finds an older tag
// replaces the word; one that finds a newer tag drops its outcome, because the window has forgotten
// that time or that generation. So a thread that was away for long cannot write into a window that
// was cleared since. The tags are short; what keeps an old word from being taken for a new one
// after any number of epochs is `newest_`: whoever first records in a later epoch clears the slots
// between before it announces the new one, and sum() does not look beyond it.
//
// Calls are counted in two stripes, chosen by thread, so that two threads do not pull one cache
// line to and fro. Reading them costs twice as much, but it is only done while the window holds a
// failure or a slow call (may_trip()).
//
//   RollingWindow window(10s, clock.now());
//   window.record(window.epoch(now), generation, true, false);
//   WindowCounts counts = window.sum(window.epoch(now), generation);
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "tyaprover/base/clock.h"
#include "tyaprover/resilience/thread_stripe.h"

namespace tyaprover::resilience {

struct WindowCounts {
  std::uint64_t calls = 0;  // completed ones, failures included
  std::uint64_t failures = 0;
  std::uint64_t slow = 0;

  bool operator==(const WindowCounts&) const = default;
};

class RollingWindow {
 public:
  static constexpr unsigned kSlots = 10;
  static constexpr Nanos kMaxWidth = std::chrono::hours(24 * 365);

  // REQUIRES: width is between kSlots nanoseconds and kMaxWidth.
  RollingWindow(Nanos width, TimePoint now) noexcept;

  // The number of the slot at `now`; for times more than a window before construction, one that
  // the window has forgotten.
  [[nodiscard]] std::uint64_t epoch(TimePoint now) const noexcept {
    // The division is only done for the first call of a slot.
    const std::uint64_t newest = newest_.load(std::memory_order_relaxed);
    const auto since = static_cast<std::uint64_t>(now.time_since_epoch().count()) - origin_;
    const std::uint64_t into = since - newest * slot_;
    return into < slot_ ? newest : divide(since);
  }

  // Counts one completed call, unless the window has forgotten `epoch` or cleared `generation`.
  void record(std::uint64_t epoch, std::uint64_t generation, bool failure, bool is_slow) noexcept {
    // The common case, in a slot that already counts for this epoch: one compare-and-swap.
    Word& slot = stripes_[thread_stripe()].calls[epoch % kSlots];
    std::uint64_t word = slot.load(std::memory_order_relaxed);
    if (!failure && !is_slow && epoch <= newest_.load(std::memory_order_relaxed) &&
        word >> kTagShift == tag_of(epoch, generation) && (word & kTopBits) == 0 &&
        slot.compare_exchange_strong(word, word + 1, std::memory_order_seq_cst,
                                     std::memory_order_relaxed)) [[likely]]
      return;
    record_any(epoch, generation, failure, is_slow);
  }
  // Puts counts into a slot, as record() would have.
  void restore(std::uint64_t epoch, std::uint64_t generation, const WindowCounts& counts) noexcept;

  // Whether a failure or a slow call was recorded within the window that ends at `epoch`. When two
  // threads record at once, at least the later one sees the other's failure: record() writes before
  // this reads, in one total order.
  [[nodiscard]] bool may_trip(std::uint64_t epoch) const noexcept {
    return last_failure_.load(std::memory_order_seq_cst) + kSlots > epoch ||
           last_slow_.load(std::memory_order_seq_cst) + kSlots > epoch;
  }
  [[nodiscard]] WindowCounts sum(std::uint64_t epoch, std::uint64_t generation) const noexcept;
  // The counts of one slot.
  [[nodiscard]] WindowCounts at(std::uint64_t epoch, std::uint64_t generation) const noexcept;
  // When the slot began, for export; may be before the clock's zero.
  [[nodiscard]] TimePoint begin_of(std::uint64_t epoch) const noexcept;

  // Forgets everything and starts to count for `generation`.
  void clear(std::uint64_t epoch, std::uint64_t generation) noexcept;

 private:
  using Word = std::atomic<std::uint64_t>;

  static constexpr std::uint64_t kFirst = 2 * kSlots;  // the epoch of construction

  static constexpr unsigned kCounterBits = 22;
  static constexpr unsigned kTagShift = 2 * kCounterBits;
  static constexpr unsigned kTagPartBits = 10;
  static constexpr std::uint64_t kCounterMask = (std::uint64_t{1} << kCounterBits) - 1;
  static constexpr std::uint64_t kTagPartMask = (std::uint64_t{1} << kTagPartBits) - 1;
  // Set in a counter that is half full; where none is, words can be added.
  static constexpr std::uint64_t kTopBits = (kCounterMask + 1) / 2 | (kCounterMask + 1) / 2
                                                                         << kCounterBits;

  [[nodiscard]] static constexpr std::uint64_t tag_of(std::uint64_t epoch,
                                                      std::uint64_t generation) noexcept {
    return (generation & kTagPartMask) << kTagPartBits | (epoch & kTagPartMask);
  }
  static constexpr bool later(std::uint64_t a, std::uint64_t b) noexcept;
  static constexpr bool newer_tag(std::uint64_t a, std::uint64_t b) noexcept;
  static constexpr std::uint64_t low(std::uint64_t word) noexcept { return word & kCounterMask; }
  static constexpr std::uint64_t high(std::uint64_t word) noexcept {
    return word >> kCounterBits & kCounterMask;
  }
  static constexpr std::uint64_t add_counts(std::uint64_t word, std::uint64_t more) noexcept;
  static constexpr bool in_window(std::uint64_t word, std::uint64_t epoch,
                                  std::uint64_t generation) noexcept;

  void record_any(std::uint64_t epoch, std::uint64_t generation, bool failure,
                  bool is_slow) noexcept;
  [[nodiscard]] std::uint64_t divide(std::uint64_t since) const noexcept;
  void advance(std::uint64_t epoch, std::uint64_t generation) noexcept;
  [[nodiscard]] bool clear_while(Word& slot, std::uint64_t cleared, std::uint64_t newest) noexcept;
  static void add(Word& slot, std::uint64_t tag, std::uint64_t counts) noexcept;

  [[nodiscard]] Word& slow(std::size_t index) noexcept {
    return stripes_[index % kStripes].slow[index / kStripes];
  }
  [[nodiscard]] const Word& slow(std::size_t index) const noexcept {
    return stripes_[index % kStripes].slow[index / kStripes];
  }

  // Each word: tag 20 bits (generation 10, epoch 10), then two counters of 22 bits: failures and
  // calls, or nothing and slow calls. A counter that is full stays so. Slow calls are counted once;
  // their words only lie where the stripes leave room.
  struct alignas(64) Stripe {
    std::array<Word, kSlots> calls;
    std::array<Word, kSlots / kStripes> slow;
  };
  std::array<Stripe, kStripes> stripes_;
  std::atomic<std::uint64_t> newest_{kFirst};
  std::atomic<std::uint64_t> last_failure_{0};  // epochs
  std::atomic<std::uint64_t> last_slow_{0};
  std::uint64_t slot_;    // its width in ns
  std::uint64_t origin_;  // when epoch 0 began, modulo 2^64
};

}  // namespace tyaprover::resilience
