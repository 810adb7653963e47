// A JSON document as the gateway's own answer.
//
//   reply_json(exchange, to_json(breaker.stats()));
#pragma once

#include <string_view>

#include "tyaprover/http/exchange.h"

namespace tyaprover::gateway {

// 200 with the body, which is copied, and a line feed; nobody may store it.
void reply_json(http::Exchange& exchange, std::string_view body);

}  // namespace tyaprover::gateway
