// Health endpoints (section 8 of the specification).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "tests/integration/support.h"

namespace tyaprover::test {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;

TEST(Health, LiveAndReadyR8_1) {
  Upstream upstream;
  Gateway gateway(proxy_to(upstream));
  const Response live = get(gateway.port(), "/health/live");
  EXPECT_EQ(live.status, 200);
  EXPECT_EQ(live.body, "OK");
  Response ready;
  EXPECT_TRUE(
      wait_until([&] { return (ready = get(gateway.port(), "/health/ready")).status == 200; }));
  EXPECT_EQ(ready.body, "READY");
  EXPECT_EQ(upstream.byte_count(), 0u) << "R8.3: health never touches an upstream with a request";
}

TEST(Health, FullReportR8_1) {
  Upstream upstream;
  Gateway gateway(proxy_to(upstream));
  ASSERT_TRUE(wait_until([&] { return get(gateway.port(), "/health/ready").status == 200; }));
  const Response response = get(gateway.port(), "/health");
  EXPECT_EQ(response.status, 200);
  EXPECT_THAT(response.header("Content-Type"), HasSubstr("application/json"));
  const Json health = response.json();
  ASSERT_TRUE(health.is_object()) << response.body;
  EXPECT_EQ(health["status"], "healthy") << health;
  EXPECT_EQ(health["version"], TYAPROVER_VERSION);
  EXPECT_THAT(health["timestamp"].get<std::string>(),
              MatchesRegex("20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z"));
  EXPECT_GE(health["uptime"].get<double>(), 0.0);
  for (const auto* check : {"memory", "eventLoop", "upstreams"}) {
    ASSERT_TRUE(health["checks"].contains(check)) << health;
    EXPECT_EQ(health["checks"][check]["status"], "healthy") << health;
  }
  EXPECT_TRUE(health["checks"]["eventLoop"].contains("lagMs"));
}

TEST(Health, ReadinessNamesWhatFailedAndRecoversR1_4) {
  Socket listener = Socket::listen_tcp();
  const std::uint16_t port = listener.local_port();
  listener.close();
  Gateway gateway(proxy_to(std::vector{"http://127.0.0.1:" + std::to_string(port)}));
  Response ready;
  EXPECT_TRUE(
      wait_until([&] { return (ready = get(gateway.port(), "/health/ready")).status == 503; }));
  EXPECT_THAT(ready.body, HasSubstr("NOT READY"));
  EXPECT_THAT(ready.body, HasSubstr("upstreams"));
  EXPECT_EQ(get(gateway.port(), "/health/live").status, 200);
  EXPECT_EQ(get(gateway.port(), "/health").status, 503);
  EXPECT_EQ(get(gateway.port(), "/health").json()["status"], "unhealthy");
}

TEST(Health, OneDeadTargetOfTwoIsDegradedNotUnready) {
  Upstream upstream;
  Gateway gateway(
      proxy_to(std::vector{upstream.url(), "http://127.0.0.1:" + std::to_string(unused_port())}));
  EXPECT_TRUE(wait_until(
      [&] { return get(gateway.port(), "/health").json().value("status", "") == "degraded"; }));
  EXPECT_EQ(get(gateway.port(), "/health").status, 200);
  EXPECT_EQ(get(gateway.port(), "/health/ready").status, 200);
}

TEST(Health, IsAnsweredForEveryHostAndMethodButNeverUpstreamR8_3) {
  Upstream upstream;
  Gateway gateway(proxy_to(upstream));
  for (const auto* host : {"a", "other.example", "127.0.0.1"}) {
    EXPECT_EQ(
        fetch(gateway.port(), "GET /health/live HTTP/1.1\r\nHost: "s + host + "\r\n\r\n").body,
        "OK");
  }
  RawClient client(gateway.port());
  client.send(
      "HEAD /health/live HTTP/1.1\r\nHost: a\r\n\r\nGET /health/live?x=1 HTTP/1.1\r\nHost: "
      "a\r\n\r\n");
  const Response head = client.read_response(kDeadline, true);
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(client.read_response().body, "OK");
  EXPECT_EQ(get(gateway.port(), "/healthy").body, "ok") << "only whole segments are the gateway's";
  EXPECT_EQ(upstream.request_count(), 1u);
}

TEST(Health, CanMoveOrBeOff) {
  Upstream upstream;
  {
    Gateway gateway(proxy_to(upstream, "endpoints: {health: /_up}"));
    EXPECT_EQ(get(gateway.port(), "/_up/live").body, "OK");
    EXPECT_EQ(get(gateway.port(), "/health/live").body, "ok") << "the upstream's now";
  }
  Gateway gateway(proxy_to(upstream, "endpoints: {health: off}"));
  EXPECT_EQ(get(gateway.port(), "/health/live").body, "ok");
}

TEST(Health, ProbesAreNoLoadR8_2) {
  Upstream upstream;
  Gateway gateway(proxy_to(upstream));
  ASSERT_TRUE(wait_until([&] { return get(gateway.port(), "/health/ready").status == 200; }));
  const std::size_t before = upstream.connection_count();
  RawClient client(gateway.port());
  const TimePoint start = std::chrono::steady_clock::now();
  for (int i = 0; i < 500; ++i) {
    client.send("GET /health HTTP/1.1\r\nHost: a\r\n\r\n");
    ASSERT_EQ(client.read_response().status, 200);
  }
  const auto seconds =
      std::chrono::duration_cast<std::chrono::seconds>(std::chrono::steady_clock::now() - start);
  EXPECT_LE(upstream.connection_count() - before, static_cast<std::size_t>(3 + 2 * seconds.count()))
      << "results are cached for a second";
}

TEST(Health, TestEndpointsAreAbsentInProductionR8_4) {
  Gateway gateway(
      "listen: [\"127.0.0.1:0\"]\nworkers: 1\nenvironment: production\napps:\n"
      "  - {name: one, hosts: [one.example], upstream: {targets: [\"http://127.0.0.1:9\"]}}\n");
  EXPECT_EQ(get(gateway.port(), "/test/circuit-breaker").status, 404);
}

TEST(Demo, ServesItsEndpointsThroughTheGateway) {
  Gateway gateway(GatewayOptions{.yaml = "",
                                 .arguments = {"--demo", "--listen", "127.0.0.1:0"},
                                 .environment = {},
                                 .descriptors = {}});
  const Response theme = get(gateway.port(), "/api/v1/theme/");
  EXPECT_EQ(theme.status, 200);
  EXPECT_THAT(theme.header("Content-Type"), HasSubstr("application/json"));
  EXPECT_TRUE(theme.json().is_object() || theme.json().is_array()) << theme.body;
  EXPECT_NE(theme.header("X-Request-ID"), "");
  EXPECT_EQ(get(gateway.port(), "/health/live").body, "OK");
  EXPECT_EQ(get(gateway.port(), "/").status, 200);
}

TEST(QuickStart, ProxiesEverythingToTheGivenTargets) {
  Upstream a(ok("a")), b(ok("b"));
  Gateway gateway(GatewayOptions{.yaml = "",
                                 .arguments = {a.url(), b.url(), "--listen", "127.0.0.1:0"},
                                 .environment = {},
                                 .descriptors = {}});
  std::set<std::string> bodies;
  for (int i = 0; i < 30; ++i) bodies.insert(get(gateway.port(), "/x").body);
  EXPECT_EQ(bodies, (std::set<std::string>{"a", "b"}));
  EXPECT_EQ(gateway.banner()["msg"], "started");
  ASSERT_EQ(gateway.banner()["apps"].size(), 1u);
  EXPECT_EQ(gateway.banner()["apps"][0]["path"], "/");
  EXPECT_EQ(gateway.banner()["apps"][0]["targets"], (Json{a.url(), b.url()}));
}

}  // namespace
}  // namespace tyaprover::test
