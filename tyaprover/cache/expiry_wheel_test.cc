// The expiry wheel against a sorted multimap.
#include "tyaprover/cache/expiry_wheel.h"

#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <set>
#include <vector>

namespace tyaprover::cache {
namespace {

using namespace std::chrono_literals;

TimePoint at(Nanos time) {
  return TimePoint(time);
}

std::size_t pop_all(ExpiryWheel& wheel, TimePoint now) {
  std::size_t popped = 0;
  for (std::size_t budget = 1'000'000; wheel.pop_due(now, budget) != nullptr;) ++popped;
  return popped;
}

TEST(ExpiryWheel, GivesBackAtTheDeadlineNotBefore) {
  for (const Nanos deadline : {Nanos(1), Nanos(16ms), Nanos(17ms), Nanos(1s), Nanos(1h),
                               Nanos(24h * 365), Nanos(24h * 365 * 100)}) {
    ExpiryWheel wheel(at(0s));
    ExpiryHook hook;
    wheel.add(hook, at(deadline));
    EXPECT_EQ(pop_all(wheel, at(deadline - 1ns)), 0u) << deadline.count();
    EXPECT_EQ(pop_all(wheel, at(deadline)), 1u) << deadline.count();
    EXPECT_FALSE(hook.is_hooked());
  }
}

TEST(ExpiryWheel, WhatIsOverdueComesAtOnce) {
  ExpiryWheel wheel(at(1h));
  ExpiryHook hook;
  wheel.add(hook, at(1s));
  EXPECT_EQ(pop_all(wheel, at(1h)), 1u);
}

TEST(ExpiryWheel, AnEmptyCenturyCostsNothing) {
  ExpiryWheel wheel(at(0s));
  std::size_t budget = 3;
  EXPECT_EQ(wheel.pop_due(at(24h * 36500), budget), nullptr);
  EXPECT_EQ(budget, 3u);
}

TEST(ExpiryWheel, WorkIsBoundedByTheBudget) {
  ExpiryWheel wheel(at(0s));
  std::vector<ExpiryHook> hooks(1000);
  for (ExpiryHook& hook : hooks) wheel.add(hook, at(1h));
  std::size_t popped = 0;
  std::size_t calls = 0;
  while (popped < hooks.size()) {
    std::size_t budget = 8;
    while (wheel.pop_due(at(2h), budget) != nullptr) ++popped;
    EXPECT_EQ(budget, 0u);
    ASSERT_LT(++calls, 2000u);
  }
}

TEST(ExpiryWheel, AgreesWithASortedSet) {
  for (unsigned seed = 0; seed < 20; ++seed) {
    std::mt19937_64 random(seed);
    ExpiryWheel wheel(at(0s));
    std::vector<std::unique_ptr<ExpiryHook>> hooks;
    std::set<std::pair<std::int64_t, ExpiryHook*>> model;
    std::int64_t now = 0;
    for (int step = 0; step < 3000; ++step) {
      const auto spread = std::uint64_t{1} << random() % 52;
      switch (random() % 4) {
        case 0:
        case 1: {
          hooks.push_back(std::make_unique<ExpiryHook>());
          const std::int64_t deadline = now + static_cast<std::int64_t>(random() % spread);
          wheel.add(*hooks.back(), at(Nanos(deadline)));
          model.emplace(deadline, hooks.back().get());
          break;
        }
        case 2: {
          if (model.empty()) break;
          auto victim = model.begin();
          std::advance(victim, static_cast<std::ptrdiff_t>(
                                   random() % std::min<std::size_t>(model.size(), 20)));
          wheel.remove(*victim->second);
          model.erase(victim);
          break;
        }
        case 3: {
          now += static_cast<std::int64_t>(random() % spread);
          std::size_t budget = random() % 3 == 0 ? random() % 10 : 1'000'000;
          while (ExpiryHook* due = wheel.pop_due(at(Nanos(now)), budget)) {
            ASSERT_LE(due->deadline, now);
            ASSERT_EQ(model.erase({due->deadline, due}), 1u);
          }
          if (budget > 0) {
            ASSERT_TRUE(model.empty() || model.begin()->first > now);
          }
          break;
        }
      }
    }
    for (const auto& [deadline, hook] : model) wheel.remove(*hook);
  }
}

}  // namespace
}  // namespace tyaprover::cache
