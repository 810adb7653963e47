// CacheStats: what a cache has done and holds, as values.
//
//   const CacheStats stats = cache.stats();
//   stats.hit_rate();      // 92.31
//   stats.to_json();       // {"hits":1523,"misses":127,"keys":234,"size":45632,"hitRate":92.3,…}
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "tyaprover/base/clock.h"

namespace tyaprover::cache {

// Why an entry left a cache.
enum class RemovalCause : std::uint8_t {
  replaced,  // a new value for its key
  erased,    // by key, tag, prefix or pattern
  expired,
  evicted,  // to make room
  cleared,
};
inline constexpr std::size_t kRemovalCauses = 5;
[[nodiscard]] std::string_view to_string(RemovalCause cause) noexcept;

// Look-ups are hits + misses, always.
struct CacheStats {
  std::uint64_t hits = 0;
  std::uint64_t misses = 0;
  std::uint64_t stale_hits = 0;     // of the hits: answered by a stale value
  std::uint64_t negative_hits = 0;  // of the hits: answered by a remembered error
  std::size_t keys = 0;             // entries
  std::size_t bytes = 0;            // keys, values and overhead of all entries
  std::uint64_t loads_ok = 0;
  std::uint64_t loads_failed = 0;
  Nanos load_time{};            // of all loads together
  std::uint64_t collapsed = 0;  // look-ups that waited for another's load
  std::uint64_t refreshes = 0;  // loads in the background
  std::uint64_t refused = 0;    // entries larger than the whole cache
  std::array<std::uint64_t, kRemovalCauses> removals{};

  [[nodiscard]] std::uint64_t removed(RemovalCause cause) const noexcept {
    return removals[static_cast<std::size_t>(cause)];
  }
  // Percentage, rounded to two decimals; 0 without look-ups.
  [[nodiscard]] double hit_rate() const noexcept;
  // The names of the Node edition first: hits, misses, keys, size (bytes), hitRate.
  [[nodiscard]] std::string to_json() const;

  CacheStats& operator+=(const CacheStats& other) noexcept;
  bool operator==(const CacheStats&) const = default;
};

}  // namespace tyaprover::cache
