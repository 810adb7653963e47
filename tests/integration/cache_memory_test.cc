// What the cache costs in memory, and that it keeps what is used (issue 7, line 5).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/integration/support.h"

namespace tyaprover::test {
namespace {

constexpr std::size_t kMiB = 1024 * 1024;
constexpr std::size_t kLimit = 10 * kMiB;
constexpr std::size_t kBody = 10 * 1024;

Json stats(const Gateway& gateway) {
  const Response page = get(gateway.port(), "/cache/stats");
  EXPECT_EQ(page.status, 200) << page.body;
  return page.json();
}

TEST(CacheMemory, AScanOfMoreThanFitsStaysWithinTheLimitAndSparesWhatIsUsed) {
  const std::size_t objects = kSanitized ? 2000 : 10000;
  const Upstream upstream([](UpstreamExchange& exchange) {
    exchange.read_body();
    const bool stored = exchange.request.target().rfind("/none", 0) != 0;
    exchange.send(ok(std::string(kBody, exchange.request.target().back()),
                     stored ? "Cache-Control: max-age=3600\r\n" : "Cache-Control: no-store\r\n"));
  });
  const Gateway gateway(proxy_to(upstream,
                                 "limits: {requests_per_connection: 1000000}\n"
                                 "cache: {mode: rfc9111, max_bytes: 10MiB}\n"));
  RawClient client(gateway.port());
  const auto ask = [&](const std::string& target) {
    client.send("GET " + target + " HTTP/1.1\r\nHost: a\r\n\r\n");
    Response response = client.read_response();
    EXPECT_EQ(response.body.size(), kBody) << target;
    return response.header("X-Cache");
  };
  // As many requests past the cache: what buffers, log and traces take is not the cache's.
  for (std::size_t i = 0; i < objects; ++i) ask("/none/" + std::to_string(i));
  ask("/hot");
  const std::size_t before = gateway.resident_bytes();

  std::size_t hot_misses = 0;
  for (std::size_t i = 0; i < objects; ++i) {
    ASSERT_EQ(ask("/scan/" + std::to_string(i)), "MISS");
    if (i % 20 == 0 && ask("/hot") != "HIT") ++hot_misses;
  }
  const std::size_t after = gateway.resident_bytes();
  const std::size_t growth = after > before ? after - before : 0;
  RecordProperty("growth_in_kib", static_cast<int>(growth / 1024));
  EXPECT_EQ(hot_misses, 0u) << "it was used all the time";
  if (!kSanitized) {
    EXPECT_LE(growth, kLimit * 13 / 10);
  }

  const Json held = stats(gateway);
  const auto bytes = held.at("size").get<std::size_t>();
  const auto entries = held.at("keys").get<std::size_t>();
  EXPECT_LE(bytes, kLimit);
  EXPECT_GE(bytes, kLimit * 8 / 10) << "and the room is used";
  // Every entry is one body, its head and what the cache keeps beside them: nothing forgotten,
  // nothing counted twice.
  EXPECT_GE(bytes, entries * kBody);
  EXPECT_LE(bytes, entries * (kBody + 2048));
  EXPECT_EQ(held.at("evictions").at("evicted").get<std::size_t>() + entries, objects + 1);

  // What was added for the entries is what is taken away with them.
  const Response purged =
      fetch(gateway.port(), "DELETE /api/v1/cache?all=true HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(purged.json()["removed"], entries);
  EXPECT_EQ(stats(gateway).at("size"), 0);
}

}  // namespace
}  // namespace tyaprover::test
