// GracefulShutdown: what has to be done, in which order, before the process may end (R9.1).
//
// Thread-safe. Handlers run on threads of their own, one after the other, in reverse order of
// registration: what was set up last is taken down first. One that takes longer than its limit is
// left behind.
//
//   GracefulShutdown shutdown;
//   shutdown.on_shutdown("flush-traces", [&] { provider.flush(5s); });
//   auto outcomes = shutdown.run_handlers(deadline);
#pragma once

#include <chrono>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include "tyaprover/base/clock.h"

namespace tyaprover::gateway {

class GracefulShutdown {
 public:
  struct HandlerOutcome {
    std::string name;
    bool in_time = false;
    std::string error;  // what the handler threw
  };

  void on_shutdown(std::string name, std::function<void()> handler,
                   Nanos limit = std::chrono::seconds(10));

  // Runs every handler once; a second call runs those registered since. No handler may run past
  // `until`.
  std::vector<HandlerOutcome> run_handlers(std::chrono::steady_clock::time_point until);

 private:
  struct Handler {
    std::string name;
    std::function<void()> run;
    Nanos limit{};
  };
  std::mutex mutex_;
  std::vector<Handler> handlers_;
};

}  // namespace tyaprover::gateway
