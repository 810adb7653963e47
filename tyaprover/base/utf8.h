// Strict UTF-8: one step of decoding (Unicode 15 §3.9, table 3-7), and repair.
//
// Pure functions, thread-safe; decoding does not allocate.
//
//   for (std::size_t at = 0; at < text.size();) {
//     const Utf8Sequence sequence = decode_utf8(text, at);
//     if (!sequence.valid) …
//     at += sequence.length;
//   }
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
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

[[nodiscard]] bool is_ascii(std::string_view text) noexcept;

// The size of `text` with every invalid sequence replaced by U+FFFD (Unicode 15 §3.9, one per
// maximal subpart), and that text at the end of `out`.
[[nodiscard]] std::size_t repaired_size(std::string_view text) noexcept;
void append_repaired(std::string& out, std::string_view text);

}  // namespace tyaprover
