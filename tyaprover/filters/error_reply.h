// Replies that the gateway makes itself: problem details (RFC 9457), or short HTML for browsers
// (R6.8).
//
// Confined to the exchange's worker. The body lives in the exchange's arena. Also notes reason and
// detail in the exchange, for log, metrics and spans. Does not touch response.close.
//
//   reply(exchange, Reason::upstream_reset, "connection reset by 10.0.0.7:8080", {.production =
//   true}); reply(exchange, parse_error.status, parse_error.reason, parse_error.detail, {});
#pragma once

#include <chrono>
#include <optional>
#include <string_view>

#include "tyaprover/http/exchange.h"
#include "tyaprover/http/reason.h"

namespace tyaprover::filters {

struct ReplyOptions {
  // Hides from the client what is told about upstreams and our own faults; logs keep it.
  bool production = false;
  std::optional<std::chrono::seconds> retry_after;
};

// With the reason's usual status.
void reply(http::Exchange& exchange, http::Reason reason, std::string_view detail,
           const ReplyOptions& options);
void reply(http::Exchange& exchange, int status, http::Reason reason, std::string_view detail,
           const ReplyOptions& options);

}  // namespace tyaprover::filters
