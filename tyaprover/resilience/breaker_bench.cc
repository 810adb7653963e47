// What a circuit breaker costs a call, and that it allocates nothing.
//
//   resilience_bench --benchmark_filter=breaker
//
// The clock is read twice per admitted call and once per rejected one; the benchmarks whose name
// ends in _clock include that, the others pass the time in. tests/node/breaker_bench.mjs measures
// the same calls with opossum and cockatiel.
#include <benchmark/benchmark.h>

#include "bench/allocations.h"
#include "tyaprover/resilience/circuit_breaker.h"

namespace tyaprover::resilience {
namespace {

using namespace std::chrono_literals;

void breaker_admitted(benchmark::State& state) {
  CircuitBreaker breaker({.name = "bench"});
  state.counters["bytes"] = static_cast<double>(sizeof(CircuitBreaker));
  const TimePoint now = SteadyClock::instance().now();
  const bench::AllocationCount count(state);
  for (auto _ : state) {
    auto permit = breaker.try_acquire(now);
    permit->settle(Outcome::success, now);
  }
}
BENCHMARK(breaker_admitted);

// While the window holds a failure every outcome adds up the window.
void breaker_admitted_after_a_failure(benchmark::State& state) {
  CircuitBreaker breaker({.name = "bench"});
  const TimePoint now = SteadyClock::instance().now();
  breaker.try_acquire(now)->settle(Outcome::failure, now);
  const bench::AllocationCount count(state);
  for (auto _ : state) {
    auto permit = breaker.try_acquire(now);
    permit->settle(Outcome::success, now);
  }
}
BENCHMARK(breaker_admitted_after_a_failure);

void breaker_admitted_clock(benchmark::State& state) {
  CircuitBreaker breaker({.name = "bench"});
  const bench::AllocationCount count(state);
  for (auto _ : state) {
    auto permit = breaker.try_acquire();
    permit->success();
  }
}
BENCHMARK(breaker_admitted_clock);

void breaker_execute_clock(benchmark::State& state) {
  CircuitBreaker breaker({.name = "bench"});
  int calls = 0;
  const bench::AllocationCount count(state);
  for (auto _ : state) benchmark::DoNotOptimize(breaker.execute([&] { return ++calls; }));
}
BENCHMARK(breaker_execute_clock);

void breaker_failing(benchmark::State& state) {
  CircuitBreaker breaker(
      {.name = "bench", .failure_threshold = 0, .error_threshold_percentage = std::nullopt});
  const TimePoint now = SteadyClock::instance().now();
  const bench::AllocationCount count(state);
  for (auto _ : state) {
    auto permit = breaker.try_acquire(now);
    permit->settle(Outcome::failure, now);
  }
}
BENCHMARK(breaker_failing);

void breaker_rejected(benchmark::State& state) {
  CircuitBreaker breaker({.name = "bench"});
  breaker.open(1h);
  const TimePoint now = SteadyClock::instance().now();
  const bench::AllocationCount count(state);
  for (auto _ : state) benchmark::DoNotOptimize(breaker.try_acquire(now).has_value());
}
BENCHMARK(breaker_rejected);

void breaker_rejected_execute_clock(benchmark::State& state) {
  CircuitBreaker breaker({.name = "bench"});
  breaker.open(1h);
  const bench::AllocationCount count(state);
  for (auto _ : state) benchmark::DoNotOptimize(breaker.execute([] { return 1; }).has_value());
}
BENCHMARK(breaker_rejected_execute_clock);

// Half-open, and the only trial is taken.
void breaker_rejected_half_open(benchmark::State& state) {
  CircuitBreaker breaker({.name = "bench"});
  breaker.open(1h);
  benchmark::DoNotOptimize(breaker.half_open());
  const TimePoint now = SteadyClock::instance().now();
  const auto trial = breaker.try_acquire(now);
  const bench::AllocationCount count(state);
  for (auto _ : state) benchmark::DoNotOptimize(breaker.try_acquire(now).has_value());
}
BENCHMARK(breaker_rejected_half_open);

// One breaker, several threads that do nothing but call through it.
CircuitBreaker& shared_breaker() {
  static CircuitBreaker breaker({.name = "shared"});
  return breaker;
}
void breaker_shared(benchmark::State& state) {
  CircuitBreaker& breaker = shared_breaker();
  const TimePoint now = SteadyClock::instance().now();
  for (auto _ : state) {
    auto permit = breaker.try_acquire(now);
    permit->settle(Outcome::success, now);
  }
}
BENCHMARK(breaker_shared)->Threads(1)->Threads(2)->UseRealTime();

void clock_read(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(SteadyClock::instance().now());
}
BENCHMARK(clock_read);

}  // namespace
}  // namespace tyaprover::resilience
