// Media types as far as compression must know them (R7.3).
//
// Pure functions, thread-safe. They take a Content-Type's value, parameters and all.
#pragma once

#include <string_view>

namespace tyaprover::filters {

// Text, JSON, XML, JavaScript, SVG, WebAssembly, and fonts that bring no compression of their own.
// Event streams are among them: text/event-stream.
[[nodiscard]] bool is_compressible_type(std::string_view content_type) noexcept;
[[nodiscard]] bool is_event_stream(std::string_view content_type) noexcept;

}  // namespace tyaprover::filters
