// ExpiryWheel: gives back what has expired without touching what has not.
//
// Not thread-safe: it is a part of a stripe and guarded by its lock. Intrusive: it owns nothing, an
// entry carries its own hook and is unhooked before it dies. Adding and removing are a few stores;
// the work of time passing is done in portions that the caller bounds.
//
//   wheel.add(entry.hook, deadline);
//   while (ExpiryHook* due = wheel.pop_due(clock.now(), budget)) remove(entry_of(due));
//
// Hierarchical: level l has 64 slots of 64^l ticks. An entry lies on the level of the highest
// six-bit digit in which its deadline differs from the present tick, in the slot that this digit
// names; when time enters the slot, its entries move down. Bitmaps of the slots in use let time
// jump over emptiness, however long nobody looked.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "tyaprover/base/clock.h"

namespace tyaprover::cache {

struct ExpiryHook {
  ExpiryHook* next = nullptr;
  ExpiryHook* previous = nullptr;
  std::int64_t deadline = 0;  // nanoseconds of the clock's scale
  std::uint16_t place = 0;    // slot + 1; 0: not in the wheel

  [[nodiscard]] bool is_hooked() const noexcept { return place != 0; }
};

class ExpiryWheel {
 public:
  explicit ExpiryWheel(TimePoint now) noexcept;
  ExpiryWheel(const ExpiryWheel&) = delete;
  ExpiryWheel& operator=(const ExpiryWheel&) = delete;

  // REQUIRES: the hook is not in a wheel.
  void add(ExpiryHook& hook, TimePoint deadline) noexcept;
  // Does nothing for a hook that is not in the wheel.
  void remove(ExpiryHook& hook) noexcept;

  // Unhooks and returns an entry whose deadline is not after `now`; null when there is none, or
  // when the budget, which each step from entry to entry makes smaller, is used up.
  ExpiryHook* pop_due(TimePoint now, std::size_t& budget) noexcept;

 private:
  static constexpr unsigned kDigitBits = 6;
  static constexpr unsigned kSlots = 1u << kDigitBits;
  static constexpr unsigned kTickBits = 24;  // a tick is 2^24 ns: 16.8 ms
  // Enough for every positive 64-bit number of nanoseconds.
  static constexpr unsigned kLevels = (63 - kTickBits + kDigitBits - 1) / kDigitBits;

  static std::uint64_t tick_of(std::int64_t nanos) noexcept {
    return nanos < 0 ? 0 : static_cast<std::uint64_t>(nanos) >> kTickBits;
  }
  [[nodiscard]] unsigned digit(unsigned level) const noexcept {
    return static_cast<unsigned>(tick_ >> (level * kDigitBits)) & (kSlots - 1);
  }
  void link(ExpiryHook& hook) noexcept;
  void cascade(std::size_t& budget) noexcept;
  bool advance(std::uint64_t to) noexcept;

  std::uint64_t tick_;
  std::array<std::uint64_t, kLevels> used_{};
  std::array<ExpiryHook*, kLevels * kSlots> slots_{};
};

}  // namespace tyaprover::cache
