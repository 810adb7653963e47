#include "tyaprover/base/json_writer.h"

#include <cmath>
#include <cstdint>
#include <cstring>

#include "tyaprover/base/utf8.h"

namespace tyaprover {
namespace {

constexpr std::uint64_t kOnes = 0x0101010101010101;
constexpr std::uint64_t kHighs = 0x8080808080808080;

// Whether any of eight bytes needs a closer look: controls, DEL, `"`, `\`, everything beyond ASCII.
// The zero-byte trick may also mark bytes above a marked one, which changes nothing for "any".
bool any_special(std::uint64_t word) noexcept {
  const auto zero_byte = [](std::uint64_t w) { return (w - kOnes) & ~w; };
  const std::uint64_t marks = word | zero_byte(word ^ (kOnes * '"')) |
                              zero_byte(word ^ (kOnes * '\\')) | zero_byte(word ^ (kOnes * 0x7f)) |
                              ((word - kOnes * 0x20) & ~word);
  return (marks & kHighs) != 0;
}

bool is_special(unsigned char c) noexcept {
  return c < 0x20 || c == '"' || c == '\\' || c >= 0x7f;
}

// Index of the first byte at or after `at` that needs a closer look, or the size.
std::size_t find_special(std::string_view text, std::size_t at) noexcept {
  while (at + 8 <= text.size()) {
    std::uint64_t word;
    std::memcpy(&word, text.data() + at, 8);
    if (any_special(word)) break;
    at += 8;
  }
  while (at < text.size() && !is_special(static_cast<unsigned char>(text[at]))) ++at;
  return at;
}

void append_code_escape(std::string& out, std::uint32_t code) {
  constexpr char kHex[] = "0123456789abcdef";
  const char escape[6] = {'\\',
                          'u',
                          kHex[(code >> 12) & 0xf],
                          kHex[(code >> 8) & 0xf],
                          kHex[(code >> 4) & 0xf],
                          kHex[code & 0xf]};
  out.append(escape, sizeof(escape));
}

void append_ascii_escape(std::string& out, unsigned char c) {
  switch (c) {
    case '"':
      out += "\\\"";
      return;
    case '\\':
      out += "\\\\";
      return;
    case '\b':
      out += "\\b";
      return;
    case '\f':
      out += "\\f";
      return;
    case '\n':
      out += "\\n";
      return;
    case '\r':
      out += "\\r";
      return;
    case '\t':
      out += "\\t";
      return;
    default:
      append_code_escape(out, c);
  }
}

bool must_escape(std::uint32_t code) noexcept {
  return (code >= 0x80 && code <= 0x9f) || code == 0x2028 || code == 0x2029;
}

}  // namespace

void append_json_escaped(std::string& out, std::string_view text) {
  std::size_t clean = 0;  // start of the run that can be copied as it is
  std::size_t at = 0;
  while ((at = find_special(text, at)) < text.size()) {
    const auto c = static_cast<unsigned char>(text[at]);
    if (c < 0x80) {
      out.append(text, clean, at - clean);
      append_ascii_escape(out, c);
      clean = ++at;
      continue;
    }
    const Utf8Sequence sequence = decode_utf8(text, at);
    if (!sequence.valid || must_escape(sequence.code)) {
      out.append(text, clean, at - clean);
      if (sequence.valid) {
        append_code_escape(out, sequence.code);
      } else {
        out += "\xef\xbf\xbd";
      }
      clean = at + sequence.length;
    }
    at += sequence.length;
  }
  out.append(text, clean);
}

JsonWriter& JsonWriter::key(std::string_view name) {
  string(name);
  out_ += ':';
  comma_ = false;
  return *this;
}

JsonWriter& JsonWriter::string(std::string_view text) {
  separate();
  out_ += '"';
  append_json_escaped(out_, text);
  out_ += '"';
  comma_ = true;
  return *this;
}

JsonWriter& JsonWriter::number(double value) {
  if (!std::isfinite(value)) return null();
  char digits[32];
  const auto end = std::to_chars(digits, digits + sizeof(digits), value).ptr;
  return raw(std::string_view(digits, static_cast<std::size_t>(end - digits)));
}

JsonWriter& JsonWriter::raw(std::string_view json) {
  separate();
  out_ += json;
  comma_ = true;
  return *this;
}

}  // namespace tyaprover
