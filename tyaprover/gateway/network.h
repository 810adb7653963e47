// Networks of addresses in CIDR form, as in trusted_proxies.
//
// Pure functions. A network with bits set behind its prefix ("10.1.2.3/8") is refused: it is more
// often a typing error than meant.
//
//   Result<Network, ValueError> network = parse_network("10.0.0.0/8");
//   format_network(*network);   // "10.0.0.0/8"
#pragma once

#include <string>
#include <string_view>

#include "tyaprover/base/result.h"
#include "tyaprover/gateway/config.h"
#include "tyaprover/gateway/value_error.h"

namespace tyaprover::gateway {

// An address alone is a network of one.
[[nodiscard]] Result<Network, ValueError> parse_network(std::string_view text);
// Whether a client's address, as text, is one of this machine: 127.0.0.0/8, ::1, or a unix socket.
[[nodiscard]] bool is_loopback(std::string_view address) noexcept;
[[nodiscard]] std::string format_network(const Network& network);

}  // namespace tyaprover::gateway
