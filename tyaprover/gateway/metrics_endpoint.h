// MetricsEndpoint: GET /metrics, for Prometheus and for people.
//
// Thread-safe; one for all workers. A page is produced by a thread of its own beside the workers,
// at lower priority, and streamed as it comes: a scrape of a hundred thousand series delays no
// request and needs the memory of a few chunks. At most four at once, then 503 (M25).
//
//   MetricsEndpoint endpoint(config.metrics, registry, production);
//   endpoint.answer(exchange);
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "tyaprover/filters/error_reply.h"
#include "tyaprover/gateway/config.h"
#include "tyaprover/http/exchange.h"
#include "tyaprover/metrics/registry.h"

namespace tyaprover::gateway {

class MetricsEndpoint {
 public:
  static constexpr std::size_t kMaxScrapes = 4;

  // Borrows the registry.
  MetricsEndpoint(MetricsConfig config, Environment environment, metrics::Registry& registry);
  // Gives up running scrapes and waits for their threads. REQUIRES: the workers have stopped.
  ~MetricsEndpoint();
  MetricsEndpoint(const MetricsEndpoint&) = delete;
  MetricsEndpoint& operator=(const MetricsEndpoint&) = delete;

  // Fills the response: the page, or why it is not given (M27).
  void answer(http::Exchange& exchange, const filters::ReplyOptions& reply);

 private:
  struct Scrape;
  struct Running;
  class Body;

  [[nodiscard]] bool may_see(const http::Exchange& exchange) const noexcept;
  static void produce(Scrape& scrape, metrics::Registry& registry, metrics::Naming naming);

  const MetricsConfig config_;
  const Environment environment_;
  metrics::Registry& registry_;
  const std::shared_ptr<Running> running_;
};

}  // namespace tyaprover::gateway
