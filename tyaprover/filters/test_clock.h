// For tests: a clock that a Worker can be given and that only the test moves.
//
// It stands a day ahead of the real one, so that the worker's own timer, which runs on real time,
// stays silent: tests call worker.timers().run(clock.now()) instead. Confined to one thread.
#pragma once

#include <chrono>

#include "tyaprover/base/clock.h"

namespace tyaprover::filters {

class TestClock final : public Clock {
 public:
  [[nodiscard]] TimePoint now() const noexcept override { return now_; }
  void advance(Nanos by) noexcept { now_ += by; }

 private:
  TimePoint now_ = SteadyClock::instance().now() + std::chrono::hours(24);
};

}  // namespace tyaprover::filters
