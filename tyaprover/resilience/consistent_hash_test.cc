#include "tyaprover/resilience/consistent_hash.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace tyaprover::resilience {
namespace {

using Target = ConsistentHash::Target;
constexpr int kKeys = 20'000;
const auto kAll = [](std::size_t) { return true; };

std::vector<Target> targets(std::size_t count) {
  std::vector<Target> all;
  for (std::size_t i = 0; i < count; ++i) all.push_back({"10.0.0." + std::to_string(i) + ":8080"});
  return all;
}
std::uint64_t key(int i) {
  return hash_key("session-" + std::to_string(i));
}

TEST(ConsistentHashTest, KeysAreSpreadEvenly) {
  const ConsistentHash ring(targets(8));
  std::vector<int> counts(8);
  for (int i = 0; i < kKeys; ++i) ++counts[*ring.owner(key(i))];
  for (const int count : counts) EXPECT_NEAR(count, kKeys / 8.0, kKeys / 8.0 * 0.3);
}

TEST(ConsistentHashTest, LeavingTargetMovesItsOwnKeysOnly) {
  for (const std::size_t n : {2, 3, 5, 10, 50}) {
    auto all = targets(n);
    const ConsistentHash before(all);
    const std::size_t gone = n / 2;
    auto rest = all;
    rest.erase(rest.begin() + static_cast<std::ptrdiff_t>(gone));
    const ConsistentHash after(rest);
    int moved = 0;
    for (int i = 0; i < kKeys; ++i) {
      const std::size_t was = *before.owner(key(i));
      const std::string& now = rest[*after.owner(key(i))].id;
      if (all[was].id == now) continue;
      ++moved;
      ASSERT_EQ(was, gone);
    }
    EXPECT_LE(moved, kKeys * (1.0 / static_cast<double>(n) + 0.1)) << n;
    EXPECT_GT(moved, 0) << n;
  }
}

// With bounded load also keys of the others move, because the load does.
TEST(ConsistentHashTest, UnderBoundedLoadALeavingTargetMovesFewKeys) {
  for (const std::size_t n : {3, 5, 10}) {
    const ConsistentHash ring(targets(n));
    const auto place_all = [&](auto usable) {
      std::vector<std::uint32_t> load(n);
      std::vector<std::size_t> placed;
      for (int i = 0; i < kKeys; ++i) {
        placed.push_back(*ring.pick(key(i), load, usable));
        ++load[placed.back()];
      }
      return placed;
    };
    const auto before = place_all(kAll);
    const auto after = place_all([](std::size_t t) { return t != 1; });
    int moved = 0;
    for (std::size_t i = 0; i < before.size(); ++i) moved += before[i] != after[i];
    EXPECT_LE(moved, kKeys * (1.0 / static_cast<double>(n) + 0.1)) << n;
  }
}

TEST(ConsistentHashTest, NoTargetIsLoadedAboveItsBound) {
  const std::size_t n = 7;
  const ConsistentHash ring(targets(n));
  std::vector<std::uint32_t> load(n);
  std::uint32_t total = 0;
  for (int i = 0; i < kKeys; ++i) {
    ++load[*ring.pick(key(i % 3), load, kAll)];  // three hot keys
    ++total;
    const double bound = 1.25 * total / static_cast<double>(n);
    for (const std::uint32_t l : load) ASSERT_LE(l, std::ceil(bound));
  }
}

TEST(ConsistentHashTest, IdleRingPicksTheOwner) {
  const ConsistentHash ring(targets(5));
  const std::vector<std::uint32_t> idle(5);
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(ring.pick(key(i), idle, kAll), ring.owner(key(i)));
}

TEST(ConsistentHashTest, UnusableTargetsArePassedOver) {
  const ConsistentHash ring(targets(3));
  const std::vector<std::uint32_t> idle(3);
  for (int i = 0; i < 1000; ++i) {
    EXPECT_EQ(ring.pick(key(i), idle, [](std::size_t t) { return t == 2; }), 2u);
  }
  EXPECT_EQ(ring.pick(1, idle, [](std::size_t) { return false; }), std::nullopt);
}

TEST(ConsistentHashTest, WeightIsAShareOfTheKeys) {
  auto all = targets(3);
  all[0].weight = 3;
  all[2].weight = 0;
  const ConsistentHash ring(all);
  std::vector<int> counts(3);
  for (int i = 0; i < kKeys; ++i) ++counts[*ring.owner(key(i))];
  EXPECT_NEAR(counts[0], kKeys * 0.75, kKeys * 0.06);
  EXPECT_EQ(counts[2], 0);
}

TEST(ConsistentHashTest, OrderOfTheTargetsDoesNotMatter) {
  auto all = targets(6);
  const ConsistentHash ring(all);
  auto shuffled = all;
  std::reverse(shuffled.begin(), shuffled.end());
  const ConsistentHash other(shuffled);
  for (int i = 0; i < 1000; ++i) {
    EXPECT_EQ(all[*ring.owner(key(i))].id, shuffled[*other.owner(key(i))].id);
  }
}

TEST(ConsistentHashTest, WithoutTargetsThereIsNoOwner) {
  const ConsistentHash ring({});
  EXPECT_EQ(ring.owner(1), std::nullopt);
  EXPECT_EQ(ring.pick(1, {}, kAll), std::nullopt);
}

TEST(ConsistentHashTest, HashIsTheSameEverywhere) {
  EXPECT_NE(hash_key(""), hash_key("a"));
  EXPECT_NE(hash_key("ab"), hash_key("ba"));
  EXPECT_EQ(hash_key("session"), hash_key(std::string("ses") + "sion"));
}

TEST(ConsistentHashTest, BadOptionsFail) {
  EXPECT_THROW(ConsistentHash(targets(1), 0), std::invalid_argument);
  EXPECT_THROW(ConsistentHash(targets(1), 10, 1.0), std::invalid_argument);
}

}  // namespace
}  // namespace tyaprover::resilience
