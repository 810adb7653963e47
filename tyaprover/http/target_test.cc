#include "tyaprover/http/target.h"

#include <gtest/gtest.h>

#include <string>

namespace tyaprover::http {
namespace {

TEST(Authority, AcceptsHostsWithOptionalPorts) {  // R4.8, RFC 3986 §3.2
  struct Case {
    std::string_view text;
    std::string_view host;
    int port;  // -1: none
  };
  const Case cases[] = {
      {"a", "a", -1},
      {"shop.example.com", "shop.example.com", -1},
      {"shop.example.com.", "shop.example.com.", -1},
      {"Shop.Example.COM:8080", "Shop.Example.COM", 8080},
      {"a:0", "a", 0},
      {"a:65535", "a", 65535},
      {"a:00080", "a", 80},
      {"127.0.0.1:3000", "127.0.0.1", 3000},
      {"my_service-1:80", "my_service-1", 80},
      {"a%41:80", "a%41", 80},
      {"!$&'()*+;=", "!$&'()*+;=", -1},
      {"[::1]", "::1", -1},
      {"[::1]:80", "::1", 80},
      {"[2001:DB8::ff00:42:8329]:443", "2001:DB8::ff00:42:8329", 443},
      {"[::ffff:192.0.2.1]", "::ffff:192.0.2.1", -1},
      {"[ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255]",
       "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255", -1},
  };
  for (const Case& c : cases) {
    const auto authority = parse_authority(c.text);
    ASSERT_TRUE(authority) << c.text;
    EXPECT_EQ(authority->host, c.host);
    EXPECT_EQ(authority->port ? *authority->port : -1, c.port) << c.text;
  }
}

TEST(Authority, RefusesEverythingElse) {  // R4.8
  using namespace std::string_view_literals;
  const std::string_view cases[] = {
      ""sv,
      ":80"sv,
      "a:"sv,
      "a:b"sv,
      "a:-1"sv,
      "a:+80"sv,
      "a: 80"sv,
      "a:80 "sv,
      "a:65536"sv,
      "a:99999"sv,
      "a:000080"sv,
      "a:80:80"sv,
      "a b"sv,
      " a"sv,
      "a "sv,
      "a\tb"sv,
      "a,b"sv,
      "a, b"sv,
      "user@a"sv,
      "user:pw@a:80"sv,
      "a/"sv,
      "a/b"sv,
      "a?b"sv,
      "a#b"sv,
      "http://a"sv,
      "a\\b"sv,
      "a%"sv,
      "a%4"sv,
      "a%4g"sv,
      "%"sv,
      "a\0b"sv,
      "\x80"sv,
      "b\xc3\xbc"sv,
      "a\"b"sv,
      "<a>"sv,
      "[]"sv,
      "[::1"sv,
      "::1"sv,
      "::1]"sv,
      "[::1]a"sv,
      "[::1]:"sv,
      "[::1]80"sv,
      "[::1]:99999"sv,
      "[::1%25eth0]"sv,
      "[::1%eth0]"sv,
      "[1]"sv,
      "[:::]"sv,
      "[::g]"sv,
      "[1:2:3:4:5:6:7:8:9]"sv,
      "[v1.a]"sv,
      "[127.0.0.1]"sv,
      "a[::1]"sv,
      "[::1][::1]"sv,
      "[::1\0]"sv,
      "[::256.0.0.1]"sv,
      "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255]"sv,
  };
  for (const auto text : cases) EXPECT_FALSE(parse_authority(text)) << text;
}

struct PathCase {
  std::string_view path;
  std::string_view expected;
};

// The normal form, or "! " and what is wrong.
std::string normalise(std::string_view path) {
  std::string out = "left over from before";
  if (const auto problem = normalise_path(path, out)) return "! " + std::string(*problem);
  return out;
}

TEST(NormalisePath, DecodesUnreservedBytesOnly) {  // R4.5, RFC 3986 §6.2.2
  const PathCase cases[] = {
      {"/", "/"},
      {"/a", "/a"},
      {"/a/", "/a/"},
      {"/a//b", "/a//b"},
      {"//", "//"},
      {"/b%41", "/bA"},
      {"/%7euser/%2d%5f%2ex", "/~user/-_.x"},
      {"/%30%39%61%7A", "/09az"},
      {"/%2f", "/%2F"},  // kept, and never equal to '/'
      {"/a%2Fb", "/a%2Fb"},
      {"/%c3%bc", "/%C3%BC"},
      {"/%2541", "/%2541"},  // decoded once, never twice
      {"/%25%34%31", "/%2541"},
      {"/%3f%23%20%0a", "/%3F%23%20%0A"},
      {"/!$&'()*+,;=:@|{}^`\"<>", "/!$&'()*+,;=:@|{}^`\"<>"},
      {"*", "*"},  // OPTIONS *
  };
  for (const PathCase& c : cases) EXPECT_EQ(normalise(c.path), c.expected) << c.path;
}

TEST(NormalisePath, RemovesDotSegments) {  // RFC 3986 §5.2.4
  const PathCase cases[] = {
      {"/a/./b", "/a/b"},
      {"/./a", "/a"},
      {"/.", "/"},
      {"/./", "/"},
      {"/a/.", "/a/"},
      {"/a/..", "/"},
      {"/a/../", "/"},
      {"/a/../b", "/b"},
      {"/a/b/../../c", "/c"},
      {"/a/b/c/./../../g", "/a/g"},
      {"/a//..", "/a/"},  // an empty segment is a segment
      {"/a//../b", "/a/b"},
      {"//..", "/"},
      {"//../a", "/a"},
      {"/...", "/..."},
      {"/..a/.b/c../d.", "/..a/.b/c../d."},
      {"/a%2f../b", "/a%2F../b"},  // "a%2F.." is no dot segment
      {"/.%2f", "/.%2F"},
      {"/a/..;x", "/a/..;x"},
  };
  for (const PathCase& c : cases) EXPECT_EQ(normalise(c.path), c.expected) << c.path;
}

TEST(NormalisePath, RefusesWhatReadersDisagreeAbout) {  // R4.5
  const PathCase cases[] = {
      {"", "! the path does not begin with '/'"},
      {"a", "! the path does not begin with '/'"},
      {"**", "! the path does not begin with '/'"},
      {"/..", "! the path climbs above the root"},
      {"/../", "! the path climbs above the root"},
      {"/./..", "! the path climbs above the root"},
      {"/a/../..", "! the path climbs above the root"},
      {"/a/../../a", "! the path climbs above the root"},
      {"/%00", "! the path has an encoded NUL"},
      {"/a%00.html", "! the path has an encoded NUL"},
      {"/%", "! the path has a broken percent escape"},
      {"/%4", "! the path has a broken percent escape"},
      {"/%4/1", "! the path has a broken percent escape"},
      {"/%g1", "! the path has a broken percent escape"},
      {"/%1g", "! the path has a broken percent escape"},
      {"/%%41", "! the path has a broken percent escape"},
      {"/%2e", "! the path has a dot segment spelled with %2e"},
      {"/%2E/a", "! the path has a dot segment spelled with %2e"},
      {"/a/%2e%2e/b", "! the path has a dot segment spelled with %2e"},
      {"/a/.%2e", "! the path has a dot segment spelled with %2e"},
      {"/a/%2e.", "! the path has a dot segment spelled with %2e"},
      {"/a\\b", "! the path has a backslash"},
      {"/..\\", "! the path has a backslash"},
      {"/a%5cb", "! the path has an encoded backslash"},
      {"/%5C", "! the path has an encoded backslash"},
  };
  for (const PathCase& c : cases) EXPECT_EQ(normalise(c.path), c.expected) << c.path;
}

// Paths over a small alphabet, all of them up to a length: the normal form has no dot segment,
// keeps its first '/', does not grow, and is its own normal form.
TEST(NormalisePath, IsIdempotentOnAllSmallPaths) {
  const std::string_view pieces[] = {"/", ".", "a", "%2e", "%2F", "%41"};
  std::string path;
  const auto check = [&path] {
    const std::string once = normalise(path);
    if (once.front() == '!') return;
    ASSERT_EQ(normalise(once), once) << path;
    ASSERT_EQ(once.front(), '/') << path;
    ASSERT_LE(once.size(), path.size()) << path;
    const std::string framed = once + '/';
    ASSERT_EQ(framed.find("/./"), std::string::npos) << path;
    ASSERT_EQ(framed.find("/../"), std::string::npos) << path;
  };
  const auto extend = [&](auto&& self, int depth) -> void {
    check();
    if (depth == 0) return;
    for (const auto piece : pieces) {
      path += piece;
      self(self, depth - 1);
      path.resize(path.size() - piece.size());
    }
  };
  path = "/";
  extend(extend, 6);
}

TEST(QueryValues, AreThoseOfTheNameDecodedInOrder) {
  using Values = std::vector<std::string>;
  const std::pair<std::string_view, Values> cases[] = {
      {"", {}},
      {"name[]=a", {"a"}},
      {"name[]=a&x=b&name[]=c", {"a", "c"}},
      {"name%5B%5D=a%2Bb+c", {"a+b c"}},
      {"name%5b%5d", {""}},
      {"name[]=", {""}},
      {"name[]=a=b", {"a=b"}},
      {"name[]=%", {"%"}},
      {"name[]=%4", {"%4"}},
      {"name[]=%zz%41", {"%zzA"}},
      {"&&name[]=a&", {"a"}},
      {"name=a&Name[]=b", {}},
  };
  for (const auto& [query, values] : cases) {
    EXPECT_EQ(query_values(query, "name[]"), values) << query;
  }
}

}  // namespace
}  // namespace tyaprover::http
