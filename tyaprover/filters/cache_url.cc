#include "tyaprover/filters/cache_url.h"

namespace tyaprover::filters {

std::optional<std::string> key_of_url(std::string_view url, const cache::QueryRules& rules) {
  url = url.substr(0, url.find('#'));
  const std::size_t colon = url.find("://");
  if (colon != 4 && colon != 5) return std::nullopt;
  cache::CacheKeyParts parts;
  parts.scheme = url.substr(0, colon);
  if (!iequals(parts.scheme, "http") && !iequals(parts.scheme, "https")) return std::nullopt;
  url.remove_prefix(colon + 3);
  parts.host = url.substr(0, url.find_first_of("/?"));
  if (parts.host.empty()) return std::nullopt;
  url.remove_prefix(parts.host.size());
  const std::size_t question = url.find('?');
  parts.path = url.substr(0, question);
  if (parts.path.empty()) parts.path = "/";
  if (question != std::string_view::npos) {
    parts.query = url.substr(question + 1);
    parts.has_query = true;
  }
  std::string query;
  cache::apply_query_rules(parts, rules, query);
  return cache::cache_key(parts);
}

}  // namespace tyaprover::filters
