// Limits and timeouts (section 5 of the specification): each row that can be shown within two
// seconds by configuring a small value. Not here: "below 250 B/s averaged over 20 s" needs 20 s of
// traffic.
#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/integration/support.h"

namespace tyaprover::test {
namespace {

std::string plain(std::string_view target) {
  return "GET " + std::string(target) + " HTTP/1.1\r\nHost: a\r\n\r\n";
}
std::string with_fields(std::string_view lines) {
  return "GET / HTTP/1.1\r\nHost: a\r\n" + std::string(lines) + "\r\n";
}
std::string numbered_fields(int count) {
  std::string lines;
  for (int i = 0; i < count; ++i) lines += "X-" + std::to_string(i) + ": 1\r\n";
  return lines;
}

Millis elapsed_since(TimePoint start) {
  return std::chrono::duration_cast<Millis>(std::chrono::steady_clock::now() - start);
}

// What a sanitized program on a busy machine may need on top of a configured timeout.
constexpr Millis kSlack = kSanitized ? 5s : 2s;

// --- sizes

TEST(Limits, OfTheRequestHead) {
  Upstream upstream;
  Gateway gateway(proxy_to(upstream, "limits: {request_head: 4KiB, fields: 20, target: 1KiB}"));
  struct Case {
    const char* what;
    std::string input;
    int status;
    const char* reason;
  };
  const std::string kilobyte(1024, 'x');
  const std::vector<Case> cases = {
      {"target at its limit", plain("/" + std::string(1023, 'x')), 200, ""},
      {"target over its limit", plain("/" + kilobyte), 414, "target_too_long"},
      {"target without end", "GET /" + std::string(100'000, 'x'), 414, "target_too_long"},
      {"fields at their limit", with_fields(numbered_fields(19)), 200, ""},
      {"fields over their limit", with_fields(numbered_fields(20)), 431, "head_too_large"},
      {"head below its limit", with_fields("X: " + std::string(3900, 'x') + "\r\n"), 200, ""},
      {"one long field", with_fields("X: " + std::string(5000, 'x') + "\r\n"), 431,
       "head_too_large"},
      {"a long name", with_fields(std::string(5000, 'x') + ": 1\r\n"), 431, "head_too_large"},
      {"a field without end", "GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(100'000, 'x'), 431,
       "head_too_large"},
      {"several fields",
       with_fields("A: " + kilobyte + kilobyte + "\r\nB: " + kilobyte + kilobyte + "\r\n"), 431,
       "head_too_large"},
  };
  std::size_t served = 0;
  for (const auto& [what, input, status, reason] : cases) {
    SCOPED_TRACE(what);
    RawClient client(gateway.port());
    client.send(input);
    const Response response = client.read_response();
    EXPECT_EQ(response.status, status);
    if (status == 200) {
      ++served;
    } else {
      EXPECT_EQ(response.reason(), reason);
      EXPECT_TRUE(client.expect_close());
    }
  }
  EXPECT_EQ(upstream.request_count(), served);
}

TEST(Limits, OfTheDefaultHead) {
  Upstream upstream;
  Gateway gateway(proxy_to(upstream));
  EXPECT_EQ(fetch(gateway.port(), plain("/" + std::string(8191, 'x'))).status, 200);
  EXPECT_EQ(fetch(gateway.port(), plain("/" + std::string(8192, 'x'))).status, 414);
  EXPECT_EQ(fetch(gateway.port(), with_fields(numbered_fields(99))).status, 200);
  EXPECT_EQ(fetch(gateway.port(), with_fields(numbered_fields(100))).status, 431);
  EXPECT_EQ(fetch(gateway.port(), with_fields("X: " + std::string(60'000, 'x') + "\r\n")).status,
            200);
  EXPECT_EQ(fetch(gateway.port(), with_fields("X: " + std::string(66'000, 'x') + "\r\n")).status,
            431);
}

TEST(Limits, OfTheRequestBodyPerApp) {
  Upstream upstream;
  Gateway gateway(
      "listen: [\"127.0.0.1:0\"]\nworkers: 1\nlimits: {body: 1KiB}\napps:\n"
      "  - {name: small, path: /, upstream: {targets: [\"" +
      upstream.url() +
      "\"]}}\n"
      "  - {name: large, path: /large, limits: {body: 64KiB}, upstream: {targets: [\"" +
      upstream.url() +
      "\"]}}\n"
      "  - {name: free, path: /free, limits: {body: unlimited}, upstream: {targets: [\"" +
      upstream.url() + "\"]}}\n");
  struct Case {
    const char* path;
    std::size_t size;
    int status;
  };
  int number = 0;
  for (const auto& [path, size, status] : std::vector<Case>{{"/", 1024, 200},
                                                            {"/", 1025, 413},
                                                            {"/", 1'000'000, 413},
                                                            {"/large", 65536, 200},
                                                            {"/large", 65537, 413},
                                                            {"/free", 3'000'000, 200}}) {
    const std::string body(size, 'b');
    char hex[32];
    std::snprintf(hex, sizeof(hex), "%zx", size);
    const std::vector<std::string> framings = {
        "Content-Length: " + std::to_string(size) + "\r\n\r\n" + body,
        "Transfer-Encoding: chunked\r\n\r\n" + std::string(hex) + "\r\n" + body + "\r\n0\r\n\r\n"};
    for (const auto& framing : framings) {
      // A chunked request that grows too large has begun upstream by then, and is cut off there:
      // the upstream may notice it at any time. So each request has a target of its own to be
      // counted by.
      const std::string target = std::string(path) + "?" + std::to_string(++number);
      SCOPED_TRACE(target + " " + escaped(framing.substr(0, 40)));
      const Response response =
          fetch(gateway.port(), "POST " + target + " HTTP/1.1\r\nHost: a\r\n" + framing);
      EXPECT_EQ(response.status, status);
      if (status == 413) {
        EXPECT_EQ(response.reason(), "body_too_large");
      }
      const auto requests = upstream.requests();
      const auto complete = std::count_if(requests.begin(), requests.end(), [&](const auto& r) {
        return r.complete && r.target() == target;
      });
      EXPECT_EQ(complete, status == 200 ? 1 : 0);
    }
  }
}

TEST(Limits, OfRequestsPerConnection) {
  Upstream upstream;
  Gateway gateway(proxy_to(upstream, "limits: {requests_per_connection: 3}"));
  RawClient client(gateway.port());
  client.send(plain("/1") + plain("/2") + plain("/3") + plain("/4"));
  for (int i = 1; i <= 3; ++i) {
    const Response response = client.read_response();
    EXPECT_EQ(response.status, 200);
    EXPECT_EQ(response.header("Connection") == "close", i == 3) << i;
  }
  EXPECT_TRUE(client.expect_close());
  EXPECT_EQ(upstream.request_count(), 3u);
}

TEST(Limits, OfConnections) {
  Upstream upstream;
  Gateway gateway(proxy_to(upstream, "limits: {max_connections: 3}"));
  std::vector<RawClient> clients;
  for (int i = 0; i < 3; ++i) {
    clients.emplace_back(gateway.port());
    clients.back().send(plain("/"));
    ASSERT_EQ(clients.back().read_response().status, 200);
  }
  {
    RawClient one_too_many(gateway.port());
    one_too_many.send(plain("/too-many"));
    const Response response = one_too_many.read_response();
    EXPECT_EQ(response.status, 503);
    EXPECT_TRUE(one_too_many.expect_close());
  }
  clients.pop_back();
  EXPECT_TRUE(wait_until([&] { return get(gateway.port(), "/again").status == 200; }));
  EXPECT_FALSE(upstream.wait_for_request("/too-many", 0ms).has_head);
}

TEST(Limits, OfIdleUpstreamConnections) {
  std::atomic<int> waiting{0};
  Upstream upstream([&](UpstreamExchange& exchange) {
    ++waiting;
    (void)wait_until([&] { return waiting >= 5; });
    exchange.send(ok("x"));
  });
  Gateway gateway(proxy_to(upstream, "limits: {upstream_idle_connections: 2}"));
  std::vector<RawClient> clients;
  for (int i = 0; i < 5; ++i) {
    clients.emplace_back(gateway.port());
    clients.back().send(plain("/"));
  }
  for (auto& client : clients) EXPECT_EQ(client.read_response().status, 200);
  EXPECT_TRUE(wait_until([&] { return upstream.open_connections() == 2; }))
      << upstream.open_connections();
  EXPECT_EQ(upstream.connection_count(), 5u);
}

// --- the client's time

class ClientTimeouts : public ::testing::Test {
 protected:
  ClientTimeouts()
      : gateway_(proxy_to(upstream_,
                          "timeouts: {first_head: 400ms, request_head: 400ms, keep_alive: 400ms, "
                          "request_body: 400ms}")) {}

  // True if the connection ended, and not at once.
  static void expect_timed_close(RawClient& client, TimePoint start) {
    EXPECT_TRUE(client.expect_close());
    EXPECT_GE(elapsed_since(start), 300ms);
    EXPECT_LE(elapsed_since(start), 400ms + kSlack);
  }
  void expect_408(RawClient& client, TimePoint start) {
    const Response response = client.read_response();
    EXPECT_EQ(response.status, 408);
    EXPECT_EQ(response.reason(), "request_timeout");
    expect_timed_close(client, start);
  }

  Upstream upstream_;
  Gateway gateway_;
};

TEST_F(ClientTimeouts, SilentAfterConnectIsClosedWithoutAWord) {
  const TimePoint start = std::chrono::steady_clock::now();
  RawClient client(gateway_.port());
  expect_timed_close(client, start);
}

TEST_F(ClientTimeouts, SlowFirstHeadGets408) {
  for (const std::string part :
       {"G", "GET / HT", "GET / HTTP/1.1\r\nHost: a\r\n", "GET / HTTP/1.1\r\nHost: a\r\n\r"}) {
    SCOPED_TRACE(escaped(part));
    const TimePoint start = std::chrono::steady_clock::now();
    RawClient client(gateway_.port());
    client.send(part);
    expect_408(client, start);
  }
  EXPECT_EQ(upstream_.byte_count(), 0u);
}

TEST_F(ClientTimeouts, ATrickledHeadGets408) {
  const TimePoint start = std::chrono::steady_clock::now();
  RawClient client(gateway_.port());
  client.send_slowly("GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(200, 'x'), 50ms);
  expect_408(client, start);
  EXPECT_EQ(upstream_.byte_count(), 0u);
}

TEST_F(ClientTimeouts, SlowLaterHeadGets408) {
  RawClient client(gateway_.port());
  client.send(plain("/first"));
  ASSERT_EQ(client.read_response().status, 200);
  const TimePoint start = std::chrono::steady_clock::now();
  client.send("GET /second HTTP/1.1\r\nHo");
  expect_408(client, start);
}

TEST_F(ClientTimeouts, IdleKeepAliveIsClosedWithoutAWord) {
  RawClient client(gateway_.port());
  client.send(plain("/"));
  ASSERT_EQ(client.read_response().status, 200);
  expect_timed_close(client, std::chrono::steady_clock::now());
}

TEST_F(ClientTimeouts, AStalledBodyGets408) {
  for (const std::string part :
       {"Content-Length: 10\r\n\r\nabc", "Content-Length: 10\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n"}) {
    SCOPED_TRACE(escaped(part));
    const TimePoint start = std::chrono::steady_clock::now();
    RawClient client(gateway_.port());
    client.send("POST /stalled HTTP/1.1\r\nHost: a\r\n" + part);
    expect_408(client, start);
  }
  EXPECT_TRUE(wait_until([&] { return upstream_.open_connections() == 0; }))
      << "half a request stays upstream";
  for (const auto& request : upstream_.requests()) EXPECT_FALSE(request.complete);
}

TEST_F(ClientTimeouts, ABodyThatKeepsComingIsServed) {
  RawClient client(gateway_.port());
  client.send("POST /steady HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n");
  client.send_slowly("0123456789", 100ms);  // 1 s in all, never 400 ms without a byte
  EXPECT_EQ(client.read_response().status, 200);
  EXPECT_EQ(upstream_.wait_for_request("/steady").body, "0123456789");
}

// The average is taken over 20 s, so this takes as long.
TEST(ClientTimeoutsOfTheBody, FewerBytesThan250ASecondGet408) {
  constexpr std::size_t kBytes = 104;  // 26 s of four bytes a second
  Upstream upstream([](UpstreamExchange& e) {
    if (e.read_body(60s)) e.send(ok(e.request.body));
  });
  Gateway limited(proxy_to(upstream));
  Gateway patient(proxy_to(upstream, "limits: {body_rate: off}"));
  const auto drip = [](RawClient& client) {
    client.send("POST /drip HTTP/1.1\r\nHost: a\r\nContent-Length: " + std::to_string(kBytes) +
                "\r\n\r\n");
    client.send_slowly(std::string(kBytes, 'x'), 250ms);
  };
  RawClient waiting(patient.port());
  std::thread other([&] { drip(waiting); });

  const TimePoint start = std::chrono::steady_clock::now();
  RawClient client(limited.port());
  drip(client);
  const Response response = client.read_response();
  EXPECT_GE(elapsed_since(start), 19s);
  EXPECT_LE(elapsed_since(start), 21s + kSlack);
  EXPECT_EQ(response.status, 408);
  EXPECT_EQ(response.reason(), "request_timeout");
  EXPECT_TRUE(client.expect_close());

  other.join();
  const Response whole = waiting.read_response();
  EXPECT_EQ(whole.status, 200);
  EXPECT_EQ(whole.body.size(), kBytes);
}

TEST(SlowClients, CostNobodyElseAnything) {
  constexpr int kSlow = 50, kThreads = 4, kPerThread = 50, kRequests = 5;
  Upstream upstream;
  Gateway gateway(proxy_to(upstream, "timeouts: {first_head: 1s, request_head: 1s}"));
  const std::size_t threads_before = gateway.thread_count();

  const TimePoint start = std::chrono::steady_clock::now();
  std::vector<RawClient> slow;
  for (int i = 0; i < kSlow; ++i) slow.emplace_back(gateway.port());
  std::atomic<bool> trickling{true};
  std::thread trickle([&] {
    const std::string head = "GET /slow HTTP/1.1\r\nHost: a\r\nX: " + std::string(100'000, 'x');
    for (std::size_t at = 0; trickling && at < head.size(); ++at) {
      for (auto& client : slow)
        (void)client.socket().send_some(std::string_view(head).substr(at, 1));
      std::this_thread::sleep_for(20ms);
    }
  });

  std::atomic<int> served{0};
  std::atomic<std::int64_t> slowest_ms{0};
  std::vector<std::thread> others;
  for (int t = 0; t < kThreads; ++t) {
    others.emplace_back([&] {
      std::vector<RawClient> clients;
      for (int i = 0; i < kPerThread; ++i) clients.emplace_back(gateway.port());
      for (int round = 0; round < kRequests; ++round) {
        for (auto& client : clients) {
          const TimePoint sent = std::chrono::steady_clock::now();
          client.send(plain("/fast"));
          if (client.read_response().status == 200) ++served;
          slowest_ms =
              std::max(slowest_ms.load(), static_cast<std::int64_t>(elapsed_since(sent).count()));
        }
      }
    });
  }
  for (auto& thread : others) thread.join();
  EXPECT_EQ(served, kThreads * kPerThread * kRequests);
  EXPECT_LT(slowest_ms, 1000) << "a fast client waited for the slow ones";

  for (auto& client : slow) {
    const Response response = client.read_response();
    EXPECT_EQ(response.status, 408);
    EXPECT_TRUE(client.expect_close());
  }
  EXPECT_GE(elapsed_since(start), 900ms);
  EXPECT_LE(elapsed_since(start), 1s + kSlack);
  trickling = false;
  trickle.join();
  EXPECT_EQ(gateway.thread_count(), threads_before)
      << "a slow client costs a timer, not a thread (R5.2)";
  EXPECT_FALSE(upstream.wait_for_request("/slow", 0ms).has_head);
}

TEST(ClientTimeoutsOfTheResponse, AClientThatStopsReadingIsClosed) {
  std::atomic<bool> cancelled{false};
  Upstream upstream([&](UpstreamExchange& exchange) {
    exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
    const std::string block(65536, 'x');
    while (exchange.send(block)) {
    }
    cancelled = true;
    exchange.close();
  });
  Gateway gateway(proxy_to(upstream, "timeouts: {client_write: 500ms}"));
  RawClient client(gateway.port());
  client.send(plain("/unread"));
  ASSERT_EQ(client.read_head().status, 200);
  EXPECT_TRUE(wait_until([&] { return cancelled.load(); })) << "the upstream still sends to nobody";
  EXPECT_TRUE(gateway.wait_for_path("/unread").is_object());
}

// --- the upstream's time

void expect_gateway_timeout(Gateway& gateway, const char* reason, Millis timeout) {
  const TimePoint start = std::chrono::steady_clock::now();
  const Response response = get(gateway.port(), "/timeout");
  EXPECT_EQ(response.status, 504);
  EXPECT_EQ(response.reason(), reason);
  EXPECT_GE(elapsed_since(start), timeout - 100ms);
  EXPECT_LE(elapsed_since(start), 3 * timeout + kSlack);
  EXPECT_EQ(gateway.wait_for_path("/timeout").value("reason", ""), reason);
}

TEST(UpstreamTimeouts, Connect) {
  BlackHole hole;
  Gateway gateway(proxy_to(std::vector{hole.url()}, "timeouts: {connect: 300ms}"));
  expect_gateway_timeout(gateway, "upstream_connect_timeout", 300ms);
}

TEST(UpstreamTimeouts, ConnectGoesToTheNextTarget) {
  BlackHole hole;
  Upstream upstream;
  Gateway gateway(proxy_to(std::vector{hole.url(), upstream.url()}, "timeouts: {connect: 300ms}"));
  for (int i = 0; i < 4; ++i) EXPECT_EQ(get(gateway.port(), "/").status, 200);
}

TEST(UpstreamTimeouts, ResponseHead) {
  std::atomic<bool> closed{false};
  Upstream upstream([&](UpstreamExchange& exchange) {
    closed = exchange.wait_for_close();
    exchange.close();
  });
  Gateway gateway(proxy_to(upstream, "timeouts: {response_head: 300ms}"));
  expect_gateway_timeout(gateway, "upstream_response_timeout", 300ms);
  EXPECT_TRUE(wait_until([&] { return closed.load(); }));
}

TEST(UpstreamTimeouts, ATrickledResponseHead) {
  Upstream upstream([](UpstreamExchange& exchange) {
    for (const char c : "HTTP/1.1 200 OK\r\nX: " + std::string(200, 'x')) {
      if (!exchange.send(std::string_view(&c, 1)) || exchange.socket().wait_readable(20ms)) break;
    }
    exchange.close();
  });
  Gateway gateway(proxy_to(upstream, "timeouts: {response_head: 300ms}"));
  expect_gateway_timeout(gateway, "upstream_response_timeout", 300ms);
}

TEST(UpstreamTimeouts, AStalledBodyClosesBoth) {
  std::atomic<bool> closed{false};
  Upstream upstream([&](UpstreamExchange& exchange) {
    exchange.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    closed = exchange.wait_for_close();
    exchange.close();
  });
  Gateway gateway(proxy_to(upstream, "timeouts: {response_body: 400ms}"));
  const Response response = get(gateway.port(), "/stalled");
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.body, "abc");
  EXPECT_FALSE(response.complete) << "the truncation must be visible";
  EXPECT_FALSE(response.timed_out);
  EXPECT_TRUE(wait_until([&] { return closed.load(); }));
}

TEST(UpstreamTimeouts, WholeRequest) {
  Upstream upstream([](UpstreamExchange& exchange) {
    (void)exchange.wait_for_close();
    exchange.close();
  });
  Gateway gateway(proxy_to(upstream, "timeouts: {request: 400ms}"));
  expect_gateway_timeout(gateway, "request_timeout", 400ms);
}

TEST(UpstreamTimeouts, WholeRequestIsTheSlowClientsFault) {
  Upstream upstream;
  Gateway gateway(proxy_to(upstream, "timeouts: {request: 400ms}"));
  RawClient client(gateway.port());
  client.send("POST /slow-body HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n");
  client.send_slowly(std::string(999, 'x'), 20ms);
  const Response response = client.read_response();
  EXPECT_EQ(response.status, 408);
  EXPECT_EQ(response.reason(), "request_timeout");
  EXPECT_TRUE(client.expect_close());
}

TEST(UpstreamTimeouts, AStreamMayLastLongerThanARequest) {
  Upstream upstream([](UpstreamExchange& exchange) {
    exchange.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 10; ++i) {
      exchange.send("1\r\nx\r\n");
      std::this_thread::sleep_for(100ms);
    }
    exchange.send("0\r\n\r\n");
  });
  Gateway gateway(proxy_to(upstream, "timeouts: {request: 300ms}"));
  const Response response = get(gateway.port(), "/stream");
  EXPECT_EQ(response.body, "xxxxxxxxxx");
  EXPECT_TRUE(response.complete);
}

TEST(UpstreamTimeouts, AnIdleTunnelIsClosed) {
  std::atomic<bool> closed{false};
  Upstream upstream([&](UpstreamExchange& exchange) {
    exchange.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n");
    closed = exchange.wait_for_close();
    exchange.close();
  });
  Gateway gateway(proxy_to(upstream, "timeouts: {tunnel: 400ms}"));
  RawClient client(gateway.port());
  client.send(with_fields("Connection: Upgrade\r\nUpgrade: x\r\n"));
  ASSERT_EQ(client.read_response().status, 101);
  const TimePoint start = std::chrono::steady_clock::now();
  EXPECT_TRUE(client.expect_close());
  EXPECT_GE(elapsed_since(start), 300ms);
  EXPECT_TRUE(wait_until([&] { return closed.load(); }));
}

TEST(UpstreamTimeouts, AnIdleUpstreamConnectionIsClosed) {
  Upstream upstream;
  Gateway gateway(proxy_to(upstream, "timeouts: {upstream_idle: 300ms}"));
  ASSERT_EQ(get(gateway.port(), "/").status, 200);
  EXPECT_EQ(upstream.open_connections(), 1u) << "kept for the next request";
  EXPECT_TRUE(wait_until([&] { return upstream.open_connections() == 0; }));
  EXPECT_EQ(get(gateway.port(), "/").status, 200);
  EXPECT_EQ(upstream.connection_count(), 2u);
}

TEST(UpstreamTimeouts, KeepAliveTimeoutOfTheUpstreamShortensOursR6_4) {
  Upstream upstream(ok("x", "Keep-Alive: timeout=2\r\n"));
  Gateway gateway(proxy_to(upstream));
  const TimePoint start = std::chrono::steady_clock::now();
  ASSERT_EQ(get(gateway.port(), "/").status, 200);
  EXPECT_TRUE(wait_until([&] { return upstream.open_connections() == 0; }, 1s + kSlack));
  EXPECT_GE(elapsed_since(start), 500ms);
}

// --- draining (R4.14)

TEST(Draining, OfAnUnwantedBodyIsBoundedInTime) {
  Gateway gateway(
      "listen: [\"127.0.0.1:0\"]\nworkers: 1\napps:\n  - name: one\n    hosts: [one.example]\n"
      "    upstream: {targets: [\"http://127.0.0.1:9\"]}\n");
  RawClient client(gateway.port());
  client.send("POST /lost HTTP/1.1\r\nHost: other.example\r\nContent-Length: 1000\r\n\r\nabc");
  const TimePoint start = std::chrono::steady_clock::now();
  EXPECT_EQ(client.read_response().status, 404);
  EXPECT_TRUE(client.expect_close());
  EXPECT_LE(elapsed_since(start), 1s + kSlack);
}

TEST(Draining, AfterAnEarlyResponseIsBoundedInTime) {
  Upstream upstream([](UpstreamExchange& exchange) {
    exchange.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
    (void)exchange.wait_for_close();
    exchange.close();
  });
  Gateway gateway(proxy_to(upstream));
  RawClient client(gateway.port());
  client.send("POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nabc");
  const TimePoint start = std::chrono::steady_clock::now();
  EXPECT_EQ(client.read_response().status, 403);
  EXPECT_TRUE(client.expect_close());
  EXPECT_LE(elapsed_since(start), 1s + kSlack);
  EXPECT_TRUE(wait_until([&] { return upstream.open_connections() == 0; }))
      << "half a request stays upstream";
}

TEST(Draining, OfAnUnwantedBodyIsBoundedInBytes) {
  Gateway gateway(
      "listen: [\"127.0.0.1:0\"]\nworkers: 1\napps:\n  - name: one\n    hosts: [one.example]\n"
      "    upstream: {targets: [\"http://127.0.0.1:9\"]}\n");
  RawClient client(gateway.port());
  client.send("POST /lost HTTP/1.1\r\nHost: other.example\r\nContent-Length: 90000000\r\n\r\n");
  std::thread flood([&] {
    const std::string block(65536, 'x');
    for (int i = 0; i < 1000 && client.send(block, 2s); ++i) {
    }
  });
  const Response response = client.read_response();
  EXPECT_EQ(response.status, 404) << "the answer must survive the unread upload";
  EXPECT_TRUE(client.expect_close());
  flood.join();
}

}  // namespace
}  // namespace tyaprover::test
