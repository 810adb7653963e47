// TestRoutes: the two paths on which a circuit breaker can be tried out (R41).
//
// Thread-safe; one for all workers. In production they are 404; otherwise:
//
//   GET  /test/failing-endpoint   fails through the breaker `test`: 500, and 503 once that is open
//   POST /test/circuit-breaker    moves that breaker and answers its stats; the body is
//                                 {"action":"fail|succeed|open|close|reset"}, none = one failing
//                                 call
#pragma once

#include <string_view>

#include "tyaprover/filters/error_reply.h"
#include "tyaprover/filters/pipeline.h"
#include "tyaprover/gateway/breakers.h"
#include "tyaprover/http/task.h"

namespace tyaprover::gateway {

class TestRoutes {
 public:
  static constexpr std::string_view kFailing = "/test/failing-endpoint";
  static constexpr std::string_view kBreaker = "/test/circuit-breaker";

  explicit TestRoutes(Breakers& breakers) : breakers_(breakers) {}

  // The path if it is one of these, for labels; empty if not.
  [[nodiscard]] static std::string_view route_of(std::string_view path) noexcept;
  // Fills the response. REQUIRES: route_of(exchange.path) is not empty.
  [[nodiscard]] http::Task<void> answer(filters::Exchange& exchange,
                                        const filters::ReplyOptions& reply);

 private:
  Breakers& breakers_;
};

}  // namespace tyaprover::gateway
