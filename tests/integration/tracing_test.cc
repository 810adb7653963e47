// Traces of the running program, as its upstream, its client and its collector see them (the
// tracing specification, sections 3, 5, 7 and 11).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cmath>
#include <csignal>

#include "tests/integration/support.h"

namespace tyaprover::test {
namespace {

using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

const std::string kTrace = "0af7651916cd43dd8448eb211c80319c";
const std::string kSpan = "b7ad6b7169203331";

std::string trace_of(const std::string& traceparent) {
  return traceparent.size() == 55 ? traceparent.substr(3, 32) : traceparent;
}
std::string span_of(const std::string& traceparent) {
  return traceparent.size() == 55 ? traceparent.substr(36, 16) : traceparent;
}

// A span with its attributes as an object of plain values.
Json plain(Json span) {
  Json attributes = Json::object();
  for (const Json& each : span.value("attributes", Json::array())) {
    attributes[each["key"].get<std::string>()] = each["value"].begin().value();
  }
  span["attributes"] = attributes;
  return span;
}

// A collector of OTLP/JSON.
class Collector {
 public:
  // Answers a post; true = its spans were taken.
  using Answer = std::function<bool(UpstreamExchange&)>;

  static bool take(UpstreamExchange& e) { return e.send(ok("{}")); }
  static bool answer(UpstreamExchange& e, const std::string& head) {
    e.send("HTTP/1.1 " + head + "\r\nContent-Length: 0\r\n\r\n");
    return false;
  }

  explicit Collector(Answer answer = take) : Collector(std::move(answer), Socket::listen_tcp()) {}
  Collector(Answer answer, Socket listener)
      : answer_(std::move(answer)),
        upstream_([this](UpstreamExchange& e) { serve(e); }, std::move(listener)) {}

  std::string url() const { return upstream_.url() + "/v1/traces"; }
  std::size_t posts() const { return upstream_.request_count(); }
  std::vector<Json> spans() const {
    const std::lock_guard lock(mutex_);
    return spans_;
  }
  std::vector<Json> wait_for(std::size_t count) const {
    EXPECT_TRUE(wait_until([&] { return spans().size() >= count; })) << spans().size();
    return spans();
  }

 private:
  void serve(UpstreamExchange& e) {
    if (!e.read_body()) return;
    const Json body = Json::parse(e.request.body, nullptr, false);
    EXPECT_TRUE(body.is_object()) << e.request.body;
    if (!answer_(e)) return;
    const std::lock_guard lock(mutex_);
    for (const Json& resource : body["resourceSpans"]) {
      for (const Json& scope : resource["scopeSpans"]) {
        for (const Json& span : scope["spans"]) spans_.push_back(plain(span));
      }
    }
  }

  Answer answer_;
  mutable std::mutex mutex_;
  std::vector<Json> spans_;
  Upstream upstream_;  // last: its threads use what stands above
};

// One worker that sends its spans to `endpoint`, soon.
GatewayOptions traced(const std::vector<std::string>& targets, const std::string& endpoint,
                      const std::string& tracing = "exporter_protocol: otlp-json",
                      const std::string& settings = "",
                      std::map<std::string, std::string> environment = {}) {
  environment.emplace("OTEL_BSP_SCHEDULE_DELAY", "20");
  environment.emplace("OTEL_EXPORTER_OTLP_COMPRESSION", "none");
  return {.yaml = proxy_to(targets, "tracing: {exporter_endpoint: \"" + endpoint + "\", " +
                                        tracing + "}\n" + settings),
          .arguments = {},
          .environment = std::move(environment),
          .descriptors = {}};
}

double sample(const Gateway& gateway, const std::string& name) {
  const std::string text = sample_text(get(gateway.port(), "/metrics").body, name);
  return text.empty() ? NAN : std::stod(text);
}
double dropped(const Gateway& gateway, const std::string& reason) {
  return sample(gateway, "tyaprover_trace_spans_dropped_total{reason=\"" + reason + "\"}");
}

std::size_t count_of(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (std::size_t at = 0; (at = text.find(part, at)) != std::string::npos; ++at) ++count;
  return count;
}

Json find_span(const std::vector<Json>& spans, int kind) {
  for (const Json& span : spans) {
    if (span["kind"] == kind) return span;
  }
  return {};
}
constexpr int kServer = 2;
constexpr int kClient = 3;
constexpr int kError = 2;

// --- W3C Trace Context through the gateway (T10, T11, section 11)

TEST(TraceContext, TraceparentRulesT10) {
  Upstream upstream;
  Gateway gateway(proxy_to(upstream));
  const std::string ids = kTrace + "-" + kSpan;
  const std::string zeros(32, '0');
  const std::string good = "traceparent: 00-" + ids + "-01\r\n";
  const struct {
    std::string what, fields, flags;  // without flags: a new trace
  } cases[] = {
      {"sampled", good, "01"},
      {"not sampled", "traceparent: 00-" + ids + "-00\r\n", "00"},
      {"random", "traceparent: 00-" + ids + "-03\r\n", "03"},
      {"unknown flags are not passed on", "traceparent: 00-" + ids + "-ff\r\n", "03"},
      {"the name's case", "TraceParent: 00-" + ids + "-01\r\n", "01"},
      {"blanks around", "traceparent:  \t00-" + ids + "-01 \t\r\n", "01"},
      {"higher version", "traceparent: cc-" + ids + "-01\r\n", "01"},
      {"higher version with more", "traceparent: cc-" + ids + "-01-what\r\n", "01"},
      {"higher version with more and no dash", "traceparent: cc-" + ids + "-01.what\r\n", ""},
      {"version ff", "traceparent: ff-" + ids + "-01\r\n", ""},
      {"version 00 with more", "traceparent: 00-" + ids + "-01-what\r\n", ""},
      {"version 00 with a dash", "traceparent: 00-" + ids + "-01-\r\n", ""},
      {"version of one digit", "traceparent: 0-" + ids + "-01\r\n", ""},
      {"version is no hex", "traceparent: .0-" + ids + "-01\r\n", ""},
      {"zero trace id", "traceparent: 00-" + zeros + "-" + kSpan + "-01\r\n", ""},
      {"zero span id", "traceparent: 00-" + kTrace + "-0000000000000000-01\r\n", ""},
      {"upper case", "traceparent: 00-0AF7651916CD43DD8448EB211C80319C-" + kSpan + "-01\r\n", ""},
      {"upper case span id", "traceparent: 00-" + kTrace + "-B7AD6B7169203331-01\r\n", ""},
      {"short trace id", "traceparent: 00-" + kTrace.substr(1) + "-" + kSpan + "-01\r\n", ""},
      {"long trace id", "traceparent: 00-0" + kTrace + "-" + kSpan + "-01\r\n", ""},
      {"short span id", "traceparent: 00-" + kTrace + "-" + kSpan.substr(1) + "-01\r\n", ""},
      {"long span id", "traceparent: 00-" + kTrace + "-0" + kSpan + "-01\r\n", ""},
      {"flags of one digit", "traceparent: 00-" + ids + "-1\r\n", ""},
      {"flags are no hex", "traceparent: 00-" + ids + "-.0\r\n", ""},
      {"other separators", "traceparent: 00_" + kTrace + "_" + kSpan + "_01\r\n", ""},
      {"empty", "traceparent: \r\n", ""},
      {"none", "", ""},
      {"two that differ", good + "traceparent: 00-" + ids + "-00\r\n", ""},
      {"two alike", good + good, ""},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.what);
    const Response response = get(gateway.port(), "/", c.fields);
    const Message sent = upstream.requests().back();
    const std::string out = sent.header("traceparent");
    const std::string back = response.header("traceparent");
    EXPECT_EQ(sent.count("traceparent"), 1u);
    EXPECT_EQ(out.size(), 55u) << out;
    EXPECT_THAT(out, AllOf(StartsWith("00-"), EndsWith(c.flags.empty() ? "-03" : "-" + c.flags)));
    EXPECT_EQ(trace_of(out) == kTrace, !c.flags.empty()) << out;
    EXPECT_NE(span_of(out), kSpan);
    EXPECT_NE(span_of(back), kSpan);
    EXPECT_EQ(trace_of(back), trace_of(out));
    EXPECT_EQ(back.substr(52), out.substr(52));
  }
}

TEST(TraceContext, TracestateRulesT11) {
  Upstream upstream;
  Gateway gateway(proxy_to(upstream));
  const auto members = [](int count) {
    std::string list;
    for (int i = 0; i < count; ++i) list += (i ? ",k" : "k") + std::to_string(i) + "=v";
    return list;
  };
  const auto line = [](const std::string& value) { return "tracestate: " + value + "\r\n"; };
  const std::string long_key(256, 'k');
  const std::string long_value(256, 'v');
  const std::string tenant(241, 't');
  const struct {
    std::string fields, expected;
  } cases[] = {
      {line("foo=1"), "foo=1"},
      {line("foo=1,bar=2"), "foo=1,bar=2"},
      {line("foo=1") + line("bar=2"), "foo=1,bar=2"},
      {line("foo=1") + line("") + "TraceState: bar=2\r\n", "foo=1,bar=2"},
      {line("foo=1 \t , \tbar=2"), "foo=1,bar=2"},
      {line("foo=1,,bar=2,"), "foo=1,bar=2"},
      {line(""), ""},
      {line("foo=1,foo=1"), ""},
      {line("foo=1") + line("foo=2"), ""},
      {line("foo"), ""},
      {line("=1"), ""},
      {line("foo="), ""},
      {line("foo=1=2"), ""},
      {line("foo =1"), ""},
      {line("FOO=1"), ""},
      {line("foo.bar=1"), ""},
      {line("1foo=1"), ""},
      {line("foo= 1 x"), "foo= 1 x"},
      {line("f_-*/0=1"), "f_-*/0=1"},
      {line("0t@v=1"), "0t@v=1"},
      {line("@v=1"), ""},
      {line("t@=1"), ""},
      {line("t@0v=1"), ""},
      {line("t@v@w=1"), ""},
      {line(tenant + "@" + std::string(14, 'v') + "=1"), tenant + "@vvvvvvvvvvvvvv=1"},
      {line(tenant + "t@v=1"), ""},
      {line("t@" + std::string(15, 'v') + "=1"), ""},
      {line(long_key + "=1"), long_key + "=1"},
      {line(long_key + "k=1"), ""},
      {line("k=" + long_value), "k=" + long_value},
      {line("k=" + long_value + "v"), ""},
      {line(members(32)), members(32)},
      {line(members(33)), ""},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.fields);
    get(gateway.port(), "/", "traceparent: 00-" + kTrace + "-" + kSpan + "-01\r\n" + c.fields);
    const Message sent = upstream.requests().back();
    EXPECT_EQ(trace_of(sent.header("traceparent")), kTrace);
    EXPECT_EQ(sent.header("tracestate"), c.expected);
    EXPECT_EQ(sent.count("tracestate"), c.expected.empty() ? 0u : 1u);
  }
}

TEST(TraceContext, TracestateOfAnInvalidTraceparentIsDroppedT11) {
  Upstream upstream;
  Gateway gateway(proxy_to(upstream));
  for (const char* const fields :
       {"tracestate: foo=1\r\n", "traceparent: 00-0-0-01\r\ntracestate: foo=1\r\n"}) {
    get(gateway.port(), "/", fields);
    EXPECT_FALSE(upstream.requests().back().has("tracestate")) << fields;
  }
}

TEST(TraceContext, BaggagePassesThroughT12) {
  Upstream upstream;
  Gateway gateway(proxy_to(upstream));
  get(gateway.port(), "/", "baggage: a=1;p=2, b=%20x\r\n");
  EXPECT_EQ(upstream.requests().back().header("baggage"), "a=1;p=2, b=%20x");
}

TEST(TraceContext, UnsampledStillHasIdsT23) {
  Upstream upstream;
  Gateway gateway(proxy_to(upstream, "tracing: {sample_rate: 0}"));
  const Response response = get(gateway.port(), "/");
  EXPECT_THAT(upstream.requests().back().header("traceparent"), EndsWith("-02"));
  EXPECT_THAT(response.header("traceparent"), EndsWith("-02"));
}

// --- other formats (T13)

TEST(TracePropagators, ReadAndWriteTheirFieldsT13) {
  Upstream upstream;
  const std::string spaced = "Root=1-" + kTrace.substr(0, 8) + "-" + kTrace.substr(8);
  const struct {
    std::string propagator, fields, name;
    std::function<std::string(const std::string& span)> expected;
  } cases[] = {
      {"b3", "b3: " + kTrace + "-" + kSpan + "-1\r\n", "b3",
       [](const std::string& span) { return kTrace + "-" + span + "-1"; }},
      {"b3", "b3: a3ce929d0e0e4736-" + kSpan + "-d\r\n", "b3",
       [](const std::string& span) { return "0000000000000000a3ce929d0e0e4736-" + span + "-1"; }},
      {"b3multi",
       "X-B3-TraceId: " + kTrace + "\r\nX-B3-SpanId: " + kSpan +
           "\r\nX-B3-Sampled: 1\r\nX-B3-ParentSpanId: 0000000000000001\r\n",
       "X-B3-TraceId", [](const std::string&) { return kTrace; }},
      {"jaeger", "uber-trace-id: " + kTrace + ":" + kSpan + ":0:1\r\n", "uber-trace-id",
       [](const std::string& span) { return kTrace + ":" + span + ":0:1"; }},
      {"xray", "X-Amzn-Trace-Id: " + spaced + ";Parent=" + kSpan + ";Sampled=1\r\n",
       "X-Amzn-Trace-Id",
       [&](const std::string& span) { return spaced + ";Parent=" + span + ";Sampled=1"; }},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.fields);
    Gateway gateway(
        proxy_to(upstream, "tracing: {propagators: [" + c.propagator + ", tracecontext]}"));
    get(gateway.port(), "/", c.fields);
    const Message sent = upstream.requests().back();
    const std::string span = span_of(sent.header("traceparent"));
    EXPECT_EQ(sent.header(c.name), c.expected(span));
    EXPECT_NE(span, kSpan);
    EXPECT_FALSE(sent.has("X-B3-ParentSpanId")) << "stale";
  }
}

TEST(TracePropagators, StaleFieldsOfOtherFormatsGoT13) {
  Upstream upstream;
  Gateway gateway(proxy_to(upstream));
  get(gateway.port(), "/",
      "traceparent: 00-" + kTrace + "-" + kSpan + "-01\r\nb3: " + kTrace + "-" + kSpan +
          "-0\r\nX-B3-TraceId: " + kTrace +
          "\r\nX-B3-Sampled: 0\r\nuber-trace-id: 1:2:0:0\r\n"
          "X-Amzn-Trace-Id: Root=1-5759e988-bd862e3fe1be46a994272793\r\n");
  const Message sent = upstream.requests().back();
  for (const char* const name :
       {"b3", "X-B3-TraceId", "X-B3-Sampled", "uber-trace-id", "X-Amzn-Trace-Id"}) {
    EXPECT_FALSE(sent.has(name)) << name;
  }
}

TEST(TracePropagators, B3DenyAloneT13) {
  Upstream upstream;
  Gateway gateway(proxy_to(upstream, "tracing: {propagators: [b3]}"));
  get(gateway.port(), "/", "b3: 0\r\n");
  EXPECT_THAT(upstream.requests().back().header("b3"), EndsWith("-0"));
}

// --- spans (T50, T51, T54, T55)

TEST(TraceSpans, ServerAndClientT50T51T55) {
  Collector collector;
  Upstream upstream;
  Gateway gateway(traced({upstream.url()}, collector.url()));
  const Response response =
      get(gateway.port(), "/some/path?q=1", "traceparent: 00-" + kTrace + "-" + kSpan + "-01\r\n");
  const std::vector<Json> spans = collector.wait_for(2);
  ASSERT_EQ(spans.size(), 2u);
  const Json server = find_span(spans, kServer);
  const Json client = find_span(spans, kClient);
  EXPECT_EQ(server["traceId"], kTrace);
  EXPECT_EQ(server["parentSpanId"], kSpan);
  EXPECT_EQ(server["name"], "GET /");
  EXPECT_EQ(server["attributes"]["url.path"], "/some/path");
  EXPECT_EQ(server["attributes"]["url.query"], "q=1");
  EXPECT_EQ(server["attributes"]["http.route"], "/");
  EXPECT_EQ(server["attributes"]["http.response.status_code"], "200");
  EXPECT_EQ(client["traceId"], kTrace);
  EXPECT_EQ(client["parentSpanId"], server["spanId"]);
  EXPECT_EQ(client["name"], "GET");
  EXPECT_EQ(client["attributes"]["server.port"], std::to_string(upstream.port()));
  EXPECT_EQ(client["attributes"]["url.full"], upstream.url() + "/some/path?q=1");
  EXPECT_EQ(span_of(response.header("traceparent")), server["spanId"]);
  EXPECT_EQ(span_of(upstream.requests().at(0).header("traceparent")), client["spanId"]);
  const Json line = gateway.wait_for_path("/some/path");
  EXPECT_EQ(line["trace_id"], kTrace);
  EXPECT_EQ(line["span_id"], server["spanId"]);
}

TEST(TraceSpans, EveryTryHasItsSpanT51) {
  Collector collector;
  Upstream upstream;
  const std::string dead = "http://127.0.0.1:" + std::to_string(unused_port());
  Gateway gateway(traced({dead, upstream.url()}, collector.url()));
  Json failed;
  EXPECT_TRUE(wait_until([&] {
    EXPECT_EQ(get(gateway.port(), "/").status, 200);
    for (const Json& span : collector.spans()) {
      if (span["attributes"].value("error.type", "") == "upstream_connect_failed") failed = span;
    }
    return failed.is_object();
  }));
  EXPECT_EQ(failed["status"]["code"], kError);
  const auto repeat_of = [&] {
    for (const Json& span : collector.spans()) {
      // A root has no parent; to index a constant object by a key that it has not is undefined.
      const bool sibling = span.value("parentSpanId", "") == failed["parentSpanId"];
      if (sibling && span["spanId"] != failed["spanId"]) return span;
    }
    return Json();
  };
  ASSERT_TRUE(wait_until([&] { return repeat_of().is_object(); }));
  EXPECT_EQ(repeat_of()["attributes"]["http.request.resend_count"], "1");
  EXPECT_EQ(repeat_of()["attributes"]["http.response.status_code"], "200");
  EXPECT_FALSE(failed["attributes"].contains("http.request.resend_count"));
}

TEST(TraceSpans, LocalRepliesTellTheirReasonT54) {
  Upstream hanging([](UpstreamExchange& e) { e.wait_for_close(); });
  const std::string dead = "http://127.0.0.1:" + std::to_string(unused_port());
  for (const auto& [target, status, reason] :
       std::vector<std::tuple<std::string, std::string, std::string>>{
           {dead, "502", "upstream_connect_failed"},
           {hanging.url(), "504", "upstream_response_timeout"}}) {
    SCOPED_TRACE(status);
    Collector collector;
    Gateway gateway(traced({target}, collector.url(), "exporter_protocol: otlp-json",
                           "timeouts: {response_head: 200ms}"));
    EXPECT_EQ(std::to_string(get(gateway.port(), "/").status), status);
    for (const Json& span : collector.wait_for(2)) {
      EXPECT_EQ(span["attributes"]["error.type"], reason);
      EXPECT_EQ(span["status"]["code"], kError);
    }
    const Json server = find_span(collector.spans(), kServer);
    EXPECT_EQ(server["attributes"]["http.response.status_code"], status);
  }
}

TEST(TraceSpans, AClientThatLeftT54) {
  Collector collector;
  std::atomic<bool> arrived{false};
  Upstream hanging([&](UpstreamExchange& e) {
    arrived = true;
    e.wait_for_close();
  });
  Gateway gateway(traced({hanging.url()}, collector.url()));
  RawClient client(gateway.port());
  client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_TRUE(wait_until([&] { return arrived.load(); }));
  client.reset();
  const Json server = find_span(collector.wait_for(2), kServer);
  EXPECT_EQ(server["attributes"]["error.type"], "client_disconnected");
  EXPECT_EQ(server["attributes"]["http.response.status_code"], "499");
  EXPECT_EQ(server["status"].value("code", 0), 0) << server;
}

// --- where spans go (T43)

TEST(TraceEndpoints, AreDetectedByPathT43) {
  const struct {
    std::string path, content_type, begin;
  } cases[] = {
      {"/api/traces", "application/vnd.apache.thrift.binary", "\x0c"},
      {"/api/v2/spans", "application/json", "[{\"traceId\":\""},
      {"/v1/traces", "application/x-protobuf", "\x1f\x8b"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.path);
    Upstream collector;
    Upstream upstream;
    Gateway gateway(
        traced({upstream.url()}, collector.url() + c.path, "recent: 10", "",
               {{"OTEL_EXPORTER_OTLP_COMPRESSION", c.path == "/v1/traces" ? "gzip" : "none"}}));
    // One span alone is large enough to be packed.
    get(gateway.port(), "/" + std::string(2000, 'x'));
    const auto first = [&] { return collector.wait_for_request(c.path); };
    EXPECT_EQ(first().header("Content-Type"), c.content_type);
    EXPECT_THAT(first().header("User-Agent"), StartsWith("tyaprover/"));
    EXPECT_THAT(first().body, StartsWith(c.begin)) << escaped(first().body.substr(0, 40));
  }
}

// --- faults of the collector (T31, T32, T34)

TEST(TraceFaults, AnOutageIsToldOnceAndNothingIsLostT32T34) {
  const struct {
    std::string what;
    Collector::Answer fault;
  } cases[] = {
      {"503", [](UpstreamExchange& e) { return Collector::answer(e, "503 X"); }},
      {"429", [](UpstreamExchange& e) { return Collector::answer(e, "429 X\r\nRetry-After: 1"); }},
      {"reset",
       [](UpstreamExchange& e) {
         e.reset();
         return false;
       }},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.what);
    std::atomic<bool> broken{true};
    Collector collector(
        [&](UpstreamExchange& e) { return broken ? c.fault(e) : Collector::take(e); });
    Upstream upstream;
    Gateway gateway(traced({upstream.url()}, collector.url()));
    for (int i = 0; i < 20; ++i) EXPECT_EQ(get(gateway.port(), "/").status, 200);
    EXPECT_TRUE(wait_until([&] {
      return get(gateway.port(), "/health").json()["checks"]["tracing"]["status"] == "degraded";
    }));
    EXPECT_EQ(get(gateway.port(), "/health/ready").status, 200);
    broken = false;
    EXPECT_EQ(collector.wait_for(40).size(), 40u);
    EXPECT_TRUE(
        wait_until([&] { return sample(gateway, "tyaprover_trace_spans_exported_total") == 40; }));
    EXPECT_EQ(sample(gateway, "tyaprover_trace_queue_size"), 0);
    EXPECT_GE(sample(gateway, "tyaprover_trace_export_retries_total"), 1);
    for (const char* const reason : {"queue_full", "export_failed", "rejected", "shutdown"}) {
      EXPECT_EQ(dropped(gateway, reason), 0) << reason;
    }
    EXPECT_EQ(count_of(gateway.log(), "traces cannot be delivered"), 1u) << gateway.log();
    EXPECT_EQ(count_of(gateway.log(), "traces are delivered again"), 1u) << gateway.log();
  }
}

// A socket bound to 127.0.0.1 and `port` (0: of the kernel's choice) that does not listen yet.
// While there is one, nobody else gets the port.
Socket bound_socket(std::uint16_t port) {
  Socket socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int on = 1;
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_port = htons(port);
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(::setsockopt(socket.descriptor(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)), 0);
  EXPECT_EQ(::bind(socket.descriptor(), reinterpret_cast<const sockaddr*>(&at), sizeof(at)), 0);
  return socket;
}

TEST(TraceFaults, ACollectorThatWentAndCameBackGetsTheRestT35) {
  Socket first = bound_socket(0);
  Socket second = bound_socket(first.local_port());
  ASSERT_EQ(::listen(first.descriptor(), 16), 0);
  Upstream upstream;
  auto collector = std::make_unique<Collector>(Collector::take, std::move(first));
  Gateway gateway(traced({upstream.url()}, collector->url()));
  for (int i = 0; i < 10; ++i) EXPECT_EQ(get(gateway.port(), "/").status, 200);
  EXPECT_EQ(collector->wait_for(20).size(), 20u);

  collector.reset();  // the connection is cut, the port refuses
  for (int i = 0; i < 10; ++i) EXPECT_EQ(get(gateway.port(), "/").status, 200);
  EXPECT_TRUE(
      wait_until([&] { return count_of(gateway.log(), "traces cannot be delivered") == 1; }));
  for (int i = 0; i < 10; ++i) EXPECT_EQ(get(gateway.port(), "/").status, 200);

  ASSERT_EQ(::listen(second.descriptor(), 16), 0);
  Collector back(Collector::take, std::move(second));
  EXPECT_EQ(back.wait_for(40).size(), 40u);
  EXPECT_TRUE(
      wait_until([&] { return sample(gateway, "tyaprover_trace_spans_exported_total") == 60; }));
  EXPECT_TRUE(
      wait_until([&] { return count_of(gateway.log(), "traces are delivered again") == 1; }));
  EXPECT_EQ(count_of(gateway.log(), "traces cannot be delivered"), 1u) << gateway.log();
}

TEST(TraceFaults, ASlowCollectorGetsAll) {
  Collector collector([](UpstreamExchange& e) {
    // Byte by byte, each in a packet of its own.
    for (const char byte : ok("{}")) {
      if (!e.send(std::string(1, byte))) return false;
    }
    return true;
  });
  Upstream upstream;
  Gateway gateway(traced({upstream.url()}, collector.url()));
  for (int i = 0; i < 50; ++i) EXPECT_EQ(get(gateway.port(), "/").status, 200);
  EXPECT_EQ(collector.wait_for(100).size(), 100u);
  EXPECT_EQ(count_of(gateway.log(), "traces cannot be delivered"), 0u);
}

TEST(TraceFaults, ARefusedBatchIsDroppedAndCountedT32) {
  Collector collector([](UpstreamExchange& e) { return Collector::answer(e, "400 X"); });
  Upstream upstream;
  Gateway gateway(traced({upstream.url()}, collector.url()));
  for (int i = 0; i < 5; ++i) get(gateway.port(), "/");
  EXPECT_TRUE(wait_until([&] { return dropped(gateway, "export_failed") == 10; }));
  EXPECT_EQ(sample(gateway, "tyaprover_trace_spans_exported_total"), 0);
}

TEST(TraceFaults, RejectedSpansAreCountedT32) {
  Collector collector([](UpstreamExchange& e) {
    return e.send(ok(R"({"partialSuccess":{"rejectedSpans":"1","errorMessage":"no"}})",
                     "Content-Type: application/json\r\n"));
  });
  Upstream upstream;
  Gateway gateway(traced({upstream.url()}, collector.url()));
  get(gateway.port(), "/");
  EXPECT_TRUE(wait_until([&] { return dropped(gateway, "rejected") >= 1; }));
  EXPECT_TRUE(wait_until([&] {
    return sample(gateway, "tyaprover_trace_spans_exported_total") + dropped(gateway, "rejected") ==
           2;
  }));
}

TEST(TraceFaults, AHangingCollectorHoldsNobodyAndTheQueueIsBoundedT30) {
  Collector collector([](UpstreamExchange& e) {
    e.wait_for_close(120s);
    return false;
  });
  Upstream upstream;
  Gateway gateway(traced({upstream.url()}, collector.url(), "exporter_protocol: otlp-json",
                         "shutdown: {timeout: 3s}", {{"OTEL_BSP_MAX_QUEUE_SIZE", "16"}}));
  for (int i = 0; i < 50; ++i) EXPECT_EQ(get(gateway.port(), "/").status, 200);
  EXPECT_TRUE(wait_until([&] {
    return dropped(gateway, "queue_full") + sample(gateway, "tyaprover_trace_queue_size") == 100;
  }));
  EXPECT_LE(sample(gateway, "tyaprover_trace_queue_size"), 16);
  gateway.signal(SIGTERM);
  EXPECT_EQ(gateway.wait_for_exit(10s), 0);
  EXPECT_THAT(gateway.log(), HasSubstr("spans were lost at the end"));
}

TEST(TraceFaults, ALongOutageKeepsMemoryAndTheCountsExact) {
  Upstream collector("HTTP/1.1 503 X\r\nContent-Length: 0\r\n\r\n");
  Upstream upstream;
  Gateway gateway(traced({upstream.url()}, collector.url() + "/v1/traces",
                         "exporter_protocol: otlp-proto",
                         "limits: {requests_per_connection: 1000000}\nshutdown: {timeout: 3s}"));
  RawClient client(gateway.port());
  const auto ask = [&](int count) {
    for (int i = 0; i < count; ++i) {
      client.send("GET /a/path/of/some/length?and=a&query HTTP/1.1\r\nHost: a\r\n\r\n");
      ASSERT_EQ(client.read_response().status, 200);
    }
  };
  // The queue holds 2,048 spans; then every further request would need more memory, or drop.
  ask(2'000);
  const std::size_t before = gateway.resident_bytes();
  ask(4'000);
  if (!kSanitized) {
    EXPECT_LT(gateway.resident_bytes(), before + (4 << 20));
  }
  const auto started = [&] {
    return sample(gateway, "tyaprover_trace_spans_started_total{sampled=\"true\"}");
  };
  const auto lost = [&] {
    return dropped(gateway, "queue_full") + dropped(gateway, "export_failed");
  };
  EXPECT_EQ(started(), 12'000);
  EXPECT_TRUE(wait_until([&] {
    return lost() + sample(gateway, "tyaprover_trace_queue_size") == 12'000;
  })) << lost();
  EXPECT_GT(lost(), 12'000 - 2 * 2'048 - 1);
  EXPECT_EQ(sample(gateway, "tyaprover_trace_spans_exported_total"), 0);
}

// --- many at once (T6)

TEST(TraceSpans, SixtyFourInterleavedRequestsKeepTheirParentsT6) {
  constexpr std::size_t kClients = 64;
  constexpr std::size_t kRounds = 4;
  Collector collector;
  // Answers no request before all of its round are there.
  std::atomic<std::size_t> arrived{0};
  Upstream upstream([&](UpstreamExchange& e) {
    const std::size_t round_ends = (arrived++ / kClients + 1) * kClients;
    EXPECT_TRUE(wait_until([&] { return arrived >= round_ends; }));
    e.send(ok(e.request.header("traceparent")));
  });
  GatewayOptions options = traced({upstream.url()}, collector.url());
  const std::size_t at = options.yaml.find("workers: 1");
  options.yaml.replace(at, 10, "workers: 2");
  Gateway gateway(options);
  std::vector<std::unique_ptr<RawClient>> clients;
  for (std::size_t i = 0; i < kClients; ++i) {
    clients.push_back(std::make_unique<RawClient>(gateway.port()));
  }
  struct Chain {
    std::string trace, caller, server, client;
  };
  std::map<std::string, Chain> chains;  // by the trace
  for (std::size_t round = 0; round < kRounds; ++round) {
    const auto name = [&](std::size_t i, int width) {
      std::string digits = std::to_string(1000 * (round + 1) + i);
      return std::string(static_cast<std::size_t>(width) - digits.size(), 'a') + digits;
    };
    for (std::size_t i = 0; i < kClients; ++i) {
      clients[i]->send("GET /x HTTP/1.1\r\nHost: a\r\ntraceparent: 00-" + name(i, 32) + "-" +
                       name(i, 16) + "-01\r\n\r\n");
    }
    for (std::size_t i = 0; i < kClients; ++i) {
      const Response response = clients[i]->read_response();
      const std::string own = response.header("traceparent");
      EXPECT_EQ(trace_of(own), name(i, 32));
      EXPECT_EQ(trace_of(response.body), name(i, 32));
      chains[name(i, 32)] = {name(i, 32), name(i, 16), span_of(own), span_of(response.body)};
    }
  }
  const std::vector<Json> spans = collector.wait_for(2 * kClients * kRounds);
  EXPECT_EQ(spans.size(), 2 * kClients * kRounds);
  for (const Json& span : spans) {
    const Chain& chain = chains[span["traceId"].get<std::string>()];
    if (span["kind"] == kServer) {
      EXPECT_EQ(span["parentSpanId"], chain.caller);
      EXPECT_EQ(span["spanId"], chain.server);
    } else {
      EXPECT_EQ(span["parentSpanId"], chain.server);
      EXPECT_EQ(span["spanId"], chain.client);
    }
  }
}

// --- the end (T35)

TEST(TraceShutdown, DeliversWhatIsQueuedT35) {
  Collector collector;
  Upstream upstream;
  Gateway gateway(traced({upstream.url()}, collector.url(), "exporter_protocol: otlp-json",
                         "limits: {requests_per_connection: 100000}",
                         {{"OTEL_BSP_SCHEDULE_DELAY", "600000"}}));
  RawClient client(gateway.port());
  for (int i = 0; i < 500; ++i) {
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    ASSERT_EQ(client.read_response().status, 200);
  }
  EXPECT_EQ(collector.posts(), 0u) << "under half of the queue";
  gateway.signal(SIGTERM);
  EXPECT_EQ(gateway.wait_for_exit(), 0);
  EXPECT_EQ(collector.spans().size(), 1000u);
}

TEST(TraceShutdown, ADeadCollectorHoldsNobodyT35) {
  const std::string dead = "http://127.0.0.1:" + std::to_string(unused_port()) + "/v1/traces";
  Upstream upstream;
  Gateway gateway(
      traced({upstream.url()}, dead, "exporter_protocol: otlp-json", "shutdown: {timeout: 3s}"));
  for (int i = 0; i < 10; ++i) get(gateway.port(), "/");
  gateway.signal(SIGTERM);
  EXPECT_EQ(gateway.wait_for_exit(10s), 0);
  EXPECT_THAT(gateway.log(), HasSubstr("spans were lost at the end"));
}

}  // namespace
}  // namespace tyaprover::test
