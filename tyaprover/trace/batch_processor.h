// The batch processor: queues spans and exports them on a thread of its own.
//
// Thread-safe. Ending a span neither blocks nor, once the thread has ended one before, allocates:
// every producing thread has a ring of its own (span_ring.h). The exporter's thread wakes up every
// schedule_delay, when a ring is half full, and for flush() and shutdown(). After fork() the child
// starts with an empty queue and a thread of its own when it first uses the processor; what the
// parent had queued stays with the parent.
//
//   auto processor = batch(exporter, {.on_event = [](const ExportEvent& event) {
//   log(event.message); }});
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

#include "tyaprover/trace/processor.h"

namespace tyaprover::trace {

// Delivery began to fail, or works again: two events for an outage, however long it was.
struct ExportEvent {
  enum class Kind : std::uint8_t { failing, recovered };
  Kind kind = Kind::failing;
  std::string message;        // what went wrong; empty for recovered
  std::uint64_t dropped = 0;  // spans lost since it began
  std::uint64_t queued = 0;
  Nanos outage{};  // how long it took
};
[[nodiscard]] std::string_view to_string(ExportEvent::Kind kind) noexcept;

// Full jitter: the wait before try n+1 is random between 0 and min(longest, first * 2^(n-1)). What
// Retry-After asks for is waited in full.
struct RetryOptions {
  Nanos first = std::chrono::seconds(1);
  Nanos longest = std::chrono::seconds(30);
  unsigned max_tries = 5;
  Nanos max_elapsed = std::chrono::seconds(60);  // since the first try began
};

struct BatchOptions {
  std::size_t max_queue_size = 2048;  // spans that one producing thread may have waiting
  std::size_t max_batch_size = 512;   // spans of one export
  Nanos schedule_delay = std::chrono::seconds(5);
  Nanos export_timeout = std::chrono::seconds(30);  // of one try
  RetryOptions retry = {};
  // Called on the exporter's thread; must not call the processor.
  std::function<void(const ExportEvent&)> on_event = nullptr;
  std::function<double()> random = nullptr;  // uniform in [0, 1); null = base/ids.h
  const Clock* clock = &SteadyClock::instance();
};

// Throws std::invalid_argument for a null exporter, a size of zero, a batch larger than the queue
// or a time that is not positive.
[[nodiscard]] SpanProcessorPtr batch(SpanExporterPtr exporter, BatchOptions options = {});

namespace detail {

// The longest wait after `tries` failed tries.
[[nodiscard]] Nanos longest_wait(const RetryOptions& options, unsigned tries) noexcept;

}  // namespace detail
}  // namespace tyaprover::trace
