// Target URIs: reference resolution, and what unsafe methods invalidate.
#include "tyaprover/cache/target_uri.h"

#include <gtest/gtest.h>

namespace tyaprover::cache {
namespace {

// RFC 3986 §5.4, for http.
TEST(ResolveUri, FollowsTheStandard) {
  constexpr std::string_view kBase = "http://a/b/c/d;p?q";
  struct Case {
    std::string_view reference;
    std::string_view expected;
  };
  constexpr Case kCases[] = {
      {"g", "http://a/b/c/g"},
      {"./g", "http://a/b/c/g"},
      {"g/", "http://a/b/c/g/"},
      {"/g", "http://a/g"},
      {"//g", "http://g/"},
      {"?y", "http://a/b/c/d;p?y"},
      {"g?y", "http://a/b/c/g?y"},
      {"#s", "http://a/b/c/d;p?q"},
      {"g#s", "http://a/b/c/g"},
      {"", "http://a/b/c/d;p?q"},
      {".", "http://a/b/c/"},
      {"./", "http://a/b/c/"},
      {"..", "http://a/b/"},
      {"../g", "http://a/b/g"},
      {"../..", "http://a/"},
      {"../../../g", "http://a/g"},
      {"/./g", "http://a/g"},
      {"/../g", "http://a/g"},
      {"g.", "http://a/b/c/g."},
      {"..g", "http://a/b/c/..g"},
      {"./g/.", "http://a/b/c/g/"},
      {"g/../h", "http://a/b/c/h"},
      {"g?y/../x", "http://a/b/c/g?y/../x"},
      {"HTTPS://A.b/x", "https://a.b/x"},
      {"http://A", "http://a/"},
      {"g:h", ""},
      {"mailto:x", ""},
      {"http:g", ""},
      {"http:///x", ""},
  };
  for (const Case& c : kCases) {
    EXPECT_EQ(resolve_uri(kBase, c.reference).value_or(""), c.expected) << c.reference;
  }
}

// RFC 9110 §9.2.1
TEST(UnsafeMethods, AreAllButFour) {
  for (const std::string_view m : {"GET", "HEAD", "OPTIONS", "TRACE"}) {
    EXPECT_FALSE(is_unsafe_method(m)) << m;
  }
  for (const std::string_view m : {"POST", "PUT", "DELETE", "PATCH", "M-SEARCH", "get", "X"}) {
    EXPECT_TRUE(is_unsafe_method(m)) << m;
  }
}

// RFC 9111 §4.4
TEST(UnsafeMethods, InvalidateTargetAndSameHost) {
  using List = std::vector<std::string>;
  constexpr std::string_view kTarget = "http://a.b:81/x/y";
  const auto invalidated = [&](std::string_view method, int status, HeaderFields fields) {
    return invalidated_uris(method, kTarget, status, fields);
  };
  const std::string target(kTarget);
  EXPECT_EQ(invalidated("POST", 200, {}), List{target});
  EXPECT_EQ(invalidated("M-SEARCH", 399, {}), List{target});
  EXPECT_EQ(invalidated("GET", 200, {{"Location", "/z"}}), List{});
  EXPECT_EQ(invalidated("POST", 199, {}), List{});
  EXPECT_EQ(invalidated("POST", 400, {}), List{});
  EXPECT_EQ(invalidated("POST", 500, {{"Location", "/z"}}), List{});
  EXPECT_EQ(invalidated("PUT", 201, {{"Location", "z"}, {"Content-Location", "/x/y"}}),
            (List{target, "http://a.b:81/x/z"}));
  EXPECT_EQ(invalidated("PUT", 303, {{"location", "HTTP://A.B:81/q"}}),
            (List{target, "http://a.b:81/q"}));
  EXPECT_EQ(invalidated("PUT", 303, {{"Location", "http://evil/q"}}), List{target});
  EXPECT_EQ(invalidated("PUT", 303, {{"Location", "https://a.b:81/q"}}), List{target});
  EXPECT_EQ(invalidated("PUT", 303, {{"Location", "http://a.b/q"}}), List{target});
}

}  // namespace
}  // namespace tyaprover::cache
