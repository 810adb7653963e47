// Settings of tracing from environment variables: OpenTelemetry's and TRACE_*.
//
// A pure function of what `get` returns, thread-safe. A bad value never stops a program: the
// default is used and a warning says so; a program that checks its configuration takes the warnings
// for errors.
//
//   const TraceSettings settings = read_trace_environment(
//       [](std::string_view name) -> std::optional<std::string> { … getenv … });
//   for (const auto& warning : settings.warnings) log(warning.variable, warning.message);
//   TracerProvider provider({.resource = settings.resource, .sampler =
//   make_sampler(settings.sampler), …});
//
// Read: TRACE_SAMPLE_RATE, TRACE_EXPORTER_ENDPOINT, TRACE_EXPORTER_PROTOCOL, NODE_ENV,
// OTEL_SDK_DISABLED, OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES, OTEL_TRACES_SAMPLER(_ARG),
// OTEL_PROPAGATORS, OTEL_TRACES_EXPORTER, OTEL_EXPORTER_OTLP_(TRACES_)ENDPOINT, …_PROTOCOL,
// …_HEADERS, …_TIMEOUT, …_COMPRESSION, OTEL_BSP_*, OTEL_SPAN_*, OTEL_EVENT_*, OTEL_LINK_* and
// OTEL_ATTRIBUTE_* limits.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tyaprover/trace/batch_processor.h"
#include "tyaprover/trace/endpoint.h"
#include "tyaprover/trace/http_exporter.h"
#include "tyaprover/trace/propagation.h"
#include "tyaprover/trace/sampler.h"
#include "tyaprover/trace/tracer.h"

namespace tyaprover::trace {

enum class SamplerKind : std::uint8_t {
  always_on,
  always_off,
  traceidratio,
  parentbased_always_on,
  parentbased_always_off,
  parentbased_traceidratio,
};
// As OTEL_TRACES_SAMPLER writes it.
[[nodiscard]] std::string_view to_string(SamplerKind kind) noexcept;

struct SamplerSettings {
  SamplerKind kind = SamplerKind::parentbased_always_on;
  double ratio = 1;  // for the two kinds with one
};
[[nodiscard]] SamplerPtr make_sampler(const SamplerSettings& settings);
// The share of the traces begun here that this sampler chooses.
[[nodiscard]] double chosen_share(const SamplerSettings& settings) noexcept;

enum class ExporterKind : std::uint8_t { none, console, http };
[[nodiscard]] std::string_view to_string(ExporterKind kind) noexcept;

struct EnvironmentWarning {
  std::string variable;
  std::string value;
  std::string message;  // what is wrong and what is used instead, as a clause
};

struct TraceSettings {
  bool disabled = false;
  Resource resource;  // service.name first, if it is set
  SamplerSettings sampler;
  Propagators propagators = kDefaultPropagators;
  ExporterKind exporter = ExporterKind::none;
  std::optional<Endpoint> endpoint;  // set exactly for ExporterKind::http
  std::string endpoint_variable;     // where the choice came from, for the log; empty = nowhere
  HttpHeaders headers;
  bool compress = true;
  BatchOptions batch;
  SpanLimits limits;
  std::vector<EnvironmentWarning> warnings;
};

using GetVariable = std::function<std::optional<std::string>(std::string_view name)>;
// An empty variable counts as unset, as the standard says.
[[nodiscard]] TraceSettings read_trace_environment(const GetVariable& get);

// What sends spans where the settings say: to the console each at once, over `transport` in
// batches; null for nowhere. Throws like HttpSpanExporter.
[[nodiscard]] SpanProcessorPtr make_processor(const TraceSettings& settings,
                                              const DefaultHttpTransport& transport);

}  // namespace tyaprover::trace
