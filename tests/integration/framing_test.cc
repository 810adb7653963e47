// The framing rules of the gateway (R4.1–R4.20), one table per rule, one line per case, against the
// running program. A rejected request is checked for its status, for the close of the connection
// and for what reached the upstream: nothing. Every rejected input is followed by a second,
// harmless looking request on the same connection; if that one is ever answered or forwarded, the
// rejection has lost its place in the byte stream.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>

#include "tests/integration/support.h"

namespace tyaprover::test {
namespace {

using ::testing::AnyOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr std::string_view kSmuggled = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";

// Requests that differ from a good one in exactly one place.
std::string line(std::string_view request_line) {
  return std::string(request_line) + "\r\nHost: a\r\n\r\n";
}
std::string target(std::string_view text) {
  return line("GET " + std::string(text) + " HTTP/1.1");
}
std::string field(std::string_view field_line) {
  return "GET / HTTP/1.1\r\nHost: a\r\n" + std::string(field_line) + "\r\n\r\n";
}
std::string host(std::string_view value) {
  return "GET / HTTP/1.1\r\nHost: " + std::string(value) + "\r\n\r\n";
}
// A request with a body of three bytes and these field lines about its framing.
std::string post(std::string_view field_lines, std::string_view body = "abc") {
  return "POST /body HTTP/1.1\r\nHost: a\r\n" + std::string(field_lines) + "\r\n\r\n" +
         std::string(body);
}
std::string chunked(std::string_view chunks) {
  return post("Transfer-Encoding: chunked", chunks);
}

void expect_contains(const std::string& bytes, const std::string& part) {
  EXPECT_NE(bytes.find(part), std::string::npos)
      << escaped(part) << " is missing in " << escaped(bytes);
}
void expect_misses(const std::string& bytes, const std::string& part) {
  const auto at = bytes.find(part);
  EXPECT_EQ(at, std::string::npos)
      << escaped(bytes.substr(at > 100 && at != std::string::npos ? at - 100 : 0));
}

struct Rejected {
  const char* section;
  std::string input;
  std::vector<int> statuses = {400};
};

struct Accepted {
  const char* section;
  std::string input;
  std::string upstream_sees;         // bytes that must stand in what reached the upstream
  std::string upstream_misses = {};  // bytes that must not
};

class Framing : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    upstream_ = std::make_unique<Upstream>();
    gateway_ = std::make_unique<Gateway>(proxy_to(*upstream_, "limits: {body: 1MiB}"));
  }
  static void TearDownTestSuite() {
    gateway_.reset();
    upstream_.reset();
  }

  static std::uint16_t port() { return gateway_->port(); }

  static std::size_t complete_requests() {
    const auto requests = upstream_->requests();
    return static_cast<std::size_t>(std::count_if(
        requests.begin(), requests.end(), [](const Message& message) { return message.complete; }));
  }

  // Nothing that was sent before this is still on its way to the upstream.
  static void expect_nothing_followed(std::size_t complete_before) {
    EXPECT_EQ(get(port(), "/sentinel").status, 200);
    EXPECT_EQ(complete_requests(), complete_before + 1) << "something reached the upstream later";
    expect_misses(upstream_->bytes(), "/smuggled");
  }

  static void expect_rejected(const Rejected& rejected, bool head_may_reach_upstream = false) {
    SCOPED_TRACE(std::string(rejected.section) + ": " + escaped(rejected.input));
    const std::size_t bytes_before = upstream_->byte_count();
    const std::size_t complete_before = complete_requests();
    RawClient client(port());
    client.send(rejected.input + std::string(kSmuggled));
    const Response response = client.read_response();
    EXPECT_THAT(rejected.statuses, Contains(response.status));
    EXPECT_TRUE(response.complete);
    EXPECT_TRUE(client.expect_close()) << "more bytes or no close: " << escaped(client.unread());
    if (!head_may_reach_upstream) {
      EXPECT_EQ(upstream_->byte_count(), bytes_before) << "something reached the upstream";
    }
    EXPECT_EQ(complete_requests(), complete_before);
  }

  static void expect_all_rejected(const std::vector<Rejected>& table,
                                  bool head_may_reach_upstream = false) {
    const std::size_t before = complete_requests();
    for (const auto& rejected : table) expect_rejected(rejected, head_may_reach_upstream);
    expect_nothing_followed(before);
  }

  static void expect_all_accepted(const std::vector<Accepted>& table) {
    for (const auto& accepted : table) {
      SCOPED_TRACE(std::string(accepted.section) + ": " + escaped(accepted.input));
      const std::size_t before = upstream_->byte_count();
      const Response response = fetch(port(), accepted.input);
      EXPECT_EQ(response.status, 200) << response.body;
      EXPECT_TRUE(response.complete);
      const std::string seen = upstream_->bytes().substr(before);
      expect_contains(seen, accepted.upstream_sees);
      if (!accepted.upstream_misses.empty()) expect_misses(seen, accepted.upstream_misses);
    }
  }

  static std::unique_ptr<Upstream> upstream_;
  static std::unique_ptr<Gateway> gateway_;
};

std::unique_ptr<Upstream> Framing::upstream_;
std::unique_ptr<Gateway> Framing::gateway_;

// --- request line and target

TEST_F(Framing, LineEndsAreCrlfR4_1) {
  expect_all_rejected({
      {"bare LF after the request line", "GET / HTTP/1.1\nHost: a\r\n\r\n"},
      {"bare LF after a field", "GET / HTTP/1.1\r\nHost: a\n\r\n"},
      {"bare LF as the empty line", "GET / HTTP/1.1\r\nHost: a\r\n\n"},
      {"only LF", "GET / HTTP/1.1\nHost: a\n\n"},
      {"bare CR in the request line", "GET /\rx HTTP/1.1\r\nHost: a\r\n\r\n"},
      {"bare CR ends the request line", "GET / HTTP/1.1\rHost: a\r\n\r\n"},
      {"CR CR LF", "GET / HTTP/1.1\r\r\nHost: a\r\n\r\n"},
      {"CR CR LF after a field", "GET / HTTP/1.1\r\nHost: a\r\r\n\r\n"},
      {"bare CR in a value", field("X: a\rb")},
      {"bare CR as the empty line", "GET / HTTP/1.1\r\nHost: a\r\n\rX"},
      {"two empty lines first", "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"},
      {"LF first", "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"},
      {"CR first", "\rGET / HTTP/1.1\r\nHost: a\r\n\r\n"},
  });
  expect_all_accepted(
      {{"one empty line first", "\r\n" + target("/empty-line"), "GET /empty-line HTTP/1.1\r\n"}});
}

TEST_F(Framing, OneEmptyLineBetweenRequestsIsSkippedR4_1) {
  RawClient client(port());
  client.send(post("Content-Length: 3") + "\r\n" + target("/after-empty-line"));
  EXPECT_EQ(client.read_response().status, 200);
  EXPECT_EQ(client.read_response().status, 200);
}

TEST_F(Framing, RequestLineHasThreePartsAndTwoSpacesR4_2) {
  expect_all_rejected({
      {"two spaces before the target", line("GET  / HTTP/1.1")},
      {"two spaces before the version", line("GET /  HTTP/1.1")},
      {"space after the version", line("GET / HTTP/1.1 ")},
      {"space first", line(" GET / HTTP/1.1")},
      {"tab before the target", line("GET\t/ HTTP/1.1")},
      {"tab before the version", line("GET /\tHTTP/1.1")},
      {"vertical tab", line("GET\v/ HTTP/1.1")},
      {"four parts", line("GET / / HTTP/1.1")},
      {"no target", line("GET HTTP/1.1")},
      {"empty target", line("GET  HTTP/1.1")},
      {"no method", line(" / HTTP/1.1")},
      {"method is no token: (", line("GE(T / HTTP/1.1")},
      {"method is no token: :", line("GET: / HTTP/1.1")},
      {"method is no token: \"", line("\"GET\" / HTTP/1.1")},
      {"method with NUL", line("G\0T / HTTP/1.1"s)},
      {"method beyond ASCII", line("G\xc3\x89T / HTTP/1.1")},
      {"method of 33 bytes", line(std::string(33, 'M') + " / HTTP/1.1")},
      {"method of 5000 bytes", line(std::string(5000, 'M') + " / HTTP/1.1")},
      {"a TLS hello", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"s},
  });
  expect_all_accepted({
      {"unknown method", line("PURGE /m1 HTTP/1.1"), "PURGE /m1 HTTP/1.1\r\n"},
      {"case is kept", line("get /m2 HTTP/1.1"), "get /m2 HTTP/1.1\r\n"},
      {"every token character", line("!#$%&'*+-.^_`|~09azAZ /m3 HTTP/1.1"),
       "!#$%&'*+-.^_`|~09azAZ /m3 HTTP/1.1\r\n"},
      {"method of 32 bytes", line(std::string(32, 'M') + " /m4 HTTP/1.1"),
       std::string(32, 'M') + " /m4 HTTP/1.1\r\n"},
  });
}

TEST_F(Framing, VersionR4_3) {
  expect_all_rejected({
      {"HTTP/0.9", line("GET / HTTP/0.9"), {505}},
      {"HTTP/2.0", line("GET / HTTP/2.0"), {505}},
      {"HTTP/3.0", line("GET / HTTP/3.0"), {505}},
      {"HTTP/9.9", line("GET / HTTP/9.9"), {505}},
      {"HTTP/2's preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", {400, 505}},
      {"no version", line("GET /")},
      {"no version, space", line("GET / ")},
      {"small letters", line("GET / http/1.1")},
      {"mixed case", line("GET / Http/1.1")},
      {"major only", line("GET / HTTP/1")},
      {"no minor", line("GET / HTTP/1.")},
      {"no major", line("GET / HTTP/.1")},
      {"two digits of major", line("GET / HTTP/11.1")},
      {"two digits of minor", line("GET / HTTP/1.10")},
      {"letter", line("GET / HTTP/1.x")},
      {"comma", line("GET / HTTP/1,1")},
      {"sign", line("GET / HTTP/+1.1")},
      {"three parts", line("GET / HTTP/1.1.1")},
      {"rubbish after", line("GET / HTTP/1.1x")},
      {"other protocol", line("GET / HTTPS/1.1")},
      {"other protocol", line("GET / ICY/1.1")},
      {"a higher minor is handled as 1.1: needs Host", "GET / HTTP/1.2\r\n\r\n"},
  });
  expect_all_accepted({
      {"1.0", line("GET /v10 HTTP/1.0"), "GET /v10 HTTP/1.1\r\n"},
      {"1.1", line("GET /v11 HTTP/1.1"), "GET /v11 HTTP/1.1\r\n"},
      {"1.2", line("GET /v12 HTTP/1.2"), "GET /v12 HTTP/1.1\r\n"},
      {"1.9", line("GET /v19 HTTP/1.9"), "GET /v19 HTTP/1.1\r\n"},
  });
}

TEST_F(Framing, TargetFormsR4_4) {
  expect_all_rejected({
      {"byte 0x80", target("/\x80")},
      {"UTF-8", target("/\xc3\xa9")},
      {"byte 0xff in the query", target("/?q=\xff")},
      {"fragment", target("/#top")},
      {"fragment after a query", target("/?q#top")},
      {"control 0x01", target("/\x01")},
      {"DEL", target("/\x7f")},
      {"NUL", target("/\0"s)},
      {"no slash", target("index.html")},
      {"query only", target("?q=1")},
      {"asterisk with GET", target("*")},
      {"asterisk and more", line("OPTIONS *x HTTP/1.1")},
      {"asterisk with POST", line("POST * HTTP/1.1")},
      {"authority with GET", target("a:80")},
      {"absolute-form for another host", target("http://b/")},
      {"absolute-form for another port", target("http://a:81/")},
      {"absolute-form, other host and Host absent", "GET http://b/ HTTP/1.1\r\n\r\n"},
      {"absolute-form without host", target("http:///x")},
      {"absolute-form, userinfo", target("http://user@a/")},
      {"absolute-form, userinfo that looks like the host", target("http://a@b/")},
      {"absolute-form, other scheme", target("ftp://a/")},
      {"absolute-form, other scheme", target("file:///etc/passwd")},
      {"absolute-form, one slash", target("http:/a/")},
      {"absolute-form, fragment", target("http://a/#x")},
      {"absolute-form, backslash in the authority", target("http://a\\@b/")},
  });
  expect_all_accepted({
      {"origin-form", target("/a?b=c&d=%20"), "GET /a?b=c&d=%20 HTTP/1.1\r\n"},
      {"every visible character", target("/!$&'()*+,-.:;=@_~?/?[]{}|^`\"<>"),
       "GET /!$&'()*+,-.:;=@_~?/?[]{}|^`\"<> HTTP/1.1\r\n"},
      {"two slashes first", target("//b/x"), "GET //b/x HTTP/1.1\r\n"},
      {"a URL in the path", target("/http://b/"), "GET /http://b/ HTTP/1.1\r\n"},
      {"absolute-form", target("http://a/abs?q=1"), "GET /abs?q=1 HTTP/1.1\r\n", "http://a"},
      {"absolute-form, no path", target("http://a"), "GET / HTTP/1.1\r\n"},
      {"absolute-form, no path but a query", target("http://a?q=2"), "GET /?q=2 HTTP/1.1\r\n"},
      {"absolute-form, case of scheme and host", target("HTTP://A/abs2"), "GET /abs2 HTTP/1.1\r\n"},
      {"absolute-form, https", target("https://a/abs3"), "GET /abs3 HTTP/1.1\r\n"},
      {"asterisk with OPTIONS", line("OPTIONS * HTTP/1.1"), "OPTIONS * HTTP/1.1\r\n"},
  });
}

TEST_F(Framing, NoForwardProxyR4_4) {
  for (const std::string connect :
       {"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n",
        "CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n",
        "CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: 127.0.0.1:22\r\n\r\n"}) {
    SCOPED_TRACE(connect);
    const std::size_t before = upstream_->byte_count();
    const Response response = fetch(port(), connect);
    EXPECT_EQ(response.status, 405);
    EXPECT_EQ(upstream_->byte_count(), before);
  }
}

TEST_F(Framing, PathsThatCannotBeNormalisedR4_5) {
  expect_all_rejected({
      {"encoded NUL", target("/a%00b")},
      {"encoded NUL at the end", target("/%00")},
      {"broken escape: no digits", target("/%")},
      {"broken escape: one digit", target("/%4")},
      {"broken escape: no hex", target("/%zz")},
      {"broken escape: second digit", target("/%4x/b")},
      {"broken escape: sign", target("/%+1")},
      {"IIS-style unicode escape", target("/%u002e")},
      {"above the root", target("/..")},
      {"above the root", target("/../x")},
      {"above the root", target("/a/../../x")},
      {"above the root", target("/./../x")},
      {"above the root before a query", target("/..?x")},
      {"above the root, absolute-form", target("http://a/../x")},
      {"spelled dot segment", target("/%2e%2e/x")},
      {"spelled dot segment", target("/a/%2E%2E/b")},
      {"spelled dot segment, half", target("/a/.%2e/b")},
      {"spelled dot segment, half", target("/a/%2e./b")},
      {"spelled dot segment, single", target("/a/%2e/b")},
      {"spelled dot segment at the end", target("/a/b/%2e%2e")},
      {"backslash", target("/a\\b")},
      {"backslash dot segments", target("/..\\x")},
  });
  expect_all_accepted({
      {"%2F is kept", target("/a%2Fb"), "GET /a%2Fb HTTP/1.1\r\n"},
      {"%2f is kept", target("/a%2fb"), "GET /a%2fb HTTP/1.1\r\n"},
      {"unreserved escapes are forwarded as they came", target("/%7Euser/%41"),
       "GET /%7Euser/%41 HTTP/1.1\r\n"},
      {"dot segments below the root", target("/a/../b/./c"), "GET /a/../b/./c HTTP/1.1\r\n"},
      {"dots that are no segments", target("/a..b/...x/%2ejs"),
       "GET /a..b/...x/%2ejs HTTP/1.1\r\n"},
      {"double encoding is data", target("/%252e%252e/x"), "GET /%252e%252e/x HTTP/1.1\r\n"},
      {"two slashes", target("/a//b"), "GET /a//b HTTP/1.1\r\n"},
      {"the query is not a path", target("/q?x=/../../y"), "GET /q?x=/../../y HTTP/1.1\r\n"},
  });
}

// --- fields

TEST_F(Framing, FieldNamesR4_6) {
  expect_all_rejected({
      {"space before the colon", "GET / HTTP/1.1\r\nHost : a\r\n\r\n"},
      {"tab before the colon", "GET / HTTP/1.1\r\nHost: a\r\nX\t: 1\r\n\r\n"},
      {"space before the colon of a framing field", post("Content-Length : 3")},
      {"space before the colon of a framing field",
       post("Transfer-Encoding : chunked", "3\r\nabc\r\n0\r\n\r\n")},
      {"space before the first field", "GET / HTTP/1.1\r\n Host: a\r\n\r\n"},
      {"tab before the first field", "GET / HTTP/1.1\r\n\tHost: a\r\n\r\n"},
      {"space, then Host", "GET / HTTP/1.1\r\n X: 1\r\nHost: a\r\n\r\n"},
      {"folded with a space", field("X: a\r\n folded")},
      {"folded with a tab", field("X: a\r\n\tfolded")},
      {"folded after LF", field("X: a\n folded")},
      {"folded and empty", field("X: a\r\n ")},
      {"folded framing field", post("Content-Length:\r\n 3")},
      {"no colon", field("NoColon")},
      {"no colon, two words", field("No Colon")},
      {"a second request line", field("GET / HTTP/1.1")},
      {"empty name", field(": value")},
      {"colon only", field(":")},
      {"space in a name", field("X Y: 1")},
      {"name beyond ASCII", field("X\x80: 1")},
      {"NUL in a name", field("X\0Y: 1"s)},
      {"control in a name", field("X\x01: 1")},
      {"DEL in a name", field("X\x7f: 1")},
      {"separator (", field("X(: 1")},
      {"separator /", field("X/Y: 1")},
      {"separator @", field("X@Y: 1")},
      {"separator [", field("X[]: 1")},
      {"separator \"", field("\"X\": 1")},
      {"separator ;", field("X;Y: 1")},
      {"separator =", field("X=Y: 1")},
  });
  expect_all_accepted({
      {"every token character", field("!#$%&'*+-.^`|~09azAZ: 1"), "!#$%&'*+-.^`|~09azAZ: 1\r\n"},
      {"colon in the value", field("X: a:b : c"), "X: a:b : c\r\n"},
      {"no space after the colon", field("X:1"), "X: 1\r\n"},
  });
}

TEST_F(Framing, FieldValuesR4_7) {
  std::vector<Rejected> controls;
  for (int byte = 0; byte < 0x20; ++byte) {
    if (byte == '\t') continue;
    controls.push_back({"control in a value", field("X: a"s + static_cast<char>(byte) + "b")});
  }
  controls.push_back({"DEL in a value", field("X: a\x7f")});
  controls.push_back({"NUL first", field("X: \0"s)});
  controls.push_back({"NUL in the length", post("Content-Length: 3\0"s)});
  expect_all_rejected(controls);
  expect_all_accepted({
      {"spaces and tabs around", field("X: \t v \t "), "X: v\r\n"},
      {"tab within", field("X: a\tb"), "X: a\tb\r\n"},
      {"bytes from 0x80 on", field("X: \x80\xff\xc3\xa9"), "X: \x80\xff\xc3\xa9\r\n"},
      {"empty", field("X:"), "X:"},
      {"only spaces", field("X-Spaces:   "), "X-Spaces:"},
  });
}

TEST_F(Framing, HostR4_8) {
  expect_all_rejected({
      {"absent in 1.1", "GET / HTTP/1.1\r\n\r\n"},
      {"absent in 1.1, absolute-form", "GET http://a/ HTTP/1.1\r\n\r\n"},
      {"twice", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"},
      {"twice and equal", "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"},
      {"twice in other case", "GET / HTTP/1.1\r\nHost: a\r\nhOsT: b\r\n\r\n"},
      {"twice in 1.0", "GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n"},
      {"empty", host("")},
      {"only spaces", host("  ")},
      {"list", host("a, b")},
      {"list without space", host("a,b")},
      {"space", host("a b")},
      {"tab", host("a\tb")},
      {"userinfo", host("user@a")},
      {"userinfo and password", host("user:pw@a")},
      {"path", host("a/b")},
      {"query", host("a?b")},
      {"fragment", host("a#b")},
      {"URL", host("http://a")},
      {"backslash", host("a\\b")},
      {"port is no number", host("a:b")},
      {"port with sign", host("a:+80")},
      {"two ports", host("a:80:90")},
      {"port without host", host(":80")},
      {"IPv6 without brackets", host("::1")},
      {"bracket open", host("[::1")},
      {"bracket closed", host("::1]")},
      {"rubbish after the bracket", host("[::1]x")},
      {"empty brackets", host("[]")},
      {"no address in brackets", host("[zz]")},
      {"quotes", host("\"a\"")},
      {"beyond ASCII", host("\xc3\xa9")},
      {"empty in 1.0", "GET / HTTP/1.0\r\nHost:\r\n\r\n"},
  });
  expect_all_accepted({
      {"name", host("shop.example.com"), "Host: shop.example.com\r\n"},
      {"port", host("a:8080"), "Host: a:8080\r\n"},
      {"IPv4", host("127.0.0.1:80"), "Host: 127.0.0.1:80\r\n"},
      {"IPv6", host("[::1]"), "Host: [::1]\r\n"},
      {"IPv6 and port", host("[2001:db8::1]:443"), "Host: [2001:db8::1]:443\r\n"},
      {"absent in 1.0", "GET /nohost HTTP/1.0\r\n\r\n", "GET /nohost HTTP/1.1\r\n"},
  });
}

TEST_F(Framing, UnderscoreNamesAreDroppedR4_9) {
  expect_all_accepted({
      {"underscore", field("X_A: dropped-1"), "GET / HTTP/1.1\r\n", "dropped-1"},
      {"beside its twin", field("X-User: kept\r\nX_User: dropped-2"), "X-User: kept\r\n",
       "dropped-2"},
      {"underscore first", field("_X: dropped-3"), "GET / HTTP/1.1\r\n", "dropped-3"},
      {"no framing field in disguise", post("Content_Length: 99\r\nContent-Length: 3"), "abc",
       "Content_Length"},
      {"no framing field in disguise", field("Transfer_Encoding: chunked"), "GET / HTTP/1.1\r\n",
       "Transfer_Encoding"},
  });
}

// --- body framing

TEST_F(Framing, ContentLengthR4_10) {
  expect_all_rejected({
      {"two fields", post("Content-Length: 3\r\nContent-Length: 4")},
      {"two equal fields", post("Content-Length: 3\r\nContent-Length: 3")},
      {"list", post("Content-Length: 3, 4")},
      {"equal list", post("Content-Length: 3,3")},
      {"list with an empty element", post("Content-Length: 3,")},
      {"plus", post("Content-Length: +3")},
      {"minus", post("Content-Length: -3")},
      {"minus zero", post("Content-Length: -0")},
      {"hex", post("Content-Length: 0x3")},
      {"hex digits", post("Content-Length: a")},
      {"underscore", post("Content-Length: 1_0")},
      {"inner space", post("Content-Length: 1 0")},
      {"inner tab", post("Content-Length: 1\t0")},
      {"fraction", post("Content-Length: 3.0")},
      {"exponent", post("Content-Length: 3e0")},
      {"unit", post("Content-Length: 3b")},
      {"parameter", post("Content-Length: 3;q=1")},
      {"quotes", post("Content-Length: \"3\"")},
      {"empty", post("Content-Length:")},
      {"other digits", post("Content-Length: \xd9\xa3")},
      {"2^63", post("Content-Length: 9223372036854775808")},
      {"2^64", post("Content-Length: 18446744073709551616")},
      {"2^64 + 3 wraps to 3", post("Content-Length: 18446744073709551619")},
      {"thirty digits", post("Content-Length: 111111111111111111111111111111")},
      {"over limits.body by one", post("Content-Length: 1048577"), {413}},
      {"2^63 - 1", post("Content-Length: 9223372036854775807"), {413}},
      {"on GET too", "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc"},
      {"in 1.0 too",
       "POST / HTTP/1.0\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc"},
  });
  expect_all_accepted({
      {"zero", post("Content-Length: 0", ""), "Content-Length: 0\r\n"},
      {"spaces around", post("Content-Length:  3 \t"), "Content-Length: 3\r\n"},
      {"three bytes", post("Content-Length: 3"), "\r\n\r\nabc"},
      {"exactly limits.body", post("Content-Length: 1048576", std::string(1048576, 'x')),
       "Content-Length: 1048576\r\n"},
  });
}

TEST_F(Framing, TransferEncodingR4_11) {
  const std::string body = "3\r\nabc\r\n0\r\n\r\n";
  const auto with = [&](std::string_view value) {
    return post("Transfer-Encoding:" + std::string(value), body);
  };
  expect_all_rejected({
      {"with Content-Length", post("Content-Length: 3\r\nTransfer-Encoding: chunked", body)},
      {"with Content-Length, other order",
       post("Transfer-Encoding: chunked\r\nContent-Length: 3", body)},
      {"with Content-Length: 0", post("Content-Length: 0\r\nTransfer-Encoding: chunked", body)},
      {"with a bad Content-Length", post("Content-Length: x\r\nTransfer-Encoding: chunked", body)},
      {"an unknown coding and Content-Length",
       post("Transfer-Encoding: xchunked\r\nContent-Length: 3", body)},
      {"in 1.0", "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + body},
      {"in 1.0 with Content-Length",
       "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n" +
           body},
      {"chunked is not last", with(" chunked, identity")},
      {"chunked is not last", with(" chunked, gzip")},
      {"gzip, chunked", with(" gzip, chunked"), {501}},
      {"identity, chunked", with(" identity, chunked"), {501}},
      {"three codings", with(" deflate, gzip, chunked"), {501}},
      {"two fields", post("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked", body), {501}},
      {"two fields, chunked first",
       post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", body)},
      {"chunked twice", with(" chunked, chunked")},
      {"chunked in two fields",
       post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", body)},
      {"gzip alone", with(" gzip")},
      {"identity alone", with(" identity")},
      {"x-chunked", with(" xchunked")},
      {"chunkedx", with(" chunkedx")},
      {"empty", with("")},
      {"comma", with(" ,")},
      {"empty element first", with(" , chunked")},
      {"empty element last", with(" chunked,")},
      {"empty element between", with(" gzip,, chunked")},
      {"parameter", with(" chunked;q=1")},
      {"parameter of another coding", with(" gzip;q=1, chunked"), {400, 501}},
      {"quotes", with(" \"chunked\"")},
      {"space within", with(" chun ked")},
      {"vertical tab", with(" \vchunked")},
      {"NUL", with(" chunked\0"s)},
      {"folded", with("\r\n chunked")},
      {"on GET too", "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n"},
  });
  expect_all_accepted({
      {"chunked", with(" chunked"), "abc"},
      {"any case", with(" ChUnKeD"), "abc"},
      {"spaces around", with(" \t chunked \t"), "abc"},
      {"no space", with("chunked"), "abc"},
  });
}

TEST_F(Framing, ChunksR4_12) {
  const std::string end = "0\r\n\r\n";
  expect_all_rejected(
      {
          {"bare LF after the size", chunked("5\nabcde\r\n" + end)},
          {"bare CR after the size", chunked("3\rabc\r\n" + end)},
          {"CR CR LF after the size", chunked("3\r\r\nabc\r\n" + end)},
          {"bare LF after the data", chunked("3\r\nabc\n" + end)},
          {"bare CR after the data", chunked("3\r\nabc\r" + end)},
          {"nothing after the data", chunked("3\r\nabc" + end)},
          {"data longer than its size", chunked("3\r\nabcd\r\n" + end)},
          {"data shorter than its size", chunked("4\r\nabc\r\n" + end)},
          {"empty size", chunked("\r\nabc\r\n" + end)},
          {"space before the size", chunked(" 3\r\nabc\r\n" + end)},
          {"space after the size", chunked("3 \r\nabc\r\n" + end)},
          {"tab after the size", chunked("3\t\r\nabc\r\n" + end)},
          {"0x", chunked("0x3\r\nabc\r\n" + end)},
          {"plus", chunked("+3\r\nabc\r\n" + end)},
          {"minus", chunked("-3\r\nabc\r\n" + end)},
          {"underscore", chunked("1_0\r\nabc\r\n" + end)},
          {"no hex digit", chunked("g\r\nabc\r\n" + end)},
          {"comma", chunked("3,3\r\nabc\r\n" + end)},
          {"seventeen digits", chunked("00000000000000003\r\nabc\r\n" + end)},
          {"2^63", chunked("8000000000000000\r\nabc\r\n" + end)},
          {"2^64 - 1", chunked("ffffffffffffffff\r\nabc\r\n" + end)},
          {"2^64 + 3 wraps to 3", chunked("10000000000000003\r\nabc\r\n" + end)},
          {"LF in an extension", chunked("3;a\nb\r\nabc\r\n" + end)},
          {"CR in an extension", chunked("3;a\rb\r\nabc\r\n" + end)},
          {"NUL in an extension", chunked("3;a\0b\r\nabc\r\n"s + end)},
          {"CRLF in a quoted extension", chunked("3;a=\"x\r\ny\"\r\nabc\r\n" + end)},
          {"open quote", chunked("3;a=\"x\r\nabc\r\n" + end)},
          {"extension over 256 bytes",
           chunked("3;a=" + std::string(300, 'x') + "\r\nabc\r\n" + end)},
          {"endless extension", chunked("3;a=" + std::string(100'000, 'x'))},
          {"endless size", chunked(std::string(100'000, '0'))},
          {"bare LF after the last chunk's size", chunked("3\r\nabc\r\n0\n\r\n")},
          {"bare LF ends the trailers", chunked("3\r\nabc\r\n0\r\n\n")},
          {"last chunk with data", chunked("3\r\nabc\r\n0\r\nabc\r\n\r\n")},
          {"second chunk bad", chunked("3\r\nabc\r\nX\r\nabc\r\n" + end)},
          {"over limits.body", chunked("200000\r\n" + std::string(0x200000, 'x')), {413}},
      },
      /*head_may_reach_upstream=*/true);

  std::string many_extensions;
  for (int i = 0; i < 80; ++i) many_extensions += "1;" + std::string(250, 'e') + "\r\nx\r\n";
  expect_all_rejected({{"extensions over 16 KiB in all", chunked(many_extensions + end)}}, true);

  const std::string nearly_16k = many_extensions.substr(0, 60 * (250 + 7));
  expect_all_accepted({
      {"one chunk", chunked("3\r\nabc\r\n" + end), "abc"},
      {"capital and small hex", chunked("A\r\n0123456789\r\na\r\n0123456789\r\n" + end),
       "0123456789"},
      {"sixteen digits", chunked("0000000000000003\r\nabc\r\n" + end), "abc"},
      {"last chunk of many zeros", chunked("3\r\nabc\r\n0000\r\n\r\n"), "abc"},
      {"extension", chunked("3;name=value\r\nabc\r\n" + end), "abc", "name=value"},
      {"quoted extension", chunked("3;name=\"a;b \\\" c\"\r\nabc\r\n" + end), "abc"},
      {"extensions below 16 KiB", chunked(nearly_16k + end), "x"},
      {"empty body", chunked(end), "POST /body HTTP/1.1\r\n"},
  });
}

TEST_F(Framing, ChunksArriveByteByByteR4_12) {
  RawClient client(port());
  const std::string input =
      "POST /bytes HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
      "3;x=\"y\"\r\nabc\r\nA\r\n0123456789\r\n0\r\nX-T: 1\r\n\r\n" +
      target("/after-bytes");
  for (const char c : input) client.send(std::string_view(&c, 1));
  EXPECT_EQ(client.read_response().status, 200);
  EXPECT_EQ(client.read_response().status, 200);
  EXPECT_EQ(upstream_->wait_for_request("/bytes").body, "abc0123456789");
}

TEST_F(Framing, RequestTrailersR4_13) {
  expect_all_rejected(
      {
          {"space before the colon", chunked("0\r\nX : 1\r\n\r\n")},
          {"bare LF", chunked("0\r\nX: 1\n\r\n")},
          {"folded", chunked("0\r\nX: 1\r\n 2\r\n\r\n")},
          {"no colon", chunked("0\r\nnocolon\r\n\r\n")},
          {"NUL", chunked("0\r\nX: \0\r\n\r\n"s)},
          {"over 8 KiB", chunked("0\r\nX: " + std::string(9000, 'x') + "\r\n\r\n"), {400, 431}},
          {"endless", chunked("0\r\n" + std::string(100'000, 'x')), {400, 431}},
      },
      /*head_may_reach_upstream=*/true);

  ASSERT_EQ(
      fetch(
          port(),
          chunked("3\r\nabc\r\n0\r\nX-Late: 1\r\nContent-Length: 9\r\nAuthorization: evil\r\n\r\n"))
          .status,
      200);
  const Message seen = upstream_->requests().back();
  EXPECT_EQ(seen.body, "abc");
  EXPECT_FALSE(seen.has("X-Late")) << "merged into the headers";
  EXPECT_FALSE(seen.has("Authorization"));
  EXPECT_EQ(seen.trailer("Content-Length"), "");
  EXPECT_EQ(seen.trailer("Authorization"), "");
}

TEST_F(Framing, BodiesOnAnyMethodR4_14) {
  for (const std::string method : {"GET", "HEAD", "DELETE", "OPTIONS", "PURGE"}) {
    SCOPED_TRACE(method);
    const std::size_t before = upstream_->request_count();
    RawClient client(port());
    client.send(
        method + " /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello" + method +
        " /2 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nworld\r\n0\r\n\r\n");
    EXPECT_EQ(client.read_response(kDeadline, method == "HEAD").status, 200);
    EXPECT_EQ(client.read_response(kDeadline, method == "HEAD").status, 200);
    const auto requests = upstream_->requests();
    ASSERT_EQ(requests.size(), before + 2);
    EXPECT_EQ(requests[before].start_line, method + " /1 HTTP/1.1");
    EXPECT_EQ(requests[before].body, "hello");
    EXPECT_EQ(requests[before + 1].start_line, method + " /2 HTTP/1.1");
    EXPECT_EQ(requests[before + 1].body, "world");
  }
}

TEST_F(Framing, TruncatedRequestsNeverReachTheUpstreamWhole) {
  const std::vector<std::string> truncated = {"",
                                              "G",
                                              "GET ",
                                              "GET / HTTP/1.1",
                                              "GET / HTTP/1.1\r",
                                              "GET / HTTP/1.1\r\n",
                                              "GET / HTTP/1.1\r\nHost: a\r\n",
                                              "GET / HTTP/1.1\r\nHost: a\r\n\r",
                                              post("Content-Length: 10"),
                                              post("Content-Length: 4"),
                                              chunked(""),
                                              chunked("3"),
                                              chunked("3\r\n"),
                                              chunked("3\r\nab"),
                                              chunked("3\r\nabc\r\n"),
                                              chunked("3\r\nabc\r\n0\r\n"),
                                              chunked("3\r\nabc\r\n0\r\nX: 1\r\n")};
  const std::size_t before = complete_requests();
  for (const auto& input : truncated) {
    SCOPED_TRACE(escaped(input));
    RawClient client(port());
    client.send(input);
    client.finish_sending();
    const Response response = client.read_response();
    EXPECT_THAT(response.status, AnyOf(0, 400, 408, 502)) << "only an error or nothing may come";
    EXPECT_FALSE(response.timed_out) << "the connection must end";
  }
  expect_nothing_followed(before);
}

TEST_F(Framing, RejectionsAreProblemsWithAReasonAndALogLine) {
  const Response response =
      fetch(port(), "GET /problem HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc");
  EXPECT_EQ(response.status, 400);
  EXPECT_EQ(response.header("Content-Type"), "application/problem+json");
  EXPECT_EQ(response.reason(), "bad_request");
  EXPECT_EQ(response.json().value("status", 0), 400);
  EXPECT_NE(response.json().value("detail", ""), "") << "the rule that was broken";
  EXPECT_EQ(response.header("Connection"), "close");
}

// --- Expect

TEST_F(Framing, ExpectContinueIsAnsweredBeforeTheBodyR4_15) {
  RawClient client(port());
  client.send(
      "POST /expect HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
  // This upstream never sends 100 itself; it waits for the body. So the test of a forwarded 100 is
  // the next one.
  Upstream asking([](UpstreamExchange& exchange) {
    if (exchange.request.has("Expect")) exchange.send("HTTP/1.1 100 Continue\r\n\r\n");
    if (exchange.read_body()) exchange.send(ok("got " + exchange.request.body));
  });
  client.send("abc");  // a client may stop waiting for 100 (9110 §10.1.1)
  EXPECT_EQ(client.read_response().status, 200);

  Gateway gateway(proxy_to(asking));
  RawClient waiting(gateway.port());
  waiting.send(
      "POST /expect HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
  ASSERT_TRUE(waiting.read_until("HTTP/1.1 100 Continue\r\n")) << escaped(waiting.unread());
  ASSERT_TRUE(waiting.read_until("\r\n"));
  waiting.send("abc");
  const Response response = waiting.read_response();
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.body, "got abc");
  EXPECT_THAT(response.interim, ElementsAre()) << "100 came twice";
}

TEST_F(Framing, AnUpstreamMayRefuseBeforeTheBodyR4_15) {
  Upstream refusing([](UpstreamExchange& exchange) {
    exchange.send("HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno");
    exchange.close();
  });
  Gateway gateway(proxy_to(refusing));
  RawClient client(gateway.port());
  client.send(
      "POST /refused HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\nExpect: "
      "100-continue\r\n\r\n");
  const Response response = client.read_response();
  EXPECT_EQ(response.status, 401);
  EXPECT_EQ(response.body, "no");
}

TEST_F(Framing, ABodySentWithoutWaitingForContinueIsHandledR4_15) {
  RawClient client(port());
  client.send(post("Content-Length: 3\r\nExpect: 100-continue") + target("/after-expect"));
  EXPECT_EQ(client.read_response().status, 200);
  EXPECT_EQ(client.read_response().status, 200);
}

TEST_F(Framing, OtherExpectationsAreRefusedR4_15) {
  for (const std::string value : {"200-ok", "100-continue, x", "x=y"}) {
    SCOPED_TRACE(value);
    const std::size_t before = upstream_->byte_count();
    EXPECT_EQ(fetch(port(), post("Content-Length: 3\r\nExpect: " + value)).status, 417);
    EXPECT_EQ(upstream_->byte_count(), before);
  }
}

TEST_F(Framing, NoContinueForHttp10OrARefusedRouteR4_15) {
  RawClient old(port());
  old.send("POST /old HTTP/1.0\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\nabc");
  const Response response = old.read_response();
  EXPECT_EQ(response.status, 200);
  EXPECT_TRUE(response.interim.empty());

  Gateway gateway(
      "listen: [\"127.0.0.1:0\"]\nworkers: 1\napps:\n  - name: one\n    hosts: [one.example]\n    "
      "upstream: {targets: [\"" +
      upstream_->url() + "\"]}\n");
  RawClient lost(gateway.port());
  lost.send(
      "POST /lost HTTP/1.1\r\nHost: other.example\r\nContent-Length: 3\r\nExpect: "
      "100-continue\r\n\r\n");
  const Response not_found = lost.read_response();
  EXPECT_EQ(not_found.status, 404);
  EXPECT_EQ(not_found.reason(), "no_route");
  EXPECT_TRUE(not_found.interim.empty());
}

// --- pipelining

TEST(Pipelining, AnswersComeInOrderR4_16) {
  Upstream upstream([](UpstreamExchange& exchange) {
    exchange.read_body();
    if (exchange.request.target() == "/0") std::this_thread::sleep_for(100ms);
    exchange.send(ok("answer to " + exchange.request.target() + " " + exchange.request.body));
  });
  Gateway gateway(proxy_to(upstream));
  RawClient client(gateway.port());
  std::string requests;
  for (int i = 0; i < 20; ++i) {
    const std::string path = "/" + std::to_string(i);
    requests += i % 2 ? "POST " + path + " HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"
                      : "GET " + path + " HTTP/1.1\r\nHost: a\r\n\r\n";
  }
  client.send(requests);
  for (int i = 0; i < 20; ++i) {
    const Response response = client.read_response();
    EXPECT_EQ(response.status, 200);
    EXPECT_EQ(response.body, "answer to /" + std::to_string(i) + (i % 2 ? " hi" : " "));
  }
}

TEST(Pipelining, OneAtATimeR4_16) {
  std::atomic<int> running{0}, most{0};
  Upstream upstream([&](UpstreamExchange& exchange) {
    most = std::max(most.load(), ++running);
    std::this_thread::sleep_for(5ms);
    --running;
    exchange.send(ok("x"));
  });
  Gateway gateway(proxy_to(upstream));
  RawClient client(gateway.port());
  std::string requests;
  for (int i = 0; i < 20; ++i) requests += target("/" + std::to_string(i));
  client.send(requests);
  for (int i = 0; i < 20; ++i) ASSERT_EQ(client.read_response().status, 200);
  EXPECT_EQ(most, 1);
}

TEST(Pipelining, UnreadRequestsAreNotHoardedR4_16) {
  std::atomic<bool> open{false};
  Upstream upstream([&](UpstreamExchange& exchange) {
    (void)wait_until([&] { return open.load(); });
    exchange.send(ok("x"));
  });
  Gateway gateway(proxy_to(upstream, "limits: {requests_per_connection: 100000}"));
  ASSERT_EQ(
      [&] {
        open = true;
        auto status = get(gateway.port(), "/warm").status;
        open = false;
        return status;
      }(),
      200);
  const std::size_t before = gateway.resident_bytes();

  // Sends until the kernel's buffers are full, which shows that the gateway has stopped reading.
  RawClient client(gateway.port());
  const std::string request = field("X: " + std::string(8000, 'x'));
  std::string pending;
  std::size_t sent_requests = 0;
  bool blocked = false;
  while (sent_requests < 8000 && !blocked) {
    if (pending.empty()) {
      pending = request;
      ++sent_requests;
    }
    blocked = !wait_until(
        [&] {
          const auto count = client.socket().send_some(pending);
          if (!count || *count == 0) return !count.has_value();
          pending.erase(0, *count);
          return true;
        },
        300ms);
  }
  EXPECT_TRUE(blocked) << "64 MB of pipelined requests were taken";
  EXPECT_LT(gateway.resident_bytes(), before + (kSanitized ? 16 : 1) * 1024 * 1024);

  open = true;
  std::thread rest([&] { client.send(pending); });
  for (std::size_t i = 0; i < sent_requests; ++i)
    ASSERT_EQ(client.read_response().status, 200) << i;
  rest.join();
}

// --- the upstream's responses

// What the upstream sends for a request to /N, and what the client must get.
struct UpstreamAnswer {
  const char* section;
  std::string bytes;
  bool then_close = false;
};

// An upstream that sends the N-th answer for the target "/N" and then waits for the gateway to
// close.
class AnsweringUpstream {
 public:
  explicit AnsweringUpstream(const std::vector<UpstreamAnswer>& answers)
      : answers_(answers),
        upstream_([this](UpstreamExchange& exchange) {
          exchange.read_body();
          const auto& answer = answers_.at(std::stoul(exchange.request.target().substr(1)));
          exchange.send(answer.bytes);
          if (answer.then_close) exchange.close();
        }),
        // Most of the answers are failures on purpose.
        gateway_(proxy_to(upstream_, "limits: {response_head: 16KiB}\nbreaker: {mode: disabled}")) {
  }

  Response fetch_case(std::size_t number, std::string_view method = "GET",
                      std::string_view version = "HTTP/1.1", std::string_view field_lines = "") {
    return fetch(gateway_.port(), std::string(method) + " /" + std::to_string(number) + " " +
                                      std::string(version) + "\r\nHost: a\r\n" +
                                      std::string(field_lines) + "\r\n");
  }
  bool upstream_closes() {
    return wait_until([this] { return upstream_.open_connections() == 0; });
  }
  Upstream& upstream() { return upstream_; }
  Gateway& gateway() { return gateway_; }

 private:
  std::vector<UpstreamAnswer> answers_;
  Upstream upstream_;
  Gateway gateway_;
};

TEST(UpstreamResponses, BrokenOnesGive502R4_17) {
  const std::string chunks = "\r\n3\r\nabc\r\n0\r\n\r\n";
  std::string eleven_interims;
  for (int i = 0; i < 11; ++i) eleven_interims += "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
  std::vector<UpstreamAnswer> answers = {
      {"two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"},
      {"two equal lengths", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc"},
      {"list of lengths", "HTTP/1.1 200 OK\r\nContent-Length: 3, 3\r\n\r\nabc"},
      {"length with sign", "HTTP/1.1 200 OK\r\nContent-Length: +3\r\n\r\nabc"},
      {"length in hex", "HTTP/1.1 200 OK\r\nContent-Length: 0x3\r\n\r\nabc"},
      {"empty length", "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\nabc"},
      {"negative length", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nabc"},
      {"length over 63 bits", "HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775808\r\n\r\nabc"},
      {"both framings",
       "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n" + chunks},
      {"both framings, other order",
       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n" + chunks},
      {"chunked twice", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n" + chunks},
      {"chunked in 1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n" + chunks},
      {"empty coding", "HTTP/1.1 200 OK\r\nTransfer-Encoding:\r\n" + chunks},
      {"no HTTP", "SSH-2.0-OpenSSH_9.2p1\r\n\r\n"},
      {"no version", "200 OK\r\nContent-Length: 0\r\n\r\n"},
      {"bad version", "HTTP/1.x 200 OK\r\nContent-Length: 0\r\n\r\n"},
      {"HTTP/2.0", "HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n"},
      {"HTTP/0.9", "<html>hello</html>\r\n\r\n", true},
      {"small letters", "http/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"},
      {"two spaces", "HTTP/1.1  200 OK\r\nContent-Length: 0\r\n\r\n"},
      {"status of two digits", "HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n"},
      {"status of four digits", "HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n"},
      {"status is no number", "HTTP/1.1 abc OK\r\nContent-Length: 0\r\n\r\n"},
      {"status 099", "HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n"},
      {"no status", "HTTP/1.1\r\nContent-Length: 0\r\n\r\n"},
      {"control in the reason phrase", "HTTP/1.1 200 O\x01K\r\nContent-Length: 0\r\n\r\n"},
      {"bare LF after the status line", "HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n"},
      {"bare LF after a field", "HTTP/1.1 200 OK\r\nContent-Length: 0\n\r\n"},
      {"bare CR in a value", "HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 0\r\n\r\n"},
      {"NUL in a value", "HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n"s},
      {"control in a value", "HTTP/1.1 200 OK\r\nX: \x1b[31m\r\nContent-Length: 0\r\n\r\n"},
      {"folded field", "HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n"},
      {"space before the colon", "HTTP/1.1 200 OK\r\nContent-Length : 0\r\n\r\n"},
      {"no colon", "HTTP/1.1 200 OK\r\nnocolon\r\nContent-Length: 0\r\n\r\n"},
      {"empty name", "HTTP/1.1 200 OK\r\n: x\r\nContent-Length: 0\r\n\r\n"},
      {"head over the limit",
       "HTTP/1.1 200 OK\r\nX: " + std::string(20'000, 'x') + "\r\nContent-Length: 0\r\n\r\n"},
      {"endless head", "HTTP/1.1 200 OK\r\n" + std::string(200'000, 'x')},
      {"endless status line", std::string(200'000, 'H')},
      {"eleven interim responses", eleven_interims + ok("late")},
      {"101 that nobody asked for",
       "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n"},
      {"close without a byte", "", true},
      {"close within the status line", "HTTP/1.1 20", true},
      {"close within the head", "HTTP/1.1 200 OK\r\nContent-Le", true},
      {"close after an interim response", "HTTP/1.1 103 Early Hints\r\n\r\n", true},
  };
  AnsweringUpstream answering(answers);
  for (std::size_t i = 0; i < answers.size(); ++i) {
    SCOPED_TRACE(std::string(answers[i].section) + ": " + escaped(answers[i].bytes));
    const Response response = answering.fetch_case(i);
    EXPECT_EQ(response.status, 502);
    EXPECT_TRUE(response.complete);
    EXPECT_THAT(response.reason(), AnyOf("upstream_protocol_error", "upstream_reset"));
    EXPECT_TRUE(answering.upstream_closes()) << "the upstream connection stays open";
  }
}

TEST(UpstreamResponses, BadChunksNeverEndProperlyR4_17) {
  const std::string head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  const std::vector<UpstreamAnswer> answers = {
      {"bare LF after the size", head + "3\nabc\r\n0\r\n\r\n"},
      {"no hex", head + "xyz\r\nabc\r\n0\r\n\r\n"},
      {"sign", head + "+3\r\nabc\r\n0\r\n\r\n"},
      {"size over 63 bits", head + "8000000000000000\r\nabc"},
      {"data too long", head + "3\r\nabcd\r\n0\r\n\r\n"},
      {"second chunk bad", head + "3\r\nabc\r\nzz\r\nabc\r\n0\r\n\r\n"},
      {"bad trailer", head + "3\r\nabc\r\n0\r\nX : 1\r\n\r\n"},
      {"endless extension", head + "3;" + std::string(100'000, 'e')},
  };
  AnsweringUpstream answering(answers);
  for (std::size_t i = 0; i < answers.size(); ++i) {
    SCOPED_TRACE(answers[i].section);
    const Response response = answering.fetch_case(i);
    // 502 if nothing had gone to the client, else a body that visibly breaks off.
    if (response.status != 502) {
      EXPECT_EQ(response.status, 200);
      EXPECT_FALSE(response.complete);
      EXPECT_FALSE(response.timed_out);
    }
    EXPECT_TRUE(answering.upstream_closes());
  }
}

TEST(UpstreamResponses, NoBodyWhateverTheFieldsSayR4_17) {
  const std::vector<UpstreamAnswer> answers = {
      {"204 with a length", "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n"},
      {"204 with chunked", "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n"},
      {"304 with a length",
       "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nETag: \"a\"\r\n\r\n"},
      {"304 with chunked", "HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n"},
      {"HEAD with a length", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"},
      {"HEAD with chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"},
  };
  AnsweringUpstream answering(answers);
  for (std::size_t i = 0; i < answers.size(); ++i) {
    SCOPED_TRACE(answers[i].section);
    const bool head = std::string_view(answers[i].section).starts_with("HEAD");
    const std::string request = std::string(head ? "HEAD" : "GET") + " /" + std::to_string(i) +
                                " HTTP/1.1\r\nHost: a\r\n\r\n";
    RawClient client(answering.gateway().port());
    client.send(request);
    const Response first = client.read_response(kDeadline, head);
    EXPECT_THAT(first.status, AnyOf(200, 204, 304));
    if (first.status == 204) {
      EXPECT_FALSE(first.has("Content-Length"));
      EXPECT_FALSE(first.has("Transfer-Encoding"));
    }
    if (i == 4) {
      EXPECT_EQ(first.header("Content-Length"), "5");
    }
    EXPECT_TRUE(client.stays_silent(20ms)) << escaped(client.unread());
    client.send(request);
    EXPECT_EQ(client.read_response(kDeadline, head).status, first.status)
        << "the connection lost its framing";
  }
  EXPECT_EQ(answering.upstream().connection_count(), 1u)
      << "bodiless responses keep the upstream connection";
}

TEST(UpstreamResponses, BodyUntilCloseR4_17) {
  const std::vector<UpstreamAnswer> answers = {
      {"no framing", "HTTP/1.1 200 OK\r\n\r\nuntil close", true},
      {"no framing in 1.0", "HTTP/1.0 200 OK\r\n\r\nuntil close", true},
      {"another coding", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nuntil close", true},
      {"empty", "HTTP/1.1 200 OK\r\n\r\n", true},
  };
  AnsweringUpstream answering(answers);
  for (std::size_t i = 0; i < answers.size(); ++i) {
    SCOPED_TRACE(answers[i].section);
    const Response response = answering.fetch_case(i);
    EXPECT_EQ(response.status, 200);
    EXPECT_TRUE(response.complete);
    EXPECT_EQ(response.body, i == 3 ? "" : "until close");
    const Response old = answering.fetch_case(i, "GET", "HTTP/1.0");
    EXPECT_EQ(old.status, 200);
    EXPECT_EQ(old.body, i == 3 ? "" : "until close");
    EXPECT_FALSE(old.has("Transfer-Encoding")) << "HTTP/1.0 knows no chunks";
  }
}

TEST(UpstreamResponses, BytesAfterTheResponseAreNeverTheNextOneR4_17) {
  const std::vector<UpstreamAnswer> answers = {
      {"stray bytes", ok("abc") + "STRAY"},
      {"a second response", ok("abc") + ok("poison")},
      {"stray bytes after chunks",
       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n" + ok("poison")},
      {"a body after 204", "HTTP/1.1 204 No Content\r\n\r\n" + ok("poison")},
      {"good", ok("good")},
  };
  AnsweringUpstream answering(answers);
  for (std::size_t i = 0; i + 1 < answers.size(); ++i) {
    SCOPED_TRACE(answers[i].section);
    RawClient client(answering.gateway().port());
    client.send(target("/" + std::to_string(i)));
    EXPECT_THAT(client.read_response().body, AnyOf("abc", ""));
    client.send(target("/4"));
    const Response next = client.read_response();
    EXPECT_EQ(next.status, 200);
    EXPECT_EQ(next.body, "good");
  }
}

TEST(UpstreamResponses, AreForwardedAsTheyAre) {
  const std::vector<UpstreamAnswer> answers = {
      {"length",
       "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nX-Up: 1\r\nSet-Cookie: a=1\r\nSet-Cookie: "
       "b=2\r\n\r\nabc"},
      {"chunked",
       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Up: 1\r\nSet-Cookie: a=1\r\nSet-Cookie: "
       "b=2\r\n\r\n1\r\na\r\n2\r\nbc\r\n0\r\n\r\n"},
      {"no reason phrase",
       "HTTP/1.1 200 \r\nContent-Length: 3\r\nX-Up: 1\r\nSet-Cookie: a=1\r\nSet-Cookie: "
       "b=2\r\n\r\nabc"},
      {"bytes from 0x80 on",
       "HTTP/1.1 200 \xc3\x96K\r\nContent-Length: 3\r\nX-Up: 1\r\nX-Utf: \xc3\xa9\r\nSet-Cookie: "
       "a=1\r\nSet-Cookie: b=2\r\n\r\nabc"},
      {"ten interim responses",
       [] {
         std::string bytes;
         for (int i = 0; i < 10; ++i) bytes += "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
         return bytes +
                "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nX-Up: 1\r\nSet-Cookie: a=1\r\nSet-Cookie: "
                "b=2\r\n\r\nabc";
       }()},
  };
  AnsweringUpstream answering(answers);
  for (std::size_t i = 0; i < answers.size(); ++i) {
    SCOPED_TRACE(answers[i].section);
    for (const auto* version : {"HTTP/1.1", "HTTP/1.0"}) {
      const Response response = answering.fetch_case(i, "GET", version);
      EXPECT_EQ(response.status, 200);
      EXPECT_EQ(response.body, "abc");
      EXPECT_EQ(response.header("X-Up"), "1");
      EXPECT_EQ(response.count("Set-Cookie"), 2u);
      EXPECT_TRUE(response.complete);
    }
  }
  EXPECT_EQ(answering.upstream().connection_count(), 1u) << "all of them are reusable";
}

TEST(UpstreamResponses, InterimResponsesR4_18) {
  const std::vector<UpstreamAnswer> answers = {
      {"early hints",
       "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </s.css>; "
       "rel=preload\r\n\r\n" +
           ok("x")},
      {"100 that nobody expects", "HTTP/1.1 100 Continue\r\n\r\n" + ok("x")},
  };
  AnsweringUpstream answering(answers);
  const Response hints = answering.fetch_case(0);
  EXPECT_EQ(hints.status, 200);
  ASSERT_EQ(hints.interim.size(), 2u);
  EXPECT_THAT(hints.interim[0].start_line, HasSubstr("102"));
  EXPECT_THAT(hints.interim[1].start_line, HasSubstr("103"));
  EXPECT_EQ(hints.interim[1].header("Link"), "</s.css>; rel=preload");

  const Response old = answering.fetch_case(0, "GET", "HTTP/1.0");
  EXPECT_EQ(old.status, 200);
  EXPECT_TRUE(old.interim.empty());

  const Response unexpected = answering.fetch_case(1);
  EXPECT_EQ(unexpected.status, 200);
  EXPECT_TRUE(unexpected.interim.empty());
}

TEST(UpstreamResponses, EarlyHintsComeBeforeTheFinalResponseR4_18) {
  std::atomic<bool> seen{false};
  Upstream upstream([&](UpstreamExchange& exchange) {
    exchange.send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
    (void)wait_until([&] { return seen.load(); });
    exchange.send(ok("x"));
  });
  Gateway gateway(proxy_to(upstream));
  RawClient client(gateway.port());
  client.send(target("/"));
  EXPECT_TRUE(client.read_until("103 Early Hints\r\n"));
  seen = true;
  EXPECT_TRUE(client.read_until("HTTP/1.1 200 OK\r\n"));
}

TEST(UpstreamResponses, TruncationIsVisibleR4_19) {
  const std::vector<UpstreamAnswer> answers = {
      {"short of its length", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort", true},
      {"short by one", "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nshort", true},
      {"no last chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n",
       true},
      {"within a chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\nshort", true},
      {"within the last chunk",
       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n0\r\n", true},
  };
  AnsweringUpstream answering(answers);
  for (std::size_t i = 0; i < answers.size(); ++i) {
    for (const std::string version : {"HTTP/1.1", "HTTP/1.0"}) {
      SCOPED_TRACE(std::string(answers[i].section) + " to " + version);
      RawClient client(answering.gateway().port());
      client.send("GET /" + std::to_string(i) + " " + version + "\r\nHost: a\r\n\r\n");
      const Response response = client.read_response();
      EXPECT_FALSE(response.timed_out) << "the connection stays open";
      if (response.status == 502)
        continue;  // nothing had been sent yet: an honest error is better still
      EXPECT_EQ(response.status, 200);
      if (response.has("Content-Length") || response.has("Transfer-Encoding")) {
        EXPECT_FALSE(response.complete);
      } else {
        EXPECT_TRUE(client.socket().was_reset())
            << "a body until close can only be broken off by a reset";
      }
    }
  }
}

TEST(UpstreamResponses, AResetIsATruncationTooR4_19) {
  std::atomic<bool> client_has_head{false};
  Upstream upstream([&](UpstreamExchange& exchange) {
    exchange.send("HTTP/1.1 200 OK\r\n\r\nno length, ");
    (void)wait_until([&] { return client_has_head.load(); });
    exchange.reset();
  });
  Gateway gateway(proxy_to(upstream));
  RawClient client(gateway.port());
  client.send(target("/"));
  Response response = client.read_head();
  EXPECT_EQ(response.status, 200);
  client_has_head = true;
  client.read_body(response);
  EXPECT_FALSE(response.complete);
  EXPECT_FALSE(response.timed_out);
  const Json line = gateway.wait_for_path("/");
  EXPECT_EQ(line.value("reason", ""), "upstream_reset") << line;
}

TEST(UpstreamResponses, TrailersNeedNegotiationR4_13) {
  const std::vector<UpstreamAnswer> answers = {
      {"trailers",
       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: "
       "X-Sum\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 7\r\n"
       "Content-Length: 9\r\nTransfer-Encoding: gzip\r\nHost: evil\r\nAuthorization: evil\r\n"
       "Cache-Control: max-age=9\r\n\r\n"}};
  AnsweringUpstream answering(answers);
  const Response plain = answering.fetch_case(0);
  EXPECT_EQ(plain.body, "abc");
  EXPECT_TRUE(plain.trailers.empty());
  EXPECT_FALSE(plain.has("X-Sum"));

  const Response asked =
      answering.fetch_case(0, "GET", "HTTP/1.1", "TE: trailers\r\nConnection: TE\r\n");
  EXPECT_EQ(asked.body, "abc");
  EXPECT_EQ(asked.trailers, (Fields{{"X-Sum", "7"}}));
  EXPECT_FALSE(asked.has("X-Sum")) << "merged into the headers";
}

// --- upgrade

constexpr std::string_view kUpgrade =
    "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
constexpr std::string_view kSwitching =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

TEST(Upgrade, TunnelStartsOnlyAfter101R4_20) {
  std::atomic<bool> early_bytes_came{false};
  Upstream upstream([&](UpstreamExchange& exchange) {
    EXPECT_EQ(exchange.request.header("Upgrade"), "websocket");
    EXPECT_THAT(exchange.request.header("Connection"), ::testing::StrCaseEq("upgrade"));
    early_bytes_came = exchange.receive(150ms).has_value();
    exchange.send(std::string(kSwitching) + "hello from upstream;");
    for (;;) {
      const auto bytes = exchange.receive();
      if (!bytes || bytes->empty()) break;
      exchange.send("echo " + *bytes);
    }
    exchange.close();
  });
  Gateway gateway(proxy_to(upstream));
  RawClient client(gateway.port());
  client.send(std::string(kUpgrade) + "early;");
  const Response response = client.read_response();
  EXPECT_EQ(response.status, 101);
  EXPECT_EQ(response.header("Upgrade"), "websocket");
  EXPECT_EQ(response.header("Sec-WebSocket-Accept"), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
  EXPECT_TRUE(client.read_until("hello from upstream;"));
  EXPECT_TRUE(client.read_until("echo early;"));
  EXPECT_FALSE(early_bytes_came) << "bytes went upstream before it agreed";
  client.send("\0\xff\r\n\r\nGET / HTTP/1.1;"s);
  EXPECT_TRUE(client.read_until("echo \0\xff\r\n\r\nGET / HTTP/1.1;"s));
  client.finish_sending();
  EXPECT_TRUE(client.expect_close());
}

TEST(Upgrade, WithABodyIsRefusedR4_20) {
  Upstream upstream{std::string(kSwitching)};
  Gateway gateway(proxy_to(upstream));
  for (const std::string framing : {"Content-Length: 3\r\n\r\nabc",
                                    "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"}) {
    RawClient client(gateway.port());
    client.send("GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
                framing);
    EXPECT_EQ(client.read_response().status, 400);
    EXPECT_TRUE(client.expect_close());
  }
  EXPECT_EQ(upstream.byte_count(), 0u);
}

TEST(Upgrade, ToH2cIsNotForwardedR4_20) {
  Upstream upstream;
  Gateway gateway(proxy_to(upstream));
  const Response response =
      fetch(gateway.port(),
            "GET /h2c HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: "
            "h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n");
  EXPECT_EQ(response.status, 200) << "the request itself is served as HTTP/1.1";
  const Message seen = upstream.wait_for_request("/h2c");
  EXPECT_FALSE(seen.has("Upgrade"));
  EXPECT_FALSE(seen.has("HTTP2-Settings"));
}

// --- faults of peers (section 12)

// A reply that needs no upstream leaves the request's body unread; the body is then taken for the
// next request.
TEST(PeerFaults, Cve2025_4366_LocalReplyWithUndrainedBody) {
  Upstream upstream;
  Gateway gateway(
      "listen: [\"127.0.0.1:0\"]\nworkers: 1\napps:\n  - name: one\n    hosts: [one.example]\n    "
      "upstream: {targets: [\"" +
      upstream.url() + "\"]}\n");
  const std::string body(kSmuggled);
  for (const std::string start : {"POST /health/live HTTP/1.1\r\nHost: one.example\r\n",
                                  "POST /lost HTTP/1.1\r\nHost: other.example\r\n"}) {
    SCOPED_TRACE(start);
    RawClient client(gateway.port());
    client.send(start + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n");
    const std::size_t before = upstream.byte_count();
    const Response local = client.read_response();
    EXPECT_NE(local.status, 0);
    EXPECT_EQ(upstream.byte_count(), before);
    client.send(body + "GET /real HTTP/1.1\r\nHost: one.example\r\n\r\n");
    const Response next = client.read_response();
    if (next.has_head) {
      EXPECT_EQ(next.status, 200) << next.head;
      EXPECT_EQ(upstream.requests().back().target(), "/real");
    } else {
      EXPECT_FALSE(next.timed_out) << "neither served nor closed";
    }
  }
  // The same in one packet, and with a body beyond what is worth draining.
  RawClient client(gateway.port());
  client.send("POST /lost HTTP/1.1\r\nHost: other.example\r\nContent-Length: 1000000\r\n\r\n");
  EXPECT_EQ(client.read_response().status, 404);
  std::string flood;
  while (flood.size() < 999'000) flood += kSmuggled;
  client.send(flood);
  EXPECT_TRUE(client.expect_close());
  expect_misses(upstream.bytes(), "/smuggled");
}

// The proxy starts to tunnel when it sees Upgrade, not when the upstream agrees.
TEST(PeerFaults, Cve2026_2833_TunnelBefore101) {
  Upstream upstream([](UpstreamExchange& exchange) {
    if (exchange.request.target() == "/chat") {
      EXPECT_FALSE(exchange.receive(150ms).has_value()) << "bytes went upstream unframed";
    }
    exchange.send(ok("plain " + exchange.request.target()));
  });
  Gateway gateway(proxy_to(upstream));
  RawClient client(gateway.port());
  client.send(std::string(kUpgrade) +
              "GET /second HTTP/1.1\r\nHost: a\r\nX-Request-ID: second-id\r\n\r\n");
  EXPECT_EQ(client.read_response().body, "plain /chat");
  const Response second = client.read_response();
  EXPECT_EQ(second.body, "plain /second");
  EXPECT_TRUE(upstream.requests().back().has("Via"))
      << "the second request must go through the gateway's own filters";
  EXPECT_TRUE(gateway.wait_for_path("/second").is_object());
}

// Upstreams that ignore Transfer-Encoding in HTTP/1.0 see the chunks as a second request.
TEST(PeerFaults, Cve2026_2835_Http10WithTransferEncoding) {
  Upstream upstream;
  Gateway gateway(proxy_to(upstream));
  for (const std::string connection : {"", "Connection: keep-alive\r\n"}) {
    RawClient client(gateway.port());
    client.send("POST /old HTTP/1.0\r\nHost: a\r\n" + connection +
                "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + std::string(kSmuggled));
    EXPECT_EQ(client.read_response().status, 400);
    EXPECT_TRUE(client.expect_close());
  }
  EXPECT_EQ(upstream.byte_count(), 0u);
}

// An early final response, body still arriving: its rest is never parsed as a request (R4.14).
TEST(PeerFaults, EarlyResponseLeavesTheRestOfTheBodyBody) {
  Upstream upstream([](UpstreamExchange& exchange) {
    if (exchange.request.target() == "/early") {
      exchange.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
      exchange.close();
    } else {
      exchange.send(ok("x"));
    }
  });
  Gateway gateway(proxy_to(upstream));
  RawClient client(gateway.port());
  client.send("POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: " +
              std::to_string(kSmuggled.size() + 5) + "\r\n\r\nfirst");
  EXPECT_EQ(client.read_response().status, 403);
  client.send(std::string(kSmuggled) + "GET /real HTTP/1.1\r\nHost: a\r\n\r\n");
  const Response next = client.read_response();
  EXPECT_THAT(next.status, AnyOf(0, 200));
  EXPECT_FALSE(next.timed_out);
  expect_misses(upstream.bytes(), "/smuggled");
}

}  // namespace
}  // namespace tyaprover::test
