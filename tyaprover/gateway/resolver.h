// Resolver: keeps the addresses of every app's targets current, off the worker threads (R6.7).
//
// Owns one thread, which starts with the first name that needs it. `publish` is called on that
// thread, or on the constructor's for the first lists; it gets a whole new list per app. A lookup
// that fails keeps what was known and is logged once until it works again.
//
//   Resolver resolver(config, [&](std::size_t app, const TargetList& list) { … });
#pragma once

#include <condition_variable>
#include <cstddef>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "tyaprover/gateway/config.h"
#include "tyaprover/gateway/upstream.h"

namespace tyaprover::gateway {

class Resolver {
 public:
  using Publish = std::function<void(std::size_t app, const TargetList& targets)>;

  // Looks everything up once, before it returns. Borrows the configuration.
  Resolver(const Config& config, Publish publish);
  ~Resolver();
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

 private:
  static constexpr std::chrono::seconds kInterval{30};

  void refresh();
  void run();

  const Config& config_;
  const Publish publish_;
  std::map<std::string, TargetList> known_;  // by target URL
  std::map<std::string, bool> failing_;
  std::vector<TargetList> published_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace tyaprover::gateway
