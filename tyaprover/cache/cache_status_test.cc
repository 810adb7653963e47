// Cache-Status: the order and spelling of RFC 9211.
#include "tyaprover/cache/cache_status.h"

#include <gtest/gtest.h>

namespace tyaprover::cache {
namespace {

using namespace std::chrono_literals;

std::string written(const CacheStatus& status, std::string before = {}) {
  append_cache_status(before, status);
  return before;
}

TEST(CacheStatusField, FollowsTheStandard) {
  EXPECT_EQ(written({.cache = "tyaprover", .hit = true, .ttl = 42s}), "tyaprover; hit; ttl=42");
  EXPECT_EQ(written({.cache = "tyaprover", .hit = true, .ttl = -3s, .detail = "stale-if-error"}),
            "tyaprover; hit; ttl=-3; detail=stale-if-error");
  EXPECT_EQ(written({.cache = "tyaprover",
                     .forward = ForwardReason::uri_miss,
                     .forward_status = 200,
                     .stored = true,
                     .collapsed = true}),
            "tyaprover; fwd=uri-miss; fwd-status=200; stored; collapsed");
}

TEST(CacheStatusField, GoesBehindWhatUpstreamsSaid) {
  EXPECT_EQ(written({.cache = "b", .forward = ForwardReason::stale}, "a; hit"),
            "a; hit, b; fwd=stale");
}

TEST(CacheStatusField, QuotesWhatIsNoToken) {
  EXPECT_EQ(written({.cache = "my cache", .hit = true, .key = "/a\"b\\\r\n"}),
            "\"my cache\"; hit; key=\"/a\\\"b\\\\\"");
  EXPECT_EQ(written({.cache = "1st", .hit = true}), "\"1st\"; hit");
}

TEST(CacheStatusField, NamesEveryReason) {
  constexpr std::pair<ForwardReason, std::string_view> kReasons[] = {
      {ForwardReason::bypass, "bypass"},     {ForwardReason::method, "method"},
      {ForwardReason::uri_miss, "uri-miss"}, {ForwardReason::vary_miss, "vary-miss"},
      {ForwardReason::miss, "miss"},         {ForwardReason::request, "request"},
      {ForwardReason::stale, "stale"},       {ForwardReason::partial, "partial"},
  };
  for (const auto& [reason, name] : kReasons) EXPECT_EQ(to_string(reason), name);
}

}  // namespace
}  // namespace tyaprover::cache
