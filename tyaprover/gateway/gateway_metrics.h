// GatewayMetrics: the gateway's own registry and what it registers from the start.
//
// Thread-safe; one for all workers. What exists only while the gateway runs (workers, log) is added
// to the registry by run.cc.
//
//   GatewayMetrics metrics(config);
//   metrics.registry.expose();
#pragma once

#include "tyaprover/filters/metrics.h"
#include "tyaprover/gateway/config.h"
#include "tyaprover/gateway/proxy.h"
#include "tyaprover/gateway/upstream_metrics.h"
#include "tyaprover/metrics/registry.h"

namespace tyaprover::gateway {

struct GatewayMetrics {
  explicit GatewayMetrics(const Config& config);

  metrics::Registry registry;
  const filters::HttpMetrics http;
  UpstreamMetrics upstreams;
  const ProxyCounters proxy;
};

}  // namespace tyaprover::gateway
