#include "tyaprover/gateway/health.h"

#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <stdexcept>

namespace tyaprover::gateway {
namespace {

using namespace std::chrono_literals;

// Holds checks until it is opened.
class Gate {
 public:
  void open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }
  void wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return open_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool open_ = false;
};

TEST(HealthChecks, TheWorstRequiredCheckDecidesOthersOnlyDegrade) {
  struct Case {
    bool required;
    HealthStatus status;
    HealthStatus overall;
  };
  for (const Case& c : {Case{true, HealthStatus::healthy, HealthStatus::healthy},
                        Case{true, HealthStatus::degraded, HealthStatus::degraded},
                        Case{true, HealthStatus::unhealthy, HealthStatus::unhealthy},
                        Case{false, HealthStatus::unhealthy, HealthStatus::degraded}}) {
    HealthChecks health;
    health.add("fine", {.required = true}, [] { return CheckResult{}; });
    health.add("other", {.required = c.required}, [&] { return CheckResult{c.status, "", {}}; });
    EXPECT_EQ(health.report().status, c.overall);
  }
}

TEST(HealthChecks, ACheckThatThrowsIsUnhealthyAndSaysWhy) {
  HealthChecks health;
  health.add("thrower", {.required = true},
             []() -> CheckResult { throw std::runtime_error("no database"); });
  health.add("fine", {}, [] { return CheckResult{}; });
  const HealthReport report = health.report();
  EXPECT_EQ(report.status, HealthStatus::unhealthy);
  EXPECT_EQ(report.checks[0].result.detail, "the check threw: no database");
  EXPECT_EQ(report.checks[1].result.status, HealthStatus::healthy);
}

TEST(HealthChecks, AHangingCheckIsUnhealthyAndDelaysTheOthersByItsLimitOnce) {
  ManualClock clock;
  const auto gate = std::make_shared<Gate>();
  {
    HealthChecks health(clock);
    std::atomic<int> started{0};
    health.add("hangs", {.limit = 30ms}, [&started, gate] {
      ++started;
      gate->wait();
      return CheckResult{};
    });
    health.add("fine", {.required = true}, [] { return CheckResult{}; });
    for (int round = 0; round < 3; ++round) {
      const HealthReport report = health.report();
      EXPECT_EQ(report.status, HealthStatus::degraded);
      EXPECT_EQ(report.checks[0].result.status, HealthStatus::unhealthy);
      EXPECT_EQ(report.checks[1].result.status, HealthStatus::healthy);
      clock.advance(2s);
    }
    EXPECT_EQ(started, 1);  // never again while it hangs
    gate->open();
  }
}

TEST(HealthChecks, ResultsAreKeptForASecond) {
  ManualClock clock;
  HealthChecks health(clock);
  std::atomic<int> runs{0};
  health.add("counted", {}, [&] {
    ++runs;
    return CheckResult{};
  });
  for (int i = 0; i < 10; ++i) (void)health.report();
  EXPECT_EQ(runs, 1);
  clock.advance(999ms);
  (void)health.report();
  EXPECT_EQ(runs, 1);
  clock.advance(1ms);
  (void)health.report();
  EXPECT_EQ(runs, 2);
}

TEST(HealthChecks, AsyncReportAnswersOnceEach) {
  HealthChecks health;
  health.add("fine", {}, [] { return CheckResult{}; });
  std::atomic<int> answers{0};
  Gate all;
  for (int i = 0; i < 5; ++i) {
    health.report_async([&](const HealthReport& report) {
      EXPECT_EQ(report.checks.size(), 1u);
      if (++answers == 5) all.open();
    });
  }
  all.wait();
  EXPECT_EQ(answers, 5);
}

TEST(HealthChecks, ANameIsTakenOnce) {
  HealthChecks health;
  health.add("database", {}, [] { return CheckResult{}; });
  EXPECT_THROW(health.add("database", {}, [] { return CheckResult{}; }), std::invalid_argument);
}

}  // namespace
}  // namespace tyaprover::gateway
