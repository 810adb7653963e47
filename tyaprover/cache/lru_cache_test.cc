// LruCache: the order of use, against a list.
#include "tyaprover/cache/lru_cache.h"

#include <gtest/gtest.h>

#include <list>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace tyaprover::cache {
namespace {

using namespace std::chrono_literals;
using Keys = std::vector<std::string>;

TEST(LruCache, HasTheSeedsDefaults) {
  const LruCacheOptions defaults;
  EXPECT_EQ(defaults.max_size, 500u);
  EXPECT_EQ(defaults.ttl, Nanos(5min));
  EXPECT_EQ(defaults.check_period, Nanos(60s));
  EXPECT_TRUE(defaults.use_lru);
}

TEST(LruCache, ForgetsTheLeastRecentlyUsed) {
  LruCache<std::string, int> cache({.max_size = 3});
  for (const char* key : {"a", "b", "c"}) cache.set(key, 1);
  EXPECT_EQ(cache.get("a"), 1);
  (void)cache.peek("b");
  (void)cache.has("b");
  cache.set("d", 1);
  EXPECT_EQ(cache.keys(), (Keys{"d", "a", "c"}));
  EXPECT_FALSE(cache.has("b"));
}

TEST(LruCache, ForgetsTheOldestWithoutLru) {
  LruCache<std::string, int> cache({.max_size = 2, .use_lru = false});
  cache.set("a", 1);
  cache.set("b", 1);
  EXPECT_EQ(cache.get("a"), 1);
  cache.set("c", 1);
  EXPECT_EQ(cache.keys(), (Keys{"c", "b"}));
}

TEST(LruCache, LifetimesEndAndCanBeRenewed) {
  ManualClock clock;
  LruCache<std::string, int> cache({.max_size = 9, .ttl = 10s, .clock = &clock});
  cache.set("a", 1);
  cache.set("b", 2, 60s);
  cache.set("c", 3, kForever);
  cache.set("d", 4, 0s);
  EXPECT_THROW(cache.set("e", 5, -1s), std::invalid_argument);
  EXPECT_FALSE(cache.has("d"));
  clock.advance(9s);
  EXPECT_EQ(cache.ttl("a"), Nanos(1s));
  EXPECT_EQ(cache.ttl("c"), kForever);
  EXPECT_TRUE(cache.touch("a"));
  EXPECT_TRUE(cache.touch("b", 5s));
  clock.advance(6s);
  EXPECT_EQ(cache.get("a"), 1);
  EXPECT_EQ(cache.get("b"), std::nullopt);
  EXPECT_FALSE(cache.touch("b"));
  EXPECT_EQ(cache.size(), 2u);
  EXPECT_TRUE(cache.touch("a", 0s));
  EXPECT_FALSE(cache.has("a"));
}

TEST(LruCache, LooksForExpiredEntriesEveryCheckPeriod) {
  ManualClock clock;
  LruCache<std::string, int> cache(
      {.max_size = 100, .ttl = 10s, .check_period = 60s, .clock = &clock});
  for (int i = 0; i < 50; ++i) cache.set(std::to_string(i), i);
  clock.advance(59s);
  (void)cache.get("x");
  clock.advance(1s);
  (void)cache.get("x");
  EXPECT_EQ(cache.stats().removed(RemovalCause::expired), 50u);
}

TEST(LruCache, CanBeResizedAndCleared) {
  LruCache<int, int> cache({.max_size = 100});
  for (int i = 0; i < 100; ++i) cache.set(i, i);
  cache.resize(3);
  EXPECT_EQ(cache.keys(), (std::vector<int>{99, 98, 97}));
  EXPECT_TRUE(cache.erase(98));
  EXPECT_FALSE(cache.erase(98));
  cache.clear();
  EXPECT_EQ(cache.size(), 0u);
  EXPECT_THROW(cache.resize(0), std::invalid_argument);
}

TEST(LruCache, RefusesWrongOptions) {
  using Lru = LruCache<int, int>;
  EXPECT_THROW(Lru({.max_size = 0}), std::invalid_argument);
  EXPECT_THROW(Lru({.ttl = -1s}), std::invalid_argument);
  EXPECT_THROW(Lru({.check_period = -1s}), std::invalid_argument);
  EXPECT_THROW(Lru({.stripes = 3}), std::invalid_argument);
  EXPECT_THROW(Lru({.max_size = 2, .stripes = 4}), std::invalid_argument);
}

TEST(LruCache, CountsLookups) {
  LruCache<int, int> cache;
  cache.set(1, 1);
  (void)cache.get(1);
  (void)cache.get(2);
  EXPECT_EQ(cache.stats().hits, 1u);
  EXPECT_EQ(cache.stats().misses, 1u);
  EXPECT_EQ(cache.stats().keys, 1u);
}

// Against a list that is kept in order by hand.
TEST(LruCacheModel, KeepsTheOrderOfAList) {
  for (const bool use_lru : {true, false}) {
    LruCache<int, int> cache({.max_size = 20, .use_lru = use_lru});
    std::list<std::pair<int, int>> model;
    const auto in_model = [&](int key) {
      return std::find_if(model.begin(), model.end(),
                          [&](auto& item) { return item.first == key; });
    };
    std::mt19937 random(4);
    for (int step = 0; step < 20'000; ++step) {
      const int key = static_cast<int>(random() % 40);
      const auto at = in_model(key);
      switch (random() % 4) {
        case 0:
          ASSERT_EQ(cache.erase(key), at != model.end());
          if (at != model.end()) model.erase(at);
          break;
        case 1:
          cache.set(key, step);
          if (at != model.end()) model.erase(at);
          model.emplace_front(key, step);
          if (model.size() > 20) model.pop_back();
          break;
        default: {
          const auto found = cache.get(key);
          ASSERT_EQ(found.has_value(), at != model.end());
          if (!found) break;
          ASSERT_EQ(*found, at->second);
          if (use_lru) model.splice(model.begin(), model, at);
        }
      }
      std::vector<int> keys;
      for (const auto& item : model) keys.push_back(item.first);
      ASSERT_EQ(cache.keys(), keys);
    }
  }
}

TEST(LruCacheThreads, StayWithinBounds) {
  LruCache<int, int> cache({.max_size = 64, .stripes = 4});
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937 random(t);
      for (int i = 0; i < 5'000; ++i) {
        const int key = static_cast<int>(random() % 200);
        if (const auto value = cache.get(key)) {
          EXPECT_EQ(*value, key);
        } else {
          cache.set(key, key);
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_LE(cache.size(), 64u);
}

}  // namespace
}  // namespace tyaprover::cache
