#include "tyaprover/gateway/cache_admin.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "tyaprover/base/json_writer.h"
#include "tyaprover/base/text.h"
#include "tyaprover/cache/cache_stats.h"
#include "tyaprover/filters/cache_url.h"
#include "tyaprover/gateway/json_reply.h"
#include "tyaprover/gateway/log.h"
#include "tyaprover/http/target.h"

namespace tyaprover::gateway {
namespace {

using filters::CacheResult;
using filters::Purge;
using filters::ResponseStoreStats;
using http::Reason;

constexpr std::array<std::string_view, 5> kSelectors = {"key", "prefix", "pattern", "tag", "all"};

struct PurgeRequest {
  std::string_view by;  // of kSelectors
  std::string value;
  Purge purge = Purge::hard;
};

// Otherwise what is wrong. A parameter that is not known may be a misspelt `soft`.
Result<PurgeRequest, std::string> read_purge(std::string_view query) {
  PurgeRequest request;
  for (const std::string_view parameter : split(query, '&')) {
    if (parameter.empty()) continue;
    const std::string_view name = parameter.substr(0, parameter.find('='));
    const bool is_selector =
        std::find(kSelectors.begin(), kSelectors.end(), name) != kSelectors.end();
    if (!is_selector && name != "soft") {
      return err("unknown parameter \"" + std::string(name) + "\"");
    }
  }
  for (const std::string_view selector : kSelectors) {
    for (std::string& value : http::query_values(query, selector)) {
      if (!request.by.empty())
        return err(std::string("only one of key, prefix, pattern, tag, all"));
      if (value.empty()) return err(std::string(selector) + ": must not be empty");
      request.by = selector;
      request.value = std::move(value);
    }
  }
  if (request.by.empty()) return err(std::string("one of key, prefix, pattern, tag or all=true"));
  if (request.by == "all" && request.value != "true") return err(std::string("all: true"));
  if (request.by == "key" && !filters::key_of_url(request.value)) {
    return err(std::string("key: a URL such as http://shop.example.com/cart"));
  }
  for (const std::string& value : http::query_values(query, "soft")) {
    if (value != "true" && value != "false") return err(std::string("soft: true or false"));
    request.purge = value == "true" ? Purge::soft : Purge::hard;
  }
  return request;
}

void write_results(JsonWriter& json, const std::array<std::uint64_t, filters::kCacheResults>& n) {
  json.begin_object();
  for (std::size_t i = 0; i < n.size(); ++i) {
    json.key(filters::log_word(static_cast<CacheResult>(i))).integer(n[i]);
  }
  json.end_object();
}

}  // namespace

bool has_cache(const Config& config) noexcept {
  return std::any_of(config.apps.begin(), config.apps.end(), [](const AppConfig& app) {
    return app.cache.mode != filters::CacheMode::off;
  });
}

CacheAdmin::CacheAdmin(const Config& config, filters::ResponseStore& store,
                       metrics::Registry& metrics)
    : store_(store) {
  if (!has_cache(config)) return;
  stats_path_ = config.endpoints.cache_stats;
  if (!config.endpoints.admin.empty()) admin_path_ = config.endpoints.admin + "/cache";
  for (const AppConfig& app : config.apps) {
    apps_.push_back(app.name);
    cache::QueryRules rules{app.cache.query_drop, app.cache.query_sort};
    const bool known = std::any_of(
        query_rules_.begin(), query_rules_.end(),
        [&](const auto& other) { return other.drop == rules.drop && other.sort == rules.sort; });
    if (!known) query_rules_.push_back(std::move(rules));
  }
  metrics.add_collector("response_cache", [this](metrics::Collection& out) { collect(out); });
}

void CacheAdmin::show_stats(http::Exchange& e) const {
  const ResponseStoreStats stats = store_.stats();
  cache::CacheStats lookups;
  lookups.hits = stats.hits();
  lookups.misses = stats.misses();
  std::string body;
  JsonWriter json(body);
  json.begin_object();
  json.key("hits").integer(lookups.hits).key("misses").integer(lookups.misses);
  json.key("keys").integer(stats.entries).key("size").integer(stats.bytes);
  json.key("hitRate").number(lookups.hit_rate());
  json.key("entries").integer(stats.entries).key("bytes").integer(stats.bytes);
  json.key("maxBytes").integer(stats.max_bytes);
  json.key("collapsed").integer(stats.collapsed);
  json.key("refreshes").begin_object();
  json.key("ok").integer(stats.refreshes_ok).key("failed").integer(stats.refreshes_failed);
  json.end_object();
  json.key("evictions").begin_object();
  for (std::size_t i = 0; i < stats.removals.size(); ++i) {
    json.key(to_string(static_cast<cache::RemovalCause>(i))).integer(stats.removals[i]);
  }
  json.end_object();
  json.key("results");
  write_results(json, stats.results);
  json.key("apps").begin_object();
  for (std::size_t app = 0; app < apps_.size(); ++app) {
    json.key(apps_[app]);
    write_results(json, stats.app_results[app]);
  }
  json.end_object().end_object();
  reply_json(e, body);
}

void CacheAdmin::purge(http::Exchange& e, const filters::ReplyOptions& reply) const {
  const auto request = read_purge(e.request.query);
  if (!request) {
    filters::reply(e, Reason::bad_request, e.arena.store(request.error()), reply);
    return;
  }
  const auto& [by, value, purge] = *request;
  std::size_t removed = 0;
  if (by == "key") {
    for (const cache::QueryRules& rules : query_rules_)
      removed += store_.erase(value, purge, rules);
  } else if (by == "prefix") {
    removed = store_.erase_prefix(value, purge);
  } else if (by == "pattern") {
    removed = store_.erase_pattern(value, purge);
  } else if (by == "tag") {
    removed = store_.erase_tag(value, purge);
  } else {
    removed = store_.clear(purge);
  }
  log_event(LogLevel::info, "cache purged",
            {{"by", by},
             {"value", value},
             {"soft", purge == Purge::soft ? "true" : "false"},
             {"removed", std::to_string(removed)},
             {"client", e.client},
             {"request_id", e.request_id}});
  std::string body;
  JsonWriter(body).begin_object().key("removed").integer(removed).end_object();
  reply_json(e, body);
}

void CacheAdmin::collect(metrics::Collection& out) const {
  const ResponseStoreStats stats = store_.stats();
  for (std::size_t app = 0; app < apps_.size(); ++app) {
    for (std::size_t i = 0; i < filters::kCacheResults; ++i) {
      out.counter(
          "http_cache_requests_total", "Requests to apps, by what the cache made of them.",
          stats.app_results[app][i],
          {{"app", apps_[app]}, {"result", filters::log_word(static_cast<CacheResult>(i))}});
    }
  }
  out.gauge("http_cache_bytes", "Size of what the cache holds, overhead included.",
            static_cast<double>(stats.bytes));
  out.unit("bytes");
  out.gauge("http_cache_entries", "URLs of which the cache holds a response.",
            static_cast<double>(stats.entries));
  for (std::size_t i = 0; i < stats.removals.size(); ++i) {
    out.counter("http_cache_evictions_total", "Entries that left the cache, by why.",
                stats.removals[i], {{"cause", to_string(static_cast<cache::RemovalCause>(i))}});
  }
  out.counter("http_cache_collapsed_total", "Requests that waited for another's answer.",
              stats.collapsed);
  out.counter("http_cache_refreshes_total", "Refreshes in the background, by how they ended.",
              stats.refreshes_ok, {{"result", "ok"}});
  out.counter("http_cache_refreshes_total", "Refreshes in the background, by how they ended.",
              stats.refreshes_failed, {{"result", "failed"}});
}

}  // namespace tyaprover::gateway
