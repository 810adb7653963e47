#include "tyaprover/gateway/passive_health.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tyaprover/gateway/upstream.h"

namespace tyaprover::gateway {
namespace {

std::shared_ptr<const UpstreamTarget> target(const std::string& path) {
  UpstreamTarget one;
  one.endpoint = http::Endpoint::unix_path(path);
  one.address = path;
  return std::make_shared<const UpstreamTarget>(one);
}

class PassiveHealthTest : public testing::Test {
 protected:
  static resilience::OutlierOptions options() {
    resilience::OutlierOptions options = outlier_options({});
    options.jitter = 0;
    return options;
  }
  void eject(PassiveHealth& health, std::size_t which) {
    for (int i = 0; i < 5; ++i) health.record(which, true, clock_.now());
  }

  ManualClock clock_;
  TargetList targets_ = {target("/a"), target("/b"), target("/c")};
  PassiveHealth health_{options(), targets_, nullptr};
};

TEST_F(PassiveHealthTest, ARefusedConnectPassesATargetOverForLongerEachTime) {
  for (const Nanos period : {2s, 4s, 8s, 10s, 10s}) {
    health_.connect_failed(1, clock_.now());
    clock_.advance(period - 1ns);
    EXPECT_FALSE(health_.is_usable(1, clock_.now()));
    EXPECT_TRUE(health_.is_usable(0, clock_.now()));
    clock_.advance(1ns);
    EXPECT_TRUE(health_.is_usable(1, clock_.now()));
  }
  health_.connect_succeeded(1);
  health_.connect_failed(1, clock_.now());
  clock_.advance(2s);
  EXPECT_TRUE(health_.is_usable(1, clock_.now()));
}

TEST_F(PassiveHealthTest, AnEjectedTargetIsReplacedWhileOthersAreThere) {
  EXPECT_FALSE(health_.is_replaced(0, clock_.now()));
  eject(health_, 0);
  EXPECT_TRUE(health_.is_replaced(0, clock_.now()));
  EXPECT_FALSE(health_.is_replaced(1, clock_.now()));
  clock_.advance(30s);
  EXPECT_FALSE(health_.is_replaced(0, clock_.now()));
}

TEST_F(PassiveHealthTest, NobodyReplacesTheOnlyTarget) {
  PassiveHealth alone(options(), {target("/a")}, nullptr);
  eject(alone, 0);
  EXPECT_FALSE(alone.is_replaced(0, clock_.now()));
}

TEST_F(PassiveHealthTest, ConnectsThatFailTogetherCountOnce) {
  for (int i = 0; i < 10; ++i) health_.connect_failed(1, clock_.now());
  clock_.advance(2s);
  EXPECT_TRUE(health_.is_usable(1, clock_.now()));
}

TEST_F(PassiveHealthTest, AConnectThatSucceedsBringsATargetBackAtOnce) {
  health_.connect_failed(1, clock_.now());
  health_.connect_succeeded(1);
  EXPECT_TRUE(health_.is_usable(1, clock_.now()));
}

TEST_F(PassiveHealthTest, FiveFailuresInARowEjectR30) {
  eject(health_, 2);
  EXPECT_FALSE(health_.is_usable(2, clock_.now()));
  EXPECT_TRUE(health_.is_ejected(2, clock_.now()));
  clock_.advance(30s);
  EXPECT_TRUE(health_.is_usable(2, clock_.now()));
}

TEST_F(PassiveHealthTest, AnActiveCheckBringsATargetBackEarlyR30) {
  eject(health_, 2);
  EXPECT_TRUE(health_.restore(2, clock_.now()));
  EXPECT_TRUE(health_.is_usable(2, clock_.now()));
}

TEST_F(PassiveHealthTest, ANewListKeepsWhatIsKnownOfTargetsThatStay) {
  eject(health_, 0);
  health_.connect_failed(2, clock_.now());
  const PassiveHealth next(options(), {target("/c"), target("/d"), target("/a")}, &health_);
  EXPECT_FALSE(next.is_usable(0, clock_.now()));
  EXPECT_FALSE(next.is_ejected(0, clock_.now()));
  EXPECT_TRUE(next.is_usable(1, clock_.now()));
  EXPECT_TRUE(next.is_ejected(2, clock_.now()));
}

TEST_F(PassiveHealthTest, RestIsAskedForOnlyWhenAllTargetsAskedR31) {
  const auto ask = [&](std::size_t which, Nanos time) {
    return health_.asked_for_rest(which, clock_.now() + time, clock_.now());
  };
  EXPECT_FALSE(ask(0, 60s));
  EXPECT_FALSE(ask(1, 30s));
  clock_.advance(10s);
  EXPECT_EQ(ask(2, 60s), 20s);
  health_.asked_for_none(1);
  EXPECT_FALSE(ask(2, 60s));
  EXPECT_EQ(ask(1, 5s), 5s);
  clock_.advance(5s);
  EXPECT_FALSE(ask(0, 60s));
}

}  // namespace
}  // namespace tyaprover::gateway
