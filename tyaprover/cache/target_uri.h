// Target URIs: resolving references (RFC 3986 §5.2), and which stored URIs an unsafe request
// invalidates (RFC 9111 §4.4).
//
// Pure functions, thread-safe.
//
//   for (const std::string& uri : invalidated_uris("POST", "http://a/cart", 201, response_fields))
//     cache.erase_all_variants(uri);
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tyaprover/cache/header_fields.h"

namespace tyaprover::cache {

// `reference` as an absolute URI without fragment, seen from `base`; nothing when the result is no
// http or https URI. REQUIRES: base is scheme://authority/path?query.
[[nodiscard]] std::optional<std::string> resolve_uri(std::string_view base,
                                                     std::string_view reference);

// Everything but GET, HEAD, OPTIONS and TRACE, also methods that nobody knows (RFC 9110 §9.2.1).
// Methods are case-sensitive.
[[nodiscard]] bool is_unsafe_method(std::string_view method) noexcept;

// The URIs whose stored responses, all variants of them, a response to an unsafe request
// invalidates: for 2xx and 3xx the target, and what Location and Content-Location name on the same
// scheme and authority; else none.
[[nodiscard]] std::vector<std::string> invalidated_uris(std::string_view method,
                                                        std::string_view target, int status,
                                                        HeaderFields response);

}  // namespace tyaprover::cache
