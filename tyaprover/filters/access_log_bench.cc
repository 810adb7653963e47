// What the filters that every request passes cost, and that they allocate nothing once they are
// warm.
//
//   filters_bench --benchmark_filter='Line|Push|RequestId|SecurityHeaders|AllFilters'
#include "tyaprover/filters/access_log.h"

#include <benchmark/benchmark.h>

#include <string>

#include "bench/allocations.h"
#include "tyaprover/filters/compression.h"
#include "tyaprover/filters/request_id.h"
#include "tyaprover/filters/route_settings.h"
#include "tyaprover/http/worker.h"

namespace tyaprover::filters {
namespace {

// As a browser's request would stand in it.
template <class AnyExchange>
void fill(AnyExchange& e, const RouteSettings& settings) {
  e.settings = &settings;
  e.request.method = "GET";
  e.request.method_id = http::Method::get;
  e.request.path = "/products/shoes";
  e.request.query = "size=42&colour=red&sort=price";
  e.request.has_query = true;
  e.request.authority = "shop.example.com";
  e.request.fields.add("User-Agent",
                       "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0");
  e.request.fields.add("Referer", "https://shop.example.com/products");
  e.client = "192.0.2.7";
  e.route = "/products";
  e.app = "shop";
  e.upstream = "http://127.0.0.1:8080";
  e.upstream_tries = 1;
  e.timings.head_parsed = e.worker.now();
  e.response.status = 200;
  e.response.fields.add(http::KnownField::content_type, "text/html; charset=utf-8");
  e.response.fields.add(http::KnownField::cache_control, "max-age=60");
}

struct Fixture {
  Fixture() { fill(exchange, settings); }
  http::Worker worker{0};
  RouteSettings settings;
  Exchange exchange{worker};
  AccessLogWriter writer{{.output = "/dev/null"}};
};

void json_line(benchmark::State& state) {
  Fixture f;
  f.exchange.request_id = "018f7e8e-9f0e-7cc3-b1d6-1a2b3c4d5e6f";
  const AccessLogOptions options;
  std::string line;
  line.reserve(4096);
  const auto wall = std::chrono::system_clock::now();
  {
    const bench::AllocationCount count(state);
    for (auto _ : state) {
      line.clear();
      append_log_line(line, f.exchange, options, f.worker.now(), wall);
      benchmark::DoNotOptimize(line.data());
    }
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * line.size()));
}
BENCHMARK(json_line);

void push(benchmark::State& state) {
  Fixture f;
  AccessLogWriter::Ring& ring = f.writer.add_ring(4 << 20);
  const std::string line(499, 'x');
  {
    const bench::AllocationCount count(state);
    for (auto _ : state) benchmark::DoNotOptimize(ring.push(line));
  }
  state.counters["dropped"] = static_cast<double>(ring.dropped());
}
BENCHMARK(push);

void access_log(benchmark::State& state) {
  Fixture f;
  AccessLog log(f.writer.add_ring(4 << 20), {});
  AccessLog::State s;
  log.on_finish(f.exchange, s);
  const bench::AllocationCount count(state);
  for (auto _ : state) log.on_finish(f.exchange, s);
}
BENCHMARK(access_log);

void request_id(benchmark::State& state) {
  Fixture f;
  RequestId filter;
  RequestId::State s;
  const auto once = [&] {
    f.exchange.request_id = {};
    f.exchange.arena.reset();
    benchmark::DoNotOptimize(filter.on_request(f.exchange, s));
    filter.on_response(f.exchange, s);
  };
  once();
  const bench::AllocationCount count(state);
  for (auto _ : state) once();
}
BENCHMARK(request_id);

void security_headers(benchmark::State& state) {
  Fixture f;
  SecurityHeaders filter;
  SecurityHeaders::State s;
  const auto once = [&] {
    f.exchange.response.fields.clear();
    f.exchange.response.fields.add(http::KnownField::content_type, "text/html; charset=utf-8");
    filter.on_response(f.exchange, s);
  };
  once();
  const bench::AllocationCount count(state);
  for (auto _ : state) once();
}
BENCHMARK(security_headers);

// The whole pipeline as the gateway builds it; Arg: whether the client asks for an encoding.
void all_filters(benchmark::State& state) {
  using All = Pipeline<RequestId, SecurityHeaders, Compression, AccessLog, RequestTimeout>;
  Fixture f;
  All pipeline(RequestId(), SecurityHeaders(), Compression(f.worker),
               AccessLog(f.writer.add_ring(4 << 20), {}), RequestTimeout());
  All::PipelineExchange exchange(f.worker);
  const std::string body(1000, 'b');
  f.settings.compression.threshold = 100;
  const auto once = [&] {
    exchange.reset();
    fill(exchange, f.settings);
    if (state.range(0) != 0)
      exchange.request.fields.add("Accept-Encoding", "gzip, deflate, br, zstd");
    benchmark::DoNotOptimize(pipeline.on_request(exchange));
    exchange.response.content = body;
    pipeline.on_response(exchange);
    pipeline.on_finish(exchange);
  };
  once();
  const bench::AllocationCount count(state);
  for (auto _ : state) once();
}
BENCHMARK(all_filters)->Arg(0)->Arg(1);

}  // namespace
}  // namespace tyaprover::filters
