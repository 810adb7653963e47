// RequestId: one id per request, the same for the client, the app and the log (R7.1).
//
// Confined to one worker. A trusted peer's X-Request-ID is kept, everybody else's is replaced by a
// new UUIDv7. The id stands in exchange.request_id, from where the proxy sends it upstream. The
// response carries it back, with X-Response-Time: 12.345ms (request head parsed → response head),
// whoever answered.
#pragma once

#include <string_view>

#include "tyaprover/filters/pipeline.h"

namespace tyaprover::filters {

// 1–128 bytes of [A-Za-z0-9._:/+=-]: nothing that could break a log line, a field or a query.
[[nodiscard]] bool is_valid_request_id(std::string_view id) noexcept;

class RequestId {
 public:
  struct State {};
  Verdict on_request(Exchange& exchange, State& state) noexcept;
  void on_response(Exchange& exchange, State& state) noexcept;
};

}  // namespace tyaprover::filters
