#include "tyaprover/telemetry/breaker_telemetry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tyaprover/trace/context.h"
#include "tyaprover/trace/recent_traces.h"
#include "tyaprover/trace/tracer.h"

namespace tyaprover::telemetry {
namespace {

using namespace std::chrono_literals;
using resilience::CircuitBreaker;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

class BreakerTelemetry : public testing::Test {
 protected:
  std::shared_ptr<CircuitBreaker> add(std::string_view name) {
    return breakers.register_breaker(
        name, {.failure_threshold = 2, .reset_timeout = 10s, .clock = &clock});
  }
  static void fail(CircuitBreaker& breaker) {
    auto permit = breaker.try_acquire();
    ASSERT_TRUE(permit);
    permit->failure();
  }
  std::string page() { return metrics.expose({}).text(); }

  ManualClock clock;
  resilience::BreakerRegistry breakers;
  metrics::Registry metrics;
};

TEST_F(BreakerTelemetry, MetricsTellOfBreakersFromBeforeAndAfter) {
  const auto before = add("before");
  observe_breakers(breakers, metrics);
  const auto after = add("after");
  fail(*before);
  fail(*before);
  EXPECT_FALSE(before->try_acquire());
  EXPECT_TRUE(after->execute([] { return 1; }));
  const std::string text = page();
  for (const char* const line : {
           "circuit_breaker_state{name=\"before\",state=\"open\"} 1\n",
           "circuit_breaker_state{name=\"before\",state=\"closed\"} 0\n",
           "circuit_breaker_state{name=\"after\",state=\"closed\"} 1\n",
           "circuit_breaker_calls_total{name=\"before\",outcome=\"failure\"} 2\n",
           "circuit_breaker_calls_total{name=\"before\",outcome=\"rejected\"} 1\n",
           "circuit_breaker_calls_total{name=\"after\",outcome=\"success\"} 1\n",
           "circuit_breaker_transitions_total{name=\"before\",from=\"closed\",to=\"open\"} 1\n",
           "circuit_breaker_failure_ratio{name=\"before\"} 1\n",
           "circuit_breaker_in_flight{name=\"after\"} 0\n",
           "circuit_breaker_call_duration_seconds_count{name=\"before\"} 2\n",
       }) {
    EXPECT_THAT(text, HasSubstr(line));
  }
}

TEST_F(BreakerTelemetry, ARemovedBreakerLeavesThePage) {
  observe_breakers(breakers, metrics);
  const auto breaker = add("short-lived");
  breakers.remove("short-lived");
  fail(*breaker);
  EXPECT_THAT(page(), Not(HasSubstr("circuit_breaker_state{name=\"short-lived\"")));
}

TEST_F(BreakerTelemetry, ATransitionIsAnEventOfTheSpanInScopeAndALogLine) {
  std::vector<std::string> lines;
  observe_breakers(breakers, metrics, {.on_transition = [&](const auto& event) {
                     lines.push_back(transition_json(event));
                   }});
  const auto breaker = add("billing");
  const auto recent = std::make_shared<trace::RecentTraces>();
  trace::TracerProvider provider({.processor = trace::simple(recent)});
  trace::Span span = provider.tracer("test").start_span("pay");
  const trace::TraceId id = span.context().trace_id();
  {
    const trace::Scope scope(span);
    fail(*breaker);
    fail(*breaker);
  }
  clock.advance(10s);
  auto trial = breaker->try_acquire();
  ASSERT_TRUE(trial);
  trial->success();
  span.end();

  const std::vector<trace::TraceNode> tree = recent->tree(id);
  ASSERT_EQ(tree.size(), 1u);
  ASSERT_EQ(tree[0].span->events.size(), 1u);  // what happened outside of the scope is not its own
  const trace::EventData& event = tree[0].span->events[0];
  EXPECT_EQ(event.name.view(), "circuit_breaker.transition");
  EXPECT_EQ(event.attributes[0].value().text().view(), "billing");
  EXPECT_THAT(
      lines,
      ElementsAre(
          R"({"msg":"a circuit breaker opened","breaker":"billing","from":"closed","to":"open",)"
          R"("cause":"consecutive_failures","failures":2,"calls":2,"slow":0,"consecutive":2,)"
          R"("open_for_ms":10000})",
          HasSubstr(R"("msg":"a circuit breaker lets a trial pass")"),
          HasSubstr(R"("msg":"a circuit breaker closed")")));
}

TEST_F(BreakerTelemetry, TheSpanMayBeChosen) {
  const auto recent = std::make_shared<trace::RecentTraces>();
  trace::TracerProvider provider({.processor = trace::simple(recent)});
  trace::Span span = provider.tracer("test").start_span("pay");
  const trace::TraceId id = span.context().trace_id();
  observe_breakers(breakers, metrics, {.span = [&] { return &span; }});
  const auto breaker = add("billing");
  breaker->open();
  span.end();
  ASSERT_EQ(recent->tree(id).size(), 1u);
  EXPECT_EQ(recent->tree(id)[0].span->events.size(), 1u);
}

}  // namespace
}  // namespace tyaprover::telemetry
