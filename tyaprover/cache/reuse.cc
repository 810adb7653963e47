#include "tyaprover/cache/reuse.h"

#include <algorithm>

namespace tyaprover::cache {
namespace {

// Whether the client takes a response of this age and remaining lifetime without validation. A
// broken number is the strictest wish.
bool is_recent_enough(const ClientControl& client, Nanos age, Nanos ttl) noexcept {
  if (client.max_age.present() && age > client.max_age.value()) return false;
  if (client.min_fresh.present() && (!client.min_fresh.valid() || ttl < client.min_fresh.value())) {
    return false;
  }
  return true;
}

}  // namespace

ClientControl client_control(HeaderFields request, bool honoured) noexcept {
  if (!honoured) return {};
  const CacheControl cc = parse_cache_control(request);
  return {.no_store = cc.no_store,
          .validate = demands_validation(cc, request),
          .only_if_cached = cc.only_if_cached,
          .any_max_stale = cc.any_max_stale,
          .max_age = cc.max_age,
          .min_fresh = cc.min_fresh,
          .max_stale = cc.max_stale,
          .stale_if_error = cc.stale_if_error};
}

std::string_view to_string(Reuse reuse) noexcept {
  switch (reuse) {
    case Reuse::fresh:
      return "fresh";
    case Reuse::stale:
      return "stale";
    case Reuse::stale_and_refresh:
      return "stale-and-refresh";
    case Reuse::validate:
      return "validate";
    case Reuse::unusable:
      return "unusable";
    case Reuse::gateway_timeout:
      return "gateway-timeout";
  }
  return "unknown";
}

ReuseDecision decide_reuse(const ClientControl& client, const Freshness& stored,
                           Nanos age) noexcept {
  ReuseDecision decision;
  decision.ttl = stored.lifetime - age;
  const bool fresh = is_fresh(stored, age) && !stored.always_validate;
  const bool recent = !client.validate && is_recent_enough(client, age, decision.ttl);
  if (client.no_store) {
    decision.reuse = Reuse::unusable;
    decision.by_request = true;
  } else if (fresh && recent) {
    decision.reuse = Reuse::fresh;
  } else if (!fresh && recent && !stored.never_stale && !stored.always_validate) {
    const Nanos stale_for = -decision.ttl;
    if (client.any_max_stale ||
        (client.max_stale.valid() && stale_for <= client.max_stale.value())) {
      decision.reuse = Reuse::stale;
    } else if (stored.stale_while_revalidate > stale_for) {
      decision.reuse = Reuse::stale_and_refresh;
    }
  }
  if (decision.reuse == Reuse::validate) {
    decision.by_request = fresh;
    if (client.only_if_cached) decision.reuse = Reuse::gateway_timeout;
  }
  return decision;
}

Reuse decide_miss(const ClientControl& client) noexcept {
  if (client.only_if_cached) return Reuse::gateway_timeout;
  return client.no_store ? Reuse::unusable : Reuse::validate;
}

std::string_view to_string(OriginFailure failure) noexcept {
  switch (failure) {
    case OriginFailure::unreachable:
      return "unreachable";
    case OriginFailure::error_status:
      return "error-status";
    case OriginFailure::circuit_open:
      return "circuit-open";
  }
  return "unknown";
}

bool is_error_status(int status) noexcept {
  return status == 500 || status == 502 || status == 503 || status == 504;
}

bool may_serve_on_error(const ClientControl& client, const Freshness& stored, Nanos age,
                        OriginFailure failure, const StaleOnErrorOptions& options) noexcept {
  if (client.no_store || stored.always_validate) return false;
  const Nanos stale_for = age - stored.lifetime;
  if (stale_for < Nanos(0)) return true;
  if (stored.never_stale) return false;
  if (stored.stale_if_error) return stale_for < *stored.stale_if_error;
  if (client.stale_if_error.valid()) return stale_for < client.stale_if_error.value();
  // Nobody ever said that it may answer more than one request.
  if (stored.source == LifetimeSource::none) return false;
  if (stale_for < options.window) return true;
  return options.when_unreachable && failure != OriginFailure::error_status;
}

}  // namespace tyaprover::cache
