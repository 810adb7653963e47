// UpstreamCheck: whether every app has a target that accepts connections, for readiness (R1.4,
// R8.1).
//
// Thread-safe. run() connects to each known address and hangs up; it blocks for two seconds at
// most. Of targets with active checks it asks their health instead.
//
//   health.add("upstreams", {.required = true}, [&] { return check.run(); });
#pragma once

#include <mutex>
#include <vector>

#include "tyaprover/gateway/config.h"
#include "tyaprover/gateway/health.h"
#include "tyaprover/gateway/upstream.h"

namespace tyaprover::gateway {

class UpstreamCheck {
 public:
  // Borrows the configuration, which is complete when run() or update() is called first.
  explicit UpstreamCheck(const Config& config) : config_(config) {}

  void update(std::size_t app, const TargetList& targets);
  // Unhealthy: an app has no target that accepts. Degraded: some configured target accepts on no
  // address.
  [[nodiscard]] CheckResult run();

 private:
  const Config& config_;
  std::mutex mutex_;
  std::vector<TargetList> targets_;  // by app
};

}  // namespace tyaprover::gateway
