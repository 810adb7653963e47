#include "tyaprover/filters/tracing.h"

#include <gmock/gmock.h>
#include <netinet/in.h>

#include <map>
#include <optional>
#include <vector>

#include "tyaprover/filters/metrics.h"
#include "tyaprover/filters/test_exchange.h"
#include "tyaprover/trace/trace_context.h"
#include "tyaprover/trace/trace_testing.h"

namespace tyaprover::filters {
namespace {

using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::StartsWith;

using Values = std::map<std::string, std::string>;

constexpr std::string_view kTraceId = "0af7651916cd43dd8448eb211c80319c";
constexpr std::string_view kParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

template <class Id>
std::string hex(const Id& id) {
  const auto digits = id.to_hex();
  return {digits.data(), digits.size()};
}

// Attributes as text; integers marked, so that a number is not taken for its digits.
Values attributes(const trace::SpanData& span) {
  Values all;
  for (const trace::AttributeData& each : span.attributes) {
    std::string value = "?";
    if (each.type() == trace::AttributeType::string) value = each.value().text().view();
    if (each.type() == trace::AttributeType::integer) {
      value = "#" + std::to_string(each.value().integer());
    }
    all.emplace(each.key(), value);
  }
  return all;
}

std::string attribute(const trace::SpanData& span, const std::string& key) {
  const Values all = attributes(span);
  const auto found = all.find(key);
  return found == all.end() ? "-" : found->second;
}

class TracingFilter : public ExchangeTest {
 protected:
  TracingFilter() { exchange.route = "/api"; }

  // The filter that the test is about, made at its first use.
  Tracing& filter() {
    if (!filter_) {
      tracing_.emplace(recorder.tracer(), options);
      filter_.emplace(&*tracing_);
    }
    return *filter_;
  }
  const HttpTracing& tracing() {
    filter();
    return *tracing_;
  }
  void begin() { ASSERT_EQ(filter().on_request(exchange, state), Verdict::proceed); }
  void end() {
    filter().on_response(exchange, state);
    filter().on_finish(exchange, state);
  }
  // The server span of a request that goes through all hooks.
  trace::OwnedSpan serve() {
    begin();
    end();
    return recorder.one();
  }

  HttpTracingOptions options;
  trace::Recorder recorder;
  Tracing::State state;

 private:
  std::optional<HttpTracing> tracing_;
  std::optional<Tracing> filter_;
};

TEST_F(TracingFilter, SpanIsNamedByMethodAndRouteNeverByThePathT50) {
  using http::Method;
  exchange.request.path = "/api/secret/4711";
  const struct {
    Method method;
    std::string_view route, name;
  } cases[] = {
      {Method::get, "/api", "GET /api"},         {Method::post, "/", "POST /"},
      {Method::delete_, "/x", "DELETE /x"},      {Method::other, "/api", "HTTP /api"},
      {Method::get, "unmatched", "GET"},         {Method::other, "unmatched", "HTTP"},
      {Method::connect, "/api", "CONNECT /api"},
  };
  for (const auto& c : cases) {
    exchange.request.method_id = c.method;
    exchange.route = c.route;
    const trace::OwnedSpan span = serve();
    EXPECT_EQ(span->name.view(), c.name);
    EXPECT_EQ(span->kind, trace::SpanKind::server);
    EXPECT_EQ(attribute(*span, "http.route"), c.route == "unmatched" ? "-" : c.route);
  }
}

TEST_F(TracingFilter, ALongRouteIsCut) {
  const std::string route = "/" + std::string(400, 'r');
  exchange.route = route;
  EXPECT_EQ(serve()->name.view(), ("GET " + route).substr(0, 256));
}

class SemconvOfFilter : public TracingFilter {
 protected:
  SemconvOfFilter() {
    exchange.request.path = "/a/b";
    exchange.request.query = "token=1";
    exchange.request.has_query = true;
    exchange.request.origin_form = "/a/b?token=1";
    exchange.request.authority = "example.test:8080";
    exchange.request.minor_version = 1;
    exchange.client = "192.0.2.7";
    sockaddr_in peer{};
    peer.sin_family = AF_INET;
    peer.sin_port = htons(4711);
    peer.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    exchange.peer = http::PeerAddress(reinterpret_cast<const sockaddr*>(&peer), sizeof(peer));
    request_field("User-Agent", "curl/8");
  }

  static Values stable() {
    return {{"http.route", "/api"},
            {"http.request.method", "GET"},
            {"url.path", "/a/b"},
            {"url.scheme", "http"},
            {"url.query", "token=1"},
            {"server.address", "example.test"},
            {"server.port", "#8080"},
            {"client.address", "192.0.2.7"},
            {"network.peer.address", "127.0.0.1"},
            {"network.peer.port", "#4711"},
            {"network.protocol.version", "1.1"},
            {"user_agent.original", "curl/8"},
            {"http.response.status_code", "#200"}};
  }
  static Values seed() {
    return {{"http.route", "/api"},
            {"http.method", "GET"},
            {"http.target", "/a/b?token=1"},
            {"http.url", "http://example.test:8080/a/b?token=1"},
            {"http.status_code", "#200"}};
  }
};

TEST_F(SemconvOfFilter, StableNamesT50) {
  EXPECT_EQ(attributes(*serve()), stable());
}

TEST_F(SemconvOfFilter, SeedNamesT52) {
  options.semconv = Semconv::seed;
  EXPECT_EQ(attributes(*serve()), seed());
}

TEST_F(SemconvOfFilter, BothNamesT52) {
  options.semconv = Semconv::both;
  Values both = stable();
  both.merge(seed());
  EXPECT_EQ(attributes(*serve()), both);
}

TEST_F(SemconvOfFilter, TheQueryCanBeKeptOutT50) {
  options.semconv = Semconv::both;
  options.query = false;
  const trace::OwnedSpan span = serve();
  EXPECT_EQ(attribute(*span, "url.query"), "***");
  EXPECT_EQ(attribute(*span, "http.target"), "/a/b");
  EXPECT_EQ(attribute(*span, "http.url"), "http://example.test:8080/a/b");
}

TEST_F(SemconvOfFilter, AnUnknownMethodIsOtherWithItsOriginalT50) {
  exchange.request.method = "BREW";
  exchange.request.method_id = http::Method::other;
  const trace::OwnedSpan span = serve();
  EXPECT_EQ(attribute(*span, "http.request.method"), "_OTHER");
  EXPECT_EQ(attribute(*span, "http.request.method_original"), "BREW");
}

TEST_F(SemconvOfFilter, Version10IsToldT50) {
  exchange.request.minor_version = 0;
  EXPECT_EQ(attribute(*serve(), "network.protocol.version"), "1.0");
}

TEST_F(SemconvOfFilter, CacheAndBreakerAreToldT53) {
  exchange.cache = "hit";
  exchange.breaker = "half_open";
  const trace::OwnedSpan span = serve();
  EXPECT_EQ(attribute(*span, "cache.status"), "hit");
  EXPECT_EQ(attribute(*span, "breaker.state"), "half_open");
}

TEST_F(TracingFilter, OnlyServerFaultsAreErrorsT50T54) {
  using http::Outcome;
  using http::Reason;
  using trace::SpanStatus;
  const struct {
    int status;
    Reason reason;
    Outcome outcome;
    SpanStatus expected;
    std::string_view code, error_type;
  } cases[] = {
      {200, Reason::none, Outcome::complete, SpanStatus::unset, "#200", "-"},
      {304, Reason::none, Outcome::complete, SpanStatus::unset, "#304", "-"},
      {404, Reason::none, Outcome::complete, SpanStatus::unset, "#404", "-"},
      {499, Reason::none, Outcome::complete, SpanStatus::unset, "#499", "-"},
      {404, Reason::no_route, Outcome::complete, SpanStatus::unset, "#404", "no_route"},
      {500, Reason::none, Outcome::complete, SpanStatus::error, "#500", "500"},
      {503, Reason::none, Outcome::complete, SpanStatus::error, "#503", "503"},
      {502, Reason::upstream_connect_failed, Outcome::complete, SpanStatus::error, "#502",
       "upstream_connect_failed"},
      {504, Reason::upstream_response_timeout, Outcome::complete, SpanStatus::error, "#504",
       "upstream_response_timeout"},
      {200, Reason::none, Outcome::client_disconnected, SpanStatus::unset, "#499",
       "client_disconnected"},
      {200, Reason::none, Outcome::truncated, SpanStatus::error, "#200", "truncated"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(testing::Message() << c.status << " " << c.error_type);
    exchange.response.status = c.status;
    exchange.reason = c.reason;
    exchange.outcome = c.outcome;
    const trace::OwnedSpan span = serve();
    EXPECT_EQ(span->status, c.expected);
    EXPECT_EQ(attribute(*span, "http.response.status_code"), c.code);
    EXPECT_EQ(attribute(*span, "error.type"), c.error_type);
  }
}

TEST_F(TracingFilter, WithoutAParentATraceBegins) {
  const trace::OwnedSpan span = serve();
  EXPECT_FALSE(span->parent_span_id.is_valid());
  EXPECT_TRUE(span->trace_id.is_valid());
  EXPECT_TRUE(span->flags.random()) << "our own ids are random (T1)";
  EXPECT_EQ(exchange.trace_id, hex(span->trace_id));
  EXPECT_EQ(exchange.span_id, hex(span->span_id));
}

TEST_F(TracingFilter, TrustDecidesWhoseTraceGoesOnT14) {
  const struct {
    TraceTrust trust;
    bool peer_trusted, joined;
  } cases[] = {
      {TraceTrust::always, false, true},           {TraceTrust::always, true, true},
      {TraceTrust::trusted_proxies, false, false}, {TraceTrust::trusted_proxies, true, true},
      {TraceTrust::never, false, false},           {TraceTrust::never, true, false},
  };
  request_field("traceparent", kParent);
  for (const auto& c : cases) {
    SCOPED_TRACE(testing::Message() << static_cast<int>(c.trust) << " " << c.peer_trusted);
    const HttpTracing shared(recorder.tracer(), {.trust = c.trust});
    Tracing one(&shared);
    exchange.peer_trusted = c.peer_trusted;
    ASSERT_EQ(one.on_request(exchange, state), Verdict::proceed);
    one.on_finish(exchange, state);
    const trace::OwnedSpan span = recorder.one();
    EXPECT_EQ(hex(span->trace_id) == kTraceId, c.joined);
    if (c.joined) {
      EXPECT_EQ(hex(span->parent_span_id), "b7ad6b7169203331");
      EXPECT_TRUE(span->parent_is_remote);
      EXPECT_TRUE(span->links.empty());
    } else {
      EXPECT_FALSE(span->parent_span_id.is_valid());
      ASSERT_EQ(span->links.size(), 1u);
      EXPECT_EQ(hex(span->links[0].trace_id), kTraceId);
      EXPECT_EQ(hex(span->links[0].span_id), "b7ad6b7169203331");
    }
  }
}

TEST_F(TracingFilter, AnUntrustedSamplingDecisionDoesNotCountT14) {
  options.trust = TraceTrust::never;
  request_field("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00");
  EXPECT_TRUE(serve()->flags.sampled());
}

TEST_F(TracingFilter, AnUntrustedDecisionOfB3WithoutIdsDoesNotCountT14) {
  options.trust = TraceTrust::never;
  options.propagators = {trace::Propagator::b3};
  request_field("b3", "0");
  EXPECT_TRUE(serve()->flags.sampled());
}

TEST_F(TracingFilter, ADecisionOfB3WithoutIdsHoldsForTheNewTraceT13) {
  options.propagators = {trace::Propagator::b3};
  request_field("b3", "0");
  begin();
  EXPECT_EQ(exchange.trace_id.size(), 32u);
  EXPECT_FALSE(exchange.trace_sampled);
  end();
  EXPECT_TRUE(recorder.take().empty());
}

TEST_F(TracingFilter, TheResponseCarriesTheServerSpanT15) {
  request_field("traceparent", kParent);
  response_field("traceparent", "00-ffffffffffffffffffffffffffffffff-ffffffffffffffff-01");
  const trace::OwnedSpan span = serve();
  EXPECT_EQ(sent("traceparent"), "00-" + std::string(kTraceId) + "-" + hex(span->span_id) + "-01");
}

TEST_F(TracingFilter, TheResponseHeaderCanBeOffT15) {
  options.response_header = false;
  serve();
  EXPECT_EQ(sent("traceparent"), "-");
}

TEST_F(TracingFilter, AnUnsampledRequestHasIdsAndNoSpanT23) {
  request_field("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00");
  begin();
  EXPECT_EQ(exchange.trace_id, kTraceId);
  EXPECT_EQ(exchange.span_id.size(), 16u);
  EXPECT_NE(exchange.span_id, "b7ad6b7169203331");
  EXPECT_FALSE(exchange.trace_sampled);
  const trace::Span child = start_upstream_span(tracing(), exchange, {.host = "a", .port = 80});
  EXPECT_FALSE(child.is_recording());
  EXPECT_THAT(trace::TraceContext::format(child.context()),
              AllOf(StartsWith("00-" + std::string(kTraceId) + "-"), EndsWith("-00")));
  end();
  EXPECT_THAT(sent("traceparent"), EndsWith("-00"));
  EXPECT_TRUE(recorder.take().empty());
}

TEST_F(TracingFilter, WhatIsUntracedHasNoSpan) {
  exchange.untraced = true;
  request_field("traceparent", kParent);
  begin();
  end();
  EXPECT_TRUE(recorder.take().empty());
  EXPECT_EQ(exchange.trace_id, "");
  EXPECT_EQ(sent("traceparent"), "-");
}

TEST_F(TracingFilter, ARouteCanBeLeftOut) {
  settings.tracing.enabled = false;
  begin();
  end();
  EXPECT_TRUE(recorder.take().empty());
  EXPECT_EQ(sent("traceparent"), "-");
}

TEST_F(TracingFilter, WithoutTracingNothingHappens) {
  Tracing off(nullptr);
  EXPECT_EQ(off.on_request(exchange, state), Verdict::proceed);
  off.on_response(exchange, state);
  off.on_finish(exchange, state);
  EXPECT_FALSE(exchange.current_span().context().is_valid());
  EXPECT_EQ(sent("traceparent"), "-");
}

TEST_F(TracingFilter, TheHandlerCanAddToTheSpan) {
  begin();
  exchange.current_span().add_event("retry", {{"reason", "reset"}});
  exchange.current_span().set_attribute("user.tier", "gold");
  end();
  const trace::OwnedSpan span = recorder.one();
  ASSERT_EQ(span->events.size(), 1u);
  EXPECT_EQ(span->events[0].name.view(), "retry");
  EXPECT_EQ(attribute(*span, "user.tier"), "gold");
}

TEST_F(TracingFilter, OnlySampledTracesBecomeExemplarsT55) {
  metrics::Registry registry;
  HttpMetrics shared(registry, {});
  Metrics metrics(shared);
  Metrics::State metrics_state;
  const auto page = [&] {
    return registry.expose({.accept = "application/openmetrics-text"}).text();
  };
  for (const bool sampled : {false, true}) {
    exchange.request.fields.clear();
    request_field("traceparent",
                  sampled ? kParent : "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00");
    begin();
    metrics.on_finish(exchange, metrics_state);
    EXPECT_EQ(page().find("trace_id=\"" + std::string(kTraceId)) != std::string::npos, sampled);
    end();
  }
}

// --- one try of an upstream

class UpstreamSpan : public TracingFilter {
 protected:
  UpstreamSpan() {
    exchange.request.path = "/a";
    exchange.request.query = "q=1";
    exchange.request.has_query = true;
    exchange.request.origin_form = "/a?q=1";
  }
  trace::OwnedSpan ask(const UpstreamTry& to, int status = 200,
                       http::Reason reason = http::Reason::none) {
    begin();
    trace::Span span = start_upstream_span(tracing(), exchange, to);
    describe_upstream_answer(tracing(), span, status, reason);
    span.end();
    trace::OwnedSpan ended = recorder.one();
    end();
    static_cast<void>(recorder.one());  // the server's
    return ended;
  }
};

TEST_F(UpstreamSpan, IsAClientSpanBelowTheServersT51) {
  const trace::OwnedSpan span = ask({.host = "10.0.0.1", .port = 8080});
  EXPECT_EQ(span->kind, trace::SpanKind::client);
  EXPECT_EQ(span->name.view(), "GET");
  EXPECT_EQ(hex(span->trace_id), exchange.trace_id);
  EXPECT_EQ(hex(span->parent_span_id), exchange.span_id);
  EXPECT_FALSE(span->parent_is_remote);
  EXPECT_EQ(span->status, trace::SpanStatus::unset);
  EXPECT_EQ(attributes(*span), (Values{{"http.request.method", "GET"},
                                       {"server.address", "10.0.0.1"},
                                       {"server.port", "#8080"},
                                       {"url.full", "http://10.0.0.1:8080/a?q=1"},
                                       {"http.response.status_code", "#200"}}));
}

TEST_F(UpstreamSpan, RepeatsAreCountedT51) {
  const trace::OwnedSpan span = ask({.host = "a", .port = 80, .resend = 2});
  EXPECT_EQ(attribute(*span, "http.request.resend_count"), "#2");
}

TEST_F(UpstreamSpan, AUnixSocketHasNoPort) {
  const trace::OwnedSpan span = ask({.host = "/run/app.sock", .port = 0});
  EXPECT_EQ(attribute(*span, "server.address"), "/run/app.sock");
  EXPECT_EQ(attribute(*span, "server.port"), "-");
  EXPECT_EQ(attribute(*span, "url.full"), "http://localhost/a?q=1");
}

TEST_F(UpstreamSpan, SeedNamesT52) {
  options.semconv = Semconv::seed;
  options.query = false;
  const trace::OwnedSpan span = ask({.host = "a", .port = 80});
  EXPECT_EQ(attributes(*span), (Values{{"http.method", "GET"},
                                       {"http.url", "http://a:80/a"},
                                       {"http.status_code", "#200"}}));
}

TEST_F(UpstreamSpan, ErrorsBeginAt400T51) {
  const struct {
    int status;
    http::Reason reason;
    bool error;
    std::string_view code, error_type;
  } cases[] = {
      {200, http::Reason::none, false, "#200", "-"},
      {399, http::Reason::none, false, "#399", "-"},
      {400, http::Reason::none, true, "#400", "400"},
      {503, http::Reason::none, true, "#503", "503"},
      {0, http::Reason::upstream_reset, true, "-", "upstream_reset"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.status);
    const trace::OwnedSpan span = ask({.host = "a", .port = 80}, c.status, c.reason);
    EXPECT_EQ(span->status == trace::SpanStatus::error, c.error);
    EXPECT_EQ(attribute(*span, "http.response.status_code"), c.code);
    EXPECT_EQ(attribute(*span, "error.type"), c.error_type);
  }
}

TEST_F(UpstreamSpan, ACutAnswerEndsItWithAnErrorT51) {
  begin();
  exchange.upstream_span = start_upstream_span(tracing(), exchange, {.host = "a", .port = 80});
  describe_upstream_answer(tracing(), exchange.upstream_span, 200, http::Reason::none);
  exchange.outcome = http::Outcome::truncated;
  end();
  const std::vector<trace::OwnedSpan> spans = recorder.take();
  ASSERT_EQ(spans.size(), 2u);
  EXPECT_EQ(spans[0]->kind, trace::SpanKind::client) << "a child ends before its parent";
  EXPECT_EQ(attribute(*spans[0], "error.type"), "truncated");
  EXPECT_EQ(spans[0]->status, trace::SpanStatus::error);
}

}  // namespace
}  // namespace tyaprover::filters
