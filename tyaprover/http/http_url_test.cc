#include "tyaprover/http/http_url.h"

#include <gtest/gtest.h>

namespace tyaprover::http {
namespace {

TEST(HttpUrl, Parts) {
  const struct {
    std::string_view text, host, port, authority, target;
  } cases[] = {
      {"http://a", "a", "80", "a", "/"},
      {"http://a/", "a", "80", "a", "/"},
      {"http://a:4318/v1/traces?x=1", "a", "4318", "a:4318", "/v1/traces?x=1"},
      {"http://[::1]/x", "::1", "80", "[::1]", "/x"},
      {"http://[::1]:8080/x", "::1", "8080", "[::1]:8080", "/x"},
      {"http://user:secret@a:81/x", "a", "81", "a:81", "/x"},
      {"http://a/x@y", "a", "80", "a", "/x@y"},
  };
  for (const auto& c : cases) {
    const auto url = parse_http_url(c.text);
    ASSERT_TRUE(url) << c.text;
    EXPECT_EQ(url->host, c.host) << c.text;
    EXPECT_EQ(url->port, c.port) << c.text;
    EXPECT_EQ(url->authority, c.authority) << c.text;
    EXPECT_EQ(url->target, c.target) << c.text;
  }
}

TEST(HttpUrl, WhatIsNone) {
  for (const std::string_view text : {"", "http://", "http:///x", "https://a/", "a:80", "//a/",
                                      "http://a/b c", "http://a/\r\nX: y", "http://a\n/"}) {
    EXPECT_FALSE(parse_http_url(text)) << text;
  }
}

TEST(HttpUrl, ResolvesAddressesAndSaysWhatItCannot) {
  std::string problem;
  const auto endpoint = resolve(*parse_http_url("http://127.0.0.1:8080/"), problem);
  ASSERT_TRUE(endpoint) << problem;
  EXPECT_EQ(endpoint->address.ss_family, AF_INET);
  EXPECT_FALSE(resolve(*parse_http_url("http://no.such.host.invalid/"), problem));
  EXPECT_TRUE(problem.starts_with("cannot resolve no.such.host.invalid: ")) << problem;
}

}  // namespace
}  // namespace tyaprover::http
