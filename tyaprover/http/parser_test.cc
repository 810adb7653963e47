// The request side of the codec: what is accepted, what is refused and how, whatever the pieces.
#include "tyaprover/http/parser.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "tyaprover/http/grammar.h"
#include "tyaprover/http/parser_testing.h"

namespace tyaprover::http {
namespace {

using namespace std::string_literals;  // for inputs with a NUL
using parser_testing::every_byte;
using parser_testing::Outcome;
using parser_testing::parse_request;

// A request, and the status of its refusal; 0: accepted.
struct Case {
  std::string input;
  int status;
};

// The outcome of one piece, checked against that of every cut in two and of single bytes.
Outcome parse(const std::string& input, HeadLimits limits = {}) {
  Outcome whole = parse_request(input, {}, limits);
  EXPECT_TRUE(whole.views_inside) << input;
  EXPECT_LE(whole.size, input.size()) << input;
  EXPECT_EQ(parse_request(input, every_byte(input.size()), limits), whole) << input;
  for (std::size_t cut = 0; cut < input.size(); ++cut) {
    EXPECT_EQ(parse_request(input, {cut}, limits), whole) << input << "\ncut at " << cut;
  }
  return whole;
}

void expect_statuses(const std::vector<Case>& cases, HeadLimits limits = {}) {
  for (const Case& c : cases) {
    const Outcome outcome = parse(c.input, limits);
    EXPECT_EQ(outcome.status, c.status == 0 ? ParseStatus::complete : ParseStatus::error)
        << c.input << '\n'
        << outcome;
    EXPECT_EQ(outcome.error.status, c.status) << c.input << '\n' << outcome;
    EXPECT_EQ(outcome.error.detail.empty(), c.status == 0) << c.input;
  }
}

// A request around one part of it.
std::string with_line(const std::string& line) {
  return line + "\r\nHost: a\r\n\r\n";
}
std::string with_method(const std::string& method) {
  return with_line(method + " / HTTP/1.1");
}
std::string with_target(const std::string& target) {
  return with_line("GET " + target + " HTTP/1.1");
}
std::string with_version(const std::string& version) {
  return with_line("GET / " + version);
}
std::string with_fields(const std::string& fields) {
  return "POST / HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n\r\n";
}
std::string with_fields_1_0(const std::string& fields) {
  return "POST / HTTP/1.0\r\n" + fields + "\r\n\r\n";
}
std::string with_host(const std::string& host) {
  return "GET / HTTP/1.1\r\nHost:" + host + "\r\n\r\n";
}

TEST(RequestParser, ReadsAWholeRequest) {
  const std::string head =
      "GET /search?q=a%20b HTTP/1.1\r\n"
      "Host: shop.example.com:8080\r\n"
      "Accept:*/*\r\n"
      "X-Empty:\r\n"
      "X-Padded:  \t a b\t \r\n"
      "x_under: \xc3\xbc\r\n"
      "\r\n";
  const Outcome outcome = parse(head + "GET /next");
  EXPECT_EQ(outcome.head,
            "GET /search?q=a%20b path /search query q=a%20b form /search?q=a%20b"
            " at shop.example.com:8080 1.1 keep body none"
            " [Host=shop.example.com:8080] [Accept=*/*] [X-Empty=] [X-Padded=a b]"
            " [x_under=\xc3\xbc]");
  EXPECT_EQ(outcome.size, head.size());
}

TEST(RequestParser, LinesEndWithCrlf) {  // R4.1
  expect_statuses({
      {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", 0},
      {"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 0},  // one empty line before it
      {"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"\r\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"GET / HTTP/1.1\nHost: a\r\n\r\n", 400},
      {"GET / HTTP/1.1\rHost: a\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\r\nHost: a\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\nHost: a\n\r\n", 400},
      {"GET / HTTP/1.1\r\nHost: a\r\n\n", 400},
      {"GET / HTTP/1.1\r\nHost: a\r\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\nHost: a\r\n\r\r\n", 400},
      {"GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\nHost: a\r\nX: a\n folded\r\n\r\n", 400},
      {"GET / HTTP/1.1\n\n", 400},
  });
}

TEST(RequestParser, RequestLineHasExactlyTwoSpaces) {  // R4.2
  expect_statuses({
      {with_line("GET  / HTTP/1.1"), 400},
      {with_line("GET /  HTTP/1.1"), 400},
      {with_line("GET / HTTP/1.1 "), 400},
      {with_line(" GET / HTTP/1.1"), 400},
      {with_line("GET\t/ HTTP/1.1"), 400},
      {with_line("GET /\tHTTP/1.1"), 400},
      {with_line("GET / a HTTP/1.1"), 400},
      {with_line("GET\v/ HTTP/1.1"), 400},
      {with_line("GET"), 400},
      {with_line("GET "), 400},
      {with_line("GET /"), 400},  // HTTP/0.9
      {with_line("GET / "), 400},
      {with_line("/ HTTP/1.1"), 400},
      {with_line("HTTP/1.1 200 OK"), 400},  // a response
  });
}

TEST(RequestParser, MethodIsATokenOfAtMost32Bytes) {  // R4.2
  expect_statuses({
      {with_method("PROPFIND"), 0},
      {with_method("get"), 0},  // another method than GET
      {with_method("X"), 0},
      {with_method("!#$%&'*+-.^_`|~09AZaz"), 0},
      {with_method(std::string(32, 'M')), 0},
      {with_method(std::string(33, 'M')), 400},
      {with_method("G(T"), 400},
      {with_method("G\xc3\x84T"), 400},
      {with_method("GET:"), 400},
      {with_method("{}"), 400},
  });
}

TEST(RequestParser, VersionIsHttpDigitDotDigit) {  // R4.3
  expect_statuses({
      {with_version("HTTP/1.1"), 0},
      {with_version("HTTP/1.0"), 0},
      {with_version("HTTP/1.9"), 0},
      {with_version("HTTP/2.0"), 505},
      {with_version("HTTP/0.9"), 505},
      {with_version("HTTP/3.1"), 505},
      {with_version("HTTP/1"), 400},
      {with_version("HTTP/1."), 400},
      {with_version("HTTP/1.10"), 400},
      {with_version("HTTP/11.1"), 400},
      {with_version("HTTP/01.1"), 400},
      {with_version("HTTP/1,1"), 400},
      {with_version("HTTP/a.1"), 400},
      {with_version("HTTP/1.a"), 400},
      {with_version("HTTP/-1.1"), 400},
      {with_version("http/1.1"), 400},
      {with_version("Http/1.1"), 400},
      {with_version("HTTP 1.1"), 400},
      {with_version("HTTPS/1.1"), 400},
      {with_version("ICY/1.1"), 400},
      {with_version("HTTP/1.1\0"s), 400},
      {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
       505},  // what an HTTP/2 client with prior knowledge sends
  });
  EXPECT_NE(parse(with_version("HTTP/1.0")).head.find(" 1.0 "), std::string::npos);
  EXPECT_NE(parse(with_version("HTTP/1.7")).head.find(" 1.1 "), std::string::npos);
}

TEST(RequestParser, TargetIsVisibleAsciiWithoutFragment) {  // R4.4
  expect_statuses({
      {with_target("/"), 0},
      {with_target("/a/../b//c"), 0},  // paths are judged by whoever routes
      {with_target("/%"), 0},
      {with_target("/a?b?c=d&e"), 0},
      {with_target("/\\"), 0},
      {with_target("/\"<>^`{|}"), 0},
      {with_target("/a#b"), 400},
      {with_target("/\xc3\xbc"), 400},
      {with_target("/\x7f"), 400},
      {with_target("/\x01"), 400},
      {with_target("/\0"s), 400},
      {with_target("/a\tb"), 400},
      {with_target("/a b"), 400},
  });
}

TEST(RequestParser, TargetForms) {  // R4.4, RFC 9112 §3.2
  const auto absolute = [](const std::string& target, const std::string& host,
                           const std::string& method = "GET") {
    return method + " " + target + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n";
  };
  expect_statuses({
      {absolute("http://a/", "a"), 0},
      {absolute("http://a", "a"), 0},
      {absolute("HTTP://A/x", "a"), 0},
      {absolute("https://a/", "a"), 0},
      {absolute("http://a:80/", "a"), 0},
      {absolute("http://a/", "a:80"), 0},
      {absolute("https://a:443/", "a"), 0},
      {absolute("https://a/", "a:443"), 0},
      {absolute("http://a:8080/", "A:8080"), 0},
      {absolute("http://[::1]:80/", "[::1]"), 0},
      {absolute("http://b/", "a"), 400},
      {absolute("http://a:81/", "a"), 400},
      {absolute("http://a:443/", "a"), 400},
      {absolute("https://a:80/", "a"), 400},
      {absolute("http://a./", "a"), 400},
      {absolute("http://u@a/", "a"), 400},
      {absolute("http://u:p@a/", "a"), 400},
      {absolute("http:///", "a"), 400},
      {absolute("http://", "a"), 400},
      {absolute("http://a?q", "a"), 0},
      {absolute("http:/a/", "a"), 400},
      {absolute("ftp://a/", "a"), 400},
      {absolute("a", "a"), 400},
      {absolute("a:80", "a:80"), 400},
      {absolute("?q", "a"), 400},
      {absolute("*", "a"), 400},
      {absolute("*", "a", "OPTIONS"), 0},
      {absolute("*/", "a", "OPTIONS"), 400},
      {absolute("**", "a", "OPTIONS"), 400},
      {absolute("a:443", "a:443", "CONNECT"), 405},
      {absolute("/", "a", "CONNECT"), 405},
      {"GET http://a/ HTTP/1.0\r\n\r\n", 400},  // nothing to compare it with
  });
}

TEST(RequestParser, AbsoluteFormBecomesOriginForm) {  // R4.4
  struct FormCase {
    std::string method, target, expected;
  };
  const FormCase cases[] = {
      {"GET", "/a?b", "path /a query b form /a?b at"},
      {"GET", "/a?", "path /a query  form /a? at"},
      {"GET", "//a/b", "path //a/b form //a/b at"},
      {"GET", "http://a", "path / form / at"},
      {"GET", "http://a/", "path / form / at"},
      {"GET", "http://a?b", "path / query b form ?b at"},  // whoever writes it puts "/" before
      {"GET", "http://a/b/c?d=http://e/", "path /b/c query d=http://e/ form /b/c?d=http://e/ at"},
      {"OPTIONS", "*", "path * form * at"},
      {"OPTIONS", "http://a", "path * form * at"},  // RFC 9112 §3.2.4
      {"OPTIONS", "http://a/", "path / form / at"},
  };
  for (const FormCase& c : cases) {
    const Outcome outcome = parse(with_line(c.method + " " + c.target + " HTTP/1.1"));
    EXPECT_NE(outcome.head.find(c.expected), std::string::npos) << outcome;
  }
}

TEST(RequestParser, FieldNamesAreTokensBeforeAColon) {  // R4.6
  expect_statuses({
      {with_fields("X:"), 0},
      {with_fields("X_Y: a"), 0},  // R4.9: whoever forwards drops it
      {with_fields("!#$%&'*+-.^_`|~: a"), 0},
      {with_fields("X : a"), 400},
      {with_fields("X\t: a"), 400},
      {with_fields(": a"), 400},
      {with_fields(":"), 400},
      {with_fields("X"), 400},
      {with_fields("X a"), 400},
      {with_fields(" X: a"), 400},
      {with_fields("\tX: a"), 400},
      {with_fields("X: a\r\n b"), 400},  // folding
      {with_fields("X: a\r\n\tb"), 400},
      {with_fields("X: a\r\n "), 400},
      {with_fields("X Y: a"), 400},
      {with_fields("X(Y): a"), 400},
      {with_fields("X\0: a"s), 400},
      {with_fields("\xef\xbb\xbfX: a"), 400},
      {with_fields("X\x7f: a"), 400},
      {with_fields("\"X\": a"), 400},
      {"GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400},  // before the first line
      {"GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400},
  });
}

TEST(RequestParser, FieldValuesHaveNoControlsButTab) {  // R4.7
  expect_statuses({
      {with_fields("X: a\tb"), 0},
      {with_fields("X:\t\ta\t"), 0},
      {with_fields("X: \x80\xff"), 0},
      {with_fields("X: a:b, \"c\""), 0},
      {with_fields("X: a\0b"s), 400},
      {with_fields("X: \0"s), 400},
      {with_fields("X: a\x01"), 400},
      {with_fields("X: a\x1f"), 400},
      {with_fields("X: a\x7f"), 400},
      {with_fields("X: a\vb"), 400},
      {with_fields("X: a\fb"), 400},
      {with_fields("X: \x1b[31m"), 400},
  });
}

// The word-wise check must see a byte at any position, in a value of any length.
TEST(RequestParser, ControlIsSeenAnywhereInAValue) {  // R4.7
  for (std::size_t size = 1; size < 35; ++size) {
    for (std::size_t at = 0; at < size; ++at) {
      for (const char c : {'\0', '\x01', '\x1f', '\x7f', '\t', '\x80', '\xff', ' '}) {
        std::string value(size, 'v');
        value[at] = c;
        const Outcome outcome = parse_request(with_fields("X: " + value), {});
        const bool valid = is(c, CharClass::field_value);
        EXPECT_EQ(outcome.error.status, valid ? 0 : 400) << size << ' ' << at << ' ' << int(c);
      }
    }
  }
}

TEST(RequestParser, EveryByteEverywhere) {
  struct Place {
    std::string before, after;
    CharClass allowed;
  };
  const Place places[] = {
      {"G", "T / HTTP/1.1\r\nHost: a\r\n\r\n", CharClass::token},
      {"GET /", "a HTTP/1.1\r\nHost: a\r\n\r\n", CharClass::target},
      {"GET /?", "a HTTP/1.1\r\nHost: a\r\n\r\n", CharClass::target},
      {"GET / HTTP/1.", "\r\nHost: a\r\n\r\n", CharClass::digit},
      {"GET / HTTP/1.1\r\nX", "Y: a\r\nHost: a\r\n\r\n", CharClass::token},
      {"GET / HTTP/1.1\r\nHost: a\r\nX: a", "b\r\n\r\n", CharClass::field_value},
      {"GET / HTTP/1.1\r\nHost: a", "b\r\n\r\n", CharClass::reg_name},
  };
  for (const Place& place : places) {
    for (unsigned code = 0; code < 256; ++code) {
      const char c = static_cast<char>(code);
      bool valid = is(c, place.allowed);
      if (c == ':') valid = place.before.ends_with("X") || valid;  // the name ends there
      const Outcome outcome = parse(place.before + c + place.after);
      EXPECT_EQ(outcome.status == ParseStatus::complete, valid) << place.before << code << outcome;
    }
  }
}

// R4.1, R4.6 and R4.7 for the lines behind a request line, as they read.
bool is_field_section(std::string_view text) {
  for (;;) {
    const std::size_t end = text.find("\r\n");
    if (end == std::string_view::npos) return false;
    const std::string_view line = text.substr(0, end);
    if (line.empty()) return true;
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) return false;
    if (!all_are(line.substr(0, colon), CharClass::token)) return false;
    for (const char c : line.substr(colon)) {
      if (!is(c, CharClass::field_value)) return false;
    }
    text.remove_prefix(end + 2);
  }
}

TEST(RequestParser, FieldLinesAgreeWithTheRulesOnAllSmallSections) {
  const std::string alphabet = "a: \t\r\n\x01";
  std::vector<std::string> sections = {""};
  for (std::size_t i = 0; i < sections.size(); ++i) {
    const std::string text = sections[i] + "\r\n\r\n";
    const Outcome outcome = parse_request("GET / HTTP/1.0\r\n" + text, {});
    ASSERT_EQ(outcome.status == ParseStatus::complete, is_field_section(text)) << text << outcome;
    if (sections[i].size() == 5) continue;
    for (const char c : alphabet) sections.push_back(sections[i] + c);
  }
}

TEST(RequestParser, ExactlyOneValidHost) {  // R4.8
  expect_statuses({
      {with_host(" a"), 0},
      {with_host("a:80"), 0},
      {with_host(" [::1]:80"), 0},
      {with_host(""), 400},
      {with_host(" "), 400},
      {with_host(" a, b"), 400},
      {with_host(" a b"), 400},
      {with_host(" a,b"), 400},
      {with_host(" u@a"), 400},
      {with_host(" a:"), 400},
      {with_host(" a:99999"), 400},
      {with_host(" a/b"), 400},
      {with_host(" http://a"), 400},
      {with_host(" a\r\nHost: a"), 400},
      {with_host(" a\r\nhOST: b"), 400},
      {"GET / HTTP/1.1\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\nX: a\r\n\r\n", 400},
      {"GET / HTTP/1.0\r\n\r\n", 0},
      {"GET / HTTP/1.0\r\nHost: a\r\n\r\n", 0},
      {"GET / HTTP/1.0\r\nHost:\r\n\r\n", 400},
      {"GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", 400},
  });
}

TEST(RequestParser, ContentLengthIsOneNumber) {  // R4.10
  expect_statuses({
      {with_fields("Content-Length: 0"), 0},
      {with_fields("content-length:3"), 0},
      {with_fields("Content-Length: 007"), 0},
      {with_fields("Content-Length: 9223372036854775807"), 0},
      {with_fields("Content-Length: 9223372036854775808"), 400},
      {with_fields("Content-Length: 18446744073709551616"), 400},
      {with_fields("Content-Length: 18446744073709551619"), 400},
      {with_fields("Content-Length: 99999999999999999999999"), 400},
      {with_fields("Content-Length:"), 400},
      {with_fields("Content-Length: +3"), 400},
      {with_fields("Content-Length: -3"), 400},
      {with_fields("Content-Length: 0x3"), 400},
      {with_fields("Content-Length: 3_0"), 400},
      {with_fields("Content-Length: 3 0"), 400},
      {with_fields("Content-Length: 3.0"), 400},
      {with_fields("Content-Length: 3e1"), 400},
      {with_fields("Content-Length: a"), 400},
      {with_fields("Content-Length: 3, 3"), 400},
      {with_fields("Content-Length: 3,"), 400},
      {with_fields("Content-Length: \"3\""), 400},
      {with_fields("Content-Length: \xb2"), 400},
      {with_fields("Content-Length: 3\r\nContent-Length: 3"), 400},
      {with_fields("Content-Length: 3\r\ncontent-LENGTH: 4"), 400},
      {with_fields_1_0("Content-Length: 3"), 0},
      {with_fields_1_0("Content-Length: 3\r\nContent-Length: 3"), 400},
  });
}

// All strings over an alphabet up to a length, against the rule written down naively.
TEST(RequestParser, ContentLengthAgreesWithTheRuleOnAllSmallValues) {  // R4.10
  const std::string alphabet = "09+-, \tax";
  std::vector<std::string> values = {""};
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::string value = values[i];
    const auto trimmed = std::string(trim_blanks(value));
    const bool valid =
        !trimmed.empty() && trimmed.find_first_not_of("0123456789") == std::string::npos;
    const Outcome outcome = parse_request(with_fields("Content-Length:" + value), {});
    ASSERT_EQ(outcome.error.status, valid ? 0 : 400) << '"' << value << '"';
    if (value.size() == 4) continue;
    for (const char c : alphabet) values.push_back(value + c);
  }
}

TEST(RequestParser, BodyLargerThanTheLimitIs413) {  // R4.10
  HeadLimits limits;
  limits.body = 100;
  expect_statuses(
      {
          {with_fields("Content-Length: 100"), 0},
          {with_fields("Content-Length: 101"), 413},
          {with_fields("Content-Length: 9223372036854775807"), 413},
          {with_fields("Content-Length: 9223372036854775808"), 400},
          {with_fields("Transfer-Encoding: chunked"), 0},  // counted while it is read
      },
      limits);
  const Outcome outcome = parse(with_fields("Content-Length: 101"), limits);
  EXPECT_EQ(outcome.error.reason, Reason::body_too_large);
}

TEST(RequestParser, TransferEncodingIsChunkedAlone) {  // R4.11
  expect_statuses({
      {with_fields("Transfer-Encoding: chunked"), 0},
      {with_fields("transfer-encoding:CHUNKED"), 0},
      {with_fields("Transfer-Encoding: gzip, chunked"), 501},
      {with_fields("Transfer-Encoding: gzip,br , chunked"), 501},
      {with_fields("Transfer-Encoding: identity, chunked"), 501},
      {with_fields("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked"), 501},
      {with_fields("Transfer-Encoding: chunked, identity"), 400},
      {with_fields("Transfer-Encoding: chunked, chunked"), 400},
      {with_fields("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"), 400},
      {with_fields("Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip"), 400},
      {with_fields("Transfer-Encoding: chunked, gzip, chunked"), 400},
      {with_fields("Transfer-Encoding: gzip"), 400},
      {with_fields("Transfer-Encoding: identity"), 400},
      {with_fields("Transfer-Encoding: xchunked"), 400},
      {with_fields("Transfer-Encoding: chunked;a=b"), 400},
      {with_fields("Transfer-Encoding: gzip;q=1, chunked"), 400},
      {with_fields("Transfer-Encoding: chunked;"), 400},
      {with_fields("Transfer-Encoding: \"chunked\""), 400},
      {with_fields("Transfer-Encoding: chunked,"), 400},
      {with_fields("Transfer-Encoding: ,chunked"), 400},
      {with_fields("Transfer-Encoding: gzip,,chunked"), 400},
      {with_fields("Transfer-Encoding:"), 400},
      {with_fields("Transfer-Encoding: chunked\r\nTransfer-Encoding:"), 400},
      {with_fields("Transfer-Encoding:\r\nTransfer-Encoding: chunked"), 400},
      {with_fields("Transfer-Encoding: chunked foo"), 400},
      {with_fields("Transfer-Encoding: c hunked"), 400},
      {with_fields("Transfer-Encoding: chunked\x0b"), 400},
      {with_fields("Transfer-Encoding: chunked\xa0"), 400},
      {with_fields("Transfer_Encoding: chunked"), 0},  // another field
      {with_fields("Transfer-Encoding: chunked\r\nContent-Length: 3"), 400},
      {with_fields("Content-Length: 3\r\nTransfer-Encoding: chunked"), 400},
      {with_fields("Content-Length: 0\r\nTransfer-Encoding: chunked"), 400},
      {with_fields("Content-Length: 3\r\nTransfer-Encoding:"), 400},
      {with_fields("Content-Length: 3\r\nTransfer-Encoding: identity"), 400},
      {with_fields_1_0("Transfer-Encoding: chunked"), 400},
      {with_fields_1_0("Transfer-Encoding: gzip, chunked"), 400},
      {with_fields_1_0("Transfer-Encoding: identity"), 400},
  });
}

// Lists of up to four elements, over one or two lines, against R4.11 written down naively.
TEST(RequestParser, TransferEncodingAgreesWithTheRuleOnAllSmallLists) {
  const std::vector<std::string> elements = {"chunked", "Chunked", "gzip", "", "a b"};
  std::vector<std::vector<std::string>> lists = {{}};
  for (std::size_t i = 0; i < lists.size(); ++i) {
    const auto list = lists[i];
    if (!list.empty()) {
      std::size_t chunked = 0;
      bool well_formed = true;
      for (const auto& element : list) {
        if (element == "chunked" || element == "Chunked") ++chunked;
        if (element.empty() || element == "a b") well_formed = false;
      }
      const bool last = list.back() == "chunked" || list.back() == "Chunked";
      int expected = 400;
      if (well_formed && last && chunked == 1) expected = list.size() == 1 ? 0 : 501;
      for (std::size_t lines = 0; lines < list.size(); ++lines) {  // where the second line begins
        std::string text = "Transfer-Encoding: " + list[0];
        for (std::size_t j = 1; j < list.size(); ++j) {
          text += (j == lines ? "\r\nTransfer-Encoding: " : ",") + list[j];
        }
        ASSERT_EQ(parse_request(with_fields(text), {}).error.status, expected) << text;
      }
    }
    if (list.size() == 4) continue;
    for (const auto& element : elements) {
      lists.push_back(list);
      lists.back().push_back(element);
    }
  }
}

TEST(RequestParser, BodyFraming) {  // RFC 9112 §6.3, R4.14
  struct BodyCase {
    std::string input, expected;
  };
  const BodyCase cases[] = {
      {with_fields("X: a"), "body none"},
      {with_fields("Content-Length: 0"), "body length 0"},
      {with_fields("Content-Length: 0042"), "body length 42"},
      {with_fields("Content-Length: 9223372036854775807"), "body length 9223372036854775807"},
      {with_fields("Transfer-Encoding: Chunked"), "body chunked"},
      {"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n", "body length 3"},
      {"HEAD / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n", "body length 3"},
      {"DELETE / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", "body chunked"},
      {"OPTIONS * HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n", "body length 3"},
  };
  for (const BodyCase& c : cases) {
    const Outcome outcome = parse(c.input);
    EXPECT_NE(outcome.head.find(c.expected), std::string::npos) << outcome;
  }
}

TEST(RequestParser, KeepAlive) {  // RFC 9112 §9.3
  struct KeepCase {
    std::string input;
    bool keep;
  };
  const KeepCase cases[] = {
      {with_fields("X: a"), true},
      {with_fields("Connection: close"), false},
      {with_fields("Connection: Close"), false},
      {with_fields("Connection: keep-alive"), true},
      {with_fields("Connection: X-A, close"), false},
      {with_fields("Connection: X-A\r\nConnection: close"), false},
      {with_fields("Connection: keep-alive, close"), false},
      {with_fields("Connection: closed"), true},
      {with_fields("Connection:"), true},
      {with_fields("X-Connection: close"), true},
      {with_fields_1_0("X: a"), false},
      {with_fields_1_0("Connection: keep-alive"), true},
      {with_fields_1_0("Connection: X-A , Keep-Alive"), true},
      {with_fields_1_0("Connection: keep-alive, close"), false},
      {with_fields_1_0("Keep-Alive: timeout=5"), false},
  };
  for (const KeepCase& c : cases) {
    const Outcome outcome = parse(c.input);
    ASSERT_EQ(outcome.status, ParseStatus::complete) << outcome;
    EXPECT_EQ(outcome.head.find(" keep body") != std::string::npos, c.keep) << c.input;
  }
}

TEST(RequestParser, Expectations) {  // R4.15, RFC 9110 §10.1.1
  const auto expects = [](const Outcome& outcome) {
    return outcome.head.find(" expect ") != std::string::npos;
  };
  EXPECT_TRUE(expects(parse(with_fields("Expect: 100-continue"))));
  EXPECT_TRUE(expects(parse(with_fields("expect: 100-Continue\r\nContent-Length: 3"))));
  EXPECT_FALSE(expects(parse(with_fields("X: 100-continue"))));
  EXPECT_FALSE(expects(parse(with_fields_1_0("Expect: 100-continue"))));
  expect_statuses({
      {with_fields("Expect: 100-continue\r\nExpect: 100-continue"), 0},
      {with_fields_1_0("Expect: 100-continue"), 0},
      {with_fields("Expect: 200-ok"), 417},
      {with_fields("Expect: 100-continue, x"), 417},
      {with_fields("Expect: 100-continue\r\nExpect: x"), 417},
      {with_fields("Expect: 100-continue;a=b"), 417},
      {with_fields("Expect:"), 417},
      {with_fields_1_0("Expect: x"), 417},
  });
}

TEST(RequestParser, Upgrades) {  // R4.20
  const auto upgrades = [](const std::string& fields) {
    const Outcome outcome = parse(with_fields(fields));
    EXPECT_EQ(outcome.status, ParseStatus::complete) << outcome;
    return outcome.head.find(" upgrade ") != std::string::npos;
  };
  EXPECT_TRUE(upgrades("Upgrade: websocket\r\nConnection: upgrade"));
  EXPECT_TRUE(upgrades("upgrade: WebSocket\r\nconnection: keep-alive, Upgrade"));
  EXPECT_TRUE(upgrades("Upgrade: websocket\r\nConnection: upgrade\r\nContent-Length: 0"));
  EXPECT_FALSE(upgrades("Upgrade: websocket"));
  EXPECT_FALSE(upgrades("Connection: upgrade"));
  EXPECT_FALSE(upgrades("Upgrade:\r\nConnection: upgrade"));
  EXPECT_FALSE(upgrades("Upgrade: h2c\r\nConnection: upgrade, HTTP2-Settings"));
  EXPECT_FALSE(upgrades("Upgrade: websocket, H2C\r\nConnection: upgrade"));
  EXPECT_FALSE(upgrades("Upgrade: h2c/1\r\nConnection: upgrade"));
  EXPECT_FALSE(upgrades("Upgrade: h2c\r\nConnection: upgrade\r\nContent-Length: 3"));
  expect_statuses({
      {with_fields("Upgrade: x\r\nConnection: upgrade\r\nContent-Length: 3"), 400},
      {with_fields("Upgrade: x\r\nConnection: upgrade\r\nTransfer-Encoding: chunked"), 400},
      {with_fields("Upgrade: x\r\nContent-Length: 3"), 0},
      {with_fields_1_0("Upgrade: x\r\nConnection: upgrade\r\nContent-Length: 3"), 0},
  });
}

TEST(RequestParser, ReasonsOfRefusal) {  // R6.8
  EXPECT_EQ(parse(with_fields("X")).error.reason, Reason::bad_request);
  EXPECT_EQ(parse(with_version("HTTP/2.0")).error.reason, Reason::bad_request);
  EXPECT_EQ(parse(with_fields("Expect: x")).error.reason, Reason::expectation_failed);
  EXPECT_EQ(parse(with_method("CONNECT")).error.reason, Reason::method_not_allowed);
}

TEST(RequestParser, MethodsAreClassified) {
  const std::pair<std::string_view, Method> cases[] = {
      {"GET", Method::get},        {"HEAD", Method::head},      {"POST", Method::post},
      {"PUT", Method::put},        {"DELETE", Method::delete_}, {"OPTIONS", Method::options},
      {"TRACE", Method::trace},    {"PATCH", Method::patch},    {"CONNECT", Method::connect},
      {"get", Method::other},      {"GETS", Method::other},     {"", Method::other},
      {"PROPFIND", Method::other},
  };
  for (const auto& [name, method] : cases) EXPECT_EQ(classify_method(name), method) << name;
}

TEST(RequestParser, IdempotentMethods) {  // RFC 9110 §9.2.2
  for (const auto* name : {"GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"}) {
    EXPECT_TRUE(is_idempotent(classify_method(name))) << name;
  }
  for (const auto* name : {"POST", "PATCH", "CONNECT", "PROPFIND"}) {
    EXPECT_FALSE(is_idempotent(classify_method(name))) << name;
  }
}

TEST(RequestParserLimits, HeadOver431) {
  const std::string head = with_fields("X: abc");
  HeadLimits limits;
  limits.head = head.size();
  EXPECT_EQ(parse(head, limits).status, ParseStatus::complete);
  EXPECT_EQ(parse(head + "body", limits).status, ParseStatus::complete);
  limits.head = head.size() - 1;
  const Outcome outcome = parse(head, limits);
  EXPECT_EQ(outcome.error.status, 431);
  EXPECT_EQ(outcome.error.reason, Reason::head_too_large);
}

TEST(RequestParserLimits, HeadOver431BeforeItIsComplete) {
  HeadLimits limits;
  limits.head = 100;
  for (const std::string& start : {"GET / HTTP/1.1\r\nX: "s, "GET / HTTP/1.1\r\nX"s, "GET /"s}) {
    const std::string full = start + std::string(100 - start.size(), 'a');
    EXPECT_EQ(parse(full, limits).status, ParseStatus::need_more) << start;
    EXPECT_EQ(parse(full + "a", limits).error.status, 431) << start;
    EXPECT_EQ(parse(full + "\n", limits).error.status, 431) << start;
  }
}

TEST(RequestParserLimits, TargetOver414BeforeTheLineIsComplete) {
  HeadLimits limits;
  limits.target = 16;
  const std::string longest = "/" + std::string(15, 'a');
  EXPECT_EQ(parse(with_target(longest), limits).status, ParseStatus::complete);
  EXPECT_EQ(parse("GET " + longest, limits).status, ParseStatus::need_more);
  for (const std::string& input : {with_target(longest + "a"), "GET " + longest + "a"}) {
    const Outcome outcome = parse(input, limits);
    EXPECT_EQ(outcome.error.status, 414) << input;
    EXPECT_EQ(outcome.error.reason, Reason::target_too_long);
  }
}

TEST(RequestParserLimits, TooManyFields431) {
  HeadLimits limits;
  limits.fields = 3;
  EXPECT_EQ(parse(with_fields("A: 1\r\nB: 2"), limits).status, ParseStatus::complete);
  EXPECT_EQ(parse(with_fields("A: 1\r\nB: 2\r\nC: 3"), limits).error.status, 431);
  EXPECT_EQ(parse("GET / HTTP/1.1\r\nA:\r\nB:\r\nC:\r\nD:\r\n", limits).error.status, 431);
}

TEST(RequestParserLimits, LongMethodIsRefusedBeforeItEnds) {  // R4.2
  EXPECT_EQ(parse(std::string(32, 'M')).status, ParseStatus::need_more);
  EXPECT_EQ(parse(std::string(33, 'M')).error.status, 400);
}

TEST(RequestParserLimits, DefaultsHold) {  // spec section 5
  const std::string start = "GET / HTTP/1.1\r\nHost: a\r\n";
  std::string fields;
  for (int i = 0; i < 99; ++i) fields += "X: a\r\n";
  EXPECT_EQ(parse_request(start + fields + "\r\n", {}).status, ParseStatus::complete);
  EXPECT_EQ(parse_request(start + fields + "X: a\r\n", {}).error.status, 431);
  const std::string filler(64 * 1024 - start.size() - 7, 'a');
  EXPECT_EQ(parse_request(start + "X: " + filler + "\r\n\r\n", {}).status, ParseStatus::complete);
  EXPECT_EQ(parse_request(start + "X: a" + filler + "\r\n\r\n", {}).error.status, 431);
  const std::string path(8 * 1024 - 1, 'a');
  EXPECT_EQ(parse_request(with_target("/" + path), {}).status, ParseStatus::complete);
  EXPECT_EQ(parse_request(with_target("/a" + path), {}).error.status, 414);
}

// Each error comes with the byte, or the line, that is wrong; not when the head ends.
TEST(RequestParser, RefusesAsEarlyAsPossible) {
  struct EarlyCase {
    std::string input;  // as short as it can be
    int status;
  };
  const EarlyCase cases[] = {
      {"\x16", 400},  // a TLS hello
      {"\x16\x03\x01\x02", 400},
      {"\x80", 400},
      {" ", 400},
      {"\n", 400},
      {"\0"s, 400},
      {"\r\n\r", 400},
      {"GET\t", 400},
      {"GET  ", 400},
      {"GET /#", 400},
      {"GET /\r", 400},
      {"GET / X", 400},
      {"GET / HTTP/1.1\n", 400},
      {"GET / HTTP/2.0\r\n", 505},
      {"GET / HTTP/1.1\r\nHost: a\n", 400},
      {"GET / HTTP/1.1\r\n X: a\r\n", 400},
      {"GET / HTTP/1.1\r\nX : a\r\n", 400},
      {"GET / HTTP/1.1\r\nX: \x01\r\n", 400},
      {"GET / HTTP/1.1\r\nX\r\n", 400},
  };
  for (const EarlyCase& c : cases) {
    EXPECT_EQ(parse(c.input).error.status, c.status) << c.input;
    const std::string shorter = c.input.substr(0, c.input.size() - 1);
    if (shorter.empty() || shorter[0] == '\x16') continue;  // wrong from its first byte on
    EXPECT_EQ(parse(shorter).status, ParseStatus::need_more) << c.input;
  }
}

TEST(RequestParser, EveryProperPrefixNeedsMore) {
  const std::string input = with_fields("Content-Length: 3\r\nConnection: close");
  for (std::size_t size = 0; size < input.size(); ++size) {
    EXPECT_EQ(parse_request(input.substr(0, size), {}).status, ParseStatus::need_more) << size;
  }
}

TEST(RequestParser, StartedWithTheFirstByteOfTheMessage) {
  RequestParser parser({});
  RequestHead head;
  const auto started_after = [&](std::string_view bytes) {
    EXPECT_EQ(parser.parse(bytes, head), ParseStatus::need_more);
    return parser.started();
  };
  EXPECT_FALSE(started_after(""));
  EXPECT_FALSE(started_after("\r"));
  EXPECT_FALSE(started_after("\r\n"));
  EXPECT_TRUE(started_after("\r\nG"));
  parser.reset();
  EXPECT_FALSE(parser.started());
  EXPECT_TRUE(started_after("G"));
}

TEST(RequestParser, ReadsPipelinedRequestsOneByOne) {  // R4.16
  const std::string input =
      "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n"
      "\r\nPOST /2 HTTP/1.0\r\nContent-Length: 0\r\n\r\n"
      "GET /3 HTTP/1.1\r\nHost: c\r\nX: y\r\n\r\n";
  std::string_view rest = input;
  RequestParser parser({});
  RequestHead head;
  std::string seen;
  while (!rest.empty()) {
    ASSERT_EQ(parser.parse(rest, head), ParseStatus::complete) << parser.error().detail;
    seen.append(head.target).append(" ").append(head.authority).append(" ");
    rest.remove_prefix(parser.size());
    parser.reset();
  }
  EXPECT_EQ(seen, "/1 a /2  /3 c ");
  EXPECT_EQ(head.fields.size(), 2U);  // nothing is left from the request before
  EXPECT_EQ(head.minor_version, 1);
}

TEST(RequestParser, AnErrorStays) {
  RequestParser parser({});
  RequestHead head;
  EXPECT_EQ(parser.parse("GET\t", head), ParseStatus::error);
  EXPECT_EQ(parser.parse(with_method("GET"), head), ParseStatus::error);
  EXPECT_EQ(parser.error().status, 400);
  parser.reset();
  EXPECT_EQ(parser.parse(with_method("GET"), head), ParseStatus::complete);
  EXPECT_EQ(parser.error().status, 0);
}

// Linear time, shown without a clock: what was scanned is overwritten with what would be misread
// (LF), and is given back only where a line, or the head, is complete and its bytes are read for
// the last time.
TEST(RequestParser, NeverLooksBack) {
  const std::string input = with_fields("X: " + std::string(300, 'a') + "\r\nY: b\r\nAccept: */*");
  const std::size_t version = input.find("HTTP/");
  std::string bytes = input;
  RequestParser parser({});
  RequestHead head;
  std::size_t line = 0;
  for (std::size_t size = 1; size <= input.size(); ++size) {
    const bool line_ends = input[size - 1] == '\n';
    const bool head_ends = size == input.size();
    const bool in_version = line == 0 && size > version;
    std::size_t intact = size - 1;  // from here on the bytes are the true ones
    if (in_version) intact = version;
    if (line_ends && line > 0) intact = line;
    if (head_ends) intact = 0;
    bytes.replace(0, intact, intact, '\n');
    bytes.replace(intact, size - intact, input, intact, size - intact);
    const ParseStatus status = parser.parse(std::string_view(bytes).substr(0, size), head);
    ASSERT_EQ(status, head_ends ? ParseStatus::complete : ParseStatus::need_more) << size;
    if (line_ends) line = size;
  }
  EXPECT_EQ(head.fields.size(), 4U);
}

// Random damage to good requests, in random pieces: the same outcome as in one piece.
TEST(RequestParser, PiecesNeverMatter) {
  const std::vector<std::string> seeds = {
      with_fields("Content-Length: 3\r\nAccept: */*\r\nConnection: close"),
      with_fields("Transfer-Encoding: chunked\r\nExpect: 100-continue"),
      "GET http://a:80/x?y HTTP/1.1\r\nHost: a\r\n\r\n",
      "\r\nGET / HTTP/1.0\r\n\r\n",
      with_fields("Upgrade: websocket\r\nConnection: upgrade"),
  };
  const std::string spice = "\r\n\r\n \t:,;/HTP1.0\x01\x7f\x80#?*a"s + '\0';
  std::mt19937 random(20240607);
  const auto below = [&random](std::size_t bound) { return random() % bound; };
  HeadLimits limits;
  limits.head = 120;
  limits.target = 20;
  limits.fields = 4;
  std::size_t accepted = 0;
  for (int round = 0; round < 20000; ++round) {
    std::string input = seeds[below(seeds.size())];
    for (std::size_t changes = below(4); changes > 0; --changes) {
      const std::size_t at = below(input.size());
      switch (below(3)) {
        case 0:
          input[at] = spice[below(spice.size())];
          break;
        case 1:
          input.insert(at, 1, spice[below(spice.size())]);
          break;
        default:
          input.erase(at, 1 + below(3));
      }
      if (input.empty()) input = "G";
    }
    std::vector<std::size_t> cuts;
    for (std::size_t at = below(20); at < input.size(); at += 1 + below(40)) cuts.push_back(at);
    const HeadLimits used = round % 2 == 0 ? HeadLimits{} : limits;
    const Outcome whole = parse_request(input, {}, used);
    ASSERT_EQ(parse_request(input, cuts, used), whole) << input;
    ASSERT_TRUE(whole.views_inside) << input;
    accepted += whole.status == ParseStatus::complete ? 1 : 0;
  }
  EXPECT_GT(accepted, 1000U);  // the test is not only about refusals
}

}  // namespace
}  // namespace tyaprover::http
