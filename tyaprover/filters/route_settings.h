// RouteSettings: what the filters of one route were told.
//
// Read-only once built; shared by all workers and outlives every exchange that was routed with it.
#pragma once

#include "tyaprover/filters/compression.h"
#include "tyaprover/filters/metrics.h"
#include "tyaprover/filters/request_timeout.h"
#include "tyaprover/filters/response_cache_options.h"
#include "tyaprover/filters/security_headers.h"
#include "tyaprover/filters/tracing.h"

namespace tyaprover::filters {

struct RouteSettings {
  SecurityHeadersOptions security_headers;
  CompressionOptions compression;
  RequestTimeoutOptions request_timeout;
  MetricsOptions metrics;
  TracingOptions tracing;
  ResponseCacheOptions response_cache;
  bool operator==(const RouteSettings&) const = default;
};

}  // namespace tyaprover::filters
