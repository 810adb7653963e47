// What a look-up, a write and an eviction cost, with how many threads, and that a hit allocates
// nothing. tests/node/cache_bench.mjs prints lru-cache and node-cache beside it.
//
//   cache_bench --benchmark_repetitions=5 --benchmark_report_aggregates_only
#include <benchmark/benchmark.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "bench/allocations.h"
#include "tyaprover/cache/cache.h"
#include "tyaprover/cache/lru_cache.h"
#include "tyaprover/cache/reuse.h"

namespace tyaprover::cache {
namespace {

constexpr std::size_t kEntries = 32 << 10;

// 24 bytes each.
std::string key_of(std::size_t i) {
  std::string key = "key:0000000000000000000";
  const std::string digits = std::to_string(i);
  key.replace(key.size() - digits.size(), digits.size(), digits);
  return key + 'k';
}

// The keys in an order of their own, so that neither table nor keys are walked in a row.
const std::vector<std::string>& shuffled_keys() {
  static const std::vector<std::string> keys = [] {
    std::vector<std::string> made;
    for (std::size_t i = 0; i < kEntries; ++i) made.push_back(key_of(i));
    std::shuffle(made.begin(), made.end(), std::mt19937(1));
    // Copied after shuffling: their bytes lie in the order in which they are asked for.
    return std::vector<std::string>(made);
  }();
  return keys;
}

using Numbers = Cache<std::string, std::uint64_t>;

void fill(Numbers& cache, Nanos ttl) {
  for (std::size_t i = 0; i < kEntries; ++i) cache.set(key_of(i), i, {.ttl = ttl});
}

// Arg: lifetime in seconds; 0: for ever, which needs no clock.
void get_hit(benchmark::State& state) {
  static Numbers* cache = nullptr;
  const Nanos ttl = state.range(0) == 0 ? kForever : Nanos(std::chrono::seconds(state.range(0)));
  if (state.thread_index() == 0) {
    cache = new Numbers({.max_entries = kEntries * 2});
    fill(*cache, ttl);
  }
  const auto& keys = shuffled_keys();
  // Threads walk the same keys from different ends of the list.
  std::size_t i = static_cast<std::size_t>(state.thread_index()) * (kEntries / 2);
  if (state.thread_index() == 0) {
    for (const std::string& key : keys) benchmark::DoNotOptimize(cache->get(key));
  }
  (void)detail::thread_number();  // once per thread, and it allocates
  {
    const bench::AllocationCount count(state);
    for (auto _ : state) benchmark::DoNotOptimize(cache->get(keys[i++ % kEntries]));
  }
  state.SetItemsProcessed(state.iterations());
  if (state.thread_index() == 0) {
    const auto stats = cache->stats();
    if (stats.misses > 0) state.SkipWithError("it misses");
    delete cache;
  }
}
BENCHMARK(get_hit)->Arg(0)->Arg(3600)->UseRealTime();
BENCHMARK(get_hit)->Arg(0)->Threads(2)->UseRealTime();

// Shows the value in place.
void visit_hit(benchmark::State& state) {
  Cache<std::string, std::shared_ptr<const std::string>> cache({.max_entries = kEntries * 2});
  const auto body = std::make_shared<const std::string>(1024, 'x');
  for (std::size_t i = 0; i < kEntries; ++i) cache.set(key_of(i), body);
  const auto& keys = shuffled_keys();
  std::size_t i = 0;
  const bench::AllocationCount count(state);
  for (auto _ : state) {
    cache.visit(keys[i++ % kEntries],
                [](const auto& value) { benchmark::DoNotOptimize(value->data()); });
  }
}
BENCHMARK(visit_hit);

void get_miss(benchmark::State& state) {
  Numbers cache({.max_entries = kEntries * 2});
  fill(cache, kForever);
  std::vector<std::string> absent;
  for (std::size_t i = 0; i < kEntries; ++i) absent.push_back(key_of(i + 1'000'000));
  std::size_t i = 0;
  const bench::AllocationCount count(state);
  for (auto _ : state) benchmark::DoNotOptimize(cache.get(absent[i++ % kEntries]));
}
BENCHMARK(get_miss);

// Every set makes room: four times as many keys as entries, in a row.
void set_with_eviction(benchmark::State& state) {
  static Numbers* cache = nullptr;
  if (state.thread_index() == 0) cache = new Numbers({.max_entries = kEntries});
  static const std::vector<std::string> keys = [] {
    std::vector<std::string> made;
    for (std::size_t i = 0; i < kEntries * 4; ++i) made.push_back(key_of(i));
    return made;
  }();
  std::size_t i = static_cast<std::size_t>(state.thread_index()) * kEntries * 2;
  for (auto _ : state) {
    benchmark::DoNotOptimize(cache->set(keys[i % keys.size()], i));
    ++i;
  }
  state.SetItemsProcessed(state.iterations());
  if (state.thread_index() == 0) delete cache;
}
BENCHMARK(set_with_eviction)->UseRealTime();
BENCHMARK(set_with_eviction)->Threads(2)->UseRealTime();

void lru_get_hit(benchmark::State& state) {
  LruCache<std::string, std::uint64_t> cache({.max_size = kEntries, .ttl = kForever});
  for (std::size_t i = 0; i < kEntries; ++i) cache.set(key_of(i), i);
  const auto& keys = shuffled_keys();
  std::size_t i = 0;
  const bench::AllocationCount count(state);
  for (auto _ : state) benchmark::DoNotOptimize(cache.get(keys[i++ % kEntries]));
}
BENCHMARK(lru_get_hit);

// The rules of a fresh hit: a browser's request against a stored response.
void decide_fresh(benchmark::State& state) {
  const std::vector<HeaderField> request = {{"Host", "shop.example.com"},
                                            {"User-Agent", "Mozilla/5.0 (X11; Linux x86_64)"},
                                            {"Accept", "text/html,application/xhtml+xml"},
                                            {"Accept-Language", "en-US,en;q=0.5"},
                                            {"Accept-Encoding", "gzip, deflate, br"},
                                            {"Cookie", "session=0123456789abcdef"}};
  const Freshness stored =
      evaluate_freshness(200, {{"Cache-Control", "max-age=60"}}, ExchangeTimes{});
  const bench::AllocationCount count(state);
  for (auto _ : state) {
    const ClientControl client = client_control(request);
    benchmark::DoNotOptimize(decide_reuse(client, stored, std::chrono::seconds(5)));
  }
}
BENCHMARK(decide_fresh);

}  // namespace
}  // namespace tyaprover::cache
