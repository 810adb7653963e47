// The calling forms of the breaker: results, classification, timeouts, fallbacks, exceptions.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <tuple>
#include <vector>

#include "tyaprover/resilience/circuit_breaker.h"

namespace tyaprover::resilience {

struct Reply {
  int status = 200;
};
template <>
struct OutcomeTraits<Reply> {
  static Outcome outcome(const Reply& reply) noexcept {
    return reply.status >= 500 ? Outcome::failure : Outcome::success;
  }
};

namespace {

using namespace std::chrono_literals;
using Kind = CallError::Kind;

class ExecuteTest : public testing::Test {
 protected:
  std::uint64_t count(Outcome outcome) const { return breaker_.stats().total(outcome); }

  ManualClock clock_;
  CircuitBreaker breaker_{{.name = "test", .timeout = 10s, .clock = &clock_}};
};

TEST_F(ExecuteTest, ReturnsWhatTheFunctionReturnsAndPassesItsArguments) {
  const auto sum = breaker_.execute([](int a, std::unique_ptr<int> b) { return a + *b; }, 2,
                                    std::make_unique<int>(3));
  ASSERT_TRUE(sum);
  EXPECT_EQ(*sum, 5);
  const Result<void, CallError> nothing = breaker_.execute([] {});
  EXPECT_TRUE(nothing);
}

TEST_F(ExecuteTest, ExceptionBecomesAFailureWithItsCause) {
  const auto result = breaker_.execute([]() -> int { throw std::out_of_range("far"); });
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind, Kind::failed);
  EXPECT_THROW(std::rethrow_exception(result.error().cause), std::out_of_range);
  EXPECT_EQ(describe(result.error()), "failed: far");
  EXPECT_EQ(count(Outcome::failure), 1u);
}

TEST_F(ExecuteTest, ReturnedValuesAreClassifiedAndHandedToTheCallerAsTheyAre) {
  const auto reply = breaker_.execute([] { return Reply{503}; });
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->status, 503);
  EXPECT_EQ(count(Outcome::failure), 1u);
  std::ignore = breaker_.execute([] { return Reply{404}; });
  EXPECT_EQ(count(Outcome::success), 1u);
  std::ignore = breaker_.execute([] { return std::optional<Reply>(); });
  std::ignore =
      breaker_.execute([] { return std::make_error_code(std::errc::connection_refused); });
  std::ignore =
      breaker_.execute([]() -> Result<Reply, std::string> { return err(std::string("no")); });
  EXPECT_EQ(count(Outcome::failure), 4u);
  std::ignore =
      breaker_.execute([] { return std::make_error_code(std::errc::operation_canceled); });
  EXPECT_EQ(count(Outcome::cancelled), 1u);
  std::ignore = breaker_.execute([] { return std::make_error_code(std::errc::timed_out); });
  EXPECT_EQ(count(Outcome::timeout), 1u);
}

TEST_F(ExecuteTest, ResultOfCallErrorStaysAsItIs) {
  const Result<int, CallError> result = breaker_.execute(
      []() -> Result<int, CallError> { return err(CallError{.kind = Kind::shed}); });
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind, Kind::shed);
  EXPECT_EQ(count(Outcome::shed), 1u);
}

TEST_F(ExecuteTest, ResultThatComesTooLateIsATimeout) {
  const auto late = breaker_.execute([&] {
    clock_.advance(10s + 1ns);
    return 1;
  });
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().kind, Kind::timeout);
  EXPECT_EQ(count(Outcome::timeout), 1u);
  EXPECT_TRUE(breaker_.execute([&] {
    clock_.advance(10s);
    return 1;
  })) << "in time";
}

TEST_F(ExecuteTest, FunctionMayTakeTheDeadlineOrAStopToken) {
  const auto left = breaker_.execute([](int, const Deadline& d) { return d.left(); }, 1);
  EXPECT_EQ(*left, 10s);
  std::stop_source source;
  const auto stoppable =
      breaker_.execute_until(Deadline(clock_.now() + 3s, clock_, source.get_token()),
                             [](std::stop_token stop) { return stop.stop_possible(); });
  EXPECT_TRUE(*stoppable);
}

TEST_F(ExecuteTest, CallersOwnDeadlineCounts) {
  const auto left = breaker_.execute_until(Deadline(clock_.now() + 3s, clock_),
                                           [](const Deadline& d) { return d.left(); });
  EXPECT_EQ(*left, 3s);
}

TEST_F(ExecuteTest, FailureAfterTheCallerGaveUpIsCancelled) {
  std::stop_source source;
  const auto result =
      breaker_.execute_until(Deadline(TimePoint::max(), clock_, source.get_token()), [&]() -> int {
        source.request_stop();
        throw std::runtime_error("interrupted");
      });
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind, Kind::cancelled);
  EXPECT_EQ(count(Outcome::cancelled), 1u);
  EXPECT_EQ(count(Outcome::failure), 0u);
}

TEST_F(ExecuteTest, RejectionSaysWhenToComeBack) {
  breaker_.open();
  const auto result = breaker_.execute([] { return 1; });
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind, Kind::open);
  EXPECT_EQ(result.error().retry_after, 60s);
}

TEST_F(ExecuteTest, PredicatesDecideWhatAnExceptionMeans) {
  const auto says = [](const char* word) {
    return [word](const CallError& e) { return describe(e).find(word) != std::string::npos; };
  };
  CircuitBreaker breaker(
      {.name = "test", .ignore = says("bad request"), .is_failure = says("down")});
  const auto throws = [&](const char* what) {
    return breaker.execute([&]() -> int { throw std::runtime_error(what); });
  };
  EXPECT_TRUE(throws("bad request").error().ignored);
  EXPECT_EQ(breaker.stats().total(Outcome::ignored), 1u);
  EXPECT_FALSE(throws("not found").error().ignored);
  EXPECT_EQ(breaker.stats().total(Outcome::success), 1u);
  EXPECT_FALSE(throws("down"));
  EXPECT_EQ(breaker.stats().total(Outcome::failure), 1u);
}

TEST_F(ExecuteTest, FallbackStandsInForEverythingButCancelledAndIgnored) {
  struct Case {
    const char* name;
    std::function<int()> fn;
    bool used;
  };
  CircuitBreaker breaker(
      {.name = "test",
       .timeout = 10s,
       .ignore = [](const CallError& e) { return describe(e) == "failed: mine"; },
       .clock = &clock_});
  const std::vector<Case> cases{
      {"value", [] { return 1; }, false},
      {"failure", []() -> int { throw std::runtime_error("down"); }, true},
      {"timeout", [&] { return clock_.advance(11s), 1; }, true},
      {"timeout and failure",
       [&]() -> int {
         clock_.advance(11s);
         throw std::runtime_error("down");
       },
       true},
      {"shed", []() -> int { throw CallShed(); }, true},
      {"cancelled", []() -> int { throw CallCancelled(); }, false},
      {"ignored", []() -> int { throw std::runtime_error("mine"); }, false},
  };
  for (const Case& c : cases) {
    int used = 0;
    const auto result = breaker.execute_with_fallback([&] { return ++used, 7; }, c.fn);
    EXPECT_EQ(used, c.used ? 1 : 0) << c.name;
    EXPECT_EQ(result && *result == 7, c.used) << c.name;
  }
  breaker.open();
  EXPECT_EQ(*breaker.execute_with_fallback([] { return 7; }, [] { return 1; }), 7);
}

TEST_F(ExecuteTest, FallbackGetsTheErrorAndTheArguments) {
  const auto fail = [](const std::string&, int) -> std::string { throw std::runtime_error("x"); };
  const auto result = breaker_.execute_with_fallback(
      [](const CallError& e, const std::string& a, int b) {
        return describe(e) + ' ' + a + std::to_string(b);
      },
      fail, std::string("arg"), 2);
  EXPECT_EQ(*result, "failed: x arg2");
  EXPECT_EQ(*breaker_.execute_with_fallback([](const std::string& a, int) { return a; }, fail,
                                            std::string("only arguments"), 2),
            "only arguments");
}

TEST_F(ExecuteTest, ErrorOfTheFallbackIsWhatTheCallerSees) {
  const auto result =
      breaker_.execute_with_fallback([]() -> int { throw std::runtime_error("fallback down"); },
                                     []() -> int { throw std::runtime_error("down"); });
  EXPECT_EQ(describe(result.error()), "failed: fallback down");
}

TEST_F(ExecuteTest, FallbackStandsInForAValueThatSaysFailure) {
  const auto reply =
      breaker_.execute_with_fallback([] { return Reply{200}; }, [] { return Reply{500}; });
  EXPECT_EQ(reply->status, 200);
}

TEST_F(ExecuteTest, ThrowingFormThrowsWhatHappened) {
  EXPECT_EQ(breaker_.execute_or_throw([] { return 3; }), 3);
  EXPECT_NO_THROW(breaker_.execute_or_throw([] {}));
  EXPECT_THROW(breaker_.execute_or_throw([]() -> int { throw std::out_of_range("x"); }),
               std::out_of_range);
  EXPECT_THROW(breaker_.execute_or_throw([&] { return clock_.advance(11s), 1; }), CallTimeout);
  EXPECT_THROW(breaker_.execute_or_throw([]() -> int { throw CallCancelled(); }), CallCancelled);
  EXPECT_THROW(breaker_.execute_or_throw([]() -> int { throw CallShed(1s); }), CallShed);
  breaker_.open();
  try {
    breaker_.execute_or_throw([] { return 3; });
    ADD_FAILURE() << "was admitted";
  } catch (const BreakerOpen& e) {
    EXPECT_EQ(e.error().retry_after, 60s);
  }
}

TEST_F(ExecuteTest, WrappedFunctionIsProtected) {
  auto half = breaker_.wrap([](int n) {
    if (n % 2 != 0) throw std::invalid_argument("odd");
    return n / 2;
  });
  EXPECT_EQ(*half.execute(8), 4);
  EXPECT_FALSE(half.execute(7));
  EXPECT_EQ(*half.execute_with_fallback([](int n) { return -n; }, 7), -7);
  EXPECT_THROW(half.execute_or_throw(7), std::invalid_argument);
  EXPECT_EQ(half.stats().failure_count, 3u);
  EXPECT_EQ(half.stats().success_count, 1u);
}

TEST_F(ExecuteTest, StatsReadAsTheSeedWritesThem) {
  for (int i = 0; i < 98; ++i) std::ignore = breaker_.execute([] {});
  for (int i = 0; i < 2; ++i) std::ignore = breaker_.execute([] { throw 1; });
  EXPECT_EQ(
      to_json(breaker_.stats()),
      R"({"name":"test","state":"CLOSED","failureCount":2,"successCount":98,"errorRate":0.02,)"
      R"("recentRequests":100,"slowCount":0,"consecutiveFailures":2,"attempt":0,)"
      R"("retryAfterMs":null,"isolated":false,"inStateMs":0,"inFlight":0,"totals":{)"
      R"("success":98,"failure":2,"timeout":0,"ignored":0,"cancelled":0,"shed":0,"rejected":0},)"
      R"("listenerErrors":0})");
  breaker_.open();
  clock_.advance(1'500us);
  EXPECT_THAT(to_json(breaker_.stats()),
              testing::AllOf(testing::HasSubstr(R"("state":"OPEN")"),
                             testing::HasSubstr(R"("retryAfterMs":59999)"),
                             testing::HasSubstr(R"("inStateMs":2)")));
  EXPECT_TRUE(breaker_.half_open());
  EXPECT_THAT(to_json(breaker_.stats()), testing::HasSubstr(R"("state":"HALF_OPEN")"));
}

}  // namespace
}  // namespace tyaprover::resilience
