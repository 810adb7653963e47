// Tracing: a server span for every request, and its context for those behind and before us.
//
// HttpTracing is shared by all workers and thread-safe; Tracing is one worker's filter. The span
// stands in the exchange (`current_span()`), so the handler at the centre can add events to it and
// make children of it. Nothing implicit is set: several requests wait at once on one worker.
//
//   HttpTracing tracing(provider.tracer("tyaprover"), {});
//   Pipeline<Tracing, …> pipeline(Tracing(tracing), …);
//   …
//   exchange.current_span().add_event("retry", {{"reason", "reset"}});
#pragma once

#include <cstdint>
#include <string_view>

#include "tyaprover/filters/pipeline.h"
#include "tyaprover/trace/propagation.h"
#include "tyaprover/trace/tracer.h"

namespace tyaprover::filters {

// Whose traceparent is believed. From others it begins a new trace with a link to theirs.
enum class TraceTrust { always, trusted_proxies, never };
// Names of the attributes: OpenTelemetry's stable ones, the seed's (`http.method`, `http.url`,
// `http.status_code`, `http.target`), or both.
enum class Semconv { stable, seed, both };

struct HttpTracingOptions {
  trace::Propagators propagators = trace::kDefaultPropagators;
  TraceTrust trust = TraceTrust::always;
  bool response_header = true;  // the response carries traceparent
  Semconv semconv = Semconv::stable;
  bool query = true;  // false: url.query is written as "***"
};

// Of a route.
struct TracingOptions {
  bool enabled = true;
  bool operator==(const TracingOptions&) const = default;
};

class HttpTracing {
 public:
  // The provider behind the tracer must outlive it.
  HttpTracing(trace::Tracer tracer, HttpTracingOptions options)
      : tracer_(tracer), options_(options) {}

  [[nodiscard]] const trace::Tracer& tracer() const noexcept { return tracer_; }
  [[nodiscard]] const HttpTracingOptions& options() const noexcept { return options_; }

 private:
  const trace::Tracer tracer_;
  const HttpTracingOptions options_;
};

class Tracing {
 public:
  struct State {};

  // Null: no tracing at all, and fields of traces pass through as they are.
  explicit Tracing(const HttpTracing* tracing) : tracing_(tracing) {}

  Verdict on_request(Exchange& exchange, State& state) noexcept;
  void on_response(Exchange& exchange, State& state) noexcept;
  void on_finish(Exchange& exchange, State& state) noexcept;

 private:
  const HttpTracing* tracing_;
};

// One try of a request to an upstream.
struct UpstreamTry {
  std::string_view host;   // name or address, or the path of a unix socket
  std::uint16_t port = 0;  // 0: a unix socket
  unsigned resend = 0;     // how many tries came before
};
// A client span, child of the exchange's span; one that keeps nothing if that one does not.
[[nodiscard]] trace::Span start_upstream_span(const HttpTracing& tracing, Exchange& exchange,
                                              const UpstreamTry& to);
// What became of it: a status, or a reason without one. Does not end the span.
void describe_upstream_answer(const HttpTracing& tracing, trace::Span& span, int status,
                              http::Reason reason) noexcept;

}  // namespace tyaprover::filters
