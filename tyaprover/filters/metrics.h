// Metrics: counts and times every request at its end, by method, route and status.
//
// HttpMetrics is shared by all workers and thread-safe; Metrics is one worker's filter. The
// instruments of a route, method and status are looked up once and then found by the address of
// the route's name: no hashing of labels and no allocation per request (watched by
// metrics_bench.cc).
//
//   HttpMetrics http(registry, {});
//   Pipeline<…, Metrics, …> pipeline(…, Metrics(http), …);
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tyaprover/filters/pipeline.h"
#include "tyaprover/metrics/registry.h"

namespace tyaprover::filters {

// Of a route.
struct MetricsOptions {
  bool enabled = true;
  bool operator==(const MetricsOptions&) const = default;
};

struct HttpMetricsOptions {
  bool status_classes = false;  // `2xx` in place of `204`
  bool native = true;           // native buckets of the duration too
  std::size_t max_series = 2000;
};

// The four families, in seed's and Prometheus' names.
class HttpMetrics {
 public:
  // Registers them. Throws as Registry does.
  HttpMetrics(metrics::Registry& registry, HttpMetricsOptions options);

  struct Instruments {
    metrics::Counter requests;
    metrics::Histogram duration;
    metrics::Histogram request_size;
    metrics::Histogram response_size;
  };
  [[nodiscard]] Instruments instruments(std::string_view method, std::string_view route,
                                        int status) const;

 private:
  const HttpMetricsOptions options_;
  metrics::CounterFamily& requests_;
  metrics::HistogramFamily& duration_;
  metrics::HistogramFamily& request_size_;
  metrics::HistogramFamily& response_size_;
};

class Metrics {
 public:
  struct State {};

  // Borrows what all workers share.
  explicit Metrics(const HttpMetrics& http);

  void on_finish(Exchange& exchange, State& state) noexcept;

 private:
  // The instruments of one route, method and status.
  struct Known {
    const char* route = nullptr;  // address of the name
    std::uint32_t key = 0;        // method and status
    std::string name;             // the address alone could be another route's by now
    HttpMetrics::Instruments instruments;
    TimePoint next_exemplar{};  // the instruments take no more than one in a while
  };
  [[nodiscard]] Known& find(std::string_view route, http::Method method, int status);

  const HttpMetrics* http_;
  std::vector<Known> known_;  // open addressing
  std::size_t size_ = 0;
};

}  // namespace tyaprover::filters
