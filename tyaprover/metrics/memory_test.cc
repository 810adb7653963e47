// What series cost, and that those which come and go leave nothing behind.
#include <gtest/gtest.h>
#include <malloc.h>

#include <barrier>
#include <string>
#include <thread>
#include <vector>

#include "tyaprover/metrics/registry.h"

namespace tyaprover::metrics {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kHeapIsMeasured = false;  // a sanitizer has an allocator of its own
#else
constexpr bool kHeapIsMeasured = true;
#endif

// Bytes in use of all threads' heaps, with what malloc adds to each block.
std::size_t heap() {
  return mallinfo2().uordblks;
}

TEST(Memory, OfAThousandCombinationsOfTheHttpSetIsWithinOneMegabyte) {
  if (!kHeapIsMeasured) GTEST_SKIP() << "a sanitizer has an allocator of its own";
  std::vector<std::string> routes;
  for (int i = 0; i < 50; ++i) routes.push_back("/api/v1/apps" + std::to_string(i) + "/{name}");
  const std::vector<std::string> methods = {"GET", "POST", "PUT", "DELETE"};
  const std::vector<std::string> statuses = {"200", "204", "404", "500", "503"};
  // Threads are there before, as a server's are; what they cost themselves is not the metrics'.
  std::barrier ready(3);
  std::barrier start(3);
  std::barrier end(3);
  Registry registry;
  const auto work = [&] {
    ready.arrive_and_wait();
    start.arrive_and_wait();
    const std::vector<std::string> labels = {"method", "route", "status"};
    auto& requests = registry.counter("http_requests_total", "Requests.", {.labels = labels});
    auto& durations = registry.histogram("http_request_duration_seconds", "Time.",
                                         {.labels = labels, .durations = true});
    const HistogramOptions sizes{.labels = labels, .buckets = bytes_buckets()};
    auto& received = registry.histogram("http_request_size_bytes", "Sizes.", sizes);
    auto& sent = registry.histogram("http_response_size_bytes", "Sizes.", sizes);
    for (const std::string& method : methods) {
      for (const std::string& route : routes) {
        for (const std::string& status : statuses) {
          requests.with({method, route, status}).inc();
          durations.with({method, route, status}).observe(std::chrono::milliseconds(7));
          received.with({method, route, status}).observe(100);
          sent.with({method, route, status}).observe(5000);
        }
      }
    }
    end.arrive_and_wait();
    ready.arrive_and_wait();
  };
  std::thread first(work);
  std::thread second(work);
  ready.arrive_and_wait();
  const std::size_t before = heap();
  start.arrive_and_wait();
  end.arrive_and_wait();
  const std::size_t used = heap() - before;
  ready.arrive_and_wait();
  first.join();
  second.join();
  RecordProperty("bytes", static_cast<int>(used));
  std::printf("1,000 combinations: %zu bytes\n", used);
  EXPECT_LE(used, 1'000'000U);
  EXPECT_GT(used, 500'000U) << "two threads' cells alone are more: this measures nothing";
}

TEST(Memory, OfSeriesThatComeAndGoIsUsedAgain) {
  if (!kHeapIsMeasured) GTEST_SKIP() << "a sanitizer has an allocator of its own";
  Registry registry;
  auto& jobs = registry.counter("jobs_total", "Jobs.", {"queue"});
  const auto churn = [&](int from, int count) {
    for (int i = from; i < from + count; ++i) {
      jobs.with({std::to_string(i)}).inc();
      jobs.remove({std::to_string(i - 1000)});
    }
  };
  churn(0, 20'000);
  const std::size_t before = heap();
  churn(20'000, 500'000);
  EXPECT_EQ(jobs.size(), 1000U);
  EXPECT_LT(heap(), before + 64 * 1024);
}

TEST(Memory, OfARegistryIsGivenBack) {
  if (!kHeapIsMeasured) GTEST_SKIP() << "a sanitizer has an allocator of its own";
  const auto live_and_die = [] {
    Registry registry;
    auto& jobs = registry.counter("jobs_total", "Jobs.", {"queue"});
    auto& times = registry.histogram("times", "Times.", {.labels = {"queue"}, .native = true});
    for (int i = 0; i < 500; ++i) {
      jobs.with({std::to_string(i)}).inc(0.5);
      times.with({std::to_string(i)}).observe(i);
    }
    static_cast<void>(registry.expose().text());
  };
  for (int i = 0; i < 3; ++i) live_and_die();
  const std::size_t before = heap();
  for (int i = 0; i < 20; ++i) live_and_die();
  EXPECT_LT(heap(), before + 64 * 1024);
}

TEST(Memory, OfAScrapeDoesNotGrowWithTheSeries) {
  if (!kHeapIsMeasured) GTEST_SKIP() << "a sanitizer has an allocator of its own";
  constexpr std::size_t kSeries = 100'000;
  Registry registry;
  auto& jobs = registry.counter("jobs_total", "Jobs.",
                                FamilyOptions{.labels = {"queue"}, .max_series = kSeries});
  for (std::size_t i = 0; i < kSeries; ++i) jobs.with({std::to_string(i)}).inc();
  const std::size_t before = heap();
  std::size_t most = 0;
  std::size_t bytes = 0;
  Page page = registry.expose();
  while (true) {
    const std::string_view chunk = page.next_chunk();
    if (chunk.empty()) break;
    bytes += chunk.size();
    most = std::max(most, heap());
  }
  EXPECT_GT(bytes, kSeries * 20);
  EXPECT_LT(most, before + 256 * 1024);
}

}  // namespace
}  // namespace tyaprover::metrics
