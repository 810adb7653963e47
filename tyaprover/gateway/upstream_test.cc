// Upstreams: resolution, balancing and the readiness check.
#include "tyaprover/gateway/upstream.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "tyaprover/base/ids.h"
#include "tyaprover/gateway/upstream_check.h"
#include "tyaprover/http/listen.h"
#include "tyaprover/http/worker.h"

namespace tyaprover::gateway {
namespace {

Target target(std::string host, std::uint16_t port) {
  Target t;
  t.host = std::move(host);
  t.port = port;
  t.url = "http://" + t.host + ":" + std::to_string(port);
  return t;
}

TargetList resolve(const std::vector<Target>& targets) {
  TargetList list;
  std::string problem;
  for (const Target& t : targets) {
    const TargetList found = resolve_target(t, problem);
    list.insert(list.end(), found.begin(), found.end());
  }
  EXPECT_EQ(problem, "");
  return list;
}

TEST(ResolveTarget, AddressesNamesAndUnixPaths) {
  std::string problem;
  const TargetList v4 = resolve_target(target("127.0.0.1", 8080), problem);
  ASSERT_EQ(v4.size(), 1u);
  EXPECT_EQ(v4[0]->address, "127.0.0.1:8080");
  EXPECT_EQ(v4[0]->authority, "127.0.0.1:8080");

  const TargetList v6 = resolve_target(target("::1", 80), problem);
  ASSERT_EQ(v6.size(), 1u);
  EXPECT_EQ(v6[0]->address, "[::1]:80");
  EXPECT_EQ(v6[0]->authority, "[::1]");

  Target path;
  path.unix_socket = true;
  path.path = "/run/app.sock";
  const TargetList local = resolve_target(path, problem);
  ASSERT_EQ(local.size(), 1u);
  EXPECT_EQ(local[0]->address, "unix:/run/app.sock");
  EXPECT_EQ(problem, "");

  EXPECT_TRUE(resolve_target(target("no-such-host.invalid", 1), problem).empty());
  EXPECT_NE(problem.find("no-such-host.invalid"), std::string::npos);
}

class WorkerUpstreamTest : public testing::Test {
 protected:
  void use(Balance balance, std::size_t targets) {
    app_.balance = balance;
    make_upstream();
    std::vector<Target> list;
    for (std::size_t i = 0; i < targets; ++i) {
      list.push_back(target("127.0.0.1", static_cast<std::uint16_t>(1000 + i)));
    }
    update(list);
  }
  void make_upstream() {
    upstream_ = std::make_unique<WorkerUpstream>(worker_, app_, shared_, http::ClientOptions{},
                                                 metrics_, breakers_, breakers_.external_http());
  }
  void update(const std::vector<Target>& list) {
    health_ = std::make_shared<PassiveHealth>(outlier_options({}), resolve(list), health_.get());
    upstream_->update(health_);
  }
  void refuse(const WorkerTarget& target) {
    health_->connect_failed(target.standing.number, clock_.now());
  }

  ManualClock clock_;
  http::Worker worker_{0, clock_};
  AppConfig app_;
  SharedUpstream shared_{app_};
  metrics::Registry registry_;
  UpstreamMetrics metrics_{registry_};
  Breakers breakers_{Config{}, registry_};
  std::shared_ptr<PassiveHealth> health_;
  std::unique_ptr<WorkerUpstream> upstream_;
};

TEST_F(WorkerUpstreamTest, RoundRobinTakesEachInTurn) {
  use(Balance::round_robin, 3);
  std::vector<WorkerTarget*> picked;
  for (int i = 0; i < 6; ++i) picked.push_back(upstream_->pick({}));
  EXPECT_EQ(std::set<WorkerTarget*>(picked.begin(), picked.begin() + 3).size(), 3u);
  EXPECT_TRUE(std::equal(picked.begin(), picked.begin() + 3, picked.begin() + 3));
}

TEST_F(WorkerUpstreamTest, EveryBalancingTriesEachTargetOnceAndThenGivesUp) {
  for (const Balance balance :
       {Balance::p2c, Balance::round_robin, Balance::random, Balance::consistent_hash}) {
    use(balance, 4);
    std::vector<WorkerTarget*> tried;
    while (WorkerTarget* next = upstream_->pick(tried)) tried.push_back(next);
    EXPECT_EQ(std::set<WorkerTarget*>(tried.begin(), tried.end()).size(), 4u);
  }
}

TEST_F(WorkerUpstreamTest, P2cPrefersTheLessBusy) {
  use(Balance::p2c, 2);
  WorkerTarget* const busy = upstream_->pick({});
  std::vector<http::ClientConnection*> connections;
  for (int i = 0; i < 3; ++i) connections.push_back(busy->pool.create());
  for (int i = 0; i < 50; ++i) EXPECT_NE(upstream_->pick({}), busy);
  for (auto* c : connections) c->release();
  std::set<WorkerTarget*> seen;
  for (int i = 0; i < 50; ++i) seen.insert(upstream_->pick({}));
  EXPECT_EQ(seen.size(), 2u);
}

TEST_F(WorkerUpstreamTest, ConsistentHashKeepsAKeyOnItsTargetUntilThatIsFull) {
  use(Balance::consistent_hash, 4);
  const std::uint64_t key = resilience::hash_key("user-1");
  WorkerTarget* const own = upstream_->pick({}, key);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(upstream_->pick({}, key), own);

  // Full is 1.25 times the average of the four targets, rounded up.
  std::vector<http::ClientConnection*> connections;
  for (int i = 0; i < 3; ++i) connections.push_back(own->pool.create());
  WorkerTarget* const next = upstream_->pick({}, key);
  EXPECT_NE(next, own);
  EXPECT_EQ(upstream_->pick({}, key), next) << "the overflow has its place too";
  for (auto* c : connections) c->release();
  EXPECT_EQ(upstream_->pick({}, key), own);

  const std::vector<WorkerTarget*> tried = {own};
  EXPECT_EQ(upstream_->pick(tried, key), next);
}

TEST_F(WorkerUpstreamTest, ConsistentHashSpreadsRequestsWithoutAKey) {
  use(Balance::consistent_hash, 3);
  std::set<WorkerTarget*> seen;
  for (int i = 0; i < 100; ++i) seen.insert(upstream_->pick({}));
  EXPECT_EQ(seen.size(), 3u);
}

TEST_F(WorkerUpstreamTest, WeightsReachTheTargets) {
  app_.balance = Balance::round_robin;
  make_upstream();
  std::vector<Target> list = {target("127.0.0.1", 1000), target("127.0.0.1", 1001)};
  list[0].weight = 4;
  update(list);
  std::map<std::string, int> picked;
  for (int i = 0; i < 50; ++i) ++picked[upstream_->pick({})->target->address];
  EXPECT_EQ(picked["127.0.0.1:1000"], 40);
}

TEST_F(WorkerUpstreamTest, ATargetThatRefusedIsPassedOverForAWhileUnlessItIsTheLast) {
  use(Balance::round_robin, 2);
  WorkerTarget* const down = upstream_->pick({});
  refuse(*down);
  for (int i = 0; i < 10; ++i) EXPECT_NE(upstream_->pick({}), down);
  WorkerTarget* const other = upstream_->pick({});
  refuse(*other);
  EXPECT_NE(upstream_->pick({}), nullptr);
  clock_.advance(std::chrono::milliseconds(2001));
  std::set<WorkerTarget*> seen;
  for (int i = 0; i < 4; ++i) seen.insert(upstream_->pick({}));
  EXPECT_EQ(seen.size(), 2u);
}

TEST_F(WorkerUpstreamTest, AnUnhealthyTargetIsNotTakenEvenAsTheLast) {
  for (const Balance balance :
       {Balance::p2c, Balance::round_robin, Balance::random, Balance::consistent_hash}) {
    use(balance, 2);
    WorkerTarget* const down = upstream_->pick({});
    down->target->state->go_down();
    for (int i = 0; i < 50; ++i) EXPECT_NE(upstream_->pick({}, random_u64()), down);
    WorkerTarget* const other = upstream_->pick({});
    other->target->state->go_down();
    EXPECT_EQ(upstream_->pick({}), nullptr);
    down->target->state->come_back(clock_.now());
    EXPECT_EQ(upstream_->pick({}), down);
  }
  use(Balance::p2c, 1);
  upstream_->pick({})->target->state->go_down();
  EXPECT_EQ(upstream_->pick({}), nullptr);
}

TEST_F(WorkerUpstreamTest, ATargetThatCameBackGetsMoreAndMoreOfItsShare) {
  use(Balance::random, 2);
  WorkerTarget* const back = upstream_->pick({});
  back->target->state->go_down();
  back->target->state->come_back(clock_.now());
  const auto share = [&] {
    int taken = 0;
    for (int i = 0; i < 10'000; ++i) taken += upstream_->pick({}) == back;
    return taken;
  };
  // A twentieth of its usual share, which is half. Six standard deviations are below 300.
  EXPECT_NEAR(share(), 250, 150);
  clock_.advance(std::chrono::seconds(15));
  EXPECT_NEAR(share(), 2500, 300);
  clock_.advance(std::chrono::seconds(15));
  EXPECT_NEAR(share(), 5000, 300);
}

TEST_F(WorkerUpstreamTest, UpdateKeepsPoolsOfAddressesThatStay) {
  use(Balance::round_robin, 2);
  std::map<std::string, WorkerTarget*> before;
  for (int i = 0; i < 2; ++i) {
    WorkerTarget* const t = upstream_->pick({});
    before[t->target->address] = t;
  }
  http::ClientConnection* const in_use = before["127.0.0.1:1000"]->pool.create();
  update({target("127.0.0.1", 1001), target("127.0.0.1", 1002)});
  std::map<std::string, WorkerTarget*> after;
  for (int i = 0; i < 2; ++i) {
    WorkerTarget* const t = upstream_->pick({});
    after[t->target->address] = t;
  }
  EXPECT_EQ(after["127.0.0.1:1001"], before["127.0.0.1:1001"]);
  EXPECT_EQ(after.count("127.0.0.1:1000"), 0u);
  in_use->release();  // its pool is still there
}

TEST_F(WorkerUpstreamTest, NoTargetsGiveNothing) {
  use(Balance::p2c, 0);
  EXPECT_EQ(upstream_->pick({}), nullptr);
}

TEST(UpstreamCheck, TellsWhichAppsHaveNoTargetThatAccepts) {
  auto listening = http::listen_tcp("127.0.0.1", 0, 1);
  ASSERT_TRUE(listening);
  auto closed = http::listen_tcp("127.0.0.1", 0, 1);
  ASSERT_TRUE(closed);
  const auto port_of = [](int fd) {
    const std::string place = http::describe_listener(fd);
    return static_cast<std::uint16_t>(std::stoi(place.substr(place.rfind(':') + 1)));
  };
  const Target up = target("127.0.0.1", port_of(listening->front()));
  const Target down = target("127.0.0.1", port_of(closed->front()));
  ::close(closed->front());

  Config config;
  config.apps.resize(2);
  config.apps[0].name = "shop";
  config.apps[0].targets = {up, down};
  config.apps[1].name = "blog";
  config.apps[1].targets = {up};
  UpstreamCheck check(config);
  check.update(0, resolve(config.apps[0].targets));
  check.update(1, resolve(config.apps[1].targets));
  CheckResult result = check.run();
  EXPECT_EQ(result.status, HealthStatus::degraded);
  EXPECT_NE(result.detail.find("shop"), std::string::npos);

  // What is checked actively is not connected to.
  config.apps[0].health_check.enabled = true;
  const TargetList checked = resolve(config.apps[0].targets);
  check.update(0, checked);
  EXPECT_EQ(check.run().status, HealthStatus::healthy);
  for (const auto& one : checked) one->state->go_down();
  EXPECT_EQ(check.run().status, HealthStatus::unhealthy);

  check.update(1, {});
  result = check.run();
  EXPECT_EQ(result.status, HealthStatus::unhealthy);
  EXPECT_NE(result.detail.find("blog"), std::string::npos);
  ::close(listening->front());
}

}  // namespace
}  // namespace tyaprover::gateway
