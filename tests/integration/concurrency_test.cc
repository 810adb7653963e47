// Limits of the requests that an upstream and its targets are given at once (R37).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <deque>
#include <string>
#include <vector>

#include "tests/integration/support.h"

namespace tyaprover::test {
namespace {

// Holds every request until it is let go, and counts how many it holds.
class HoldingUpstream {
 public:
  explicit HoldingUpstream(std::string name = "held")
      : upstream_([this, name = std::move(name)](UpstreamExchange& exchange) {
          exchange.read_body();
          const int now = ++running;
          int seen = most.load();
          while (now > seen && !most.compare_exchange_weak(seen, now)) {
          }
          (void)wait_until([&] { return free.load(); }, 60s);
          --running;
          exchange.send(ok(name));
        }) {}
  ~HoldingUpstream() { free = true; }

  std::string url() const { return upstream_.url(); }
  std::vector<Message> requests() const { return upstream_.requests(); }

  std::atomic<bool> free{false};
  std::atomic<int> running{0};
  std::atomic<int> most{0};

 private:
  Upstream upstream_;
};

std::string request_for(std::string_view target) {
  return "GET " + std::string(target) + " HTTP/1.1\r\nHost: a\r\n\r\n";
}

class Concurrency : public ::testing::Test {
 protected:
  void start(const std::vector<std::string>& targets, std::string_view limits,
             std::string_view workers = "2") {
    std::string yaml = proxy_to(targets, "concurrency: {" + std::string(limits) + "}\n");
    yaml.replace(yaml.find("workers: 1"), 10, "workers: " + std::string(workers));
    gateway_.emplace(yaml);
  }
  void ask(std::string_view target) {
    clients_.emplace_back(gateway_->port());
    clients_.back().send(request_for(target));
  }
  double metric(std::string_view series) const {
    const std::string text =
        sample_text(get(gateway_->port(), "/metrics").body, std::string(series));
    return text.empty() ? -1 : std::stod(text);
  }
  bool becomes(std::string_view series, double value) const {
    return wait_until([&] { return metric(series) == value; });
  }

  static constexpr std::string_view kInFlight = "tyaprover_upstream_in_flight{app=\"app\"}";
  static constexpr std::string_view kPending = "tyaprover_upstream_pending{app=\"app\"}";
  std::optional<Gateway> gateway_;
  std::deque<RawClient> clients_;
};

TEST_F(Concurrency, TheUpstreamGetsNoMoreAtOnceAndTheRestWaits) {
  HoldingUpstream upstream;
  start({upstream.url()}, "max_in_flight: 3, queue_timeout: 60s");
  for (int i = 0; i < 10; ++i) ask("/");
  EXPECT_TRUE(becomes(kInFlight, 3));
  EXPECT_TRUE(becomes(kPending, 7));
  EXPECT_TRUE(wait_until([&] { return upstream.running == 3; }));
  upstream.free = true;
  for (RawClient& client : clients_) EXPECT_EQ(client.read_response().status, 200);
  EXPECT_LE(upstream.most, 3);
  EXPECT_TRUE(becomes(kInFlight, 0));
  EXPECT_TRUE(becomes(kPending, 0));
}

TEST_F(Concurrency, BeyondTheQueueRequestsAreTurnedAway) {
  HoldingUpstream upstream;
  start({upstream.url()}, "max_in_flight: 1, max_pending: 1, queue_timeout: 60s");
  ask("/first");
  EXPECT_TRUE(becomes(kInFlight, 1));
  ask("/second");
  EXPECT_TRUE(becomes(kPending, 1));
  const Response third = get(gateway_->port(), "/third");
  EXPECT_EQ(third.status, 503);
  EXPECT_EQ(third.reason(), "overloaded");
  EXPECT_EQ(third.header("Retry-After"), "1");
  EXPECT_EQ(gateway_->wait_for_path("/third").value("reason", ""), "overloaded");
  EXPECT_EQ(metric("tyaprover_upstream_shed_total{app=\"app\",why=\"full\"}"), 1);
  upstream.free = true;
  for (RawClient& client : clients_) EXPECT_EQ(client.read_response().status, 200);
}

TEST_F(Concurrency, AWaitThatTakesTooLongIsTurnedAway) {
  HoldingUpstream upstream;
  start({upstream.url()}, "max_in_flight: 1, queue_timeout: 50ms");
  ask("/first");
  EXPECT_TRUE(becomes(kInFlight, 1));
  const Response second = get(gateway_->port(), "/second");
  EXPECT_EQ(second.status, 503);
  EXPECT_EQ(second.reason(), "overloaded");
  EXPECT_EQ(metric("tyaprover_upstream_shed_total{app=\"app\",why=\"timeout\"}"), 1);
  upstream.free = true;
  EXPECT_EQ(clients_.front().read_response().status, 200);
}

TEST_F(Concurrency, AWaitingClientThatLeavesIsSkipped) {
  HoldingUpstream upstream;
  start({upstream.url()}, "max_in_flight: 1, queue_timeout: 60s", "1");
  ask("/first");
  EXPECT_TRUE(becomes(kInFlight, 1));
  ask("/leaves");
  EXPECT_TRUE(becomes(kPending, 1));
  ask("/third");
  EXPECT_TRUE(becomes(kPending, 2));
  clients_[1].close();
  EXPECT_TRUE(becomes(kPending, 1));
  EXPECT_EQ(gateway_->wait_for_path("/leaves").value("status", 0), 499);
  upstream.free = true;
  EXPECT_EQ(clients_[0].read_response().status, 200);
  EXPECT_EQ(clients_[2].read_response().status, 200);
  for (const Message& seen : upstream.requests()) EXPECT_NE(seen.target(), "/leaves");
  EXPECT_TRUE(becomes(kInFlight, 0));
}

TEST_F(Concurrency, OfATargetLeavesTheOthersTheirOwn) {
  HoldingUpstream a("a"), b("b");
  start({a.url(), b.url()}, "max_in_flight_per_target: 2, queue_timeout: 60s");
  for (int i = 0; i < 6; ++i) ask("/");
  EXPECT_TRUE(wait_until([&] { return a.running == 2 && b.running == 2; }));
  a.free = true;
  b.free = true;
  for (RawClient& client : clients_) EXPECT_EQ(client.read_response().status, 200);
  EXPECT_EQ(a.most, 2);
  EXPECT_EQ(b.most, 2);
}

// However a request ends, its place is given back.
TEST_F(Concurrency, CountsReturnToNothing) {
  Upstream upstream([](UpstreamExchange& exchange) {
    exchange.read_body();
    const std::string target = exchange.request.target();
    if (target == "/reset") return exchange.reset();
    if (target == "/half") {
      exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
      return exchange.close();
    }
    if (target == "/never") {
      (void)exchange.wait_for_close();
      return;
    }
    exchange.send(ok("x"));
  });
  start({upstream.url()},
        "max_in_flight: 4, max_in_flight_per_target: 3, max_pending: 4, queue_timeout: 20ms}\n"
        "timeouts: {response_head: 100ms}\n"
        "breaker: {mode: disabled");  // most of the answers are failures
  const std::size_t rounds = kSanitized ? 10 : 40;
  for (std::size_t i = 0; i < rounds; ++i) {
    clients_.clear();
    for (const char* target : {"/", "/reset", "/half", "/never", "/", "/never", "/reset", "/"}) {
      ask(target);
    }
    // Some clients leave before they are answered.
    if (i % 2 == 0) clients_[3].close();
    if (i % 3 == 0) clients_[7].close();
    for (RawClient& client : clients_) {
      if (client.socket().is_open()) (void)client.read_response();
    }
  }
  clients_.clear();
  EXPECT_TRUE(becomes(kInFlight, 0));
  EXPECT_TRUE(becomes(kPending, 0));
  EXPECT_EQ(get(gateway_->port(), "/").status, 200);
}

}  // namespace
}  // namespace tyaprover::test
