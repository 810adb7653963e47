#include "tyaprover/cache/cache_control.h"

#include <string>

#include "tyaprover/cache/structured_field.h"

namespace tyaprover::cache {
namespace {

struct NumberDirective {
  std::string_view name;
  DeltaSeconds CacheControl::*member;
};
constexpr NumberDirective kNumbers[] = {
    {"max-age", &CacheControl::max_age},
    {"s-maxage", &CacheControl::s_maxage},
    {"max-stale", &CacheControl::max_stale},
    {"min-fresh", &CacheControl::min_fresh},
    {"stale-while-revalidate", &CacheControl::stale_while_revalidate},
    {"stale-if-error", &CacheControl::stale_if_error},
};

struct FlagDirective {
  std::string_view name;
  bool CacheControl::*member;
};
// Those that forbid something: an argument does not make them say less.
constexpr FlagDirective kRestrictions[] = {
    {"no-store", &CacheControl::no_store},
    {"private", &CacheControl::is_private},
    {"must-revalidate", &CacheControl::must_revalidate},
    {"proxy-revalidate", &CacheControl::proxy_revalidate},
    {"no-transform", &CacheControl::no_transform},
    {"only-if-cached", &CacheControl::only_if_cached},
};
// Those that allow something: only as they are defined, without an argument.
constexpr FlagDirective kPermissions[] = {
    {"public", &CacheControl::is_public},
    {"must-understand", &CacheControl::must_understand},
    {"immutable", &CacheControl::immutable},
};

template <class Directives>
auto find(const Directives& directives, std::string_view name) noexcept
    -> decltype(std::begin(directives)) {
  for (const auto& directive : directives) {
    if (iequals(directive.name, name)) return &directive;
  }
  return nullptr;
}

void take(CacheControl& cc, std::string_view spaced_name, std::string_view value, bool has_value) {
  const std::string_view name = trim(spaced_name);
  const bool spaced = name.size() != spaced_name.size() || trim(value).size() != value.size();
  if (const auto* number = find(kNumbers, name)) {
    DeltaSeconds& member = cc.*(number->member);
    if (number->member == &CacheControl::max_stale && !has_value) {
      cc.any_max_stale = cc.any_max_stale || !member.present();
      return;
    }
    if (member.present()) return;
    member = has_value && !spaced ? parse_delta_seconds(value) : DeltaSeconds::broken();
  } else if (const auto* restriction = find(kRestrictions, name)) {
    cc.*(restriction->member) = true;
  } else if (const auto* permission = find(kPermissions, name)) {
    if (!has_value) cc.*(permission->member) = true;
  } else if (iequals(name, "no-cache")) {
    // Of names that nobody can read the whole message is meant.
    if (trim(value).empty()) {
      cc.no_cache = true;
    } else {
      cc.no_cache_fields = true;
    }
  }
}

// False when the value has the wrong type.
bool take(CacheControl& cc, const StructuredMember& member) {
  if (const auto* number = find(kNumbers, member.key)) {
    if (member.type != StructuredType::integer) return false;
    cc.*(number->member) = DeltaSeconds::of(member.integer);
    return true;
  }
  const auto flag = [&](const auto* directive) {
    cc.*(directive->member) = member.integer != 0;
    return member.type == StructuredType::boolean;
  };
  if (const auto* permission = find(kPermissions, member.key)) return flag(permission);
  const bool takes_fields = member.key == "private" || member.key == "no-cache";
  if (takes_fields && member.type == StructuredType::string) {
    // Nothing says which fields of Cache-Control's list would be meant: the whole message is.
    (member.key == "private" ? cc.is_private : cc.no_cache) = true;
    return true;
  }
  if (member.key == "no-cache") {
    cc.no_cache = member.integer != 0;
    return member.type == StructuredType::boolean;
  }
  if (const auto* restriction = find(kRestrictions, member.key)) return flag(restriction);
  return true;
}

}  // namespace

DeltaSeconds parse_delta_seconds(std::string_view text) noexcept {
  if (text.empty()) return DeltaSeconds::broken();
  std::int64_t seconds = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return DeltaSeconds::broken();
    if (seconds < DeltaSeconds::kMax) seconds = seconds * 10 + (c - '0');
  }
  return DeltaSeconds::of(seconds);
}

CacheControl parse_cache_control(HeaderFields fields) noexcept {
  CacheControl cc;
  cc.malformed = !detail::for_each_directive(
      fields, [&](std::string_view name, std::string_view value, bool has_value) {
        take(cc, name, value, has_value);
      });
  return cc;
}

std::optional<CacheControl> parse_cdn_cache_control(HeaderFields fields) {
  std::string combined;
  bool present = false;
  fields.for_each_line("cdn-cache-control", [&](std::string_view line) {
    if (present) combined += ", ";
    combined += line;
    present = true;
  });
  if (!present) return std::nullopt;
  const auto dictionary = parse_dictionary(combined);
  if (!dictionary || dictionary->empty()) return std::nullopt;
  CacheControl cc;
  for (const StructuredMember& member : *dictionary) {
    if (!take(cc, member)) return std::nullopt;
  }
  return cc;
}

std::optional<CacheControl> parse_surrogate_control(HeaderFields fields) noexcept {
  std::optional<CacheControl> for_us;
  std::optional<CacheControl> for_all;
  for_each_member(fields, "surrogate-control", [&](std::string_view member) {
    const std::size_t semicolon = member.find(';');
    const bool is_targeted = semicolon != std::string_view::npos;
    if (is_targeted && trim(member.substr(semicolon + 1)) != kSurrogateDevice) return;
    const std::string_view directive = trim(member.substr(0, semicolon));
    const std::size_t equals = directive.find('=');
    const std::string_view name = directive.substr(0, equals);
    if (!iequals(trim(name), "max-age") && !iequals(name, "no-store")) return;
    const bool has_value = equals != std::string_view::npos;
    std::string_view value = has_value ? directive.substr(equals + 1) : std::string_view();
    // Behind a plus stands how long it may be served stale, of which we make no use.
    value = value.substr(0, value.find('+'));
    std::optional<CacheControl>& cc = is_targeted ? for_us : for_all;
    if (!cc) cc.emplace();
    take(*cc, name, value, has_value);
  });
  return for_us ? for_us : for_all;
}

bool demands_validation(const CacheControl& request, HeaderFields fields) noexcept {
  if (request.no_cache || request.no_cache_fields) return true;
  if (fields.has("cache-control")) return false;
  bool no_cache = false;
  for_each_member(fields, "pragma", [&](std::string_view member) {
    no_cache = no_cache || iequals(member, "no-cache");
  });
  return no_cache;
}

}  // namespace tyaprover::cache
