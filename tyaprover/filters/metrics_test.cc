#include "tyaprover/filters/metrics.h"

#include <gmock/gmock.h>

#include "tyaprover/filters/test_exchange.h"

namespace tyaprover::filters {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class MetricsFilter : public ExchangeTest {
 protected:
  MetricsFilter() { exchange.route = "/api"; }

  void finish() { filter.on_finish(exchange, state); }
  std::string page() { return registry.expose({.naming = metrics::Naming::both}).text(); }

  metrics::Registry registry;
  HttpMetrics http{registry, {}};
  Metrics filter{http};
  Metrics::State state;
};

TEST_F(MetricsFilter, CountsByMethodRouteAndStatusM28) {
  finish();
  finish();
  exchange.request.method_id = http::Method::post;
  exchange.response.status = 503;
  finish();
  const std::string text = page();
  EXPECT_THAT(text,
              HasSubstr("http_requests_total{method=\"GET\",route=\"/api\",status=\"200\"} 2\n"));
  EXPECT_THAT(text,
              HasSubstr("http_requests_total{method=\"POST\",route=\"/api\",status=\"503\"} 1\n"));
}

TEST_F(MetricsFilter, MethodIsOneOfNineOrOtherM28) {
  using http::Method;
  const std::pair<Method, std::string_view> cases[] = {
      {Method::get, "GET"},     {Method::head, "HEAD"},      {Method::post, "POST"},
      {Method::put, "PUT"},     {Method::delete_, "DELETE"}, {Method::options, "OPTIONS"},
      {Method::trace, "TRACE"}, {Method::patch, "PATCH"},    {Method::connect, "CONNECT"},
      {Method::other, "other"},
  };
  for (const auto& [method, label] : cases) {
    exchange.request.method_id = method;
    finish();
    EXPECT_THAT(page(), HasSubstr("http_requests_total{method=\"" + std::string(label) + "\""));
  }
}

TEST_F(MetricsFilter, AHeadThatWasRefusedHasNoMethodAndNoDuration) {
  exchange.timings = {};
  exchange.response.status = 400;
  exchange.route = "unmatched";
  finish();
  EXPECT_THAT(page(), HasSubstr("http_requests_total{method=\"other\",route=\"unmatched\","
                                "status=\"400\"} 1\n"));
  EXPECT_THAT(page(), HasSubstr("http_request_duration_seconds_sum{method=\"other\","
                                "route=\"unmatched\",status=\"400\"} 0\n"));
}

TEST_F(MetricsFilter, AClientThatLeftIs499M28) {
  exchange.outcome = http::Outcome::client_disconnected;
  finish();
  EXPECT_THAT(page(), HasSubstr("status=\"499\"} 1\n"));
}

TEST_F(MetricsFilter, DurationGoesFromTheParsedHeadToTheLastByteUnderBothNamesM20) {
  exchange.timings.last_byte = exchange.timings.head_parsed + std::chrono::microseconds(2500);
  finish();
  const std::string text = page();
  EXPECT_THAT(text, HasSubstr("http_request_duration_seconds_sum{method=\"GET\",route=\"/api\","
                              "status=\"200\"} 0.0025\n"));
  EXPECT_THAT(text, HasSubstr("http_request_duration_ms_sum{method=\"GET\",route=\"/api\","
                              "status=\"200\"} 2.5\n"));
  EXPECT_THAT(text, HasSubstr("http_request_duration_ms_bucket{method=\"GET\",route=\"/api\","
                              "status=\"200\",le=\"5\"} 1\n"));
}

TEST_F(MetricsFilter, WithoutALastByteTheDurationEndsNow) {
  clock.advance(std::chrono::seconds(3));
  finish();
  EXPECT_THAT(page(), HasSubstr("http_request_duration_seconds_sum{method=\"GET\",route=\"/api\","
                                "status=\"200\"} 3\n"));
}

TEST_F(MetricsFilter, SizesAreThoseOfTheWire) {
  exchange.bytes_in = 321;
  exchange.bytes_out = 54'321;
  finish();
  EXPECT_THAT(page(), HasSubstr("http_request_size_bytes_sum{method=\"GET\",route=\"/api\","
                                "status=\"200\"} 321\n"));
  EXPECT_THAT(page(), HasSubstr("http_response_size_bytes_sum{method=\"GET\",route=\"/api\","
                                "status=\"200\"} 54321\n"));
}

TEST_F(MetricsFilter, RoutesMayBeLeftOutM31) {
  settings.metrics.enabled = false;
  finish();
  settings.metrics.enabled = true;
  exchange.unmeasured = true;
  finish();
  EXPECT_THAT(page(), Not(HasSubstr("http_requests_total{")));
}

TEST_F(MetricsFilter, StatusesMayBeFoldedToClasses) {
  metrics::Registry folded;
  const HttpMetrics by_class(folded, {.status_classes = true});
  Metrics other(by_class);
  for (const int status : {200, 204, 404}) {
    exchange.response.status = status;
    other.on_finish(exchange, state);
  }
  const std::string text = folded.expose().text();
  EXPECT_THAT(text,
              HasSubstr("http_requests_total{method=\"GET\",route=\"/api\",status=\"2xx\"} 2\n"));
  EXPECT_THAT(text,
              HasSubstr("http_requests_total{method=\"GET\",route=\"/api\",status=\"4xx\"} 1\n"));
}

TEST_F(MetricsFilter, ASampledTraceBecomesTheExemplarM16) {
  exchange.trace_id = "0af7651916cd43dd8448eb211c80319c";
  exchange.span_id = "b7ad6b7169203331";
  finish();
  const metrics::PageOptions openmetrics{.accept = "application/openmetrics-text"};
  EXPECT_THAT(registry.expose(openmetrics).text(), Not(HasSubstr("trace_id")));
  exchange.trace_sampled = true;
  finish();
  EXPECT_THAT(registry.expose(openmetrics).text(),
              HasSubstr(" # {trace_id=\"0af7651916cd43dd8448eb211c80319c\","
                        "span_id=\"b7ad6b7169203331\"} "));
}

// What was resolved once is found by the address of the route's name: another route that comes to
// have the same address must not be taken for it.
TEST_F(MetricsFilter, AnAddressUsedAgainIsNotTheSameRoute) {
  std::string name = "/one";
  exchange.route = name;
  finish();
  name = "/two";
  exchange.route = name;
  finish();
  EXPECT_THAT(page(),
              HasSubstr("http_requests_total{method=\"GET\",route=\"/one\",status=\"200\"} 1\n"));
  EXPECT_THAT(page(),
              HasSubstr("http_requests_total{method=\"GET\",route=\"/two\",status=\"200\"} 1\n"));
}

TEST_F(MetricsFilter, ManyRoutesAndStatusesAreAllFoundAgain) {
  std::vector<std::string> routes;
  for (int i = 0; i < 100; ++i) routes.push_back("/route/" + std::to_string(i));
  for (int round = 0; round < 2; ++round) {
    for (const std::string& route : routes) {
      for (const int status : {200, 404, 500}) {
        exchange.route = route;
        exchange.response.status = status;
        finish();
      }
    }
  }
  const std::string text = page();
  for (const std::string& route : routes) {
    for (const char* const status : {"200", "404", "500"}) {
      EXPECT_THAT(text, HasSubstr("http_requests_total{method=\"GET\",route=\"" + route +
                                  "\",status=\"" + status + "\"} 2\n"));
    }
  }
}

TEST_F(MetricsFilter, StatusesMadeUpByAnUpstreamStayBounded) {
  for (int status = 100; status < 999; ++status) {
    for (const http::Method method : {http::Method::get, http::Method::post, http::Method::put}) {
      exchange.request.method_id = method;
      exchange.response.status = status;
      finish();
    }
  }
  EXPECT_THAT(page(),
              HasSubstr("http_requests_total{method=\"other\",route=\"other\",status=\"other\"} "));
  EXPECT_THAT(page(), HasSubstr("tyaprover_metrics_series_dropped_total{"
                                "family=\"http_requests_total\"} 697\n"));
}

}  // namespace
}  // namespace tyaprover::filters
