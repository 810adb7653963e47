// Freshness (RFC 9111 §4.2): how long a response may be reused, and how old it is.
//
// Pure functions over fields and times, thread-safe. Wall-clock times come in only to be compared
// with the origin's Date and Expires; from receipt on, age grows on the steady scale, so that a
// jump of the wall clock changes nothing.
//
//   const Freshness f = evaluate_freshness(200, response_fields, {.request = sent, .response =
//   got}); const Nanos age = current_age(f, stored_at, clock.now()); if (is_fresh(f, age)) …
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>

#include "tyaprover/base/clock.h"
#include "tyaprover/cache/cache_control.h"
#include "tyaprover/cache/header_fields.h"
#include "tyaprover/cache/http_date.h"

namespace tyaprover::cache {

using WallTime = std::chrono::sys_time<Nanos>;

// When the request that a response answers was sent, and when its head had arrived.
struct ExchangeTimes {
  WallTime request;
  WallTime response;
};

// What a cache does about an Age that is no single number (RFC 9111 §5.1 asks to use the first
// member of a list and to ignore an invalid one).
enum class OddAge : std::uint8_t {
  tolerate,  // as the standard asks
  stale,     // the response counts as stale from the start
};
[[nodiscard]] std::string_view to_string(OddAge policy) noexcept;

struct FreshnessOptions {
  bool heuristic = true;  // lifetimes from Last-Modified, §4.2.2
  double heuristic_fraction = 0.1;
  Nanos heuristic_max = std::chrono::hours(24);
  OddAge odd_age = OddAge::tolerate;
  std::optional<Nanos> forced_lifetime;  // mode `forced`: counts before every field
};

// Where a lifetime came from, in the order in which they count (H4).
enum class LifetimeSource : std::uint8_t {
  forced,
  cdn_cache_control,
  surrogate_control,
  s_maxage,
  max_age,
  expires,
  heuristic,
  none,
};
[[nodiscard]] std::string_view to_string(LifetimeSource source) noexcept;

// All that reuse needs to know of a stored response. A value; store it with the response.
struct Freshness {
  LifetimeSource source = LifetimeSource::none;
  Nanos lifetime{};     // 0: stale from the start
  Nanos initial_age{};  // at receipt, §4.2.3
  std::optional<Nanos> stale_while_revalidate;
  std::optional<Nanos> stale_if_error;
  bool always_validate = false;  // no-cache, §5.2.2.4
  bool never_stale = false;      // must-revalidate, proxy-revalidate, s-maxage or no-cache, §4.2.4

  [[nodiscard]] bool is_explicit() const noexcept {
    return source != LifetimeSource::heuristic && source != LifetimeSource::none;
  }
};

// The directives that count for a shared cache: CDN-Cache-Control if it is valid, else
// Surrogate-Control if it speaks to us, else Cache-Control. Allocates only when there is a
// CDN-Cache-Control.
struct ResponseControl {
  CacheControl control;
  // The field that speaks to caches like this one alone, if `control` is its; Expires does not
  // count then.
  std::optional<LifetimeSource> targeted;
};
[[nodiscard]] ResponseControl response_control(HeaderFields response);

// The first member of the first Age line. `odd` when there is anything else, or it is not a number;
// then `seconds` is what the standard would have us use (0 for an invalid one).
struct AgeField {
  std::chrono::seconds seconds{};
  bool odd = false;
};
[[nodiscard]] AgeField parse_age(HeaderFields response) noexcept;

[[nodiscard]] Freshness evaluate_freshness(int status, HeaderFields response,
                                           const ResponseControl& control,
                                           const ExchangeTimes& times,
                                           const FreshnessOptions& options = {});
[[nodiscard]] Freshness evaluate_freshness(int status, HeaderFields response,
                                           const ExchangeTimes& times,
                                           const FreshnessOptions& options = {});

// Statuses whose definition allows a heuristic lifetime (RFC 9110 §15.1), except 206.
[[nodiscard]] bool is_heuristically_cacheable(int status) noexcept;

// §4.2.3; `stored` is the steady time of receipt.
[[nodiscard]] inline Nanos current_age(const Freshness& f, TimePoint stored,
                                       TimePoint now) noexcept {
  return f.initial_age + (now > stored ? now - stored : Nanos(0));
}
[[nodiscard]] inline bool is_fresh(const Freshness& f, Nanos age) noexcept {
  return f.lifetime > age;
}
// Whole seconds for an Age field, at most 2^31.
[[nodiscard]] std::int64_t age_seconds(Nanos age) noexcept;

}  // namespace tyaprover::cache
