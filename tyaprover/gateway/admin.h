// AdminApi: what the gateway tells of itself under endpoints.admin (/api/v1).
//
// Thread-safe; one for all workers. Only its own paths are taken from the apps:
//
//   GET /api/v1/traces?limit=&min_duration=&status=error&route=   the last traces, newest first
//   GET /api/v1/traces/{id}                                       the spans of one, as a tree
//   GET, DELETE /api/v1/cache                                     see CacheAdmin
#pragma once

#include <string>
#include <string_view>

#include "tyaprover/filters/error_reply.h"
#include "tyaprover/gateway/cache_admin.h"
#include "tyaprover/gateway/config.h"
#include "tyaprover/gateway/gateway_tracing.h"
#include "tyaprover/http/exchange.h"

namespace tyaprover::gateway {

class AdminApi {
 public:
  // Borrows the tracing and the cache's part.
  AdminApi(const Config& config, const GatewayTracing& tracing, const CacheAdmin& cache);

  // The template of the path if it is one of the API's, for labels; empty if not.
  [[nodiscard]] std::string_view route_of(std::string_view path) const noexcept;
  // Fills the response. REQUIRES: route_of(exchange.path) is not empty.
  void answer(http::Exchange& exchange, const filters::ReplyOptions& reply) const;

 private:
  void list_traces(http::Exchange& exchange, const filters::ReplyOptions& reply) const;
  void show_trace(http::Exchange& exchange, std::string_view id,
                  const filters::ReplyOptions& reply) const;

  const AdminConfig config_;
  const GatewayTracing& tracing_;
  const CacheAdmin& cache_;
  const std::string traces_;  // paths; empty: off
  const std::string trace_;   // with {id}
};

}  // namespace tyaprover::gateway
