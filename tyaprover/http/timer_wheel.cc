#include "tyaprover/http/timer_wheel.h"

#include <algorithm>
#include <bit>

namespace tyaprover::http {

Timer::~Timer() {
  if (wheel_ != nullptr) TimerWheel::unlink(*this);
}

TimerWheel::TimerWheel(TimePoint now, std::function<void(TimePoint)> arm)
    : arm_(std::move(arm)), start_(now) {}

TimerWheel::~TimerWheel() {
  for (Timer* head : slots_) {
    while (head != nullptr) {
      Timer* const next = head->next_;
      head->wheel_ = nullptr;
      head = next;
    }
  }
}

// The first tick at or after `when`: a timer is never early.
std::uint64_t TimerWheel::tick_of(TimePoint when) const noexcept {
  if (when <= start_) return 0;
  return static_cast<std::uint64_t>((when - start_ + kTick - Nanos(1)) / kTick);
}

void TimerWheel::set(Timer& timer, TimePoint when) {
  timer.when_ = when;
  if (when == TimePoint::max()) return;
  std::uint64_t tick = std::max(tick_of(when), current_ + 1);
  tick = std::min(tick, current_ + kSlots - 1);  // farther ones are looked at again when that comes
  if (timer.wheel_ != nullptr) {
    if (timer.tick_ <= tick) return;
    unlink(timer);
  }
  link(timer, tick);
  if (tick < armed_tick_) {
    armed_tick_ = tick;
    arm_(start_ + static_cast<Nanos::rep>(tick) * kTick);
  }
}

void TimerWheel::link(Timer& timer, std::uint64_t tick) noexcept {
  const std::size_t slot = tick % kSlots;
  timer.wheel_ = this;
  timer.tick_ = tick;
  timer.prev_ = nullptr;
  timer.next_ = slots_[slot];
  if (timer.next_ != nullptr) timer.next_->prev_ = &timer;
  slots_[slot] = &timer;
  used_[slot / 64] |= std::uint64_t{1} << (slot % 64);
}

void TimerWheel::unlink(Timer& timer) noexcept {
  TimerWheel& wheel = *timer.wheel_;
  if (timer.prev_ != nullptr) {
    timer.prev_->next_ = timer.next_;
  } else {
    wheel.slots_[timer.tick_ % kSlots] = timer.next_;
  }
  if (timer.next_ != nullptr) timer.next_->prev_ = timer.prev_;
  timer.wheel_ = nullptr;
  timer.prev_ = timer.next_ = nullptr;
}

void TimerWheel::run(TimePoint now) {
  if (now < start_) return;
  armed_tick_ = UINT64_MAX;
  const auto last = static_cast<std::uint64_t>((now - start_) / kTick);
  // After a long pause every slot is due once; going round more often finds nothing new.
  if (last > current_ + kSlots) current_ = last - kSlots;
  while (current_ < last) {
    ++current_;
    const std::size_t slot = current_ % kSlots;
    // Each pass takes the head anew: a firing timer may destroy or set any other.
    while (Timer* const timer = slots_[slot]) {
      unlink(*timer);
      if (!timer->armed()) continue;
      if (timer->when_ > now) {
        set(*timer, timer->when_);
        continue;
      }
      timer->when_ = TimePoint::max();
      timer->fire_();
    }
    used_[slot / 64] &= ~(std::uint64_t{1} << (slot % 64));
  }
  arm_next();
}

// Arms for the first slot that may hold a timer.
void TimerWheel::arm_next() {
  const std::uint64_t first = current_ + 1;
  for (std::uint64_t tick = first; tick < first + kSlots;) {
    const std::size_t slot = tick % kSlots;
    const std::uint64_t word = used_[slot / 64] >> (slot % 64);
    if (word == 0) {
      tick += 64 - slot % 64;
      continue;
    }
    tick += static_cast<std::uint64_t>(std::countr_zero(word));
    if (slots_[tick % kSlots] == nullptr) {
      used_[tick % kSlots / 64] &= ~(std::uint64_t{1} << (tick % kSlots % 64));
      continue;
    }
    if (tick < armed_tick_) {
      armed_tick_ = tick;
      arm_(start_ + static_cast<Nanos::rep>(tick) * kTick);
    }
    return;
  }
}

}  // namespace tyaprover::http
