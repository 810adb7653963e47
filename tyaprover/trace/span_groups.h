// A batch by resource and scope, as the wire formats nest it. Internal. Not thread-safe.
#pragma once

#include <algorithm>
#include <span>
#include <vector>

#include "tyaprover/trace/span_data.h"

namespace tyaprover::trace::detail {

// Different scopes of a batch in order of appearance: scopes with equal resources follow each
// other.
[[nodiscard]] inline std::vector<const InstrumentationScope*> scopes_of(
    std::span<const SpanData> spans) {
  std::vector<const InstrumentationScope*> scopes;
  for (const SpanData& span : spans) {
    if (std::find(scopes.begin(), scopes.end(), span.scope) != scopes.end()) continue;
    const auto same_resource = std::find_if(
        scopes.rbegin(), scopes.rend(),
        [&](const InstrumentationScope* known) { return known->resource == span.scope->resource; });
    scopes.insert(same_resource == scopes.rend() ? scopes.end() : same_resource.base(), span.scope);
  }
  return scopes;
}

// The service.name of a resource, or an empty text.
[[nodiscard]] inline std::string_view service_name(const Resource& resource) noexcept {
  for (const auto& [key, value] : resource) {
    if (key == "service.name") return value;
  }
  return {};
}

}  // namespace tyaprover::trace::detail
