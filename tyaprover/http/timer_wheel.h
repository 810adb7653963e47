// TimerWheel: the timeouts of one worker's connections, cheap to move.
//
// Confined to one worker. A Timer is embedded in its owner and removes itself when destroyed.
// Deadlines are met up to one tick (10 ms) late, never early. Setting a timer that is already in
// the wheel to a later time only writes one number: the wheel looks again when the old time comes.
// A connection that moves its deadline for every request therefore costs nothing per request.
//
//   Timer timer([&] { stream.close(); });
//   wheel.set(timer, worker.now() + 10s);
//   timer.cancel();
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>

#include "tyaprover/base/clock.h"

namespace tyaprover::http {

class TimerWheel;

class Timer {
 public:
  explicit Timer(std::function<void()> fire) : fire_(std::move(fire)) {}
  ~Timer();
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  // It will not fire until set again.
  void cancel() noexcept { when_ = TimePoint::max(); }
  [[nodiscard]] bool armed() const noexcept { return when_ != TimePoint::max(); }

 private:
  friend class TimerWheel;
  std::function<void()> fire_;
  TimePoint when_ = TimePoint::max();
  TimerWheel* wheel_ = nullptr;  // set while linked
  std::uint64_t tick_ = 0;       // of the slot it is linked in
  Timer* prev_ = nullptr;
  Timer* next_ = nullptr;
};

class TimerWheel {
 public:
  static constexpr Nanos kTick = std::chrono::milliseconds(10);

  // `arm` is called when run() must be called earlier than was last asked for.
  TimerWheel(TimePoint now, std::function<void(TimePoint)> arm);
  ~TimerWheel();
  TimerWheel(const TimerWheel&) = delete;
  TimerWheel& operator=(const TimerWheel&) = delete;

  // Fires `timer` once at `when`; TimePoint::max() cancels.
  void set(Timer& timer, TimePoint when);
  // Fires what is due and arms for what is next. Timers may set, cancel and destroy timers while
  // they fire.
  void run(TimePoint now);

 private:
  friend class Timer;
  static constexpr std::size_t kSlots = 1024;  // a horizon of 10 s; later deadlines go round again

  void link(Timer& timer, std::uint64_t tick) noexcept;
  static void unlink(Timer& timer) noexcept;
  void arm_next();
  [[nodiscard]] std::uint64_t tick_of(TimePoint when) const noexcept;

  std::function<void(TimePoint)> arm_;
  TimePoint start_;
  std::uint64_t current_ = 0;  // every slot up to this tick has been run
  std::uint64_t armed_tick_ = UINT64_MAX;
  std::array<Timer*, kSlots> slots_{};             // heads of doubly linked lists
  std::array<std::uint64_t, kSlots / 64> used_{};  // a bit per slot that may hold a timer
};

}  // namespace tyaprover::http
