#include "tyaprover/gateway/secrets.h"

#include <gtest/gtest.h>

namespace tyaprover::gateway {
namespace {

TEST(Secrets, PasswordsInUrlsAreHidden) {
  const struct {
    std::string_view text;
    std::string_view masked;
  } cases[] = {
      {"http://me:pw@host/path", "http://me:***@host/path"},
      {"http://token@host", "http://***@host"},
      {"http://me:p@ss@host", "http://me:***@host"},
      {"http://host/a@b", "http://host/a@b"},
      {"http://host", "http://host"},
      {"[http://a:1@b, \"redis://c:2@d\"]", "[http://a:***@b, \"redis://c:***@d\"]"},
      {"://", "://"},
      {"no url: x@y", "no url: x@y"},
  };
  for (const auto& c : cases) EXPECT_EQ(mask_urls(c.text), c.masked);
}

TEST(Secrets, ValuesOfSecretKeysAreHidden) {
  const struct {
    std::string_view line;
    std::string_view masked;
  } cases[] = {
      {"api_key: abc", "api_key: ***"},
      {"  apiKey: \"a b\" # note", "  apiKey: \"***\" # note"},
      {"{jwt_secret: abc, ttl: 5m}", "{jwt_secret: ***, ttl: 5m}"},
      {"\"password\": abc", "\"password\": ***"},
      {"token:", "token:"},
      {"secret: ''", "secret: ''"},
      {"name: password", "name: password"},
      {"token: a b c # d", "token: ***"},
  };
  for (const auto& c : cases) EXPECT_EQ(mask_secrets(c.line), c.masked);
}

TEST(Secrets, ThePositionMovesAlong) {
  constexpr std::string_view line = "a: http://me:password@host, b: x";
  std::size_t behind = line.find("b: x");
  EXPECT_EQ(mask_secrets(line, &behind).find("b: x"), behind);
  std::size_t before = 3;
  (void)mask_secrets(line, &before);
  EXPECT_EQ(before, 3u);
  std::size_t inside = line.find("word");
  const std::string masked = mask_secrets(line, &inside);
  EXPECT_EQ(inside, masked.find("***"));
}

TEST(EqualInConstantTime, IsEquality) {
  EXPECT_TRUE(equal_in_constant_time("", ""));
  EXPECT_TRUE(equal_in_constant_time("key", "key"));
  EXPECT_FALSE(equal_in_constant_time("key", "kez"));
  EXPECT_FALSE(equal_in_constant_time("key", "aey"));
  EXPECT_FALSE(equal_in_constant_time("key", "key2"));
  EXPECT_FALSE(equal_in_constant_time("key", ""));
}

}  // namespace
}  // namespace tyaprover::gateway
