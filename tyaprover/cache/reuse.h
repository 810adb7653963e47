// Reuse (RFC 9111 §4, §5.2.1; RFC 5861): what to do with a stored response when a request comes,
// and when the origin fails.
//
// Pure functions, thread-safe, no allocation.
//
//   const ReuseDecision decision = decide_reuse(client, stored.freshness, age, {});
//   if (decision.reuse == Reuse::fresh) send(stored, decision.ttl);
#pragma once

#include <cstdint>
#include <string_view>

#include "tyaprover/cache/cache_control.h"
#include "tyaprover/cache/freshness.h"
#include "tyaprover/cache/header_fields.h"

namespace tyaprover::cache {

// A client's wishes, read once per request. Default: none.
struct ClientControl {
  bool no_store = false;
  bool validate = false;  // no-cache, or Pragma: no-cache without Cache-Control
  bool only_if_cached = false;
  bool any_max_stale = false;
  DeltaSeconds max_age;
  DeltaSeconds min_fresh;
  DeltaSeconds max_stale;
  DeltaSeconds stale_if_error;
};
// With `honoured` false clients have no say (cache.ignore_client_directives): all default.
[[nodiscard]] ClientControl client_control(HeaderFields request, bool honoured = true) noexcept;

enum class Reuse : std::uint8_t {
  fresh,              // send it
  stale,              // send it though it is stale: max-stale allows it
  stale_and_refresh,  // send it and refresh it in the background: stale-while-revalidate
  validate,           // ask the origin first, conditionally if there are validators
  unusable,           // the request must not be answered from the cache: no-store
  gateway_timeout,    // only-if-cached, and this may not be sent: 504
};
[[nodiscard]] std::string_view to_string(Reuse reuse) noexcept;

struct ReuseDecision {
  Reuse reuse = Reuse::validate;
  bool by_request = false;  // not fresh enough for this client only (Cache-Status: fwd=request)
  Nanos ttl{};              // lifetime left; negative when stale
};
[[nodiscard]] ReuseDecision decide_reuse(const ClientControl& client, const Freshness& stored,
                                         Nanos age) noexcept;
// What to do when nothing is stored: validate (that is, forward), unusable, or gateway_timeout.
[[nodiscard]] Reuse decide_miss(const ClientControl& client) noexcept;

// How the way to the origin failed.
enum class OriginFailure : std::uint8_t {
  unreachable,   // no connection, timeout, truncated answer
  error_status,  // 500, 502, 503 or 504
  circuit_open,  // the breaker did not let it through
};
[[nodiscard]] std::string_view to_string(OriginFailure failure) noexcept;
// 500, 502, 503, 504: what stale-if-error means by an error (RFC 5861 §4).
[[nodiscard]] bool is_error_status(int status) noexcept;

struct StaleOnErrorOptions {
  // For responses without stale-if-error of their own: how long past its lifetime one may be sent.
  // 0: not at all.
  Nanos window{};
  // Without any window, send stale when the origin cannot be reached (RFC 9111 §4.2.4).
  bool when_unreachable = true;
};
// Whether a stored response may be sent instead of the failure (H15). Never when must-revalidate,
// proxy-revalidate, s-maxage or no-cache forbid it. A window of the response counts before the
// client's and the configured one.
[[nodiscard]] bool may_serve_on_error(const ClientControl& client, const Freshness& stored,
                                      Nanos age, OriginFailure failure,
                                      const StaleOnErrorOptions& options = {}) noexcept;

}  // namespace tyaprover::cache
