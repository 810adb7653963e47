// ResponseCacheOptions: what the response cache of one route was told.
//
// A value type, read-only once built.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tyaprover/base/clock.h"
#include "tyaprover/cache/freshness.h"
#include "tyaprover/cache/storability.h"

namespace tyaprover::filters {

enum class CacheMode : std::uint8_t {
  off,
  rfc9111,  // the response says how long it may be reused
  forced,   // `ttl` says it; private, no-store and no-cache of the response still count
};

// Requests that go past the cache (F7). An empty value matches any value.
struct SkipRule {
  enum class Kind : std::uint8_t { query, header, cookie, path };
  Kind kind = Kind::query;
  std::string name;   // of the parameter, field or cookie; of a path: the pattern, with * for any
  std::string value;  // of a parameter or field
  bool operator==(const SkipRule&) const = default;
};

struct ResponseCacheOptions {
  CacheMode mode = CacheMode::off;

  // Mode `forced`.
  Nanos ttl = std::chrono::minutes(5);
  std::vector<std::string> methods = {"GET", "HEAD"};
  std::vector<std::uint64_t> status_codes = {200};
  bool override_origin = false;  // also stores what the origin calls private or no-store

  std::vector<SkipRule> skip;
  std::vector<std::string> bypass_on_cookie;  // requests with one of these cookies
  Nanos stale_while_revalidate{};             // for responses without a window of their own
  // Likewise; absent: 1 h in mode `forced`, none in mode `rfc9111`.
  std::optional<Nanos> stale_if_error;
  bool heuristic = true;
  cache::OddAge odd_age = cache::OddAge::tolerate;
  // Absent: `never` in mode `forced`, else `shared`.
  std::optional<cache::SetCookiePolicy> set_cookie;
  bool ignore_client_directives = false;
  bool convert_head = true;  // a HEAD that misses asks with GET and fills the cache

  Nanos lock_timeout = std::chrono::seconds(5);  // longest wait for another's request
  // How long a key whose answer could not be stored is not waited for.
  Nanos uncacheable_memory = std::chrono::seconds(10);
  std::uint64_t max_object = 8u << 20;    // bytes of a body; larger ones pass through
  std::uint64_t finish_fill = 10u << 20;  // bytes that are fetched on when nobody waits any more

  // Keys (H17).
  std::vector<std::string> key_headers;
  std::vector<std::string> key_cookies;
  std::vector<std::string> query_drop;  // parameters that do not matter; "utm_*"
  bool query_sort = false;

  bool x_cache = true;
  bool cache_status = true;
  bool tag_fields = false;    // send Surrogate-Key and Cache-Tag on to clients
  bool purge_method = false;  // PURGE removes what is stored of its URL

  bool operator==(const ResponseCacheOptions&) const = default;

  [[nodiscard]] cache::SetCookiePolicy set_cookie_policy() const noexcept {
    return set_cookie.value_or(mode == CacheMode::forced ? cache::SetCookiePolicy::never
                                                         : cache::SetCookiePolicy::shared);
  }
  [[nodiscard]] Nanos error_window() const noexcept {
    return stale_if_error.value_or(mode == CacheMode::forced ? Nanos(std::chrono::hours(1))
                                                             : Nanos(0));
  }
};

}  // namespace tyaprover::filters
