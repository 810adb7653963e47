// Reason: the one word that says why the gateway, and not the app, answered a request.
//
// The same word stands in the reply, the access log, the span and the metric label `reason`.
//
//   reply(Reason::upstream_connect_failed, "connection refused");
#pragma once

#include <cstdint>
#include <string_view>

namespace tyaprover::http {

enum class Reason : std::uint8_t {
  none,                       // the app answered
  no_route,                   // 404
  bad_request,                // 400, or what the violated framing rule asks for
  request_timeout,            // 408 when the client was slow, 504 when the whole took too long
  body_too_large,             // 413
  target_too_long,            // 414
  head_too_large,             // 431
  rate_limited,               // 429
  unauthorized,               // 401
  forbidden,                  // 403
  method_not_allowed,         // 405
  expectation_failed,         // 417
  upstream_connect_failed,    // 502
  upstream_reset,             // 502
  upstream_protocol_error,    // 502
  upstream_connect_timeout,   // 504
  upstream_response_timeout,  // 504
  circuit_open,               // 503
  no_healthy_upstream,        // 503
  overloaded,                 // 503
  shutting_down,              // 503
  loop_detected,              // 508
  client_disconnected,        // 499 in logs and metrics; nobody is there to read it
  internal_error,             // 500
};

// The word: "upstream_reset". Empty for none.
[[nodiscard]] std::string_view to_string(Reason reason) noexcept;
// The usual status of a reply with this reason.
[[nodiscard]] int status_of(Reason reason) noexcept;
// The standard phrase (RFC 9110 §15): 404 → "Not Found". "Unknown" when there is none.
[[nodiscard]] std::string_view status_phrase(int status) noexcept;

}  // namespace tyaprover::http
