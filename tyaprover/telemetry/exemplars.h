// Exemplars of the active span: what metrics ask of tracing.
//
// After connect_exemplars(), an observation made inside a trace::Scope whose span is sampled
// carries that trace's ids as its exemplar, unless the caller gave one. Costs a thread-local read
// where there is none. Process-wide; call it once at the start.
//
//   telemetry::connect_exemplars();
//   const trace::Scope scope(span);
//   latency.observe(0.3);   // # {trace_id="…",span_id="…"} on the OpenMetrics page
#pragma once

namespace tyaprover::telemetry {

void connect_exemplars() noexcept;

}  // namespace tyaprover::telemetry
