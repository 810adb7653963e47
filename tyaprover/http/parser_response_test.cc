// The response side of the codec: what an upstream may send, and where its body ends.
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "tyaprover/http/grammar.h"
#include "tyaprover/http/parser.h"
#include "tyaprover/http/parser_testing.h"

namespace tyaprover::http {
namespace {

using namespace std::string_literals;  // for inputs with a NUL
using parser_testing::every_byte;
using parser_testing::Outcome;
using parser_testing::parse_response;

// The outcome of one piece, checked against that of every cut in two and of single bytes.
Outcome parse(const std::string& input, Method to = Method::get, HeadLimits limits = {}) {
  Outcome whole = parse_response(input, {}, to, limits);
  EXPECT_TRUE(whole.views_inside) << input;
  EXPECT_LE(whole.size, input.size()) << input;
  EXPECT_EQ(parse_response(input, every_byte(input.size()), to, limits), whole) << input;
  for (std::size_t cut = 0; cut < input.size(); ++cut) {
    EXPECT_EQ(parse_response(input, {cut}, to, limits), whole) << input << "\ncut at " << cut;
  }
  return whole;
}

void expect_accepted(const std::vector<std::string>& inputs) {
  for (const auto& input : inputs) {
    EXPECT_EQ(parse(input).status, ParseStatus::complete) << input;
  }
}

void expect_refused(const std::vector<std::string>& inputs) {
  for (const auto& input : inputs) {
    const Outcome outcome = parse(input);
    EXPECT_EQ(outcome.status, ParseStatus::error) << input << '\n' << outcome;
    EXPECT_EQ(outcome.error.status, 502) << input;
    EXPECT_EQ(outcome.error.reason, Reason::upstream_protocol_error) << input;
    EXPECT_FALSE(outcome.error.detail.empty()) << input;
  }
}

std::string with_line(const std::string& line) {
  return line + "\r\nContent-Length: 0\r\n\r\n";
}
std::string with_fields(const std::string& fields) {
  return "HTTP/1.1 200 OK\r\n" + fields + "\r\n\r\n";
}
std::string with_fields_1_0(const std::string& fields) {
  return "HTTP/1.0 200 OK\r\n" + fields + "\r\n\r\n";
}

TEST(ResponseParser, ReadsAWholeResponse) {
  const std::string head =
      "HTTP/1.1 404 Not Found, sorry\r\n"
      "Content-Length: 5\r\n"
      "Set-Cookie: a=b\r\n"
      "set-cookie: c=d\r\n"
      "\r\n";
  const Outcome outcome = parse(head + "hello");
  EXPECT_EQ(outcome.head,
            "404 Not Found, sorry 1.1 keep body length 5"
            " [Content-Length=5] [Set-Cookie=a=b] [set-cookie=c=d]");
  EXPECT_EQ(outcome.size, head.size());
}

TEST(ResponseParser, StatusLine) {  // R4.17, RFC 9112 §4
  expect_accepted({
      with_line("HTTP/1.1 200 OK"),
      with_line("HTTP/1.0 200 OK"),
      with_line("HTTP/1.7 200 OK"),
      with_line("HTTP/1.1 200"),   // no phrase, and no space before it
      with_line("HTTP/1.1 200 "),  // no phrase
      with_line("HTTP/1.1 200  two spaces"),
      with_line("HTTP/1.1 200 gr\xc3\xbc\xc3\x9f\t!"),
      with_line("HTTP/1.1 100 Continue"),
      with_line("HTTP/1.1 299 Odd"),
      with_line("HTTP/1.1 600 Odd"),
      with_line("HTTP/1.1 999 Odd"),
  });
  expect_refused({
      with_line("HTTP/1.1 099 Odd"),
      with_line("HTTP/1.1 000 Odd"),
      with_line("HTTP/1.1 20 OK"),
      with_line("HTTP/1.1 2000 OK"),
      with_line("HTTP/1.1 200OK"),
      with_line("HTTP/1.1 200\tOK"),
      with_line("HTTP/1.1 2x0 OK"),
      with_line("HTTP/1.1 -20 OK"),
      with_line("HTTP/1.1 +200 OK"),
      with_line("HTTP/1.1  200 OK"),
      with_line("HTTP/1.1\t200 OK"),
      with_line("HTTP/1.1"),
      with_line("HTTP/1.1 "),
      with_line("HTTP/2.0 200 OK"),
      with_line("HTTP/2 200 OK"),
      with_line("HTTP/0.9 200 OK"),
      with_line("HTTP/1 200 OK"),
      with_line("HTTP/1.10 200 OK"),
      with_line("http/1.1 200 OK"),
      with_line("ICY 200 OK"),
      with_line("SSH-2.0-OpenSSH_9.2"),
      with_line(" HTTP/1.1 200 OK"),
      with_line("HTTP/1.1 200 O\x01K"),
      with_line("HTTP/1.1 200 O\0K"s),
      with_line("HTTP/1.1 200 O\x7fK"),
      with_line("HTTP/1.1 200 O\rK"),
      with_line("<html>"),
      with_line(""),  // no empty line before a status line
      "HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n",
      "HTTP/1.1 200\n\r\n",
  });
}

TEST(ResponseParser, RefusesGarbageAtItsFirstByte) {
  for (const auto* input : {"\x15\x03", "<", "h", "\r", "\n", "HTTP/2", "HTTP/1.1 2x"}) {
    EXPECT_EQ(parse(input).error.status, 502) << input;
  }
}

TEST(ResponseParser, FieldsFollowTheRulesOfRequests) {  // R4.17 with R4.1, R4.6, R4.7
  expect_accepted({
      with_fields("X:"),
      with_fields("X: a\tb"),
      with_fields("X_Y: \x80"),
  });
  expect_refused({
      with_fields("X : a"),
      with_fields(": a"),
      with_fields("X"),
      with_fields(" X: a"),
      with_fields("X: a\r\n b"),
      with_fields("X: a\nY: b"),
      with_fields("X: a\rY: b"),
      with_fields("X: \0"s),
      with_fields("X: \x1b"),
      with_fields("X: \x7f"),
      with_fields("X\xc3\xa4: a"),
  });
}

TEST(ResponseParser, BodyFraming) {  // R4.17, RFC 9112 §6.3
  struct BodyCase {
    std::string input, expected;
  };
  const BodyCase cases[] = {
      {with_fields("Content-Length: 0"), "keep body length 0"},
      {with_fields("Content-Length: 42"), "keep body length 42"},
      {with_fields("Content-Length: 9223372036854775807"), "keep body length 9223372036854775807"},
      {with_fields("Transfer-Encoding: chunked"), "keep body chunked"},
      {with_fields("Transfer-Encoding: CHUNKED"), "keep body chunked"},
      {with_fields("X: a"), "close body until close"},
      {with_fields("Connection: keep-alive"), "close body until close"},
      {with_fields("Transfer-Encoding: gzip"), "close body until close"},
      {with_fields("Transfer-Encoding: identity"), "close body until close"},
      {with_fields("Transfer-Encoding: chunked, gzip"), "close body until close"},
      {with_fields_1_0("Connection: keep-alive"), "close body until close"},
      {with_fields_1_0("Content-Length: 3"), "close body length 3"},
      {"HTTP/1.1 200 OK\r\n\r\n", "close body until close"},
      {"HTTP/1.1 205 Reset\r\nContent-Length: 0\r\n\r\n", "keep body length 0"},
      {"HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\n", "keep body chunked"},
      {"HTTP/1.1 999 Odd\r\nContent-Length: 1\r\n\r\n", "keep body length 1"},
  };
  for (const BodyCase& c : cases) {
    const Outcome outcome = parse(c.input);
    EXPECT_NE(outcome.head.find(c.expected), std::string::npos) << c.input << '\n' << outcome;
  }
}

TEST(ResponseParser, AmbiguousFramingIsRefused) {  // R4.17
  const std::vector<std::string> fields = {
      "Content-Length: 3\r\nContent-Length: 3",
      "Content-Length: 3\r\nContent-Length: 4",
      "Content-Length: 3, 3",
      "Content-Length: +3",
      "Content-Length: 0x3",
      "Content-Length:",
      "Content-Length: 9223372036854775808",
      "Content-Length: 3\r\nTransfer-Encoding: chunked",
      "Transfer-Encoding: chunked\r\nContent-Length: 0",
      "Content-Length: 3\r\nTransfer-Encoding: gzip",
      "Transfer-Encoding: chunked, chunked",
      "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
      "Transfer-Encoding: gzip, chunked",  // a coding that cannot be declared to the client
      "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked",
      "Transfer-Encoding:",
      "Transfer-Encoding: chunked,",
      "Transfer-Encoding: ,chunked",
      "Transfer-Encoding: chunked;q=1",
      "Transfer-Encoding: \"chunked\"",
      "Transfer-Encoding: gzip;q=1",
      "Transfer-Encoding: chunked foo",
  };
  for (const auto& text : fields) {
    expect_refused({with_fields(text), with_fields_1_0(text)});
    // The same in a response that has no body.
    EXPECT_EQ(parse(with_fields(text), Method::head).error.status, 502) << text;
    EXPECT_EQ(parse("HTTP/1.1 304 Same\r\n" + text + "\r\n\r\n").error.status, 502) << text;
  }
  expect_refused({
      with_fields_1_0("Transfer-Encoding: chunked"),
      with_fields_1_0("Transfer-Encoding: gzip"),
  });
}

TEST(ResponseParser, SomeResponsesHaveNoBody) {  // R4.17: whatever the fields say
  struct BodyCase {
    int status;
    Method to;
    bool body;
  };
  const BodyCase cases[] = {
      {200, Method::get, true},      {200, Method::head, false},    {404, Method::head, false},
      {100, Method::get, false},     {101, Method::get, false},     {103, Method::post, false},
      {199, Method::get, false},     {204, Method::get, false},     {304, Method::get, false},
      {205, Method::get, true},      {206, Method::get, true},      {404, Method::get, true},
      {200, Method::connect, false}, {299, Method::connect, false}, {300, Method::connect, true},
      {200, Method::other, true},    {200, Method::options, true},
  };
  for (const BodyCase& c : cases) {
    const std::string line = "HTTP/1.1 " + std::to_string(c.status) + " X\r\n";
    for (const auto* fields : {"Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n", ""}) {
      const Outcome outcome = parse(line + fields + "\r\n", c.to);
      ASSERT_EQ(outcome.status, ParseStatus::complete) << outcome;
      EXPECT_EQ(outcome.head.find("body none") == std::string::npos, c.body) << outcome;
      // Without a body, its end is known: the connection can be used again.
      if (!c.body) {
        EXPECT_NE(outcome.head.find(" keep "), std::string::npos) << outcome;
      }
    }
  }
}

TEST(ResponseParser, KeepAlive) {  // RFC 9112 §9.3
  struct KeepCase {
    std::string input;
    bool keep;
  };
  const std::string length = "Content-Length: 0\r\n";
  const KeepCase cases[] = {
      {with_fields(length + "X: a"), true},
      {with_fields(length + "Connection: close"), false},
      {with_fields(length + "Connection: X-A, CLOSE"), false},
      {with_fields(length + "Connection: X-A\r\nConnection: close"), false},
      {with_fields(length + "Connection: keep-alive"), true},
      {with_fields(length + "Connection: keep-alive, close"), false},
      {with_fields_1_0(length + "X: a"), false},
      {with_fields_1_0(length + "Connection: Keep-Alive"), true},
      {with_fields_1_0(length + "Connection: keep-alive, close"), false},
      {with_fields("Transfer-Encoding: chunked\r\nConnection: close"), false},
  };
  for (const KeepCase& c : cases) {
    const Outcome outcome = parse(c.input);
    ASSERT_EQ(outcome.status, ParseStatus::complete) << outcome;
    EXPECT_EQ(outcome.head.find(" keep ") != std::string::npos, c.keep) << c.input;
  }
}

TEST(ResponseParser, InterimResponsesComeOneByOne) {  // R4.18
  const std::string input =
      "HTTP/1.1 100 Continue\r\n\r\n"
      "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
      "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
  std::string_view rest = input;
  ResponseParser parser({});
  ResponseHead head;
  std::string seen;
  do {
    ASSERT_EQ(parser.parse(rest, Method::get, head), ParseStatus::complete);
    seen += std::to_string(head.status) + ' ' + std::to_string(head.fields.size()) + ' ';
    rest.remove_prefix(parser.size());
    parser.reset();
  } while (head.status < 200);
  EXPECT_EQ(seen, "100 0 103 1 200 1 ");
  EXPECT_EQ(rest, "hi");
}

TEST(ResponseParserLimits, HeadOverTheLimitIsRefusedBeforeItIsComplete) {
  HeadLimits limits;
  limits.head = 60;
  const std::string start = "HTTP/1.1 200 OK\r\nX: ";
  const std::string full = start + std::string(60 - start.size(), 'a');
  EXPECT_EQ(parse(full, Method::get, limits).status, ParseStatus::need_more);
  EXPECT_EQ(parse(full + "a", Method::get, limits).error.status, 502);
  const std::string exact = start + std::string(56 - start.size(), 'a') + "\r\n\r\n";
  EXPECT_EQ(parse(exact + "body", Method::get, limits).status, ParseStatus::complete);
}

TEST(ResponseParserLimits, TooManyFieldsAreRefused) {
  HeadLimits limits;
  limits.fields = 2;
  EXPECT_EQ(parse(with_fields("A:\r\nB:"), Method::get, limits).status, ParseStatus::complete);
  EXPECT_EQ(parse(with_fields("A:\r\nB:\r\nC:"), Method::get, limits).error.status, 502);
}

TEST(ResponseParserLimits, LargestBodyIsForRequestsOnly) {
  HeadLimits limits;
  limits.body = 1;
  EXPECT_EQ(parse(with_fields("Content-Length: 2"), Method::get, limits).status,
            ParseStatus::complete);
}

TEST(ResponseParser, AnErrorStaysUntilReset) {
  ResponseParser parser({});
  ResponseHead head;
  EXPECT_EQ(parser.parse("x", Method::get, head), ParseStatus::error);
  EXPECT_EQ(parser.parse(with_line("HTTP/1.1 200 OK"), Method::get, head), ParseStatus::error);
  parser.reset();
  EXPECT_EQ(parser.parse(with_line("HTTP/1.1 200 OK"), Method::get, head), ParseStatus::complete);
  EXPECT_EQ(parser.error().status, 0);
}

// As for requests: what was scanned is overwritten with what would be misread.
TEST(ResponseParser, NeverLooksBack) {
  const std::string input = "HTTP/1.1 200 " + std::string(200, 'p') +
                            "\r\nX: " + std::string(300, 'a') + "\r\nContent-Length: 1\r\n\r\n";
  const std::size_t pattern = "HTTP/1.1 200"s.size();
  std::string bytes = input;
  ResponseParser parser({});
  ResponseHead head;
  std::size_t line = 0;
  for (std::size_t size = 1; size <= input.size(); ++size) {
    const bool line_ends = input[size - 1] == '\n';
    std::size_t intact = line_ends ? line : size - 1;
    if (size == input.size()) intact = 0;
    bytes.replace(0, intact, intact, '\n');
    bytes.replace(intact, size - intact, input, intact, size - intact);
    if (line == 0) bytes.replace(0, std::min(size, pattern), input, 0, std::min(size, pattern));
    const auto status = parser.parse(std::string_view(bytes).substr(0, size), Method::get, head);
    ASSERT_EQ(status, size == input.size() ? ParseStatus::complete : ParseStatus::need_more);
    if (line_ends) line = size;
  }
  EXPECT_EQ(head.body.length, 1U);
}

// Random damage to good responses, in random pieces: the same outcome as in one piece.
TEST(ResponseParser, PiecesNeverMatter) {
  const std::vector<std::string> seeds = {
      with_fields("Content-Length: 3\r\nAccept-Ranges: bytes\r\nConnection: close"),
      with_fields("Transfer-Encoding: chunked\r\nX: a"),
      "HTTP/1.0 200\r\nConnection: keep-alive\r\n\r\n",
      "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n",
  };
  const std::string spice = "\r\n\r\n \t:,;/HTP1.0\x01\x7f\x80"s + '\0';
  std::mt19937 random(20240608);
  const auto below = [&random](std::size_t bound) { return random() % bound; };
  std::size_t accepted = 0;
  for (int round = 0; round < 20000; ++round) {
    std::string input = seeds[below(seeds.size())];
    for (std::size_t changes = below(4); changes > 0 && !input.empty(); --changes) {
      const std::size_t at = below(input.size());
      if (below(2) == 0) {
        input[at] = spice[below(spice.size())];
      } else if (below(2) == 0) {
        input.insert(at, 1, spice[below(spice.size())]);
      } else {
        input.erase(at, 1 + below(3));
      }
    }
    std::vector<std::size_t> cuts;
    for (std::size_t at = below(20); at < input.size(); at += 1 + below(40)) cuts.push_back(at);
    HeadLimits limits;
    if (round % 2 == 0) limits.head = 60;
    const Method to = round % 3 == 0 ? Method::head : Method::get;
    const Outcome whole = parse_response(input, {}, to, limits);
    ASSERT_EQ(parse_response(input, cuts, to, limits), whole) << input;
    ASSERT_TRUE(whole.views_inside) << input;
    accepted += whole.status == ParseStatus::complete ? 1 : 0;
  }
  EXPECT_GT(accepted, 1000U);  // the test is not only about refusals
}

}  // namespace
}  // namespace tyaprover::http
