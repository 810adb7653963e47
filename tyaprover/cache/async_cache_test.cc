// The coroutine form: one load for all, whoever waits, and stale values at once.
#include "tyaprover/cache/async_cache.h"

#include <gtest/gtest.h>

#include <deque>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace tyaprover::cache {
namespace {

using namespace std::chrono_literals;
using Strings = Cache<std::string, std::string>;
using Loads = AsyncLoads<std::string, std::string>;

// Something to wait for that the test opens.
struct Gate {
  std::vector<std::coroutine_handle<>> waiting;
  auto wait() {
    struct Awaiter {
      Gate& gate;
      bool await_ready() const noexcept { return false; }
      void await_suspend(std::coroutine_handle<> handle) { gate.waiting.push_back(handle); }
      void await_resume() const noexcept {}
    };
    return Awaiter{*this};
  }
  void open() {
    for (const auto handle : std::exchange(waiting, {})) handle.resume();
  }
};

struct Answers {
  std::vector<std::string> list;
};

Detached ask(Loads& loads, std::function<Lazy<std::string>()> loader, Answers& answers) {
  try {
    const auto result = co_await loads.get_or_load("k", std::move(loader));
    answers.list.push_back(result ? *result : "failed");
  } catch (const std::exception& e) {
    answers.list.emplace_back(e.what());
  }
}

Lazy<std::string> load_through(Gate& gate, int& count, bool fails = false) {
  const int number = ++count;
  co_await gate.wait();
  if (fails) throw std::runtime_error("down");
  co_return "v" + std::to_string(number);
}

TEST(AsyncCache, OneLoadForAllWhoWait) {
  Strings cache({.max_entries = 10});
  Loads loads(cache);
  Gate gate;
  int count = 0;
  Answers answers;
  for (int i = 0; i < 3; ++i)
    ask(
        loads, [&] { return load_through(gate, count); }, answers);
  EXPECT_TRUE(answers.list.empty());
  gate.open();
  EXPECT_EQ(answers.list, (std::vector<std::string>{"v1", "v1", "v1"}));
  ask(
      loads, [&] { return load_through(gate, count); }, answers);
  EXPECT_EQ(answers.list.size(), 4u);
  EXPECT_EQ(count, 1);
  EXPECT_EQ(cache.stats().collapsed, 2u);
}

TEST(AsyncCache, FailuresReachAllAndPoisonNothing) {
  Strings cache({.max_entries = 10});
  Loads loads(cache);
  Gate gate;
  int count = 0;
  Answers answers;
  for (int i = 0; i < 2; ++i)
    ask(
        loads, [&] { return load_through(gate, count, true); }, answers);
  gate.open();
  EXPECT_EQ(answers.list, (std::vector<std::string>{"failed", "failed"}));
  ask(
      loads, [&] { return load_through(gate, count); }, answers);
  gate.open();
  EXPECT_EQ(answers.list.back(), "v2");
}

TEST(AsyncCache, StaleComesAtOnceAndIsRefreshed) {
  ManualClock clock;
  Strings cache({.max_entries = 10, .ttl = 10s, .stale_while_revalidate = 1h, .clock = &clock});
  Loads loads(cache);
  Gate gate;
  int count = 0;
  Answers answers;
  ask(
      loads, [&] { return load_through(gate, count); }, answers);
  gate.open();
  clock.advance(11s);
  for (int i = 0; i < 3; ++i)
    ask(
        loads, [&] { return load_through(gate, count); }, answers);
  EXPECT_EQ(answers.list, (std::vector<std::string>{"v1", "v1", "v1", "v1"}));
  EXPECT_EQ(count, 2);
  gate.open();
  ask(
      loads, [&] { return load_through(gate, count); }, answers);
  EXPECT_EQ(answers.list.back(), "v2");
}

TEST(AsyncCache, EraseDuringALoadKeepsItOut) {
  Strings cache({.max_entries = 10});
  Loads loads(cache);
  Gate gate;
  int count = 0;
  Answers answers;
  ask(
      loads, [&] { return load_through(gate, count); }, answers);
  cache.erase("k");
  gate.open();
  EXPECT_EQ(answers.list.back(), "v1");
  EXPECT_FALSE(cache.get("k"));
}

TEST(AsyncCache, WaitersGoOnWhereTheyAreTold) {
  Strings cache({.max_entries = 10});
  std::deque<std::coroutine_handle<>> queue;
  Loads loads(cache, [&](std::coroutine_handle<> handle) { queue.push_back(handle); });
  Gate gate;
  int count = 0;
  Answers answers;
  for (int i = 0; i < 2; ++i)
    ask(
        loads, [&] { return load_through(gate, count); }, answers);
  gate.open();
  EXPECT_EQ(answers.list.size(), 1u);  // the leader
  ASSERT_EQ(queue.size(), 1u);
  queue.front().resume();
  EXPECT_EQ(answers.list.size(), 2u);
}

TEST(AsyncCache, SharesItsLoadWithThreads) {
  Strings cache({.max_entries = 10});
  Loads loads(cache);
  Gate gate;
  int count = 0;
  Answers answers;
  ask(
      loads, [&] { return load_through(gate, count); }, answers);
  std::string from_thread;
  std::thread thread(
      [&] { from_thread = *cache.get_or_load("k", [] { return std::string("own"); }); });
  while (cache.stats().collapsed == 0) std::this_thread::yield();
  gate.open();
  thread.join();
  EXPECT_EQ(from_thread, "v1");
}

}  // namespace
}  // namespace tyaprover::cache
