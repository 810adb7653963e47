#include "tyaprover/gateway/router.h"

#include <algorithm>

#include "tyaprover/base/text.h"

namespace tyaprover::gateway {

bool path_has_prefix(std::string_view path, std::string_view prefix) noexcept {
  if (!path.starts_with(prefix)) return false;
  return path.size() == prefix.size() || prefix.ends_with('/') || path[prefix.size()] == '/';
}

Router::Router(const std::vector<AppConfig>& apps) {
  for (std::size_t i = 0; i < apps.size(); ++i) {
    const AppConfig& app = apps[i];
    routes_.push_back({.app = &app,
                       .index = i,
                       .name = app.path,
                       .settings = {.security_headers = app.security_headers,
                                    .compression = app.compression,
                                    .request_timeout = {app.timeouts.request},
                                    .metrics = app.metrics,
                                    .tracing = app.tracing,
                                    .response_cache = app.cache}});
    if (app.hosts.empty()) entries_.push_back({"", false, app.path, i});
    for (const std::string& host : app.hosts) {
      const bool wildcard = host.starts_with("*.");
      entries_.push_back({to_lower(wildcard ? host.substr(1) : host), wildcard, app.path, i});
    }
  }
  std::stable_sort(entries_.begin(), entries_.end(), [](const Entry& a, const Entry& b) {
    const auto rank = [](const Entry& e) { return e.host.empty() ? 2 : e.wildcard ? 1 : 0; };
    if (rank(a) != rank(b)) return rank(a) < rank(b);
    if (a.wildcard && a.host.size() != b.host.size()) return a.host.size() > b.host.size();
    return a.path.size() > b.path.size();
  });
}

const Route* Router::find(std::string_view host, std::string_view path) const noexcept {
  for (const Entry& entry : entries_) {
    if (entry.wildcard) {
      if (host.size() <= entry.host.size()) continue;
      if (!iequals(host.substr(host.size() - entry.host.size()), entry.host)) continue;
    } else if (!entry.host.empty() && !iequals(host, entry.host)) {
      continue;
    }
    if (path_has_prefix(path, entry.path)) return &routes_[entry.route];
  }
  return nullptr;
}

}  // namespace tyaprover::gateway
