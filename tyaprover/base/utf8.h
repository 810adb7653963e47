// One step of strict UTF-8 decoding (Unicode 15 §3.9, table 3-7).
//
// Pure function, thread-safe, no allocation.
//
//   for (std::size_t at = 0; at < text.size();) {
//     const Utf8Sequence sequence = decode_utf8(text, at);
//     if (!sequence.valid) …
//     at += sequence.length;
//   }
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace tyaprover {

struct Utf8Sequence {
  std::size_t length =
      1;  // bytes of the character; if invalid, of the maximal subpart to skip or replace
  std::uint32_t code = 0;  // code point; 0 if invalid
  bool valid = false;
};

// REQUIRES: at < text.size().
[[nodiscard]] Utf8Sequence decode_utf8(std::string_view text, std::size_t at) noexcept;

}  // namespace tyaprover
