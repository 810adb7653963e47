#include "tyaprover/filters/compression.h"

#include <gtest/gtest.h>

#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "tyaprover/filters/media_type.h"
#include "tyaprover/filters/test_decode.h"
#include "tyaprover/filters/test_exchange.h"

namespace tyaprover::filters {
namespace {

using http::BodyError;
using http::BodyPiece;
using http::BodyPtr;
using http::BodySource;
using http::Task;

// A body that is there at once.
class ReadyBody final : public BodySource {
 public:
  ReadyBody(std::string bytes, bool length_known)
      : bytes_(std::move(bytes)), length_known_(length_known) {}
  std::optional<std::uint64_t> length() const noexcept override {
    return length_known_ ? std::optional<std::uint64_t>(bytes_.size()) : std::nullopt;
  }
  std::optional<BodyPiece> poll() override { return BodyPiece{bytes_, true}; }
  Task<Result<BodyPiece, BodyError>> read() override { co_return BodyPiece{bytes_, true}; }

 private:
  std::string bytes_;
  bool length_known_;
};

class CompressionTest : public ExchangeTest {
 protected:
  // A response of 2000 bytes of JSON, in memory.
  CompressionTest() {
    request_field("Accept-Encoding", "gzip");
    response_field("Content-Type", "application/json");
    exchange.response.content = kBody;
  }

  void run() { filter.on_response(exchange, state); }
  void stream(bool length_known = false) {
    exchange.response.content = {};
    exchange.response.body = BodyPtr(new ReadyBody(kBody, length_known));
  }
  // What the client gets, read to its end without waiting.
  std::string received() {
    if (!exchange.response.body) return std::string(exchange.response.content);
    std::string all;
    while (const auto piece = exchange.response.body->poll()) {
      all += piece->data;
      if (piece->last) break;
    }
    return all;
  }

  const std::string kBody = "[" + std::string(1998, '7') + "]";
  Compression filter{worker};
  Compression::State state;
};

TEST_F(CompressionTest, EncodesASmallReplyAtOnce) {
  run();
  EXPECT_EQ(sent("Content-Encoding"), "gzip");
  EXPECT_EQ(sent("Vary"), "Accept-Encoding");
  EXPECT_FALSE(exchange.response.body);
  EXPECT_EQ(decode_all(Coding::gzip, received()), kBody);
  EXPECT_EQ(filter.stats().responses, 1u);
  EXPECT_EQ(filter.stats().bytes_in, 2000u);
  EXPECT_EQ(filter.stats().bytes_out, received().size());
}

TEST_F(CompressionTest, ASmallReplyGivesItsBufferBackAtTheEnd) {
  run();
  filter.on_finish(exchange, state);
  EXPECT_FALSE(state.encoded);
}

TEST_F(CompressionTest, EncodesALargeReplyPieceByPiece) {
  const std::string large(100'000, 'l');
  exchange.response.content = large;
  run();
  ASSERT_TRUE(exchange.response.body);
  EXPECT_EQ(exchange.response.body->length(), std::nullopt);
  EXPECT_EQ(decode_all(Coding::gzip, received()), large);
}

TEST_F(CompressionTest, EncodesStreamsOfKnownAndUnknownLength) {
  for (const bool length_known : {true, false}) {
    exchange.response.fields.remove("content-encoding");
    stream(length_known);
    run();
    EXPECT_EQ(sent("Content-Encoding"), "gzip");
    EXPECT_EQ(exchange.response.body->length(), std::nullopt);
    EXPECT_EQ(decode_all(Coding::gzip, received()), kBody);
  }
}

TEST_F(CompressionTest, LeavesAReplyThatWouldNotGetSmaller) {
  std::string noise;
  std::uint32_t x = 1;
  while (noise.size() < 2000) noise += static_cast<char>((x = x * 1664525 + 1013904223) >> 24);
  exchange.response.content = noise;
  response_field("ETag", "\"x\"");
  run();
  EXPECT_EQ(sent("Content-Encoding"), "-");
  EXPECT_EQ(sent("ETag"), "\"x\"");
  EXPECT_EQ(sent("Vary"), "Accept-Encoding");
  EXPECT_EQ(received(), noise);
}

TEST_F(CompressionTest, TakesTheServersPreferenceAtEqualWeights) {
  exchange.request.fields.clear();
  request_field("Accept-Encoding", "gzip, br");
  request_field("Accept-Encoding", "zstd");
  settings.compression.encodings = {"deflate", "br", "zstd", "gzip", "identity"};
  run();
  EXPECT_EQ(sent("Content-Encoding"), "br");
  EXPECT_EQ(decode_all(Coding::br, received()), kBody);
}

TEST_F(CompressionTest, WeakensTheETagAndDropsWhatNoLongerHolds) {
  response_field("ETag", "\"abc\"");
  response_field("Accept-Ranges", "bytes");
  response_field("Content-Length", "2000");
  run();
  EXPECT_EQ(sent("ETag"), "W/\"abc\"");
  EXPECT_EQ(sent("Accept-Ranges"), "-");
  EXPECT_EQ(sent("Content-Length"), "-");
}

TEST_F(CompressionTest, KeepsAWeakETag) {
  response_field("ETag", "W/\"abc\"");
  run();
  EXPECT_EQ(sent("ETag"), "W/\"abc\"");
}

TEST_F(CompressionTest, SaysVaryAlsoWhenTheClientGetsItPlain) {
  exchange.request.fields.clear();
  response_field("ETag", "\"abc\"");
  run();
  EXPECT_EQ(sent("Content-Encoding"), "-");
  EXPECT_EQ(sent("Vary"), "Accept-Encoding");
  EXPECT_EQ(sent("ETag"), "\"abc\"");
  EXPECT_EQ(received(), kBody);
}

TEST_F(CompressionTest, MergesVary) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"Origin", "Origin, Accept-Encoding"},
      {"*", "*"},
      {"accept-encoding", "accept-encoding"},
      {"Origin, Accept-Encoding", "Origin, Accept-Encoding"},
      {"", "Accept-Encoding"},
  };
  for (const auto& [before, after] : cases) {
    exchange.response.fields.clear();
    response_field("Content-Type", "text/plain");
    response_field("Vary", before);
    exchange.response.content = kBody;
    run();
    EXPECT_EQ(sent("Vary"), after);
  }
}

TEST_F(CompressionTest, PassesAPlainBodyWhenAllEncodersAreOut) {
  std::vector<BodyPtr> others;
  for (int i = 0; i < 200; ++i) {
    exchange.response.fields.remove("content-encoding");
    stream();
    run();
    others.push_back(std::move(exchange.response.body));
  }
  EXPECT_EQ(sent("Content-Encoding"), "-");
  EXPECT_EQ(sent("Vary"), "Accept-Encoding");
  EXPECT_EQ(others.back()->length(), std::nullopt);
}

TEST_F(CompressionTest, IsOffWhenTheRouteSaysSo) {
  settings.compression.enabled = false;
  run();
  EXPECT_EQ(sent("Content-Encoding"), "-");
  EXPECT_EQ(sent("Vary"), "-");
}

// HEAD has the fields that GET has (RFC 9110 §9.3.2).
class HeadTest : public CompressionTest {
 protected:
  HeadTest() {
    exchange.request.method = "HEAD";
    exchange.request.method_id = http::Method::head;
    response_field("ETag", "\"abc\"");
  }
};

TEST_F(HeadTest, OfAnUpstreamsAnswerWithALength) {
  exchange.response.content = {};
  exchange.response.described_length = 2000;
  run();
  EXPECT_EQ(sent("Content-Encoding"), "gzip");
  EXPECT_EQ(sent("Vary"), "Accept-Encoding");
  EXPECT_EQ(sent("ETag"), "W/\"abc\"");
  EXPECT_EQ(exchange.response.described_length, std::nullopt);
  ASSERT_TRUE(exchange.response.body);
  EXPECT_EQ(exchange.response.body->length(), std::nullopt);
}

TEST_F(HeadTest, OfAnUpstreamsAnswerWithoutALength) {
  exchange.response.content = {};
  run();
  EXPECT_EQ(sent("Content-Encoding"), "gzip");
}

TEST_F(HeadTest, OfAnAnswerBelowTheThreshold) {
  exchange.response.content = {};
  exchange.response.described_length = 10;
  run();
  EXPECT_EQ(sent("Content-Encoding"), "-");
  EXPECT_EQ(sent("Vary"), "-");
  EXPECT_EQ(exchange.response.described_length, 10u);
}

TEST_F(HeadTest, OfALocalReply) {
  run();
  EXPECT_EQ(sent("Content-Encoding"), "gzip");
  EXPECT_EQ(decode_all(Coding::gzip, received()), kBody);
}

// A client that stored the weakened tag finds it again in the 304.
TEST_F(CompressionTest, A304AnswersWithTheTagThatWasAskedFor) {
  struct Case {
    std::string_view asked;
    std::string_view etag;
    std::string_view expected;
  };
  const Case cases[] = {
      {"W/\"a\"", "\"a\"", "W/\"a\""}, {"\"b\", W/\"a\"", "\"a\"", "W/\"a\""},
      {"\"a\"", "\"a\"", "\"a\""},     {"\"a\", W/\"a\"", "\"a\"", "\"a\""},
      {"W/\"b\"", "\"a\"", "\"a\""},   {"W/\"a\"", "W/\"a\"", "W/\"a\""},
      {"*", "\"a\"", "\"a\""},
  };
  for (const Case& c : cases) {
    exchange.request.fields.clear();
    exchange.response.clear();
    exchange.response.status = 304;
    request_field("Accept-Encoding", "gzip");
    request_field("If-None-Match", c.asked);
    response_field("ETag", c.etag);
    run();
    EXPECT_EQ(sent("ETag"), c.expected) << c.asked;
    EXPECT_EQ(sent("Vary"), c.etag != c.expected ? "Accept-Encoding" : "-") << c.asked;
    EXPECT_EQ(sent("Content-Encoding"), "-");
  }
}

struct Untouched {
  std::string_view why;
  int status = 200;
  std::string_view name;
  std::string_view value;
  std::string_view request_name = {};
  std::string_view request_value = {};
};

void PrintTo(const Untouched& c, std::ostream* os) {
  *os << c.why;
}

class UntouchedTest : public CompressionTest, public ::testing::WithParamInterface<Untouched> {};

TEST_P(UntouchedTest, PassesAsItIs) {
  const Untouched& c = GetParam();
  exchange.response.status = c.status;
  if (!c.name.empty()) exchange.response.fields.remove(c.name);
  if (!c.name.empty()) response_field(c.name, c.value);
  if (!c.request_name.empty()) request_field(c.request_name, c.request_value);
  response_field("ETag", "\"abc\"");
  run();
  EXPECT_EQ(sent("Vary"), "-");
  EXPECT_EQ(sent("ETag"), "\"abc\"");
  EXPECT_EQ(received(), kBody);
  EXPECT_EQ(filter.stats().responses, 0u);
}

INSTANTIATE_TEST_SUITE_P(
    R73, UntouchedTest,
    ::testing::Values(Untouched{"already encoded", 200, "Content-Encoding", "br"},
                      Untouched{"an encoding nobody knows", 200, "Content-Encoding", "aes128gcm"},
                      Untouched{"no-transform", 200, "Cache-Control", "max-age=60, no-transform"},
                      Untouched{"no-transform in the request", 200, "", "", "Cache-Control",
                                "no-transform"},
                      Untouched{"partial content", 206, "Content-Range", "bytes 0-1999/4000"},
                      Untouched{"partial content, several ranges", 206, "", ""},
                      Untouched{"a range in any status", 200, "Content-Range", "bytes 0-1999/4000"},
                      Untouched{"204", 204, "", ""}, Untouched{"205", 205, "", ""},
                      Untouched{"304", 304, "", ""}, Untouched{"101", 101, "", ""},
                      Untouched{"an image", 200, "Content-Type", "image/png"},
                      Untouched{"a compressed font", 200, "Content-Type", "font/woff2"},
                      Untouched{"no type", 200, "Content-Type", ""}));

TEST_F(CompressionTest, TheThresholdCountsWhenTheSizeIsKnown) {
  settings.compression.threshold = 2001;
  run();
  EXPECT_EQ(sent("Vary"), "-");
  stream(true);
  run();
  EXPECT_EQ(sent("Vary"), "-");
  stream(false);
  run();
  EXPECT_EQ(sent("Content-Encoding"), "gzip");
}

TEST_F(CompressionTest, AnEmptyBodyIsNeverEncoded) {
  settings.compression.threshold = 0;
  exchange.response.content = {};
  run();
  EXPECT_EQ(sent("Content-Encoding"), "-");
  EXPECT_EQ(sent("Vary"), "-");
}

TEST_F(CompressionTest, ErrorsAreEncodedLikeAnythingElse) {
  exchange.response.status = 502;
  exchange.response.fields.clear();
  response_field("Content-Type", "application/problem+json");
  run();
  EXPECT_EQ(sent("Content-Encoding"), "gzip");
}

TEST(MediaTypeTest, KnowsWhatCompresses) {
  for (const std::string_view type :
       {"text/plain", "text/html; charset=utf-8", "TEXT/CSS", "text/event-stream",
        "application/json", "application/json ;charset=utf-8", "application/problem+json",
        "application/xml", "application/atom+xml", "application/javascript", "text/javascript",
        "image/svg+xml", "application/wasm", "font/ttf", "font/otf",
        "application/vnd.ms-fontobject", "application/x-ndjson", "application/manifest+json"}) {
    EXPECT_TRUE(is_compressible_type(type)) << type;
  }
  for (const std::string_view type :
       {"", "text", "image/png", "image/jpeg", "video/mp4", "application/zip", "application/gzip",
        "application/octet-stream", "font/woff", "font/woff2", "application/pdf",
        "application/grpc", "application/grpc+json", "application/grpc-web+json", "xtext/plain",
        "application/jsonx"}) {
    EXPECT_FALSE(is_compressible_type(type)) << type;
  }
  EXPECT_TRUE(is_event_stream("text/event-stream; charset=utf-8"));
  EXPECT_FALSE(is_event_stream("text/event"));
}

}  // namespace
}  // namespace tyaprover::filters
