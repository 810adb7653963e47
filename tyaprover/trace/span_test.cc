#include "tyaprover/trace/span.h"

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "tyaprover/trace/trace_testing.h"

namespace tyaprover::trace {
namespace {

using namespace std::chrono_literals;

class SpanTest : public testing::Test {
 protected:
  std::string text(const SpanData& span, std::string_view key) {
    const AttributeData* found = span.find(key);
    if (found == nullptr) return "(none)";
    return std::string(found->value().text());
  }

  ManualClock clock;
  Recorder recorder{{.clock = &clock}};
  Tracer tracer = recorder.tracer();
};

TEST_F(SpanTest, EndsWhenDestroyed) {
  { const Span span = tracer.start_span("work"); }
  EXPECT_EQ(recorder.one()->name.view(), "work");
}

TEST_F(SpanTest, ASecondEndIsIgnored) {
  Span span = tracer.start_span("work");
  span.end();
  span.end();
  EXPECT_EQ(recorder.take().size(), 1u);
}

TEST_F(SpanTest, CallsAfterTheEndAreIgnored) {
  Span span = tracer.start_span("work");
  span.end();
  span.set_attribute("late", 1).add_event("late").set_status(SpanStatus::error).set_name("late");
  EXPECT_FALSE(span.is_recording());
  EXPECT_TRUE(span.context().is_valid());
  const OwnedSpan ended = recorder.one();
  EXPECT_EQ(ended->attributes.size(), 0u);
  EXPECT_EQ(ended->name.view(), "work");
}

TEST_F(SpanTest, ADefaultConstructedOneTakesEveryCall) {
  Span span;
  span.set_attribute("a", 1).add_event("b").add_link({}).set_status(SpanStatus::ok).set_name("c");
  span.record_exception(std::runtime_error("d"));
  span.end();
  EXPECT_FALSE(span.context().is_valid());
}

TEST_F(SpanTest, MovingLeavesNothingBehind) {
  Span first = tracer.start_span("first");
  Span second = std::move(first);
  first.end();  // NOLINT(bugprone-use-after-move): that is the test
  EXPECT_TRUE(recorder.take().empty());
  second = tracer.start_span("second");  // ends the first
  EXPECT_EQ(recorder.one()->name.view(), "first");
}

TEST_F(SpanTest, DurationIsOfTheSteadyClock) {
  Span span = tracer.start_span("work");
  clock.advance(1500us);
  span.end();
  const OwnedSpan ended = recorder.one();
  EXPECT_EQ(ended->end_unix_nanos - ended->start_unix_nanos, 1'500'000);
}

TEST_F(SpanTest, StartIsTheWallClock) {
  const auto now = [] { return std::chrono::system_clock::now().time_since_epoch() / 1ns; };
  const auto before = now();
  tracer.start_span("work").end();
  const auto after = now();
  const std::int64_t start = recorder.one()->start_unix_nanos;
  EXPECT_GE(start, before);
  EXPECT_LE(start, after);
}

TEST_F(SpanTest, StartFollowsTheWallClockAfterAWhile) {
  tracer.start_span("first").end();
  clock.advance(1h);  // the wall clock did not move with it
  tracer.start_span("second").end();
  const std::vector<OwnedSpan> ended = recorder.take();
  EXPECT_LT(ended[1]->start_unix_nanos - ended[0]->start_unix_nanos,
            std::int64_t{1800} * 1'000'000'000);
}

TEST_F(SpanTest, TakesExplicitTimes) {
  const WallTime start{1700000000s};
  Span span = tracer.start_span("work", {.start_time = start});
  span.add_event("middle", {}, start + 2ms);
  span.end(start + 5ms);
  const OwnedSpan ended = recorder.one();
  EXPECT_EQ(ended->start_unix_nanos, 1700000000'000000000);
  EXPECT_EQ(ended->events[0].unix_nanos, 1700000000'002000000);
  EXPECT_EQ(ended->end_unix_nanos, 1700000000'005000000);
}

TEST_F(SpanTest, DoesNotEndBeforeItsStart) {
  const WallTime start{1700000000s};
  tracer.start_span("work", {.start_time = start}).end(start - 1s);
  const OwnedSpan ended = recorder.one();
  EXPECT_EQ(ended->end_unix_nanos, ended->start_unix_nanos);
}

TEST_F(SpanTest, KeepsEveryTypeOfAttribute) {
  const std::string dynamic = "dynamic";
  const std::vector<std::string_view> strings = {"a", "", "c"};
  const std::vector<std::int64_t> integers = {1, -2};
  const std::vector<double> reals = {0.5};
  const bool booleans[] = {true, false};
  tracer.start_span("work")
      .set_attribute("literal", "text")
      .set_attribute("dynamic", dynamic)
      .set_attribute("bool", true)
      .set_attribute("int", -42)
      .set_attribute("unsigned", ~std::uint64_t{0})
      .set_attribute("double", 2.5)
      .set_attribute("strings", strings)
      .set_attribute("integers", integers)
      .set_attribute("reals", reals)
      .set_attribute("booleans", std::span<const bool>(booleans))
      .set_attribute(std::string("dynamic key"), "x")
      .end();
  const OwnedSpan span = recorder.one();
  EXPECT_EQ(text(*span, "literal"), "text");
  EXPECT_EQ(text(*span, "dynamic"), "dynamic");
  EXPECT_EQ(text(*span, "dynamic key"), "x");
  EXPECT_TRUE(span->find("bool")->value().boolean());
  EXPECT_EQ(span->find("int")->value().integer(), -42);
  EXPECT_EQ(span->find("unsigned")->value().integer(), std::numeric_limits<std::int64_t>::max());
  EXPECT_EQ(span->find("double")->value().real(), 2.5);
  const auto kept = span->find("strings")->value().strings();
  EXPECT_EQ(std::vector<std::string_view>(kept.begin(), kept.end()), strings);
  EXPECT_EQ(span->find("integers")->value().integers()[1], -2);
  EXPECT_EQ(span->find("reals")->value().reals()[0], 0.5);
  EXPECT_FALSE(span->find("booleans")->value().booleans()[1]);
}

TEST_F(SpanTest, TextIsCopied) {
  Span span = tracer.start_span("work");
  {
    std::string key = "key";
    std::string value = "value";
    span.set_attribute(key, value);
    key = "???";
    value = "?????";
  }
  span.end();
  EXPECT_EQ(text(*recorder.one(), "key"), "value");
}

TEST_F(SpanTest, TheLastValueOfAKeyWins) {
  Span span = tracer.start_span("work", {.attributes = {{"a", 1}, {"b", 2}, {"a", 3}}});
  span.set_attribute("b", "text");
  for (int i = 0; i < 30; ++i) span.set_attribute("key" + std::to_string(i), i);
  span.set_attribute("key29", "last").set_attribute("key3", "last").end();
  const OwnedSpan ended = recorder.one();
  EXPECT_EQ(ended->attributes.size(), 32u);
  EXPECT_EQ(ended->find("a")->value().integer(), 3);
  EXPECT_EQ(text(*ended, "b"), "text");
  EXPECT_EQ(text(*ended, "key29"), "last");
  EXPECT_EQ(text(*ended, "key3"), "last");
}

TEST_F(SpanTest, AnEmptyKeyIsIgnored) {
  tracer.start_span("work").set_attribute("", 1).set_attribute(std::string(), 2).end();
  const OwnedSpan ended = recorder.one();
  EXPECT_EQ(ended->attributes.size(), 0u);
  EXPECT_EQ(ended->dropped_attributes, 0u);
}

TEST_F(SpanTest, DropsAndCountsWhatIsOverTheLimits) {
  Span span = tracer.start_span("work");
  for (int i = 0; i < 130; ++i) {
    span.set_attribute("key" + std::to_string(i), i);
    span.add_event("event");
    span.add_link(SpanContext(make_trace_id(), make_span_id(), {}));
  }
  span.end();
  const OwnedSpan ended = recorder.one();
  EXPECT_EQ(ended->attributes.size(), 128u);
  EXPECT_EQ(ended->dropped_attributes, 2u);
  EXPECT_EQ(ended->events.size(), 128u);
  EXPECT_EQ(ended->dropped_events, 2u);
  EXPECT_EQ(ended->links.size(), 128u);
  EXPECT_EQ(ended->dropped_links, 2u);
}

TEST_F(SpanTest, AKeyThatIsTooLongIsDroppedAndCounted) {
  tracer.start_span("work").set_attribute(std::string(70'000, 'k'), 1).end();
  EXPECT_EQ(recorder.one()->dropped_attributes, 1u);
}

TEST(SpanLimits, CutTextsToWholeCharacters) {
  Recorder recorder({.limits = {.value_length = 3}});
  const std::vector<std::string_view> strings = {"abcdef", "ab"};
  recorder.tracer()
      .start_span("work", {.attributes = {{"ascii", "abcdef"}, {"two bytes", "äöüß"}}})
      .set_attribute("array", strings)
      .add_event("event", {{"a", "abcdef"}})
      .end();
  const OwnedSpan span = recorder.one();
  EXPECT_EQ(span->find("ascii")->value().text().view(), "abc");
  EXPECT_EQ(span->find("two bytes")->value().text().view(), "äöü");
  EXPECT_EQ(span->find("array")->value().strings()[0], "abc");
  EXPECT_EQ(span->find("array")->value().strings()[1], "ab");
  EXPECT_EQ(span->events[0].attributes[0].value().text().view(), "abc");
}

TEST(SpanLimits, HoldForEventsAndLinksToo) {
  Recorder recorder({.limits = {.attributes_per_event = 1, .attributes_per_link = 0}});
  const SpanContext other(make_trace_id(), make_span_id(), {});
  recorder.tracer()
      .start_span("work", {.links = {{other, {{"a", 1}}}}})
      .add_event("event", {{"a", 1}, {"b", 2}, {"a", 3}, {"", 4}})
      .end();
  const OwnedSpan span = recorder.one();
  EXPECT_EQ(span->events[0].attributes.size(), 1u);
  EXPECT_EQ(span->events[0].attributes[0].value().integer(), 3);
  EXPECT_EQ(span->events[0].dropped_attributes, 1u);
  EXPECT_EQ(span->links[0].dropped_attributes, 1u);
}

TEST_F(SpanTest, StatusFollowsTheRules) {
  struct Case {
    std::vector<std::pair<SpanStatus, std::string>> calls;
    SpanStatus status;
    std::string description;
  };
  const Case cases[] = {
      {{}, SpanStatus::unset, ""},
      {{{SpanStatus::error, "bad"}}, SpanStatus::error, "bad"},
      {{{SpanStatus::error, "bad"}, {SpanStatus::error, "worse"}}, SpanStatus::error, "worse"},
      {{{SpanStatus::error, "bad"}, {SpanStatus::unset, ""}}, SpanStatus::error, "bad"},
      {{{SpanStatus::ok, "ignored"}}, SpanStatus::ok, ""},
      {{{SpanStatus::ok, ""}, {SpanStatus::error, "late"}}, SpanStatus::ok, ""},
      {{{SpanStatus::error, "bad"}, {SpanStatus::ok, ""}}, SpanStatus::ok, ""},
  };
  for (const Case& each : cases) {
    Span span = tracer.start_span("work");
    for (const auto& [status, description] : each.calls) span.set_status(status, description);
    span.end();
    const OwnedSpan ended = recorder.one();
    EXPECT_EQ(ended->status, each.status);
    EXPECT_EQ(ended->status_description.view(), each.description);
  }
}

struct Timeout : std::runtime_error {
  using std::runtime_error::runtime_error;
};

TEST_F(SpanTest, AnExceptionBecomesAnEvent) {
  Span span = tracer.start_span("work");
  span.record_exception(std::runtime_error("broken"), "at main");
  span.end();
  const OwnedSpan ended = recorder.one();
  ASSERT_EQ(ended->events.size(), 1u);
  const EventData& event = ended->events[0];
  EXPECT_EQ(event.name.view(), "exception");
  ASSERT_EQ(event.attributes.size(), 3u);
  EXPECT_EQ(event.attributes[0].value().text().view(), "std::runtime_error");
  EXPECT_EQ(event.attributes[1].value().text().view(), "broken");
  EXPECT_EQ(event.attributes[2].key(), "exception.stacktrace");
  EXPECT_EQ(ended->status, SpanStatus::unset);
}

TEST_F(SpanTest, AnExceptionOfOursIsCalledByItsName) {
  Span span = tracer.start_span("work");
  span.record_exception(Timeout("late"));
  span.end();
  EXPECT_EQ(recorder.one()->events[0].attributes[0].value().text().view(),
            "tyaprover::trace::(anonymous namespace)::Timeout");
}

TEST_F(SpanTest, WhateverWasThrownIsRecorded) {
  Span span = tracer.start_span("work");
  span.record_exception(std::make_exception_ptr(std::out_of_range("far")));
  span.record_exception(std::make_exception_ptr(42));
  span.record_exception(std::exception_ptr());
  span.end();
  const OwnedSpan ended = recorder.one();
  ASSERT_EQ(ended->events.size(), 2u);
  EXPECT_EQ(ended->events[0].attributes[0].value().text().view(), "std::out_of_range");
  EXPECT_EQ(ended->events[1].attributes[0].value().text().view(), "unknown");
}

TEST_F(SpanTest, EventsCarryTheTimeOfTheSteadyClock) {
  Span span = tracer.start_span("work");
  clock.advance(3ms);
  span.add_event("retry", {{"n", 1}});
  clock.advance(3ms);
  span.end();
  const OwnedSpan ended = recorder.one();
  EXPECT_EQ(ended->events[0].unix_nanos - ended->start_unix_nanos, 3'000'000);
  EXPECT_EQ(ended->events[0].attributes[0].key(), "n");
}

TEST_F(SpanTest, LinksCarryWhatTheContextHas) {
  const SpanContext other(make_trace_id(), make_span_id(), {1}, true, "a=1");
  Span span = tracer.start_span("work", {.links = {{other, {{"why", "batch"}}}}});
  span.add_link(other);
  span.end();
  const OwnedSpan ended = recorder.one();
  ASSERT_EQ(ended->links.size(), 2u);
  EXPECT_EQ(ended->links[0].trace_id, other.trace_id());
  EXPECT_EQ(ended->links[0].trace_state.view(), "a=1");
  EXPECT_TRUE(ended->links[0].is_remote);
  EXPECT_EQ(ended->links[0].attributes[0].value().text().view(), "batch");
  EXPECT_EQ(ended->links[1].attributes.size(), 0u);
}

TEST_F(SpanTest, AChildKeepsTraceAndState) {
  const SpanContext parent(make_trace_id(), make_span_id(), {1}, true, "foo=1,bar=2");
  Span span = tracer.start_span("work", {.parent = parent});
  EXPECT_EQ(span.context().trace_id(), parent.trace_id());
  EXPECT_NE(span.context().span_id(), parent.span_id());
  EXPECT_EQ(span.context().trace_state(), "foo=1,bar=2");
  EXPECT_FALSE(span.context().is_remote());
  span.end();
  const OwnedSpan ended = recorder.one();
  EXPECT_EQ(ended->parent_span_id, parent.span_id());
  EXPECT_TRUE(ended->parent_is_remote);
  EXPECT_EQ(ended->trace_state.view(), "foo=1,bar=2");
}

TEST_F(SpanTest, OurOwnIdsAreMarkedRandomAndOthersKeepTheirMark) {
  EXPECT_EQ(tracer.start_span("root").context().flags().bits, 0x03);
  const TraceId id = make_trace_id();
  const SpanContext plain(id, make_span_id(), {0x01}, true);
  const SpanContext random(id, make_span_id(), {0x03}, true);
  EXPECT_EQ(tracer.start_span("child", {.parent = plain}).context().flags().bits, 0x01);
  EXPECT_EQ(tracer.start_span("child", {.parent = random}).context().flags().bits, 0x03);
}

TEST_F(SpanTest, ASpanMayEndOnAnotherThread) {
  Span span = tracer.start_span("work");
  span.set_attribute("here", 1);
  std::thread([moved = std::move(span)]() mutable { moved.set_attribute("there", 2); }).join();
  EXPECT_EQ(recorder.one()->attributes.size(), 2u);
}

TEST_F(SpanTest, HoldsALotOfText) {
  Span span = tracer.start_span("work");
  std::string large(100'000, 'x');
  for (int i = 0; i < 50; ++i) span.set_attribute("k" + std::to_string(i), std::string(200, 'a'));
  span.set_attribute("large", large);
  span.end();
  const OwnedSpan ended = recorder.one();
  EXPECT_EQ(text(*ended, "large"), large);
  EXPECT_EQ(text(*ended, "k49"), std::string(200, 'a'));
  tracer.start_span("after").set_attribute("a", std::string("b")).end();
  EXPECT_EQ(text(*recorder.one(), "a"), "b");
}

TEST_F(SpanTest, HttpClientSpansFollowTheConventions) {
  struct Case {
    std::string_view method;
    std::string_view url;
    std::string_view name;
    std::string_view full;
    std::string_view address;
    std::int64_t port;
  };
  const Case cases[] = {
      {"GET", "http://api/items?q=1", "GET", "http://api/items?q=1", "api", 80},
      {"POST", "https://u:p@api.example:8443/x", "POST", "https://api.example:8443/x",
       "api.example", 8443},
      {"GET", "https://[::1]/a@b", "GET", "https://[::1]/a@b", "::1", 443},
      {"GET", "http://[::1]:99/", "GET", "http://[::1]:99/", "::1", 99},
      {"BREW", "http://pot/", "HTTP", "http://pot/", "pot", 80},
  };
  for (const Case& each : cases) {
    tracer.start_http_client_span(each.method, each.url, {.attributes = {{"peer", "x"}}}).end();
    const OwnedSpan span = recorder.one();
    EXPECT_EQ(span->kind, SpanKind::client);
    EXPECT_EQ(span->name.view(), each.name);
    EXPECT_EQ(text(*span, "url.full"), each.full);
    EXPECT_EQ(text(*span, "server.address"), each.address) << each.url;
    EXPECT_EQ(span->find("server.port")->value().integer(), each.port);
    EXPECT_EQ(text(*span, "http.request.method"), each.name == "HTTP" ? "_OTHER" : each.method);
    EXPECT_EQ(text(*span, "peer"), "x");
  }
}

TEST_F(SpanTest, AnUnreadableUrlIsKeptAsItIs) {
  tracer.start_http_client_span("GET", "not a url").end();
  const OwnedSpan span = recorder.one();
  EXPECT_EQ(text(*span, "url.full"), "not a url");
  EXPECT_EQ(span->find("server.address"), nullptr);
}

TEST_F(SpanTest, IdsAreNeverZeroAndDiffer) {
  std::vector<std::uint64_t> seen;
  for (int i = 0; i < 1000; ++i) {
    const Span span = tracer.start_span("work", {.root = true});
    EXPECT_TRUE(span.context().is_valid());
    seen.push_back(span.context().trace_id().low);
    seen.push_back(span.context().span_id().value);
  }
  std::sort(seen.begin(), seen.end());
  EXPECT_EQ(std::unique(seen.begin(), seen.end()), seen.end());
}

TEST(ProviderStats, CountStartedSpansBySampling) {
  Recorder recorder;
  const Tracer tracer = recorder.tracer();
  tracer.start_span("a").end();
  tracer.start_span("b", {.sampled = false}).end();
  std::thread([&] { tracer.start_span("c").end(); }).join();
  const ProviderStats stats = recorder.provider().stats();
  EXPECT_EQ(stats.started_sampled, 2u);
  EXPECT_EQ(stats.started_unsampled, 1u);
  EXPECT_EQ(stats.processor.exported, 2u);
}

TEST(TracerProviderTest, ExportersCanBeReplacedWhileSpansEnd) {
  TracerProvider provider;
  const Tracer tracer = provider.tracer("test");
  const auto first = std::make_shared<KeepingExporter>();
  const auto second = std::make_shared<KeepingExporter>();
  provider.set_exporter(first);
  std::thread producer([&] {
    for (int i = 0; i < 200; ++i) tracer.start_span("work").end();
  });
  provider.set_exporter(second);
  producer.join();
  EXPECT_TRUE(provider.flush(10s).complete());
  // What ended in the old processor after its shutdown was dropped; nothing else was lost.
  const std::size_t kept = first->take().size() + second->take().size();
  EXPECT_LE(kept, 200u);
  EXPECT_EQ(provider.stats().started_sampled, 200u);
}

TEST(TracerProviderTest, SaysWhatItIs) {
  Recorder recorder({.resource = {{"service.name", "shop"}}});
  recorder.tracer().start_span("work").end();
  const OwnedSpan span = recorder.one();
  EXPECT_EQ(span->scope->name, "test");
  EXPECT_EQ(span->scope->version, "1");
  const Resource& resource = span->scope->resource;
  EXPECT_EQ(resource[0], std::pair(std::string("service.name"), std::string("shop")));
  EXPECT_EQ(resource[1], std::pair(std::string("telemetry.sdk.name"), std::string("tyaprover")));
}

TEST(TracerProviderTest, TheGlobalTracerUsesTheInstance) {
  const auto exporter = std::make_shared<KeepingExporter>();
  TracerProvider::instance().set_processor(simple(exporter));
  global_tracer().start_span("work").end();
  EXPECT_EQ(exporter->take().size(), 1u);
  std::string line;
  TracerProvider::instance().set_exporter(
      ConsoleSpanExporter([&](std::string_view text) { line = text; }));
  global_tracer().start_span("console").end();
  EXPECT_NE(line.find("\"name\":\"console\""), std::string::npos) << line;
  TracerProvider::instance().set_processor(nullptr);
}

TEST(TracerProviderTest, NeedsASampler) {
  EXPECT_THROW(TracerProvider({.sampler = nullptr}), std::invalid_argument);
}

}  // namespace
}  // namespace tyaprover::trace
