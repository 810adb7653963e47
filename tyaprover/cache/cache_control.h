// Cache-Control (RFC 9111 §5.2, RFC 5861, RFC 8246), CDN-Cache-Control (RFC 9213) and
// Surrogate-Control (W3C note "Edge Architecture"): what a message says about caching, read once.
//
// A value type; views inside point into the fields it was read from. No allocation for
// Cache-Control. Doubt is resolved towards not caching: a broken number is stale, what cannot be
// split into directives is marked malformed and is not to be stored.
//
//   const CacheControl cc = parse_cache_control(response_fields);
//   if (cc.no_store) …
//   if (cc.max_age.valid()) use(cc.max_age.value());
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>

#include "tyaprover/cache/header_fields.h"

namespace tyaprover::cache {

// A directive whose value is a number of seconds (RFC 9111 §1.2.2).
class DeltaSeconds {
 public:
  // Larger values are read as this one.
  static constexpr std::int64_t kMax = std::int64_t{1} << 31;

  DeltaSeconds() = default;
  [[nodiscard]] static DeltaSeconds broken() noexcept { return DeltaSeconds(kBroken); }
  // A negative number of seconds is broken.
  [[nodiscard]] static DeltaSeconds of(std::int64_t seconds) noexcept {
    return DeltaSeconds(seconds < 0 ? kBroken : seconds < kMax ? seconds : kMax);
  }

  // The directive is there, readable or not.
  [[nodiscard]] bool present() const noexcept { return seconds_ != kAbsent; }
  [[nodiscard]] bool valid() const noexcept { return seconds_ >= 0; }
  // Zero when it is absent or broken.
  [[nodiscard]] std::chrono::seconds value() const noexcept {
    return std::chrono::seconds(valid() ? seconds_ : 0);
  }
  bool operator==(const DeltaSeconds&) const = default;

 private:
  static constexpr std::int64_t kAbsent = -1;
  static constexpr std::int64_t kBroken = -2;
  explicit DeltaSeconds(std::int64_t seconds) noexcept : seconds_(seconds) {}

  std::int64_t seconds_ = kAbsent;
};

// Digits only, at least one; larger than 2^31 is 2^31 (RFC 9111 §1.2.2).
[[nodiscard]] DeltaSeconds parse_delta_seconds(std::string_view text) noexcept;

// The directives of requests and responses; those of the other kind mean nothing and stay unread by
// the rules.
struct CacheControl {
  bool no_store = false;
  bool no_cache = false;         // without field names: of the whole message
  bool no_cache_fields = false;  // no-cache="a, b": see for_each_no_cache_field
  bool is_private = false;       // also with field names
  bool is_public = false;
  bool must_revalidate = false;
  bool proxy_revalidate = false;
  bool must_understand = false;
  bool no_transform = false;
  bool immutable = false;
  bool only_if_cached = false;
  bool any_max_stale = false;  // max-stale without a number
  DeltaSeconds max_age;
  DeltaSeconds s_maxage;
  DeltaSeconds max_stale;
  DeltaSeconds min_fresh;
  DeltaSeconds stale_while_revalidate;
  DeltaSeconds stale_if_error;
  bool malformed = false;  // a quoted string did not end: directives may be hidden in it

  bool operator==(const CacheControl&) const = default;
};

// Of all Cache-Control lines as one list. Names in any case; unknown directives are ignored; of a
// repeated one the first counts; spaces beside "=" make a number broken (H4).
[[nodiscard]] CacheControl parse_cache_control(HeaderFields fields) noexcept;

// Of all CDN-Cache-Control lines, as one RFC 8941 dictionary. Nothing when there is no line, all
// are empty, they do not parse, or a directive that is known has a value of the wrong type: then
// Cache-Control counts (RFC 9213 §2.1, §2.2). Allocates.
[[nodiscard]] std::optional<CacheControl> parse_cdn_cache_control(HeaderFields fields);

// What a cache calls itself in Surrogate-Capability, so that `;tyaprover` makes a directive of
// Surrogate-Control its own.
inline constexpr std::string_view kSurrogateDevice = "tyaprover";
inline constexpr std::string_view kSurrogateCapability = "tyaprover=\"Surrogate/1.0\"";

// max-age and no-store of all Surrogate-Control lines: those for this device if there are any, else
// those for every device. Nothing when there are neither: then Cache-Control counts.
[[nodiscard]] std::optional<CacheControl> parse_surrogate_control(HeaderFields fields) noexcept;

namespace detail {
// Calls f(name, value, has_value) for the directives of one list; value without its quotes.
template <class F>
bool for_each_directive(HeaderFields fields, F&& f) {
  return for_each_member(fields, "cache-control", [&](std::string_view member) {
    const std::size_t equals = member.find('=');
    if (equals == std::string_view::npos) {
      f(member, std::string_view(), false);
      return;
    }
    std::string_view value = member.substr(equals + 1);
    if (value.size() >= 2 && value.front() == '"' && value.back() == '"') {
      value = value.substr(1, value.size() - 2);
    }
    f(member.substr(0, equals), value, true);
  });
}
}  // namespace detail

// Calls f(field name) for every name in no-cache="…": these fields must not be reused without
// validation (RFC 9111 §5.2.2.4).
template <class F>
void for_each_no_cache_field(HeaderFields fields, F&& f) {
  detail::for_each_directive(fields,
                             [&](std::string_view name, std::string_view value, bool has_value) {
                               if (!has_value || !iequals(trim(name), "no-cache")) return;
                               for_each_list_member(value, f);
                             });
}

// True when the request asks for validation: no-cache in its Cache-Control, or, without one,
// Pragma: no-cache (RFC 9111 §5.4).
[[nodiscard]] bool demands_validation(const CacheControl& request, HeaderFields fields) noexcept;

}  // namespace tyaprover::cache
