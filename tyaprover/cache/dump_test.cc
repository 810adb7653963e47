// Dumps: what comes back, and that no damage goes unnoticed.
#include "tyaprover/cache/dump.h"

#include <gtest/gtest.h>

#include <sstream>
#include <string>

#include "tyaprover/cache/store.h"

namespace tyaprover::cache {
namespace {

using namespace std::chrono_literals;
using Strings = Cache<std::string, std::string>;

const WallTime kNow = std::chrono::sys_days(std::chrono::year(2026) / 11 / 24) + 12h;

const std::string& as_bytes(const std::string& value) {
  return value;
}
std::string from_bytes(std::string_view bytes) {
  return std::string(bytes);
}

std::string sample() {
  ManualClock clock;
  Strings cache({.max_entries = 10, .clock = &clock});
  cache.set("short", "1", {.ttl = 10s});
  cache.set("long", std::string("a\0b", 3), {.ttl = 1h, .tags = {"user", "page"}});
  cache.set("ever", "3");
  cache.set("gone", "4", {.ttl = 1s});
  clock.advance(2s);
  std::ostringstream out;
  const auto written = dump(cache, out, kNow, as_bytes);
  EXPECT_EQ(*written, 3u);
  return out.str();
}

TEST(Dump, BringsBackWhatHasNotExpired) {
  ManualClock clock;
  Strings cache({.max_entries = 10, .clock = &clock});
  std::istringstream in(sample());
  const auto read = load(cache, in, kNow + 1min, from_bytes);
  ASSERT_TRUE(read);
  EXPECT_EQ(*read, 2u);
  EXPECT_EQ(cache.get("long"), std::string("a\0b", 3));
  EXPECT_EQ(cache.get("ever"), "3");
  EXPECT_FALSE(cache.get("short"));
  EXPECT_EQ(cache.ttl("long"), Nanos(1h - 2s - 1min));
  EXPECT_EQ(cache.ttl("ever"), kForever);
  EXPECT_EQ(cache.invalidate_tag("page"), 1u);
}

TEST(Dump, AWallClockThatWentBackMakesNothingYounger) {
  ManualClock clock;
  Strings cache({.max_entries = 10, .clock = &clock});
  std::istringstream in(sample());
  EXPECT_TRUE(load(cache, in, kNow - 24h, from_bytes));
  EXPECT_EQ(cache.ttl("short"), Nanos(8s));
}

TEST(Dump, EveryCutAndEveryFlippedBitIsRefused) {
  const std::string whole = sample();
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_FALSE(parse_dump(whole.substr(0, size))) << size;
  }
  for (std::size_t at = 0; at < whole.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string damaged = whole;
      damaged[at] = static_cast<char>(damaged[at] ^ (1 << bit));
      const auto read = parse_dump(damaged);
      ASSERT_FALSE(read) << at << " bit " << bit;
      EXPECT_LE(read.error().position, whole.size());
    }
  }
  EXPECT_FALSE(parse_dump(whole + "x"));
  ASSERT_TRUE(parse_dump(whole));
}

TEST(Dump, NothingOfADamagedOneIsLoaded) {
  std::string damaged = sample();
  damaged.back() = static_cast<char>(damaged.back() ^ 1);
  Strings cache({.max_entries = 10});
  std::istringstream in(damaged);
  const auto read = load(cache, in, kNow, from_bytes);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().kind, DumpError::Kind::damaged);
  EXPECT_EQ(cache.size(), 0u);
}

TEST(Dump, SaysWhatIsWrong) {
  using Kind = DumpError::Kind;
  EXPECT_EQ(parse_dump("hello, world").error().kind, Kind::not_a_dump);
  std::string other = sample();
  other[8] = 2;
  EXPECT_EQ(parse_dump(other).error().kind, Kind::unknown_version);
  Strings cache({.max_entries = 10});
  std::istringstream in(sample());
  const auto refused =
      load(cache, in, kNow, [](std::string_view) { return std::optional<std::string>(); });
  EXPECT_EQ(refused.error().kind, Kind::refused_value);
  EXPECT_GE(refused.error().position, 20u);
  std::ostringstream broken;
  broken.setstate(std::ios::badbit);
  EXPECT_EQ(dump(cache, broken, kNow, as_bytes).error().kind, Kind::write_failed);
}

TEST(MemoryStoreUse, AnswersEveryCall) {
  MemoryStore store({.max_bytes = 1 << 20});
  Store& any = store;
  bool stored = false;
  const auto object = std::make_shared<const std::string>(1000, 'x');
  any.set("page:1", object, {.tags = {"t"}}, [&](bool ok) { stored = ok; });
  any.set("page:2", object, {}, [&](bool ok) { stored = stored && ok; });
  any.set("other", object, {}, [&](bool ok) { stored = stored && ok; });
  EXPECT_TRUE(stored);
  EXPECT_GT(store.objects().bytes(), 3000u);
  StoredObject found;
  any.get("page:1", [&](StoredObject o) { found = std::move(o); });
  EXPECT_EQ(found, object);
  std::vector<std::string> keys;
  any.scan("page:", [&](std::vector<std::string> k) { keys = std::move(k); });
  std::sort(keys.begin(), keys.end());
  EXPECT_EQ(keys, (std::vector<std::string>{"page:1", "page:2"}));
  std::size_t erased = 0;
  any.erase("page:2", [&](std::size_t n) { erased += n; });
  any.erase_tag("t", [&](std::size_t n) { erased += n; });
  EXPECT_EQ(erased, 2u);
  any.get("page:1", [&](StoredObject o) { found = std::move(o); });
  EXPECT_EQ(found, nullptr);
  any.set("huge", std::make_shared<const std::string>(2 << 20, 'x'), {},
          [&](bool ok) { stored = ok; });
  EXPECT_FALSE(stored);
}

}  // namespace
}  // namespace tyaprover::cache
