// Chunked bodies: one reading whatever the pieces, data inside the piece it came in, limits kept,
// and a body that was accepted is the same after it was encoded anew.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fuzz/require.h"
#include "tyaprover/http/grammar.h"
#include "tyaprover/http/parser.h"
#include "tyaprover/http/parser_testing.h"

namespace tyaprover::http {
namespace {

using parser_testing::random_cuts;
using Status = ChunkedDecoder::Status;

struct Decoded {
  Status status = Status::need_more;
  std::string data;
  std::string trailers;
  std::size_t consumed = 0;
  std::string_view detail;

  bool operator==(const Decoded&) const = default;
};

// Gives the decoder one piece, in a buffer of its own size, until it is consumed.
void give(ChunkedDecoder& decoder, std::string_view bytes, Decoded& decoded) {
  const auto copy = std::make_unique<char[]>(bytes.size());
  bytes.copy(copy.get(), bytes.size());
  std::string_view piece(copy.get(), bytes.size());
  do {
    std::size_t consumed = 0;
    std::string_view data;
    decoded.status = decoder.step(piece, consumed, data);
    require(consumed <= piece.size(), "no more is consumed than was given");
    require(parser_testing::is_inside(data, piece), "data lies in the piece");
    require((decoded.status == Status::data) == !data.empty(), "data comes with its status");
    decoded.data += data;
    decoded.consumed += consumed;
    piece.remove_prefix(consumed);
  } while (decoded.status == Status::data);
  require(decoded.status != Status::need_more || piece.empty(),
          "more is needed after all was used");
}

// Gives the decoder `input` in the pieces that end at `cuts`.
Decoded decode_with(ChunkedDecoder& decoder, std::string_view input, std::vector<std::size_t> cuts,
                    ChunkedDecoder::Limits limits) {
  Decoded decoded;
  cuts.push_back(input.size());
  std::size_t begin = 0;
  for (const std::size_t end : cuts) {
    give(decoder, input.substr(begin, end - begin), decoded);
    begin = end;
    if (decoded.status != Status::need_more) break;
  }
  if (decoded.status == Status::error) {
    decoded.detail = decoder.error().detail;
    decoded.consumed = 0;  // of a broken body nobody asks how much was read
    require(decoder.error().status == 400, "an error is a 400");
  }
  if (decoded.status == Status::done) {
    require(decoder.trailers().size() <= limits.trailer_fields, "trailers are within their limit");
    for (const Field& field : decoder.trailers()) {
      decoded.trailers.append(field.name).append(":").append(field.value).append("\r\n");
      require(all_are(field.name, CharClass::token), "a trailer's name is a token");
      require(field.id == KnownField::other || field.id == KnownField::etag,
              "no trailer changes the message");
    }
    require(decoded.trailers.size() <= limits.trailers, "trailers are within their limit");
  }
  return decoded;
}

Decoded decode(std::string_view input, std::vector<std::size_t> cuts,
               ChunkedDecoder::Limits limits) {
  ChunkedDecoder decoder(limits);
  return decode_with(decoder, input, std::move(cuts), limits);
}

std::string encode(const Decoded& decoded, std::size_t largest_chunk) {
  std::string text;
  std::string_view rest = decoded.data;
  while (!rest.empty()) {
    const std::string_view chunk = rest.substr(0, largest_chunk);
    char size[20];
    std::snprintf(size, sizeof size, "%zx\r\n", chunk.size());
    text.append(size).append(chunk).append("\r\n");
    rest.remove_prefix(chunk.size());
  }
  return text + "0\r\n" + decoded.trailers + "\r\n";
}

void check(std::string_view input, ChunkedDecoder::Limits limits) {
  const Decoded whole = decode(input, {}, limits);
  require(decode(input, random_cuts(input, 1 + input.size() / 512), limits) == whole,
          "pieces do not matter");
  require(decode(input, random_cuts(input, 50), limits) == whole, "pieces do not matter");
  require(whole.data.size() <= input.size(), "data does not grow");

  // A decoder that was reset, wherever it stood, is a new one.
  ChunkedDecoder decoder(limits);
  for (const std::size_t before : {input.size() / 2, input.size()}) {
    decode_with(decoder, input.substr(0, before), {}, limits);
    decoder.reset();
    require(decoder.trailers().empty(), "nothing is left after a reset");
    require(decode_with(decoder, input, {}, limits) == whole, "a reset decoder says the same");
    decoder.reset();
  }
  if (whole.status != Status::done) return;

  require(decode(input.substr(0, whole.consumed), {}, limits) == whole, "what follows is not read");
  require(decode(input.substr(0, whole.consumed - 1), {}, limits).status == Status::need_more,
          "no byte is too many");
  const std::string anew = encode(whole, 1 + input.size() % 40);
  Decoded again = decode(anew, {}, limits);
  require(again.consumed == anew.size(), "an encoded body ends at its end");
  again.consumed = whole.consumed;
  require(again == whole, "a body survives being encoded anew");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  check(input, {});
  check(input, {.extension = 8, .extensions = 20, .trailers = 24, .trailer_fields = 2});
  return 0;
}

}  // namespace tyaprover::http
