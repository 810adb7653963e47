// For benchmarks: how many times this thread has called operator new.
#pragma once

#include <benchmark/benchmark.h>

#include <cstddef>

namespace tyaprover::bench {

[[nodiscard]] std::size_t allocations() noexcept;

// Reports the calls of operator new per iteration; a benchmark of a hot path fails when there are
// any.
class AllocationCount {
 public:
  explicit AllocationCount(benchmark::State& state) noexcept
      : state_(state), before_(allocations()) {}
  ~AllocationCount() {
    const std::size_t made = allocations() - before_;
    state_.counters["allocations"] =
        benchmark::Counter(static_cast<double>(made), benchmark::Counter::kAvgIterations);
    if (made > 0) state_.SkipWithError("it allocates");
  }
  AllocationCount(const AllocationCount&) = delete;
  AllocationCount& operator=(const AllocationCount&) = delete;

 private:
  benchmark::State& state_;
  std::size_t before_;
};

}  // namespace tyaprover::bench
