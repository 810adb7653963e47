#include "tyaprover/gateway/access.h"

#include <algorithm>

#include "tyaprover/gateway/network.h"
#include "tyaprover/gateway/secrets.h"

namespace tyaprover::gateway {

bool has_key(std::string_view api_key, const http::Exchange& exchange) noexcept {
  const http::Field* const given = exchange.request.fields.find("x-api-key");
  return !api_key.empty() && given != nullptr && equal_in_constant_time(given->value, api_key);
}

bool may_enter(const AccessRule& rule, const http::Exchange& exchange) noexcept {
  return std::any_of(rule.ways.begin(), rule.ways.end(), [&](std::string_view way) {
    return way == "key" ? has_key(rule.api_key, exchange)
                        : way == "loopback" && is_loopback(exchange.client);
  });
}

}  // namespace tyaprover::gateway
