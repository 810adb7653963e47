// memoize and CacheInvalidation: the seed's calls, keys of arguments, failures.
#include "tyaprover/cache/memoize.h"

#include <gtest/gtest.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace tyaprover::cache {
namespace {

using namespace std::chrono_literals;

TEST(Memoize, CallsTheFunctionOncePerKey) {
  int calls = 0;
  ManualClock clock;
  auto find_user = memoize(
      [&](std::string id) {
        ++calls;
        return "name of " + id;
      },
      {.ttl = 5min, .key_generator = [](auto const& id) { return "user:" + id; }, .clock = &clock});
  EXPECT_EQ(find_user("user123"), "name of user123");
  EXPECT_EQ(find_user("user123"), "name of user123");
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(find_user("user124"), "name of user124");
  EXPECT_EQ(calls, 2);
  clock.advance(5min);
  (void)find_user("user123");
  EXPECT_EQ(calls, 3);
  EXPECT_TRUE(find_user.forget("user123"));
  EXPECT_FALSE(find_user.forget("user123"));
  // A copy shares what is remembered.
  const auto copy = find_user;  // NOLINT(performance-unnecessary-copy-initialization)
  (void)copy("user123");
  (void)find_user("user123");
  EXPECT_EQ(calls, 4);
}

int twice(int n) {
  return 2 * n;
}

TEST(Memoize, TakesFunctionsCallablesAndMoveOnlyResults) {
  auto doubled = memoize(twice);
  EXPECT_EQ(doubled(4) + doubled(4), 16);
  EXPECT_EQ(doubled.stats().hits, 1u);
  struct Counter {
    int calls = 0;
    int operator()(const std::string& text) { return static_cast<int>(text.size()) + ++calls; }
  };
  auto counted = memoize(Counter{});
  EXPECT_EQ(counted(std::string("abc")), 4);
  EXPECT_EQ(counted(std::string("abc")), 4);
  auto moved = memoize([](int n) { return std::make_unique<int>(n); });
  const std::shared_ptr<const std::unique_ptr<int>> first = moved(7);
  EXPECT_EQ(**first, 7);
  EXPECT_EQ(moved(7), first);
}

TEST(Memoize, FailuresAreNotRememberedUnlessAsked) {
  int calls = 0;
  const auto failing = [&](int n) -> int {
    ++calls;
    if (n < 0) throw std::invalid_argument("negative");
    return n;
  };
  auto plain = memoize(failing);
  EXPECT_THROW(plain(-1), std::invalid_argument);
  EXPECT_THROW(plain(-1), std::invalid_argument);
  EXPECT_EQ(calls, 2);
  auto remembering = memoize(failing, {.negative_ttl = 1h});
  EXPECT_THROW(remembering(-1), std::invalid_argument);
  EXPECT_THROW(remembering(-1), std::invalid_argument);
  EXPECT_EQ(calls, 3);
}

TEST(Memoize, ErrorsOfResultsAreNotRemembered) {
  int calls = 0;
  auto parse = memoize([&](const std::string& text) -> Result<int, std::string> {
    ++calls;
    if (text.empty()) return err("empty");
    return static_cast<int>(text.size());
  });
  EXPECT_EQ(*parse(std::string("ab")), 2);
  EXPECT_EQ(*parse(std::string("ab")), 2);
  EXPECT_EQ(parse(std::string()).error(), "empty");
  EXPECT_EQ(parse(std::string()).error(), "empty");
  EXPECT_EQ(calls, 3);
}

TEST(Memoize, IsBounded) {
  auto square = memoize([](int n) { return n * n; }, {.max_size = 10});
  for (int i = 0; i < 100; ++i) (void)square(i);
  EXPECT_EQ(square.stats().keys, 10u);
}

enum class Colour { red, blue };

// C13: the type is part of the key, and nothing runs into its neighbour.
TEST(ArgumentKey, DiffersForDifferentCalls) {
  const std::vector<std::string> keys = {
      argument_key(),
      argument_key(1),
      argument_key(-1),
      argument_key(1u),
      argument_key(1.0),
      argument_key(true),
      argument_key('1'),
      argument_key("1"),
      argument_key(Colour::blue),
      argument_key(1, 1),
      argument_key(11),
      argument_key("a", "b"),
      argument_key("ab", ""),
      argument_key("", "ab"),
      argument_key("a1:b"),
      argument_key(std::optional<int>()),
      argument_key(std::optional<int>(1)),
      argument_key(std::pair(1, 2)),
      argument_key(std::vector<int>{1, 2}),
      argument_key(std::vector<int>{1}, 2),
      argument_key(std::vector<std::vector<int>>{{1}, {2}}),
      argument_key(std::vector<std::vector<int>>{{1, 2}}),
  };
  for (std::size_t i = 0; i < keys.size(); ++i) {
    for (std::size_t j = i + 1; j < keys.size(); ++j) EXPECT_NE(keys[i], keys[j]) << i << " " << j;
  }
  EXPECT_EQ(argument_key("a"), argument_key(std::string("a")));
  EXPECT_EQ(argument_key(0.1), argument_key(0.1));
}

TEST(CacheInvalidation, ReachesEveryRegisteredCache) {
  CacheInvalidation::all();
  int calls = 0;
  auto find_user = memoize(
      [&](int id) {
        ++calls;
        return id;
      },
      {.key_generator = [](int id) { return "user:" + std::to_string(id); }, .tags = {"people"}});
  Cache<std::string, int> pages({.max_entries = 10});
  const CacheRegistration registration(pages);
  const auto fill = [&] {
    for (int i = 0; i < 3; ++i) (void)find_user(i);
    pages.set("page:user:1", 1);
    pages.set("specific-key", 2, {.tags = {"people"}});
  };
  fill();
  EXPECT_EQ(CacheInvalidation::stats().keys, 5u);
  EXPECT_EQ(CacheInvalidation::by_key("specific-key"), 1u);
  EXPECT_EQ(CacheInvalidation::by_pattern("user:"), 4u);
  fill();
  EXPECT_EQ(calls, 6);
  EXPECT_EQ(CacheInvalidation::by_prefix("user:"), 3u);
  EXPECT_EQ(CacheInvalidation::by_pattern("*:user:?", PatternKind::glob), 1u);
  fill();
  EXPECT_EQ(CacheInvalidation::by_tag("people"), 4u);
  EXPECT_EQ(pages.get("page:user:1"), 1);
  EXPECT_GE(CacheInvalidation::all(), 1u);
  EXPECT_EQ(CacheInvalidation::stats().keys, 0u);
}

TEST(CacheInvalidation, ForgetsCachesThatAreGone) {
  {
    Cache<std::string, int> cache({.max_entries = 10});
    const CacheRegistration registration(cache);
    cache.set("gone:1", 1);
  }
  EXPECT_EQ(CacheInvalidation::by_key("gone:1"), 0u);
}

}  // namespace
}  // namespace tyaprover::cache
