// AdminApi: what the gateway tells of itself, and lets be changed, under endpoints.admin (/api/v1).
//
// Thread-safe; one for all workers. Only its own paths are taken from the apps:
//
//   GET  /api/v1/traces?limit=&min_duration=&status=error&route=   the last traces, newest first
//   GET  /api/v1/traces/{id}                                       the spans of one, as a tree
//   GET, DELETE /api/v1/cache                                      see CacheAdmin
//   GET  /api/v1/breakers                                          all circuit breakers, by name
//   POST /api/v1/breakers/{name}/open|close|reset                  moves one (R40)
//
// admin.access says who may enter. What changes something needs the key in production, is refused
// to web pages of other places, and leaves a line in the log.
#pragma once

#include <string>
#include <string_view>

#include "tyaprover/filters/error_reply.h"
#include "tyaprover/filters/pipeline.h"
#include "tyaprover/gateway/breakers.h"
#include "tyaprover/gateway/cache_admin.h"
#include "tyaprover/gateway/config.h"
#include "tyaprover/gateway/gateway_tracing.h"

namespace tyaprover::gateway {

class AdminApi {
 public:
  // Borrows all but the configuration.
  AdminApi(const Config& config, const GatewayTracing& tracing, const CacheAdmin& cache,
           Breakers& breakers);

  // The template of the path if it is one of the API's, for labels; empty if not.
  [[nodiscard]] std::string_view route_of(std::string_view path) const noexcept;
  // Fills the response. REQUIRES: route_of(exchange.path) is not empty.
  void answer(filters::Exchange& exchange, const filters::ReplyOptions& reply);

 private:
  // Whether the request may change something; otherwise why not stands in the response.
  [[nodiscard]] bool may_change(http::Exchange& exchange, const filters::ReplyOptions& reply) const;
  void list_breakers(http::Exchange& exchange) const;
  // `rest` is what follows the path of all breakers: "/{name}/{action}".
  void change_breaker(filters::Exchange& exchange, std::string_view rest,
                      const filters::ReplyOptions& reply);
  void list_traces(http::Exchange& exchange, const filters::ReplyOptions& reply) const;
  void show_trace(http::Exchange& exchange, std::string_view id,
                  const filters::ReplyOptions& reply) const;

  const AdminConfig config_;
  const Environment environment_;
  const GatewayTracing& tracing_;
  const CacheAdmin& cache_;
  Breakers& breakers_;
  const std::string traces_;        // paths; empty: off
  const std::string trace_;         // with {id}
  const std::string all_breakers_;  // empty: off
  const std::string one_breaker_;   // with {name} and {action}
};

}  // namespace tyaprover::gateway
