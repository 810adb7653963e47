// SharedUpstream: what all workers share of an app's upstream: how many requests run there, who
// waits for one of them to end (R37), and how many retries it may get (R20).
//
// Thread-safe. One for the process and app; it outlives the exchanges.
//
//   SharedUpstream shared(app);
//   if (shared.limit) end = co_await take_place(exchange, *shared.limit, deadline, place);
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>

#include "tyaprover/gateway/config.h"
#include "tyaprover/gateway/retries.h"
#include "tyaprover/http/exchange.h"
#include "tyaprover/http/task.h"
#include "tyaprover/resilience/bulkhead.h"

namespace tyaprover::gateway {

struct SharedUpstream {
  explicit SharedUpstream(const AppConfig& app);

  SharedRetries retries;
  std::optional<resilience::Bulkhead> limit;  // none: as many as come
  // Relaxed: statistics.
  std::atomic<std::uint64_t> shed_full{0};     // turned away at once
  std::atomic<std::uint64_t> shed_timeout{0};  // after waiting in vain
};

// At most so many at once, with the app's queue behind them; none if `most` is 0.
void set_limit(std::optional<resilience::Bulkhead>& limit, unsigned most,
               const ConcurrencyConfig& config);

enum class PlaceWait : std::uint8_t { granted, full, timeout, client_gone };

// Waits on the exchange's worker for a place, first come, first served, until the deadline or until
// the client leaves. Without a wait when there is a free one.
[[nodiscard]] http::Task<PlaceWait> take_place(http::Exchange& exchange,
                                               resilience::Bulkhead& limit, TimePoint deadline,
                                               std::optional<resilience::BulkheadPlace>& place);

}  // namespace tyaprover::gateway
