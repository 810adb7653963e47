#include "tyaprover/gateway/gateway_metrics.h"

#include "tyaprover/metrics/process_metrics.h"

#ifndef TYAPROVER_REVISION
#define TYAPROVER_REVISION "unknown"  // for tools that compile the file alone
#endif

namespace tyaprover::gateway {

GatewayMetrics::GatewayMetrics(const Config& config)
    : registry({.expire_after_scrapes = static_cast<unsigned>(config.metrics.expire_after)}),
      http(registry, {.status_classes = config.metrics.status_classes,
                      .native = config.metrics.native_histograms,
                      .max_series = config.metrics.max_series}),
      upstreams(registry),
      proxy{.underscore_fields_dropped =
                registry
                    .counter("tyaprover_underscore_fields_dropped_total",
                             "Request fields that were not sent on for the `_` in their name.")
                    .with({}),
            .idle_race_retries =
                registry
                    .counter("tyaprover_upstream_idle_retries_total",
                             "Requests sent again because an idle connection had just been closed.")
                    .with({})} {
  metrics::register_process_metrics(registry);
  registry.info("tyaprover_build", "The program that serves this page.",
                {{"version", TYAPROVER_VERSION}, {"revision", TYAPROVER_REVISION}});
}

}  // namespace tyaprover::gateway
