// Tracing without a gateway, a collector or any other library: spans of a small program on the
// console, and the context that one process hands to the next.
#include <chrono>
#include <cstdio>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "tyaprover/trace/propagation.h"
#include "tyaprover/trace/trace_context.h"
#include "tyaprover/trace/tracer.h"

namespace trace = tyaprover::trace;

namespace {

int query_database(const trace::Tracer& tracer) {
  trace::Span span = tracer.start_span(
      "database-query", {.kind = trace::SpanKind::client,
                         .attributes = {{"db.system", "postgresql"}, {"db.operation", "SELECT"}}});
  try {
    span.add_event("retry", {{"n", 1}});
    throw std::runtime_error("connection lost");
  } catch (const std::exception& error) {
    span.record_exception(error);
    span.set_status(trace::SpanStatus::error, error.what());
  }
  return 0;
}

// What would be sent with a request to another service.
std::string call_service(const trace::Tracer& tracer) {
  trace::Span span = tracer.start_http_client_span("GET", "http://inventory:8080/items");
  std::string traceparent = trace::TraceContext::format(span.context());
  span.set_attribute("http.response.status_code", 200);
  return traceparent;
}

// The other service's side: its span belongs to the same trace.
void serve(const trace::Tracer& tracer, std::string_view traceparent) {
  trace::Extractor extractor(trace::kDefaultPropagators);
  extractor.field("traceparent", traceparent);
  const trace::Extracted parent = extractor.finish();
  trace::Span span =
      tracer.start_span("GET /items", {.parent = parent.context, .kind = trace::SpanKind::server});
}

}  // namespace

int main() {
  using namespace std::chrono_literals;
  trace::TracerProvider& provider = trace::TracerProvider::instance();
  provider.set_exporter(trace::ConsoleSpanExporter{});
  const trace::Tracer& tracer = trace::global_tracer();

  auto traced = tracer.trace_async("expensive-operation",
                                   [&](int input) { return input + query_database(tracer); },
                                   {.attributes = {{"operation.type", "computation"}}});

  const std::string traceparent = tracer.trace_call("request", [&] {
    traced(42);
    return call_service(tracer);
  });
  serve(tracer, traceparent);

  const trace::FlushResult left = provider.shutdown(1s);
  std::printf("%llu spans, %llu dropped\n",
              static_cast<unsigned long long>(provider.stats().processor.exported),
              static_cast<unsigned long long>(left.dropped));
  return 0;
}
