// SpanProcessor: takes finished spans from the threads that make them.
//
// Thread-safe. simple() exports each span where it ends; batch() queues spans and exports them on a
// thread of its own (batch_processor.h); fan_out() gives every span to several processors.
//
//   TracerProviderOptions{.processor = batch(std::make_shared<HttpSpanExporter>(url, options))}
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "tyaprover/base/clock.h"
#include "tyaprover/trace/exporter.h"
#include "tyaprover/trace/shared_trace.h"
#include "tyaprover/trace/span_data.h"

namespace tyaprover::trace {

// What became of all spans that a processor was given. At every moment
// produced = exported + dropped() + queued.
struct ProcessorStats {
  std::uint64_t produced = 0;
  std::uint64_t exported = 0;
  std::uint64_t dropped_queue_full = 0;
  std::uint64_t dropped_export_failed = 0;  // tried as often as allowed, or refused as a whole
  std::uint64_t dropped_rejected = 0;       // by name, in a partial success
  std::uint64_t dropped_shutdown = 0;       // left when time was up, or ended after it
  std::uint64_t queued = 0;                 // waiting or being sent
  std::uint64_t queue_capacity = 0;         // of all threads that have ended spans
  std::uint64_t retries = 0;                // requests that were repeats
  std::uint64_t exports = 0;                // requests that were answered, either way
  Nanos export_time{};                      // spent in them
  bool failing = false;                     // the last export failed

  [[nodiscard]] std::uint64_t dropped() const noexcept {
    return dropped_queue_full + dropped_export_failed + dropped_rejected + dropped_shutdown;
  }
};

// What a flush or shutdown achieved, of the spans that were queued when it began.
struct FlushResult {
  std::uint64_t delivered = 0;
  std::uint64_t dropped = 0;
  std::uint64_t remaining = 0;  // still queued; 0 = complete

  [[nodiscard]] bool complete() const noexcept { return remaining == 0; }
  FlushResult& operator+=(const FlushResult& other) noexcept {
    delivered += other.delivered;
    dropped += other.dropped;
    remaining += other.remaining;
    return *this;
  }
};

class SpanProcessor : public detail::SpanSink {
 public:
  // Called at every end of a sampled span, on the thread that ended it.
  void on_end(const SpanData& span) noexcept override = 0;
  // Exports what was queued before the call; returns when that is done or `timeout` has passed.
  [[nodiscard]] virtual FlushResult flush(Nanos timeout) = 0;
  // The same, once; afterwards spans are dropped and counted. What is left at the end of the time
  // is dropped (FlushResult::dropped).
  virtual FlushResult shutdown(Nanos timeout) = 0;
  [[nodiscard]] virtual ProcessorStats stats() const = 0;
};
using SpanProcessorPtr = std::shared_ptr<SpanProcessor>;

// Exports every span at once on the thread that ended it, one at a time: for tests and consoles. It
// does not retry.
[[nodiscard]] SpanProcessorPtr simple(SpanExporterPtr exporter);

// All of them, in order. Statistics are those of the first. Throws std::invalid_argument when
// there is none.
[[nodiscard]] SpanProcessorPtr fan_out(std::vector<SpanProcessorPtr> processors);

}  // namespace tyaprover::trace
