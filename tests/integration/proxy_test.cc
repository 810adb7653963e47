// The reverse proxy (section 6 of the specification): a real nginx behind it, header rules, target
// selection, retries, cancellation, tunnels and the error bodies.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <signal.h>
#include <sys/stat.h>

#include <algorithm>
#include <set>

#include "tests/integration/support.h"

namespace tyaprover::test {
namespace {

using ::testing::AnyOf;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::StartsWith;

std::string request(std::string_view target, std::string_view field_lines = "",
                    std::string_view method = "GET") {
  return std::string(method) + " " + std::string(target) +
         " HTTP/1.1\r\nHost: shop.example:8080\r\n" + std::string(field_lines) + "\r\n";
}

// --- a real nginx

class BehindNginx : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    std::string large;
    for (int i = 0; large.size() < 3'000'000; ++i) large += "line " + std::to_string(i) + "\n";
    large_ = new std::string(std::move(large));
    nginx_ = new Nginx(
        "keepalive_requests 100000; keepalive_timeout 60s; etag on;\n"
        "location /ssi/ { ssi on; ssi_types *; }\n"  // SSI makes nginx send chunked
        "location = /echo { return 200 \"$request_method $http_x_forwarded_for $http_host\"; }\n"
        "location = /created { return 201 created; }\n"
        "location = /empty { return 204; }\n"
        "location = /moved { return 302 http://127.0.0.1/elsewhere; }\n"
        "location = /slam { return 444; }\n"
        "location /upload { dav_methods PUT DELETE; create_full_put_path on; client_max_body_size "
        "10m; }\n",
        {{"hello.txt", "hello from nginx\n"},
         {"large.bin", *large_},
         {"ssi/page.txt", "before <!--#echo var=\"uri\" --> after\n"}});
    gateway_ = new Gateway(proxy_to(std::vector{nginx_->url()}));
  }
  static void TearDownTestSuite() {
    delete gateway_;
    delete nginx_;
    delete large_;
  }
  static Response ask(std::string_view target, std::string_view field_lines = "",
                      std::string_view method = "GET") {
    return fetch(gateway_->port(),
                 request(target, "Connection: close\r\n" + std::string(field_lines), method));
  }

  static const std::string* large_;
  static Nginx* nginx_;
  static Gateway* gateway_;
};
const std::string* BehindNginx::large_;
Nginx* BehindNginx::nginx_;
Gateway* BehindNginx::gateway_;

TEST_F(BehindNginx, StaticFiles) {
  const Response hello = ask("/hello.txt");
  EXPECT_EQ(hello.status, 200);
  EXPECT_EQ(hello.body, "hello from nginx\n");
  EXPECT_EQ(hello.header("Content-Type"), "text/plain");
  EXPECT_EQ(hello.header("Content-Length"), "17");
  EXPECT_TRUE(hello.has("Last-Modified"));
  EXPECT_TRUE(hello.has("ETag"));
  EXPECT_TRUE(hello.complete);

  const Response large = ask("/large.bin");
  EXPECT_TRUE(large.complete);
  EXPECT_TRUE(large.body == *large_);
  EXPECT_EQ(ask("/missing").status, 404);
  EXPECT_EQ(ask("/created").status, 201);
  EXPECT_EQ(ask("/moved").header("Location"), "http://127.0.0.1/elsewhere");
}

TEST_F(BehindNginx, BodilessAnswers) {
  const Response empty = ask("/empty");
  EXPECT_EQ(empty.status, 204);
  EXPECT_FALSE(empty.has("Content-Length"));
  const Response head = ask("/large.bin", "", "HEAD");
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.header("Content-Length"), std::to_string(large_->size()));
  EXPECT_EQ(head.body, "");
}

TEST_F(BehindNginx, Chunked) {
  const Response page = ask("/ssi/page.txt");
  EXPECT_EQ(page.body, "before /ssi/page.txt after\n");
  EXPECT_TRUE(page.complete);
  EXPECT_EQ(page.header("Transfer-Encoding"), "chunked");
}

TEST_F(BehindNginx, RangesPassThrough) {
  const Response part = ask("/large.bin", "Range: bytes=100-199\r\n");
  EXPECT_EQ(part.status, 206);
  EXPECT_EQ(part.body, large_->substr(100, 100));
  EXPECT_EQ(part.header("Content-Range"), "bytes 100-199/" + std::to_string(large_->size()));
  const Response tail = ask("/large.bin", "Range: bytes=-5\r\n");
  EXPECT_EQ(tail.status, 206);
  EXPECT_EQ(tail.body, large_->substr(large_->size() - 5));
  const Response several = ask("/large.bin", "Range: bytes=0-4,10-14\r\n");
  EXPECT_EQ(several.status, 206);
  EXPECT_THAT(several.header("Content-Type"), StartsWith("multipart/byteranges"));
  EXPECT_EQ(ask("/large.bin", "Range: bytes=99999999-\r\n").status, 416);
  const Response stale = ask("/large.bin", "Range: bytes=0-4\r\nIf-Range: \"other\"\r\n");
  EXPECT_EQ(stale.status, 200);
  EXPECT_EQ(stale.body.size(), large_->size());
}

TEST_F(BehindNginx, ConditionalRequests) {
  const Response first = ask("/hello.txt");
  const Response by_tag = ask("/hello.txt", "If-None-Match: " + first.header("ETag") + "\r\n");
  EXPECT_EQ(by_tag.status, 304);
  EXPECT_EQ(by_tag.body, "");
  EXPECT_EQ(by_tag.header("ETag"), first.header("ETag"));
  EXPECT_EQ(
      ask("/hello.txt", "If-Modified-Since: " + first.header("Last-Modified") + "\r\n").status,
      304);
  EXPECT_EQ(ask("/hello.txt", "If-None-Match: \"other\"\r\n").status, 200);
  EXPECT_EQ(ask("/hello.txt", "If-Match: \"other\"\r\n").status, 412);
}

TEST_F(BehindNginx, UploadsArriveWhole) {
  const std::string put = request(
      "/upload/a.txt",
      "Connection: close\r\nContent-Length: " + std::to_string(large_->size()) + "\r\n", "PUT");
  EXPECT_EQ(fetch(gateway_->port(), put + *large_).status, 201);
  EXPECT_TRUE(ask("/upload/a.txt").body == *large_);
  const std::string chunked =
      request("/upload/b.txt", "Connection: close\r\nTransfer-Encoding: chunked\r\n", "PUT");
  EXPECT_EQ(fetch(gateway_->port(), chunked + "5\r\nhello\r\n7\r\n, world\r\n0\r\n\r\n").status,
            201);
  EXPECT_EQ(ask("/upload/b.txt").body, "hello, world");
  EXPECT_EQ(ask("/upload/b.txt", "", "DELETE").status, 204);
}

TEST_F(BehindNginx, ConnectionsAreReusedOnBothSides) {
  RawClient client(gateway_->port());
  for (int i = 0; i < 50; ++i) {
    client.send(request("/hello.txt?reuse"));
    ASSERT_EQ(client.read_response().body, "hello from nginx\n");
  }
  std::set<std::string> upstream_connections;
  ASSERT_TRUE(wait_until([&] {
    upstream_connections.clear();
    int lines = 0;
    const std::string log = nginx_->access_log();
    for (std::size_t at = 0; at < log.size();) {
      const auto end = log.find('\n', at);
      const std::string line = log.substr(at, end - at);
      at = end == std::string::npos ? log.size() : end + 1;
      if (line.find("/hello.txt?reuse") == std::string::npos) continue;
      ++lines;
      upstream_connections.insert(line.substr(0, line.find(' ')));
    }
    return lines >= 50;
  }));
  EXPECT_EQ(upstream_connections.size(), 1u);
}

TEST_F(BehindNginx, ManyClientsAtOnce) {
  std::atomic<int> good{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&] {
      RawClient client(gateway_->port());
      for (int i = 0; i < 50; ++i) {
        client.send(request(i % 10 == 0 ? "/large.bin" : "/hello.txt"));
        const Response response = client.read_response();
        if (response.complete && response.body == (i % 10 == 0 ? *large_ : "hello from nginx\n"s))
          ++good;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(good, 400);
}

// --- header rules

TEST(Headers, HopByHopFieldsGoInNeitherDirectionR6_1) {
  const std::string hop_by_hop =
      "Connection: X-A, keep-alive , X-B\r\nX-A: 1\r\nX-B: 2\r\nX-Kept: 3\r\nKeep-Alive: "
      "timeout=5\r\n"
      "Proxy-Connection: keep-alive\r\nTrailer: X-Sum\r\n";
  Upstream upstream(ok("x", hop_by_hop + "Proxy-Authenticate: Basic\r\nUpgrade: h2c\r\n"));
  Gateway gateway(proxy_to(upstream));
  const Response response =
      fetch(gateway.port(),
            request("/hop", hop_by_hop +
                                "TE: gzip\r\nProxy-Authorization: Basic eA==\r\nUpgrade: foo\r\n"));
  const Message seen = upstream.wait_for_request("/hop");
  ASSERT_TRUE(seen.has_head);
  for (const Message* message : {&seen, static_cast<const Message*>(&response)}) {
    SCOPED_TRACE(message->head);
    EXPECT_EQ(message->header("X-Kept"), "3");
    for (const auto* name : {"X-A", "X-B", "Keep-Alive", "Proxy-Connection", "Proxy-Authenticate",
                             "Proxy-Authorization", "TE", "Trailer", "Upgrade"}) {
      EXPECT_FALSE(message->has(name)) << name;
    }
    EXPECT_THAT(message->header("Connection"), AnyOf("", "keep-alive"));
  }
}

TEST(Headers, ConnectionCannotStripWhatTheGatewayAddsR6_1) {
  Upstream upstream;
  Gateway gateway(proxy_to(upstream));
  EXPECT_THAT(
      fetch(gateway.port(),
            request("/strip", "Connection: close, X-Forwarded-For, X-Real, Via\r\nX-Real: 1\r\n"))
          .status,
      AnyOf(200, 400));
  const Message seen = upstream.wait_for_request("/strip", 1s);
  if (seen.has_head) {
    EXPECT_EQ(seen.header("X-Forwarded-For"), "127.0.0.1");
    EXPECT_EQ(seen.header("Via"), "1.1 tyaprover");
    EXPECT_FALSE(seen.has("X-Real"));
  }
}

TEST(Headers, AddedUpstreamForATrustedPeerR6_2) {
  Upstream upstream;
  Gateway gateway(proxy_to(upstream));
  ASSERT_EQ(fetch(gateway.port(), request("/plain")).status, 200);
  const Message seen = upstream.wait_for_request("/plain");
  EXPECT_EQ(seen.header("X-Forwarded-For"), "127.0.0.1");
  EXPECT_EQ(seen.header("X-Forwarded-Proto"), "http");
  EXPECT_EQ(seen.header("X-Forwarded-Host"), "shop.example:8080");
  EXPECT_TRUE(seen.has("X-Forwarded-Port"));
  EXPECT_EQ(seen.header("Via"), "1.1 tyaprover");
  EXPECT_EQ(seen.header("Host"), "shop.example:8080");
  EXPECT_EQ(seen.count("Host"), 1u);
  EXPECT_NE(seen.header("X-Request-ID"), "");
  EXPECT_FALSE(seen.has("Forwarded")) << "an option, off by default";
  EXPECT_THAT(seen.header("Connection"), AnyOf("", "keep-alive"));

  ASSERT_EQ(
      fetch(
          gateway.port(),
          request("/chain",
                  "X-Forwarded-For: 203.0.113.7\r\nX-Forwarded-Proto: https\r\n"
                  "X-Forwarded-Host: public.example\r\nX-Forwarded-Port: 443\r\nVia: 1.0 edge\r\n"))
          .status,
      200);
  const Message chain = upstream.wait_for_request("/chain");
  EXPECT_EQ(chain.header("X-Forwarded-For"), "203.0.113.7, 127.0.0.1");
  EXPECT_EQ(chain.header("X-Forwarded-Proto"), "https");
  EXPECT_EQ(chain.header("X-Forwarded-Host"), "public.example");
  EXPECT_EQ(chain.header("X-Forwarded-Port"), "443");
  EXPECT_EQ(chain.header("Via"), "1.0 edge, 1.1 tyaprover");
  EXPECT_EQ(gateway.wait_for_path("/chain").value("client", ""), "203.0.113.7") << "R6.3";
}

TEST(Headers, ReplacedForAnUntrustedPeerR6_2) {
  Upstream upstream;
  Gateway gateway(proxy_to(upstream, "trusted_proxies: [10.0.0.0/8]"));
  ASSERT_EQ(
      fetch(gateway.port(),
            request("/spoof",
                    "X-Forwarded-For: 203.0.113.7\r\nX-Forwarded-For: 10.0.0.1\r\n"
                    "X-Forwarded-Proto: https\r\nX-Forwarded-Host: evil.example\r\n"
                    "X-Forwarded-Port: 443\r\nX-Request-ID: spoofed\r\nForwarded: for=1.2.3.4\r\n"))
          .status,
      200);
  const Message seen = upstream.wait_for_request("/spoof");
  EXPECT_EQ(seen.header("X-Forwarded-For"), "127.0.0.1");
  EXPECT_EQ(seen.header("X-Forwarded-Proto"), "http");
  EXPECT_EQ(seen.header("X-Forwarded-Host"), "shop.example:8080");
  EXPECT_NE(seen.header("X-Forwarded-Port"), "443");
  EXPECT_NE(seen.header("X-Request-ID"), "spoofed");
  EXPECT_EQ(seen.count("X-Forwarded-For"), 1u);
  EXPECT_EQ(seen.header("Forwarded").find("1.2.3.4"), std::string::npos)
      << "a spoofed Forwarded must not pass";
  EXPECT_EQ(gateway.wait_for_path("/spoof").value("client", ""), "127.0.0.1") << "R6.3";
}

TEST(Headers, TheClientIsTheRightmostUntrustedEntryR6_3) {
  Upstream upstream;
  Gateway gateway(proxy_to(upstream, "trusted_proxies: [127.0.0.0/8, 10.0.0.0/8]"));
  struct Case {
    const char* path;
    const char* chain;
    const char* client;
  };
  for (const auto& [path, chain, client] :
       std::vector<Case>{{"/1", "203.0.113.7", "203.0.113.7"},
                         {"/2", "198.51.100.1, 203.0.113.7, 10.0.0.5", "203.0.113.7"},
                         {"/3", "198.51.100.1, 10.0.0.4, 10.0.0.5", "198.51.100.1"},
                         {"/4", "1.1.1.1, 203.0.113.7,10.0.0.5", "203.0.113.7"}}) {
    ASSERT_EQ(
        fetch(gateway.port(), request(path, "X-Forwarded-For: " + std::string(chain) + "\r\n"))
            .status,
        200);
    EXPECT_EQ(gateway.wait_for_path(path).value("client", ""), client) << chain;
  }
}

TEST(Headers, ForwardedIsAnOptionR6_2) {
  Upstream upstream;
  Gateway gateway(proxy_to(upstream, "forwarded_header: true"));
  ASSERT_EQ(fetch(gateway.port(), request("/forwarded")).status, 200);
  const std::string forwarded = upstream.wait_for_request("/forwarded").header("Forwarded");
  EXPECT_THAT(forwarded, HasSubstr("for=127.0.0.1"));
  EXPECT_THAT(forwarded, HasSubstr("proto=http"));
  EXPECT_THAT(forwarded, HasSubstr("host=\"shop.example:8080\""))
      << "a colon needs quotes (RFC 7239 §4)";
}

TEST(Headers, LoopsAreCutR6_2) {
  Upstream upstream;
  Gateway gateway(proxy_to(upstream));
  std::string ten = "1.1 tyaprover";
  for (int i = 1; i < 10; ++i) ten += ", 1.1 tyaprover";
  EXPECT_EQ(fetch(gateway.port(), request("/ten", "Via: " + ten + "\r\n")).status, 200);
  EXPECT_EQ(fetch(gateway.port(), request("/eleven", "Via: " + ten + "\r\nVia: 1.1 tyaprover\r\n"))
                .status,
            508);
  EXPECT_FALSE(upstream.wait_for_request("/eleven", 0ms).has_head);
}

TEST(Headers, HostIsKeptReplacedOrTheTargetsR6_2) {
  Upstream upstream;
  const auto app = [&](const char* name, const char* host) {
    return "  - {name: "s + name + ", path: /" + name + ", upstream: {host: " + host +
           ", targets: [\"" + upstream.url() + "\"]}}\n";
  };
  Gateway gateway("listen: [\"127.0.0.1:0\"]\nworkers: 1\napps:\n" + app("keep", "keep") +
                  app("target", "target") + app("fixed", "inner.example"));
  for (const auto* path : {"/keep", "/target", "/fixed"})
    ASSERT_EQ(fetch(gateway.port(), request(path)).status, 200);
  EXPECT_EQ(upstream.wait_for_request("/keep").header("Host"), "shop.example:8080");
  EXPECT_EQ(upstream.wait_for_request("/target").header("Host"),
            "127.0.0.1:" + std::to_string(upstream.port()));
  EXPECT_EQ(upstream.wait_for_request("/fixed").header("Host"), "inner.example");
  EXPECT_EQ(upstream.wait_for_request("/fixed").header("X-Forwarded-Host"), "shop.example:8080");
}

// --- routes

TEST(Routes, LongestPrefixAndMostSpecificHostWin) {
  Upstream a(ok("a")), b(ok("b")), c(ok("c")), d(ok("d"));
  Gateway gateway(
      "listen: [\"127.0.0.1:0\"]\nworkers: 1\napps:\n"
      "  - {name: a, upstream: {targets: [\"" +
      a.url() +
      "\"]}}\n"
      "  - {name: b, path: /api, upstream: {targets: [\"" +
      b.url() +
      "\"]}}\n"
      "  - {name: c, path: /api/v2, upstream: {targets: [\"" +
      c.url() +
      "\"]}}\n"
      "  - {name: d, hosts: [d.example, \"*.d.example\"], upstream: {targets: [\"" +
      d.url() + "\"]}}\n");
  struct Case {
    const char* host;
    const char* target;
    const char* app;
  };
  for (const auto& [host, target, app] : std::vector<Case>{{"x", "/", "a"},
                                                           {"x", "/api", "b"},
                                                           {"x", "/api/", "b"},
                                                           {"x", "/api?x", "b"},
                                                           {"x", "/apis", "a"},
                                                           {"x", "/api/v1", "b"},
                                                           {"x", "/api/v2/x", "c"},
                                                           {"x", "/api/v22", "b"},
                                                           {"x", "/api%2Fv2", "a"},
                                                           {"x", "/a%70i", "b"},
                                                           {"x", "/other/../api", "b"},
                                                           {"x", "/api/../other", "a"},
                                                           {"d.example", "/api", "d"},
                                                           {"D.Example:99", "/", "d"},
                                                           {"sub.d.example", "/", "d"},
                                                           {"deep.sub.d.example", "/", "d"},
                                                           {"notd.example", "/", "a"}}) {
    SCOPED_TRACE(std::string(host) + target);
    EXPECT_EQ(fetch(gateway.port(),
                    "GET " + std::string(target) + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n")
                  .body,
              app);
  }
}

// --- targets, pools, retries

std::vector<int> answers_of(Gateway& gateway, int count, std::map<std::string, int>& bodies) {
  std::vector<int> statuses;
  for (int i = 0; i < count; ++i) {
    const Response response = get(gateway.port(), "/");
    statuses.push_back(response.status);
    ++bodies[response.body];
  }
  return statuses;
}

std::string balanced(std::string_view balance, const std::vector<std::string>& targets) {
  std::string yaml =
      "listen: [\"127.0.0.1:0\"]\nworkers: 1\napps:\n  - name: app\n    upstream:\n      "
      "balance: " +
      std::string(balance) + "\n      targets:\n";
  for (const auto& target : targets) yaml += "        - \"" + target + "\"\n";
  return yaml;
}

TEST(Targets, RoundRobinIsEven) {
  Upstream a(ok("a")), b(ok("b")), c(ok("c"));
  Gateway gateway(balanced("round_robin", {a.url(), b.url(), c.url()}));
  std::map<std::string, int> bodies;
  EXPECT_THAT(answers_of(gateway, 30, bodies), Each(200));
  EXPECT_EQ(bodies, (std::map<std::string, int>{{"a", 10}, {"b", 10}, {"c", 10}}));
}

TEST(Targets, RoundRobinFollowsTheWeights) {
  Upstream a(ok("a")), b(ok("b"));
  Gateway gateway(balanced("round_robin", {a.url() + " weight=3", b.url()}));
  std::map<std::string, int> bodies;
  EXPECT_THAT(answers_of(gateway, 40, bodies), Each(200));
  EXPECT_EQ(bodies, (std::map<std::string, int>{{"a", 30}, {"b", 10}}));
}

TEST(Targets, ConsistentHashKeepsTheRequestsOfACookieTogether) {
  Upstream a(ok("a")), b(ok("b")), c(ok("c"));
  Gateway gateway(
      balanced("consistent_hash\n      hash_by: cookie:session", {a.url(), b.url(), c.url()}));
  std::set<std::string> used;
  for (int session = 0; session < 40; ++session) {
    const std::string cookie = "Cookie: a=b; session=" + std::to_string(session) + "\r\n";
    const std::string own = get(gateway.port(), "/", cookie).body;
    used.insert(own);
    for (int i = 0; i < 2; ++i) EXPECT_EQ(get(gateway.port(), "/", cookie).body, own);
  }
  EXPECT_EQ(used.size(), 3u) << "forty sessions miss one of three targets once in a million times";
}

TEST(Targets, EveryBalanceUsesAllTargets) {
  for (const auto* balance : {"p2c", "random"}) {
    SCOPED_TRACE(balance);
    Upstream a(ok("a")), b(ok("b"));
    Gateway gateway(balanced(balance, {a.url(), b.url()}));
    std::map<std::string, int> bodies;
    EXPECT_THAT(answers_of(gateway, 60, bodies), Each(200));
    EXPECT_GT(bodies["a"], 5);
    EXPECT_GT(bodies["b"], 5);
  }
}

TEST(Targets, P2cAvoidsTheBusyOne) {
  std::atomic<bool> release{false};
  Upstream slow([&](UpstreamExchange& exchange) {
    exchange.read_body();
    (void)wait_until([&] { return release.load(); });
    exchange.send(ok("slow"));
  });
  Upstream fast(ok("fast"));
  Gateway gateway(balanced("p2c", {slow.url(), fast.url()}));
  // Occupies the slow target; then every further request has an idle alternative.
  std::vector<RawClient> waiting;
  for (std::size_t i = 0; i < 100 && slow.connection_count() == 0; ++i) {
    waiting.emplace_back(gateway.port());
    waiting.back().send(request("/"));
    ASSERT_TRUE(
        wait_until([&] { return slow.connection_count() > 0 || fast.request_count() > i; }));
  }
  ASSERT_EQ(slow.connection_count(), 1u);
  int fast_answers = 0;
  for (int i = 0; i < 20; ++i)
    fast_answers += fetch(gateway.port(), request("/"), 10s).body == "fast";
  EXPECT_EQ(fast_answers, 20);
  release = true;
}

TEST(Targets, ADeadOneCostsNoClientAnError) {
  for (const auto* balance : {"round_robin", "p2c", "random"}) {
    SCOPED_TRACE(balance);
    Upstream alive(ok("alive"));
    Gateway gateway(
        balanced(balance, {"http://127.0.0.1:" + std::to_string(unused_port()), alive.url()}));
    std::map<std::string, int> bodies;
    EXPECT_THAT(answers_of(gateway, 40, bodies), Each(200));
    EXPECT_EQ(bodies["alive"], 40);
    const std::string body(100'000, 'x');
    const Response posted =
        fetch(gateway.port(),
              request("/post", "Content-Length: 100000\r\nConnection: close\r\n", "POST") + body);
    EXPECT_EQ(posted.status, 200) << "nothing was sent to the dead target, so even POST may go on";
    EXPECT_EQ(alive.wait_for_request("/post").body, body);
  }
}

TEST(Targets, OneThatDiesUnderLoadCostsNoClientAnError) {
  Upstream alive(ok("x"));
  auto dying = std::make_unique<Upstream>(ok("x"));
  Gateway gateway(balanced("round_robin", {dying->url(), alive.url()}));
  std::atomic<int> failed{0}, served{0};
  std::atomic<bool> done{false};
  std::vector<std::thread> clients;
  for (int t = 0; t < 4; ++t) {
    clients.emplace_back([&] {
      RawClient client(gateway.port());
      while (!done) {
        client.send(request("/"));
        (client.read_response().status == 200 ? served : failed)++;
      }
    });
  }
  EXPECT_TRUE(wait_until([&] { return served > 200; }));
  // Closes its idle connections and refuses new ones. What was running is answered first: its
  // script is done once the head is read.
  dying.reset();
  const int before = served;
  EXPECT_TRUE(wait_until([&] { return served > before + 200; }));
  done = true;
  for (auto& client : clients) client.join();
  EXPECT_LE(failed, 4) << "only requests already sent to the dying target may fail";
}

TEST(Targets, AllDownGives502WithTheReasonR1_4) {
  const std::uint16_t dead_port = unused_port();
  const std::string dead = "http://127.0.0.1:" + std::to_string(dead_port);
  Gateway gateway(proxy_to(std::vector{dead}));
  const Response response = get(gateway.port(), "/down");
  EXPECT_THAT(response.status, AnyOf(502, 503));
  EXPECT_THAT(response.reason(), AnyOf("upstream_connect_failed", "no_healthy_upstream"));
  EXPECT_EQ(get(gateway.port(), "/health/live").status, 200);
  EXPECT_TRUE(wait_until([&] { return get(gateway.port(), "/health/ready").status == 503; }))
      << "readiness says so";
  EXPECT_THAT(gateway.wait_for_path("/down").value("reason", ""),
              AnyOf("upstream_connect_failed", "no_healthy_upstream"));
}

// One worker, so that the pooled connection is certainly the one that is tried.
TEST(Retries, AnIdleConnectionThatDiedIsReplacedUnseenR6_4) {
  for (const bool by_reset : {false, true}) {
    SCOPED_TRACE(by_reset ? "reset" : "closed");
    Upstream upstream([&](UpstreamExchange& exchange) {
      exchange.read_body();
      exchange.send(ok("x"));
      if (by_reset) {
        exchange.reset();
      } else {
        exchange.close();
      }
    });
    Gateway gateway(proxy_to(upstream));
    RawClient client(gateway.port());
    for (int i = 0; i < 20; ++i) {
      client.send(request("/" + std::to_string(i)));
      ASSERT_EQ(client.read_response().status, 200) << i;
    }
  }
}

// The race itself: the upstream closes when the request is already on its way.
TEST(Retries, ARequestThatRacesWithTheCloseIsRetriedOnceR6_4) {
  Upstream upstream([](UpstreamExchange& exchange) {
    if (exchange.index > 0)
      return exchange.reset();  // a reused connection dies at the request's head
    exchange.read_body();
    exchange.send(ok("connection " + std::to_string(exchange.connection)));
  });
  Gateway gateway(proxy_to(upstream));
  RawClient client(gateway.port());
  for (const auto* method : {"GET", "HEAD", "PUT", "DELETE", "OPTIONS"}) {
    SCOPED_TRACE(method);
    client.send(request("/warm"));
    ASSERT_EQ(client.read_response().status, 200);
    client.send(request("/race", "", method));
    EXPECT_EQ(client.read_response(kDeadline, method == "HEAD"s).status, 200);
    const Json line = gateway.wait_for_access([&](const Json& entry) {
      return entry.value("path", "") == "/race" && entry.value("method", "") == method;
    });
    EXPECT_EQ(line.value("upstream_tries", 0), 2) << line;
  }
}

TEST(Retries, AFreshConnectionIsNotRetriedR6_4) {
  std::atomic<int> requests{0};
  Upstream upstream([&](UpstreamExchange& exchange) {
    ++requests;
    exchange.reset();
  });
  Gateway gateway(proxy_to(upstream));
  const Response response = get(gateway.port(), "/fresh");
  EXPECT_EQ(response.status, 502);
  EXPECT_EQ(response.reason(), "upstream_reset");
  EXPECT_EQ(requests, 1);
}

TEST(Retries, APostWhoseBodyWasSentIsNotRepeatedR6_4) {
  std::atomic<int> posts{0};
  Upstream upstream([&](UpstreamExchange& exchange) {
    exchange.read_body();
    if (exchange.request.method() != "POST") {
      exchange.send(ok("x"));
      return;
    }
    ++posts;
    exchange.reset();
  });
  Gateway gateway(proxy_to(upstream));
  RawClient client(gateway.port());
  client.send(request("/warm"));
  ASSERT_EQ(client.read_response().status, 200);
  client.send(request("/pay", "Content-Length: 5\r\n", "POST") + "money");
  EXPECT_EQ(client.read_response().status, 502);
  EXPECT_EQ(posts, 1);
}

TEST(Pools, AreLifoR6_4) {
  std::atomic<int> waiting{0};
  Upstream upstream([&](UpstreamExchange& exchange) {
    if (exchange.request.target() == "/together") {
      ++waiting;
      (void)wait_until([&] { return waiting >= 3; });
    }
    exchange.send(ok(std::to_string(exchange.connection)));
  });
  Gateway gateway(proxy_to(upstream));
  std::vector<RawClient> clients;
  for (int i = 0; i < 3; ++i) {
    clients.emplace_back(gateway.port());
    clients.back().send(request("/together"));
  }
  for (auto& client : clients) ASSERT_EQ(client.read_response().status, 200);
  std::set<std::string> used;
  for (int i = 0; i < 10; ++i) {
    clients[0].send(request("/alone"));
    used.insert(clients[0].read_response().body);
  }
  EXPECT_EQ(used.size(), 1u);
  EXPECT_EQ(upstream.connection_count(), 3u);
}

// --- sockets of other kinds

TEST(Sockets, UnixUpstream) {
  TempDir directory;
  const std::string path = directory.path() + "/app.sock";
  Upstream upstream([](UpstreamExchange& exchange) { exchange.send(ok("unix")); },
                    Socket::listen_unix(path));
  Gateway gateway(proxy_to(std::vector{"http+unix://" + path}));
  for (int i = 0; i < 3; ++i) EXPECT_EQ(get(gateway.port(), "/").body, "unix");
}

TEST(Sockets, UnixListener) {
  TempDir directory;
  const std::string path = directory.path() + "/gateway.sock";
  const std::string open_path = directory.path() + "/open.sock";
  Upstream upstream;
  Gateway gateway("listen: [\"127.0.0.1:0\", \"unix:" + path + "\", \"unix:" + open_path +
                  "?mode=0666\"]\nworkers: 2\napps:\n"
                  "  - {name: app, upstream: {targets: [\"" +
                  upstream.url() + "\"]}}\n");
  for (int i = 0; i < 3; ++i) {
    RawClient client(Socket::connect_unix(path));
    client.send(request("/"));
    EXPECT_EQ(client.read_response().body, "ok");
  }
  struct stat status {};
  ASSERT_EQ(::stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0660u) << "R3.4";
  ASSERT_EQ(::stat(open_path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0666u);
  EXPECT_THAT(gateway.banner()["listeners"].dump(), HasSubstr("unix:" + path));
}

TEST(Sockets, AStaleUnixSocketIsReplacedALiveOneIsNotR3_4) {
  TempDir directory;
  const std::string path = directory.path() + "/gateway.sock";
  { const Socket stale = Socket::listen_unix(path); }  // the file stays
  Upstream upstream;
  const std::string yaml = "listen: [\"unix:" + path +
                           "\"]\nworkers: 1\napps:\n  - {name: app, upstream: {targets: [\"" +
                           upstream.url() + "\"]}}\n";
  Gateway first(yaml);
  TempDir other;
  const CommandResult second = tyaprover_command({"run", "-c", other.write("c.yaml", yaml)});
  EXPECT_NE(second.exit_code, 0);
  EXPECT_THAT(second.err, HasSubstr(path));
  RawClient client(Socket::connect_unix(path));
  client.send(request("/"));
  EXPECT_EQ(client.read_response().status, 200);
}

TEST(Sockets, ActivationByDescriptor) {
  const Socket listener = Socket::listen_tcp();
  Upstream upstream;
  Gateway gateway(GatewayOptions{
      .yaml = "listen: [\"fd:3\"]\nworkers: 2\napps:\n  - {name: app, upstream: {targets: [\"" +
              upstream.url() + "\"]}}\n",
      .arguments = {},
      .environment = {},
      .descriptors = {{3, listener.descriptor()}}});
  for (int i = 0; i < 5; ++i) EXPECT_EQ(get(listener.local_port(), "/").body, "ok");
}

TEST(Sockets, SeveralWorkersShareTheLoad) {
  Upstream upstream;
  Gateway gateway(
      "listen: [\"127.0.0.1:0\"]\nworkers: 2\napps:\n  - {name: app, upstream: {targets: [\"" +
      upstream.url() + "\"]}}\n");
  std::vector<RawClient> clients;
  for (int i = 0; i < 40; ++i) {
    clients.emplace_back(gateway.port());
    clients.back().send(request("/"));
  }
  for (auto& client : clients) EXPECT_EQ(client.read_response().status, 200);
}

// --- cancellation

TEST(Cancellation, AClientThatLeavesEndsTheUpstreamRequestR6_6) {
  for (const bool by_reset : {false, true}) {
    for (const bool after_head : {false, true}) {
      SCOPED_TRACE((by_reset ? "reset"s : "close"s) +
                   (after_head ? " during the body" : " before the response"));
      std::atomic<bool> arrived{false}, cancelled{false};
      Upstream upstream([&](UpstreamExchange& exchange) {
        exchange.read_body();
        if (after_head)
          exchange.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n");
        arrived = true;
        cancelled = exchange.wait_for_close();
        exchange.close();
      });
      Gateway gateway(proxy_to(upstream));
      {
        RawClient client(gateway.port());
        client.send(request("/leave"));
        ASSERT_TRUE(wait_until([&] { return arrived.load(); }));
        if (after_head) {
          ASSERT_EQ(client.read_head().status, 200);
        }
        if (by_reset) client.reset();
      }
      EXPECT_TRUE(wait_until([&] { return cancelled.load(); }));
      const Json line = gateway.wait_for_path("/leave");
      EXPECT_EQ(line.value("status", 0), 499) << line;
      EXPECT_EQ(line.value("reason", ""), "client_disconnected") << line;
    }
  }
}

TEST(Cancellation, AClientThatLeavesDuringItsUploadR6_6) {
  Upstream upstream;
  Gateway gateway(proxy_to(upstream));
  {
    RawClient client(gateway.port());
    client.send(request("/upload", "Content-Length: 100000\r\n", "POST") + "part of it");
    ASSERT_TRUE(
        wait_until([&] { return upstream.bytes().find("part of it") != std::string::npos; }));
  }
  EXPECT_TRUE(wait_until([&] { return upstream.open_connections() == 0; }));
  EXPECT_EQ(gateway.wait_for_path("/upload").value("status", 0), 499);
  EXPECT_FALSE(upstream.wait_for_request("/upload").complete);
}

// --- streaming

TEST(Streaming, AResponseMayBeginBeforeTheRequestEndedR6_5) {
  Upstream upstream([](UpstreamExchange& exchange) {
    exchange.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7\r\nstarted\r\n");
    exchange.read_body();
    char size[16];
    std::snprintf(size, sizeof(size), "%zx", exchange.request.body.size());
    exchange.send(std::string(size) + "\r\n" + exchange.request.body + "\r\n0\r\n\r\n");
  });
  Gateway gateway(proxy_to(upstream));
  RawClient client(gateway.port());
  client.send(request("/both", "Content-Length: 12\r\n", "POST") + "first ");
  Response response = client.read_head();
  EXPECT_EQ(response.status, 200);
  EXPECT_TRUE(client.read_until("started")) << "the response waits for the request";
  client.send("second");
  EXPECT_TRUE(client.read_until("first second")) << "the request stops at the response";
  EXPECT_TRUE(client.read_until("0\r\n\r\n"));
  client.send(request("/next", "Content-Length: 2\r\n", "POST") + "hi");
  EXPECT_EQ(client.read_head().status, 200) << "both ended, so the connection lives on";
}

TEST(Streaming, EachPieceIsForwardedAsItComes) {
  std::atomic<int> seen{0};
  Upstream upstream([&](UpstreamExchange& exchange) {
    exchange.send(
        "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nTransfer-Encoding: "
        "chunked\r\n\r\n");
    for (int i = 0; i < 5; ++i) {
      exchange.send("2\r\n#" + std::to_string(i) + "\r\n");
      (void)wait_until([&] { return seen > i; });
    }
    exchange.send("0\r\n\r\n");
  });
  Gateway gateway(proxy_to(upstream));
  RawClient client(gateway.port());
  client.send(request("/pieces"));
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(client.read_until("#" + std::to_string(i))) << i;
    seen = i + 1;
  }
  EXPECT_TRUE(client.read_until("0\r\n\r\n"));
}

TEST(Streaming, AnUploadIsForwardedAsItComes) {
  Upstream upstream;
  Gateway gateway(proxy_to(upstream));
  RawClient client(gateway.port());
  client.send(request("/up", "Transfer-Encoding: chunked\r\n", "POST"));
  for (int i = 0; i < 5; ++i) {
    const std::string piece = "<" + std::to_string(i) + ">";
    client.send("3\r\n" + piece + "\r\n");
    ASSERT_TRUE(wait_until([&] { return upstream.bytes().find(piece) != std::string::npos; })) << i;
  }
  client.send("0\r\n\r\n");
  EXPECT_EQ(client.read_response().status, 200);
  EXPECT_EQ(upstream.wait_for_request("/up").body, "<0><1><2><3><4>");
}

TEST(Streaming, AnEarlyFinalResponseReachesAClientThatStillSendsR6_5) {
  Upstream upstream([](UpstreamExchange& exchange) {
    exchange.send(
        "HTTP/1.1 413 Content Too Large\r\nContent-Length: 9\r\nConnection: close\r\n\r\ntoo "
        "large");
    exchange.close();
  });
  Gateway gateway(proxy_to(upstream));
  RawClient client(gateway.port());
  client.send(request("/early", "Content-Length: 50000000\r\n", "POST"));
  std::thread flood([&] {
    const std::string block(65536, 'x');
    for (int i = 0; i < 700 && client.send(block, 2s); ++i) {
    }
  });
  const Response response = client.read_response();
  EXPECT_EQ(response.status, 413);
  EXPECT_EQ(response.body, "too large");
  EXPECT_TRUE(client.expect_close());
  flood.join();
}

TEST(Streaming, ATunnelCarriesBothDirectionsAtOnceR4_20) {
  Upstream upstream([](UpstreamExchange& exchange) {
    exchange.send(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n");
    for (;;) {
      const auto bytes = exchange.receive();
      if (!bytes || bytes->empty() || !exchange.send(*bytes)) break;
    }
    exchange.close();
  });
  Gateway gateway(proxy_to(upstream));
  RawClient client(gateway.port());
  client.send(request("/echo", "Connection: keep-alive, Upgrade\r\nUpgrade: echo\r\n"));
  ASSERT_EQ(client.read_response().status, 101);
  constexpr std::size_t kBlocks = 200;
  const std::string block(65536, 'e');
  std::thread sender([&] {
    for (std::size_t i = 0; i < kBlocks; ++i) client.send(block);
  });
  std::size_t received = 0;
  while (received < kBlocks * block.size()) {
    const auto bytes = client.socket().receive();
    ASSERT_TRUE(bytes && !bytes->empty()) << received;
    received += bytes->size();
  }
  sender.join();
  EXPECT_EQ(get(gateway.port(), "/health/live").status, 200);
  client.close();
  const Json line = gateway.wait_for_path("/echo");
  EXPECT_EQ(line.value("status", 0), 101) << line;
  EXPECT_TRUE(wait_until([&] { return upstream.open_connections() == 0; }));
}

TEST(Streaming, HalfClosedTunnelsDeliverTheRestR4_20) {
  Upstream upstream([](UpstreamExchange& exchange) {
    exchange.send(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: rest\r\n\r\n");
    std::size_t received = 0;
    for (;;) {
      const auto bytes = exchange.receive();
      if (!bytes || bytes->empty()) break;
      received += bytes->size();
    }
    exchange.send("received " + std::to_string(received));
    exchange.close();
  });
  Gateway gateway(proxy_to(upstream));
  RawClient client(gateway.port());
  client.send(request("/rest", "Connection: Upgrade\r\nUpgrade: rest\r\n"));
  ASSERT_EQ(client.read_response().status, 101);
  client.send(std::string(100'000, 'r'));
  client.finish_sending();
  EXPECT_EQ(client.read_to_end(), "received 100000");
}

// --- keep-alive towards the client

TEST(KeepAlive, FollowsVersionAndConnection) {
  Upstream upstream;
  Gateway gateway(proxy_to(upstream));
  struct Case {
    const char* head;
    bool stays;
  };
  for (const auto& [head, stays] :
       std::vector<Case>{{"GET / HTTP/1.1\r\nHost: a\r\n\r\n", true},
                         {"GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\n\r\n", true},
                         {"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", false},
                         {"GET / HTTP/1.1\r\nHost: a\r\nConnection: x, CLOSE\r\n\r\n", false},
                         {"GET / HTTP/1.0\r\nHost: a\r\n\r\n", false},
                         {"GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n", true}}) {
    SCOPED_TRACE(escaped(head));
    RawClient client(gateway.port());
    client.send(head);
    const Response response = client.read_response();
    EXPECT_EQ(response.status, 200);
    EXPECT_EQ(response.body, "ok");
    if (stays) {
      client.send(head);
      EXPECT_EQ(client.read_response().status, 200);
      if (std::string_view(head).find("1.0") != std::string_view::npos) {
        EXPECT_EQ(response.header("Connection"), "keep-alive") << "1.0 must be told";
      }
    } else {
      EXPECT_TRUE(client.expect_close());
      EXPECT_EQ(response.header("Connection"), "close");
    }
  }
}

TEST(KeepAlive, ErrorsOfTheUpstreamDoNotCostTheClientItsConnection) {
  Upstream upstream([](UpstreamExchange& exchange) {
    if (exchange.request.target() == "/bad") return exchange.reset();
    exchange.send(ok("good"));
  });
  Gateway gateway(proxy_to(upstream));
  RawClient client(gateway.port());
  for (int i = 0; i < 3; ++i) {
    client.send(request("/bad") + request("/good"));
    EXPECT_EQ(client.read_response().status, 502);
    EXPECT_EQ(client.read_response().body, "good");
  }
}

// --- error bodies

TEST(Errors, AreProblemsOrHtmlAsTheClientPrefersR6_8) {
  Gateway gateway(proxy_to(std::vector{"http://127.0.0.1:" + std::to_string(unused_port())}));
  struct Case {
    const char* accept;
    bool html;
  };
  for (const auto& [accept, html] : std::vector<Case>{
           {"", false},
           {"Accept: */*\r\n", false},
           {"Accept: application/json\r\n", false},
           {"Accept: application/problem+json\r\n", false},
           {"Accept: text/html\r\n", true},
           {"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n", true},
           {"Accept: text/html;q=0.5, application/json\r\n", false}}) {
    SCOPED_TRACE(accept);
    const Response response = get(gateway.port(), "/err", accept + "X-Request-ID: my-id-1\r\n"s);
    EXPECT_THAT(response.status, AnyOf(502, 503));
    if (html) {
      EXPECT_THAT(response.header("Content-Type"), StartsWith("text/html"));
      EXPECT_THAT(response.body, AnyOf(HasSubstr("<html"), HasSubstr("<!doctype html>")));
    } else {
      EXPECT_EQ(response.header("Content-Type"), "application/problem+json");
      const Json problem = response.json();
      ASSERT_TRUE(problem.is_object()) << response.body;
      for (const auto* key : {"type", "title", "status", "detail", "reason", "request_id"})
        EXPECT_TRUE(problem.contains(key)) << key;
      EXPECT_EQ(problem["status"], response.status);
      EXPECT_EQ(problem["request_id"], "my-id-1");
    }
    EXPECT_EQ(response.header("X-Request-ID"), "my-id-1");
    EXPECT_TRUE(response.has("X-Response-Time"));
    EXPECT_EQ(response.header("X-Content-Type-Options"), "nosniff")
        << "local replies pass the response filters";
    EXPECT_TRUE(response.has("Date"));
  }
}

TEST(Errors, NameNoUpstreamAddressInProductionR6_8) {
  const std::string port = std::to_string(unused_port());
  Gateway gateway(proxy_to(std::vector{"http://127.0.0.1:" + port}, "environment: production"));
  for (const auto* accept : {"", "Accept: text/html\r\n"}) {
    const Response response = get(gateway.port(), "/err", accept);
    EXPECT_THAT(response.status, AnyOf(502, 503));
    EXPECT_EQ((response.head + response.body).find(port), std::string::npos) << response.body;
  }
}

TEST(Errors, OfAHeadHaveNoBody) {
  Gateway gateway(proxy_to(std::vector{"http://127.0.0.1:" + std::to_string(unused_port())}));
  RawClient client(gateway.port());
  client.send(request("/err", "", "HEAD") + request("/health/live"));
  EXPECT_THAT(client.read_response(kDeadline, true).status, AnyOf(502, 503));
  EXPECT_EQ(client.read_response().body, "OK");
}

TEST(Errors, OfHttp10ClientsAreCloseDelimitedOrSized) {
  Gateway gateway(proxy_to(std::vector{"http://127.0.0.1:" + std::to_string(unused_port())}));
  RawClient client(gateway.port());
  client.send("GET /err HTTP/1.0\r\n\r\n");
  const Response response = client.read_response();
  EXPECT_THAT(response.status, AnyOf(502, 503));
  EXPECT_FALSE(response.has("Transfer-Encoding"));
  EXPECT_TRUE(client.expect_close());
}

}  // namespace
}  // namespace tyaprover::test
