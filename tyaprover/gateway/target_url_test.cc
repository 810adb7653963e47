#include "tyaprover/gateway/target_url.h"

#include <gtest/gtest.h>

namespace tyaprover::gateway {
namespace {

TEST(TargetUrl, ReadsHostAndPort) {
  const struct {
    std::string_view url;
    std::string_view host;
    std::uint16_t port;
  } cases[] = {{"http://127.0.0.1:8080", "127.0.0.1", 8080},
               {"http://Backend.Internal", "backend.internal", 80},
               {"HTTP://a_b-c:1", "a_b-c", 1},
               {"http://[::1]:9000", "::1", 9000},
               {"http://[2001:DB8::1]", "2001:db8::1", 80}};
  for (const auto& c : cases) {
    const auto target = parse_target(c.url);
    ASSERT_TRUE(target) << c.url << ": " << target.error().message;
    EXPECT_FALSE(target->unix_socket) << c.url;
    EXPECT_EQ(target->host, c.host) << c.url;
    EXPECT_EQ(target->port, c.port) << c.url;
    EXPECT_EQ(target->url, c.url);
  }
}

TEST(TargetUrl, ReadsUnixSockets) {
  const auto target = parse_target("http+unix:///run/app.sock");
  ASSERT_TRUE(target);
  EXPECT_TRUE(target->unix_socket);
  EXPECT_EQ(target->path, "/run/app.sock");
  EXPECT_EQ(target->url, "http+unix:///run/app.sock");
}

TEST(TargetUrl, SaysWhatIsWrong) {
  const struct {
    std::string_view url;
    std::string_view message;
  } cases[] = {
      {"", "is not a URL"},
      {"backend:8080", "is not a URL"},
      {"http://a b", "is not a URL: it has a space or a byte that is not visible ASCII"},
      {"https://a", "asks for TLS to the upstream, which is not supported in this version yet"},
      {"ftp://a", "has an unknown scheme"},
      {"http://", "has no host"},
      {"http://:80", "has no host"},
      {"http://a/", "must end after the host and port"},
      {"http://a/path", "must end after the host and port"},
      {"http://a?q=1", "must end after the host and port"},
      {"http://a#x", "must end after the host and port"},
      {"http://me:pw@a", "must not hold a user or password"},
      {"http://me@a/x", "must not hold a user or password"},
      {"http://a:", "has no port between 1 and 65535"},
      {"http://a:0", "has no port between 1 and 65535"},
      {"http://a:65536", "has no port between 1 and 65535"},
      {"http://a:+1", "has no port between 1 and 65535"},
      {"http://[::1]80", "has no port between 1 and 65535"},
      {"http://::1", "has more than one colon in its host"},
      {"http://[::1", "has no IPv6 address between its brackets"},
      {"http://[a]", "has no IPv6 address between its brackets"},
      {"http://a..b", "has a host that is neither a name nor an address"},
      {"http+unix://run/a", "needs an absolute path and no host"},
      {"http+unix:///a?x", "must end with the socket's path"},
  };
  for (const auto& c : cases) {
    const auto target = parse_target(c.url);
    ASSERT_FALSE(target) << c.url;
    EXPECT_EQ(target.error().message, c.message) << c.url;
  }
}

}  // namespace
}  // namespace tyaprover::gateway
