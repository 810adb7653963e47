// What measuring a request costs: the whole filter, on and off, with and without native buckets.
//
//   filters_bench --benchmark_filter=MeasureRequest
//
// The goal is 150 ns per request, and no allocation.
#include <benchmark/benchmark.h>

#include "bench/allocations.h"
#include "tyaprover/filters/metrics.h"
#include "tyaprover/filters/route_settings.h"
#include "tyaprover/http/worker.h"

namespace tyaprover::filters {
namespace {

// Args: enabled, native buckets, sampled.
void measure_request(benchmark::State& state) {
  metrics::Registry registry;
  const HttpMetrics http(registry, {.native = state.range(1) != 0});
  Pipeline<Metrics> pipeline{Metrics(http)};
  http::Worker worker(0);
  RouteSettings settings;
  settings.metrics.enabled = state.range(0) != 0;
  Pipeline<Metrics>::PipelineExchange exchange(worker);
  exchange.settings = &settings;
  exchange.route = "/api/v1/apps/{name}";
  exchange.request.method_id = http::Method::get;
  exchange.response.status = 200;
  exchange.bytes_in = 300;
  exchange.trace_id = "0af7651916cd43dd8448eb211c80319c";
  exchange.span_id = "b7ad6b7169203331";
  exchange.trace_sampled = state.range(2) != 0;
  exchange.timings.head_parsed = worker.now();
  exchange.entered = 1;
  const auto finish = [&](std::uint64_t round) {
    exchange.bytes_out = round % 100'000;
    exchange.timings.last_byte =
        exchange.timings.head_parsed + std::chrono::microseconds(round * 7 % 5000);
    pipeline.on_finish(exchange);
  };
  std::uint64_t round = 0;
  for (; round < 10'000; ++round) finish(round);  // every bucket is there from now on
  const bench::AllocationCount count(state);
  for (auto _ : state) finish(++round);
}
BENCHMARK(measure_request)
    ->Name("MeasureRequest")
    ->ArgNames({"enabled", "native", "sampled"})
    ->Args({0, 0, 0})
    ->Args({1, 0, 0})
    ->Args({1, 1, 0})
    ->Args({1, 1, 1});

}  // namespace
}  // namespace tyaprover::filters
