// The work of tyaprover/metrics/metrics_bench.cc, done by prometheus-cpp. Both are in one program,
// compare_metrics, so that they are measured in the same minute on the same machine.
#include <benchmark/benchmark.h>
#include <malloc.h>
#include <prometheus/counter.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <string>
#include <thread>

namespace {

using prometheus::BuildCounter;
using prometheus::BuildHistogram;

const prometheus::Histogram::BucketBoundaries kSeconds = {.005, .01, .025, .05, .075, .1,  .25,
                                                          .5,   .75, 1,    2.5, 5,    7.5, 10};
const prometheus::Histogram::BucketBoundaries kBytes = {1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8};

prometheus::Registry& registry() {
  static prometheus::Registry registry;
  return registry;
}

std::string series_of(const benchmark::State& state, bool own) {
  return own ? std::to_string(state.thread_index()) : "all";
}

void inc(benchmark::State& state, bool own) {
  auto& counter = BuildCounter()
                      .Name("inc_total")
                      .Help("Increments.")
                      .Register(registry())
                      .Add({{"series", series_of(state, own)}});
  for (auto _ : state) counter.Increment();
}
BENCHMARK_CAPTURE(inc, prometheus_cpp, false)->ThreadRange(1, 2);
BENCHMARK_CAPTURE(inc, prometheus_cpp_own_series, true)->Threads(2);

void lookup_and_inc(benchmark::State& state) {
  auto& family = BuildCounter().Name("lookup_total").Help("Look-ups.").Register(registry());
  for (int i = 0; i < 1000; ++i) {
    family.Add({{"method", "GET"}, {"route", "/apps" + std::to_string(i)}, {"status", "200"}})
        .Increment();
  }
  for (auto _ : state) {
    family.Add({{"method", "GET"}, {"route", "/apps500"}, {"status", "200"}}).Increment();
  }
}
BENCHMARK(lookup_and_inc)->Name("lookup_and_inc/prometheus_cpp")->ThreadRange(1, 2);

void observe(benchmark::State& state, bool own) {
  auto& histogram = BuildHistogram()
                        .Name("observe_seconds")
                        .Help("Times.")
                        .Register(registry())
                        .Add({{"series", series_of(state, own)}}, kSeconds);
  std::int64_t nanos = 1;
  for (auto _ : state) {
    histogram.Observe(static_cast<double>(nanos) * 1e-9);
    nanos = nanos * 5 % 10'000'000'019;
  }
}
BENCHMARK_CAPTURE(observe, prometheus_cpp, false)->ThreadRange(1, 2);
BENCHMARK_CAPTURE(observe, prometheus_cpp_own_series, true)->Threads(2);

void page_of_10000_series(benchmark::State& state) {
  prometheus::Registry many;
  auto& family = BuildCounter().Name("page_total").Help("Counts.").Register(many);
  for (int i = 0; i < 10'000; ++i) {
    family.Add({{"method", "GET"}, {"route", "/apps" + std::to_string(i)}, {"status", "200"}})
        .Increment(i);
  }
  const prometheus::TextSerializer serializer;
  std::size_t bytes = 0;
  for (auto _ : state) bytes = serializer.Serialize(many.Collect()).size();
  state.counters["page_bytes"] = static_cast<double>(bytes);
}
BENCHMARK(page_of_10000_series)
    ->Name("page_of_10000_series/prometheus_cpp")
    ->Unit(benchmark::kMillisecond);

void memory_of_1000_combinations(benchmark::State& state) {
  std::size_t bytes = 0;
  for (auto _ : state) {
    const std::size_t before = mallinfo2().uordblks;
    prometheus::Registry many;
    auto& requests = BuildCounter().Name("requests_total").Help("Requests.").Register(many);
    auto& durations = BuildHistogram().Name("duration_seconds").Help("Time.").Register(many);
    auto& received = BuildHistogram().Name("received_bytes").Help("Sizes.").Register(many);
    auto& sent = BuildHistogram().Name("sent_bytes").Help("Sizes.").Register(many);
    const auto work = [&] {
      for (int i = 0; i < 1000; ++i) {
        const prometheus::Labels labels = {
            {"method", "GET"},
            {"route", "/api/v1/apps" + std::to_string(i) + "/{name}"},
            {"status", "200"}};
        requests.Add(labels).Increment();
        durations.Add(labels, kSeconds).Observe(0.007);
        received.Add(labels, kBytes).Observe(100);
        sent.Add(labels, kBytes).Observe(5000);
      }
    };
    work();
    std::thread(work).join();
    bytes = mallinfo2().uordblks - before;
  }
  state.counters["bytes"] = static_cast<double>(bytes);
}
BENCHMARK(memory_of_1000_combinations)
    ->Name("memory_of_1000_combinations/prometheus_cpp")
    ->Iterations(1);

}  // namespace
