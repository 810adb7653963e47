#include "tyaprover/trace/utf8_repair.h"

#include <cstdint>
#include <cstring>

#include "tyaprover/base/utf8.h"

namespace tyaprover::trace::detail {
namespace {

constexpr std::string_view kReplacement = "\xef\xbf\xbd";

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

}  // namespace tyaprover::trace::detail
