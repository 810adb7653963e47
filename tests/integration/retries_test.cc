// Retries of the running program (R34, R20): what is tried again, where, how often, and what the
// client and the operator see of it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "tests/integration/support.h"

namespace tyaprover::test {
namespace {

// Two targets with one memory: what a request meets depends on how often its path came before, to
// either of them.
class Retries : public ::testing::Test {
 protected:
  struct Try {
    Message request;
    char target;
  };

  void start(std::string_view settings, bool second = true) {
    std::vector<std::string> targets = {a_.url()};
    if (second) targets.push_back(b_.url());
    gateway_.emplace(proxy_to(targets, settings));
  }
  Response ask(std::string_view target, std::string_view field_lines = "",
               std::string_view method = "GET", std::string_view body = "") {
    RawClient client(gateway_->port());
    std::string request = std::string(method) + " " + std::string(target) +
                          " HTTP/1.1\r\nHost: a\r\n" + std::string(field_lines);
    if (!body.empty()) request += "Content-Length: " + std::to_string(body.size()) + "\r\n";
    client.send(request + "\r\n" + std::string(body));
    return client.read_response(kDeadline, method == "HEAD");
  }
  std::vector<Try> tries(std::string_view target) {
    const std::lock_guard lock(mutex_);
    return tries_[std::string(target)];
  }
  double retried(std::string_view result) const {
    const std::string text = sample_text(
        get(gateway_->port(), "/metrics").body,
        "tyaprover_upstream_retries_total{app=\"app\",result=\"" + std::string(result) + "\"}");
    return text.empty() ? -1 : std::stod(text);
  }

  // "/WHAT/…": the first try meets WHAT, further ones are answered. "/WHAT-always/…": every one.
  void answer(UpstreamExchange& exchange, char name) {
    const std::string target = exchange.request.target();
    const std::string what = target.substr(1, target.find('/', 1) - 1);
    const bool hard = what == "drop";  // before the body
    if (!hard) exchange.read_body();
    std::size_t number = 0;
    {
      const std::lock_guard lock(mutex_);
      tries_[target].push_back({exchange.request, name});
      number = tries_[target].size();
    }
    const bool always = what.ends_with("-always");
    if (number > 1 && !always) {
      if (hard) {
        exchange.read_body();
        const std::lock_guard lock(mutex_);
        tries_[target].back().request = exchange.request;
      }
      const bool head = exchange.request.method() == "HEAD";
      exchange.send(head ? "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n" : ok("good"));
      return;
    }
    if (what == "reset" || hard) return exchange.reset();
    if (what == "cut") {
      exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
      return exchange.reset();
    }
    if (what == "hint") {
      exchange.send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
      return exchange.reset();
    }
    if (what == "never") {
      (void)exchange.wait_for_close();
      return;
    }
    if (what == "later" || what == "much-later") {
      exchange.send("HTTP/1.1 503 X\r\nRetry-After: " + std::string(what == "later" ? "1" : "100") +
                    "\r\nContent-Length: 0\r\n\r\n");
      return;
    }
    exchange.send("HTTP/1.1 " + what.substr(0, 3) + " X\r\nContent-Length: 3\r\n\r\n" +
                  (exchange.request.method() == "HEAD" ? "" : "bad"));
  }

  std::mutex mutex_;
  std::map<std::string, std::vector<Try>> tries_;
  Upstream a_{[this](UpstreamExchange& exchange) { answer(exchange, 'a'); }};
  Upstream b_{[this](UpstreamExchange& exchange) { answer(exchange, 'b'); }};
  std::optional<Gateway> gateway_;
};

// Nothing but the retries decides in these tests.
constexpr std::string_view kAlone =
    "breaker: {mode: disabled}\nejection: {consecutive_failures: off}\n"
    "retries: {budget_minimum: 1000, backoff: 1ms";
std::string alone(std::string_view more = "") {
  return std::string(kAlone) + std::string(more) + "}\n";
}

TEST_F(Retries, OfABadAnswerGoToTheOtherTarget) {
  start(alone());
  for (const char* what : {"/reset/x", "/502/x", "/503/x", "/504/x"}) {
    SCOPED_TRACE(what);  // the reset first: on a connection used before it would be an idle race
    const Response response = ask(what);
    EXPECT_EQ(response.status, 200);
    EXPECT_EQ(response.body, "good");
    const std::vector<Try> made = tries(what);
    ASSERT_EQ(made.size(), 2u);
    EXPECT_NE(made[0].target, made[1].target);
    EXPECT_EQ(gateway_->wait_for_path(what).value("upstream_tries", 0), 2);
  }
  EXPECT_EQ(retried("success"), 4);
  EXPECT_EQ(retried("failure"), 0);
}

TEST_F(Retries, SuitMethodsWithoutABody) {
  start(alone());
  for (const char* method : {"HEAD", "OPTIONS", "DELETE"}) {
    const std::string target = std::string("/503/") + method;
    EXPECT_EQ(ask(target, "", method).status, 200) << method;
    EXPECT_EQ(tries(target).size(), 2u) << method;
  }
}

TEST_F(Retries, LeaveOtherAnswersAlone) {
  start(alone());
  for (const char* what : {"/200/x", "/404/x", "/429/x", "/500/x", "/501/x"}) {
    EXPECT_EQ(std::to_string(ask(what).status), std::string(what).substr(1, 3));
    EXPECT_EQ(tries(what).size(), 1u) << what;
  }
  EXPECT_EQ(retried("success"), 0);
}

TEST_F(Retries, KeepTheRequestIdAndGiveEachTryASpan) {
  start(alone());
  EXPECT_EQ(ask("/503/id", "X-Request-ID: my-id\r\n").header("X-Request-ID"), "my-id");
  const std::vector<Try> made = tries("/503/id");
  ASSERT_EQ(made.size(), 2u);
  for (const Try& one : made) EXPECT_EQ(one.request.header("X-Request-ID"), "my-id");
  const std::string first = made[0].request.header("traceparent");
  const std::string second = made[1].request.header("traceparent");
  ASSERT_EQ(first.size(), 55u);
  ASSERT_EQ(second.size(), 55u);
  EXPECT_EQ(first.substr(0, 36), second.substr(0, 36)) << "one trace";
  EXPECT_NE(first.substr(36, 16), second.substr(36, 16)) << "two spans";
}

TEST_F(Retries, OfMethodsThatAreNotIdempotentNeedToBeAllowed) {
  start(alone());
  EXPECT_EQ(ask("/503/post", "", "POST", "body").status, 503);
  EXPECT_EQ(ask("/reset/post", "", "POST", "body").status, 502);
  EXPECT_EQ(tries("/503/post").size(), 1u);
  EXPECT_EQ(tries("/reset/post").size(), 1u);

  start(alone(", non_idempotent: true"));
  EXPECT_EQ(ask("/503/allowed", "", "POST", "the body").status, 200);
  const std::vector<Try> made = tries("/503/allowed");
  ASSERT_EQ(made.size(), 2u);
  for (const Try& one : made) EXPECT_EQ(one.request.body, "the body");
}

TEST_F(Retries, AfterAFailedConnectSuitEveryMethod) {
  gateway_.emplace(proxy_to(
      std::vector{"http://127.0.0.1:" + std::to_string(unused_port()), b_.url()}, alone()));
  for (int i = 0; i < 10; ++i) {
    const std::string target = "/200/connect" + std::to_string(i);
    EXPECT_EQ(ask(target, "", "POST", "body").status, 200);
    EXPECT_EQ(tries(target).at(0).request.body, "body");
  }
}

TEST_F(Retries, SendTheBodyAgain) {
  start(alone());
  const std::string small(1000, 's');
  const std::string most(64 * 1024, 'm');
  const std::string large(64 * 1024 + 1, 'l');
  EXPECT_EQ(ask("/503/small", "", "PUT", small).status, 200);
  EXPECT_EQ(ask("/503/most", "", "PUT", most).status, 200);
  EXPECT_EQ(ask("/503/large", "", "PUT", large).status, 503) << "is more than is kept";
  for (const auto& [target, body] :
       {std::pair{"/503/small", small}, std::pair{"/503/most", most}}) {
    const std::vector<Try> made = tries(target);
    ASSERT_EQ(made.size(), 2u) << target;
    for (const Try& one : made) EXPECT_EQ(one.request.body, body) << target;
  }
  EXPECT_EQ(tries("/503/large").size(), 1u);
}

TEST_F(Retries, SendAChunkedBodyAgainThatCameInPieces) {
  start(alone());
  RawClient client(gateway_->port());
  client.send("PUT /503/pieces HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
  for (const char* piece : {"3\r\none\r\n", "3\r\ntwo\r\n", "5\r\nthree\r\n"}) {
    client.send(piece);
    EXPECT_TRUE(wait_until([&] { return a_.byte_count() + b_.byte_count() > 0; }));
  }
  client.send("0\r\n\r\n");
  EXPECT_EQ(client.read_response().status, 200);
  const std::vector<Try> made = tries("/503/pieces");
  ASSERT_EQ(made.size(), 2u);
  for (const Try& one : made) EXPECT_EQ(one.request.body, "onetwothree");
}

// The first target drops the connection while the client still sends: the other one gets what had
// come and what comes later.
TEST_F(Retries, GoOnWithABodyThatIsStillComing) {
  start(alone());
  RawClient client(gateway_->port());
  client.send("PUT /drop/coming HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nfirst");
  EXPECT_TRUE(wait_until([&] { return tries("/drop/coming").size() == 2; }));
  client.send("other");
  EXPECT_EQ(client.read_response().status, 200);
  EXPECT_TRUE(wait_until([&] { return tries("/drop/coming").at(1).request.body == "firstother"; }));
}

TEST_F(Retries, NeedAnotherTargetUnlessTheSameIsAllowed) {
  start(alone(), false);
  EXPECT_EQ(ask("/503/alone").status, 503);
  EXPECT_EQ(tries("/503/alone").size(), 1u);
  start(alone(", same_target: true"), false);
  EXPECT_EQ(ask("/503/same").status, 200);
  EXPECT_EQ(tries("/503/same").size(), 2u);
}

TEST_F(Retries, EndWithTheTargetsOrTheAttempts) {
  start(alone());
  const Response response = ask("/503-always/x");
  EXPECT_EQ(response.status, 503);
  EXPECT_EQ(response.body, "bad") << "the last answer";
  EXPECT_EQ(tries("/503-always/x").size(), 2u);
  EXPECT_EQ(retried("failure"), 1);
  start(alone(", same_target: true, attempts: 5"));
  EXPECT_EQ(ask("/503-always/five").status, 503);
  EXPECT_EQ(tries("/503-always/five").size(), 5u);
  start(alone(", attempts: off"));
  EXPECT_EQ(ask("/503/off").status, 503);
  EXPECT_EQ(tries("/503/off").size(), 1u);
}

TEST_F(Retries, AreNotMadeOnceAByteHasReachedTheClient) {
  start(alone());
  const Response cut = ask("/cut/x");
  EXPECT_EQ(cut.status, 200);
  EXPECT_FALSE(cut.complete);
  EXPECT_EQ(tries("/cut/x").size(), 1u);
  const Response hint = ask("/hint/x");
  EXPECT_EQ(hint.interim.size(), 1u);
  EXPECT_EQ(hint.status, 502);
  EXPECT_EQ(tries("/hint/x").size(), 1u);
}

TEST_F(Retries, BeginWhenATryTookTooLong) {
  start("timeouts: {response_head: 1s}\n" + alone());
  EXPECT_EQ(ask("/never/head").status, 200);
  EXPECT_EQ(tries("/never/head").size(), 2u);
  start(alone(", per_try_timeout: 1s"));
  EXPECT_EQ(ask("/never/try").status, 200);
  EXPECT_EQ(ask("/never/put", "", "PUT", std::string(20'000, 'x')).status, 200);
  EXPECT_EQ(tries("/never/put").at(1).request.body, std::string(20'000, 'x'));
}

TEST_F(Retries, WaitAsLongAsTheTargetAsksOrNotAtAll) {
  start(alone(", max_retry_after: 2s"));
  const auto begun = std::chrono::steady_clock::now();
  EXPECT_EQ(ask("/later/x").status, 200);
  EXPECT_GE(std::chrono::steady_clock::now() - begun, 1s);
  EXPECT_EQ(ask("/much-later/x").status, 503) << "is passed on";
  EXPECT_EQ(tries("/much-later/x").size(), 1u);
  EXPECT_EQ(retried("denied"), 1);
}

TEST_F(Retries, EndWhenTheClientLeavesInAPause) {
  start(alone(", max_retry_after: 2s"));
  RawClient client(gateway_->port());
  client.send("GET /later/left HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_TRUE(wait_until([&] { return tries("/later/left").size() == 1; }));
  client.close();
  EXPECT_EQ(gateway_->wait_for_path("/later/left").value("status", 0), 499);
  EXPECT_EQ(tries("/later/left").size(), 1u);
}

TEST_F(Retries, StayWithinTheBudget) {
  start(
      "breaker: {mode: disabled}\nejection: {consecutive_failures: off}\n"
      "retries: {backoff: 1ms, budget: 0}\n");
  std::size_t made = 0;
  for (int i = 0; i < 20; ++i) {
    const std::string target = "/503-always/" + std::to_string(i);
    EXPECT_EQ(ask(target).status, 503);
    made += tries(target).size();
  }
  // Three in ten seconds; the window may have moved on.
  EXPECT_GE(made, 23u);
  EXPECT_LE(made, 29u);
  EXPECT_GE(retried("denied"), 11);
}

}  // namespace
}  // namespace tyaprover::test
