// Chunked bodies: what is data, where the body ends, what may stand in between and behind.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "tyaprover/http/grammar.h"
#include "tyaprover/http/parser.h"
#include "tyaprover/http/parser_testing.h"

namespace tyaprover::http {
namespace {

using namespace std::string_literals;  // for inputs with a NUL
using Status = ChunkedDecoder::Status;

// All that can be seen of a decoder that was given an input.
struct Decoded {
  Status status = Status::need_more;
  std::string data;
  std::string trailers;      // when done
  std::size_t consumed = 0;  // when done
  std::string_view detail;   // of an error

  bool operator==(const Decoded&) const = default;
};

std::ostream& operator<<(std::ostream& out, const Decoded& decoded) {
  switch (decoded.status) {
    case Status::need_more:
      return out << "need_more after \"" << decoded.data << '"';
    case Status::data:
      return out << "stopped in data";
    case Status::done:
      return out << "done after \"" << decoded.data << "\", " << decoded.consumed << " bytes,"
                 << decoded.trailers;
    case Status::error:
      return out << "error (" << decoded.detail << ") after \"" << decoded.data << '"';
  }
  return out;
}

// Gives `input` in the pieces that end at `cuts`, each in a buffer of its own size. A piece is
// given until it is consumed, as a caller does.
Decoded decode_in_pieces(std::string_view input, std::vector<std::size_t> cuts,
                         ChunkedDecoder::Limits limits = {}) {
  ChunkedDecoder decoder(limits);
  Decoded decoded;
  cuts.push_back(input.size());
  std::size_t total = 0;
  for (const std::size_t end : cuts) {
    const auto copy = std::make_unique<char[]>(end - total);
    input.copy(copy.get(), end - total, total);
    std::string_view piece(copy.get(), end - total);
    do {
      std::size_t consumed = 0;
      std::string_view data;
      decoded.status = decoder.step(piece, consumed, data);
      EXPECT_LE(consumed, piece.size());
      EXPECT_TRUE(parser_testing::is_inside(data, piece));
      EXPECT_EQ(decoded.status == Status::data, !data.empty());
      decoded.data += data;
      total += consumed;
      piece.remove_prefix(consumed);
    } while (decoded.status == Status::data);
    if (decoded.status == Status::done) {
      decoded.consumed = total;
      decoded.trailers = parser_testing::describe(decoder.trailers());
      return decoded;
    }
    if (decoded.status == Status::error) {
      decoded.detail = decoder.error().detail;
      EXPECT_EQ(decoder.error().status, 400);  // R4.12
      EXPECT_EQ(decoder.error().reason, Reason::bad_request);
      return decoded;
    }
    EXPECT_TRUE(piece.empty());
  }
  return decoded;
}

// The outcome of one piece, checked against that of every cut in two and of single bytes.
Decoded decode(const std::string& input, ChunkedDecoder::Limits limits = {}) {
  Decoded whole = decode_in_pieces(input, {}, limits);
  EXPECT_EQ(decode_in_pieces(input, parser_testing::every_byte(input.size()), limits), whole)
      << input;
  for (std::size_t cut = 0; cut < input.size(); ++cut) {
    EXPECT_EQ(decode_in_pieces(input, {cut}, limits), whole) << input << "\ncut at " << cut;
  }
  return whole;
}

void expect_data(const std::vector<std::pair<std::string, std::string>>& cases) {
  for (const auto& [input, data] : cases) {
    const Decoded decoded = decode(input + "GET /next");
    EXPECT_EQ(decoded.status, Status::done) << input << '\n' << decoded;
    EXPECT_EQ(decoded.data, data) << input;
    EXPECT_EQ(decoded.consumed, input.size()) << input;
  }
}

void expect_errors(const std::vector<std::string>& inputs) {
  for (const auto& input : inputs) {
    const Decoded decoded = decode(input);
    EXPECT_EQ(decoded.status, Status::error) << input << '\n' << decoded;
    EXPECT_FALSE(decoded.detail.empty()) << input;
  }
}

// A body of one chunk "hello" with this after its size.
std::string with_extension(const std::string& extension) {
  return "5" + extension + "\r\nhello\r\n0\r\n\r\n";
}
std::string with_trailers(const std::string& trailers) {
  return "0\r\n" + trailers + "\r\n";
}

TEST(ChunkedDecoder, DecodesChunks) {  // R4.12, RFC 9112 §7.1
  expect_data({
      {"0\r\n\r\n", ""},
      {"5\r\nhello\r\n0\r\n\r\n", "hello"},
      {"1\r\na\r\n2\r\nbc\r\n0\r\n\r\n", "abc"},
      {"A\r\n0123456789\r\n0\r\n\r\n", "0123456789"},
      {"a\r\n0123456789\r\n0\r\n\r\n", "0123456789"},
      {"00005\r\nhello\r\n000\r\n\r\n", "hello"},
      {"0000000000000005\r\nhello\r\n0000000000000000\r\n\r\n", "hello"},
      {"6\r\n\r\n0\r\n\r\r\n0\r\n\r\n", "\r\n0\r\n\r"},  // data that looks like framing
      {"1\r\n\0\r\n0\r\n\r\n"s, "\0"s},
  });
}

TEST(ChunkedDecoder, SizeIsOneToSixteenHexDigitsBelow2To63) {  // R4.12
  EXPECT_EQ(decode("7fffffffffffffff\r\nabc").data, "abc");
  EXPECT_EQ(decode("0fffffffffffffff\r\nabc").data, "abc");
  expect_errors({
      "8000000000000000\r\n",
      "ffffffffffffffff\r\n",
      "10000000000000000\r\n",
      "00000000000000005\r\nhello\r\n",
      "\r\n",
      "g\r\n",
      "-5\r\nhello\r\n",
      "+5\r\nhello\r\n",
      "0x5\r\nhello\r\n",
      "5_0\r\n",
      "5g\r\n",
      " 5\r\nhello\r\n",
      "5.\r\nhello\r\n",
      "5,5\r\n",
      "\0\r\n"s,
      "\xb2\r\n",
  });
}

TEST(ChunkedDecoder, LinesEndWithCrlf) {  // R4.12
  expect_errors({
      "5\nhello\r\n0\r\n\r\n",
      "5\rhello\r\n0\r\n\r\n",
      "5\r\rhello\r\n0\r\n\r\n",
      "5\r\nhello\n0\r\n\r\n",
      "5\r\nhello\r0\r\n\r\n",
      "5\r\nhello0\r\n\r\n",
      "5\r\nhello!\r\n0\r\n\r\n",
      "5\r\nhell\r\n0\r\n\r\n",
      "5\r\nhello\r\n\r\n0\r\n\r\n",
      "5;a\nhello\r\n0\r\n\r\n",
      "5 \r\nhello\r\n0\r\n\r\n",  // the RFC has no blanks here
      "5\t\r\nhello\r\n0\r\n\r\n",
      "0\n\r\n",
      "0\r\n\n",
      "0\r\n\rX\r\n",
      "0\r\nX: a\n\r\n",
  });
}

TEST(ChunkedDecoder, ExtensionsAreUnderstoodAndIgnored) {  // R4.12, RFC 9112 §7.1.1
  for (const auto* extension : {
           ";a",
           ";a=b",
           ";a=\"b\"",
           ";a=\"\"",
           ";a=\";\\\"=\"",
           ";a=\"\\\\\"",
           ";a=\"\t \x80\\\t\"",
           ";a;b=c;d=\"e\"",
           " ; a = b",
           "\t;\ta\t=\t\"b\"\t;c",
           ";5",
           ";!#$%&'*+-.^_`|~=!#$%&'*+-.^_`|~",
       }) {
    expect_data({{with_extension(extension), "hello"}});
    expect_data({{"0"s + extension + "\r\n\r\n", ""}});
  }
  std::vector<std::string> broken;
  for (const auto* extension : {
           ";",
           ";;",
           ";;a",
           "; ",
           ";a;",
           ";a ",
           ";a=b ",
           ";a=\"b\" ",
           ";=b",
           ";a=",
           ";a= ",
           ";a==b",
           ";a=b=c",
           ";a b",
           ";a=b c",
           ";a=\"b\"c",
           ";a=b\"c\"",
           ";a=\"b",
           ";a=\"b\r\n\"",
           ";a=\"\x01\"",
           ";a=\"\\\x7f\"",
           ";\"a\"",
           ";a\x01",
           ";a(",
           " a",
           "a;",
           "=a",
       }) {
    broken.push_back(with_extension(extension));
  }
  expect_errors(broken);
  expect_errors({with_extension(";a=\"\0\""s)});
}

TEST(ChunkedDecoder, ExtensionsAreLimitedPerChunk) {  // R4.12
  const auto extension = [](std::size_t size) { return ';' + std::string(size - 1, 'a'); };
  expect_data({{with_extension(extension(256)), "hello"}});
  expect_data({{"5" + extension(200) + "\r\nhello\r\n0" + extension(200) + "\r\n\r\n", "hello"}});
  expect_errors({with_extension(extension(257))});
  EXPECT_EQ(decode_in_pieces("5" + extension(257), {}).status, Status::error);  // before its end
  EXPECT_EQ(decode_in_pieces("5" + std::string(257, ' '), {}).status, Status::error);
}

TEST(ChunkedDecoder, ExtensionsAreLimitedPerMessage) {  // R4.12
  const std::string chunk = "1;" + std::string(255, 'a') + "\r\nx\r\n";
  std::string input;
  for (int i = 0; i < 64; ++i) input += chunk;  // 64 × 256 bytes = 16 KiB
  EXPECT_EQ(decode_in_pieces(input + "0\r\n\r\n", {}).status, Status::done);
  EXPECT_EQ(decode_in_pieces(input + "0;a\r\n\r\n", {}).status, Status::error);
}

TEST(ChunkedDecoder, TrailersFollowTheRulesOfFields) {  // R4.13
  EXPECT_EQ(decode(with_trailers("X: a\r\nY:\tb c \r\n")).trailers, " [X=a] [Y=b c]");
  EXPECT_EQ(decode(with_trailers("X:\r\n")).trailers, " [X=]");
  expect_errors({
      with_trailers("X : a\r\n"), with_trailers(": a\r\n"), with_trailers("X\r\n"),
      with_trailers(" X: a\r\n"), with_trailers("X: a\r\n b\r\n"), with_trailers("X: a\x01\r\n"),
      with_trailers("X: a\rb\r\n"), with_trailers("X: a\nY: b\r\n"), with_trailers("X: \0\r\n"s),
      with_trailers("GET / HTTP/1.1\r\n"),  // another message instead of the end
  });
}

TEST(ChunkedDecoder, TrailersThatWouldChangeTheMessageAreDropped) {  // R4.13, RFC 9110 §6.5.1
  std::istringstream dropped(
      "Transfer-Encoding Content-Length Host Authorization Proxy-Authorization "
      "Proxy-Authenticate Proxy-Anything WWW-Authenticate Authentication-Info "
      "Set-Cookie Set-Cookie2 Cookie Cache-Control Expires Age Vary Pragma Warning Date "
      "Last-Modified TE Trailer Connection Keep-Alive Upgrade Content-Encoding "
      "Content-Type Content-Range Location Range If-Match If-None-Match If-Range "
      "If-Modified-Since If-Unknown Expect Max-Forwards Retry-After Forwarded "
      "X-Forwarded-For X-Forwarded-Other X-Real-IP Via X-Request-ID traceparent "
      "Proxy-Connection HTTP2-Settings Surrogate-Control");
  for (std::string name; dropped >> name;) {
    const std::string trailers = "A: 1\r\n" + name + ": x\r\nB: 2\r\n";
    EXPECT_EQ(decode_in_pieces(with_trailers(trailers), {}).trailers, " [A=1] [B=2]") << name;
  }
  for (const auto* name : {"ETag", "Server-Timing", "Digest", "Content-Digest", "grpc-status",
                           "X-Checksum", "Iffy", "Proxied"}) {
    EXPECT_EQ(decode_in_pieces(with_trailers(name + ": x\r\n"s), {}).trailers,
              " ["s + name + "=x]");
  }
}

TEST(ChunkedDecoder, TrailersAreLimited) {  // R4.13
  ChunkedDecoder::Limits limits;
  limits.trailers = 20;
  limits.trailer_fields = 3;
  EXPECT_EQ(decode(with_trailers("X: " + std::string(13, 'a') + "\r\n"), limits).status,
            Status::done);
  EXPECT_EQ(decode(with_trailers("X: " + std::string(14, 'a') + "\r\n"), limits).status,
            Status::error);
  EXPECT_EQ(decode("0\r\n" + std::string(20, 'a'), limits).status, Status::need_more);
  EXPECT_EQ(decode("0\r\n" + std::string(21, 'a'), limits).status, Status::error);
  EXPECT_EQ(decode(with_trailers("A:\r\nB:\r\nC:\r\n"), limits).status, Status::done);
  EXPECT_EQ(decode(with_trailers("A:\r\nB:\r\nC:\r\nD:\r\n"), limits).status, Status::error);
}

TEST(ChunkedDecoder, DefaultLimitOfTrailersIs8KiB) {  // R4.13
  const auto trailers = [](std::size_t size) {
    return with_trailers("X: " + std::string(size - 7, 'a') + "\r\n");
  };
  EXPECT_EQ(decode_in_pieces(trailers(8 * 1024), {}).status, Status::done);
  EXPECT_EQ(decode_in_pieces(trailers(8 * 1024 + 1), {}).status, Status::error);
}

TEST(ChunkedDecoder, DataIsGivenWithoutCopy) {
  const std::string input = "5\r\nhello\r\n0\r\n\r\n";
  ChunkedDecoder decoder;
  std::size_t consumed = 0;
  std::string_view data;
  ASSERT_EQ(decoder.step(input, consumed, data), Status::data);
  EXPECT_EQ(data.data(), input.data() + 3);
  EXPECT_EQ(consumed, 8U);
}

TEST(ChunkedDecoder, NothingIsConsumedAfterTheEnd) {
  ChunkedDecoder decoder;
  std::size_t consumed = 0;
  std::string_view data;
  ASSERT_EQ(decoder.step("0\r\n\r\n0\r\n\r\n", consumed, data), Status::done);
  EXPECT_EQ(consumed, 5U);
  ASSERT_EQ(decoder.step("0\r\n\r\n", consumed, data), Status::done);
  EXPECT_EQ(consumed, 0U);
  ASSERT_EQ(decoder.step("", consumed, data), Status::done);
}

TEST(ChunkedDecoder, AnErrorStaysUntilReset) {
  ChunkedDecoder decoder;
  std::size_t consumed = 0;
  std::string_view data;
  ASSERT_EQ(decoder.step("x", consumed, data), Status::error);
  ASSERT_EQ(decoder.step("0\r\n\r\n", consumed, data), Status::error);
  EXPECT_EQ(consumed, 0U);
  decoder.reset();
  ASSERT_EQ(decoder.step("0\r\n\r\n", consumed, data), Status::done);
}

TEST(ChunkedDecoder, ResetForgetsTheBodyBefore) {
  ChunkedDecoder decoder;
  std::size_t consumed = 0;
  std::string_view data;
  ASSERT_EQ(decoder.step("5;a=b\r\nhel", consumed, data), Status::data);
  decoder.reset();
  ASSERT_EQ(decoder.step("0\r\nX: a\r\n\r\n", consumed, data), Status::done);
  EXPECT_EQ(decoder.trailers().size(), 1U);
  decoder.reset();
  EXPECT_TRUE(decoder.trailers().empty());
  ASSERT_EQ(decoder.step("0\r\n\r\n", consumed, data), Status::done);
  EXPECT_TRUE(decoder.trailers().empty());
}

// A reader of size lines, written as the grammar of RFC 9112 §7.1 reads: one function per rule,
// each tries to match at `at` and moves it. The lines are small, so nothing is said about cost.
struct SizeLineGrammar {
  std::string_view line;
  std::size_t at = 0;

  bool character(char c) {
    if (at == line.size() || line[at] != c) return false;
    ++at;
    return true;
  }
  std::size_t some(CharClass which) {
    const std::size_t begin = at;
    while (at < line.size() && is(line[at], which)) ++at;
    return at - begin;
  }
  void bad_whitespace() {
    while (character(' ') || character('\t')) {
    }
  }
  bool quoted_string() {
    if (!character('"')) return false;
    while (!character('"')) {
      if (character('\\') && at == line.size()) return false;
      if (at == line.size() || !is(line[at], CharClass::field_value)) return false;
      ++at;
    }
    return true;
  }
  bool extension() {
    bad_whitespace();
    if (!character(';')) return false;
    bad_whitespace();
    if (some(CharClass::token) == 0) return false;
    const std::size_t after_name = at;
    bad_whitespace();
    if (!character('=')) {
      at = after_name;  // the blanks belong to the next extension
      return true;
    }
    bad_whitespace();
    return quoted_string() || some(CharClass::token) > 0;
  }
  bool matches() {
    const std::size_t digits = some(CharClass::hex);
    if (digits == 0 || digits > 16) return false;
    while (at < line.size() && line[at] != '\r') {
      if (!extension()) return false;
    }
    return character('\r') && character('\n') && at == line.size();
  }
};

TEST(ChunkedDecoder, AgreesWithTheGrammarOnAllSmallSizeLines) {  // R4.12
  const std::string alphabet = "0ag;=\"\\ \r\n";
  std::vector<std::string> lines = {""};
  std::size_t valid = 0;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const std::string line = "1" + lines[i] + "\r\n";
    const bool expected = SizeLineGrammar{line}.matches();
    ChunkedDecoder decoder;
    std::size_t consumed = 0;
    std::string_view data;
    const bool accepted = decoder.step(line, consumed, data) == Status::need_more;
    // A line that is complete before its end is data or worse: "1\r\n\r\n".
    ASSERT_EQ(accepted, expected) << line;
    valid += expected ? 1 : 0;
    if (lines[i].size() == 5) continue;
    for (const char c : alphabet) lines.push_back(lines[i] + c);
  }
  EXPECT_GT(valid, 100U);
}

// Encodes `body` in chunks of random sizes with random extensions and trailers, gives it in random
// pieces.
TEST(ChunkedDecoder, DecodesWhatWasEncodedWhateverThePieces) {
  std::mt19937 random(20240609);
  const auto below = [&random](std::size_t bound) { return random() % bound; };
  const std::vector<std::string> extensions = {"", ";a", " ;a=\"\\\";\"", ";a = b;c"};
  for (int round = 0; round < 3000; ++round) {
    std::string body(below(500), '\0');
    for (char& c : body) c = "\r\n0;a"[below(5)];
    std::string input;
    for (std::size_t at = 0; at < body.size();) {
      const std::size_t size = std::min(1 + below(60), body.size() - at);
      char digits[20];
      std::snprintf(digits, sizeof digits, below(2) == 0 ? "%zx" : "%05zX", size);
      input += digits + extensions[below(extensions.size())] + "\r\n";
      input += body.substr(at, size) + "\r\n";
      at += size;
    }
    input += "0\r\n";
    if (below(2) == 0) input += "X: y\r\n";
    input += "\r\n";
    const std::size_t end = input.size();
    input += "GET /next";
    std::vector<std::size_t> cuts;
    for (std::size_t at = below(40); at < input.size(); at += below(60)) cuts.push_back(at);
    const Decoded decoded = decode_in_pieces(input, cuts);
    ASSERT_EQ(decoded.status, Status::done) << input;
    ASSERT_EQ(decoded.data, body) << input;
    ASSERT_EQ(decoded.consumed, end) << input;
  }
}

// Random damage: the same outcome in random pieces as in one.
TEST(ChunkedDecoder, PiecesNeverMatter) {
  const std::string seed =
      "5;a=\"b\"\r\nhello\r\n10\r\n0123456789abcdef\r\n0\r\nX: y\r\nETag: z\r\n\r\n";
  const std::string spice = "\r\n\r\n;=\" \t0f:\\\x01"s + '\0';
  std::mt19937 random(20240610);
  const auto below = [&random](std::size_t bound) { return random() % bound; };
  for (int round = 0; round < 20000; ++round) {
    std::string input = seed;
    for (std::size_t changes = below(3); changes > 0; --changes) {
      const std::size_t at = below(input.size());
      if (below(2) == 0) {
        input[at] = spice[below(spice.size())];
      } else {
        input.erase(at, 1);
      }
    }
    std::vector<std::size_t> cuts;
    for (std::size_t at = below(20); at < input.size(); at += 1 + below(20)) cuts.push_back(at);
    ASSERT_EQ(decode_in_pieces(input, cuts), decode_in_pieces(input, {})) << input;
  }
}

}  // namespace
}  // namespace tyaprover::http
