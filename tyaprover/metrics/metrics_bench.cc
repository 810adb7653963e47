// What recording and showing cost.
//
//   metrics_bench
//   compare_metrics      the same beside prometheus-cpp (bench/metrics_bench.cc)
//
// The names are those of bench/metrics_bench.cc, so that equal work stands under equal names. Look
// at the CPU column: it is the time of one thread per operation, however many there are.
#include <benchmark/benchmark.h>
#include <malloc.h>

#include <string>
#include <thread>
#include <vector>

#include "bench/allocations.h"
#include "tyaprover/metrics/registry.h"

namespace tyaprover::metrics {
namespace {

Registry& registry() {
  static Registry registry;
  return registry;
}

// One series for all threads, or one for each.
std::string series_of(const benchmark::State& state, bool own) {
  return own ? std::to_string(state.thread_index()) : "all";
}

void inc(benchmark::State& state, bool own) {
  Counter counter =
      registry().counter("inc_total", "Increments.", {"series"}).with({series_of(state, own)});
  counter.inc();
  const bench::AllocationCount none(state);
  for (auto _ : state) counter.inc();
}
BENCHMARK_CAPTURE(inc, tyaprover, false)->ThreadRange(1, 2);
BENCHMARK_CAPTURE(inc, tyaprover_own_series, true)->Threads(2);

void lookup_and_inc(benchmark::State& state) {
  auto& family = registry().counter("lookup_total", "Look-ups.", {"method", "route", "status"});
  for (int i = 0; i < 1000; ++i) family.with({"GET", "/apps" + std::to_string(i), "200"}).inc();
  const bench::AllocationCount none(state);
  for (auto _ : state) family.with({"GET", "/apps500", "200"}).inc();
}
BENCHMARK(lookup_and_inc)->Name("lookup_and_inc/tyaprover")->ThreadRange(1, 2);

void observe(benchmark::State& state, bool own) {
  Histogram histogram =
      registry()
          .histogram("observe_seconds", "Times.", {.labels = {"series"}, .durations = true})
          .with({series_of(state, own)});
  histogram.observe(Nanos(1));
  const bench::AllocationCount none(state);
  Nanos duration(1);
  for (auto _ : state) {
    histogram.observe(duration);
    duration = Nanos(duration.count() * 5 % 10'000'000'019);  // no order that could be foreseen
  }
}
BENCHMARK_CAPTURE(observe, tyaprover, false)->ThreadRange(1, 2);
BENCHMARK_CAPTURE(observe, tyaprover_own_series, true)->Threads(2);

void observe_native(benchmark::State& state) {
  Histogram histogram =
      registry()
          .histogram("observe_native_seconds", "Times.", {.native = true, .durations = true})
          .with({});
  Nanos duration(1);
  const auto next = [&] {
    histogram.observe(duration);
    duration = Nanos(duration.count() * 5 % 10'000'000'019);
  };
  for (int i = 0; i < 100'000; ++i) next();  // every octave has its cells
  const bench::AllocationCount none(state);
  for (auto _ : state) next();
}
BENCHMARK(observe_native)->Name("observe_native/tyaprover");

void page_of_10000_series(benchmark::State& state, std::string_view accept, bool histograms) {
  Registry many;
  for (int i = 0; i < 10'000; ++i) {
    const std::string route = "/apps" + std::to_string(i);
    const std::size_t limit = 10'000;
    if (histograms) {
      // 600 histograms of 17 lines are about as many series to Prometheus.
      if (i >= 600) break;
      many.histogram(
              "page_seconds", "Times.",
              {.labels = {"method", "route", "status"}, .durations = true, .max_series = limit})
          .with({"GET", route, "200"})
          .observe(Nanos(i));
      continue;
    }
    many.counter("page_total", "Counts.",
                 FamilyOptions{.labels = {"method", "route", "status"}, .max_series = limit})
        .with({"GET", route, "200"})
        .inc(static_cast<std::uint64_t>(i));
  }
  std::size_t bytes = 0;
  for (auto _ : state) {
    Page page = many.expose({.accept = accept});
    bytes = 0;
    for (auto chunk = page.next_chunk(); !chunk.empty(); chunk = page.next_chunk()) {
      bytes += chunk.size();
    }
  }
  state.counters["page_bytes"] = static_cast<double>(bytes);
}
BENCHMARK_CAPTURE(page_of_10000_series, tyaprover, "", false)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(page_of_10000_series, tyaprover_histograms, "", true)
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(page_of_10000_series, tyaprover_openmetrics,
                  "application/openmetrics-text;version=1.0.0", false)
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(
    page_of_10000_series, tyaprover_protobuf,
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited",
    false)
    ->Unit(benchmark::kMillisecond);

// Bytes of a thousand sets of labels in the four families of HTTP, each written by two threads.
void memory_of_1000_combinations(benchmark::State& state) {
  std::size_t bytes = 0;
  for (auto _ : state) {
    const std::size_t before = mallinfo2().uordblks;
    Registry many;
    const std::vector<std::string> labels = {"method", "route", "status"};
    auto& requests = many.counter("requests_total", "Requests.", {.labels = labels});
    auto& durations =
        many.histogram("duration_seconds", "Time.", {.labels = labels, .durations = true});
    const HistogramOptions sizes{.labels = labels, .buckets = bytes_buckets()};
    auto& received = many.histogram("received_bytes", "Sizes.", sizes);
    auto& sent = many.histogram("sent_bytes", "Sizes.", sizes);
    const auto work = [&] {
      for (int i = 0; i < 1000; ++i) {
        const std::string route = "/api/v1/apps" + std::to_string(i) + "/{name}";
        requests.with({"GET", route, "200"}).inc();
        durations.with({"GET", route, "200"}).observe(Nanos(7'000'000));
        received.with({"GET", route, "200"}).observe(100);
        sent.with({"GET", route, "200"}).observe(5000);
      }
    };
    work();
    std::thread(work).join();
    bytes = mallinfo2().uordblks - before;
  }
  state.counters["bytes"] = static_cast<double>(bytes);
}
// Once: cells that were used stay for the next registry.
BENCHMARK(memory_of_1000_combinations)
    ->Name("memory_of_1000_combinations/tyaprover")
    ->Iterations(1);

}  // namespace
}  // namespace tyaprover::metrics
