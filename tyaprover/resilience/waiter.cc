#include "tyaprover/resilience/waiter.h"

#include <condition_variable>
#include <mutex>

namespace tyaprover::resilience {

bool SteadyWaiter::wait_until(TimePoint when, const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any never;
  std::unique_lock lock(mutex);
  never.wait_until(lock, stop, when, [] { return false; });
  return !stop.stop_requested();
}

SteadyWaiter& SteadyWaiter::instance() noexcept {
  static SteadyWaiter waiter;
  return waiter;
}

bool ManualWaiter::wait_until(TimePoint when, const std::stop_token& stop) {
  if (stop.stop_requested()) return false;
  if (when > clock_->now()) clock_->set(when);
  return true;
}

}  // namespace tyaprover::resilience
