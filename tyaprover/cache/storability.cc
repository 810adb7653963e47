#include "tyaprover/cache/storability.h"

#include <algorithm>
#include <array>

#include "tyaprover/cache/byte_range.h"
#include "tyaprover/cache/target_uri.h"
#include "tyaprover/cache/validation.h"
#include "tyaprover/cache/vary.h"

namespace tyaprover::cache {
namespace {

bool is_named_by(HeaderFields fields, std::string_view list, std::string_view name) {
  bool named = false;
  for_each_member(fields, list,
                  [&](std::string_view member) { named = named || iequals(member, name); });
  return named;
}

// RFC 9110 §9.3.3: a POST's response stands for later GETs only when it says that it is the
// representation of that very URI, and for how long.
bool answers_for_its_uri(const RequestHead& request, const ResponseHead& response,
                         const Freshness& freshness) {
  const auto location = response.fields.only("content-location");
  if (!freshness.is_explicit() || !location || request.target.empty()) return false;
  const auto resolved = resolve_uri(request.target, trim(*location));
  return resolved && resolved == resolve_uri(request.target, request.target);
}

bool may_set_cookie(const ResponseControl& control, const Freshness& freshness,
                    SetCookiePolicy policy) noexcept {
  const CacheControl& cc = control.control;
  switch (policy) {
    case SetCookiePolicy::shared:
      return cc.s_maxage.valid() || (cc.max_age.valid() && (cc.is_public || control.targeted));
    case SetCookiePolicy::rfc9111:
      return freshness.is_explicit();
    case SetCookiePolicy::never:
      return false;
    case SetCookiePolicy::strip:
      return true;
  }
  return false;
}

bool has_use(const ResponseHead& response, const Freshness& freshness) {
  if (is_fresh(freshness, freshness.initial_age)) return true;
  if (stored_validators(response.fields).any()) return true;
  if (freshness.always_validate) return false;
  return freshness.stale_while_revalidate > Nanos(0) || freshness.stale_if_error > Nanos(0);
}

}  // namespace

std::string_view to_string(SetCookiePolicy policy) noexcept {
  switch (policy) {
    case SetCookiePolicy::shared:
      return "shared";
    case SetCookiePolicy::rfc9111:
      return "rfc9111";
    case SetCookiePolicy::never:
      return "never";
    case SetCookiePolicy::strip:
      return "strip";
  }
  return "unknown";
}

std::string_view to_string(StoreDecision decision) noexcept {
  switch (decision) {
    case StoreDecision::store:
      return "store";
    case StoreDecision::method:
      return "method";
    case StoreDecision::status:
      return "status";
    case StoreDecision::request_no_store:
      return "request-no-store";
    case StoreDecision::no_store:
      return "no-store";
    case StoreDecision::is_private:
      return "private";
    case StoreDecision::not_understood:
      return "not-understood";
    case StoreDecision::vary_all:
      return "vary";
    case StoreDecision::authorization:
      return "authorization";
    case StoreDecision::set_cookie:
      return "set-cookie";
    case StoreDecision::not_cacheable:
      return "not-cacheable";
    case StoreDecision::never_reusable:
      return "never-reusable";
    case StoreDecision::malformed:
      return "malformed";
  }
  return "unknown";
}

StoreDecision decide_store(const RequestHead& request, const ResponseHead& response,
                           const ResponseControl& control, const Freshness& freshness,
                           const StorePolicy& policy) {
  const CacheControl& cc = control.control;
  if (request.method == "POST") {
    if (!answers_for_its_uri(request, response, freshness)) return StoreDecision::method;
  } else if (request.method != "GET") {
    return StoreDecision::method;
  }
  if (response.status < 200 || response.status > 599 || response.status == 304) {
    return StoreDecision::status;
  }
  if (response.status == 206) {
    const auto range = response.fields.only("content-range");
    if (!range || !parse_content_range(*range)) return StoreDecision::status;
  }
  if (policy.honour_request_directives && parse_cache_control(request.fields).no_store) {
    return StoreDecision::request_no_store;
  }
  if (cc.malformed) return StoreDecision::malformed;
  if (!policy.override_origin) {
    // §5.2.2.3: whoever understands the status ignores the no-store beside must-understand.
    if (cc.must_understand && !is_understood(response.status)) return StoreDecision::not_understood;
    if (cc.no_store && !cc.must_understand) return StoreDecision::no_store;
    if (cc.is_private) return StoreDecision::is_private;
  }
  if (VaryNames(response.fields).all()) return StoreDecision::vary_all;
  if (request.fields.has("authorization") && !allows_authorization(cc)) {
    return StoreDecision::authorization;
  }
  if (response.fields.has("set-cookie") && !may_set_cookie(control, freshness, policy.set_cookie)) {
    return StoreDecision::set_cookie;
  }
  if (!freshness.is_explicit() && !cc.is_public && !is_heuristically_cacheable(response.status)) {
    return StoreDecision::not_cacheable;
  }
  return has_use(response, freshness) ? StoreDecision::store : StoreDecision::never_reusable;
}

bool allows_authorization(const CacheControl& response) noexcept {
  return response.is_public || response.s_maxage.valid() || response.must_revalidate;
}

bool is_understood(int status) noexcept {
  constexpr std::array kStatuses = {200, 201, 202, 203, 204, 205, 206, 300, 301, 302, 303, 304,
                                    305, 307, 308, 400, 401, 402, 403, 404, 405, 406, 407, 408,
                                    409, 410, 411, 412, 413, 414, 415, 416, 417, 421, 422, 426,
                                    428, 429, 431, 451, 500, 501, 502, 503, 504, 505};
  return std::binary_search(kStatuses.begin(), kStatuses.end(), status);
}

bool is_hop_by_hop(std::string_view name) noexcept {
  constexpr std::array<std::string_view, 10> kNames = {"connection",
                                                       "keep-alive",
                                                       "proxy-authenticate",
                                                       "proxy-authentication-info",
                                                       "proxy-authorization",
                                                       "proxy-connection",
                                                       "te",
                                                       "trailer",
                                                       "transfer-encoding",
                                                       "upgrade"};
  return std::any_of(kNames.begin(), kNames.end(),
                     [&](std::string_view known) { return iequals(known, name); });
}

std::vector<HeaderField> storable_fields(HeaderFields response, const FieldSelection& selection) {
  std::vector<HeaderField> kept;
  kept.reserve(response.size());
  for (std::size_t i = 0; i < response.size(); ++i) {
    const HeaderField field = response[i];
    if (is_hop_by_hop(field.name) || iequals(field.name, "age")) continue;
    if (selection.strip_set_cookie && iequals(field.name, "set-cookie")) continue;
    if (is_named_by(response, "connection", field.name)) continue;
    kept.push_back(field);
  }
  return kept;
}

bool is_withheld(HeaderFields stored, std::string_view name) noexcept {
  bool withheld = false;
  for_each_no_cache_field(
      stored, [&](std::string_view listed) { withheld = withheld || iequals(trim(listed), name); });
  return withheld;
}

std::vector<HeaderField> reusable_without_validation(HeaderFields stored) {
  std::vector<HeaderField> kept;
  kept.reserve(stored.size());
  for (std::size_t i = 0; i < stored.size(); ++i) {
    const HeaderField field = stored[i];
    if (!is_withheld(stored, field.name)) kept.push_back(field);
  }
  return kept;
}

}  // namespace tyaprover::cache
