// What the other policies cost on a request's way, and that they allocate nothing.
//
//   resilience_bench --benchmark_filter=policy
#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "bench/allocations.h"
#include "tyaprover/resilience/bulkhead.h"
#include "tyaprover/resilience/consistent_hash.h"
#include "tyaprover/resilience/outlier_ejection.h"
#include "tyaprover/resilience/rate_limiter.h"
#include "tyaprover/resilience/retry_budget.h"

namespace tyaprover::resilience {
namespace {

using namespace std::chrono_literals;

void policy_bulkhead(benchmark::State& state) {
  Bulkhead bulkhead({.limit = 10});
  const bench::AllocationCount count(state);
  for (auto _ : state) benchmark::DoNotOptimize(bulkhead.try_acquire().has_value());
}
BENCHMARK(policy_bulkhead);

void policy_token_bucket(benchmark::State& state) {
  TokenBucket limiter({.limit = 1'000'000'000, .period = 1s});
  TimePoint now = SteadyClock::instance().now();
  const bench::AllocationCount count(state);
  for (auto _ : state) benchmark::DoNotOptimize(limiter.try_acquire(now += 10ns).has_value());
}
BENCHMARK(policy_token_bucket);

void policy_sliding_window(benchmark::State& state) {
  SlidingWindow limiter({.limit = 1'000'000'000, .period = 1s});
  TimePoint now = SteadyClock::instance().now();
  const bench::AllocationCount count(state);
  for (auto _ : state) benchmark::DoNotOptimize(limiter.try_acquire(now += 10ns).has_value());
}
BENCHMARK(policy_sliding_window);

void policy_retry_budget_request(benchmark::State& state) {
  RetryBudget budget;
  TimePoint now = SteadyClock::instance().now();
  const bench::AllocationCount count(state);
  for (auto _ : state) budget.on_request(now += 1us);
}
BENCHMARK(policy_retry_budget_request);

void policy_outlier_success(benchmark::State& state) {
  OutlierEjection ejection({}, 4);
  const TimePoint now = SteadyClock::instance().now();
  const bench::AllocationCount count(state);
  for (auto _ : state) benchmark::DoNotOptimize(ejection.record(1, false, now).has_value());
}
BENCHMARK(policy_outlier_success);

// Arg: how many targets.
void policy_consistent_hash(benchmark::State& state) {
  const auto n = static_cast<std::size_t>(state.range(0));
  std::vector<ConsistentHash::Target> targets;
  for (std::size_t i = 0; i < n; ++i) targets.push_back({"10.0.0." + std::to_string(i)});
  const ConsistentHash ring(targets);
  const std::vector<std::uint32_t> load(n, 3);
  const std::string key = "8f14e45fceea167a5a36dedd4bea2543";
  const bench::AllocationCount count(state);
  for (auto _ : state) {
    benchmark::DoNotOptimize(ring.pick(hash_key(key), load, [](std::size_t) { return true; }));
  }
}
BENCHMARK(policy_consistent_hash)->Arg(3)->Arg(50);

}  // namespace
}  // namespace tyaprover::resilience
