// For tests: the decoders that clients have, zlib's, Brotli's and Zstandard's.
//
// Not thread-safe, not fast.
#pragma once

#include <brotli/decode.h>
#include <zlib.h>
#include <zstd.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "tyaprover/filters/negotiation.h"

namespace tyaprover::filters {

struct Decoded {
  std::string bytes;      // what a client that has received this much can read
  bool complete = false;  // and it knows that this is all
  bool valid = true;      // no error, and nothing stands behind the end
};

inline Decoded decode_gzip(std::string_view encoded) {
  Decoded result;
  z_stream stream{};
  inflateInit2(&stream, 16 + MAX_WBITS);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(encoded.data()));
  stream.avail_in = static_cast<uInt>(encoded.size());
  char buffer[4096];
  int status = Z_OK;
  do {
    stream.next_out = reinterpret_cast<Bytef*>(buffer);
    stream.avail_out = sizeof buffer;
    status = inflate(&stream, Z_NO_FLUSH);
    result.bytes.append(buffer, sizeof buffer - stream.avail_out);
  } while (status == Z_OK && (stream.avail_in > 0 || stream.avail_out == 0));
  result.complete = status == Z_STREAM_END;
  result.valid =
      (status == Z_OK || status == Z_BUF_ERROR || result.complete) && stream.avail_in == 0;
  inflateEnd(&stream);
  return result;
}

inline Decoded decode_brotli(std::string_view encoded) {
  Decoded result;
  BrotliDecoderState* const state = BrotliDecoderCreateInstance(nullptr, nullptr, nullptr);
  std::size_t left = encoded.size();
  auto* in = reinterpret_cast<const std::uint8_t*>(encoded.data());
  BrotliDecoderResult status = BROTLI_DECODER_RESULT_NEEDS_MORE_OUTPUT;
  while (status == BROTLI_DECODER_RESULT_NEEDS_MORE_OUTPUT ||
         BrotliDecoderHasMoreOutput(state) != 0) {
    std::uint8_t buffer[4096];
    std::size_t room = sizeof buffer;
    std::uint8_t* out = buffer;
    status = BrotliDecoderDecompressStream(state, &left, &in, &room, &out, nullptr);
    result.bytes.append(reinterpret_cast<const char*>(buffer), sizeof buffer - room);
  }
  result.complete = status == BROTLI_DECODER_RESULT_SUCCESS;
  result.valid = status != BROTLI_DECODER_RESULT_ERROR && left == 0;
  BrotliDecoderDestroyInstance(state);
  return result;
}

inline Decoded decode_zstd(std::string_view encoded) {
  Decoded result;
  ZSTD_DCtx* const context = ZSTD_createDCtx();
  // RFC 9659: what browsers accept at most.
  ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, 23);
  ZSTD_inBuffer in{encoded.data(), encoded.size(), 0};
  char buffer[4096];
  ZSTD_outBuffer out{buffer, sizeof buffer, 0};
  std::size_t left = 1;
  do {
    out.pos = 0;
    left = ZSTD_decompressStream(context, &out, &in);
    if (ZSTD_isError(left) != 0) break;
    result.bytes.append(buffer, out.pos);
  } while (left != 0 && (in.pos < in.size || out.pos == sizeof buffer));
  result.complete = left == 0;
  result.valid = ZSTD_isError(left) == 0 && in.pos == in.size;
  ZSTD_freeDCtx(context);
  return result;
}

inline Decoded decode(Coding coding, std::string_view encoded) {
  switch (coding) {
    case Coding::identity:
      return {std::string(encoded), true, true};
    case Coding::gzip:
      return decode_gzip(encoded);
    case Coding::br:
      return decode_brotli(encoded);
    case Coding::zstd:
      return decode_zstd(encoded);
  }
  return {};
}

// The whole body, or nothing when the encoding is broken or incomplete.
inline std::optional<std::string> decode_all(Coding coding, std::string_view encoded) {
  Decoded result = decode(coding, encoded);
  if (!result.complete || !result.valid) return std::nullopt;
  return std::move(result.bytes);
}

}  // namespace tyaprover::filters
