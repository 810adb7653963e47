// Authorities and paths (RFC 9110 §4, RFC 3986): validation, and the form used for matching.
//
// Pure functions, thread-safe.
//
//   std::string path;
//   if (auto problem = normalise_path("/a/./b%41", path)) reply(*problem);   // path == "/a/bA"
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tyaprover::http {

struct Authority {
  std::string_view host;  // without brackets for IPv6 literals
  std::optional<std::uint16_t> port;
};

// `host[:port]` or `[v6][:port]` (R4.8); nothing for anything else: userinfo, list, space, empty.
[[nodiscard]] std::optional<Authority> parse_authority(std::string_view text) noexcept;

// The path used for matching (R4.5): unreserved bytes percent-decoded, remaining escapes in upper
// case, dot segments removed. %2F stays %2F, and "*" (of OPTIONS) stays "*". `out` is overwritten;
// its capacity is reused.
// Returns what is wrong (static text), or nothing: encoded NUL, broken escape, climbing above the
// root, %2e-spelled dot segments, a backslash (also as %5C), no '/' at the beginning.
[[nodiscard]] std::optional<std::string_view> normalise_path(std::string_view path,
                                                             std::string& out);

// The values of the parameters called `name` in a query of the form that HTML forms send
// (WHATWG URL §5.1), decoded: `+` is a space, a broken escape stands for itself. In their order.
[[nodiscard]] std::vector<std::string> query_values(std::string_view query, std::string_view name);

}  // namespace tyaprover::http
