// Gateway: what one worker serves: routing, the filter pipeline, health endpoints, and the proxy
// behind them.
//
// GatewayWorker is confined to its worker; GatewayShared is made once, before the workers, and
// outlives them.
//
//   GatewayShared shared(config, health, log_writer);
//   GatewayWorker gateway(worker, shared);
//   http::Server server(worker, gateway, options, shared.server_counters);
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "tyaprover/filters/access_log.h"
#include "tyaprover/filters/access_log_writer.h"
#include "tyaprover/filters/compression.h"
#include "tyaprover/filters/metrics.h"
#include "tyaprover/filters/pipeline.h"
#include "tyaprover/filters/request_id.h"
#include "tyaprover/filters/request_timeout.h"
#include "tyaprover/filters/response_cache.h"
#include "tyaprover/filters/response_store.h"
#include "tyaprover/filters/security_headers.h"
#include "tyaprover/filters/tracing.h"
#include "tyaprover/gateway/admin.h"
#include "tyaprover/gateway/breakers.h"
#include "tyaprover/gateway/cache_admin.h"
#include "tyaprover/gateway/config.h"
#include "tyaprover/gateway/gateway_metrics.h"
#include "tyaprover/gateway/gateway_tracing.h"
#include "tyaprover/gateway/health.h"
#include "tyaprover/gateway/metrics_endpoint.h"
#include "tyaprover/gateway/proxy.h"
#include "tyaprover/gateway/router.h"
#include "tyaprover/gateway/shared_upstream.h"
#include "tyaprover/gateway/test_routes.h"
#include "tyaprover/gateway/upstream.h"
#include "tyaprover/http/server.h"

namespace tyaprover::gateway {

enum class Lifecycle : std::uint8_t { starting, serving, draining };

// What all workers share. Thread-safe: immutable, or atomic.
struct GatewayShared {
  GatewayShared(const Config& c, HealthChecks& h, filters::AccessLogWriter& log);
  // Metrics of what the workers share.
  void collect(metrics::Collection& out) const;

  const Config& config;
  const Router router;
  HealthChecks& health;
  filters::AccessLogWriter& access_log;
  const TimePoint started;
  const std::string health_live;  // paths; empty = off
  const std::string health_ready;
  // Relaxed would do, but readiness must not be seen before what it promises: release and acquire.
  std::atomic<Lifecycle> lifecycle{Lifecycle::starting};
  http::ServerCounters server_counters;
  std::vector<std::unique_ptr<SharedUpstream>> upstreams;  // by app
  GatewayMetrics metrics;
  Breakers breakers;
  GatewayTracing tracing;
  MetricsEndpoint metrics_endpoint;
  filters::ResponseStore responses;
  CacheAdmin cache_admin;
  AdminApi admin;
  TestRoutes test_routes;
};

// The reason of each place stands in filters/pipeline.h.
using GatewayPipeline = filters::Pipeline<filters::Tracing, filters::Metrics, filters::RequestId,
                                          filters::SecurityHeaders, filters::Compression,
                                          filters::AccessLog, filters::RequestTimeout>;

[[nodiscard]] http::ServerOptions server_options(const Config& config, std::size_t max_connections);

class GatewayWorker final : public http::Application {
 public:
  // The lists of targets come later, by update_targets().
  GatewayWorker(http::Worker& worker, GatewayShared& shared);

  void update_targets(std::size_t app, const std::shared_ptr<PassiveHealth>& health);

  std::unique_ptr<http::Exchange> new_exchange(http::Worker& worker) override;
  http::Task<void> handle(http::Exchange& exchange) override;
  void refuse(http::Exchange& exchange, const http::ParseError& error) override;
  void finish(http::Exchange& exchange) noexcept override;

  // Requests for the cache that no client waits for any more; they end soon after abort_fills().
  [[nodiscard]] bool has_fills() const noexcept { return !response_cache_.idle(); }
  void abort_fills() { response_cache_.abort_fills(); }

  [[nodiscard]] const filters::CompressionStats& compression_stats() noexcept {
    return pipeline_.get<filters::Compression>().stats();
  }

 private:
  using Exchange = GatewayPipeline::PipelineExchange;
  enum class Destination : std::uint8_t {
    proxy,
    metrics,
    admin,
    cache_stats,
    test,
    live,
    ready,
    health,
    nowhere,
    bad_path,
    circle
  };

  // An app as the cache sees it.
  class AppOrigin final : public filters::Origin {
   public:
    AppOrigin(GatewayWorker& gateway, WorkerUpstream& upstream)
        : gateway_(gateway), upstream_(upstream) {}
    http::Task<void> call(filters::Exchange& exchange) override {
      return proxy(exchange, upstream_, gateway_.proxy_options_, gateway_.proxy_counters_);
    }

   private:
    GatewayWorker& gateway_;
    WorkerUpstream& upstream_;
  };

  // `app`: the index of the one that a proxied request goes to.
  [[nodiscard]] Destination route(Exchange& e, std::size_t& app);
  http::Task<void> answer(Exchange& e, Destination destination, std::size_t app);
  http::Task<void> answer_health(Exchange& e, bool details);

  http::Worker& worker_;
  GatewayShared& shared_;
  const ProxyOptions proxy_options_;
  const filters::RouteSettings default_settings_;
  GatewayPipeline pipeline_;
  std::vector<std::unique_ptr<WorkerUpstream>> upstreams_;  // by app
  ProxyCounters proxy_counters_;
  std::vector<std::unique_ptr<AppOrigin>> origins_;  // by app
  filters::ResponseCache response_cache_;
};

}  // namespace tyaprover::gateway
