// examples/trace_service: the service that the W3C Trace Context test harness drives, driven the
// same way. The rules themselves are in tracing_test.cc and in the trace room's tests.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>

#include "tests/integration/support.h"

namespace tyaprover::test {
namespace {

using ::testing::HasSubstr;

const std::string kTrace = "0af7651916cd43dd8448eb211c80319c";
const std::string kTraceparent = "00-" + kTrace + "-b7ad6b7169203331-01";

class Service {
 public:
  Service()
      : process_({.arguments = {TRACE_SERVICE_BINARY},
                  .environment = {{"TRACE_EXPORTER_ENDPOINT", "console"}},
                  .descriptors = {},
                  .directory = {}}) {
    EXPECT_TRUE(wait_until([&] { return process_.out_line_count() > 0; }, 30s)) << process_.err();
    const std::string url = process_.out_lines().at(0);
    port_ = static_cast<std::uint16_t>(std::stoul(url.substr(url.rfind(':') + 1)));
  }

  Response post(const std::string& body, const std::string& field_lines = "") const {
    return fetch(port_, "POST /test HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" + field_lines +
                            "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
  }
  Response get(const std::string& target) const { return test::get(port_, target); }

  // Ends it, and returns the spans that it printed.
  std::vector<Json> end() {
    process_.signal(SIGTERM);
    EXPECT_EQ(process_.wait_for_exit(), 0) << process_.err();
    EXPECT_TRUE(wait_until([&] { return process_.output_ended(); }));
    std::vector<Json> spans;
    const auto lines = process_.out_lines();
    for (std::size_t i = 1; i < lines.size(); ++i) spans.push_back(Json::parse(lines[i]));
    return spans;
  }

 private:
  Process process_;
  std::uint16_t port_ = 0;
};

std::string call(const Upstream& upstream, const std::string& target,
                 const std::string& arguments = "[]") {
  return R"({"url": ")" + upstream.url() + target + R"(", "arguments": )" + arguments + "}";
}

std::string span_of(const std::string& traceparent) {
  return traceparent.size() == 55 ? traceparent.substr(36, 16) : traceparent;
}

TEST(TraceService, CallsEveryUrlInASpanOfItsOwn) {
  Upstream upstream;
  Service service;
  const Response answer = service.post(
      "[" + call(upstream, "/one", R"([{"url": "x", "arguments": []}])") + "," +
          call(upstream, "/two") + "]",
      "traceparent: " + kTraceparent + "\r\ntracestate: foo=1\r\ntracestate: bar=2\r\n");
  EXPECT_EQ(answer.status, 200) << answer.body;

  const Message one = upstream.wait_for_request("/one");
  const Message two = upstream.wait_for_request("/two");
  EXPECT_EQ(Json::parse(one.body), Json::parse(R"([{"url": "x", "arguments": []}])"));
  EXPECT_EQ(one.header("Content-Type"), "application/json");
  EXPECT_EQ(two.body, "[]");
  for (const Message& each : {one, two}) {
    EXPECT_EQ(each.header("traceparent").substr(0, 35), "00-" + kTrace);
    EXPECT_EQ(each.header("traceparent").substr(53), "01");
    EXPECT_EQ(each.header("tracestate"), "foo=1,bar=2");
  }
  EXPECT_NE(one.header("traceparent"), two.header("traceparent"));

  // The response names the server span, which the spans of both calls have as their parent.
  const std::string server = span_of(answer.header("traceparent"));
  const std::vector<Json> spans = service.end();
  ASSERT_EQ(spans.size(), 3u);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(spans[i]["kind"], "client");
    EXPECT_EQ(spans[i]["parent_span_id"], server) << spans[i];
    EXPECT_EQ(spans[i]["span_id"], span_of((i == 0 ? one : two).header("traceparent")));
  }
  EXPECT_EQ(spans[2]["name"], "POST /test");
  EXPECT_EQ(spans[2]["span_id"], server);
  EXPECT_EQ(spans[2]["parent_span_id"], "b7ad6b7169203331");
}

TEST(TraceService, BeginsATraceOfItsOwnWithoutAValidContext) {
  Upstream upstream;
  Service service;
  for (const std::string& fields :
       {std::string(), "traceparent: ff" + kTraceparent.substr(2) + "\r\ntracestate: foo=1\r\n",
        "traceparent: " + kTraceparent + "\r\ntraceparent: " + kTraceparent + "\r\n"}) {
    EXPECT_EQ(service.post("[" + call(upstream, "/own") + "]", fields).status, 200);
  }
  ASSERT_EQ(upstream.request_count(), 3u);
  for (const Message& each : upstream.requests()) {
    EXPECT_EQ(each.header("traceparent").size(), 55u);
    EXPECT_NE(each.header("traceparent").substr(3, 32), kTrace);
    EXPECT_EQ(each.header("tracestate"), "");
  }
}

TEST(TraceService, TellsWhatItCannotDo) {
  Upstream upstream;
  Service service;
  EXPECT_EQ(service.get("/").status, 404);
  EXPECT_EQ(service.get("/test").status, 405);
  EXPECT_EQ(service.post("{").status, 400);
  EXPECT_EQ(service.post("{}").status, 400);
  EXPECT_EQ(service.post(R"([{"url": 5}])").status, 400);
  EXPECT_EQ(service.post(R"([{"url": "ftp://a/"}])").status, 400);
  EXPECT_EQ(service.post("[]").status, 200);
  // One call that nobody answers does not keep the next from being made.
  const std::string dead = "{\"url\": \"http://127.0.0.1:1/\", \"arguments\": []}";
  const Response answer = service.post("[" + dead + "," + call(upstream, "/next") + "]");
  EXPECT_EQ(answer.status, 502);
  EXPECT_THAT(answer.body, HasSubstr("1 of 2 calls failed"));
  EXPECT_EQ(upstream.wait_for_request("/next").body, "[]");
}

}  // namespace
}  // namespace tyaprover::test
