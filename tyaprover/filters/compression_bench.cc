// What encoding costs by coding and level, per byte and per response, and how long one slice of it
// takes.
//
//   filters_bench --benchmark_filter=Encode
//
// R7.3 allows a millisecond per slice: see worst_slice_us, in CPU time.
#include <benchmark/benchmark.h>
#include <time.h>

#include <algorithm>
#include <chrono>
#include <random>
#include <string>

#include "bench/allocations.h"
#include "tyaprover/filters/compressed_body.h"
#include "tyaprover/http/worker.h"

namespace tyaprover::filters {
namespace {

// JSON as an API would send it.
std::string json_body(std::size_t size) {
  static constexpr std::string_view kWords[] = {"theme", "colour", "name",
                                                "value", "price",  "shoe"};
  std::mt19937 random(1);
  std::string body = "[";
  while (body.size() < size) {
    body += R"({"id":)" + std::to_string(random() % 1'000'000) + R"(,"kind":")";
    body += kWords[random() % std::size(kWords)];
    body += R"(","price":)" + std::to_string(random() % 10'000) + R"(.99,"tags":[")";
    body += kWords[random() % std::size(kWords)];
    body += R"("]},)";
  }
  body.resize(size);
  return body;
}

// Of this thread: others' work on the machine does not count.
Nanos cpu_time() noexcept {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return std::chrono::seconds(time.tv_sec) + Nanos(time.tv_nsec);
}

constexpr std::size_t kSlice = 16 * 1024;

// One response of 4 MiB, slice by slice as CompressedBody does it. Args: coding, level.
void encode_stream(benchmark::State& state) {
  const auto coding = static_cast<Coding>(state.range(0));
  const std::string body = json_body(4 << 20);
  std::string output(kSlice, '\0');
  CompressorPool pool;
  { const CompressorPtr warm = pool.acquire(coding, static_cast<int>(state.range(1))); }
  std::size_t encoded = 0;
  Nanos worst{};
  for (auto _ : state) {
    const CompressorPtr encoder = pool.acquire(coding, static_cast<int>(state.range(1)));
    std::string_view rest = body;
    encoded = 0;
    for (bool ended = false; !ended;) {
      const std::string_view slice = rest.substr(0, kSlice);
      const Nanos begin = cpu_time();
      const bool last = slice.size() == rest.size();
      const CompressorStep step = encoder->step(slice, output, last ? Flush::finish : Flush::none);
      worst = std::max(worst, cpu_time() - begin);
      rest.remove_prefix(step.consumed);
      encoded += step.produced;
      ended = last && step.complete;
    }
  }
  state.SetLabel(std::string(to_string(coding)));
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * body.size()));
  state.counters["ratio"] = static_cast<double>(encoded) / static_cast<double>(body.size());
  state.counters["worst_slice_us"] = std::chrono::duration<double, std::micro>(worst).count();
}
BENCHMARK(encode_stream)->Args({1, 6})->Args({2, 5})->Args({3, 3})->Unit(benchmark::kMillisecond);

// A reply of 4 KiB, encoded at once. Args: coding, level.
void encode_reply(benchmark::State& state) {
  const auto coding = static_cast<Coding>(state.range(0));
  const std::string body = json_body(4096);
  std::string output(4096, '\0');
  CompressorPool pool;
  const auto once = [&] {
    const CompressorPtr encoder = pool.acquire(coding, static_cast<int>(state.range(1)));
    benchmark::DoNotOptimize(encoder->step(body, output, Flush::finish));
  };
  once();
  once();
  const bench::AllocationCount count(state);
  for (auto _ : state) once();
  state.SetLabel(std::string(to_string(coding)));
}
BENCHMARK(encode_reply)->Args({1, 6})->Args({2, 5})->Args({3, 3});

// A body of 64 KiB through the wrapper, without waiting: what wrapping adds.
void encode_body(benchmark::State& state) {
  http::Worker worker(0);
  const auto pool = std::make_shared<CompressionPool>(worker);
  const std::string body = json_body(64 * 1024);
  const auto once = [&] {
    const http::BodyPtr wrapped =
        pool->wrap(body, nullptr, pool->compressors().acquire(Coding::zstd, 3));
    while (const auto piece = wrapped->poll()) {
      benchmark::DoNotOptimize(piece->data.data());
      if (piece->last) break;
    }
  };
  once();
  {
    const bench::AllocationCount count(state);
    for (auto _ : state) once();
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * body.size()));
}
BENCHMARK(encode_body);

void negotiate(benchmark::State& state) {
  constexpr Coding kOffer[] = {Coding::zstd, Coding::br, Coding::gzip};
  const bench::AllocationCount count(state);
  for (auto _ : state) {
    AcceptEncoding accept;
    accept.add("gzip, deflate, br;q=0.9, zstd;q=0.8");
    benchmark::DoNotOptimize(accept.choose(kOffer));
  }
}
BENCHMARK(negotiate);

}  // namespace
}  // namespace tyaprover::filters
