// What tracing a proxied request costs on its worker: the filter, the span of one try of the
// upstream with its fields, and what both say at the end. The exporter's thread is not counted: see
// trace_bench, and bench/feature_cost for the whole program.
//
//   filters_bench --benchmark_filter=TraceRequest
//
// The goals are 2 µs with every request sampled and 0.5 µs with every tenth, and no allocation.
#include <benchmark/benchmark.h>

#include <array>
#include <memory>

#include "bench/allocations.h"
#include "tyaprover/filters/pipeline.h"
#include "tyaprover/filters/route_settings.h"
#include "tyaprover/filters/tracing.h"
#include "tyaprover/http/worker.h"
#include "tyaprover/trace/batch_processor.h"

namespace tyaprover::filters {
namespace {

class Sink final : public trace::SpanExporter {
 public:
  trace::ExportResult export_spans(std::span<const trace::SpanData>, TimePoint) override {
    return {};
  }
};

// Args: enabled, percent sampled.
void trace_request(benchmark::State& state) {
  trace::TracerProvider provider(
      {.sampler = trace::parent_based(trace::ratio(static_cast<double>(state.range(1)) / 100)),
       .processor = trace::batch(std::make_shared<Sink>())});
  const HttpTracing tracing(provider.tracer("bench"), {});
  const bool enabled = state.range(0) != 0;
  Pipeline<Tracing> pipeline{Tracing(enabled ? &tracing : nullptr)};
  http::Worker worker(0);
  const RouteSettings settings;
  Pipeline<Tracing>::PipelineExchange e(worker);

  const auto request = [&] {
    e.reset();
    e.settings = &settings;
    e.route = "/api/v1/apps/{name}";
    e.client = "203.0.113.7";
    e.request.method = "GET";
    e.request.method_id = http::Method::get;
    e.request.path = "/api/v1/apps/shop";
    e.request.origin_form = "/api/v1/apps/shop?full=true";
    e.request.query = "full=true";
    e.request.has_query = true;
    e.request.authority = "shop.example.com";
    e.request.fields.add("Host", "shop.example.com");
    e.request.fields.add("User-Agent", "Mozilla/5.0 (X11; Linux x86_64)");
    e.request.fields.add("Accept", "application/json");
    e.request.fields.add("Accept-Encoding", "gzip, br");
    benchmark::DoNotOptimize(pipeline.on_request(e));
    if (enabled) {
      e.upstream_span = start_upstream_span(tracing, e, {.host = "10.0.0.7", .port = 8080});
      const trace::Context context(e.upstream_span.context());
      trace::InjectedFields(context, tracing.options().propagators)
          .for_each([](std::string_view name, std::string_view value) {
            benchmark::DoNotOptimize(name);
            benchmark::DoNotOptimize(value);
          });
      describe_upstream_answer(tracing, e.upstream_span, 200, http::Reason::none);
    }
    e.response.status = 200;
    pipeline.on_response(e);
    pipeline.on_finish(e);
  };
  for (int i = 0; i < 10'000; ++i) request();
  const bench::AllocationCount count(state);
  for (auto _ : state) request();
}
BENCHMARK(trace_request)
    ->Name("TraceRequest")
    ->ArgNames({"enabled", "percent"})
    ->Args({0, 0})
    ->Args({1, 0})
    ->Args({1, 10})
    ->Args({1, 100});

}  // namespace
}  // namespace tyaprover::filters
