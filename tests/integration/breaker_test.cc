// Circuit breakers, fallbacks and ejection in the running program (the resilience specification,
// section 6).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <sstream>
#include <thread>

#include "tests/integration/support.h"

namespace tyaprover::test {
namespace {

using ::testing::HasSubstr;

const std::string kFailure = "HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n";

std::string state_of(const Gateway& gateway, const std::string& breaker) {
  return get(gateway.port(), "/health").json()["checks"]["breakers"].value(breaker, "?");
}

std::string metrics_of(const Gateway& gateway) {
  return get(gateway.port(), "/metrics").body;
}

// The line of the gateway's own log with this message and breaker; null if it is not there in time.
Json wait_for_log(const Gateway& gateway, const std::string& message, const std::string& breaker) {
  Json found;
  const bool there = wait_until([&] {
    std::istringstream lines(gateway.log());
    for (std::string line; std::getline(lines, line);) {
      found = Json::parse(line, nullptr, false);
      if (found.is_object() && found.value("msg", "") == message &&
          found.value("breaker", "") == breaker)
        return true;
    }
    return false;
  });
  return there ? found : Json();
}

// Whether a request with this target has come, answered or not.
bool has_come(const Upstream& upstream, const std::string& target) {
  return wait_until([&] {
    const std::vector<Message> requests = upstream.requests();
    return std::any_of(requests.begin(), requests.end(),
                       [&](const Message& request) { return request.target() == target; });
  });
}

class OneTarget : public ::testing::Test {
 protected:
  void fail(int times) {
    broken = true;
    for (int i = 0; i < times; ++i) get(gateway->port(), "/");
  }

  std::atomic<bool> broken{false};
  Upstream upstream{[this](UpstreamExchange& e) { e.send(broken ? kFailure : ok("fine")); }};
  std::optional<Gateway> gateway;
};

TEST_F(OneTarget, OpensAfterFailuresInARowAndSaysWhenToComeBackR33) {
  gateway.emplace(proxy_to(upstream));
  fail(5);
  const Response refused = get(gateway->port(), "/");
  EXPECT_EQ(refused.status, 503);
  EXPECT_EQ(refused.reason(), "circuit_open");
  const int wait = std::stoi("0" + refused.header("Retry-After"));
  EXPECT_GE(wait, 30);
  EXPECT_LE(wait, 60);
  EXPECT_EQ(upstream.request_count(), 5u);
  EXPECT_THAT(refused.body, HasSubstr("upstream:app"));

  const Json line = gateway->wait_for_access([](const Json& l) { return l["status"] == 503; });
  EXPECT_EQ(line["breaker"], "open");
  EXPECT_EQ(line["reason"], "circuit_open");
}

TEST_F(OneTarget, ATransitionIsOneLogLineWithTheCountsThatCausedItR39) {
  gateway.emplace(proxy_to(upstream));
  get(gateway->port(), "/");
  fail(5);
  const Json line = wait_for_log(*gateway, "a circuit breaker opened", "upstream:app");
  EXPECT_EQ(line["cause"], "consecutive_failures");
  EXPECT_EQ(line["failures"], "5");
  EXPECT_EQ(line["calls"], "6");
  EXPECT_EQ(line["consecutive"], "5");
  EXPECT_EQ(line["open_for"], "1m");
  EXPECT_NE(line.value("request_id", ""), "");
}

TEST_F(OneTarget, ATransitionIsAnEventOfTheSpanThatCausedItR39) {
  gateway.emplace(proxy_to(upstream, "breaker: {failure_threshold: 2}"));
  fail(1);
  const std::string id = get(gateway->port(), "/").header("traceparent").substr(3, 32);
  Json event;
  ASSERT_TRUE(wait_until([&] {
    const Json tree = get(gateway->port(), "/api/v1/traces/" + id).json();
    if (!tree.contains("spans") || tree["spans"][0]["events"].empty()) return false;
    event = tree["spans"][0]["events"][0];
    return true;
  }));
  EXPECT_EQ(event["name"], "circuit_breaker.transition");
  EXPECT_EQ(event["attributes"]["circuit_breaker.name"], "upstream:app");
  EXPECT_EQ(event["attributes"]["circuit_breaker.to"], "open");
  EXPECT_EQ(event["attributes"]["circuit_breaker.cause"], "consecutive_failures");
}

TEST_F(OneTarget, MetricsShowStateCallsAndTransitionsR39) {
  gateway.emplace(proxy_to(upstream));
  get(gateway->port(), "/");
  fail(6);
  const std::string page = metrics_of(*gateway);
  const std::string name = R"(name="upstream:app")";
  EXPECT_EQ(sample_text(page, "circuit_breaker_state{" + name + R"(,state="open"})"), "1");
  EXPECT_EQ(sample_text(page, "circuit_breaker_state{" + name + R"(,state="closed"})"), "0");
  EXPECT_EQ(sample_text(page, "circuit_breaker_calls_total{" + name + R"(,outcome="success"})"),
            "1");
  EXPECT_EQ(sample_text(page, "circuit_breaker_calls_total{" + name + R"(,outcome="failure"})"),
            "5");
  EXPECT_EQ(sample_text(page, "circuit_breaker_calls_total{" + name + R"(,outcome="rejected"})"),
            "1");
  EXPECT_EQ(sample_text(
                page, "circuit_breaker_transitions_total{" + name + R"(,from="closed",to="open"})"),
            "1");
  EXPECT_EQ(sample_text(page, "circuit_breaker_call_duration_seconds_count{" + name + "}"), "6");
  EXPECT_EQ(sample_text(page, "circuit_breaker_in_flight{" + name + "}"), "0");
  EXPECT_NE(sample_text(page, "circuit_breaker_failure_ratio{" + name + "}"), "");
}

TEST_F(OneTarget, AnOpenBreakerDegradesHealthAndNoMore) {
  gateway.emplace(proxy_to(upstream));
  EXPECT_EQ(state_of(*gateway, "upstream:app"), "closed");
  fail(5);
  ASSERT_TRUE(wait_until([&] { return state_of(*gateway, "upstream:app") == "open"; }));
  const Response health = get(gateway->port(), "/health");
  EXPECT_EQ(health.status, 200);
  EXPECT_EQ(health.json()["status"], "degraded");
  EXPECT_EQ(get(gateway->port(), "/health/ready").status, 200);
}

TEST_F(OneTarget, ClosesAfterASuccessfulTrial) {
  gateway.emplace(proxy_to(upstream, "breaker: {reset_timeout: 300ms}"));
  fail(5);
  broken = false;
  ASSERT_TRUE(wait_until([&] { return get(gateway->port(), "/").status == 200; }));
  EXPECT_EQ(get(gateway->port(), "/").status, 200);
  EXPECT_FALSE(wait_for_log(*gateway, "a circuit breaker closed", "upstream:app").is_null());
  const Json trial =
      gateway->wait_for_access([](const Json& line) { return line["breaker"] == "half_open"; });
  EXPECT_EQ(trial["status"], 200);
}

TEST_F(OneTarget, DisabledItLetsEverythingPass) {
  gateway.emplace(proxy_to(upstream, "breaker: {mode: disabled}"));
  fail(20);
  EXPECT_EQ(upstream.request_count(), 20u);
  EXPECT_EQ(gateway->wait_for_path("/").value("breaker", ""), "");
}

TEST_F(OneTarget, MetricsOnlySaysWhenItWouldHaveOpened) {
  gateway.emplace(proxy_to(upstream, "breaker: {mode: metrics_only}"));
  fail(20);
  EXPECT_EQ(upstream.request_count(), 20u);
  EXPECT_FALSE(
      wait_for_log(*gateway, "a circuit breaker would have opened", "upstream:app").is_null());
}

TEST_F(OneTarget, AStaticResponseStandsInR33) {
  gateway.emplace(proxy_to(upstream,
                           "breaker: {fallback_status: 200, fallback_body: '{\"items\":[]}', "
                           "fallback_content_type: application/json}"));
  fail(5);
  const Response stand_in = get(gateway->port(), "/");
  EXPECT_EQ(stand_in.status, 200);
  EXPECT_EQ(stand_in.body, "{\"items\":[]}");
  EXPECT_EQ(stand_in.header("Content-Type"), "application/json");
  EXPECT_EQ(stand_in.header("Cache-Control"), "no-store");
  EXPECT_EQ(upstream.request_count(), 5u);
}

TEST(BreakerTrial, OneAtATimeWhileOthersGetTheFallbackR32) {
  std::atomic<bool> broken{true};
  Gate gate;
  Upstream upstream([&](UpstreamExchange& e) {
    if (broken) {
      e.send(kFailure);
    } else {
      if (e.request.target() == "/trial") gate.pass();
      e.send(ok("back"));
    }
  });
  Gateway gateway(proxy_to(upstream, "breaker: {reset_timeout: 300ms, half_open_lease: 1h}"));
  for (int i = 0; i < 5; ++i) get(gateway.port(), "/");
  broken = false;
  std::string trial;
  std::thread slow([&] {
    // Rejected as long as it is open.
    EXPECT_TRUE(wait_until([&] {
      trial = get(gateway.port(), "/trial").body;
      return trial == "back";
    }));
  });
  EXPECT_TRUE(has_come(upstream, "/trial"));
  for (int i = 0; i < 10; ++i) {
    const Response other = get(gateway.port(), "/other");
    EXPECT_EQ(other.reason(), "circuit_open");
    EXPECT_EQ(other.header("Retry-After"), "1");
  }
  gate.open();
  slow.join();
  EXPECT_EQ(get(gateway.port(), "/other").body, "back");
}

TEST(BreakerFallback, AnotherAppStandsInR33) {
  Upstream broken(kFailure);
  Upstream spare(ok("spare"));
  Gateway gateway(
      "listen: [\"127.0.0.1:0\"]\nworkers: 1\napps:\n"
      "  - {name: main, upstream: {targets: [" +
      broken.url() +
      "]}, breaker: {fallback_app: spare}}\n"
      "  - {name: spare, path: /spare, upstream: {targets: [" +
      spare.url() + "]}}\n");
  for (int i = 0; i < 5; ++i) EXPECT_EQ(get(gateway.port(), "/").status, 500);
  EXPECT_EQ(get(gateway.port(), "/").body, "spare");
  EXPECT_EQ(broken.request_count(), 5u);
  const Json line = gateway.wait_for_access([](const Json& l) { return l["status"] == 200; });
  EXPECT_EQ(line["app"], "main");
  EXPECT_EQ(line["breaker"], "open");
}

TEST(BreakerFallback, AppsThatStandInForEachOtherAreAskedOnceR33) {
  Upstream broken(kFailure);
  Gateway gateway(
      "listen: [\"127.0.0.1:0\"]\nworkers: 1\napps:\n"
      "  - {name: a, upstream: {targets: [" +
      broken.url() +
      "]}, breaker: {fallback_app: b, failure_threshold: 1, fallback_status: 200, fallback_body: "
      "closed for today}}\n"
      "  - {name: b, path: /b, upstream: {targets: [" +
      broken.url() + "]}, breaker: {fallback_app: a, failure_threshold: 1}}\n");
  EXPECT_EQ(get(gateway.port(), "/").status, 500);
  EXPECT_EQ(get(gateway.port(), "/").status, 500);  // of b
  EXPECT_EQ(get(gateway.port(), "/").body, "closed for today");
  const std::string page = metrics_of(gateway);
  EXPECT_EQ(
      sample_text(page, R"(circuit_breaker_calls_total{name="upstream:a",outcome="rejected"})"),
      "2");
  EXPECT_EQ(
      sample_text(page, R"(circuit_breaker_calls_total{name="upstream:b",outcome="rejected"})"),
      "1");
}

TEST(BreakerJudgement, AClientThatLeavesIsNoFailureR31) {
  Upstream upstream([&](UpstreamExchange& e) {
    if (e.request.target() == "/slow") e.wait_for_close();
    e.send(ok("ok"));
  });
  Gateway gateway(proxy_to(upstream, "breaker: {failure_threshold: 1}"));
  {
    RawClient client(gateway.port());
    client.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
    ASSERT_TRUE(has_come(upstream, "/slow"));
    client.reset();
  }
  ASSERT_EQ(gateway.wait_for_path("/slow")["status"], 499);
  EXPECT_EQ(get(gateway.port(), "/").status, 200);
  const std::string page = metrics_of(gateway);
  EXPECT_EQ(
      sample_text(page, R"(circuit_breaker_calls_total{name="upstream:app",outcome="cancelled"})"),
      "1");
  EXPECT_EQ(sample_text(page, R"(circuit_breaker_in_flight{name="upstream:app"})"), "0");
}

TEST(BreakerJudgement, AResetInTheMiddleOfABodyIsAFailureR31) {
  Upstream upstream([](UpstreamExchange& e) {
    e.send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nshort");
    e.close();
  });
  Gateway gateway(proxy_to(upstream, "breaker: {failure_threshold: 2}"));
  for (int i = 0; i < 2; ++i) EXPECT_FALSE(get(gateway.port(), "/").complete);
  ASSERT_TRUE(wait_until([&] { return get(gateway.port(), "/").reason() == "circuit_open"; }));
  EXPECT_EQ(upstream.request_count(), 2u);
}

TEST(BreakerJudgement, WhatTheClientDidWrongIsNoFailureR31) {
  Upstream upstream([](UpstreamExchange& e) {
    const std::string status = e.request.target().substr(1);
    e.send("HTTP/1.1 " + status + " X\r\nContent-Length: 0\r\n\r\n");
  });
  Gateway gateway(proxy_to(upstream, "breaker: {failure_threshold: 1}"));
  for (const char* const status : {"400", "401", "404", "429", "499", "501", "505"}) {
    EXPECT_EQ(get(gateway.port(), std::string("/") + status).status, std::stoi(status));
  }
  EXPECT_EQ(state_of(gateway, "upstream:app"), "closed");
  get(gateway.port(), "/502");
  EXPECT_EQ(get(gateway.port(), "/200").reason(), "circuit_open");
}

TEST(BreakerJudgement, ConnectErrorsAndTimeoutsAreFailuresR31) {
  Gateway refused(proxy_to(std::vector{"http://127.0.0.1:" + std::to_string(unused_port())},
                           "breaker: {failure_threshold: 2}"));
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(get(refused.port(), "/").reason(), "upstream_connect_failed");
  }
  EXPECT_EQ(get(refused.port(), "/").reason(), "circuit_open");

  Upstream mute([](UpstreamExchange& e) { e.wait_for_close(); });
  Gateway silent(proxy_to(mute,
                          "breaker: {failure_threshold: 2}\n"
                          "timeouts: {response_head: 100ms}"));
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(get(silent.port(), "/").reason(), "upstream_response_timeout");
  }
  EXPECT_EQ(get(silent.port(), "/").reason(), "circuit_open");
  EXPECT_EQ(sample_text(metrics_of(silent),
                        R"(circuit_breaker_calls_total{name="upstream:app",outcome="timeout"})"),
            "2");
}

TEST(BreakerJudgement, ItsOwnTimeoutCoversTheRequestUntilTheResponseHead) {
  Upstream mute([](UpstreamExchange& e) { e.wait_for_close(); });
  Gateway gateway(proxy_to(mute, "breaker: {failure_threshold: 1, timeout: 100ms}"));
  EXPECT_EQ(get(gateway.port(), "/").status, 504);
  EXPECT_EQ(get(gateway.port(), "/").reason(), "circuit_open");
}

TEST(BreakerJudgement, RetryAfterOfAllTargetsHoldsItOpenIfWantedR31) {
  Upstream busy("HTTP/1.1 503 X\r\nRetry-After: 120\r\nContent-Length: 0\r\n\r\n");
  Upstream other([](UpstreamExchange& e) {
    e.send("HTTP/1.1 429 X\r\nRetry-After: 40\r\nContent-Length: 0\r\n\r\n");
  });
  Gateway gateway(proxy_to({busy.url(), other.url()},
                           "breaker: {honour_retry_after: true, failure_threshold: off, "
                           "error_threshold_percentage: off}"));
  ASSERT_TRUE(wait_until([&] { return get(gateway.port(), "/").reason() == "circuit_open"; }));
  EXPECT_GE(busy.request_count(), 1u);
  EXPECT_GE(other.request_count(), 1u);
  const int wait = std::stoi("0" + get(gateway.port(), "/").header("Retry-After"));
  EXPECT_GT(wait, 10);
  EXPECT_LE(wait, 40);
}

// A target that is asked for rest again and again by answers that are no failures.
TEST(BreakerJudgement, RetryAfterWith429FromAllTargetsHoldsItOpenIfWantedR31) {
  const std::string busy = "HTTP/1.1 429 X\r\nRetry-After: 40\r\nContent-Length: 0\r\n\r\n";
  Upstream a(busy);
  Upstream b(busy);
  Gateway gateway(proxy_to({a.url(), b.url()}, "breaker: {honour_retry_after: true}"));
  ASSERT_TRUE(wait_until([&] { return get(gateway.port(), "/").reason() == "circuit_open"; }));
}

TEST(BreakerJudgement, RetryAfterOpensNothingThatWouldNotCloseAgainR31) {
  for (const std::string mode : {"disabled", "metrics_only"}) {
    Upstream busy("HTTP/1.1 429 X\r\nRetry-After: 40\r\nContent-Length: 0\r\n\r\n");
    Gateway gateway(proxy_to(busy, "breaker: {honour_retry_after: true, mode: " + mode + "}"));
    for (int i = 0; i < 3; ++i) EXPECT_EQ(get(gateway.port(), "/").status, 429);
    EXPECT_EQ(get(gateway.port(), "/api/v1/breakers").json()["upstream:app"]["state"], "CLOSED");
  }
}

// The first request is slow; the second only waited for the first one's place.
TEST(BreakerJudgement, WaitingForAPlaceIsNotTheUpstreamsTimeR31) {
  std::atomic<bool> may_answer{false};
  Upstream upstream([&](UpstreamExchange& e) {
    ASSERT_TRUE(wait_until([&] { return may_answer.load(); }));
    e.send(ok("ok"));
  });
  Gateway gateway(
      proxy_to(upstream,
               "concurrency: {max_in_flight: 1, queue_timeout: 20s}\n"
               "breaker: {slow_call: 2s, slow_call_threshold: 1, minimum_requests: 2}"));
  RawClient first(gateway.port());
  RawClient second(gateway.port());
  const auto begin = std::chrono::steady_clock::now();
  first.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  second.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_TRUE(wait_until([&] { return std::chrono::steady_clock::now() - begin > 2500ms; }));
  may_answer = true;
  EXPECT_EQ(first.read_response().status, 200);
  EXPECT_EQ(second.read_response().status, 200);
  EXPECT_EQ(get(gateway.port(), "/api/v1/breakers").json()["upstream:app"]["state"], "CLOSED");
}

// Five failures of one target are that target's: the others go on.
TEST(Ejection, OfOneTargetDoesNotOpenTheCircuitOfAllR30) {
  Upstream sick(kFailure);
  Upstream well(ok("well"));
  std::string yaml = proxy_to({sick.url(), well.url()});
  const std::string targets = "      targets:\n";
  yaml.insert(yaml.find(targets), "      balance: consistent_hash\n      hash_by: path\n");
  Gateway gateway(yaml);
  std::string path;
  for (int i = 0; path.empty(); ++i) {
    ASSERT_LT(i, 1000);
    const std::string any = "/" + std::to_string(i);
    if (get(gateway.port(), any).status == 500) path = any;
  }
  for (int i = 0; i < 4; ++i) EXPECT_EQ(get(gateway.port(), path).status, 500);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(get(gateway.port(), path).body, "well");
  EXPECT_EQ(sick.request_count(), 5u);
  EXPECT_EQ(get(gateway.port(), "/api/v1/breakers").json()["upstream:app"]["state"], "CLOSED");
}

TEST(Ejection, OneOfThreeTargetsIsLeftOutAndComesBackR30) {
  std::atomic<bool> broken{true};
  Upstream sick([&](UpstreamExchange& e) { e.send(broken ? kFailure : ok("was sick")); });
  Upstream first(ok("well"));
  Upstream second(ok("well"));
  Gateway gateway(proxy_to({sick.url(), first.url(), second.url()},
                           "breaker: {failure_threshold: off, error_threshold_percentage: off}\n"
                           "ejection: {base: 2s, max: 10s}"));
  ASSERT_TRUE(wait_until([&] {
    get(gateway.port(), "/");
    return gateway.log().find("a target is left out for a while") != std::string::npos;
  }));
  const std::size_t asked = sick.request_count();
  EXPECT_EQ(asked, 5u);
  const std::string page = metrics_of(gateway);
  const std::string target =
      R"({app="app",target="127.0.0.1:)" + std::to_string(sick.port()) + "\"}";
  EXPECT_EQ(sample_text(page, "tyaprover_upstream_ejections_total" + target), "1");
  EXPECT_EQ(sample_text(page, "tyaprover_upstream_target_ejected" + target), "1");
  broken = false;
  ASSERT_TRUE(wait_until([&] { return get(gateway.port(), "/").body == "was sick"; }));
  EXPECT_EQ(sample_text(metrics_of(gateway), "tyaprover_upstream_target_ejected" + target), "0");
}

TEST(Ejection, NeverTakesMoreThanHalfOfTheTargetsR30) {
  Upstream a(kFailure);
  Upstream b(kFailure);
  Gateway gateway(proxy_to({a.url(), b.url()},
                           "breaker: {failure_threshold: off, error_threshold_percentage: off}\n"
                           "ejection: {consecutive_failures: 1}"));
  for (int i = 0; i < 20; ++i) EXPECT_EQ(get(gateway.port(), "/").status, 500);
  const std::string log = gateway.log();
  const std::string message = "a target is left out for a while";
  ASSERT_NE(log.find(message), std::string::npos);
  EXPECT_EQ(log.find(message), log.rfind(message));
}

// ── The admin API ──

Response post(std::uint16_t port, const std::string& path, const std::string& body = "",
              const std::string& field_lines = "") {
  return fetch(port, "POST " + path + " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" +
                         field_lines + "Content-Length: " + std::to_string(body.size()) +
                         "\r\n\r\n" + body);
}

const std::string kApp = "/api/v1/breakers/upstream:app/";

TEST_F(OneTarget, IsListedInTheSpellingOfTheSeedR40) {
  gateway.emplace(proxy_to(upstream));
  get(gateway->port(), "/");
  fail(5);
  const Json all = get(gateway->port(), "/api/v1/breakers").json();
  for (const char* const name : {"docker-api", "external-http", "test", "upstream:app"}) {
    EXPECT_TRUE(all.contains(name)) << name;
  }
  EXPECT_EQ(all["docker-api"]["state"], "CLOSED");
  const Json& app = all["upstream:app"];
  EXPECT_EQ(app["state"], "OPEN");
  EXPECT_EQ(app["failureCount"], 5);
  EXPECT_EQ(app["successCount"], 1);
  EXPECT_EQ(app["recentRequests"], 6);
  EXPECT_NEAR(app["errorRate"].get<double>(), 5.0 / 6, 1e-9);
}

TEST_F(OneTarget, IsOpenedClosedAndResetByHandWithALineInTheLogR40) {
  gateway.emplace(proxy_to(upstream));
  EXPECT_EQ(post(gateway->port(), kApp + "open").json()["state"], "OPEN");
  EXPECT_EQ(get(gateway->port(), "/").reason(), "circuit_open");
  const Json line = wait_for_log(*gateway, "a circuit breaker was changed by hand", "upstream:app");
  EXPECT_EQ(line["action"], "open");
  EXPECT_EQ(line["by"], "loopback");
  EXPECT_EQ(line["client"], "127.0.0.1");
  EXPECT_EQ(post(gateway->port(), kApp + "close").json()["state"], "CLOSED");
  EXPECT_EQ(get(gateway->port(), "/").status, 200);
  fail(5);
  EXPECT_EQ(post(gateway->port(), kApp + "reset").json()["failureCount"], 0);
  EXPECT_EQ(get(gateway->port(), "/").status, 500);

  EXPECT_EQ(get(gateway->port(), kApp + "open").status, 405);
  EXPECT_EQ(post(gateway->port(), "/api/v1/breakers").status, 405);
  EXPECT_EQ(post(gateway->port(), kApp + "explode").status, 404);
  EXPECT_EQ(post(gateway->port(), "/api/v1/breakers/none/open").status, 404);
}

TEST_F(OneTarget, IsChangedOnlyByThoseWhoMayR40) {
  gateway.emplace(proxy_to(upstream));
  const std::string elsewhere = "X-Forwarded-For: 192.0.2.7\r\n";
  EXPECT_EQ(get(gateway->port(), "/api/v1/breakers", elsewhere).status, 403);
  EXPECT_EQ(post(gateway->port(), kApp + "open", "", elsewhere).status, 403);
  EXPECT_EQ(post(gateway->port(), kApp + "open", "", "Origin: http://evil.example\r\n").status,
            403);
  EXPECT_EQ(get(gateway->port(), "/").status, 200);
  // The name may be the page's own and point here: anybody's name can.
  EXPECT_EQ(post(gateway->port(), kApp + "open", "", "Origin: http://a\r\n").status, 403);
  EXPECT_EQ(get(gateway->port(), "/").status, 200);
  for (const std::string host : {"localhost:3000", "127.0.0.1:3000", "[::1]:3000"}) {
    const Response own =
        fetch(gateway->port(), "POST " + kApp + "open HTTP/1.1\r\nHost: " + host +
                                   "\r\nOrigin: http://" + host + "\r\nContent-Length: 0\r\n\r\n");
    EXPECT_EQ(own.status, 200) << host;
  }
}

TEST_F(OneTarget, MayHaveItsColonEscapedR40) {
  gateway.emplace(proxy_to(upstream));
  EXPECT_EQ(post(gateway->port(), "/api/v1/breakers/upstream%3Aapp/open").json()["state"], "OPEN");
  EXPECT_EQ(post(gateway->port(), "/api/v1/breakers/upstream%3aapp/close").json()["state"],
            "CLOSED");
}

TEST_F(OneTarget, IsNotOpenedByHandWhereNothingWouldCloseItR40) {
  gateway.emplace(proxy_to(upstream, "breaker: {mode: metrics_only, honour_retry_after: true}"));
  const Response refused = post(gateway->port(), kApp + "open");
  EXPECT_EQ(refused.status, 400);
  EXPECT_EQ(get(gateway->port(), "/api/v1/breakers").json()["upstream:app"]["state"], "CLOSED");
}

TEST_F(OneTarget, InProductionAChangeNeedsTheKeyR40) {
  gateway.emplace(
      GatewayOptions{.yaml = proxy_to(upstream),
                     .arguments = {},
                     .environment = {{"NODE_ENV", "production"}, {"ADMIN_API_KEY", "k"}},
                     .descriptors = {}});
  EXPECT_EQ(get(gateway->port(), "/api/v1/breakers").status, 200);
  EXPECT_EQ(post(gateway->port(), kApp + "open").status, 403);
  EXPECT_EQ(post(gateway->port(), kApp + "open", "", "x-api-key: x\r\n").status, 403);
  EXPECT_EQ(get(gateway->port(), "/").status, 200);
  EXPECT_EQ(post(gateway->port(), kApp + "open", "", "x-api-key: k\r\n").status, 200);
  EXPECT_EQ(get(gateway->port(), "/").reason(), "circuit_open");
  EXPECT_EQ(wait_for_log(*gateway, "a circuit breaker was changed by hand", "upstream:app")["by"],
            "key");
}

// ── The command line ──

TEST_F(OneTarget, IsShownAndMovedByTheCommandLine) {
  gateway.emplace(
      GatewayOptions{.yaml = proxy_to(upstream),
                     .arguments = {},
                     .environment = {{"NODE_ENV", "production"}, {"ADMIN_API_KEY", "k"}},
                     .descriptors = {}});
  const std::string url = "http://127.0.0.1:" + std::to_string(gateway->port());
  const CommandResult list = tyaprover_command({"breaker", "list", "--url", url});
  EXPECT_EQ(list.exit_code, 0) << list.err;
  EXPECT_THAT(list.out, HasSubstr("NAME"));
  EXPECT_THAT(list.out, HasSubstr("upstream:app   CLOSED"));

  const CommandResult refused =
      tyaprover_command({"breaker", "open", "upstream:app", "--url", url});
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_THAT(refused.err, HasSubstr("ADMIN_API_KEY"));
  const CommandResult opened =
      tyaprover_command({"breaker", "open", "upstream:app", "--url", url, "--key", "k"});
  EXPECT_EQ(opened.out, "upstream:app: OPEN\n") << opened.err;
  EXPECT_EQ(get(gateway->port(), "/").reason(), "circuit_open");
  const CommandResult closed = tyaprover_command({"breaker", "reset", "upstream:app", "--url", url},
                                                 {{"ADMIN_API_KEY", "k"}});
  EXPECT_EQ(closed.out, "upstream:app: CLOSED\n") << closed.err;

  const CommandResult json =
      tyaprover_command({"breaker", "list", "--url", url, "--format", "json"});
  EXPECT_EQ(Json::parse(json.out, nullptr, false)["upstream:app"]["state"], "CLOSED");
  const CommandResult unknown =
      tyaprover_command({"breaker", "open", "none", "--url", url, "--key", "k"});
  EXPECT_EQ(unknown.exit_code, 1);
  EXPECT_THAT(unknown.err, HasSubstr("no circuit breaker of that name"));
}

TEST(BreakerCommand, SaysInOneLineWhatIsWrong) {
  const CommandResult away = tyaprover_command(
      {"breaker", "list", "--url", "http://127.0.0.1:" + std::to_string(unused_port())});
  EXPECT_EQ(away.exit_code, 1);
  EXPECT_THAT(away.err, HasSubstr("cannot reach the gateway at http://127.0.0.1:"));
  EXPECT_THAT(away.err, HasSubstr("--url"));
  EXPECT_EQ(tyaprover_command({"breaker", "list", "--url", "nonsense"}).exit_code, 1);
  for (const std::vector<std::string>& wrong : {std::vector<std::string>{"breaker"},
                                                {"breaker", "open"},
                                                {"breaker", "list", "x"},
                                                {"breaker", "explode", "x"}}) {
    const CommandResult result = tyaprover_command(wrong);
    EXPECT_EQ(result.exit_code, 2);
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
  }
}

// ── The test routes ──

// The seed's testing guide, word for word but for the port.
TEST_F(OneTarget, TheSeedsTestingGuideWorksR41) {
  gateway.emplace(proxy_to(upstream));
  const auto shell = [&](std::string script) {
    for (std::size_t at; (at = script.find(":3000")) != std::string::npos;) {
      script.replace(at, 5, ":" + std::to_string(gateway->port()));
    }
    return run_command({.arguments = {"bash", "-c", script},
                        .environment = {},
                        .descriptors = {},
                        .directory = {}});
  };
  EXPECT_THAT(shell("curl -s -X POST http://localhost:3000/test/circuit-breaker").out,
              HasSubstr("\"failureCount\":1"));
  EXPECT_THAT(shell("curl -s http://localhost:3000/metrics | grep circuit").out,
              HasSubstr("circuit_breaker_state{name=\"test\",state=\"closed\"} 1"));
  const std::string ten =
      shell("for i in {1..10}; do curl -s http://localhost:3000/test/failing-endpoint; done").out;
  EXPECT_THAT(ten, HasSubstr("internal_error"));
  EXPECT_THAT(ten, HasSubstr("circuit_open"));
  EXPECT_THAT(shell("curl -s http://localhost:3000/test/failing-endpoint").out,
              HasSubstr("circuit_open"));
  EXPECT_EQ(upstream.byte_count(), 0u);
}

TEST_F(OneTarget, TheFailingEndpointFailsFiveTimesAndIsThenRejectedR41) {
  gateway.emplace(proxy_to(upstream));
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(get(gateway->port(), "/test/failing-endpoint").status, 500);
  }
  const Response open = get(gateway->port(), "/test/failing-endpoint");
  EXPECT_EQ(open.status, 503);
  EXPECT_EQ(open.reason(), "circuit_open");
  EXPECT_LE(std::stoi("0" + open.header("Retry-After")), 10);
  EXPECT_EQ(get(gateway->port(), "/health").json()["status"], "healthy");
}

TEST_F(OneTarget, TheTestBreakerIsDrivenR41) {
  gateway.emplace(proxy_to(upstream));
  const auto drive = [&](const std::string& body) {
    return post(gateway->port(), "/test/circuit-breaker", body).json();
  };
  EXPECT_EQ(drive(R"({"action":"succeed"})")["successCount"], 1);
  EXPECT_EQ(drive(R"({"action": "fail"})")["failureCount"], 1);
  EXPECT_EQ(drive("")["failureCount"], 2);
  EXPECT_EQ(drive("{}")["failureCount"], 3);
  EXPECT_EQ(drive(R"({"action":"open"})")["state"], "OPEN");
  EXPECT_EQ(drive(R"({"action":"fail"})")["totals"]["rejected"], 1);
  EXPECT_EQ(drive(R"({"action":"close"})")["state"], "CLOSED");
  EXPECT_EQ(drive(R"({"action":"reset"})")["failureCount"], 0);
  for (const char* const wrong : {R"({"action":"explode"})", "[1]", "{", R"("fail")"}) {
    EXPECT_EQ(post(gateway->port(), "/test/circuit-breaker", wrong).status, 400) << wrong;
  }
  EXPECT_EQ(get(gateway->port(), "/test/circuit-breaker").status, 405);
}

TEST_F(OneTarget, TheTestRoutesAreAbsentInProductionR41) {
  gateway.emplace(GatewayOptions{.yaml = proxy_to(upstream),
                                 .arguments = {},
                                 .environment = {{"NODE_ENV", "production"}},
                                 .descriptors = {}});
  EXPECT_EQ(get(gateway->port(), "/test/failing-endpoint").status, 404);
  EXPECT_EQ(post(gateway->port(), "/test/circuit-breaker").status, 404);
  EXPECT_EQ(upstream.byte_count(), 0u);
}

// ── The gateway's own calls ──

TEST(ExternalHttp, GuardsTheSendingOfSpansR38) {
  std::atomic<bool> broken{true};
  Upstream collector([&](UpstreamExchange& e) {
    e.read_body();
    e.send(broken ? "HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n" : ok("{}"));
  });
  Upstream upstream(ok("ok"));
  Gateway gateway(
      GatewayOptions{.yaml = proxy_to(upstream),
                     .arguments = {},
                     .environment = {{"TRACE_EXPORTER_ENDPOINT", collector.url() + "/v1/traces"},
                                     {"OTEL_BSP_SCHEDULE_DELAY", "20"}},
                     .descriptors = {}});
  // A refusal ends a batch, so each batch is one failure.
  ASSERT_TRUE(wait_until([&] {
    get(gateway.port(), "/");
    return state_of(gateway, "external-http") == "open";
  }));
  broken = false;
  ASSERT_TRUE(wait_until([&] {
    get(gateway.port(), "/");
    return state_of(gateway, "external-http") == "closed";
  }));
  EXPECT_FALSE(wait_for_log(gateway, "a circuit breaker opened", "external-http").is_null());
}

}  // namespace
}  // namespace tyaprover::test
