// An outage as its users see it: the origin dies, its circuit opens, what is stored keeps being
// served and says so; the origin returns and everything is fresh again (issue 7, line 4).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>
#include <optional>

#include "tests/integration/support.h"

namespace tyaprover::test {
namespace {

using ::testing::HasSubstr;

// An origin that can be killed and comes back at the same address, a socket file.
class Origin {
 public:
  explicit Origin(std::string path) : path_(std::move(path)) { start(); }
  void start() {
    upstream_.emplace(
        [this](UpstreamExchange& exchange) {
          exchange.read_body();
          exchange.send(ok(
              "edition " + std::to_string(edition_.load()),
              "Cache-Control: max-age=1\r\nETag: \"" + std::to_string(edition_.load()) + "\"\r\n"));
        },
        Socket::listen_unix(path_));
  }
  void kill() {
    upstream_.reset();
    std::filesystem::remove(path_);
  }
  void publish() { ++edition_; }

 private:
  std::string path_;
  std::atomic<int> edition_{1};
  std::optional<Upstream> upstream_;
};

TEST(CacheOutage, StaleIsServedWhileTheCircuitIsOpenAndFreshWhenItClosed) {
  const TempDir directory;
  Origin origin(directory.path() + "/origin.sock");
  const Gateway gateway(
      proxy_to(std::vector<std::string>{"http+unix://" + directory.path() + "/origin.sock"},
               "cache: {mode: rfc9111, stale_if_error: 1h}\n"
               "breaker: {failure_threshold: 3, reset_timeout: 1s}\n"));
  const auto ask = [&](std::string_view path) { return get(gateway.port(), path); };
  // Of another object, which is never stored: what the circuit lets through.
  const auto circuit_is_open = [&] { return ask("/other").reason() == "circuit_open"; };

  EXPECT_EQ(ask("/page").header("X-Cache"), "MISS");
  EXPECT_EQ(ask("/page").header("X-Cache"), "HIT");

  origin.kill();
  ASSERT_TRUE(wait_until([&] { return ask("/page").header("X-Cache") == "STALE"; }));
  ASSERT_TRUE(wait_until(circuit_is_open));
  const Response during = ask("/page");
  EXPECT_EQ(during.status, 200);
  EXPECT_EQ(during.body, "edition 1");
  EXPECT_EQ(during.header("X-Cache"), "STALE");
  EXPECT_THAT(during.header("Cache-Status"), HasSubstr("tyaprover; hit; ttl=-"));
  EXPECT_GE(std::stoi(during.header("Age")), 1);
  EXPECT_EQ(ask("/unknown").status, 503) << "what is not stored cannot be served";

  origin.publish();
  origin.start();
  ASSERT_TRUE(wait_until([&] { return ask("/page").body == "edition 2"; }));
  ASSERT_TRUE(wait_until([&] { return ask("/page").header("X-Cache") == "HIT"; }));
  EXPECT_EQ(ask("/other").status, 200) << "the circuit is closed";
}

}  // namespace
}  // namespace tyaprover::test
