// copy_bytes: memcpy for the short texts of attributes. Internal. Pure function, thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace tyaprover::trace::detail {

// Up to 32 bytes go as two words that may overlap, which is a third of what a call of memcpy costs.
// REQUIRES: the ranges do not overlap each other.
inline void copy_bytes(char* to, const char* from, std::size_t size) noexcept {
  const auto two = [&]<class Word>(Word first, Word last) {
    std::memcpy(&first, from, sizeof(Word));
    std::memcpy(&last, from + size - sizeof(Word), sizeof(Word));
    std::memcpy(to, &first, sizeof(Word));
    std::memcpy(to + size - sizeof(Word), &last, sizeof(Word));
  };
  struct Word16 {
    std::uint64_t words[2];
  };
  if (size > 32) {
    std::memcpy(to, from, size);
  } else if (size >= 16) {
    two(Word16{}, Word16{});
  } else if (size >= 8) {
    two(std::uint64_t{}, std::uint64_t{});
  } else if (size >= 4) {
    two(std::uint32_t{}, std::uint32_t{});
  } else if (size > 0) {
    to[0] = from[0];
    to[size / 2] = from[size / 2];
    to[size - 1] = from[size - 1];
  }
}

}  // namespace tyaprover::trace::detail
