// InvalidationTarget: what every cache can be told, whatever its keys and values are.
//
// An interface; implementations are thread-safe. CacheInvalidation speaks to all registered ones.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "tyaprover/cache/cache_stats.h"

namespace tyaprover::cache {

enum class PatternKind : std::uint8_t {
  substring,  // the pattern anywhere in the key
  glob,       // * for any bytes, ? for one; the whole key
};
[[nodiscard]] std::string_view to_string(PatternKind kind) noexcept;
[[nodiscard]] bool matches_pattern(std::string_view key, std::string_view pattern,
                                   PatternKind kind) noexcept;

class InvalidationTarget {
 public:
  virtual ~InvalidationTarget() = default;
  // Each returns the number of entries removed.
  virtual std::size_t invalidate_key(std::string_view key) = 0;
  virtual std::size_t invalidate_prefix(std::string_view prefix) = 0;
  virtual std::size_t invalidate_pattern(std::string_view pattern, PatternKind kind) = 0;
  virtual std::size_t invalidate_tag(std::string_view tag) = 0;
  virtual std::size_t clear() = 0;
  [[nodiscard]] virtual CacheStats stats() = 0;
};

}  // namespace tyaprover::cache
