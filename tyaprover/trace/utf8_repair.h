// Text that may hold anything, as valid UTF-8. Internal. Pure functions, thread-safe.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace tyaprover::trace::detail {

// Bytes of `text` with every invalid sequence replaced by U+FFFD (Unicode 15 §3.9, one per maximal
// subpart).
[[nodiscard]] std::size_t repaired_size(std::string_view text) noexcept;
void append_repaired(std::string& out, std::string_view text);

}  // namespace tyaprover::trace::detail
