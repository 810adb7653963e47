// Proxy: sends a request to an app's upstream and brings the response back.
//
// Confined to one worker. Streams both ways at once; nothing is buffered beyond one piece per
// direction. What goes wrong becomes a local reply with its reason; a client that left is noticed
// and ends the upstream request (R6.6).
//
//   co_await proxy(exchange, upstream, options);    // fills exchange.response
#pragma once

#include <cstdint>

#include "tyaprover/filters/error_reply.h"
#include "tyaprover/filters/tracing.h"
#include "tyaprover/gateway/upstream.h"
#include "tyaprover/http/exchange.h"
#include "tyaprover/http/task.h"
#include "tyaprover/metrics/counter.h"

namespace tyaprover::gateway {

struct ProxyOptions {
  bool forwarded_header = false;
  filters::ReplyOptions reply;
  const filters::HttpTracing* tracing = nullptr;  // null: no client spans
};

struct ProxyCounters {
  metrics::Counter underscore_fields_dropped;
  metrics::Counter idle_race_retries;  // R6.4
};

// `upstream`, `options` and `counters` outlive the exchange's response.
[[nodiscard]] http::Task<void> proxy(filters::Exchange& exchange, WorkerUpstream& upstream,
                                     const ProxyOptions& options, ProxyCounters& counters);

}  // namespace tyaprover::gateway
