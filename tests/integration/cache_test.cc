// The response cache of the running program: X-Cache and Cache-Status, variants, ranges, HEAD and
// conditions; requests that wait for each other on several workers; broken origins; stale answers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "tests/integration/support.h"

namespace tyaprover::test {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr std::string_view kCached = "Cache-Control: max-age=60\r\n";

std::string cached(const Upstream& upstream, std::string_view settings = "") {
  return proxy_to(upstream, "cache: {mode: rfc9111}\n" + std::string(settings));
}

TEST(Cache, MissThenHit) {
  Upstream upstream(ok("hello", kCached));
  Gateway gateway(cached(upstream));
  const Response miss = get(gateway.port(), "/a");
  EXPECT_EQ(miss.header("X-Cache"), "MISS");
  EXPECT_EQ(miss.header("Cache-Status"), "tyaprover; fwd=uri-miss; fwd-status=200; stored");
  const Response hit = get(gateway.port(), "/a");
  EXPECT_EQ(hit.status, 200);
  EXPECT_EQ(hit.header("X-Cache"), "HIT");
  EXPECT_THAT(hit.header("Cache-Status"), StartsWith("tyaprover; hit; ttl="));
  EXPECT_TRUE(hit.has("Age"));
  EXPECT_EQ(hit.count("Date"), 1u);
  EXPECT_EQ(hit.count("Content-Length"), 1u);
  EXPECT_EQ(hit.body, "hello");
  EXPECT_EQ(upstream.request_count(), 1u);
  EXPECT_EQ(gateway.wait_for_path("/a")["cache"], "miss");
  EXPECT_EQ(
      gateway.wait_for_access([](const Json& line) { return line["cache"] == "hit"; })["path"],
      "/a");
}

TEST(Cache, IsOffUnlessConfigured) {
  Upstream upstream(ok("hello", kCached));
  Gateway gateway(proxy_to(upstream));
  for (int i = 0; i < 2; ++i) EXPECT_FALSE(get(gateway.port(), "/a").has("X-Cache"));
  EXPECT_EQ(upstream.request_count(), 2u);
}

// The seed's guide: curl -I twice.
TEST(Cache, TheDemoAnswersMissThenHitToHead) {
  Gateway gateway(GatewayOptions{.yaml = {},
                                 .arguments = {"--demo", "--listen", "127.0.0.1:0"},
                                 .environment = {},
                                 .descriptors = {}});
  for (const std::string result : {"MISS", "HIT"}) {
    RawClient client(gateway.port());
    client.send("HEAD /api/v1/theme/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    EXPECT_EQ(client.read_response(kDeadline, true).header("X-Cache"), result);
  }
}

TEST(Cache, ForcedModeAndSkipRules) {
  Upstream upstream(ok("hello"));
  Gateway gateway(
      proxy_to(upstream, "cache: {mode: forced, ttl: 1m, skip: [{query: {nocache: \"true\"}}]}\n"));
  EXPECT_EQ(get(gateway.port(), "/a").header("X-Cache"), "MISS");
  EXPECT_EQ(get(gateway.port(), "/a").header("X-Cache"), "HIT");
  EXPECT_EQ(get(gateway.port(), "/a?nocache=true").header("X-Cache"), "BYPASS");
}

TEST(Cache, AnswersFromOneStoreOnAllWorkers) {
  Upstream upstream(ok("hello", kCached));
  Gateway gateway(
      "listen: [\"127.0.0.1:0\"]\nworkers: 4\ncache: {mode: rfc9111}\napps:\n"
      "  - name: a\n    upstream: {targets: [\"" +
      upstream.url() + "\"]}\n");
  get(gateway.port(), "/a");
  for (int i = 0; i < 30; ++i) EXPECT_EQ(get(gateway.port(), "/a").header("X-Cache"), "HIT");
  EXPECT_EQ(upstream.request_count(), 1u);
}

TEST(Cache, VariantsRangesConditionsAndHead) {
  Upstream upstream(
      ok("0123456789", "Cache-Control: max-age=60\r\nVary: X-Lang\r\nETag: \"1\"\r\n"));
  Gateway gateway(cached(upstream));
  get(gateway.port(), "/a", "X-Lang: de\r\n");
  EXPECT_EQ(get(gateway.port(), "/a", "X-Lang: de\r\n").header("X-Cache"), "HIT");
  EXPECT_THAT(get(gateway.port(), "/a", "X-Lang: en\r\n").header("Cache-Status"),
              HasSubstr("fwd=vary-miss"));
  const Response part = get(gateway.port(), "/a", "X-Lang: de\r\nRange: bytes=2-4\r\n");
  EXPECT_EQ(part.status, 206);
  EXPECT_EQ(part.body, "234");
  EXPECT_EQ(part.header("Content-Range"), "bytes 2-4/10");
  const Response same = get(gateway.port(), "/a", "X-Lang: de\r\nIf-None-Match: \"1\"\r\n");
  EXPECT_EQ(same.status, 304);
  EXPECT_EQ(same.header("ETag"), "\"1\"");
  RawClient client(gateway.port());
  client.send("HEAD /a HTTP/1.1\r\nHost: a\r\nX-Lang: de\r\nConnection: close\r\n\r\n");
  const Response head = client.read_response(kDeadline, true);
  EXPECT_EQ(head.header("X-Cache"), "HIT");
  EXPECT_EQ(head.header("Content-Length"), "10");
  EXPECT_EQ(upstream.request_count(), 2u);
}

TEST(Cache, EncodedOnceAndStoredSo) {
  Upstream upstream(
      ok(std::string(20'000, 'x'), "Cache-Control: max-age=60\r\nContent-Type: text/plain\r\n"));
  Gateway gateway(cached(upstream));
  const Response miss = get(gateway.port(), "/a", "Accept-Encoding: gzip\r\n");
  const Response hit = get(gateway.port(), "/a", "Accept-Encoding: gzip\r\n");
  EXPECT_EQ(hit.header("X-Cache"), "HIT");
  EXPECT_EQ(hit.header("Content-Encoding"), "gzip");
  EXPECT_EQ(hit.body, miss.body);
  EXPECT_LT(hit.body.size(), 1000u);
  EXPECT_EQ(get(gateway.port(), "/a").body, std::string(20'000, 'x'));
}

TEST(Cache, RevalidatesWithTheOrigin) {
  std::atomic<int> served{0};
  Upstream upstream([&](UpstreamExchange& e) {
    if (served++ == 0) {
      e.send(ok("hello", "Cache-Control: max-age=0\r\nETag: \"1\"\r\n"));
    } else {
      e.send("HTTP/1.1 304 Not Modified\r\nETag: \"1\"\r\nCache-Control: max-age=60\r\n\r\n");
    }
  });
  Gateway gateway(cached(upstream));
  get(gateway.port(), "/a");
  const Response again = get(gateway.port(), "/a");
  EXPECT_EQ(again.status, 200);
  EXPECT_EQ(again.header("X-Cache"), "REVALIDATED");
  EXPECT_EQ(again.body, "hello");
  EXPECT_EQ(upstream.requests().at(1).header("If-None-Match"), "\"1\"");
  EXPECT_EQ(get(gateway.port(), "/a").header("X-Cache"), "HIT");
}

TEST(Cache, OneRequestForAllWhoWaitAtOnce) {
  Gate gate;
  Upstream upstream([&](UpstreamExchange& e) {
    ASSERT_TRUE(gate.pass());
    e.send(ok("slow", kCached));
  });
  Gateway gateway(
      "listen: [\"127.0.0.1:0\"]\nworkers: 2\ncache: {mode: rfc9111, lock_timeout: 1m}\n"
      "apps:\n  - name: a\n    upstream: {targets: [\"" +
      upstream.url() + "\"]}\n");
  constexpr std::size_t kClients = 40;
  std::vector<std::unique_ptr<RawClient>> clients;
  for (std::size_t i = 0; i < kClients; ++i) {
    clients.push_back(std::make_unique<RawClient>(gateway.port()));
    clients.back()->send("GET /a HTTP/1.1\r\nHost: a\r\n\r\n");
  }
  ASSERT_TRUE(wait_until([&] { return upstream.request_count() == 1; }));
  clients.front()->close();  // perhaps the one that leads
  gate.open();
  for (std::size_t i = 1; i < kClients; ++i) EXPECT_EQ(clients[i]->read_response().body, "slow");
  EXPECT_EQ(upstream.request_count(), 1u);
  EXPECT_EQ(get(gateway.port(), "/a").header("X-Cache"), "HIT");
}

TEST(Cache, WhatTheOriginTruncatesIsCutAndNotStored) {
  Gate gate;
  std::atomic<int> served{0};
  Upstream upstream([&](UpstreamExchange& e) {
    if (served++ > 0) {
      e.send(ok("whole", kCached));
      return;
    }
    e.send("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 100\r\n\r\nhalf");
    ASSERT_TRUE(gate.pass());
    e.close();
  });
  Gateway gateway(cached(upstream));
  RawClient client(gateway.port());
  client.send("GET /a HTTP/1.1\r\nHost: a\r\n\r\n");
  Response response = client.read_head();
  EXPECT_EQ(response.status, 200);
  gate.open();
  client.read_body(response);
  EXPECT_FALSE(response.complete);
  EXPECT_FALSE(response.timed_out);
  const Response next = get(gateway.port(), "/a");
  EXPECT_EQ(next.header("X-Cache"), "MISS");
  EXPECT_EQ(next.body, "whole");
}

TEST(Cache, StaleWhileTheOriginIsAway) {
  auto upstream =
      std::make_unique<Upstream>(ok("kept", "Cache-Control: max-age=0\r\nETag: \"1\"\r\n"));
  const std::string yaml = cached(*upstream);
  Gateway gateway(yaml);
  EXPECT_EQ(get(gateway.port(), "/a").header("X-Cache"), "MISS");
  upstream.reset();
  const Response stale = get(gateway.port(), "/a");
  EXPECT_EQ(stale.status, 200);
  EXPECT_EQ(stale.header("X-Cache"), "STALE");
  EXPECT_EQ(stale.body, "kept");
  EXPECT_THAT(stale.header("Cache-Status"), HasSubstr("detail=stale-if-error"));
  EXPECT_EQ(get(gateway.port(), "/b").status, 502);
}

TEST(Cache, StaleWhileItIsRefreshed) {
  std::atomic<int> served{0};
  Upstream upstream([&](UpstreamExchange& e) {
    e.send(ok("version " + std::to_string(served++),
              "Cache-Control: max-age=0, stale-while-revalidate=60\r\n"));
  });
  Gateway gateway(cached(upstream));
  EXPECT_EQ(get(gateway.port(), "/a").body, "version 0");
  const Response stale = get(gateway.port(), "/a");
  EXPECT_EQ(stale.header("X-Cache"), "STALE");
  EXPECT_EQ(stale.body, "version 0");
  EXPECT_TRUE(wait_until([&] { return get(gateway.port(), "/a").body != "version 0"; }));
}

TEST(Cache, UnsafeRequestsInvalidate) {
  Upstream upstream(ok("hello", kCached));
  Gateway gateway(cached(upstream));
  get(gateway.port(), "/a");
  EXPECT_EQ(get(gateway.port(), "/a").header("X-Cache"), "HIT");
  fetch(gateway.port(),
        "PUT /a HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx");
  EXPECT_EQ(get(gateway.port(), "/a").header("X-Cache"), "MISS");
}

TEST(Cache, SurvivesARestartInAFile) {
  TempDir directory;
  const std::string file = directory.path() + "/cache";
  Upstream upstream(ok("hello", "Cache-Control: max-age=600\r\nVary: X-Lang\r\n"));
  const std::string yaml = proxy_to(upstream, "cache: {mode: rfc9111, file: \"" + file + "\"}\n");
  {
    Gateway gateway(yaml);
    EXPECT_EQ(get(gateway.port(), "/a", "X-Lang: de\r\n").header("X-Cache"), "MISS");
    gateway.signal(SIGTERM);
    EXPECT_EQ(gateway.wait_for_exit(), 0);
  }
  {
    Gateway gateway(yaml);
    const Response hit = get(gateway.port(), "/a", "X-Lang: de\r\n");
    EXPECT_EQ(hit.header("X-Cache"), "HIT");
    EXPECT_EQ(hit.body, "hello");
    EXPECT_EQ(get(gateway.port(), "/a", "X-Lang: en\r\n").header("X-Cache"), "MISS");
  }
  // A file that is damaged is refused, and the gateway starts without it.
  directory.write("cache", read_file(file).substr(0, 100));
  Gateway gateway(yaml);
  EXPECT_EQ(get(gateway.port(), "/a", "X-Lang: de\r\n").header("X-Cache"), "MISS");
  EXPECT_THAT(gateway.log(), HasSubstr("of no use"));
}

TEST(Cache, AFillThatNobodyWaitsForDoesNotHoldTheProcess) {
  Gate gate;
  Upstream upstream([&](UpstreamExchange& e) {
    ASSERT_TRUE(gate.pass());
    e.send(ok("late", kCached));
  });
  Gateway gateway(cached(upstream));
  {
    RawClient client(gateway.port());
    client.send("GET /a HTTP/1.1\r\nHost: a\r\n\r\n");
    ASSERT_TRUE(wait_until([&] { return upstream.request_count() == 1; }));
  }
  gateway.signal(SIGTERM);
  EXPECT_EQ(gateway.wait_for_exit(), 0);
  gate.open();
}

}  // namespace
}  // namespace tyaprover::test
