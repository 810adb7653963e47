#include "tyaprover/gateway/shutdown.h"

#include <algorithm>
#include <condition_variable>
#include <memory>
#include <thread>
#include <utility>

namespace tyaprover::gateway {

void GracefulShutdown::on_shutdown(std::string name, std::function<void()> handler, Nanos limit) {
  const std::lock_guard lock(mutex_);
  handlers_.push_back({std::move(name), std::move(handler), limit});
}

std::vector<GracefulShutdown::HandlerOutcome> GracefulShutdown::run_handlers(
    std::chrono::steady_clock::time_point until) {
  std::vector<Handler> handlers;
  {
    const std::lock_guard lock(mutex_);
    handlers.swap(handlers_);
  }
  std::reverse(handlers.begin(), handlers.end());

  // Shared with the handler's thread, which is left behind when the handler hangs.
  struct Run {
    std::mutex mutex;
    std::condition_variable changed;
    bool done = false;
    std::string error;
  };
  std::vector<HandlerOutcome> outcomes;
  for (Handler& handler : handlers) {
    auto run = std::make_shared<Run>();
    std::thread([run, work = std::move(handler.run)] {
      std::string error;
      try {
        work();
      } catch (const std::exception& e) {
        error = e.what();
      } catch (...) {
        error = "unknown exception";
      }
      const std::lock_guard lock(run->mutex);
      run->done = true;
      run->error = std::move(error);
      run->changed.notify_all();
    }).detach();
    const auto deadline = std::min(until, std::chrono::steady_clock::now() + handler.limit);
    std::unique_lock lock(run->mutex);
    const bool in_time = run->changed.wait_until(lock, deadline, [&] { return run->done; });
    outcomes.push_back({std::move(handler.name), in_time, run->error});
  }
  return outcomes;
}

}  // namespace tyaprover::gateway
