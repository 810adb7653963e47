// Breakers: the gateway's circuit breakers, what is told about them, and the passive health of each
// app's targets.
//
// Thread-safe; made before the workers, shared by them, and outlives them. There is one breaker per
// app, `upstream:<app>`; `docker-api` and `external-http` are around the gateway's own calls (R38);
// `test` exists outside production (R41). A transition is one log line, and an event of the span of
// the request that caused it (R39).
//
//   Breakers breakers(config, registry);
//   auto permit = breakers.upstream(app).try_acquire(worker.now());
#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "tyaprover/filters/pipeline.h"
#include "tyaprover/gateway/config.h"
#include "tyaprover/gateway/health.h"
#include "tyaprover/gateway/passive_health.h"
#include "tyaprover/metrics/registry.h"
#include "tyaprover/resilience/breaker_registry.h"

namespace tyaprover::gateway {

// The library's options for an app's breaker.
[[nodiscard]] resilience::CircuitBreakerOptions breaker_options(const AppConfig& app);

// Opens, closes or resets it; false for any other action. REQUIRES: nobody isolates it.
bool move_by_hand(resilience::CircuitBreaker& breaker, std::string_view action);

class Breakers {
 public:
  Breakers(const Config& config, metrics::Registry& metrics);
  Breakers(const Breakers&) = delete;
  Breakers& operator=(const Breakers&) = delete;

  [[nodiscard]] resilience::CircuitBreaker& upstream(std::size_t app) noexcept {
    return *upstreams_[app].breaker;
  }
  [[nodiscard]] resilience::CircuitBreaker& external_http() noexcept { return *external_http_; }
  // Null in production.
  [[nodiscard]] resilience::CircuitBreaker* test() noexcept { return test_.get(); }
  [[nodiscard]] resilience::BreakerRegistry& registry() noexcept { return registry_; }

  // The passive health of an app's new list of targets. To be called by one thread at a time.
  std::shared_ptr<PassiveHealth> targets_changed(std::size_t app, const TargetList& targets);
  // Logs and counts an ejection.
  void note_ejection(std::string_view app, const PassiveHealth& health,
                     const PassiveHealth::Ejection& ejection);
  // Compares the targets of each app; to be run every ten seconds.
  void compare_targets(TimePoint now);

  // Degraded, never unhealthy, while one is open; that of the tests aside.
  [[nodiscard]] CheckResult check() const;

 private:
  struct Upstream {
    std::string app;
    resilience::OutlierOptions outliers;
    std::shared_ptr<resilience::CircuitBreaker> breaker;
    std::shared_ptr<PassiveHealth> health;  // guarded by mutex_
  };

  [[nodiscard]] std::shared_ptr<PassiveHealth> health_of(const Upstream& upstream) const;
  void collect(metrics::Collection& out) const;

  metrics::CounterFamily& ejections_;
  resilience::BreakerRegistry registry_;
  std::shared_ptr<resilience::CircuitBreaker> external_http_;
  std::shared_ptr<resilience::CircuitBreaker> test_;
  mutable std::mutex mutex_;
  std::vector<Upstream> upstreams_;  // by app
};

// While it lives, transitions that this thread causes are events of the exchange's span.
class CausedBy {
 public:
  // Null: nobody's.
  explicit CausedBy(filters::Exchange* exchange) noexcept;
  ~CausedBy();
  CausedBy(const CausedBy&) = delete;
  CausedBy& operator=(const CausedBy&) = delete;

 private:
  filters::Exchange* const outer_;
};

}  // namespace tyaprover::gateway
