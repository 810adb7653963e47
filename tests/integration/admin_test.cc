// The admin API of the running program.
#include <gtest/gtest.h>

#include "tests/integration/support.h"

namespace tyaprover::test {
namespace {

class Traces : public ::testing::Test {
 protected:
  Json list(const std::string& query) {
    return get(gateway.port(), "/api/v1/traces" + query).json()["traces"];
  }

  Upstream upstream{[](UpstreamExchange& e) {
    e.send(e.request.target() == "/bad" ? "HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n" : ok("hi"));
  }};
  Gateway gateway{proxy_to(upstream)};
};

TEST_F(Traces, AreListedNewestFirstT57) {
  get(gateway.port(), "/bad");
  const Response last = get(gateway.port(), "/good");
  ASSERT_TRUE(wait_until([&] { return list("").size() == 2; }));
  const Json traces = list("");
  EXPECT_EQ(traces[0]["trace_id"], last.header("traceparent").substr(3, 32));
  EXPECT_EQ(traces[0]["name"], "GET /");
  EXPECT_EQ(traces[0]["route"], "/");
  EXPECT_EQ(traces[0]["spans"], 2);
  EXPECT_EQ(traces[0]["failed_spans"], 0);
  EXPECT_EQ(traces[1]["failed_spans"], 2);
}

TEST_F(Traces, CanBeAskedForT57) {
  get(gateway.port(), "/bad");
  get(gateway.port(), "/good");
  ASSERT_TRUE(wait_until([&] { return list("").size() == 2; }));
  EXPECT_EQ(list("?limit=1").size(), 1u);
  EXPECT_EQ(list("?status=error").size(), 1u);
  EXPECT_EQ(list("?min_duration=10m").size(), 0u);
  EXPECT_EQ(list("?route=/").size(), 2u);
  EXPECT_EQ(list("?route=%2Fother").size(), 0u);
  for (const char* const wrong :
       {"?limit=0", "?limit=x", "?min_duration=5", "?status=ok", "?limit=1001"}) {
    const Response refused = get(gateway.port(), std::string("/api/v1/traces") + wrong);
    EXPECT_EQ(refused.status, 400) << wrong;
    EXPECT_EQ(refused.reason(), "bad_request") << wrong;
  }
}

TEST_F(Traces, OneIsATreeT57) {
  const std::string id = get(gateway.port(), "/a?b=c").header("traceparent").substr(3, 32);
  Json tree;
  ASSERT_TRUE(wait_until([&] {
    tree = get(gateway.port(), "/api/v1/traces/" + id).json();
    return tree.contains("spans") && tree["spans"].size() == 2;
  }));
  const Json& server = tree["spans"][0];
  const Json& client = tree["spans"][1];
  EXPECT_EQ(server["kind"], "server");
  EXPECT_EQ(server["parent_span_id"], nullptr);
  EXPECT_EQ(server["attributes"]["url.query"], "b=c");
  EXPECT_EQ(client["kind"], "client");
  EXPECT_EQ(client["parent_span_id"], server["span_id"]);
  EXPECT_EQ(client["depth"], 1);
  EXPECT_EQ(client["attributes"]["server.port"], upstream.port());
  EXPECT_EQ(get(gateway.port(), "/api/v1/traces/xyz").status, 400);
  EXPECT_EQ(get(gateway.port(), "/api/v1/traces/" + std::string(32, 'a')).status, 404);
}

TEST_F(Traces, OnlyTheirPathsAreTakenFromTheApps) {
  for (const char* const path : {"/api/v1", "/api/v1/", "/api/v1/theme/", "/api/v1/traces/",
                                 "/api/v1/traces/a/b", "/api/v1/tracesx"}) {
    EXPECT_EQ(get(gateway.port(), path).body, "hi") << path;
  }
  const Response post =
      fetch(gateway.port(), "POST /api/v1/traces HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(post.status, 405);
}

TEST(AdminAccess, IsForThisMachineOrTheKey) {
  Upstream upstream;
  Gateway gateway(GatewayOptions{.yaml = proxy_to(upstream),
                                 .arguments = {},
                                 .environment = {{"ADMIN_API_KEY", "k"}},
                                 .descriptors = {}});
  const std::string elsewhere = "X-Forwarded-For: 192.0.2.7\r\n";
  EXPECT_EQ(get(gateway.port(), "/api/v1/traces").status, 200);
  EXPECT_EQ(get(gateway.port(), "/api/v1/traces", elsewhere).status, 403);
  EXPECT_EQ(get(gateway.port(), "/api/v1/traces", elsewhere + "x-api-key: x\r\n").status, 403);
  EXPECT_EQ(get(gateway.port(), "/api/v1/traces", elsewhere + "x-api-key: k\r\n").status, 200);
  EXPECT_EQ(upstream.byte_count(), 0u);
}

}  // namespace
}  // namespace tyaprover::test
