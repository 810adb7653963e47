// Stored responses as bytes, for a file that outlives the process.
//
// Pure functions, thread-safe. Ages go by the wall clock: what was 10 s old and is read a minute
// later is 70 s old.
//
//   const std::string bytes = encode(stored, now, wall_now);
//   if (auto stored = decode(bytes, now, wall_now)) …
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "tyaprover/cache/freshness.h"
#include "tyaprover/filters/stored_response.h"

namespace tyaprover::filters {

[[nodiscard]] std::string encode(const StoredVariants& stored, TimePoint now, cache::WallTime wall);
// Nothing for bytes that encode() did not write.
[[nodiscard]] std::optional<StoredVariants> decode(std::string_view bytes, TimePoint now,
                                                   cache::WallTime wall);

}  // namespace tyaprover::filters
