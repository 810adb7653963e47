// Metrics of the process itself: CPU, memory, descriptors, threads, start time.
//
// Read once per page, nothing in between. Names are Prometheus' conventions for every process;
// `process_memory_rss_bytes` is the seed's second name of `process_resident_memory_bytes`.
//
//   register_process_metrics(registry);
#pragma once

#include "tyaprover/metrics/registry.h"

namespace tyaprover::metrics {

void register_process_metrics(Registry& registry);

}  // namespace tyaprover::metrics
