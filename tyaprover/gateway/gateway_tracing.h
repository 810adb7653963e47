// GatewayTracing: the gateway's tracer provider, as the configuration and OTEL_* variables want it.
//
// Thread-safe; made before the workers, and outlives them. Spans are queued per worker and sent by
// a thread of their own; the last traces are also kept in memory for GET /api/v1/traces.
//
//   GatewayTracing tracing(config, breakers.external_http());
//   Tracing filter(tracing.http());
//   …
//   tracing.shutdown(5s);
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "tyaprover/filters/tracing.h"
#include "tyaprover/gateway/config.h"
#include "tyaprover/gateway/health.h"
#include "tyaprover/metrics/registry.h"
#include "tyaprover/resilience/circuit_breaker.h"
#include "tyaprover/trace/environment.h"
#include "tyaprover/trace/recent_traces.h"
#include "tyaprover/trace/tracer.h"

namespace tyaprover::gateway {

// The settings of tracing: the configuration's, which a file or TRACE_* variables made, over those
// of OTEL_* variables (T43, T44).
[[nodiscard]] trace::TraceSettings trace_settings(const Config& config,
                                                  const trace::GetVariable& environment);

class GatewayTracing {
 public:
  // Logs where spans go, and what is wrong with a variable. Borrows the breaker, through which
  // spans are sent.
  GatewayTracing(const Config& config, resilience::CircuitBreaker& external_http);

  // Null when tracing is off.
  [[nodiscard]] const filters::HttpTracing* http() const noexcept {
    return http_ ? &*http_ : nullptr;
  }
  // Null when none are kept.
  [[nodiscard]] const trace::RecentTraces* recent() const noexcept { return recent_.get(); }

  void collect(metrics::Collection& out) const;
  // Degraded, never unhealthy, while the collector takes nothing (T34).
  [[nodiscard]] CheckResult check() const;
  // Sends what is queued, within `timeout`.
  trace::FlushResult shutdown(Nanos timeout);

 private:
  std::string destination_;  // for people
  std::shared_ptr<trace::RecentTraces> recent_;
  std::shared_ptr<const trace::ErrorBiasedSampler> biased_;
  std::optional<trace::TracerProvider> provider_;
  std::optional<filters::HttpTracing> http_;
};

}  // namespace tyaprover::gateway
