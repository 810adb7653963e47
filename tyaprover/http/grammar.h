// The characters of HTTP's and URIs' grammar, and comparisons that ignore ASCII case.
//
// Pure functions over one constant table, thread-safe. Internal to the codec; knows no locale.
//
//   if (!is(name[0], CharClass::token)) …
//   if (equals_ignoring_case(value, "close")) …
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace tyaprover::http {

// One bit each; a character may be in several.
enum class CharClass : std::uint8_t {
  token = 1,        // tchar, RFC 9110 §5.6.2
  field_value = 2,  // visible, space, tab and bytes >= 0x80 (RFC 9110 §5.5)
  target = 4,       // visible ASCII without '#' (R4.4)
  digit = 8,
  hex = 16,
  unreserved = 32,  // RFC 3986 §2.3
  reg_name = 64,    // a host's: unreserved, sub-delims (RFC 3986 §3.2.2), but no ',' (R4.8)
};

namespace detail {

constexpr bool is_one_of(char c, std::string_view set) noexcept {
  return set.find(c) != std::string_view::npos;
}

constexpr std::uint8_t char_classes(unsigned code) noexcept {
  const char c = static_cast<char>(code);
  const bool digit = c >= '0' && c <= '9';
  const bool alpha = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  const bool visible = code > 0x20 && code < 0x7f;
  const bool unreserved = alpha || digit || is_one_of(c, "-._~");
  unsigned classes = 0;
  const auto add = [&classes](CharClass bit, bool member) {
    if (member) classes |= static_cast<unsigned>(bit);
  };
  add(CharClass::token, alpha || digit || (visible && is_one_of(c, "!#$%&'*+-.^_`|~")));
  add(CharClass::field_value, c == '\t' || (code >= 0x20 && code != 0x7f));
  add(CharClass::target, visible && c != '#');
  add(CharClass::digit, digit);
  add(CharClass::hex, digit || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'));
  add(CharClass::unreserved, unreserved);
  add(CharClass::reg_name, unreserved || (visible && is_one_of(c, "!$&'()*+;=")));
  return static_cast<std::uint8_t>(classes);
}

inline constexpr std::array<std::uint8_t, 256> kCharClasses = [] {
  std::array<std::uint8_t, 256> table{};
  for (unsigned code = 0; code < 256; ++code) table[code] = char_classes(code);
  return table;
}();

inline std::uint64_t load64(const char* bytes) noexcept {
  std::uint64_t word;
  std::memcpy(&word, bytes, sizeof word);
  return word;
}

inline std::uint32_t load32(const char* bytes) noexcept {
  std::uint32_t word;
  std::memcpy(&word, bytes, sizeof word);
  return word;
}

inline constexpr std::uint64_t kEveryByte = 0x0101010101010101;
inline constexpr std::uint64_t kHighBits = 0x80 * kEveryByte;

// Eight bytes with A–Z turned into a–z, all others untouched.
constexpr std::uint64_t lower64(std::uint64_t word) noexcept {
  const std::uint64_t low7 = word & ~kHighBits;
  const std::uint64_t at_least_a = low7 + (0x80 - 'A') * kEveryByte;
  const std::uint64_t above_z = low7 + (0x7f - 'Z') * kEveryByte;
  const std::uint64_t upper = (at_least_a ^ above_z) & kHighBits & ~word;
  return word | (upper >> 2);
}

}  // namespace detail

[[nodiscard]] constexpr bool is(char c, CharClass which) noexcept {
  return (detail::kCharClasses[static_cast<unsigned char>(c)] & static_cast<unsigned>(which)) != 0;
}

[[nodiscard]] constexpr bool is_blank(char c) noexcept {
  return c == ' ' || c == '\t';
}

[[nodiscard]] constexpr char to_lower(char c) noexcept {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
}

// The digit's value. REQUIRES: is(c, CharClass::hex).
[[nodiscard]] constexpr unsigned hex_value(char c) noexcept {
  return static_cast<unsigned>(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
}

// True for a non-empty string of that class alone.
[[nodiscard]] constexpr bool all_are(std::string_view text, CharClass which) noexcept {
  for (const char c : text) {
    if (!is(c, which)) return false;
  }
  return !text.empty();
}

// ASCII case only. Compares machine words: a request asks this for each field (parser_bench).
[[nodiscard]] inline bool equals_ignoring_case(std::string_view a, std::string_view b) noexcept {
  const std::size_t size = a.size();
  if (size != b.size()) return false;
  if (size >= 8) {
    const auto differ = [&](std::size_t i) {
      return detail::lower64(detail::load64(a.data() + i)) !=
             detail::lower64(detail::load64(b.data() + i));
    };
    for (std::size_t i = 0; i + 8 <= size; i += 8) {
      if (differ(i)) return false;
    }
    return !differ(size - 8);  // the tail, overlapping what was compared already
  }
  if (size >= 4) {
    const auto both_ends = [size](std::string_view s) {
      return detail::lower64((std::uint64_t{detail::load32(s.data())} << 32) |
                             detail::load32(s.data() + size - 4));
    };
    return both_ends(a) == both_ends(b);
  }
  for (std::size_t i = 0; i < size; ++i) {
    if (to_lower(a[i]) != to_lower(b[i])) return false;
  }
  return true;
}

// Without spaces and tabs at both ends.
[[nodiscard]] constexpr std::string_view trim_blanks(std::string_view text) noexcept {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

}  // namespace tyaprover::http
