// Router: which app serves a host and path.
//
// Immutable once built; shared by all workers. Linear in the length of host and path and in the
// number of apps. The most specific wins: exact host before wildcard before any host, then the
// longest path prefix; prefixes match whole segments.
//
//   Router router(config.apps);
//   const Route* route = router.find("shop.example.com", "/cart");
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "tyaprover/filters/route_settings.h"
#include "tyaprover/gateway/config.h"

namespace tyaprover::gateway {

struct Route {
  const AppConfig* app = nullptr;
  std::size_t index = 0;  // of the app in the configuration
  std::string name;       // its template, for labels: the app's path prefix
  filters::RouteSettings settings;
};

class Router {
 public:
  // Borrows the apps.
  explicit Router(const std::vector<AppConfig>& apps);

  // `host` without port, in any case; `path` normalised. Null when no app matches.
  [[nodiscard]] const Route* find(std::string_view host, std::string_view path) const noexcept;

 private:
  struct Entry {
    std::string host;       // lower case; empty = any
    bool wildcard = false;  // host is ".example.com": any name that ends so
    std::string path;
    std::size_t route = 0;
  };

  std::vector<Route> routes_;
  std::vector<Entry> entries_;  // the most specific first
};

[[nodiscard]] bool path_has_prefix(std::string_view path, std::string_view prefix) noexcept;

}  // namespace tyaprover::gateway
