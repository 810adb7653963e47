// Caching without the gateway: links tyaprover::cache alone.
#include <chrono>
#include <iostream>
#include <string>
#include <string_view>

#include "tyaprover/cache/cache.h"
#include "tyaprover/cache/cache_invalidation.h"
#include "tyaprover/cache/freshness.h"
#include "tyaprover/cache/lru_cache.h"
#include "tyaprover/cache/memoize.h"
#include "tyaprover/cache/reuse.h"

int main() {
  using namespace std::chrono_literals;
  using namespace tyaprover::cache;  // NOLINT(google-build-using-namespace): a program of its own

  // A bounded map that forgets what was used least recently.
  LruCache<std::string, int> visits({.max_size = 2, .ttl = 5min});
  visits.set("alice", 1);
  visits.set("bob", 2, 60s);
  (void)visits.get("alice");
  visits.set("carol", 3);
  std::cout << "bob is " << (visits.has("bob") ? "there" : "forgotten") << '\n';

  // A cache bounded by bytes, whose entries are loaded once and invalidated together.
  Cache<std::string, std::string> pages({.max_bytes = 1 << 20, .ttl = 5min});
  int loads = 0;
  for (int i = 0; i < 3; ++i) {
    const auto page =
        pages.get_or_load("home", [&] { return std::string("page ") + std::to_string(++loads); },
                          {.tags = {"front"}});
    std::cout << *page << '\n';
  }
  std::cout << pages.invalidate_tag("front") << " page of the front invalidated\n";

  // A function that remembers.
  auto square = memoize(
      [&](int n) {
        ++loads;
        return n * n;
      },
      {.ttl = 5min, .key_generator = [](auto n) { return "square:" + std::to_string(n); }});
  loads = 0;
  const int sum = square(12) + square(12);
  std::cout << "two squares: " << sum << " with " << loads << " computation\n";
  CacheInvalidation::by_pattern("square:");
  std::cout << "remembered now: " << CacheInvalidation::stats().keys << '\n';

  // The rules of HTTP, on fields that anybody parsed.
  const HeaderField response[] = {{"Cache-Control", "max-age=60, stale-while-revalidate=30"}};
  const Freshness freshness = evaluate_freshness(200, response, ExchangeTimes{});
  for (const std::chrono::seconds age : {0s, 75s, 100s}) {
    std::cout << age.count() << " s old: " << to_string(decide_reuse({}, freshness, age).reuse)
              << '\n';
  }
  return 0;
}
