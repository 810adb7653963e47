// RecentTraces: the last traces, in memory, to be looked at.
//
// Thread-safe (one lock; exporting and looking hold it). It is a SpanExporter; keep_recent() feeds
// it beside the processor that sends spans away:
//
//   auto recent = std::make_shared<RecentTraces>();
//   auto processor = fan_out({batch(otlp_http(url)), keep_recent(recent)});
//   …
//   for (const TraceSummary& each : recent->find({.limit = 20, .failed_only = true})) …
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tyaprover/base/clock.h"
#include "tyaprover/trace/processor.h"

namespace tyaprover::trace {

struct TraceQuery {
  std::size_t limit = 100;
  Nanos min_duration{};
  bool failed_only = false;  // those in which some span has status error
  std::string_view route;    // of the attribute http.route of any span; empty = all
};

struct TraceSummary {
  TraceId trace_id;
  std::string name;   // of the local root: the earliest span whose parent is not here
  std::string route;  // its http.route, or empty
  std::string service;
  std::int64_t start_unix_nanos = 0;
  Nanos duration{};  // from the first start to the last end
  std::size_t spans = 0;
  std::size_t failed_spans = 0;
};

// One span of a tree, depth first; children in order of their start.
struct TraceNode {
  OwnedSpan span;
  std::size_t depth = 0;
  Nanos offset{};  // after the start of the trace; negative when clocks disagree
};

class RecentTraces final : public SpanExporter {
 public:
  static constexpr std::size_t kMaxSpansPerTrace = 1000;  // later ones are left out
  static constexpr std::size_t kLeastPerSecond = 1000;    // see wants()

  // `capacity` traces; throws std::invalid_argument for 0.
  explicit RecentTraces(std::size_t capacity = 1000);

  [[nodiscard]] ExportResult export_spans(std::span<const SpanData> spans,
                                          TimePoint deadline) override;
  // Whether the trace of this span is one of those to be kept: all of them, but while more come in
  // a second than the capacity (and than kLeastPerSecond) only that many, chosen by their ids.
  // Lock-free.
  [[nodiscard]] bool wants(const SpanData& span) const noexcept;
  // In the child of a fork: a new one, empty.
  [[nodiscard]] SpanExporterPtr after_fork() const override;

  // Newest first: by the arrival of their first span.
  [[nodiscard]] std::vector<TraceSummary> find(const TraceQuery& query) const;
  // A copy of one trace; empty when it is not here.
  [[nodiscard]] std::vector<TraceNode> tree(TraceId trace_id) const;

 private:
  struct Trace {
    TraceId id;
    std::vector<OwnedSpan> spans;
  };
  struct HashTraceId {
    std::size_t operator()(TraceId id) const noexcept {
      return id.high ^ id.low * 0x9e3779b97f4a7c15;
    }
  };

  void choose_share(std::int64_t now, std::size_t new_traces) noexcept;
  [[nodiscard]] static TraceSummary summary_of(const Trace& trace);
  [[nodiscard]] static bool matches(const Trace& trace, const TraceSummary& summary,
                                    const TraceQuery& query) noexcept;

  const std::size_t capacity_;
  // The share of the traces that is kept, as the largest hash of an id, and until when that counts.
  // Relaxed: read at every end of a span, written a few times a second; a span that sees the one
  // without the other is kept or not kept as others are.
  std::atomic<std::uint64_t> largest_hash_{std::numeric_limits<std::uint64_t>::max()};
  std::atomic<std::int64_t> share_until_unix_nanos_{0};

  mutable std::mutex mutex_;
  // All below: under mutex_.
  std::int64_t window_start_ = 0;  // in which new traces are counted
  std::size_t window_traces_ = 0;
  // A deque keeps its elements in place while others come and go at its ends.
  std::deque<Trace> traces_;  // oldest first
  std::unordered_map<TraceId, Trace*, HashTraceId> by_id_;
};

// Gives the spans that `traces` wants to it, on a thread of its own and within 200 ms.
[[nodiscard]] SpanProcessorPtr keep_recent(std::shared_ptr<RecentTraces> traces);

}  // namespace tyaprover::trace
