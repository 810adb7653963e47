// CacheAdmin: what the response cache tells of itself, and how it is told to forget.
//
// Thread-safe; one for all workers. Borrows the store. Where no app has a cache it has no paths.
//
//   GET /cache/stats, GET /api/v1/cache      what it holds and how often it answered
//   DELETE /api/v1/cache?key=URL|prefix=|pattern=|tag=|all=true[&soft=true]
//                                            forgets; answers {"removed":N}
//
// A soft purge keeps what it names, stale: to be revalidated, or sent while the origin fails.
#pragma once

#include <string>
#include <vector>

#include "tyaprover/cache/cache_key.h"
#include "tyaprover/filters/error_reply.h"
#include "tyaprover/filters/response_store.h"
#include "tyaprover/gateway/config.h"
#include "tyaprover/http/exchange.h"
#include "tyaprover/metrics/registry.h"

namespace tyaprover::gateway {

// Whether any app has a cache.
[[nodiscard]] bool has_cache(const Config& config) noexcept;

class CacheAdmin {
 public:
  // With a cache also its metrics, which are read from the store when somebody asks.
  CacheAdmin(const Config& config, filters::ResponseStore& store, metrics::Registry& metrics);

  // Empty: off.
  [[nodiscard]] const std::string& stats_path() const noexcept { return stats_path_; }
  [[nodiscard]] const std::string& admin_path() const noexcept { return admin_path_; }

  // Fill the response. REQUIRES: the method is GET or HEAD, or DELETE for `purge`.
  void show_stats(http::Exchange& exchange) const;
  void purge(http::Exchange& exchange, const filters::ReplyOptions& reply) const;

 private:
  void collect(metrics::Collection& out) const;

  filters::ResponseStore& store_;
  std::string stats_path_;
  std::string admin_path_;
  std::vector<std::string> apps_;               // by their index in the store
  std::vector<cache::QueryRules> query_rules_;  // under which URLs are stored, each once
};

}  // namespace tyaprover::gateway
