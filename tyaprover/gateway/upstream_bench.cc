// What breaker, health, balancing and retries cost a proxied request, beside the clock reads that
// it makes anyway (goal: 150 ns), and that they allocate nothing.
//
//   gateway_bench --benchmark_filter=upstream
#include <benchmark/benchmark.h>

#include <memory>
#include <string>

#include "bench/allocations.h"
#include "tyaprover/gateway/breakers.h"
#include "tyaprover/gateway/upstream.h"
#include "tyaprover/http/worker.h"

namespace tyaprover::gateway {
namespace {

// Three targets with weights, times and answers, as after some traffic.
struct Served {
  explicit Served(Balance balance) {
    app.name = "app";
    app.balance = balance;
    upstream = std::make_unique<WorkerUpstream>(worker, app, shared, http::ClientOptions{}, metrics,
                                                breakers, breakers.external_http());
    TargetList list;
    for (int i = 0; i < 3; ++i) {
      std::string problem;
      Target target;
      target.host = "127.0.0.1";
      target.port = static_cast<std::uint16_t>(1000 + i);
      const TargetList found = resolve_target(target, problem);
      list.insert(list.end(), found.begin(), found.end());
    }
    health = std::make_shared<PassiveHealth>(outlier_options({}), list, nullptr);
    upstream->update(health);
    for (int i = 0; i < 1000; ++i) {
      upstream->pick({}, i)->load.latency.observe(std::chrono::milliseconds(1 + i % 3),
                                                  worker.now());
    }
  }

  http::Worker worker{0};
  AppConfig app;
  SharedUpstream shared{app};
  metrics::Registry registry;
  UpstreamMetrics metrics{registry};
  Breakers breakers{Config{}, registry};
  std::shared_ptr<PassiveHealth> health;
  std::unique_ptr<WorkerUpstream> upstream;
};

// Arg: the balance.
void upstream_pick(benchmark::State& state) {
  Served served(static_cast<Balance>(state.range(0)));
  std::uint64_t key = 1;
  const bench::AllocationCount count(state);
  for (auto _ : state) {
    key += 0x9e3779b97f4a7c15;
    benchmark::DoNotOptimize(served.upstream->pick({}, key));
  }
}
BENCHMARK(upstream_pick)->ArgName("balance")->DenseRange(0, 3);

// Everything that a request without a failure meets: permit, budget, choice, measured time, passive
// health.
void upstream_request(benchmark::State& state) {
  Served served(Balance::p2c);
  const TimePoint now = served.worker.now();
  const bench::AllocationCount count(state);
  for (auto _ : state) {
    auto permit = served.breakers.external_http().try_acquire(now);
    const resilience::RetrySequence retries(served.shared.retries.options(), now);
    WorkerTarget* const target = served.upstream->pick({});
    target->load.latency.observe(std::chrono::milliseconds(1), now);
    benchmark::DoNotOptimize(
        target->standing.health->record(target->standing.number, false, now).has_value());
    permit->settle(resilience::Outcome::success, now);
    benchmark::DoNotOptimize(retries.retries());
  }
}
BENCHMARK(upstream_request);

void clock_read(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(SteadyClock::instance().now());
}
BENCHMARK(clock_read);

}  // namespace
}  // namespace tyaprover::gateway
