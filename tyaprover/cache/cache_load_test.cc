// Loads: single-flight, stale windows, failures, and threads.
#include <gtest/gtest.h>

#include <atomic>
#include <deque>
#include <latch>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "tyaprover/cache/cache.h"

namespace tyaprover::cache {
namespace {

using namespace std::chrono_literals;
using Strings = Cache<std::string, std::string>;

// Runs refreshes when the test says so.
struct ManualExecutor {
  std::deque<std::function<void()>> tasks;
  std::function<void(std::function<void()>)> post() {
    return [this](std::function<void()> task) { tasks.push_back(std::move(task)); };
  }
  std::size_t run() {
    const std::size_t count = tasks.size();
    for (; !tasks.empty(); tasks.pop_front()) tasks.front()();
    return count;
  }
};

struct Fixture {
  ManualClock clock;
  ManualExecutor executor;
  int loads = 0;
  bool failing = false;

  auto loader() {
    return [this]() -> Result<std::string, std::exception_ptr> {
      ++loads;
      if (failing) return err(std::make_exception_ptr(std::runtime_error("down")));
      return std::string("v") + std::to_string(loads);
    };
  }
  std::string ask(Strings& cache, std::string_view key = "k") {
    const auto result = cache.get_or_load(key, loader());
    return result ? *result : "failed";
  }
};

TEST(CacheLoad, HappensOnceWhileFresh) {
  Fixture f;
  Strings cache({.max_entries = 10, .ttl = 10s, .clock = &f.clock});
  EXPECT_EQ(f.ask(cache), "v1");
  EXPECT_EQ(f.ask(cache), "v1");
  f.clock.advance(10s);
  EXPECT_EQ(f.ask(cache), "v2");
  EXPECT_EQ(cache.stats().loads_ok, 2u);
}

TEST(CacheLoad, TakesLoadersOfManyShapes) {
  Strings cache({.max_entries = 10});
  EXPECT_EQ(*cache.get_or_load("a", [] { return "text"; }), "text");
  EXPECT_EQ(*cache.get_or_load("b", [] { return Loaded<std::string>{"x", {.ttl = 0s}}; }), "x");
  EXPECT_FALSE(cache.get("b"));
  Cache<std::string, int, std::string> numbers({.max_entries = 10});
  const auto refused =
      numbers.get_or_load("a", []() -> Result<int, std::string> { return err("no"); });
  EXPECT_EQ(refused.error(), "no");
  EXPECT_THROW((void)numbers.get_or_load("a", []() -> int { throw std::runtime_error("x"); }),
               std::runtime_error);
  EXPECT_EQ(*numbers.get_or_load("a", [] { return 3; }), 3);  // no poisoned entry
}

// C6
TEST(CacheLoad, StaleIsReturnedWhileOneRefreshRuns) {
  Fixture f;
  Strings cache({.max_entries = 10,
                 .ttl = 10s,
                 .stale_while_revalidate = 5s,
                 .executor = f.executor.post(),
                 .clock = &f.clock});
  EXPECT_EQ(f.ask(cache), "v1");
  f.clock.advance(10s);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(f.ask(cache), "v1");
  EXPECT_EQ(cache.get("k"), std::nullopt);  // get() gives what is fresh
  EXPECT_EQ(f.executor.run(), 1u);
  EXPECT_EQ(f.ask(cache), "v2");
  f.clock.advance(15s);
  EXPECT_EQ(f.ask(cache), "v3");  // beyond the window
  const CacheStats stats = cache.stats();
  EXPECT_EQ(stats.stale_hits, 3u);
  EXPECT_EQ(stats.refreshes, 1u);
}

TEST(CacheLoad, RefreshAheadKeepsItFresh) {
  Fixture f;
  Strings cache({.max_entries = 10,
                 .ttl = 10s,
                 .refresh_ahead = 0.8,
                 .executor = f.executor.post(),
                 .clock = &f.clock});
  EXPECT_EQ(f.ask(cache), "v1");
  f.clock.advance(7s);
  EXPECT_EQ(f.ask(cache), "v1");
  EXPECT_EQ(f.executor.run(), 0u);
  f.clock.advance(1s);
  EXPECT_EQ(f.ask(cache), "v1");
  EXPECT_EQ(f.executor.run(), 1u);
  EXPECT_EQ(f.ask(cache), "v2");
}

TEST(CacheLoad, StaleStandsInForAFailure) {
  Fixture f;
  Strings cache({.max_entries = 10, .ttl = 10s, .stale_if_error = 20s, .clock = &f.clock});
  EXPECT_EQ(f.ask(cache), "v1");
  f.failing = true;
  f.clock.advance(29s);
  EXPECT_EQ(f.ask(cache), "v1");
  f.clock.advance(1s);
  EXPECT_EQ(f.ask(cache), "failed");
  f.failing = false;
  EXPECT_EQ(f.ask(cache), "v4");
}

// C8
TEST(CacheLoad, FailuresAreRememberedOnlyWhenAsked) {
  Fixture f;
  f.failing = true;
  Strings forgetful({.max_entries = 10, .clock = &f.clock});
  EXPECT_EQ(f.ask(forgetful), "failed");
  EXPECT_EQ(f.ask(forgetful), "failed");
  EXPECT_EQ(f.loads, 2);
  Strings negative({.max_entries = 10, .negative_ttl = 5s, .clock = &f.clock});
  EXPECT_EQ(f.ask(negative), "failed");
  EXPECT_EQ(f.ask(negative), "failed");
  EXPECT_EQ(f.loads, 3);
  EXPECT_EQ(negative.stats().negative_hits, 1u);
  f.failing = false;
  EXPECT_FALSE(negative.get("k"));
  f.clock.advance(5s);
  EXPECT_EQ(f.ask(negative), "v4");
}

TEST(CacheLoad, RememberedFailuresAreBounded) {
  Fixture f;
  f.failing = true;
  Strings cache({.max_entries = 10, .negative_ttl = 1h, .max_negative = 32, .clock = &f.clock});
  for (int i = 0; i < 1000; ++i) (void)f.ask(cache, std::to_string(i));
  int remembered = 0;
  for (int i = 0; i < 1000; ++i) {
    const int before = f.loads;
    (void)f.ask(cache, std::to_string(i));
    remembered += f.loads == before ? 1 : 0;
  }
  EXPECT_LE(remembered, 32);
}

// C7
TEST(CacheLoad, IsNotStoredWhenItsKeyWasErasedMeanwhile) {
  struct Case {
    const char* what;
    std::function<void(Strings&)> meanwhile;
    bool stored;
  };
  const Case cases[] = {
      {"nothing", [](Strings&) {}, true},
      {"erase", [](Strings& c) { c.erase("user:1"); }, false},
      {"erase of another", [](Strings& c) { c.erase("user:2"); }, true},
      {"clear", [](Strings& c) { c.clear(); }, false},
      {"prefix", [](Strings& c) { c.invalidate_prefix("user:"); }, false},
      {"pattern", [](Strings& c) { c.invalidate_pattern("er:1"); }, false},
      {"another pattern", [](Strings& c) { c.invalidate_pattern("er:2"); }, true},
      {"tag", [](Strings& c) { c.invalidate_tag("user"); }, false},
      {"another tag", [](Strings& c) { c.invalidate_tag("page"); }, true},
      {"too many tags",
       [](Strings& c) {
         for (int i = 0; i < 100; ++i) c.invalidate_tag("t" + std::to_string(i));
       },
       false},
  };
  for (const Case& c : cases) {
    Strings cache({.max_entries = 10});
    const auto result = cache.get_or_load("user:1",
                                          [&] {
                                            c.meanwhile(cache);
                                            return "x";
                                          },
                                          {.tags = {"user"}});
    EXPECT_EQ(*result, "x") << c.what;
    EXPECT_EQ(cache.get("user:1").has_value(), c.stored) << c.what;
  }
}

TEST(CacheLoad, ALoaderMayAskForItsOwnKey) {
  Strings cache({.max_entries = 10});
  const auto result = cache.get_or_load(
      "a", [&] { return *cache.get_or_load("a", [] { return "inner"; }) + " outer"; });
  EXPECT_EQ(*result, "inner outer");
  EXPECT_EQ(cache.get("a"), "inner outer");
}

TEST(CacheLoad, EvictionCannotLoseIt) {
  Strings cache({.max_entries = 1});
  const auto result = cache.get_or_load("a", [&] {
    for (int i = 0; i < 100; ++i) cache.set(std::to_string(i), "x");
    return "loaded";
  });
  EXPECT_EQ(*result, "loaded");
}

TEST(CacheLoadThreads, OneLoadForAll) {
  constexpr int kThreads = 8;
  for (int round = 0; round < 20; ++round) {
    Strings cache({.max_entries = 100});
    std::atomic<int> loads{0};
    std::latch ready(kThreads);
    std::vector<std::thread> threads;
    std::atomic<int> right{0};
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&] {
        ready.arrive_and_wait();
        const auto result = cache.get_or_load("key", [&] {
          ++loads;
          // Until someone waits, or all the others have come and gone.
          while (cache.stats().collapsed == 0 && cache.stats().misses < 2)
            std::this_thread::yield();
          return "value";
        });
        if (*result == "value") ++right;
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(loads, 1);
    EXPECT_EQ(right, kThreads);
  }
}

TEST(CacheLoadThreads, AllGetTheSameFailure) {
  constexpr int kThreads = 4;
  Cache<std::string, int, int> cache({.max_entries = 100});
  std::atomic<int> failures{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      try {
        (void)cache.get_or_load("key", [&]() -> int {
          while (cache.stats().misses < kThreads) std::this_thread::yield();
          throw std::runtime_error("down");
        });
      } catch (const std::runtime_error&) {
        ++failures;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(failures, kThreads);
  EXPECT_EQ(cache.stats().loads_failed, 1u);
  EXPECT_EQ(*cache.get_or_load("key", [] { return 1; }), 1);
}

TEST(CacheLoadThreads, TheCachesOwnThreadRefreshes) {
  ManualClock clock;
  std::atomic<int> loads{0};
  Strings cache({.max_entries = 10, .ttl = 10s, .stale_while_revalidate = 1h, .clock = &clock});
  const auto loader = [&] { return "v" + std::to_string(++loads); };
  EXPECT_EQ(*cache.get_or_load("k", loader), "v1");
  clock.advance(11s);
  EXPECT_EQ(*cache.get_or_load("k", loader), "v1");
  while (!cache.contains("k")) std::this_thread::yield();
  EXPECT_EQ(*cache.get_or_load("k", loader), "v2");
}

// Readers and writers of everything at once: values are always what their key says, and in the end
// the sums are right.
TEST(CacheThreads, StayConsistent) {
  for (const Policy policy : {Policy::s3_fifo, Policy::lru}) {
    Cache<std::string, std::string> cache(
        {.max_bytes = 100'000, .policy = policy, .ttl = 50ms, .stripes = 2});
    std::vector<std::thread> threads;
    std::atomic<int> wrong{0};
    for (unsigned t = 0; t < 4; ++t) {
      threads.emplace_back([&, t] {
        std::mt19937 random(t);
        for (int i = 0; i < 6'000; ++i) {
          const std::string key = "key" + std::to_string(random() % 500);
          switch (random() % 16) {
            case 0:
              cache.erase(key);
              break;
            case 1:
              cache.invalidate_tag("t" + std::to_string(random() % 4));
              break;
            case 2:
              (void)cache.get_or_load(key, [&] { return std::string(key); });
              break;
            case 3:
              if (i % 50 == 0) cache.invalidate_prefix("key1");
              break;
            case 4:
            case 5:
            case 6:
              cache.set(key, key, {.tags = {"t" + std::to_string(random() % 4)}});
              break;
            default:
              if (const auto value = cache.get(key); value && *value != key) ++wrong;
          }
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(wrong, 0);
    EXPECT_LE(cache.bytes(), 100'000u);
    // In this order: bytes() lets go of what has expired by now.
    const std::size_t bytes = cache.bytes();
    EXPECT_EQ(bytes, cache.recount_bytes());
    cache.clear();
    EXPECT_EQ(cache.bytes(), 0u);
  }
}

// A table that grows under readers never loses a key for them.
TEST(CacheThreads, ReadersFindEveryKeyWhileTheTableGrows) {
  Cache<int, int> cache({.stripes = 1});
  for (int i = 0; i < 64; ++i) cache.set(i, i);
  std::atomic<bool> stop{false};
  std::atomic<int> lost{0};
  std::thread reader([&] {
    for (int i = 0; !stop; i = (i + 1) % 64) {
      if (!cache.get(i)) ++lost;
    }
  });
  for (int i = 64; i < 20'000; ++i) cache.set(i, i);
  stop = true;
  reader.join();
  EXPECT_EQ(lost, 0);
}

}  // namespace
}  // namespace tyaprover::cache
