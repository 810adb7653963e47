#include "tyaprover/filters/error_reply.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "tyaprover/filters/test_exchange.h"

namespace tyaprover::filters {
namespace {

using http::Reason;
using nlohmann::json;
using namespace std::chrono_literals;

class ErrorReplyTest : public ExchangeTest {
 protected:
  [[nodiscard]] json problem() const { return json::parse(exchange.response.content); }
};

TEST_F(ErrorReplyTest, IsAProblemWithItsReason) {
  exchange.request_id = "id-1";
  exchange.trace_id = "trace-1";
  reply(exchange, Reason::no_route, "no app serves /x", {});
  EXPECT_EQ(exchange.response.status, 404);
  EXPECT_EQ(sent("Content-Type"), "application/problem+json");
  EXPECT_EQ(sent("Cache-Control"), "no-store");
  EXPECT_EQ(problem(), json({{"type", "urn:tyaprover:reason:no_route"},
                             {"title", "Not Found"},
                             {"status", 404},
                             {"detail", "no app serves /x"},
                             {"reason", "no_route"},
                             {"request_id", "id-1"},
                             {"trace_id", "trace-1"}}));
  EXPECT_EQ(exchange.reason, Reason::no_route);
  EXPECT_EQ(exchange.reason_detail, "no app serves /x");
}

TEST_F(ErrorReplyTest, LeavesOutWhatIsNotKnown) {
  reply(exchange, 501, Reason::none, "", {});
  EXPECT_EQ(problem(),
            json({{"type", "about:blank"}, {"title", "Not Implemented"}, {"status", 501}}));
}

TEST_F(ErrorReplyTest, HasTheStatusThatWasAskedFor) {
  reply(exchange, 505, Reason::bad_request, "HTTP/2.0 is not served here", {});
  EXPECT_EQ(exchange.response.status, 505);
  EXPECT_EQ(problem()["reason"], "bad_request");
}

TEST_F(ErrorReplyTest, ReplacesWhatStoodThereButNotClose) {
  response_field("X-From", "upstream");
  exchange.response.content = "half an answer";
  exchange.response.close = true;
  reply(exchange, Reason::upstream_reset, "", {});
  EXPECT_EQ(sent("X-From"), "-");
  EXPECT_TRUE(exchange.response.close);
}

TEST_F(ErrorReplyTest, SaysWhenToComeBack) {
  reply(exchange, Reason::circuit_open, "", {.retry_after = 17s});
  EXPECT_EQ(exchange.response.status, 503);
  EXPECT_EQ(sent("Retry-After"), "17");
}

TEST_F(ErrorReplyTest, NamesNoUpstreamInProduction) {
  const Reason reasons[] = {Reason::upstream_connect_failed,   Reason::upstream_reset,
                            Reason::upstream_protocol_error,   Reason::upstream_connect_timeout,
                            Reason::upstream_response_timeout, Reason::circuit_open,
                            Reason::no_healthy_upstream,       Reason::internal_error};
  for (const Reason reason : reasons) {
    reply(exchange, reason, "10.0.0.7:8080 refused", {.production = true});
    EXPECT_EQ(exchange.response.content.find("10.0.0.7"), std::string_view::npos);
    EXPECT_FALSE(problem()["detail"].get<std::string>().empty());
    EXPECT_EQ(exchange.reason_detail, "10.0.0.7:8080 refused") << "the log keeps it";
    reply(exchange, reason, "10.0.0.7:8080 refused", {.production = false});
    EXPECT_EQ(problem()["detail"], "10.0.0.7:8080 refused");
  }
}

TEST_F(ErrorReplyTest, TellsTheClientWhatIsWrongWithItsRequestInProductionToo) {
  reply(exchange, Reason::bad_request, "Host appears twice", {.production = true});
  EXPECT_EQ(problem()["detail"], "Host appears twice");
}

TEST_F(ErrorReplyTest, IsHtmlForBrowsers) {
  request_field("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8");
  exchange.request_id = "id-1";
  reply(exchange, Reason::no_route, "<script>alert('\"&\"')</script>", {});
  EXPECT_EQ(sent("Content-Type"), "text/html; charset=utf-8");
  const std::string html(exchange.response.content);
  EXPECT_NE(html.find("<title>404 Not Found</title>"), std::string::npos) << html;
  EXPECT_NE(html.find("&lt;script&gt;alert(&#39;&quot;&amp;&quot;&#39;)&lt;/script&gt;"),
            std::string::npos);
  EXPECT_NE(html.find("id-1"), std::string::npos);
}

TEST_F(ErrorReplyTest, SurvivesAnyBytesInItsDetail) {
  std::string bytes;
  for (int c = 0; c < 256; ++c) bytes += static_cast<char>(c);
  reply(exchange, Reason::bad_request, bytes, {});
  EXPECT_TRUE(json::accept(exchange.response.content));
}

}  // namespace
}  // namespace tyaprover::filters
