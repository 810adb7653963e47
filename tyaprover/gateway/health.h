// Health: named checks, asked together, for /health and /health/ready (R8.1, R8.2).
//
// Thread-safe. Owns one thread per check, so that a check that blocks or hangs delays no other and
// no request; one that is still hanging is not started again. Results are kept for a second: probes
// are no load.
//
//   HealthChecks health;
//   health.add("database", {.required = true}, [] { return CheckResult{HealthStatus::healthy}; });
//   HealthReport report = health.report();
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "tyaprover/base/clock.h"

namespace tyaprover::gateway {

enum class HealthStatus : std::uint8_t { healthy, degraded, unhealthy };
[[nodiscard]] std::string_view to_string(HealthStatus status) noexcept;

struct CheckResult {
  HealthStatus status = HealthStatus::healthy;
  std::string detail;  // one sentence when it is not healthy
  // Figures shown with it: name and JSON value ("\"text\"", "12.5").
  std::vector<std::pair<std::string, std::string>> figures;
};

struct CheckOptions {
  bool required = false;  // readiness depends on it
  Nanos limit = std::chrono::seconds(5);
};

struct HealthReport {
  struct Check {
    std::string name;
    bool required = false;
    CheckResult result;
  };
  HealthStatus status =
      HealthStatus::healthy;  // the worst; a check that is not required only degrades
  std::vector<Check> checks;
};

class HealthChecks {
 public:
  explicit HealthChecks(const Clock& clock = SteadyClock::instance());
  // Checks that hang are left behind with what they hold; everything else is joined.
  ~HealthChecks();
  HealthChecks(const HealthChecks&) = delete;
  HealthChecks& operator=(const HealthChecks&) = delete;

  // What `check` throws makes it unhealthy. Names are unique; adding a name again throws
  // std::invalid_argument.
  void add(std::string name, CheckOptions options, std::function<CheckResult()> check);

  // Runs the checks, or gives the results of the last second. Blocks for the longest check's limit
  // at most.
  [[nodiscard]] HealthReport report();
  // The same without blocking: calls `done` on a thread of its own, or at once with kept results.
  void report_async(std::function<void(const HealthReport&)> done);

 private:
  struct Runner;

  [[nodiscard]] HealthReport run_all();
  void serve_async();

  const Clock& clock_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::shared_ptr<Runner>> runners_;
  HealthReport last_;
  TimePoint last_at_{};
  std::vector<std::function<void(const HealthReport&)>> waiting_;
  bool stop_ = false;
  std::mutex run_mutex_;  // one round of checks at a time
  struct Thread;
  std::unique_ptr<Thread> thread_;
};

}  // namespace tyaprover::gateway
