// CacheKey: under which name responses to a request are stored (RFC 9111 §2).
//
// Pure functions, thread-safe. Every part carries its length in front, so that no path, query or
// field value can be written that reads as another request's key. Variants (Vary) are looked up
// beneath a key, never spliced into it.
//
//   const std::string key = cache_key({.scheme = "http", .host = "Example.com:80", .path = "/a"});
//   // 1:G4:http11:example.com2:/a-
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tyaprover/cache/header_fields.h"

namespace tyaprover::cache {

// `host` without the port that stands for `scheme` anyway.
[[nodiscard]] std::string_view without_default_port(std::string_view host,
                                                    std::string_view scheme) noexcept;

struct CacheKeyParts {
  std::string_view scheme;  // http or https, in any case
  std::string_view host;    // with or without port; compared in lower case, a default port dropped
  std::string_view path;    // as sent
  std::string_view query;   // as sent, without "?"
  bool has_query = false;   // "/a?" is not "/a"
  // Values of configured fields and cookies, in the order of the configuration. Name and value.
  std::span<const HeaderField> additions;
};
// The key of GET and of what stands for it (HEAD, POST with its own Content-Location).
[[nodiscard]] std::string cache_key(const CacheKeyParts& parts);
// The same behind what `key` holds: a string that is reused makes it allocation-free.
void append_cache_key(std::string& key, const CacheKeyParts& parts);

struct QueryRules {
  // Names of parameters that do not matter; a name that ends with * means all that begin so.
  std::vector<std::string> drop;
  bool sort = false;  // by name; parameters of one name keep their order
};
// `query` without the parameters that do not matter. Without rules it is as sent.
[[nodiscard]] std::string apply_query_rules(std::string_view query, const QueryRules& rules);
// The same to the query of `parts`, which has none when nothing of it is left; `kept` holds what
// is. Without rules it allocates nothing.
void apply_query_rules(CacheKeyParts& parts, const QueryRules& rules, std::string& kept);

// The value of a cookie of that name in the request's Cookie fields (RFC 6265 §5.4); empty without.
[[nodiscard]] std::string_view cookie_value(HeaderFields request, std::string_view name) noexcept;

}  // namespace tyaprover::cache
