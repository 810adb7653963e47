// What a span costs where it is made, and how many the exporter's thread gets rid of.
//
//   trace_bench
//
// Goals: start, ten attributes and end in 150 ns, 10 ns when the trace is not sampled, no
// allocation in either (a benchmark that allocates fails); 100 waiting spans in 50 KB.
#include <benchmark/benchmark.h>

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "bench/allocations.h"
#include "tyaprover/trace/batch_processor.h"
#include "tyaprover/trace/encode_jaeger.h"
#include "tyaprover/trace/encode_otlp.h"
#include "tyaprover/trace/encode_zipkin.h"
#include "tyaprover/trace/tracer.h"

namespace tyaprover::trace {
namespace {

using namespace std::chrono_literals;

// Takes everything and does nothing, so that the producing side is what is measured.
class Sink final : public SpanExporter {
 public:
  ExportResult export_spans(std::span<const SpanData> spans, TimePoint) override {
    taken_.fetch_add(spans.size(), std::memory_order_relaxed);
    return {};
  }
  [[nodiscard]] std::uint64_t taken() const noexcept { return taken_; }

 private:
  std::atomic<std::uint64_t> taken_{0};
};

// Encodes every batch as the exporter of that form would.
class EncodingSink final : public SpanExporter {
 public:
  ExportResult export_spans(std::span<const SpanData> spans, TimePoint) override {
    encode_otlp_protobuf(spans, body_);
    bytes_.fetch_add(body_.size(), std::memory_order_relaxed);
    return {};
  }
  [[nodiscard]] std::uint64_t bytes() const noexcept { return bytes_; }

 private:
  std::string body_;
  std::atomic<std::uint64_t> bytes_{0};
};

// The attributes of a server span: four texts that the request brings, the rest is known.
void set_ten_attributes(Span& span, const std::string& path) {
  span.set_attribute("http.request.method", "GET");
  span.set_attribute("url.path", path);
  span.set_attribute("url.scheme", "http");
  span.set_attribute("http.route", "/api/items/{id}");
  span.set_attribute("http.response.status_code", 200);
  span.set_attribute("server.address", std::string_view(path).substr(0, 9));
  span.set_attribute("server.port", 8080);
  span.set_attribute("client.address", std::string_view(path).substr(1, 9));
  span.set_attribute("network.protocol.version", "1.1");
  span.set_attribute("user_agent.original", std::string_view(path).substr(0, 20));
}

const std::string kPath = "/api/items/4711/details";

// Thread-safe initialisation, shared by the threads of a benchmark.
TracerProvider& sampled_provider() {
  static TracerProvider provider(
      {.processor = batch(std::make_shared<Sink>(), {.max_queue_size = 1 << 11})});
  return provider;
}

void sampled_span(benchmark::State& state) {
  const Tracer tracer = sampled_provider().tracer("bench");
  for (int i = 0; i < 3; ++i) {
    Span warm = tracer.start_span("GET /api/items/{id}", {.kind = SpanKind::server});
    set_ten_attributes(warm, kPath);
  }
  {
    const bench::AllocationCount count(state);
    for (auto _ : state) {
      Span span = tracer.start_span("GET /api/items/{id}", {.kind = SpanKind::server});
      set_ten_attributes(span, kPath);
    }
  }
  if (state.thread_index() == 0) {
    const ProcessorStats stats = sampled_provider().stats().processor;
    state.counters["dropped"] = static_cast<double>(stats.dropped());
  }
}
BENCHMARK(sampled_span)->Threads(1)->Threads(2)->UseRealTime();

void unsampled_span(benchmark::State& state) {
  static TracerProvider provider(
      {.sampler = parent_based(ratio(0)), .processor = batch(std::make_shared<Sink>())});
  const Tracer tracer = provider.tracer("bench");
  { Span warm = tracer.start_span("warm"); }
  const bench::AllocationCount count(state);
  for (auto _ : state) {
    Span span = tracer.start_span("GET /api/items/{id}", {.kind = SpanKind::server});
    benchmark::DoNotOptimize(span);
  }
}
BENCHMARK(unsampled_span)->Threads(1)->Threads(2)->UseRealTime();

// A span of a trace that came in unsampled.
void unsampled_child(benchmark::State& state) {
  static TracerProvider provider({.processor = batch(std::make_shared<Sink>())});
  const Tracer tracer = provider.tracer("bench");
  const SpanContext parent(make_trace_id(), make_span_id(), {}, true);
  { Span warm = tracer.start_span("warm", {.parent = parent}); }
  const bench::AllocationCount count(state);
  for (auto _ : state) {
    Span span = tracer.start_span("GET /api/items/{id}", {.parent = parent});
    benchmark::DoNotOptimize(span);
  }
}
BENCHMARK(unsampled_child)->Threads(1)->Threads(2)->UseRealTime();

// Not chosen at the start, recorded in memory, thrown away at the end.
void error_biased_span(benchmark::State& state) {
  static TracerProvider provider({.sampler = parent_based(error_biased({.base = 0})),
                                  .processor = batch(std::make_shared<Sink>())});
  const Tracer tracer = provider.tracer("bench");
  for (int i = 0; i < 3; ++i) Span warm = tracer.start_span("warm");
  const bench::AllocationCount count(state);
  for (auto _ : state) {
    Span span = tracer.start_span("GET /api/items/{id}", {.kind = SpanKind::server});
    set_ten_attributes(span, kPath);
  }
}
BENCHMARK(error_biased_span);

// Spans a second through the queue and the OTLP encoder, with none dropped: as fast as the slower
// of the two threads.
void spans_to_otlp(benchmark::State& state) {
  const auto sink = std::make_shared<EncodingSink>();
  TracerProvider provider({.processor = batch(sink, {.max_queue_size = 1 << 16})});
  const Tracer tracer = provider.tracer("bench");
  for (auto _ : state) {
    for (int i = 0; i < 10'000; ++i) {
      Span span = tracer.start_span("GET /api/items/{id}", {.kind = SpanKind::server});
      set_ten_attributes(span, kPath);
    }
    benchmark::DoNotOptimize(provider.flush(10s));
  }
  const ProcessorStats stats = provider.stats().processor;
  if (stats.dropped() > 0) state.SkipWithError("it drops");
  state.SetItemsProcessed(state.iterations() * 10'000);
  state.counters["bytes_per_span"] =
      static_cast<double>(sink->bytes()) / static_cast<double>(stats.exported);
}
BENCHMARK(spans_to_otlp)->UseRealTime()->Unit(benchmark::kMillisecond);

// Collects finished spans.
class Keeper final : public SpanExporter {
 public:
  ExportResult export_spans(std::span<const SpanData> spans, TimePoint) override {
    for (const SpanData& span : spans) kept.emplace_back(span);
    return {};
  }
  std::vector<OwnedSpan> kept;
};

std::vector<SpanData> hundred_spans(const std::shared_ptr<Keeper>& keeper) {
  TracerProvider provider({.processor = simple(keeper)});
  const Tracer tracer = provider.tracer("bench");
  for (int i = 0; i < 100; ++i) {
    Span span = tracer.start_span("GET /api/items/{id}", {.kind = SpanKind::server});
    set_ten_attributes(span, kPath);
  }
  std::vector<SpanData> spans;
  for (const OwnedSpan& each : keeper->kept) spans.push_back(*each);
  return spans;
}

// What 100 spans take while they wait.
void memory_of_100_waiting_spans(benchmark::State& state) {
  const auto keeper = std::make_shared<Keeper>();
  const std::vector<SpanData> spans = hundred_spans(keeper);
  std::size_t bytes = 0;
  for (auto _ : state) {
    bytes = 0;
    for (const SpanData& span : spans) bytes += packed_size(span).total + 8;
    benchmark::DoNotOptimize(bytes);
  }
  state.counters["bytes"] = static_cast<double>(bytes);
  if (bytes > 50 * 1000) state.SkipWithError("it is over 50 KB");
}
BENCHMARK(memory_of_100_waiting_spans);

template <class F>
void encode(benchmark::State& state, F encoder) {
  const auto keeper = std::make_shared<Keeper>();
  const std::vector<SpanData> spans = hundred_spans(keeper);
  std::string body;
  for (auto _ : state) encoder(spans, body);
  state.SetItemsProcessed(state.iterations() * 100);
  state.counters["bytes_per_span"] = static_cast<double>(body.size()) / 100;
}
BENCHMARK_CAPTURE(encode, otlp_protobuf, encode_otlp_protobuf);
BENCHMARK_CAPTURE(encode, otlp_json, encode_otlp_json);
BENCHMARK_CAPTURE(encode, zipkin, encode_zipkin);
BENCHMARK_CAPTURE(encode, jaeger_thrift, encode_jaeger);

}  // namespace
}  // namespace tyaprover::trace
