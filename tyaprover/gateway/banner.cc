#include "tyaprover/gateway/banner.h"

#include <chrono>

#include "tyaprover/base/json_writer.h"
#include "tyaprover/base/time_format.h"
#include "tyaprover/gateway/cache_admin.h"
#include "tyaprover/gateway/test_routes.h"

namespace tyaprover::gateway {
namespace {

std::string listener_url(const std::string& listener) {
  return listener.starts_with("unix:") ? listener : "http://" + listener;
}

std::string join(const std::vector<std::string>& items) {
  std::string text;
  for (const std::string& item : items) text += (text.empty() ? "" : ", ") + item;
  return text;
}

std::vector<std::string> target_urls(const AppConfig& app) {
  std::vector<std::string> urls;
  for (const Target& target : app.targets) urls.push_back(target.url);
  return urls;
}

std::string hosts_of(const AppConfig& app) {
  return app.hosts.empty() ? "every host" : join(app.hosts);
}

std::vector<std::string> filters_on(const Config& config) {
  std::vector<std::string> on;
  if (config.app_tracing.enabled) on.emplace_back("tracing");
  if (config.app_metrics.enabled) on.emplace_back("metrics");
  on.emplace_back("request-id");
  if (config.security_headers.enabled) on.emplace_back("security-headers");
  if (config.compression.enabled) on.emplace_back("compression");
  if (config.access_log.enabled) on.emplace_back("access-log");
  if (config.timeouts.request > Nanos(0)) on.emplace_back("request-timeout");
  if (has_cache(config)) on.emplace_back("cache");
  return on;
}

std::vector<std::string> own_paths(const Config& config) {
  std::vector<std::string> paths;
  if (!config.endpoints.metrics.empty()) paths.push_back(config.endpoints.metrics);
  if (!config.endpoints.admin.empty() && config.app_tracing.enabled && config.tracing.recent > 0) {
    paths.push_back(config.endpoints.admin + "/traces");
  }
  if (!config.endpoints.admin.empty()) paths.push_back(config.endpoints.admin + "/breakers");
  if (has_cache(config)) {
    if (!config.endpoints.admin.empty()) paths.push_back(config.endpoints.admin + "/cache");
    if (!config.endpoints.cache_stats.empty()) paths.push_back(config.endpoints.cache_stats);
  }
  if (const std::string& health = config.endpoints.health; !health.empty()) {
    paths.insert(paths.end(), {health, health + "/live", health + "/ready"});
  }
  if (config.environment != Environment::production) {
    paths.emplace_back(TestRoutes::kFailing);
    paths.emplace_back(TestRoutes::kBreaker);
  }
  return paths;
}

std::string_view environment_name(const Config& config) {
  return config.environment == Environment::production ? "production" : "development";
}

}  // namespace

std::string banner_text(const Config& config, const std::vector<std::string>& listeners,
                        unsigned workers) {
  std::string text = "tyaprover " TYAPROVER_VERSION ", " + std::string(environment_name(config)) +
                     ", " + std::to_string(workers) + (workers == 1 ? " worker\n" : " workers\n");
  for (const std::string& listener : listeners)
    text += "  listening  " + listener_url(listener) + "\n";
  for (const AppConfig& app : config.apps) {
    text += "  app        " + app.name + " (" + hosts_of(app) + ", " + app.path + ") -> " +
            join(target_urls(app)) + "\n";
  }
  text += "  filters    " + join(filters_on(config)) + "\n";
  if (const auto paths = own_paths(config); !paths.empty())
    text += "  answers    " + join(paths) + "\n";
  return text;
}

std::string banner_json(const Config& config, const std::vector<std::string>& listeners,
                        unsigned workers) {
  std::string line;
  JsonWriter json(line);
  char time[kRfc3339Size];
  write_rfc3339(time, std::chrono::system_clock::now());
  const auto strings = [&](std::string_view key, const std::vector<std::string>& items) {
    json.key(key).begin_array();
    for (const std::string& item : items) json.string(item);
    json.end_array();
  };
  json.begin_object();
  json.key("time").string({time, sizeof time}).key("level").string("info");
  json.key("msg").string("started").key("version").string(TYAPROVER_VERSION);
  json.key("environment").string(environment_name(config)).key("workers").integer(workers);
  json.key("listeners").begin_array();
  for (const std::string& listener : listeners) json.string(listener_url(listener));
  json.end_array();
  json.key("apps").begin_array();
  for (const AppConfig& app : config.apps) {
    json.begin_object().key("name").string(app.name);
    strings("hosts", app.hosts);
    json.key("path").string(app.path);
    strings("targets", target_urls(app));
    json.end_object();
  }
  json.end_array();
  strings("filters", filters_on(config));
  strings("answers", own_paths(config));
  json.end_object();
  line += '\n';
  return line;
}

}  // namespace tyaprover::gateway
