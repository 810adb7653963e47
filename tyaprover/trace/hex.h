// Ids as hex digits, both ways. Internal. Pure functions, thread-safe.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>

namespace tyaprover::trace::detail {

// Eight digits at once: the half-bytes are spread over the bytes of a word, and all become digits
// together.
inline char* write_hex_half(char* out, std::uint32_t value) noexcept {
  std::uint64_t x = value;
  x = (x & 0xffff'0000) << 16 | (x & 0xffff);
  x = (x & 0x0000'ff00'0000'ff00) << 8 | (x & 0x0000'00ff'0000'00ff);
  x = (x & 0x00f0'00f0'00f0'00f0) << 4 | (x & 0x000f'000f'000f'000f);
  const std::uint64_t is_letter = (x + 0x0606'0606'0606'0606) >> 4 & 0x0101'0101'0101'0101;
  x += 0x3030'3030'3030'3030 + is_letter * ('a' - '0' - 10);
  // The first digit is that of the highest half-byte.
  if constexpr (std::endian::native == std::endian::little) x = __builtin_bswap64(x);
  std::memcpy(out, &x, sizeof x);
  return out + sizeof x;
}

// Writes 16 digits in lower case and returns the end.
inline char* write_hex(char* out, std::uint64_t value) noexcept {
  out = write_hex_half(out, static_cast<std::uint32_t>(value >> 32));
  return write_hex_half(out, static_cast<std::uint32_t>(value));
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
