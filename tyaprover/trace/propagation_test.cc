#include "tyaprover/trace/propagation.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tyaprover/trace/trace_context.h"

namespace tyaprover::trace {
namespace {

using Fields = std::vector<std::pair<std::string, std::string>>;

constexpr std::string_view kTrace = "0af7651916cd43dd8448eb211c80319c";
constexpr std::string_view kParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
constexpr std::string_view kIds = "0af7651916cd43dd8448eb211c80319c b7ad6b7169203331";

Extracted extract(const Propagators& propagators, const Fields& fields) {
  Extractor extractor(propagators);
  for (const auto& [name, value] : fields) extractor.field(name, value);
  return extractor.finish();
}

// "trace span sampled", "deny", "accept" or "none".
std::string say(const Extracted& extracted) {
  if (!extracted.context.is_valid()) {
    return !extracted.sampled ? "none" : *extracted.sampled ? "accept" : "deny";
  }
  const auto trace = extracted.context.trace_id().to_hex();
  const auto span = extracted.context.span_id().to_hex();
  return std::string(trace.begin(), trace.end()) + " " + std::string(span.begin(), span.end()) +
         (extracted.context.is_sampled() ? " sampled" : " not sampled");
}

Fields inject(const Context& context, const Propagators& propagators) {
  Fields fields;
  const InjectedFields injected(context, propagators);
  injected.for_each(
      [&](std::string_view name, std::string_view value) { fields.emplace_back(name, value); });
  return fields;
}

TEST(ExtractTraceContext, FollowsTheRulesForFields) {
  const std::string sampled = std::string(kIds) + " sampled";
  struct Case {
    Fields fields;
    std::string expected;
    std::string state;
  };
  const std::string parent(kParent);
  const Case cases[] = {
      {{{"traceparent", parent}}, sampled, ""},
      {{{"TraceParent", parent}}, sampled, ""},
      {{{"TRACEPARENT", parent}, {"TRACESTATE", "foo=1"}}, sampled, "foo=1"},
      {{{"trace-parent", parent}}, "none", ""},
      {{{"trace.parent", parent}}, "none", ""},
      {{{"traceparent", parent}, {"traceparent", parent}}, "none", ""},
      {{{"traceparent", parent}, {"traceparent", "rubbish"}}, "none", ""},
      {{{"tracestate", "foo=1"}}, "none", ""},
      {{{"traceparent", "rubbish"}, {"tracestate", "foo=1"}}, "none", ""},
      {{{"traceparent", parent}, {"tracestate", "foo=1"}, {"tracestate", "bar=2"}},
       sampled,
       "foo=1,bar=2"},
      {{{"tracestate", "foo=1"}, {"traceparent", parent}, {"tracestate", "foo=2"}}, sampled, ""},
      {{{"traceparent", parent}, {"tracestate", ""}, {"tracestate", "foo=1"}}, sampled, "foo=1"},
  };
  for (const Case& each : cases) {
    const Extracted extracted = extract(kDefaultPropagators, each.fields);
    EXPECT_EQ(say(extracted), each.expected);
    EXPECT_EQ(extracted.context.trace_state(), each.state);
  }
}

TEST(ExtractTraceContext, TakesAMemberPerField) {
  Fields fields = {{"traceparent", std::string(kParent)}};
  std::string joined;
  for (int i = 0; i < 32; ++i) {
    fields.emplace_back("tracestate", "k" + std::to_string(i) + "=1");
    joined += (i ? ",k" : "k") + std::to_string(i) + "=1";
  }
  EXPECT_EQ(extract(kDefaultPropagators, fields).context.trace_state(), joined);
  fields.emplace_back("tracestate", "k32=1");
  EXPECT_EQ(extract(kDefaultPropagators, fields).context.trace_state(), "");
}

TEST(ExtractB3, ReadsBothForms) {
  const std::string trace(kTrace);
  const std::string sampled = std::string(kIds) + " sampled";
  const std::string not_sampled = std::string(kIds) + " not sampled";
  const std::string padded = "0000000000000000" + trace.substr(16) + " b7ad6b7169203331 sampled";
  struct Case {
    Fields fields;
    std::string expected;
  };
  const std::string ids = trace + "-b7ad6b7169203331";
  const Case cases[] = {
      {{{"b3", ids + "-1"}}, sampled},
      {{{"B3", ids + "-d"}}, sampled},
      {{{"b3", ids + "-0"}}, not_sampled},
      {{{"b3", ids}}, not_sampled},
      {{{"b3", ids + "-1-05e3ac9a4f6e3b90"}}, sampled},
      {{{"b3", trace.substr(16) + "-b7ad6b7169203331-1"}}, padded},
      {{{"b3", "0"}}, "deny"},
      {{{"b3", "1"}}, "accept"},
      {{{"b3", "d"}}, "accept"},
      {{{"b3", "x"}}, "none"},
      {{{"b3", ids + "-2"}}, "none"},
      {{{"b3", ids + "-true"}}, "none"},
      {{{"b3", ids + "-1-05e3"}}, "none"},
      {{{"b3", ids + "-1-05e3ac9a4f6e3b90-1"}}, "none"},
      {{{"b3", trace + "-0000000000000000-1"}}, "none"},
      {{{"b3", std::string(32, '0') + "-b7ad6b7169203331-1"}}, "none"},
      {{{"b3", trace.substr(2) + "-b7ad6b7169203331-1"}}, "none"},
      {{{"b3", trace + "-b7ad-1"}}, "none"},
      {{{"b3", ""}}, "none"},
      {{{"b3", ids + "-1"}, {"b3", ids + "-1"}}, "none"},
      {{{"X-B3-TraceId", trace}, {"X-B3-SpanId", "b7ad6b7169203331"}, {"X-B3-Sampled", "1"}},
       sampled},
      {{{"x-b3-traceid", trace}, {"x-b3-spanid", "b7ad6b7169203331"}, {"x-b3-sampled", "true"}},
       sampled},
      {{{"x-b3-traceid", trace}, {"x-b3-spanid", "b7ad6b7169203331"}, {"x-b3-sampled", "0"}},
       not_sampled},
      {{{"x-b3-traceid", trace}, {"x-b3-spanid", "b7ad6b7169203331"}}, not_sampled},
      {{{"x-b3-traceid", trace}, {"x-b3-spanid", "b7ad6b7169203331"}, {"x-b3-flags", "1"}},
       sampled},
      {{{"x-b3-traceid", trace.substr(16)},
        {"x-b3-spanid", "b7ad6b7169203331"},
        {"x-b3-sampled", "1"}},
       padded},
      {{{"x-b3-sampled", "0"}}, "deny"},
      {{{"x-b3-sampled", "1"}}, "accept"},
      {{{"x-b3-flags", "1"}}, "accept"},
      {{{"x-b3-traceid", trace}, {"x-b3-sampled", "1"}}, "none"},
      {{{"x-b3-traceid", "zz"}, {"x-b3-spanid", "b7ad6b7169203331"}}, "none"},
      {{{"b3", "rubbish"}, {"x-b3-traceid", trace}, {"x-b3-spanid", "b7ad6b7169203331"}},
       not_sampled},
  };
  for (const Case& each : cases) {
    for (const Propagator form : {Propagator::b3, Propagator::b3multi}) {
      EXPECT_EQ(say(extract({form}, each.fields)), each.expected) << each.fields[0].second;
    }
    EXPECT_EQ(say(extract(kDefaultPropagators, each.fields)), "none");
  }
}

TEST(ExtractJaeger, ReadsUberTraceId) {
  struct Case {
    std::string value;
    std::string expected;
  };
  const std::string trace(kTrace);
  const std::string sampled = std::string(kIds) + " sampled";
  const Case cases[] = {
      {trace + ":b7ad6b7169203331:0:1", sampled},
      {trace + ":b7ad6b7169203331:5:3", sampled},
      {trace + ":b7ad6b7169203331::1", sampled},
      {trace + "%3Ab7ad6b7169203331%3a0%3A1", sampled},
      {trace + ":b7ad6b7169203331:0:0", std::string(kIds) + " not sampled"},
      {trace + ":b7ad6b7169203331:0:2", std::string(kIds) + " not sampled"},
      {"1:2:0:01", std::string(31, '0') + "1 0000000000000002 sampled"},
      {"12345678901234567:2:0:1",
       std::string(15, '0') + "12345678901234567 0000000000000002 sampled"},
      {"0:2:0:1", "none"},
      {"1:0:0:1", "none"},
      {"1:2:0", "none"},
      {"1:2:0:1:0", "none"},
      {"1:2:0:", "none"},
      {"1:2:0:111", "none"},
      {"1:2:0:g", "none"},
      {trace + "0:2:0:1", "none"},
      {"1:b7ad6b71692033310:0:1", "none"},
      {"1%3B2:0:1", "none"},
      {"1:2:0:1%", "none"},
      {"", "none"},
  };
  for (const Case& each : cases) {
    EXPECT_EQ(say(extract({Propagator::jaeger}, {{"Uber-Trace-Id", each.value}})), each.expected)
        << each.value;
  }
}

TEST(ExtractXray, ReadsTheAmazonField) {
  struct Case {
    std::string value;
    std::string expected;
  };
  const std::string root = "Root=1-0af76519-16cd43dd8448eb211c80319c";
  const std::string sampled = std::string(kIds) + " sampled";
  const std::string not_sampled = std::string(kIds) + " not sampled";
  const Case cases[] = {
      {root + ";Parent=b7ad6b7169203331;Sampled=1", sampled},
      {"Sampled=1; Parent=b7ad6b7169203331 ;" + root, sampled},
      {root + ";Parent=b7ad6b7169203331;Sampled=0", not_sampled},
      {root + ";Parent=b7ad6b7169203331;Sampled=?", not_sampled},
      {root + ";Parent=b7ad6b7169203331", not_sampled},
      {"Self=1-1-1;" + root + ";Parent=b7ad6b7169203331;Sampled=1;Lineage=a:0", sampled},
      {root + ";Sampled=1", "none"},
      {"Parent=b7ad6b7169203331;Sampled=1", "none"},
      {"Root=2-0af76519-16cd43dd8448eb211c80319c;Parent=b7ad6b7169203331", "none"},
      {"Root=1-0af76519-16cd43dd8448eb211c80319;Parent=b7ad6b7169203331", "none"},
      {"Root=1-0af7651916cd43dd8448eb211c80319cc;Parent=b7ad6b7169203331", "none"},
      {"Root=1-00000000-000000000000000000000000;Parent=b7ad6b7169203331", "none"},
      {root + ";Parent=0000000000000000", "none"},
      {root + ";Parent=b7ad", "none"},
      {"", "none"},
  };
  for (const Case& each : cases) {
    EXPECT_EQ(say(extract({Propagator::xray}, {{"X-Amzn-Trace-Id", each.value}})), each.expected)
        << each.value;
  }
}

TEST(Extract, TheFirstValidFormatInOrderWins) {
  const Fields fields = {{"b3", "00000000000000000000000000000001-0000000000000002-1"},
                         {"uber-trace-id", "3:4:0:1"},
                         {"traceparent", "rubbish"}};
  const std::string b3 = "00000000000000000000000000000001 0000000000000002 sampled";
  const std::string jaeger = "00000000000000000000000000000003 0000000000000004 sampled";
  EXPECT_EQ(say(extract({Propagator::tracecontext, Propagator::b3, Propagator::jaeger}, fields)),
            b3);
  EXPECT_EQ(say(extract({Propagator::jaeger, Propagator::b3}, fields)), jaeger);
  EXPECT_EQ(say(extract({}, fields)), "none");
}

TEST(Extract, ADecisionAloneGivesWayToAContext) {
  EXPECT_EQ(say(extract({Propagator::b3, Propagator::jaeger},
                        {{"b3", "0"}, {"uber-trace-id", "3:4:0:1"}})),
            "00000000000000000000000000000003 0000000000000004 sampled");
}

class InjectTest : public testing::Test {
 protected:
  SpanContext span{
      {0x0af7651916cd43dd, 0x8448eb211c80319c}, {0xb7ad6b7169203331}, {3}, false, "foo=1"};
};

TEST_F(InjectTest, WritesEveryFormat) {
  const Fields expected = {
      {"traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-03"},
      {"tracestate", "foo=1"},
      {"b3", "0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1"},
      {"X-B3-TraceId", "0af7651916cd43dd8448eb211c80319c"},
      {"X-B3-SpanId", "b7ad6b7169203331"},
      {"X-B3-Sampled", "1"},
      {"uber-trace-id", "0af7651916cd43dd8448eb211c80319c:b7ad6b7169203331:0:1"},
      {"X-Amzn-Trace-Id",
       "Root=1-0af76519-16cd43dd8448eb211c80319c;Parent=b7ad6b7169203331;Sampled=1"},
  };
  EXPECT_EQ(inject(Context(span), {Propagator::tracecontext, Propagator::baggage, Propagator::b3,
                                   Propagator::b3multi, Propagator::jaeger, Propagator::xray}),
            expected);
}

TEST_F(InjectTest, WhatIsInjectedIsExtracted) {
  for (const std::uint8_t flags : {0, 1}) {
    for (const Propagator each : {Propagator::tracecontext, Propagator::b3, Propagator::b3multi,
                                  Propagator::jaeger, Propagator::xray}) {
      const SpanContext context(make_trace_id(), make_span_id(), {flags});
      const Extracted again = extract({each}, inject(Context(context), {each}));
      EXPECT_EQ(again.context.trace_id(), context.trace_id()) << to_string(each);
      EXPECT_EQ(again.context.span_id(), context.span_id());
      EXPECT_EQ(again.context.is_sampled(), context.is_sampled());
    }
  }
}

TEST_F(InjectTest, NobodysContextHasNoFields) {
  EXPECT_TRUE(inject(Context(), {Propagator::tracecontext, Propagator::b3}).empty());
}

TEST_F(InjectTest, EveryTraceFieldCanBeRecognised) {
  for (const auto& [name, value] :
       inject(Context(span), {Propagator::tracecontext, Propagator::b3, Propagator::b3multi,
                              Propagator::jaeger, Propagator::xray})) {
    EXPECT_TRUE(is_trace_field(name)) << name;
  }
  EXPECT_TRUE(is_trace_field("X-B3-PARENTSPANID"));
  EXPECT_FALSE(is_trace_field("baggage"));
  EXPECT_FALSE(is_trace_field("x-b3-other"));
}

TEST_F(InjectTest, BaggageGoesInTwoForms) {
  const auto baggage = std::make_shared<Baggage>();
  baggage->set("tenant", "a b", "p=1");
  baggage->set("user", "1");
  const Fields expected = {
      {"baggage", "tenant=a%20b;p=1,user=1"}, {"uberctx-tenant", "a%20b"}, {"uberctx-user", "1"}};
  EXPECT_EQ(inject(Context({}, baggage), {Propagator::baggage, Propagator::jaeger}), expected);
}

TEST(ExtractBaggage, JoinsFieldsOfBothForms) {
  Extractor extractor({Propagator::baggage, Propagator::jaeger});
  extractor.field("Baggage", "a=1,b=2");
  extractor.field("baggage", "c=3");
  extractor.field("uberctx-d", "x%20y");
  extractor.field("uberctx-", "nothing");
  const Baggage baggage = extractor.baggage();
  EXPECT_EQ(baggage.format(), "a=1,b=2,c=3,d=x%20y");
}

TEST(ExtractBaggage, OnlyWhenItIsConfigured) {
  Extractor extractor({Propagator::tracecontext});
  extractor.field("baggage", "a=1");
  EXPECT_TRUE(extractor.baggage().empty());
}

}  // namespace
}  // namespace tyaprover::trace
