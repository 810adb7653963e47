#include "tyaprover/http/task.h"

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace tyaprover::http {
namespace {

Task<int> number(int n) {
  co_return n;
}

Task<int> sum(int n) {
  int total = 0;
  for (int i = 1; i <= n; ++i) total += co_await number(i);
  co_return total;
}

Task<int> depth(int n) {
  if (n == 0) co_return 0;
  const int below = co_await depth(n - 1);
  co_return below + 1;
}

template <class T>
Task<void> store(Task<T> task, T& out) {
  out = co_await task;
}

TEST(Task, DoesNotStartBeforeItIsAwaited) {
  bool started = false;
  const auto body = [](bool& flag) -> Task<void> {
    flag = true;
    co_return;
  };
  Task<void> task = body(started);
  EXPECT_FALSE(started);
  spawn(std::move(task));
  EXPECT_TRUE(started);
}

TEST(Task, GivesItsValueToWhoAwaitsIt) {
  int result = 0;
  spawn(store(sum(100), result));
  EXPECT_EQ(result, 5050);
}

TEST(Task, ManyCallsThatFinishAtOnceDoNotGrowTheStack) {
  int result = 0;
  spawn(store(sum(60'000), result));
  EXPECT_EQ(result, 1'800'030'000);
}

TEST(Task, DeepCallsReturnThroughEveryLevel) {
  int result = 0;
  spawn(store(depth(10'000), result));
  EXPECT_EQ(result, 10'000);
}

TEST(Task, MoveOnlyValuesPassThrough) {
  const auto make = []() -> Task<std::unique_ptr<std::string>> {
    co_return std::make_unique<std::string>("kept");
  };
  std::unique_ptr<std::string> result;
  spawn(store(make(), result));
  ASSERT_NE(result, nullptr);
  EXPECT_EQ(*result, "kept");
}

TEST(Task, ExceptionReachesTheAwaiter) {
  const auto thrower = []() -> Task<int> {
    throw std::runtime_error("broken");
    co_return 0;
  };
  const auto catcher = [](Task<int> task, std::string& what) -> Task<void> {
    try {
      (void)co_await task;
    } catch (const std::runtime_error& e) {
      what = e.what();
    }
  };
  std::string what;
  spawn(catcher(thrower(), what));
  EXPECT_EQ(what, "broken");
}

TEST(Task, DestroyedWhileWaitingFreesWhatItHolds) {
  const auto held = std::make_shared<int>(1);
  Event never;
  {
    const auto waiter = [](std::shared_ptr<int> hold, Event& event) -> Task<void> {
      co_await event;
      (void)hold;
    };
    Task<void> task = waiter(held, never);
    EXPECT_EQ(held.use_count(), 2);
  }
  EXPECT_EQ(held.use_count(), 1);
}

Task<void> wait_for(Event& event, std::vector<int>& log, int mark) {
  co_await event;
  log.push_back(mark);
}

TEST(Event, WakesItsWaiterWhenSet) {
  Event event;
  std::vector<int> log;
  spawn(wait_for(event, log, 1));
  EXPECT_TRUE(log.empty());
  event.set();
  EXPECT_EQ(log, std::vector<int>{1});
}

TEST(Event, SetBeforeTheWaitDoesNotWait) {
  Event event;
  event.set();
  std::vector<int> log;
  spawn(wait_for(event, log, 7));
  EXPECT_EQ(log, std::vector<int>{7});
}

// A coroutine that wakes another one goes on itself afterwards: the two chains do not mix.
TEST(Event, SettingFromACoroutineRunsTheWaiterAndComesBack) {
  Event event;
  std::vector<int> log;
  spawn(wait_for(event, log, 1));
  const auto setter = [](Event& e, std::vector<int>& out) -> Task<void> {
    e.set();
    out.push_back(co_await number(2));
    out.push_back(3);
  };
  spawn(setter(event, log));
  EXPECT_EQ(log, (std::vector<int>{1, 2, 3}));
}

TEST(TaskDeathTest, EscapedExceptionEndsTheProcessWithStatus70) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto thrower = []() -> Task<void> {
    throw std::runtime_error("nobody catches this");
    co_return;
  };
  EXPECT_EXIT(spawn(thrower()), testing::ExitedWithCode(70), "nobody catches this");
}

}  // namespace
}  // namespace tyaprover::http
