// What circuit breakers do, as metrics, span events and log lines.
//
// Thread-safe. observe_breakers() watches all breakers of a registry, those that are there and
// those that will be registered. Both registries must outlive the calls through the breakers and
// the scrapes. A call that passes costs its histogram's observation; all else is read at the
// scrape.
//
//   telemetry::observe_breakers(
//       resilience::circuit_breaker_registry(), metrics::default_registry(),
//       {.on_transition = [](const auto& event) { log(telemetry::transition_json(event)); }});
//
// The metrics: circuit_breaker_state{name,state}, circuit_breaker_calls_total{name,outcome},
// circuit_breaker_transitions_total{name,from,to}, circuit_breaker_call_duration_seconds{name},
// circuit_breaker_failure_ratio{name}, circuit_breaker_in_flight{name}.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "tyaprover/metrics/registry.h"
#include "tyaprover/resilience/breaker_registry.h"
#include "tyaprover/trace/span.h"

namespace tyaprover::telemetry {

struct BreakerTelemetryOptions {
  // Called for each transition, on the thread that caused it, in their order.
  std::function<void(const resilience::TransitionEvent&)> on_transition = nullptr;
  // The span that gets an event for a transition, or null; absent: that of the innermost
  // trace::Scope.
  std::function<trace::Span*()> span = nullptr;
};

// REQUIRES: once per registry of metrics. Throws std::invalid_argument when that has the
// histogram's name for something else.
void observe_breakers(resilience::BreakerRegistry& breakers, metrics::Registry& metrics,
                      BreakerTelemetryOptions options = {});

// "a circuit breaker opened"; lives for ever.
[[nodiscard]] std::string_view transition_message(
    const resilience::TransitionEvent& event) noexcept;
// One JSON object with the message and what had been counted, for a log of lines.
[[nodiscard]] std::string transition_json(const resilience::TransitionEvent& event);

}  // namespace tyaprover::telemetry
