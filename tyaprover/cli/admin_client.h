// AdminClient: asks the admin API of a running gateway, for the commands that talk to one.
//
// Not thread-safe. Blocks until there is an answer, for ten seconds at most.
//
//   const auto body = ask_gateway({.url = "http://127.0.0.1:3000"}, Method::get, "/breakers");
//   if (!body) return complain(body.error());   // one line: what is wrong and what to do
#pragma once

#include <string>
#include <string_view>

#include "tyaprover/base/result.h"
#include "tyaprover/gateway/config_load.h"
#include "tyaprover/http/parser.h"

namespace tyaprover::cli {

// Where a gateway is, and how to be let in to its admin API.
struct GatewayAddress {
  // http://host:port or unix:/path. A path behind host:port is where the admin API begins; without
  // one that is /api/v1.
  std::string url = "http://127.0.0.1:3000";
  std::string key;  // empty: ADMIN_API_KEY of the environment, else none
};

// The body of the answer; otherwise one line that says what is wrong and what to do. `path` is
// below the admin API: "/breakers".
[[nodiscard]] Result<std::string, std::string> ask_gateway(const GatewayAddress& address,
                                                           http::Method method,
                                                           std::string_view path);

// What may be a segment of a path or a value in a query: other bytes are percent-encoded.
[[nodiscard]] std::string percent_encoded(std::string_view text);

// The address with the key that the environment has, if none was given.
[[nodiscard]] GatewayAddress with_key_of_environment(GatewayAddress address,
                                                     const gateway::EnvironmentLookup& environment);

}  // namespace tyaprover::cli
