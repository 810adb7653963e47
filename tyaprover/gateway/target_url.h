// An upstream target from its URL: http://host:port or http+unix:///path.
//
// A pure function; it resolves no name and opens no socket.
//
//   Result<Target, ValueError> target = parse_target("http://127.0.0.1:8080");
#pragma once

#include <string_view>

#include "tyaprover/base/result.h"
#include "tyaprover/gateway/config.h"
#include "tyaprover/gateway/value_error.h"

namespace tyaprover::gateway {

[[nodiscard]] Result<Target, ValueError> parse_target(std::string_view url);

// A name of letters, digits, `-`, `_` in labels of 1 to 63 bytes, 253 in all, or an IPv4 address.
[[nodiscard]] bool is_host_name(std::string_view host) noexcept;

}  // namespace tyaprover::gateway
