#include "tyaprover/trace/sampler.h"

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <vector>

#include "tyaprover/trace/trace_testing.h"

namespace tyaprover::trace {
namespace {

using namespace std::chrono_literals;

bool sampled(const SamplerPtr& sampler, TraceId id = make_trace_id(),
             const SpanContext& parent = {}, std::string_view name = "work",
             std::vector<Attribute> attributes = {}) {
  return sampler->sample({.parent = parent, .trace_id = id, .name = name, .attributes = attributes})
      .sampled;
}

TEST(Samplers, AlwaysAndNever) {
  EXPECT_TRUE(sampled(always_on()));
  EXPECT_FALSE(sampled(always_off()));
}

TEST(RatioSampler, DecidesByTheLow56Bits) {
  struct Case {
    double ratio;
    std::uint64_t random;
    bool sampled;
  };
  const std::uint64_t half = std::uint64_t{1} << 55;
  const std::uint64_t last = (std::uint64_t{1} << 56) - 1;
  const Case cases[] = {
      {0, last, false},       {1, 0, true},        {0.5, half, true},
      {0.5, half - 1, false}, {0.25, half, false}, {0.25, half / 2 * 3, true},
  };
  for (const Case& each : cases) {
    EXPECT_EQ(sampled(ratio(each.ratio), {7, each.random}), each.sampled) << each.ratio;
    EXPECT_EQ(sampled(ratio(each.ratio), {7, each.random | 0xab00'0000'0000'0000}), each.sampled)
        << "the high byte does not matter";
  }
}

TEST(RatioSampler, ALargerShareHoldsASmallerOne) {
  for (int i = 0; i < 1000; ++i) {
    const TraceId id = make_trace_id();
    if (sampled(ratio(0.1), id)) {
      EXPECT_TRUE(sampled(ratio(0.3), id));
    }
  }
}

TEST(RatioSampler, TakesItsShare) {
  int chosen = 0;
  const SamplerPtr sampler = ratio(0.1);
  for (int i = 0; i < 100'000; ++i) chosen += sampled(sampler) ? 1 : 0;
  EXPECT_NEAR(chosen, 10'000, 700);  // seven standard deviations
}

TEST(RatioSampler, RefusesWhatIsNoShare) {
  EXPECT_THROW((void)ratio(-0.1), std::invalid_argument);
  EXPECT_THROW((void)ratio(1.1), std::invalid_argument);
  EXPECT_THROW((void)ratio(0.0 / 0.0), std::invalid_argument);
}

TEST(ParentBasedSampler, FollowsTheParent) {
  const auto context = [](bool is_sampled, bool is_remote) {
    return SpanContext(make_trace_id(), make_span_id(), {static_cast<std::uint8_t>(is_sampled)},
                       is_remote);
  };
  const SamplerPtr plain = parent_based(always_off());
  EXPECT_FALSE(sampled(plain));
  EXPECT_TRUE(sampled(plain, {1, 1}, context(true, true)));
  EXPECT_TRUE(sampled(plain, {1, 1}, context(true, false)));
  EXPECT_FALSE(sampled(parent_based(always_on()), {1, 1}, context(false, true)));

  struct Case {
    ParentSamplers samplers;
    bool is_sampled;
    bool is_remote;
  };
  const Case turned[] = {
      {{.remote_sampled = always_off()}, true, true},
      {{.remote_not_sampled = always_on()}, false, true},
      {{.local_sampled = always_off()}, true, false},
      {{.local_not_sampled = always_on()}, false, false},
  };
  for (const Case& each : turned) {
    const SamplerPtr sampler = parent_based(always_on(), each.samplers);
    EXPECT_NE(sampled(sampler, {1, 1}, context(each.is_sampled, each.is_remote)), each.is_sampled);
    EXPECT_EQ(sampled(sampler, {1, 1}, context(!each.is_sampled, each.is_remote)),
              !each.is_sampled);
    EXPECT_EQ(sampled(sampler, {1, 1}, context(each.is_sampled, !each.is_remote)), each.is_sampled);
  }
  EXPECT_THROW((void)parent_based(nullptr), std::invalid_argument);
}

TEST(RateLimitedSampler, AllowsABurstAndThenItsRate) {
  ManualClock clock;
  const SamplerPtr sampler = rate_limited(10, clock);
  const auto chosen = [&](int tries) {
    int count = 0;
    for (int i = 0; i < tries; ++i) count += sampled(sampler) ? 1 : 0;
    return count;
  };
  EXPECT_EQ(chosen(100), 10);
  clock.advance(100ms);
  EXPECT_EQ(chosen(100), 1);
  clock.advance(1h);
  EXPECT_EQ(chosen(100), 10);
}

TEST(RateLimitedSampler, AllowsLessThanOneASecond) {
  ManualClock clock;
  const SamplerPtr sampler = rate_limited(0.5, clock);
  EXPECT_TRUE(sampled(sampler));
  clock.advance(1999ms);
  EXPECT_FALSE(sampled(sampler));
  clock.advance(1ms);
  EXPECT_TRUE(sampled(sampler));
}

TEST(RateLimitedSampler, RefusesImpossibleRates) {
  for (const double rate : {0.0, -1.0, 2e9, 0.0 / 0.0}) {
    EXPECT_THROW((void)rate_limited(rate), std::invalid_argument) << rate;
  }
}

TEST(RulesSampler, TheFirstMatchDecides) {
  const SamplerPtr sampler = rules({{.route = "/health", .sampler = always_off()},
                                    {.route = "/api/*", .name = "GET*", .sampler = always_on()},
                                    {.name = "cron", .sampler = always_on()}},
                                   always_off());
  struct Case {
    std::string_view route;
    std::string_view name;
    bool sampled;
  };
  const Case cases[] = {
      {"/health", "cron", false}, {"/api/a", "GET /api/a", true}, {"/api/a", "POST", false},
      {"", "cron", true},         {"/other", "GET", false},       {"/api/", "GET", true},
  };
  for (const Case& each : cases) {
    EXPECT_EQ(sampled(sampler, {1, 1}, {}, each.name, {{"http.route", each.route}}), each.sampled)
        << each.route << " " << each.name;
  }
  EXPECT_THROW((void)rules({{.route = "/"}}, always_on()), std::invalid_argument);
  EXPECT_THROW((void)rules({}, nullptr), std::invalid_argument);
}

TEST(Samplers, DescribeThemselves) {
  EXPECT_EQ(parent_based(ratio(0.1))->description(), "parent_based(ratio(0.1))");
  EXPECT_EQ(rules({{.route = "/a", .sampler = always_on()}}, rate_limited(5))->description(),
            "rules(route /a always_on, else rate_limited(5))");
  EXPECT_EQ(error_biased({.base = 0.01})->description(), "error_biased(0.01)");
}

class ErrorBiasedTest : public testing::Test {
 protected:
  ManualClock clock;
  std::shared_ptr<const ErrorBiasedSampler> sampler =
      error_biased({.base = 0, .max_per_second = 5, .clock = &clock});
  Recorder recorder{{.sampler = parent_based(sampler), .clock = &clock}};
  Tracer tracer = recorder.tracer();
};

TEST_F(ErrorBiasedTest, AnUneventfulTraceIsForgotten) {
  {
    Span root = tracer.start_span("root");
    tracer.start_span("child", {.parent = root.context()}).end();
    EXPECT_TRUE(root.is_recording());
    EXPECT_FALSE(root.context().is_sampled());
  }
  EXPECT_TRUE(recorder.take().empty());
}

TEST_F(ErrorBiasedTest, ATraceIsKeptWhole) {
  Span root = tracer.start_span("root");
  tracer.start_span("early", {.parent = root.context()}).end();
  Span late = tracer.start_span("late", {.parent = root.context()});
  const SpanContext root_context = root.context();
  root.set_status(SpanStatus::error);
  root.end();
  late.end();
  tracer.start_span("later", {.parent = root_context}).end();
  const std::vector<OwnedSpan> spans = recorder.take();
  ASSERT_EQ(spans.size(), 4u);
  EXPECT_EQ(spans[0]->name.view(), "early");
  EXPECT_EQ(spans[1]->name.view(), "root");
  EXPECT_EQ(spans[1]->find("sampling.reason")->value().text().view(), "error");
  EXPECT_EQ(spans[2]->name.view(), "late");
  EXPECT_EQ(spans[2]->find("sampling.reason"), nullptr);
  EXPECT_EQ(spans[3]->name.view(), "later");
}

TEST_F(ErrorBiasedTest, WhatEndsAfterAForgottenRootIsForgotten) {
  Span root = tracer.start_span("root");
  const SpanContext context = root.context();
  Span child = tracer.start_span("child", {.parent = context});
  root.end();
  child.set_status(SpanStatus::error);
  child.end();
  EXPECT_FALSE(tracer.start_span("later", {.parent = context}).is_recording());
  EXPECT_TRUE(recorder.take().empty());
}

TEST_F(ErrorBiasedTest, KeepsByReason) {
  struct Case {
    std::int64_t status_code;
    SpanStatus status;
    bool child_fails;
    Nanos duration;
    std::string reason;
  };
  const Case cases[] = {
      {200, SpanStatus::unset, false, 1s, ""},      {200, SpanStatus::unset, false, 1001ms, "slow"},
      {404, SpanStatus::unset, false, 0s, ""},      {500, SpanStatus::unset, false, 0s, "error"},
      {200, SpanStatus::error, false, 2s, "error"}, {200, SpanStatus::unset, true, 0s, "error"},
  };
  for (const Case& each : cases) {
    Span root = tracer.start_span("root");
    Span child = tracer.start_span("child", {.parent = root.context()});
    if (each.child_fails) child.set_status(SpanStatus::error);
    child.end();
    root.set_attribute("http.response.status_code", each.status_code);
    root.set_status(each.status);
    clock.advance(each.duration);
    root.end();
    const std::vector<OwnedSpan> spans = recorder.take();
    ASSERT_EQ(spans.size(), each.reason.empty() ? 0u : 2u) << each.reason;
    if (!spans.empty()) {
      EXPECT_EQ(spans[1]->find("sampling.reason")->value().text().view(), each.reason);
    }
    clock.advance(1s);
  }
}

TEST_F(ErrorBiasedTest, KeepsNoMoreThanItsLimitAndCountsTheRest) {
  for (int i = 0; i < 20; ++i) tracer.start_span("root").set_status(SpanStatus::error).end();
  EXPECT_EQ(recorder.take().size(), 5u);
  EXPECT_EQ(sampler->counts().kept, 5u);
  EXPECT_EQ(sampler->counts().over_limit, 15u);
}

TEST_F(ErrorBiasedTest, RemembersSoManySpansAndSaysWhatItLost) {
  Span root = tracer.start_span("root");
  for (int i = 0; i < 300; ++i) tracer.start_span("child", {.parent = root.context()}).end();
  root.set_status(SpanStatus::error);
  root.end();
  const std::vector<OwnedSpan> spans = recorder.take();
  ASSERT_EQ(spans.size(), 257u);
  EXPECT_EQ(spans.back()->find("sampling.dropped_spans")->value().integer(), 44);
}

TEST_F(ErrorBiasedTest, ARemoteParentThatIsNotSampledIsObeyed) {
  const SpanContext remote(make_trace_id(), make_span_id(), {0}, true);
  tracer.start_span("root", {.parent = remote}).set_status(SpanStatus::error).end();
  EXPECT_TRUE(recorder.take().empty());
}

TEST_F(ErrorBiasedTest, TheStateOfARemoteParentIsKept) {
  Recorder both({.sampler = sampler});
  const SpanContext remote(make_trace_id(), make_span_id(), {0}, true, "foo=1");
  Span span = both.tracer().start_span("root", {.parent = remote});
  EXPECT_EQ(span.context().trace_state(), "foo=1");
  span.set_status(SpanStatus::error);
  span.end();
  EXPECT_EQ(both.one()->trace_state.view(), "foo=1");
}

TEST(ErrorBiased, KeepsEveryErrorAtAOnePercentBase) {
  ManualClock clock;
  Recorder recorder({.sampler = parent_based(
                         error_biased({.base = 0.01, .max_per_second = 1e6, .clock = &clock})),
                     .clock = &clock});
  const Tracer tracer = recorder.tracer();
  int failed = 0;
  for (int i = 0; i < 5000; ++i) {
    Span root = tracer.start_span("root");
    if (i % 7 == 0) {
      root.set_status(SpanStatus::error);
      ++failed;
    }
  }
  int kept = 0;
  int others = 0;
  for (const OwnedSpan& span : recorder.take()) {
    ++(span->status == SpanStatus::error ? kept : others);
  }
  EXPECT_EQ(kept, failed);
  EXPECT_NEAR(others, 43, 45);  // one percent of 4,285
}

}  // namespace
}  // namespace tyaprover::trace
