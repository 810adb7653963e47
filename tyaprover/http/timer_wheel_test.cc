#include "tyaprover/http/timer_wheel.h"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <random>
#include <vector>

namespace tyaprover::http {
namespace {

using namespace std::chrono_literals;

class TimerWheelTest : public testing::Test {
 protected:
  // Turns the clock to each moment the wheel asked for, up to `by` from now, like an event loop
  // would.
  void pass(Nanos by) {
    const TimePoint end = clock_.now() + by;
    while (armed_ && *armed_ <= end) {
      const TimePoint at = std::max(*armed_, clock_.now());
      armed_.reset();
      clock_.set(at);
      ++turns_;
      wheel_.run(at);
    }
    clock_.set(end);
    wheel_.run(end);
  }

  ManualClock clock_;
  std::optional<TimePoint> armed_;
  int turns_ = 0;
  TimerWheel wheel_{clock_.now(), [this](TimePoint when) { armed_ = when; }};
};

TEST_F(TimerWheelTest, FiresOnceNeverEarlyAndAtMostOneTickLate) {
  for (const Nanos delay :
       {0ns, 1ns, 5'000'000ns, Nanos(10ms), Nanos(123ms), Nanos(10'235ms), Nanos(60s)}) {
    const TimePoint due = clock_.now() + delay;
    std::vector<TimePoint> fired;
    Timer timer([&] { fired.push_back(clock_.now()); });
    wheel_.set(timer, due);
    pass(delay + 2 * TimerWheel::kTick);
    ASSERT_EQ(fired.size(), 1u) << delay.count();
    EXPECT_GE(fired[0], due);
    EXPECT_LE(fired[0] - due, 2 * TimerWheel::kTick);
    pass(30s);
    EXPECT_EQ(fired.size(), 1u);
  }
}

TEST_F(TimerWheelTest, MovedLaterFiresOnlyAtTheLaterTime) {
  int fired = 0;
  Timer timer([&] { ++fired; });
  wheel_.set(timer, clock_.now() + 100ms);
  pass(50ms);
  wheel_.set(timer, clock_.now() + 500ms);
  pass(400ms);
  EXPECT_EQ(fired, 0);
  pass(150ms);
  EXPECT_EQ(fired, 1);
}

TEST_F(TimerWheelTest, MovedEarlierFiresAtTheEarlierTime) {
  int fired = 0;
  Timer timer([&] { ++fired; });
  wheel_.set(timer, clock_.now() + 60s);
  wheel_.set(timer, clock_.now() + 30ms);
  pass(60ms);
  EXPECT_EQ(fired, 1);
}

TEST_F(TimerWheelTest, CancelledAndDestroyedTimersDoNotFire) {
  int fired = 0;
  Timer cancelled([&] { ++fired; });
  wheel_.set(cancelled, clock_.now() + 20ms);
  cancelled.cancel();
  {
    Timer destroyed([&] { ++fired; });
    wheel_.set(destroyed, clock_.now() + 20ms);
  }
  pass(1s);
  EXPECT_EQ(fired, 0);
}

TEST_F(TimerWheelTest, FiringTimerMayDestroyAndSetOthers) {
  int fired = 0;
  auto victim = std::make_unique<Timer>([&] { fired += 100; });
  Timer again([&] { ++fired; });
  Timer killer([&] {
    victim.reset();
    wheel_.set(again, clock_.now() + 20ms);
  });
  const TimePoint due = clock_.now() + 50ms;
  wheel_.set(*victim, due + TimerWheel::kTick);  // in a later slot of the same pass
  wheel_.set(killer, due);
  clock_.advance(200ms);
  wheel_.run(clock_.now());
  pass(100ms);
  EXPECT_EQ(fired, 1);
}

TEST_F(TimerWheelTest, MovingADeadlineAheadCostsNoTurnsOfTheLoop) {
  Timer timer([] {});
  for (int i = 0; i < 10'000; ++i) {
    wheel_.set(timer, clock_.now() + 5s);
    clock_.advance(1ms);
    if (armed_ && *armed_ <= clock_.now()) pass(0ns);
  }
  EXPECT_LE(turns_, 4);  // 10 s of traffic with a 5 s deadline
}

// Against the obvious model: a list of deadlines.
TEST_F(TimerWheelTest, RandomOperationsMatchAList) {
  std::mt19937_64 random(7);
  constexpr std::size_t kTimers = 40;
  std::vector<TimePoint> due(kTimers, TimePoint::max());
  std::vector<std::unique_ptr<Timer>> timers;
  for (std::size_t i = 0; i < kTimers; ++i) {
    timers.push_back(std::make_unique<Timer>([&, i] {
      ASSERT_NE(due[i], TimePoint::max()) << "fired although not set";
      ASSERT_GE(clock_.now(), due[i]) << "fired early";
      due[i] = TimePoint::max();
    }));
  }
  for (int step = 0; step < 20'000; ++step) {
    const std::size_t i = random() % kTimers;
    switch (random() % 4) {
      case 0:
      case 1:
        due[i] = clock_.now() + Nanos(random() % 15'000'000'000);
        wheel_.set(*timers[i], due[i]);
        break;
      case 2:
        due[i] = TimePoint::max();
        timers[i]->cancel();
        break;
      case 3:
        pass(Nanos(random() % 400'000'000));
        break;
    }
    for (std::size_t k = 0; k < kTimers; ++k) {
      ASSERT_TRUE(due[k] == TimePoint::max() || due[k] + 2 * TimerWheel::kTick > clock_.now())
          << "timer " << k << " is overdue at step " << step;
    }
  }
}

}  // namespace
}  // namespace tyaprover::http
