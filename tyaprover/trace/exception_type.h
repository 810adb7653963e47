// The name of a type as a programmer writes it. Internal.
#pragma once

#include <string>
#include <typeinfo>

namespace tyaprover::trace::detail {

// "std::runtime_error", "app::Timeout". Names of templates and local types stay as the compiler
// encodes them. Thread-safe.
[[nodiscard]] std::string type_name(const std::type_info& type);

}  // namespace tyaprover::trace::detail
