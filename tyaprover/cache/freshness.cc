#include "tyaprover/cache/freshness.h"

#include <algorithm>

namespace tyaprover::cache {
namespace {

using std::chrono::floor;
using std::chrono::seconds;

// Dates before 1970 and beyond 2255 are moved there: the differences between any two stay within 64
// bits of nanoseconds, and no lifetime is that long.
constexpr WallSeconds kFirst{seconds(0)};
constexpr WallSeconds kLast{seconds(9'000'000'000)};

std::optional<WallTime> date_field(HeaderFields response, std::string_view name, WallTime now) {
  const auto text = response.only(name);
  if (!text) return std::nullopt;
  const auto date = parse_http_date(trim(*text), floor<seconds>(now));
  if (!date) return std::nullopt;
  return std::clamp(*date, kFirst, kLast);
}

Nanos not_negative(Nanos time) noexcept {
  return std::max(time, Nanos(0));
}

std::optional<Nanos> window(const DeltaSeconds& directive) noexcept {
  if (!directive.valid()) return std::nullopt;
  return Nanos(directive.value());
}

}  // namespace

std::string_view to_string(OddAge policy) noexcept {
  switch (policy) {
    case OddAge::tolerate:
      return "tolerate";
    case OddAge::stale:
      return "stale";
  }
  return "unknown";
}

std::string_view to_string(LifetimeSource source) noexcept {
  switch (source) {
    case LifetimeSource::forced:
      return "forced";
    case LifetimeSource::cdn_cache_control:
      return "CDN-Cache-Control";
    case LifetimeSource::surrogate_control:
      return "Surrogate-Control";
    case LifetimeSource::s_maxage:
      return "s-maxage";
    case LifetimeSource::max_age:
      return "max-age";
    case LifetimeSource::expires:
      return "Expires";
    case LifetimeSource::heuristic:
      return "heuristic";
    case LifetimeSource::none:
      return "none";
  }
  return "unknown";
}

ResponseControl response_control(HeaderFields response) {
  if (const auto cdn = parse_cdn_cache_control(response)) {
    return {*cdn, LifetimeSource::cdn_cache_control};
  }
  if (const auto surrogate = parse_surrogate_control(response)) {
    return {*surrogate, LifetimeSource::surrogate_control};
  }
  return {parse_cache_control(response), std::nullopt};
}

AgeField parse_age(HeaderFields response) noexcept {
  std::size_t members = 0;
  DeltaSeconds first;
  response.for_each_line("age", [&](std::string_view line) {
    for (const std::string_view member : split(line, ',')) {
      if (members++ == 0) first = parse_delta_seconds(trim(member));
    }
  });
  return {first.value(), members > 1 || (members == 1 && !first.valid())};
}

bool is_heuristically_cacheable(int status) noexcept {
  constexpr int kStatuses[] = {200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501};
  return std::binary_search(std::begin(kStatuses), std::end(kStatuses), status);
}

Freshness evaluate_freshness(int status, HeaderFields response, const ResponseControl& control,
                             const ExchangeTimes& times, const FreshnessOptions& options) {
  const CacheControl& cc = control.control;
  Freshness f;
  f.stale_while_revalidate = window(cc.stale_while_revalidate);
  f.stale_if_error = window(cc.stale_if_error);
  f.always_validate = cc.no_cache;
  f.never_stale = cc.must_revalidate || cc.proxy_revalidate || cc.s_maxage.present() || cc.no_cache;

  // §4.2.3. A missing or unreadable Date is the time of receipt (RFC 9110 §6.6.1).
  const WallTime date = date_field(response, "date", times.response).value_or(times.response);
  const AgeField age = parse_age(response);
  const Nanos response_delay = not_negative(times.response - times.request);
  f.initial_age =
      std::max(not_negative(times.response - date), Nanos(age.seconds) + response_delay);

  // §4.2.1, in the order in which they count.
  if (options.forced_lifetime) {
    f.source = LifetimeSource::forced;
    f.lifetime = *options.forced_lifetime;
  } else if (cc.s_maxage.present() || cc.max_age.present()) {
    const bool shared = cc.s_maxage.present();
    f.source =
        control.targeted.value_or(shared ? LifetimeSource::s_maxage : LifetimeSource::max_age);
    f.lifetime = (shared ? cc.s_maxage : cc.max_age).value();
  } else if (!control.targeted && response.has("expires")) {
    f.source = LifetimeSource::expires;
    const auto expires = date_field(response, "expires", times.response);
    if (expires) f.lifetime = not_negative(*expires - date);
  } else if (options.heuristic && (is_heuristically_cacheable(status) || cc.is_public)) {
    const auto modified = date_field(response, "last-modified", times.response);
    if (modified && *modified < date) {
      f.source = LifetimeSource::heuristic;
      f.lifetime = std::min(
          std::chrono::duration_cast<Nanos>((date - *modified) * options.heuristic_fraction),
          options.heuristic_max);
    }
  }
  if (age.odd && options.odd_age == OddAge::stale) f.lifetime = Nanos(0);
  return f;
}

Freshness evaluate_freshness(int status, HeaderFields response, const ExchangeTimes& times,
                             const FreshnessOptions& options) {
  return evaluate_freshness(status, response, response_control(response), times, options);
}

std::int64_t age_seconds(Nanos age) noexcept {
  return std::clamp<std::int64_t>(floor<seconds>(age).count(), 0, DeltaSeconds::kMax);
}

}  // namespace tyaprover::cache
