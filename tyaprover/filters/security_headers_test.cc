#include "tyaprover/filters/security_headers.h"

#include <gtest/gtest.h>

#include "tyaprover/filters/test_exchange.h"

namespace tyaprover::filters {
namespace {

class SecurityHeadersTest : public ExchangeTest {
 protected:
  void run() { filter.on_response(exchange, state); }

  SecurityHeaders filter;
  SecurityHeaders::State state;
};

TEST_F(SecurityHeadersTest, AddsWhatTheAppDidNotSay) {
  run();
  EXPECT_EQ(sent("X-Frame-Options"), "SAMEORIGIN");
  EXPECT_EQ(sent("X-Content-Type-Options"), "nosniff");
  EXPECT_EQ(sent("Referrer-Policy"), "strict-origin-when-cross-origin");
  EXPECT_EQ(sent("Permissions-Policy"), "geolocation=(), microphone=(), camera=()");
  EXPECT_EQ(sent("Content-Security-Policy"), "-");
  EXPECT_EQ(sent("Strict-Transport-Security"), "-");
}

TEST_F(SecurityHeadersTest, LeavesWhatTheAppSaid) {
  response_field("x-frame-options", "DENY");
  response_field("Permissions-Policy", "");
  run();
  EXPECT_EQ(sent("X-Frame-Options"), "DENY");
  EXPECT_EQ(exchange.response.fields.count(http::KnownField::permissions_policy), 1u);
}

TEST_F(SecurityHeadersTest, SendsNothingForAnEmptyValue) {
  settings.security_headers.frame_options = "";
  run();
  EXPECT_EQ(sent("X-Frame-Options"), "-");
}

TEST_F(SecurityHeadersTest, SendsAConfiguredContentSecurityPolicy) {
  settings.security_headers.content_security_policy = "default-src 'self'";
  run();
  EXPECT_EQ(sent("Content-Security-Policy"), "default-src 'self'");
}

TEST_F(SecurityHeadersTest, SendsStrictTransportSecurityOverTlsOnly) {
  settings.security_headers.strict_transport_security = "max-age=31536000";
  run();
  EXPECT_EQ(sent("Strict-Transport-Security"), "-");
  exchange.scheme = "https";
  run();
  EXPECT_EQ(sent("Strict-Transport-Security"), "max-age=31536000");
}

TEST_F(SecurityHeadersTest, RemovesPoweredByUnlessToldOtherwise) {
  response_field("X-Powered-By", "Express");
  run();
  EXPECT_EQ(sent("X-Powered-By"), "-");
  settings.security_headers.remove_powered_by = false;
  response_field("X-Powered-By", "Express");
  run();
  EXPECT_EQ(sent("X-Powered-By"), "Express");
}

TEST_F(SecurityHeadersTest, KeepsRemovesOrReplacesServer) {
  response_field("Server", "nginx");
  run();
  EXPECT_EQ(sent("Server"), "nginx");
  settings.security_headers.server = "tyaprover";
  run();
  EXPECT_EQ(sent("Server"), "tyaprover");
  settings.security_headers.server = "";
  run();
  EXPECT_EQ(sent("Server"), "-");
}

TEST_F(SecurityHeadersTest, LeavesUpgradesAlone) {
  exchange.response.status = 101;
  run();
  EXPECT_TRUE(exchange.response.fields.empty());
}

TEST_F(SecurityHeadersTest, IsOffWhenTheRouteSaysSo) {
  settings.security_headers.enabled = false;
  response_field("X-Powered-By", "Express");
  run();
  EXPECT_EQ(exchange.response.fields.size(), 1u);
}

}  // namespace
}  // namespace tyaprover::filters
