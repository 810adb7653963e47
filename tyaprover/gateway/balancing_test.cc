// Balancing, by counts: shares, and a simulation of three targets of which one is slow.
#include "tyaprover/gateway/balancing.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <functional>
#include <queue>
#include <span>
#include <string>
#include <vector>

#include "tyaprover/base/ids.h"
#include "tyaprover/http/worker.h"
#include "tyaprover/resilience/consistent_hash.h"

namespace tyaprover::gateway {
namespace {

using namespace std::chrono_literals;

constexpr TimePoint kStart{1h};

struct Loads {
  explicit Loads(std::vector<unsigned> weights) : loads(weights.size()) {
    for (std::size_t i = 0; i < weights.size(); ++i) {
      loads[i].weight = weights[i];
      candidates.push_back({&loads[i], 0});
    }
  }
  std::vector<TargetLoad> loads;
  std::vector<Candidate> candidates;
};

TEST(RoundRobin, SpreadsTheTurnsOfHeavyTargets) {
  Loads loads({3, 1});
  std::string order;
  for (int i = 0; i < 8; ++i) order += static_cast<char>('a' + pick_round_robin(loads.candidates));
  EXPECT_EQ(order, "aabaaaba");
}

TEST(RoundRobin, GivesNobodyTwoTurnsForOneThatWasPassedOver) {
  Loads loads({1, 1, 1});
  const std::vector<Candidate> without_first(loads.candidates.begin() + 1, loads.candidates.end());
  for (int i = 0; i < 10; ++i) (void)pick_round_robin(without_first);
  std::vector<int> taken(3);
  for (int i = 0; i < 9; ++i) ++taken[pick_round_robin(loads.candidates)];
  EXPECT_EQ(taken, (std::vector{3, 3, 3}));
}

TEST(Random, FollowsTheWeights) {
  Loads loads({1, 2, 7});
  std::vector<int> taken(3);
  constexpr int kPicks = 100'000;
  for (int i = 0; i < kPicks; ++i) ++taken[pick_random(loads.candidates)];
  // Six standard deviations of a binomial with p = 0.1 … 0.7 are below 900.
  EXPECT_NEAR(taken[0], 10'000, 900);
  EXPECT_NEAR(taken[1], 20'000, 900);
  EXPECT_NEAR(taken[2], 70'000, 900);
}

TEST(P2c, SharesEvenlyBetweenNearlyEqualTargets) {
  Loads loads({1, 1, 1});
  for (std::size_t t = 0; t < 3; ++t) {
    for (int i = 0; i < 20; ++i) loads.loads[t].latency.observe(10ms + t * 500us, kStart);
  }
  std::vector<int> taken(3);
  for (int i = 0; i < 30'000; ++i) ++taken[pick_p2c(loads.candidates, kStart)];
  for (const int share : taken) EXPECT_NEAR(share, 10'000, 600);
}

TEST(P2c, FollowsTheWeightsOfIdleTargets) {
  Loads loads({3, 1});
  int heavy = 0;
  for (int i = 0; i < 40'000; ++i) heavy += pick_p2c(loads.candidates, kStart) == 0;
  EXPECT_NEAR(heavy, 30'000, 600);
}

TEST(P2c, CountsWhatIsInFlightByWeight) {
  Loads loads({4, 1});
  loads.candidates[0].in_flight = 8;
  loads.candidates[1].in_flight = 4;
  for (int i = 0; i < 100; ++i) EXPECT_EQ(pick_p2c(loads.candidates, kStart), 0u);
}

TEST(P2c, AsksASlowTargetAgainWhenItsLatencyHasFaded) {
  Loads loads({1, 1});
  TimePoint now = kStart;
  for (int i = 0; i < 20; ++i) {
    loads.loads[0].latency.observe(500ms, now);
    loads.loads[1].latency.observe(5ms, now);
  }
  for (int i = 0; i < 100; ++i) EXPECT_EQ(pick_p2c(loads.candidates, now), 1u);
  int asked_after = 0;
  for (; asked_after < 60; ++asked_after) {
    now += 1s;
    loads.loads[1].latency.observe(5ms, now);
    bool slow = false;
    for (int i = 0; i < 20; ++i) slow |= pick_p2c(loads.candidates, now) == 0;
    if (slow) break;
  }
  EXPECT_GE(asked_after, 5);
  EXPECT_LE(asked_after, 20);
  // It has recovered: a few answers are enough.
  for (int i = 0; i < 3; ++i) loads.loads[0].latency.observe(5ms, now);
  int first = 0;
  for (int i = 0; i < 1000; ++i) first += pick_p2c(loads.candidates, now) == 0;
  EXPECT_GT(first, 300);
}

// Requests arrive at random, at a steady rate, whether or not earlier ones are done. Two targets
// take 1 to 3 ms for each, one 20 times as long; each works at any number at once.
struct Simulated {
  double slow_share;
  Nanos p99;
};
Simulated simulate(const std::function<std::size_t(std::span<const Candidate>, TimePoint)>& pick) {
  struct End {
    TimePoint at;
    std::size_t target;
    Nanos took;
    bool operator>(const End& other) const { return at > other.at; }
  };
  Loads loads({1, 1, 1});
  std::priority_queue<End, std::vector<End>, std::greater<>> running;
  std::vector<Nanos> took;
  std::size_t slow = 0;
  TimePoint now = kStart;
  constexpr std::size_t kRequests = 50'000;
  for (std::size_t i = 0; i < kRequests; ++i) {
    now += Nanos(random_u64() % 2'000'000);  // 1000 per second
    while (!running.empty() && running.top().at <= now) {
      const End end = running.top();
      running.pop();
      --loads.candidates[end.target].in_flight;
      loads.loads[end.target].latency.observe(end.took, end.at);
    }
    const std::size_t target = pick(loads.candidates, now);
    Nanos time = 1ms + Nanos(random_u64() % 2'000'000);
    if (target == 2) time *= 20;
    slow += target == 2;
    ++loads.candidates[target].in_flight;
    running.push({now + time, target, time});
    took.push_back(time);
  }
  std::nth_element(took.begin(), took.begin() + kRequests / 100 * 99, took.end());
  return {static_cast<double>(slow) / kRequests, took[kRequests / 100 * 99]};
}

TEST(P2c, KeepsTheSlowOneOfThreeTargetsShareAndTheP99LowerThanRoundRobin) {
  const Simulated even =
      simulate([](std::span<const Candidate> c, TimePoint) { return pick_round_robin(c); });
  const Simulated p2c =
      simulate([](std::span<const Candidate> c, TimePoint now) { return pick_p2c(c, now); });
  const auto ms = [](Nanos time) {
    return std::chrono::duration<double, std::milli>(time).count();
  };
  std::printf("three targets, one 20 times slower    slow one's share   p99\n");
  std::printf("  round robin                         %6.2f %%         %6.1f ms\n",
              even.slow_share * 100, ms(even.p99));
  std::printf("  p2c                                 %6.2f %%         %6.1f ms\n",
              p2c.slow_share * 100, ms(p2c.p99));
  EXPECT_NEAR(even.slow_share, 1.0 / 3, 0.001);
  EXPECT_LT(p2c.slow_share, 0.01);
  EXPECT_GT(even.p99, 50ms);
  EXPECT_LE(p2c.p99, 3ms);
}

// Issue line 4: at most 1/n + 10 % of the keys move when a target leaves.
TEST(ConsistentHash, MovesFewKeysWhenATargetLeaves) {
  constexpr std::uint64_t kKeys = 100'000;
  for (std::size_t n : {2u, 3u, 5u, 10u}) {
    std::vector<resilience::ConsistentHash::Target> targets;
    for (std::size_t i = 0; i < n; ++i) targets.push_back({"10.0.0." + std::to_string(i) + ":80"});
    const resilience::ConsistentHash before(targets);
    targets.erase(targets.begin() + 1);
    const resilience::ConsistentHash after(targets);
    std::uint64_t moved = 0;
    for (std::uint64_t key = 0; key < kKeys; ++key) {
      const std::uint64_t hash = resilience::hash_key("user-" + std::to_string(key));
      const std::size_t was = *before.owner(hash);
      const std::size_t is = *after.owner(hash);
      moved += was == 1 || is != (was > 1 ? was - 1 : was);
    }
    const double share = static_cast<double>(moved) / kKeys;
    std::printf("one of %2zu targets leaves: %.1f %% of the keys move\n", n, share * 100);
    EXPECT_LE(share, 1.0 / static_cast<double>(n) + 0.1);
  }
}

TEST(HashBy, ReadsWhatItIsToldAndNothingElse) {
  EXPECT_EQ(HashBy::parse("client")->kind, HashBy::Kind::client);
  EXPECT_EQ(HashBy::parse("path")->kind, HashBy::Kind::path);
  EXPECT_EQ(HashBy::parse("header:X-User")->name, "X-User");
  EXPECT_EQ(HashBy::parse("cookie:sid")->kind, HashBy::Kind::cookie);
  for (const char* wrong : {"", "ip", "header", "header:", "header:a b", "cookie:a=b", ":x"}) {
    EXPECT_FALSE(HashBy::parse(wrong)) << wrong;
  }
}

TEST(HashBy, FindsTheKeyInTheRequest) {
  http::Worker worker(0);
  http::Exchange a(worker);
  a.client = "192.0.2.1";
  a.path = "/a";
  a.request.fields.add("X-User", "7");
  a.request.fields.add(http::KnownField::cookie, "theme=dark; sid=abc");
  http::Exchange b(worker);
  b.client = "192.0.2.1";
  b.path = "/b";
  b.request.fields.add("x-user", "7");
  b.request.fields.add(http::KnownField::cookie, "sid=abd");
  const auto same = [&](std::string_view by) {
    const HashBy parsed = *HashBy::parse(by);
    return hash_of(parsed, a) == hash_of(parsed, b);
  };
  EXPECT_TRUE(same("client"));
  EXPECT_FALSE(same("path"));
  EXPECT_TRUE(same("header:X-User"));
  EXPECT_FALSE(same("cookie:sid"));
  EXPECT_EQ(hash_of(*HashBy::parse("cookie:other"), a), std::nullopt);
  EXPECT_EQ(hash_of(*HashBy::parse("header:X-Other"), a), std::nullopt);
}

}  // namespace
}  // namespace tyaprover::gateway
