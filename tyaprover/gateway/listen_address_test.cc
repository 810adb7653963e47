#include "tyaprover/gateway/listen_address.h"

#include <gtest/gtest.h>

namespace tyaprover::gateway {
namespace {

using Kind = ListenAddress::Kind;

TEST(ListenAddress, ReadsEveryForm) {
  const struct {
    std::string text;
    ListenAddress address;
  } cases[] = {
      {":3000", {.port = 3000}},
      {":0", {.port = 0}},
      {"127.0.0.1:3000", {.host = "127.0.0.1", .port = 3000}},
      {"[::1]:3000", {.host = "::1", .port = 3000}},
      {"[::]:65535", {.host = "::", .port = 65535}},
      {"unix:/run/t.sock", {.kind = Kind::unix_socket, .path = "/run/t.sock"}},
      {"unix:/run/t.sock?mode=0666",
       {.kind = Kind::unix_socket, .path = "/run/t.sock", .mode = 0666}},
      {"unix:/run/t.sock?mode=600",
       {.kind = Kind::unix_socket, .path = "/run/t.sock", .mode = 0600}},
      {"fd:3", {.kind = Kind::fd, .fd = 3}},
  };
  for (const auto& c : cases) {
    ListenAddress expected = c.address;
    expected.text = c.text;
    const auto address = parse_listen_address(c.text);
    ASSERT_TRUE(address) << c.text << ": " << address.error().message;
    EXPECT_EQ(*address, expected) << c.text;
  }
}

TEST(ListenAddress, RefusesTheRest) {
  const std::string too_long = "unix:/" + std::string(107, 'a');
  const std::string_view cases[] = {"",
                                    "3000",
                                    "localhost:3000",
                                    "*:3000",
                                    ":65536",
                                    ":-1",
                                    ":",
                                    "127.0.0.1",
                                    "127.0.0.1:",
                                    "1.2.3:80",
                                    "127.0.0.1:80 ",
                                    "[::1]",
                                    "[::1:80",
                                    "[127.0.0.1]:80",
                                    "::1:80",
                                    "[]:80",
                                    "[::1]80",
                                    "http://a:80",
                                    "unix:",
                                    "unix:relative",
                                    "unix:/a?mode=999",
                                    "unix:/a?mode=",
                                    "unix:/a?mode=1777",
                                    "unix:/a?x=1",
                                    "fd:",
                                    "fd:2",
                                    "fd:-1",
                                    "fd:99999999999",
                                    "fd:x",
                                    std::string_view(":80\0", 4),
                                    too_long};
  for (const std::string_view text : cases) EXPECT_FALSE(parse_listen_address(text)) << text;
}

TEST(ListenAddress, TakesTheLongestSocketPath) {
  EXPECT_TRUE(parse_listen_address("unix:/" + std::string(106, 'a')));
}

}  // namespace
}  // namespace tyaprover::gateway
