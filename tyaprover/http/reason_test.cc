#include "tyaprover/http/reason.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace tyaprover::http {
namespace {

constexpr auto kLast = static_cast<unsigned>(Reason::internal_error);

// The table of rule R6.8, and the statuses of R4.4, R4.15, R6.2 and R6.6.
TEST(Reason, WordAndStatus) {
  struct Case {
    Reason reason;
    std::string_view word;
    int status;
  };
  const Case cases[] = {
      {Reason::no_route, "no_route", 404},
      {Reason::bad_request, "bad_request", 400},
      {Reason::request_timeout, "request_timeout", 408},
      {Reason::body_too_large, "body_too_large", 413},
      {Reason::target_too_long, "target_too_long", 414},
      {Reason::head_too_large, "head_too_large", 431},
      {Reason::rate_limited, "rate_limited", 429},
      {Reason::unauthorized, "unauthorized", 401},
      {Reason::forbidden, "forbidden", 403},
      {Reason::method_not_allowed, "method_not_allowed", 405},
      {Reason::expectation_failed, "expectation_failed", 417},
      {Reason::upstream_connect_failed, "upstream_connect_failed", 502},
      {Reason::upstream_reset, "upstream_reset", 502},
      {Reason::upstream_protocol_error, "upstream_protocol_error", 502},
      {Reason::upstream_connect_timeout, "upstream_connect_timeout", 504},
      {Reason::upstream_response_timeout, "upstream_response_timeout", 504},
      {Reason::circuit_open, "circuit_open", 503},
      {Reason::no_healthy_upstream, "no_healthy_upstream", 503},
      {Reason::overloaded, "overloaded", 503},
      {Reason::shutting_down, "shutting_down", 503},
      {Reason::loop_detected, "loop_detected", 508},
      {Reason::client_disconnected, "client_disconnected", 499},
      {Reason::internal_error, "internal_error", 500},
  };
  EXPECT_EQ(std::size(cases), kLast);
  for (const Case& c : cases) {
    EXPECT_EQ(to_string(c.reason), c.word);
    EXPECT_EQ(status_of(c.reason), c.status) << c.word;
  }
  EXPECT_EQ(to_string(Reason::none), "");
}

TEST(Reason, EveryWordIsALabelOfItsOwn) {
  std::set<std::string_view> words;
  for (unsigned i = 1; i <= kLast; ++i) {
    const std::string_view word = to_string(static_cast<Reason>(i));
    EXPECT_FALSE(word.empty()) << i;
    EXPECT_EQ(word.find_first_not_of("abcdefghijklmnopqrstuvwxyz_"), std::string_view::npos);
    EXPECT_TRUE(words.insert(word).second) << word;
  }
}

TEST(Reason, EveryStatusHasItsPhrase) {
  for (unsigned i = 1; i <= kLast; ++i) {
    const auto reason = static_cast<Reason>(i);
    if (reason == Reason::client_disconnected) continue;  // 499 is nobody's standard
    EXPECT_NE(status_phrase(status_of(reason)), "Unknown") << to_string(reason);
  }
}

TEST(StatusPhrase, IsTheStandardOne) {
  EXPECT_EQ(status_phrase(100), "Continue");
  EXPECT_EQ(status_phrase(200), "OK");
  EXPECT_EQ(status_phrase(304), "Not Modified");
  EXPECT_EQ(status_phrase(404), "Not Found");
  EXPECT_EQ(status_phrase(413), "Content Too Large");  // RFC 9110 §15.5.14, not the older name
  EXPECT_EQ(status_phrase(505), "HTTP Version Not Supported");
  for (const int status : {-1, 0, 99, 299, 418, 499, 600, 1000}) {
    EXPECT_EQ(status_phrase(status), "Unknown") << status;
  }
}

}  // namespace
}  // namespace tyaprover::http
