#include "tyaprover/gateway/shutdown.h"

#include <gtest/gtest.h>

#include <future>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace tyaprover::gateway {
namespace {

using namespace std::chrono_literals;

std::chrono::steady_clock::time_point in(Nanos time) {
  return std::chrono::steady_clock::now() +
         std::chrono::duration_cast<std::chrono::steady_clock::duration>(time);
}

TEST(GracefulShutdown, HandlersRunOneAfterTheOtherInReverseOrder) {
  GracefulShutdown shutdown;
  std::vector<std::string> order;
  for (const char* name : {"close-database", "stop-consumers", "flush-traces"}) {
    shutdown.on_shutdown(name, [&order, name] { order.emplace_back(name); });
  }
  const auto outcomes = shutdown.run_handlers(in(10s));
  EXPECT_EQ(order, (std::vector<std::string>{"flush-traces", "stop-consumers", "close-database"}));
  ASSERT_EQ(outcomes.size(), 3u);
  for (const auto& outcome : outcomes) EXPECT_TRUE(outcome.in_time);
}

TEST(GracefulShutdown, AHandlerThatThrowsDoesNotStopTheOthers) {
  GracefulShutdown shutdown;
  bool ran = false;
  shutdown.on_shutdown("later", [&] { ran = true; });
  shutdown.on_shutdown("thrower", [] { throw std::runtime_error("collector is gone"); });
  const auto outcomes = shutdown.run_handlers(in(10s));
  EXPECT_TRUE(ran);
  EXPECT_EQ(outcomes[0].name, "thrower");
  EXPECT_EQ(outcomes[0].error, "collector is gone");
}

TEST(GracefulShutdown, AHangingHandlerIsLeftBehindAfterItsLimit) {
  GracefulShutdown shutdown;
  bool ran = false;
  const auto never = std::make_shared<std::promise<void>>();
  const auto ended = std::make_shared<std::promise<void>>();
  shutdown.on_shutdown("later", [&] { ran = true; });
  shutdown.on_shutdown(
      "hangs",
      [never, ended] {
        never->get_future().wait();
        ended->set_value();
      },
      30ms);
  const auto outcomes = shutdown.run_handlers(in(10s));
  EXPECT_FALSE(outcomes[0].in_time);
  EXPECT_TRUE(ran);
  never->set_value();
  ended->get_future().wait();
}

TEST(GracefulShutdown, EachHandlerRunsOnce) {
  GracefulShutdown shutdown;
  int runs = 0;
  shutdown.on_shutdown("once", [&] { ++runs; });
  (void)shutdown.run_handlers(in(10s));
  (void)shutdown.run_handlers(in(10s));
  EXPECT_EQ(runs, 1);
}

}  // namespace
}  // namespace tyaprover::gateway
