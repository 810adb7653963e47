#include "tyaprover/resilience/outlier_ejection.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace tyaprover::resilience {
namespace {

using namespace std::chrono_literals;
using Reason = OutlierEjection::Reason;

class OutlierEjectionTest : public testing::Test {
 protected:
  static OutlierOptions options() { return {.jitter = 0}; }
  std::optional<OutlierEjection::Ejection> fail(OutlierEjection& e, std::size_t target,
                                                int times = 5) {
    std::optional<OutlierEjection::Ejection> last;
    for (int i = 0; i < times; ++i) last = e.record(target, true, clock_.now());
    return last;
  }
  ManualClock clock_;
};

TEST_F(OutlierEjectionTest, FiveFailuresInARowEjectForThirtySeconds) {
  OutlierEjection e(options(), 4);
  EXPECT_FALSE(fail(e, 1, 4));
  EXPECT_FALSE(e.is_ejected(1, clock_.now()));
  const auto ejection = fail(e, 1, 1);
  ASSERT_TRUE(ejection);
  EXPECT_EQ(ejection->target, 1u);
  EXPECT_EQ(ejection->reason, Reason::consecutive_failures);
  EXPECT_EQ(ejection->period, 30s);
  clock_.advance(30s - 1ns);
  EXPECT_TRUE(e.is_ejected(1, clock_.now()));
  clock_.advance(1ns);
  EXPECT_FALSE(e.is_ejected(1, clock_.now()));
}

TEST_F(OutlierEjectionTest, SuccessInterruptsTheRow) {
  OutlierEjection e(options(), 4);
  fail(e, 0, 4);
  e.record(0, false, clock_.now());
  EXPECT_FALSE(fail(e, 0, 4));
}

TEST_F(OutlierEjectionTest, PeriodGrowsWithEveryEjectionToItsMaximumAndFallsWithGoodTime) {
  OutlierEjection e(options(), 4);
  for (const Nanos period : {30s, 60s, 90s, 120s, 150s, 180s, 210s, 240s, 270s, 300s, 300s}) {
    EXPECT_EQ(fail(e, 0)->period, period);
    clock_.advance(period);
  }
  clock_.advance(8 * 30s);
  EXPECT_EQ(fail(e, 0)->times, 4u);
  clock_.advance(1h);
  EXPECT_EQ(fail(e, 0)->period, 30s);
}

TEST_F(OutlierEjectionTest, JitterStaysWithinItsShareAndTheMaximum) {
  OutlierOptions o = options();
  o.jitter = 0.1;
  std::uint64_t random = 0;
  o.random = [&] { return random; };
  OutlierEjection e(o, 4);
  EXPECT_EQ(fail(e, 0)->period, 27s);
  random = ~std::uint64_t{0};
  EXPECT_GT(fail(e, 1)->period, 32s);
}

TEST_F(OutlierEjectionTest, NeverMoreThanTheShareAndOneAlwaysStays) {
  struct Case {
    std::size_t targets;
    double share;
    std::size_t ejected;
  };
  for (const Case& c : {Case{1, 0.5, 0}, Case{1, 1.0, 0}, Case{2, 0.5, 1}, Case{3, 0.5, 1},
                        Case{10, 0.5, 5}, Case{3, 1.0, 2}, Case{4, 0.1, 0}}) {
    OutlierOptions o = options();
    o.max_ejected_share = c.share;
    OutlierEjection e(o, c.targets);
    for (std::size_t t = 0; t < c.targets; ++t) fail(e, t, 20);
    EXPECT_EQ(e.ejected_count(clock_.now()), c.ejected) << c.targets << " at " << c.share;
  }
}

TEST_F(OutlierEjectionTest, TargetThatFoundNoRoomIsEjectedWhenThereIsSome) {
  OutlierEjection e(options(), 2);
  EXPECT_TRUE(fail(e, 0));
  EXPECT_FALSE(fail(e, 1, 10));
  e.restore(0, clock_.now());
  EXPECT_TRUE(fail(e, 1, 1));
}

TEST_F(OutlierEjectionTest, PassingCheckBringsATargetBackEarly) {
  OutlierEjection e(options(), 2);
  EXPECT_FALSE(e.restore(0, clock_.now()));
  fail(e, 0);
  EXPECT_TRUE(e.restore(0, clock_.now()));
  EXPECT_FALSE(e.is_ejected(0, clock_.now()));
  EXPECT_EQ(fail(e, 0)->period, 60s) << "it is not forgotten";
}

TEST_F(OutlierEjectionTest, OutcomesOfAnEjectedTargetDoNotCount) {
  OutlierEjection e(options(), 2);
  fail(e, 0);
  EXPECT_FALSE(fail(e, 0, 4));
  clock_.advance(30s);
  EXPECT_FALSE(fail(e, 0, 4));
  EXPECT_TRUE(fail(e, 0, 1));
}

TEST_F(OutlierEjectionTest, SuccessRateFarBelowTheOthersEjects) {
  OutlierOptions o = options();
  o.consecutive_failures = 0;
  OutlierEjection e(o, 6);
  for (std::size_t t = 0; t < 6; ++t) {
    for (int i = 0; i < 200; ++i) e.record(t, t == 3 ? i % 2 == 0 : i % 100 == 0, clock_.now());
  }
  const auto ejections = e.evaluate(clock_.now());
  ASSERT_EQ(ejections.size(), 1u);
  EXPECT_EQ(ejections[0].target, 3u);
  EXPECT_EQ(ejections[0].reason, Reason::success_rate);
  EXPECT_TRUE(e.evaluate(clock_.now()).empty()) << "a new count begins";
}

TEST_F(OutlierEjectionTest, EquallyBadTargetsAreNoOutliers) {
  OutlierOptions o = options();
  o.consecutive_failures = 0;
  OutlierEjection e(o, 6);
  for (std::size_t t = 0; t < 6; ++t) {
    for (int i = 0; i < 200; ++i) e.record(t, i % 2 == 0, clock_.now());
  }
  EXPECT_TRUE(e.evaluate(clock_.now()).empty());
}

TEST_F(OutlierEjectionTest, TooFewCallsOrTargetsAreNotJudged) {
  OutlierOptions o = options();
  o.consecutive_failures = 0;
  for (const auto& [targets, calls] : std::vector<std::pair<std::size_t, int>>{{6, 99}, {4, 200}}) {
    OutlierEjection e(o, targets);
    for (std::size_t t = 0; t < targets; ++t) {
      for (int i = 0; i < calls; ++i) e.record(t, t == 0, clock_.now());
    }
    EXPECT_TRUE(e.evaluate(clock_.now()).empty()) << targets;
  }
}

TEST_F(OutlierEjectionTest, ManySimultaneousFailuresEjectOnceAndKeepTheShare) {
  OutlierEjection e(options(), 4);
  std::atomic<int> ejections{0};
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&] {
        for (std::size_t i = 0; i < 4'000; ++i) {
          if (e.record(i % 4, true, clock_.now())) ejections.fetch_add(1);
        }
      });
    }
  }
  EXPECT_EQ(ejections.load(), 2);
  EXPECT_EQ(e.ejected_count(clock_.now()), 2u);
  EXPECT_EQ(e.ejections(), 2u);
}

TEST_F(OutlierEjectionTest, BadOptionsFail) {
  EXPECT_THROW(OutlierEjection({.base_ejection = 0s}, 2), std::invalid_argument);
  EXPECT_THROW(OutlierEjection({.max_ejected_share = 1.1}, 2), std::invalid_argument);
}

TEST_F(OutlierEjectionTest, TakesOverWhatAnotherKnows) {
  OutlierEjection old(options(), 4);
  fail(old, 3);
  fail(old, 1, 4);
  OutlierEjection e(options(), 4);
  e.take_over(0, old, 3);
  e.take_over(2, old, 1);
  EXPECT_TRUE(e.is_ejected(0, clock_.now()));
  EXPECT_TRUE(fail(e, 2, 1));
  clock_.advance(30s);
  EXPECT_EQ(fail(e, 0)->times, 2u);
}

}  // namespace
}  // namespace tyaprover::resilience
