// Arena and BufferPool.
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tyaprover/http/arena.h"
#include "tyaprover/http/buffer_pool.h"

namespace tyaprover::http {
namespace {

TEST(Arena, KeepsEveryStringUntilReset) {
  Arena arena;
  std::vector<std::pair<std::string, std::string_view>> stored;
  for (std::size_t i = 0; i < 300; ++i) {
    const std::string text(i * 7 % 900, static_cast<char>('a' + i % 26));
    stored.emplace_back(text, arena.store(text));
  }
  for (const auto& [text, view] : stored) EXPECT_EQ(view, text);
}

TEST(Arena, ConcatJoinsParts) {
  Arena arena;
  EXPECT_EQ(arena.concat({"a", "", "bc", "d"}), "abcd");
  EXPECT_EQ(arena.concat({}), "");
}

TEST(Arena, ReusesItsFirstBlockAfterReset) {
  Arena arena;
  const char* const first = arena.store("one").data();
  arena.reset();
  EXPECT_EQ(arena.store("two").data(), first);
}

TEST(Arena, ServesALargeStringFirstAndSmallOnesAfterReset) {
  Arena arena;
  const std::string large(100'000, 'x');
  EXPECT_EQ(arena.store(large), large);
  arena.reset();
  EXPECT_EQ(arena.store("small"), "small");
  EXPECT_EQ(arena.store(large), large);
}

TEST(BufferPool, RoundsUpToAPowerOfTwo) {
  BufferPool pool;
  EXPECT_EQ(pool.take(1).size(), 4096u);
  EXPECT_EQ(pool.take(4097).size(), 8192u);
  EXPECT_EQ(pool.take(3 * 1024 * 1024).size(), 4u * 1024 * 1024);
}

TEST(BufferPool, HandsAReturnedBufferOutAgain) {
  BufferPool pool;
  const char* first = nullptr;
  {
    const Buffer buffer = pool.take(16 * 1024);
    first = buffer.data();
  }
  EXPECT_EQ(pool.take(16 * 1024).data(), first);
}

TEST(BufferPool, MovedBufferIsReturnedOnce) {
  BufferPool pool;
  Buffer a = pool.take(4096);
  Buffer b = std::move(a);
  EXPECT_FALSE(a);  // NOLINT(bugprone-use-after-move): that it is empty is the test
  EXPECT_TRUE(b);
  b = Buffer();
  const Buffer c = pool.take(4096);
  const Buffer d = pool.take(4096);
  EXPECT_NE(c.data(), d.data());
}

}  // namespace
}  // namespace tyaprover::http
