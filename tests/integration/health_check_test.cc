// Active health checks of the running program (R35): who is asked, what takes a target out, what
// brings it back, and where that is seen.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <signal.h>

#include <algorithm>
#include <atomic>
#include <string>
#include <vector>

#include "tests/integration/support.h"

namespace tyaprover::test {
namespace {

using ::testing::HasSubstr;

// Answers /health with a status that can be changed, and everything else with its name.
class CheckedUpstream {
 public:
  explicit CheckedUpstream(std::string name)
      : upstream_([this, name = std::move(name)](UpstreamExchange& exchange) {
          exchange.read_body();
          const bool check = exchange.request.target() == "/health";
          const int now = check ? status.load() : work.load();
          if (now == 0) {
            // Never an answer; the checker hangs up.
            (void)exchange.wait_for_close();
            return;
          }
          exchange.send("HTTP/1.1 " + std::to_string(now) +
                        " X\r\nContent-Length: " + std::to_string(name.size()) + "\r\n\r\n" + name);
        }) {}

  std::string url() const { return upstream_.url(); }
  std::string address() const { return "127.0.0.1:" + std::to_string(upstream_.port()); }
  std::vector<Message> checks() const {
    std::vector<Message> found = upstream_.requests();
    std::erase_if(found, [](const Message& m) { return m.target() != "/health"; });
    return found;
  }

  std::atomic<int> status{200};
  std::atomic<int> work{200};  // of the other answers

 private:
  Upstream upstream_;
};

constexpr std::string_view kFast =
    "health_check: {enabled: true, interval: 20ms, timeout: 500ms, slow_start: 0s}";

// Of a checked target, as the metrics page says; empty when it does not.
std::string healthy_metric(const Gateway& gateway, const CheckedUpstream& target) {
  return sample_text(
      get(gateway.port(), "/metrics").body,
      "tyaprover_upstream_target_healthy{app=\"app\",target=\"" + target.address() + "\"}");
}

std::size_t answers_from(const Gateway& gateway, std::string_view name, int requests) {
  std::size_t count = 0;
  for (int i = 0; i < requests; ++i) count += get(gateway.port(), "/").body == name;
  return count;
}

TEST(HealthChecks, AreOffUnlessAskedFor) {
  CheckedUpstream a("a");
  Gateway gateway(proxy_to(std::vector{a.url()}));
  EXPECT_EQ(get(gateway.port(), "/").body, "a");
  EXPECT_EQ(a.checks().size(), 0u);
  EXPECT_EQ(healthy_metric(gateway, a), "");
}

TEST(HealthChecks, TakeATargetOutAndBringItBack) {
  CheckedUpstream a("a"), b("b");
  Gateway gateway(proxy_to(std::vector{a.url(), b.url()}, kFast));
  EXPECT_TRUE(wait_until([&] { return healthy_metric(gateway, a) == "1"; }));

  a.status = 503;
  EXPECT_TRUE(wait_until([&] { return healthy_metric(gateway, a) == "0"; }));
  EXPECT_EQ(healthy_metric(gateway, b), "1");
  EXPECT_EQ(answers_from(gateway, "b", 20), 20u);
  EXPECT_TRUE(
      wait_until([&] { return gateway.log().find("a target is unhealthy") != std::string::npos; }));
  EXPECT_THAT(gateway.log(), HasSubstr("status 503"));
  EXPECT_THAT(gateway.log(), HasSubstr(a.address()));
  // The report is kept for a second.
  EXPECT_TRUE(wait_until([&] {
    return get(gateway.port(), "/health").body.find("\"app\":\"1/2\"") != std::string::npos;
  })) << get(gateway.port(), "/health").body;

  a.status = 204;
  EXPECT_TRUE(wait_until([&] { return healthy_metric(gateway, a) == "1"; }));
  EXPECT_TRUE(wait_until([&] { return get(gateway.port(), "/").body == "a"; }));
  EXPECT_TRUE(wait_until(
      [&] { return gateway.log().find("a target is healthy again") != std::string::npos; }));
}

TEST(HealthChecks, BringAnEjectedTargetBackBeforeItsTime) {
  CheckedUpstream a("a"), b("b");
  Gateway gateway(proxy_to(std::vector{a.url(), b.url()},
                           "health_check: {enabled: true, interval: 50ms, slow_start: 0s}\n"
                           "ejection: {base: 5m, max: 5m}\nbreaker: {mode: disabled}"));
  a.work = 500;
  const auto logged = [&](std::string_view text) {
    return gateway.log().find(text) != std::string::npos;
  };
  EXPECT_TRUE(wait_until([&] {
    (void)get(gateway.port(), "/");
    return logged("a target is left out for a while");
  }));
  a.work = 200;
  EXPECT_TRUE(wait_until([&] { return logged("a target is back before its time"); }));
  EXPECT_TRUE(wait_until([&] { return get(gateway.port(), "/").body == "a"; }));
}

TEST(HealthChecks, WithoutAHealthyTargetGive503) {
  CheckedUpstream a("a");
  Gateway gateway(proxy_to(std::vector{a.url()}, kFast));
  a.status = 500;
  EXPECT_TRUE(wait_until([&] { return healthy_metric(gateway, a) == "0"; }));
  const Response response = get(gateway.port(), "/lost");
  EXPECT_EQ(response.status, 503);
  EXPECT_EQ(response.reason(), "no_healthy_upstream");
  EXPECT_EQ(response.header("Retry-After"), "1");
  EXPECT_EQ(gateway.wait_for_path("/lost").value("reason", ""), "no_healthy_upstream");
  EXPECT_TRUE(wait_until([&] { return get(gateway.port(), "/health/ready").status == 503; }));
  a.status = 200;
  EXPECT_TRUE(wait_until([&] { return get(gateway.port(), "/").status == 200; }));
}

TEST(HealthChecks, TakeOutATargetThatAcceptsAndNeverAnswers) {
  CheckedUpstream hung("hung"), b("b");
  hung.status = 0;
  Gateway gateway(proxy_to(std::vector{hung.url(), b.url()},
                           "health_check: {enabled: true, interval: 20ms, timeout: 500ms}"));
  EXPECT_TRUE(wait_until([&] { return healthy_metric(gateway, hung) == "0"; }));
  EXPECT_TRUE(
      wait_until([&] { return gateway.log().find("no answer in time") != std::string::npos; }));
  EXPECT_EQ(answers_from(gateway, "b", 20), 20u);
}

TEST(HealthChecks, OverTcpNeedNoAnswer) {
  CheckedUpstream silent("silent");
  silent.status = 0;
  const std::string dead = "127.0.0.1:" + std::to_string(unused_port());
  Gateway gateway(proxy_to(std::vector{silent.url(), "http://" + dead},
                           "health_check: {enabled: true, type: tcp, interval: 20ms}"));
  EXPECT_TRUE(wait_until([&] {
    return get(gateway.port(), "/metrics")
               .body.find("tyaprover_upstream_target_healthy{app=\"app\",target=\"" + dead +
                          "\"} 0") != std::string::npos;
  }));
  EXPECT_EQ(healthy_metric(gateway, silent), "1");
  EXPECT_EQ(silent.checks().size(), 0u);
}

// With four workers and an hour between checks there is one check, of this form.
TEST(HealthChecks, AreMadeOncePerTargetNotPerWorker) {
  CheckedUpstream a("a");
  std::string yaml = proxy_to(std::vector{a.url()}, "health_check: {enabled: true, interval: 1h}");
  yaml.replace(yaml.find("workers: 1"), 10, "workers: 4");
  Gateway gateway(yaml);
  EXPECT_TRUE(wait_until([&] { return a.checks().size() == 1; }));
  for (int i = 0; i < 50; ++i) EXPECT_EQ(get(gateway.port(), "/").status, 200);
  ASSERT_EQ(a.checks().size(), 1u);
  const Message check = a.checks().front();
  EXPECT_EQ(check.start_line, "GET /health HTTP/1.1");
  EXPECT_EQ(check.header("Host"), a.address());
  EXPECT_EQ(check.header("User-Agent"), "tyaprover-health-check");
}

TEST(HealthChecks, OfOneAppLeaveTheOthersAlone) {
  CheckedUpstream a("a");
  a.status = 500;
  Gateway gateway(
      "listen: [\"127.0.0.1:0\"]\nworkers: 1\napps:\n"
      "  - name: checked\n    path: /checked\n    upstream: {targets: [\"" +
      a.url() +
      "\"]}\n"
      "    health_check: {enabled: true, interval: 20ms}\n"
      "  - name: other\n    upstream: {targets: [\"" +
      a.url() + "\"]}\n");
  EXPECT_TRUE(wait_until([&] { return get(gateway.port(), "/checked").status == 503; }));
  EXPECT_EQ(get(gateway.port(), "/").body, "a");
}

TEST(HealthChecks, EndWithTheProgram) {
  CheckedUpstream hung("hung");
  hung.status = 0;
  Gateway gateway(proxy_to(std::vector{hung.url()},
                           "health_check: {enabled: true, interval: 10s, timeout: 60s}"));
  EXPECT_TRUE(wait_until([&] { return hung.checks().size() == 1; }));
  gateway.signal(SIGTERM);
  EXPECT_EQ(gateway.wait_for_exit(), 0);
}

}  // namespace
}  // namespace tyaprover::test
