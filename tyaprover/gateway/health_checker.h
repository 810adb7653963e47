// HealthChecker: asks every target of the apps that want it whether it works, and lets all workers
// know (R35).
//
// One for the process, with a thread and an event loop of its own; one check per target, however
// many workers there are. Its verdict is the target's own state (upstream.h), which workers read at
// each choice; a target that was ejected for what it answered comes back early by passing (R30).
// update() and collect() are thread-safe.
//
//   HealthChecker checker(config);
//   checker.update(app, passive_health);      // whenever the addresses of an app change
#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <vector>

#include "tyaprover/gateway/config.h"
#include "tyaprover/gateway/passive_health.h"
#include "tyaprover/gateway/upstream.h"
#include "tyaprover/metrics/registry.h"

namespace tyaprover::gateway {

class HealthChecker {
 public:
  // Borrows the configuration. The thread starts with the first target to check.
  explicit HealthChecker(const Config& config);
  // Ends the checks that are under way.
  ~HealthChecker();
  HealthChecker(const HealthChecker&) = delete;
  HealthChecker& operator=(const HealthChecker&) = delete;

  // Of the app's new list of targets.
  void update(std::size_t app, const std::shared_ptr<PassiveHealth>& passive);
  // tyaprover_upstream_target_healthy of the checked targets.
  void collect(metrics::Collection& out);

 private:
  class Watch;
  struct Loop;

  void adopt(const AppConfig& app, const std::shared_ptr<PassiveHealth>& passive);
  void end();

  const Config& config_;
  std::mutex mutex_;                 // guards what follows
  std::vector<TargetList> targets_;  // by app; empty for those that are not checked
  std::unique_ptr<Loop> loop_;       // its parts belong to its thread
};

}  // namespace tyaprover::gateway
