// Storability (RFC 9111 §3): whether a shared cache may keep a response, and which of its fields.
//
// Pure functions, thread-safe.
//
//   const StoreDecision decision = decide_store(request, response, freshness, policy);
//   if (decision == StoreDecision::store) keep(body, storable_fields(response.fields));
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "tyaprover/cache/freshness.h"
#include "tyaprover/cache/header_fields.h"

namespace tyaprover::cache {

// What to do with a response that sets a cookie (H10).
enum class SetCookiePolicy : std::uint8_t {
  shared,   // stored only with a lifetime for shared caches: s-maxage, public with max-age, or
            // CDN-Cache-Control
  rfc9111,  // stored with any explicit lifetime
  never,    // not stored
  strip,    // stored without Set-Cookie
};
[[nodiscard]] std::string_view to_string(SetCookiePolicy policy) noexcept;

struct StorePolicy {
  SetCookiePolicy set_cookie = SetCookiePolicy::shared;
  // Whether request directives count (H7); off protects origins from their clients.
  bool honour_request_directives = true;
  // The response's private and no-store do not count: only where an operator wrote `override:
  // true`.
  bool override_origin = false;
};

struct RequestHead {
  std::string_view method;
  std::string_view target;  // scheme://host/path?query, for POST's Content-Location
  HeaderFields fields;
};

struct ResponseHead {
  int status = 200;
  HeaderFields fields;
};

// Why a response is stored or not.
enum class StoreDecision : std::uint8_t {
  store,
  method,  // not GET, and not a POST that answers for its own URI
  status,  // 1xx, 304, or a 206 whose range cannot be told
  request_no_store,
  no_store,
  is_private,
  not_understood,  // must-understand with a status that has no meaning for us
  vary_all,        // Vary: *
  authorization,
  set_cookie,
  not_cacheable,   // neither explicit lifetime nor a status that allows a heuristic one
  never_reusable,  // stale from the start, no validator, no window for stale use
  malformed,       // Cache-Control cannot be split into directives
};
[[nodiscard]] std::string_view to_string(StoreDecision decision) noexcept;

// `freshness` is that of evaluate_freshness for the same response and control.
[[nodiscard]] StoreDecision decide_store(const RequestHead& request, const ResponseHead& response,
                                         const ResponseControl& control, const Freshness& freshness,
                                         const StorePolicy& policy = {});

// A request with Authorization may be answered from, and its answer stored in, a shared cache only
// when the response says so (§3.5).
[[nodiscard]] bool allows_authorization(const CacheControl& response) noexcept;

// Statuses whose caching rules we follow, for must-understand (§5.2.2.3).
[[nodiscard]] bool is_understood(int status) noexcept;

// True for fields that belong to one connection or one hop and are neither stored nor updated: the
// fixed names of RFC 9110 §7.6.1 and the proxy authentication ones (RFC 9111 §3.1).
[[nodiscard]] bool is_hop_by_hop(std::string_view name) noexcept;

struct FieldSelection {
  bool strip_set_cookie = false;
};
// The fields to keep of a response: without hop-by-hop ones, those that Connection names, and Age,
// which each reuse computes anew. What no-cache="…" names is kept: it may be reused once validated
// (see reusable_without_validation). Views into `response`.
[[nodiscard]] std::vector<HeaderField> storable_fields(HeaderFields response,
                                                       const FieldSelection& selection = {});

// Named by no-cache="…": not to be sent without validation (§5.2.2.4).
[[nodiscard]] bool is_withheld(HeaderFields stored, std::string_view name) noexcept;
// `stored` without the fields that no-cache="…" names (§5.2.2.4).
[[nodiscard]] std::vector<HeaderField> reusable_without_validation(HeaderFields stored);

}  // namespace tyaprover::cache
