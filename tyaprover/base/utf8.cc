#include "tyaprover/base/utf8.h"

#include <cassert>
#include <cstring>

namespace tyaprover {

Utf8Sequence decode_utf8(std::string_view text, std::size_t at) noexcept {
  assert(at < text.size());
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned lead = byte(at);
  if (lead < 0x80) return {.length = 1, .code = lead, .valid = true};
  unsigned more = 0;
  // The second byte's range is narrower after some leads: no overlong forms, no surrogates, no code
  // point above U+10FFFF.
  unsigned low = 0x80;
  unsigned high = 0xbf;
  if (lead >= 0xc2 && lead <= 0xdf) {
    more = 1;
  } else if (lead >= 0xe0 && lead <= 0xef) {
    more = 2;
    if (lead == 0xe0) low = 0xa0;
    if (lead == 0xed) high = 0x9f;
  } else if (lead >= 0xf0 && lead <= 0xf4) {
    more = 3;
    if (lead == 0xf0) low = 0x90;
    if (lead == 0xf4) high = 0x8f;
  } else {
    return {};
  }
  std::uint32_t code = lead & (0x3fu >> more);
  std::size_t length = 1;
  for (; length <= more; ++length, low = 0x80, high = 0xbf) {
    if (at + length == text.size() || byte(at + length) < low || byte(at + length) > high) {
      return {.length = length};
    }
    code = (code << 6) | (byte(at + length) & 0x3f);
  }
  return {.length = length, .code = code, .valid = true};
}

bool is_ascii(std::string_view text) noexcept {
  std::size_t at = 0;
  std::uint64_t seen = 0;
  for (; at + 8 <= text.size(); at += 8) {
    std::uint64_t word;
    std::memcpy(&word, text.data() + at, 8);
    seen |= word;
  }
  for (; at < text.size(); ++at) seen |= static_cast<unsigned char>(text[at]);
  return (seen & 0x8080808080808080) == 0;
}

namespace {

constexpr std::string_view kReplacement = "\xef\xbf\xbd";

// Calls visit(piece) for every piece of the repaired text.
template <class F>
void for_each_piece(std::string_view text, F visit) {
  std::size_t valid = 0;  // where the run began that can be taken as it is
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Sequence sequence = decode_utf8(text, at);
    if (!sequence.valid) {
      visit(text.substr(valid, at - valid));
      visit(kReplacement);
      valid = at + sequence.length;
    }
    at += sequence.length;
  }
  visit(text.substr(valid));
}

}  // namespace

std::size_t repaired_size(std::string_view text) noexcept {
  if (is_ascii(text)) return text.size();
  std::size_t size = 0;
  for_each_piece(text, [&](std::string_view piece) { size += piece.size(); });
  return size;
}

void append_repaired(std::string& out, std::string_view text) {
  if (is_ascii(text)) {
    out += text;
  } else {
    for_each_piece(text, [&](std::string_view piece) { out += piece; });
  }
}

}  // namespace tyaprover
