#include "tyaprover/trace/http_exporter.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "tyaprover/trace/trace_testing.h"

namespace tyaprover::trace {
namespace {

using namespace std::chrono_literals;

class HttpExporterTest : public testing::Test {
 protected:
  HttpExporterTest() {
    for (int i = 0; i < 20; ++i)
      tracer.start_span("work").set_attribute("text", std::string(100, 'x')).end();
    spans = recorder.take();
    for (const OwnedSpan& each : spans) data.push_back(*each);
  }
  ExportResult post(std::string_view url, HttpExporterOptions options = {}, std::size_t count = 1) {
    options.transport = transport;
    HttpSpanExporter exporter(url, std::move(options));
    return exporter.export_spans(std::span(data).first(count), TimePoint());
  }

  Recorder recorder;
  Tracer tracer = recorder.tracer();
  std::vector<OwnedSpan> spans;
  std::vector<SpanData> data;
  std::shared_ptr<FakeTransport> transport = std::make_shared<FakeTransport>();
};

TEST_F(HttpExporterTest, SpeaksTheFormatOfItsUrl) {
  struct Case {
    std::string_view url;
    std::string_view posted_to;
    std::string_view content_type;
  };
  const Case cases[] = {
      {"http://c:4318", "http://c:4318/v1/traces", "application/x-protobuf"},
      {"http://j:14268/api/traces", "http://j:14268/api/traces",
       "application/vnd.apache.thrift.binary"},
      {"http://z:9411", "http://z:9411/api/v2/spans", "application/json"},
  };
  for (const Case& each : cases) {
    EXPECT_EQ(post(each.url).outcome, ExportOutcome::delivered);
    const FakeTransport::Request& request = transport->requests.back();
    EXPECT_EQ(request.url, each.posted_to);
    EXPECT_EQ(request.header("Content-Type"), each.content_type);
    EXPECT_TRUE(request.header("User-Agent").starts_with("tyaprover/"));
    EXPECT_FALSE(request.body.empty());
  }
  (void)post("http://c", {.format = WireFormat::otlp_json});
  EXPECT_EQ(transport->requests.back().header("Content-Type"), "application/json");
  EXPECT_TRUE(transport->requests.back().body.starts_with("{\"resourceSpans\""));
}

TEST_F(HttpExporterTest, SendsConfiguredHeaders) {
  (void)post("http://c", {.headers = {{"api-key", "secret"}}});
  EXPECT_EQ(transport->requests[0].header("api-key"), "secret");
}

// T32.
TEST_F(HttpExporterTest, JudgesTheReply) {
  struct Case {
    int status;
    ExportOutcome outcome;
  };
  const Case cases[] = {
      {200, ExportOutcome::delivered}, {202, ExportOutcome::delivered},
      {0, ExportOutcome::try_again},   {429, ExportOutcome::try_again},
      {502, ExportOutcome::try_again}, {503, ExportOutcome::try_again},
      {504, ExportOutcome::try_again}, {500, ExportOutcome::refused},
      {400, ExportOutcome::refused},   {404, ExportOutcome::refused},
      {301, ExportOutcome::refused},   {307, ExportOutcome::refused},
      {408, ExportOutcome::refused},   {100, ExportOutcome::refused},
  };
  for (const Case& each : cases) {
    transport->reply = {.status = each.status, .error = "connection refused"};
    EXPECT_EQ(post("http://c").outcome, each.outcome) << each.status;
  }
}

TEST_F(HttpExporterTest, SaysWhatWentWrong) {
  transport->reply = {.error = "connection refused"};
  EXPECT_EQ(post("http://c").message, "connection refused");
  transport->reply = {.status = 404};
  EXPECT_EQ(post("http://c").message, "the collector answered 404");
}

TEST_F(HttpExporterTest, HeedsRetryAfter) {
  transport->reply = {.status = 429, .retry_after = "7"};
  EXPECT_EQ(post("http://c").retry_after, 7s);
  // Of a transport that does not even ask for a while.
  transport->reply = {.retry_after = "3", .error = "a circuit breaker is open"};
  EXPECT_EQ(post("http://c").retry_after, 3s);
  EXPECT_EQ(post("http://c").outcome, ExportOutcome::try_again);
  transport->reply = {.status = 503};
  EXPECT_EQ(post("http://c").retry_after, std::nullopt);
}

TEST_F(HttpExporterTest, CountsWhatAPartialSuccessRejects) {
  transport->reply = {.status = 200, .body = std::string("\x0a\x06\x08\x02\x12\x02no", 8)};
  ExportResult result = post("http://c");
  EXPECT_EQ(result.rejected, 2u);
  EXPECT_EQ(result.message, "no");
  transport->reply.body = R"({"partialSuccess":{"rejectedSpans":"3","errorMessage":"bad"}})";
  result = post("http://c", {.format = WireFormat::otlp_json});
  EXPECT_EQ(result.rejected, 3u);
  EXPECT_EQ(result.message, "bad");
  EXPECT_EQ(post("http://z:9411").rejected, 0u) << "Zipkin has no such thing";
}

TEST_F(HttpExporterTest, CompressesLargeBodies) {
  const auto gzip = [](std::string_view in, std::string& out) {
    out = "gzip of " + std::to_string(in.size());
    return true;
  };
  (void)post("http://c", {.gzip = gzip}, 1);
  EXPECT_EQ(transport->requests.back().header("Content-Encoding"), "(none)");
  (void)post("http://c", {.gzip = gzip}, 20);
  EXPECT_EQ(transport->requests.back().header("Content-Encoding"), "gzip");
  EXPECT_TRUE(transport->requests.back().body.starts_with("gzip of "));
  (void)post("http://c", {.gzip = gzip, .compress = false}, 20);
  EXPECT_EQ(transport->requests.back().header("Content-Encoding"), "(none)");
  (void)post("http://c", {.gzip = [](std::string_view, std::string&) { return false; }}, 20);
  EXPECT_EQ(transport->requests.back().header("Content-Encoding"), "(none)");
}

TEST_F(HttpExporterTest, SendsJaegerABatchPerProcess) {
  Recorder other({.resource = {{"service.name", "other"}}});
  other.tracer().start_span("work").end();
  const OwnedSpan foreign = other.one();
  data.insert(data.begin() + 2, *foreign);
  (void)post("http://j:14268", {}, 4);
  EXPECT_EQ(transport->requests.size(), 3u);
}

TEST_F(HttpExporterTest, RefusesWhatCannotWork) {
  EXPECT_THROW(HttpSpanExporter("http://c"), std::invalid_argument);  // no transport
  EXPECT_THROW(HttpSpanExporter("http://c:4317", {.transport = transport}), std::invalid_argument);
  EXPECT_THROW(HttpSpanExporter("nonsense", {.transport = transport}), std::invalid_argument);
}

TEST_F(HttpExporterTest, UsesTheDefaultTransport) {
  set_default_http_transport({.transport = transport});
  HttpSpanExporter exporter("http://jaeger:14268/api/traces");
  EXPECT_EQ(exporter.export_spans(data, TimePoint()).outcome, ExportOutcome::delivered);
  set_default_http_transport({});
  EXPECT_EQ(transport->requests.size(), 1u);
}

TEST_F(HttpExporterTest, AfterAForkThereIsANewOne) {
  HttpSpanExporter exporter("http://c:9411", {.transport = transport});
  const SpanExporterPtr anew = exporter.after_fork();
  (void)anew->export_spans(data, TimePoint());
  EXPECT_EQ(transport->requests.back().url, "http://c:9411/api/v2/spans");
}

TEST(RetryAfter, IsSecondsOrADate) {
  const std::chrono::system_clock::time_point now{784111777s + 250ms};  // Sun, 06 Nov 1994 08:49:37
  struct Case {
    std::string_view text;
    std::optional<Nanos> expected;
  };
  const Case cases[] = {
      {"0", 0s},
      {"120", 120s},
      {" 5 ", 5s},
      {"99999999999999999999", std::nullopt},
      {"999999999999", 24h},
      {"-1", std::nullopt},
      {"1.5", std::nullopt},
      {"", std::nullopt},
      {"soon", std::nullopt},
      {"Sun, 06 Nov 1994 08:49:37 GMT", 0s},
      {"Sun, 06 Nov 1994 08:50:00 GMT", 23s},
      {"Sun, 06 Nov 1994 08:00:00 GMT", 0s},
      {"Mon, 07 Nov 1994 20:00:00 GMT", 24h},
      {"Fri, 31 Dec 9999 23:59:59 GMT", 24h},
      {"Sun, 06 Nov 1994 24:00:00 GMT", std::nullopt},
      {"Thu, 31 Feb 1994 08:00:00 GMT", std::nullopt},
      {"Sun, 06 Xxx 1994 08:50:00 GMT", std::nullopt},
      {"Sun, 06 ovD 1994 08:50:00 GMT", std::nullopt},
      {"Sunday, 06-Nov-94 08:49:37 GMT", std::nullopt},
  };
  for (const Case& each : cases)
    EXPECT_EQ(parse_retry_after(each.text, now), each.expected) << each.text;
}

}  // namespace
}  // namespace tyaprover::trace
