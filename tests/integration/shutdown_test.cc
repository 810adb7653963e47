// Shutdown (section 9 of the specification): what a client, an operator and a supervisor see of it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <cstdio>

#include "tests/integration/support.h"

namespace tyaprover::test {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;

std::string request(std::string_view target) {
  return "GET " + std::string(target) + " HTTP/1.1\r\nHost: a\r\n\r\n";
}

Millis elapsed_since(TimePoint start) {
  return std::chrono::duration_cast<Millis>(std::chrono::steady_clock::now() - start);
}

// An upstream whose requests wait until they are let go.
class Gate {
 public:
  Gate()
      : upstream_([this](UpstreamExchange& exchange) {
          exchange.read_body();
          if (exchange.request.target() == "/wait") {
            ++waiting_;
            static_cast<void>(wait_until([this] { return open_.load(); }, 60s));
          }
          exchange.send(ok("answered"));
        }) {}
  ~Gate() { open(); }
  void open() { open_ = true; }
  bool wait_for_requests(int count) {
    return wait_until([&] { return waiting_ >= count; });
  }
  const Upstream& upstream() const { return upstream_; }

 private:
  std::atomic<bool> open_{false};
  std::atomic<int> waiting_{0};
  Upstream upstream_;
};

bool refuses_connections(std::uint16_t port) {
  try {
    Socket::connect_tcp(port);
    return false;
  } catch (const std::runtime_error&) {
    return true;
  }
}

TEST(Shutdown, AnIdleGatewayEndsAtOnceR9_1) {
  for (const int signal : {SIGTERM, SIGINT}) {
    Upstream upstream;
    Gateway gateway(proxy_to(upstream));
    ASSERT_EQ(get(gateway.port(), "/").status, 200);
    const TimePoint start = std::chrono::steady_clock::now();
    gateway.signal(signal);
    EXPECT_EQ(gateway.wait_for_exit(), 0) << gateway.log();
    EXPECT_LT(elapsed_since(start), kSanitized ? 5s : 2s);
  }
}

// A supervisor may stop what it has just started: from the banner on, signals mean what they always
// mean.
TEST(Shutdown, ASignalRightAfterTheBannerIsGracefulR9_1) {
  Upstream upstream;
  for (int i = 0; i < 20; ++i) {
    Gateway gateway(proxy_to(upstream));
    gateway.signal(i % 2 ? SIGTERM : SIGHUP);
    if (i % 2 == 0) gateway.signal(SIGUSR1);
    if (i % 2 == 0) gateway.signal(SIGTERM);
    EXPECT_EQ(gateway.wait_for_exit(), 0) << gateway.log();
  }
}

TEST(Shutdown, RunningRequestsFinishAndIdleConnectionsCloseR9_1) {
  Gate gate;
  Gateway gateway(proxy_to(gate.upstream()));
  RawClient idle(gateway.port()), running(gateway.port()), fresh(gateway.port());
  idle.send(request("/"));
  ASSERT_EQ(idle.read_response().status, 200);
  running.send(request("/wait"));
  ASSERT_TRUE(gate.wait_for_requests(1));

  gateway.signal(SIGTERM);
  EXPECT_TRUE(idle.expect_close());
  EXPECT_TRUE(fresh.expect_close());
  EXPECT_TRUE(wait_until([&] { return refuses_connections(gateway.port()); }));
  EXPECT_FALSE(gateway.wait_for_exit(50ms).has_value()) << "a request is still running";

  gate.open();
  const Response response = running.read_response();
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.body, "answered");
  EXPECT_EQ(response.header("Connection"), "close");
  EXPECT_TRUE(running.expect_close());
  EXPECT_EQ(gateway.wait_for_exit(), 0);
  EXPECT_TRUE(gateway.wait_for_path("/wait").is_object())
      << "the log is written out before the end";
}

TEST(Shutdown, AnUploadInFlightFinishesR9_2) {
  Upstream upstream;
  Gateway gateway(proxy_to(upstream));
  RawClient client(gateway.port());
  client.send("POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n01234");
  ASSERT_TRUE(wait_until([&] { return upstream.bytes().find("01234") != std::string::npos; }));
  gateway.signal(SIGTERM);
  ASSERT_TRUE(wait_until([&] { return refuses_connections(gateway.port()); }));
  client.send("56789");
  const Response response = client.read_response();
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.header("Connection"), "close");
  EXPECT_EQ(gateway.wait_for_exit(), 0);
  EXPECT_EQ(upstream.wait_for_request("/upload").body, "0123456789");
}

TEST(Shutdown, ReadinessTurnsAtOnceAndTheDelayStillServesR9_1) {
  Upstream upstream;
  Gateway gateway(proxy_to(upstream, "shutdown: {delay: 2s}"));
  ASSERT_TRUE(wait_until([&] { return get(gateway.port(), "/health/ready").status == 200; }));
  RawClient kept(gateway.port());
  kept.send(request("/"));
  ASSERT_EQ(kept.read_response().status, 200);
  const TimePoint start = std::chrono::steady_clock::now();
  gateway.signal(SIGTERM);
  Response ready;
  EXPECT_TRUE(wait_until(
      [&] { return (ready = get(gateway.port(), "/health/ready")).status == 503; }, 1500ms));
  EXPECT_THAT(ready.body, HasSubstr("NOT READY"));
  EXPECT_EQ(get(gateway.port(), "/health/live").status, 200) << "still accepting";
  RawClient fresh(gateway.port());
  fresh.send(request("/during"));
  const Response during = fresh.read_response();
  EXPECT_EQ(during.status, 200);
  EXPECT_EQ(during.header("Connection"), "close");
  kept.send(request("/during"));
  const Response on_kept = kept.read_response();
  EXPECT_EQ(on_kept.status, 200);
  EXPECT_EQ(on_kept.header("Connection"), "close");
  EXPECT_EQ(gateway.wait_for_exit(), 0);
  EXPECT_GE(elapsed_since(start), 900ms);
}

TEST(Shutdown, InKubernetesTheDelayIsFiveSecondsR9_1) {
  Upstream upstream;
  Gateway gateway(GatewayOptions{.yaml = proxy_to(upstream),
                                 .arguments = {},
                                 .environment = {{"KUBERNETES_SERVICE_HOST", "10.0.0.1"}},
                                 .descriptors = {}});
  gateway.signal(SIGTERM);
  EXPECT_FALSE(gateway.wait_for_exit(1s).has_value());
  EXPECT_EQ(get(gateway.port(), "/").status, 200);
  gateway.signal(SIGTERM);
  EXPECT_TRUE(gateway.wait_for_exit().has_value());
}

TEST(Shutdown, WhatIsLeftAfterTheTimeoutIsCutR9_1) {
  Gate gate;
  Gateway gateway(proxy_to(gate.upstream(), "shutdown: {timeout: 500ms}"));
  RawClient one(gateway.port()), two(gateway.port());
  one.send(request("/wait"));
  two.send(request("/wait"));
  ASSERT_TRUE(gate.wait_for_requests(2));
  const TimePoint start = std::chrono::steady_clock::now();
  gateway.signal(SIGTERM);
  EXPECT_EQ(gateway.wait_for_exit(), 1);
  EXPECT_GE(elapsed_since(start), 400ms);
  EXPECT_TRUE(one.read_response().status != 200);
  EXPECT_THAT(gateway.log(), HasSubstr("2")) << "the count of what was cut is logged";
}

TEST(Shutdown, ASecondSignalEndsItNowR9_1) {
  for (const int second : {SIGTERM, SIGINT}) {
    Gate gate;
    Gateway gateway(proxy_to(gate.upstream()));
    RawClient client(gateway.port());
    client.send(request("/wait"));
    ASSERT_TRUE(gate.wait_for_requests(1));
    gateway.signal(SIGTERM);
    ASSERT_FALSE(gateway.wait_for_exit(200ms).has_value());
    const TimePoint start = std::chrono::steady_clock::now();
    gateway.signal(second);
    const auto code = gateway.wait_for_exit();
    ASSERT_TRUE(code.has_value());
    EXPECT_NE(*code, 0) << "a request was cut";
    EXPECT_LT(elapsed_since(start), kSanitized ? 5s : 1s);
  }
}

TEST(Shutdown, TunnelsAreCutAtTheTimeoutNotBefore) {
  Upstream upstream([](UpstreamExchange& exchange) {
    exchange.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n");
    for (;;) {
      const auto bytes = exchange.receive();
      if (!bytes || bytes->empty() || !exchange.send(*bytes)) break;
    }
    exchange.close();
  });
  Gateway gateway(proxy_to(upstream, "shutdown: {timeout: 3s}"));
  RawClient client(gateway.port());
  client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n");
  ASSERT_EQ(client.read_response().status, 101);
  gateway.signal(SIGTERM);
  ASSERT_TRUE(wait_until([&] { return refuses_connections(gateway.port()); }));
  client.send("still there?");
  EXPECT_TRUE(client.read_until("still there?"));
  EXPECT_TRUE(client.expect_close());
  EXPECT_THAT(gateway.wait_for_exit().value_or(-1), AnyOf(0, 1));
}

// wrk's report: "Requests/sec", "requests in", "Socket errors: connect 0, read 0, write 0, timeout
// 0", "Non-2xx or 3xx responses: N".
struct Load {
  long requests = 0, read_errors = 0, write_errors = 0, timeouts = 0, bad_statuses = 0;
};
Load parse_wrk(const std::string& text) {
  Load load;
  if (const auto at = text.find(" requests in"); at != std::string::npos) {
    load.requests = std::strtol(text.c_str() + text.rfind('\n', at) + 1, nullptr, 10);
  }
  if (const auto at = text.find("Socket errors:"); at != std::string::npos) {
    long connect = 0;
    std::sscanf(text.c_str() + at, "Socket errors: connect %ld, read %ld, write %ld, timeout %ld",
                &connect, &load.read_errors, &load.write_errors, &load.timeouts);
  }
  if (const auto at = text.find("Non-2xx or 3xx responses:"); at != std::string::npos) {
    load.bad_statuses = std::strtol(text.c_str() + at + 26, nullptr, 10);
  }
  return load;
}

// SIGTERM while 64 keep-alive connections are busy. wrk reopens every connection that the gateway
// closes and counts a refused one as a failed write, which could hide a real one. So the listening
// socket is ours and stays open: once the gateway is gone, new connections wait in its queue, and
// every error that wrk reports is a lost request.
TEST(Shutdown, UnderLoadNoRequestFailsR9_2) {
  const Socket listener = Socket::listen_tcp(4096);
  Gateway gateway(GatewayOptions{.yaml = "",
                                 .arguments = {"--demo", "--listen", "fd:3"},
                                 .environment = {},
                                 .descriptors = {{3, listener.descriptor()}}});
  const std::string url =
      "http://127.0.0.1:" + std::to_string(listener.local_port()) + "/api/v1/theme/";
  Process wrk({.arguments = {"wrk", "-t2", "-c64", "-d3", "--timeout", "10", url},
               .environment = {},
               .descriptors = {},
               .directory = {}});
  ASSERT_TRUE(wait_until([&] { return gateway.process().out_line_count() > 2000; }));
  gateway.signal(SIGTERM);
  EXPECT_EQ(gateway.wait_for_exit(30s), 0) << gateway.log();
  EXPECT_EQ(wrk.wait_for_exit(60s), 0);
  (void)wait_until([&] { return wrk.output_ended(); });
  const Load load = parse_wrk(wrk.out());
  SCOPED_TRACE(wrk.out());
  EXPECT_GT(load.requests, 1000);
  EXPECT_EQ(load.bad_statuses, 0);
  EXPECT_EQ(load.read_errors, 0);
  EXPECT_EQ(load.write_errors, 0);
  EXPECT_EQ(load.timeouts, 0);
  // The gateway's own account of the same load.
  long served = 0, failed = 0;
  for (const auto& line : gateway.access_log()) {
    (line.is_object() && line.value("status", 0) == 200 ? served : failed)++;
  }
  EXPECT_EQ(failed, 0);
  EXPECT_GE(served, load.requests) << "more answers than requests served";
}

// The same with a client that counts exactly: every request that was written on an open connection
// gets its whole answer, until an answer says Connection: close or the idle connection is closed.
TEST(Shutdown, EveryRequestSentIsAnsweredR9_2) {
  Upstream upstream;
  Gateway gateway(
      "listen: [\"127.0.0.1:0\"]\nworkers: 2\napps:\n  - {name: app, upstream: {targets: [\"" +
      upstream.url() + "\"]}}\n");
  std::atomic<int> answered{0}, lost{0}, told{0}, closed_idle{0};
  std::vector<std::thread> clients;
  for (int t = 0; t < 16; ++t) {
    clients.emplace_back([&] {
      RawClient client(gateway.port());
      for (;;) {
        // An idle close may cross with the request; only then it is no loss, and the client can
        // tell: no byte came.
        if (client.socket().wait_readable(0ms)) {
          ++closed_idle;
          return;
        }
        client.send(request("/"));
        const Response response = client.read_response();
        if (!response.has_head) {
          ++lost;
          return;
        }
        if (response.status != 200 || !response.complete) ++lost;
        ++answered;
        if (response.header("Connection") == "close") {
          ++told;
          return;
        }
      }
    });
  }
  EXPECT_TRUE(wait_until([&] { return answered > 1000; }));
  gateway.signal(SIGTERM);
  for (auto& client : clients) client.join();
  EXPECT_EQ(gateway.wait_for_exit(), 0);
  EXPECT_EQ(lost, 0) << "answered " << answered << ", told to close " << told
                     << ", closed when idle " << closed_idle;
  EXPECT_EQ(told + closed_idle, 16);
}

TEST(Shutdown, SighupDoesNotEndTheGateway) {
  Upstream upstream;
  Gateway gateway(proxy_to(upstream));
  gateway.signal(SIGHUP);
  EXPECT_FALSE(gateway.wait_for_exit(200ms).has_value());
  EXPECT_EQ(get(gateway.port(), "/").status, 200);
}

TEST(Shutdown, AClosedPipeDoesNotEndTheGateway) {
  Upstream upstream;
  Gateway gateway(proxy_to(upstream));
  gateway.signal(SIGPIPE);
  EXPECT_FALSE(gateway.wait_for_exit(100ms).has_value());
  EXPECT_EQ(get(gateway.port(), "/").status, 200);
}

}  // namespace
}  // namespace tyaprover::test
