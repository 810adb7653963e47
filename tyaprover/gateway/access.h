// Who may see what is not for everybody: the metrics page, the admin API.
//
// Pure functions.
//
//   if (!may_enter({.ways = config.ways, .api_key = config.api_key}, exchange)) refuse();
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "tyaprover/http/exchange.h"

namespace tyaprover::gateway {

struct AccessRule {
  // Any of them suffices: "loopback", a client on this machine; "key", one that knows the key.
  std::span<const std::string> ways;
  std::string_view api_key;  // asked for in x-api-key; empty: nobody knows it
};

// Whether the request carries the key; compared in constant time.
[[nodiscard]] bool has_key(std::string_view api_key, const http::Exchange& exchange) noexcept;
[[nodiscard]] bool may_enter(const AccessRule& rule, const http::Exchange& exchange) noexcept;

}  // namespace tyaprover::gateway
