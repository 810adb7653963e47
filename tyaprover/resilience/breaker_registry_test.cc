#include "tyaprover/resilience/breaker_registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "tyaprover/resilience/breaker_family.h"

namespace tyaprover::resilience {
namespace {

using namespace std::chrono_literals;

TEST(BreakerRegistryTest, RegisteredBreakersAreFoundAndSeenByName) {
  BreakerRegistry registry;
  registry.register_breaker("docker-api", {.failure_threshold = 3, .timeout = 5s});
  const auto http = registry.register_breaker("external-http", {.timeout = 10s});
  http->open();
  EXPECT_EQ(registry.find("docker-api")->options().failure_threshold, 3u);
  EXPECT_EQ(registry.find("nobody"), nullptr);
  const auto stats = registry.all_stats();
  ASSERT_EQ(stats.size(), 2u);
  EXPECT_EQ(stats.at("docker-api").state, BreakerState::closed);
  EXPECT_EQ(stats.at("external-http").state, BreakerState::open);
  EXPECT_THAT(to_json(stats),
              testing::StartsWith(R"({"docker-api":{"name":"docker-api","state":"CLOSED",)"));
}

TEST(BreakerRegistryTest, FunctionIsRegisteredWithItsBreaker) {
  BreakerRegistry registry;
  auto twice = registry.register_breaker("twice", [](int n) { return 2 * n; }, {.timeout = 5s});
  EXPECT_EQ(*twice.execute(4), 8);
  EXPECT_EQ(registry.all_stats().at("twice").success_count, 1u);
}

TEST(BreakerRegistryTest, NameIsTakenOnce) {
  BreakerRegistry registry;
  registry.register_breaker("a");
  EXPECT_THROW(registry.register_breaker("a"), std::invalid_argument);
  EXPECT_THROW(registry.register_breaker(""), std::invalid_argument);
}

TEST(BreakerRegistryTest, RemovedBreakerLivesOnWithItsHolder) {
  BreakerRegistry registry;
  const auto held = registry.register_breaker("a");
  EXPECT_TRUE(registry.remove("a"));
  EXPECT_FALSE(registry.remove("a"));
  EXPECT_TRUE(registry.all().empty());
  EXPECT_TRUE(held->execute([] {}));
}

TEST(BreakerRegistryTest, VisitorsSeeBreakersOfBeforeAndAfter) {
  BreakerRegistry registry;
  std::string seen;
  registry.register_breaker("a");
  registry.on_register([&](CircuitBreaker& breaker) { seen += breaker.name(); });
  registry.register_breaker("b");
  EXPECT_EQ(seen, "ab");
}

TEST(BreakerRegistryTest, ProcessHasOne) {
  EXPECT_EQ(&circuit_breaker_registry(), &circuit_breaker_registry());
}

TEST(BreakerFamilyTest, EachKeyHasItsOwnBreaker) {
  BreakerFamily<std::string> family({.name = "host", .failure_threshold = 1}, 10);
  family.get("a")->try_acquire()->failure();
  EXPECT_EQ(family.get("a")->state(), BreakerState::open);
  EXPECT_EQ(family.get("b")->state(), BreakerState::closed);
}

TEST(BreakerFamilyTest, TheOneUsedLongestAgoMakesRoom) {
  BreakerFamily<int> family({.name = "host"}, 2);
  family.get(1)->try_acquire()->success();
  family.get(2)->try_acquire()->success();
  static_cast<void>(family.get(1));
  static_cast<void>(family.get(3));
  EXPECT_EQ(family.size(), 2u);
  EXPECT_EQ(family.get(1)->stats().success_count, 1u);
  EXPECT_EQ(family.get(2)->stats().success_count, 0u) << "it was made anew";
}

TEST(BreakerFamilyTest, OpenOnesAndThoseInUseNeverMakeRoom) {
  BreakerFamily<int> family({.name = "host"}, 3);
  family.get(1)->open();
  const auto held = family.get(2);
  auto permit = family.get(3)->try_acquire();
  EXPECT_EQ(family.get(4), nullptr);
  permit->success();
  EXPECT_NE(family.get(4), nullptr);
  EXPECT_EQ(family.get(1)->state(), BreakerState::open);
}

TEST(BreakerFamilyTest, BadOptionsFailAtOnce) {
  EXPECT_THROW(BreakerFamily<int>({.name = ""}, 3), std::invalid_argument);
}

}  // namespace
}  // namespace tyaprover::resilience
