#include "tyaprover/cache/expiry_wheel.h"

#include <bit>
#include <cassert>

namespace tyaprover::cache {

ExpiryWheel::ExpiryWheel(TimePoint now) noexcept : tick_(tick_of(now.time_since_epoch().count())) {}

void ExpiryWheel::add(ExpiryHook& hook, TimePoint deadline) noexcept {
  assert(!hook.is_hooked());
  hook.deadline = deadline.time_since_epoch().count();
  link(hook);
}

void ExpiryWheel::link(ExpiryHook& hook) noexcept {
  const std::uint64_t tick = tick_of(hook.deadline);
  unsigned level = 0;
  unsigned slot = digit(0);
  if (tick > tick_) {
    level = (static_cast<unsigned>(std::bit_width(tick ^ tick_)) - 1) / kDigitBits;
    slot = static_cast<unsigned>(tick >> (level * kDigitBits)) & (kSlots - 1);
  }
  const unsigned at = level * kSlots + slot;
  hook.place = static_cast<std::uint16_t>(at + 1);
  hook.previous = nullptr;
  hook.next = slots_[at];
  if (hook.next != nullptr) hook.next->previous = &hook;
  slots_[at] = &hook;
  used_[level] |= std::uint64_t{1} << slot;
}

void ExpiryWheel::remove(ExpiryHook& hook) noexcept {
  if (!hook.is_hooked()) return;
  const unsigned at = hook.place - 1u;
  if (hook.next != nullptr) hook.next->previous = hook.previous;
  if (hook.previous != nullptr) {
    hook.previous->next = hook.next;
  } else {
    slots_[at] = hook.next;
    if (hook.next == nullptr) used_[at / kSlots] &= ~(std::uint64_t{1} << (at % kSlots));
  }
  hook.place = 0;
  hook.next = nullptr;
  hook.previous = nullptr;
}

// Moves down what lies in the slots that time has entered.
void ExpiryWheel::cascade(std::size_t& budget) noexcept {
  for (unsigned level = kLevels - 1; level > 0; --level) {
    const unsigned at = level * kSlots + digit(level);
    while (slots_[at] != nullptr && budget > 0) {
      ExpiryHook& hook = *slots_[at];
      remove(hook);
      link(hook);
      --budget;
    }
  }
}

// Moves time to the next slot in use, or to `to` when there is none before it. False when time
// stands there already.
bool ExpiryWheel::advance(std::uint64_t to) noexcept {
  if (tick_ >= to) return false;
  for (unsigned level = 0; level < kLevels; ++level) {
    const unsigned now = digit(level);
    // Slots behind the present one: those before it are empty.
    const std::uint64_t later = now == kSlots - 1 ? 0 : used_[level] >> (now + 1);
    if (later == 0) continue;
    const std::uint64_t slot = now + 1 + static_cast<unsigned>(std::countr_zero(later));
    const unsigned shift = level * kDigitBits;
    const std::uint64_t above = shift + kDigitBits < 64 ? tick_ >> (shift + kDigitBits) : 0;
    const std::uint64_t start = ((above << kDigitBits) | slot) << shift;
    if (start > to) break;
    tick_ = start;
    return true;
  }
  tick_ = to;
  return true;
}

ExpiryHook* ExpiryWheel::pop_due(TimePoint now, std::size_t& budget) noexcept {
  const std::int64_t at = now.time_since_epoch().count();
  const std::uint64_t to = tick_of(at);
  do {
    cascade(budget);
    // What is due in the present tick, though the tick is not over.
    for (ExpiryHook* hook = slots_[digit(0)]; hook != nullptr && budget > 0; hook = hook->next) {
      --budget;
      if (hook->deadline > at) continue;
      remove(*hook);
      return hook;
    }
    if (budget == 0) return nullptr;
  } while (advance(to));
  return nullptr;
}

}  // namespace tyaprover::cache
