// UpstreamMetrics: what the gateway asked of each target and what came of it.
//
// Thread-safe. One for all workers; it outlives the TargetMetrics it makes, each of which belongs
// to one worker. Counting takes no lock and does not allocate once a result was seen.
//
//   UpstreamMetrics metrics(registry);
//   TargetMetrics target = metrics.target("shop", "10.0.0.1:8080", pool.counters());
//   target.finished(200, Reason::none, time);
#pragma once

#include <array>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tyaprover/http/client.h"
#include "tyaprover/http/reason.h"
#include "tyaprover/metrics/registry.h"

namespace tyaprover::gateway {

class UpstreamMetrics;

// One target of one worker.
class TargetMetrics {
 public:
  // A try ended: with a response of this status, or with a reason and none. `waited` is the time
  // from the connection to the response's first byte; negative if none came.
  void finished(int status, http::Reason reason, Nanos waited) noexcept;

 private:
  friend class UpstreamMetrics;
  TargetMetrics(const UpstreamMetrics& metrics, std::string app, std::string target);

  static constexpr std::size_t kStatusClasses = 5;

  const UpstreamMetrics* metrics_;
  std::string app_;
  std::string target_;
  metrics::Histogram first_byte_;
  std::array<metrics::Counter, kStatusClasses> by_class_;
  std::array<bool, kStatusClasses> class_seen_{};
  std::vector<std::pair<http::Reason, metrics::Counter>> by_reason_;
};

class UpstreamMetrics {
 public:
  explicit UpstreamMetrics(metrics::Registry& registry);

  [[nodiscard]] std::unique_ptr<TargetMetrics> target(
      std::string_view app, std::string_view target,
      std::shared_ptr<const http::PoolCounters> pool);

 private:
  friend class TargetMetrics;
  using Place = std::pair<std::string, std::string>;  // app, target
  struct Pool {
    Place place;
    std::shared_ptr<const http::PoolCounters> counters;
  };
  // Sums over the workers' pools of a target.
  struct Sums {
    std::uint64_t created = 0;
    std::uint64_t reused = 0;
    std::uint64_t idle = 0;
    std::uint64_t in_use = 0;
  };
  void collect(metrics::Collection& out);

  metrics::CounterFamily& requests_;
  metrics::HistogramFamily& first_byte_;

  std::mutex mutex_;  // guards what follows
  std::vector<Pool> pools_;
  std::map<Place, Sums> gone_;  // what pools that are no more have counted
};

}  // namespace tyaprover::gateway
