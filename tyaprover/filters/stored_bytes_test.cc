#include "tyaprover/filters/stored_bytes.h"

#include <gtest/gtest.h>

#include <cstring>

namespace tyaprover::filters {
namespace {

using namespace std::chrono_literals;

const TimePoint kNow{Nanos(100h)};
const cache::WallTime kWall{Nanos(1'700'000'000s)};

StoredVariants sample() {
  const cache::HeaderField fields[] = {
      {"Cache-Control", "max-age=60, no-cache=\"B\""}, {"B", "withheld"}, {"Vary", "X-Lang"}};
  auto head = std::make_shared<StoredHead>(200, fields);
  head->variant = cache::VariantKey(cache::VaryNames(fields), {{"X-Lang", "de"}});
  head->freshness = {.source = cache::LifetimeSource::max_age,
                     .lifetime = 60s,
                     .initial_age = 3s,
                     .stale_while_revalidate = 5s,
                     .never_stale = true};
  head->stored = kNow - 7s;
  head->received = kWall - 7s;
  head->tags = {"red", "green"};
  auto bytes = std::make_shared_for_overwrite<char[]>(5);
  std::memcpy(bytes.get(), "hello", 5);
  StoredVariants stored;
  stored.url = "http://shop/a";
  stored.variants.push_back({std::move(head), std::move(bytes), 5});
  return stored;
}

TEST(StoredBytes, ComeBackOlder) {
  const auto back = decode(encode(sample(), kNow, kWall), kNow + 1h, kWall + 20s);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->url, "http://shop/a");
  ASSERT_EQ(back->variants.size(), 1u);
  const StoredResponse& response = back->variants[0];
  const StoredHead& head = *response.head;
  EXPECT_EQ(response.body(), "hello");
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.fields.size(), 3u);
  EXPECT_EQ(head.reusable, 2u);
  EXPECT_EQ(cache::current_age(head.freshness, head.stored, kNow + 1h), 30s);
  EXPECT_EQ(head.freshness.lifetime, 60s);
  EXPECT_EQ(head.freshness.stale_while_revalidate, Nanos(5s));
  EXPECT_EQ(head.freshness.stale_if_error, std::nullopt);
  EXPECT_TRUE(head.freshness.never_stale);
  EXPECT_EQ(head.tags, (std::vector<std::string>{"red", "green"}));
  EXPECT_TRUE(head.matches({{"X-Lang", "de"}}, Coding::identity));
  EXPECT_FALSE(head.matches({{"X-Lang", "en"}}, Coding::identity));
}

TEST(StoredBytes, AreRefusedWhenTheyAreNot) {
  const std::string bytes = encode(sample(), kNow, kWall);
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(decode(std::string_view(bytes).substr(0, size), kNow, kWall)) << size;
  }
  EXPECT_FALSE(decode(bytes + "x", kNow, kWall));
}

}  // namespace
}  // namespace tyaprover::filters
