// Ids as hex digits, both ways. Internal. Pure functions, thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace tyaprover::trace::detail {

// Writes 16 digits in lower case and returns the end.
inline char* write_hex(char* out, std::uint64_t value) noexcept {
  constexpr char kDigits[] = "0123456789abcdef";
  for (int shift = 60; shift >= 0; shift -= 4) *out++ = kDigits[(value >> shift) & 0xf];
  return out;
}

inline char* write_hex_byte(char* out, std::uint8_t value) noexcept {
  constexpr char kDigits[] = "0123456789abcdef";
  *out++ = kDigits[value >> 4];
  *out++ = kDigits[value & 0xf];
  return out;
}

enum class HexCase { lower, any };

// The value of 1 to 16 digits; nullopt for anything else.
inline std::optional<std::uint64_t> parse_hex(std::string_view text, HexCase letters) noexcept {
  if (text.empty() || text.size() > 16) return std::nullopt;
  std::uint64_t value = 0;
  for (const char c : text) {
    std::uint64_t digit = 0;
    if (c >= '0' && c <= '9') {
      digit = static_cast<std::uint64_t>(c - '0');
    } else if (c >= 'a' && c <= 'f') {
      digit = static_cast<std::uint64_t>(c - 'a') + 10;
    } else if (letters == HexCase::any && c >= 'A' && c <= 'F') {
      digit = static_cast<std::uint64_t>(c - 'A') + 10;
    } else {
      return std::nullopt;
    }
    value = value << 4 | digit;
  }
  return value;
}

}  // namespace tyaprover::trace::detail
