#include "tyaprover/cache/cache_key.h"

#include <algorithm>
#include <charconv>
#include <span>

namespace tyaprover::cache {
namespace {

void append_part(std::string& key, std::string_view part) {
  char digits[20];
  const auto end = std::to_chars(digits, digits + sizeof digits, part.size()).ptr;
  key.append(digits, end).append(":").append(part);
}

void append_lower_part(std::string& key, std::string_view part) {
  append_part(key, part);
  for (char& c : std::span(key).last(part.size())) c = to_lower(c);
}

std::string_view parameter_name(std::string_view parameter) noexcept {
  return parameter.substr(0, parameter.find('='));
}

bool matches(std::string_view name, std::string_view pattern) noexcept {
  if (!pattern.ends_with('*')) return name == pattern;
  return name.starts_with(pattern.substr(0, pattern.size() - 1));
}

}  // namespace

std::string_view without_default_port(std::string_view host, std::string_view scheme) noexcept {
  const std::string_view port = iequals(scheme, "https") ? ":443" : ":80";
  if (host.ends_with(port)) host.remove_suffix(port.size());
  return host;
}

std::string cache_key(const CacheKeyParts& parts) {
  std::string key;
  key.reserve(parts.host.size() + parts.path.size() + parts.query.size() + 32);
  append_cache_key(key, parts);
  return key;
}

void append_cache_key(std::string& key, const CacheKeyParts& parts) {
  key += "1:G";
  append_lower_part(key, parts.scheme);
  append_lower_part(key, without_default_port(parts.host, parts.scheme));
  append_part(key, parts.path);
  if (parts.has_query) {
    append_part(key, parts.query);
  } else {
    key += '-';
  }
  for (const HeaderField& addition : parts.additions) {
    append_part(key, addition.name);
    append_part(key, addition.value);
  }
}

std::string apply_query_rules(std::string_view query, const QueryRules& rules) {
  if (rules.drop.empty() && !rules.sort) return std::string(query);
  std::vector<std::string_view> kept;
  for (const std::string_view parameter : split(query, '&')) {
    const std::string_view name = parameter_name(parameter);
    const bool dropped = std::any_of(rules.drop.begin(), rules.drop.end(),
                                     [&](const auto& pattern) { return matches(name, pattern); });
    if (!dropped) kept.push_back(parameter);
  }
  if (rules.sort) {
    std::stable_sort(kept.begin(), kept.end(), [](std::string_view a, std::string_view b) {
      return parameter_name(a) < parameter_name(b);
    });
  }
  std::string out;
  for (std::size_t i = 0; i < kept.size(); ++i) {
    if (i > 0) out += '&';
    out += kept[i];
  }
  return out;
}

void apply_query_rules(CacheKeyParts& parts, const QueryRules& rules, std::string& kept) {
  if (!parts.has_query || (rules.drop.empty() && !rules.sort)) return;
  kept = apply_query_rules(parts.query, rules);
  parts.has_query = !kept.empty() || parts.query.empty();
  parts.query = kept;
}

std::string_view cookie_value(HeaderFields request, std::string_view name) noexcept {
  std::string_view found;
  bool done = false;
  request.for_each_line("cookie", [&](std::string_view line) {
    for (const std::string_view piece : split(line, ';')) {
      const std::string_view cookie = trim(piece);
      if (done || parameter_name(cookie) != name) continue;
      found = cookie.size() > name.size() ? cookie.substr(name.size() + 1) : std::string_view();
      done = true;
    }
  });
  return found;
}

}  // namespace tyaprover::cache
