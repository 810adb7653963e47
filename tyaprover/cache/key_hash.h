// Hashing of keys: fast on short strings, seeded, so that nobody outside can choose colliding keys.
//
// Pure functions, thread-safe. Not cryptographic: the seed must stay inside the process.
//
//   const std::uint64_t hash = KeyHash<std::string>{seed}("user:1");
#pragma once

#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <string_view>

namespace tyaprover::cache {

namespace detail {
// Both halves of the full product: every bit of the result depends on every bit of both.
inline std::uint64_t fold_multiply(std::uint64_t a, std::uint64_t b) noexcept {
  __extension__ using Wide = unsigned __int128;
  const Wide product = static_cast<Wide>(a) * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}
template <class T>
T load(const char* from) noexcept {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}
// Digits of pi: odd, irregular, and nobody's choice.
inline constexpr std::uint64_t kMix1 = 0x243f6a8885a308d3;
inline constexpr std::uint64_t kMix2 = 0x13198a2e03707345;
}  // namespace detail

[[nodiscard]] inline std::uint64_t hash_bytes(std::string_view bytes, std::uint64_t seed) noexcept {
  using detail::fold_multiply;
  using detail::load;
  const char* at = bytes.data();
  const std::size_t size = bytes.size();
  std::uint64_t state = seed ^ detail::kMix1;
  std::uint64_t a = 0;
  std::uint64_t b = 0;
  if (size > 16) {
    for (std::size_t left = size; left > 16; left -= 16, at += 16) {
      state = fold_multiply(load<std::uint64_t>(at) ^ detail::kMix2,
                            load<std::uint64_t>(at + 8) ^ state);
    }
    // The last 16 bytes, which may overlap what was read.
    a = load<std::uint64_t>(bytes.data() + size - 16);
    b = load<std::uint64_t>(bytes.data() + size - 8);
  } else if (size >= 8) {
    a = load<std::uint64_t>(at);
    b = load<std::uint64_t>(at + size - 8);
  } else if (size >= 4) {
    a = load<std::uint32_t>(at);
    b = load<std::uint32_t>(at + size - 4);
  } else if (size > 0) {
    a = static_cast<unsigned char>(at[0]) << 16 | static_cast<unsigned char>(at[size / 2]) << 8 |
        static_cast<unsigned char>(at[size - 1]);
  }
  return fold_multiply(fold_multiply(a ^ detail::kMix2, b ^ state), size ^ detail::kMix1);
}

// How a key of type K is passed around, hashed and compared. Strings are passed as views, so that a
// look-up never builds one.
template <class K>
struct KeyHash {
  using View = const K&;
  std::uint64_t seed = 0;
  std::uint64_t operator()(const K& key) const noexcept(noexcept(std::hash<K>{}(key))) {
    return detail::fold_multiply(std::hash<K>{}(key) ^ seed ^ detail::kMix1, detail::kMix2);
  }
};
template <>
struct KeyHash<std::string> {
  using View = std::string_view;
  std::uint64_t seed = 0;
  std::uint64_t operator()(std::string_view key) const noexcept { return hash_bytes(key, seed); }
};

template <class K>
using KeyView = typename KeyHash<K>::View;

}  // namespace tyaprover::cache
