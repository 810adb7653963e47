// Cache keys: what makes two requests one, and that nobody can write another's key.
#include "tyaprover/cache/cache_key.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

namespace tyaprover::cache {
namespace {

std::string key(std::string_view host, std::string_view path, std::string_view query = {},
                bool has_query = false) {
  return cache_key(
      {.scheme = "http", .host = host, .path = path, .query = query, .has_query = has_query});
}

TEST(CacheKey, IsTheSameForOneResource) {
  EXPECT_EQ(key("Example.COM:80", "/a"), key("example.com", "/a"));
  EXPECT_EQ(cache_key({.scheme = "HTTPS", .host = "a:443", .path = "/"}),
            cache_key({.scheme = "https", .host = "a", .path = "/"}));
}

TEST(CacheKey, DiffersForDifferentResources) {
  const std::vector<std::string> keys = {
      key("a", "/"),
      key("a:8080", "/"),
      key("a:443", "/"),
      key("b", "/"),
      key("a", "/A"),
      key("a", "/a"),
      key("a", "/a", "", true),
      key("a", "/a", "x", true),
      key("a", "/a", "x=1&y=2", true),
      key("a", "/a", "y=2&x=1", true),
      cache_key({.scheme = "https", .host = "a", .path = "/"}),
  };
  std::map<std::string, int> seen;
  for (const std::string& k : keys) EXPECT_EQ(++seen[k], 1) << k;
}

// Every way of moving bytes between the parts gives another key.
TEST(CacheKey, CannotBeForgedThroughItsParts) {
  const HeaderField lang_en[] = {{"lang", "en"}};
  const HeaderField lang_de[] = {{"lang", "de"}};
  const HeaderField joined[] = {{"lang", "en4:lang2:de"}};
  const HeaderField two[] = {{"lang", "en"}, {"lang", "de"}};
  const std::string_view hostile[] = {
      "/",    "/-",         "/a-",  "/a1:b",  "/a4:lang2:en", "/a-4:lang2:en",
      "/%00", "/1:G4:http", "/a?x", "/a3:x=1"};
  std::map<std::string, std::string> seen;
  for (const auto path : hostile) {
    for (const auto query : {"", "x", "-", "1:b", "x4:lang2:en"}) {
      for (const bool has_query : {false, true}) {
        if (!has_query && *query != '\0') continue;
        for (const std::span<const HeaderField> additions :
             {std::span<const HeaderField>(), std::span<const HeaderField>(lang_en),
              std::span<const HeaderField>(lang_de), std::span<const HeaderField>(joined),
              std::span<const HeaderField>(two)}) {
          std::string about = std::string(path) + " ? " + query + (has_query ? " yes " : " no ");
          for (const auto& field : additions) about.append(field.value).append("|");
          const std::string k = cache_key({.scheme = "http",
                                           .host = "a",
                                           .path = path,
                                           .query = query,
                                           .has_query = has_query,
                                           .additions = additions});
          const auto [at, is_new] = seen.emplace(k, about);
          EXPECT_TRUE(is_new) << about << " is " << at->second;
        }
      }
    }
  }
}

TEST(QueryRules, DropAndSort) {
  struct Case {
    std::string_view query;
    QueryRules rules;
    std::string_view expected;
  };
  const Case cases[] = {
      {"b=2&a=1", {}, "b=2&a=1"},
      {"b=2&a=1&b=1", {.sort = true}, "a=1&b=2&b=1"},
      {"utm_source=x&a=1&utm_medium=y", {.drop = {"utm_*"}}, "a=1"},
      {"utm=x&a=1", {.drop = {"utm_*"}}, "utm=x&a=1"},
      {"fbclid=x", {.drop = {"fbclid"}}, ""},
      {"fbclid", {.drop = {"fbclid"}}, ""},
      {"a&&b", {.sort = true}, "&a&b"},
      {"", {.drop = {"x"}}, ""},
  };
  for (const Case& c : cases) EXPECT_EQ(apply_query_rules(c.query, c.rules), c.expected) << c.query;
}

TEST(CookieValue, FindsOneCookie) {
  const std::vector<HeaderField> request = {{"Cookie", "a=1; lang=en;b"}, {"cookie", "c=3=4"}};
  EXPECT_EQ(cookie_value(request, "a"), "1");
  EXPECT_EQ(cookie_value(request, "lang"), "en");
  EXPECT_EQ(cookie_value(request, "b"), "");
  EXPECT_EQ(cookie_value(request, "c"), "3=4");
  EXPECT_EQ(cookie_value(request, "ang"), "");
}

}  // namespace
}  // namespace tyaprover::cache
