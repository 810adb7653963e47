// SharedTrace: what all spans of one trace in this process share. Internal.
//
// Two things, both rare: the tracestate that came in, and the spans of a trace that was not chosen
// at its start and may still be kept at its end (the tail). Reference-counted; instances that are
// no longer needed go to a free list of their thread with their buffers, so a warm thread does not
// allocate them.
//
// Thread-safe: the tracestate never changes once set, the tail is locked. The lock is per trace, so
// only spans of one request can meet there.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "tyaprover/base/clock.h"
#include "tyaprover/trace/arena.h"
#include "tyaprover/trace/span_data.h"

namespace tyaprover::trace::detail {

// Decides at the end of a local root whether its trace is kept after all.
class TailPolicy {
 public:
  virtual ~TailPolicy() = default;
  // Why the trace is kept, as text that lives for ever; empty = it is not. `any_failed` = some span
  // of it, the root included, ended with status error.
  [[nodiscard]] virtual Text keep(const SpanData& root, bool any_failed) const noexcept = 0;
};

// Takes the spans of a trace that is kept.
class SpanSink {
 public:
  virtual ~SpanSink() = default;
  virtual void on_end(const SpanData& span) noexcept = 0;
};

class SharedTrace {
 public:
  // Spans of one trace that are remembered until its root ends; more are dropped and counted in the
  // root's attribute sampling.dropped_spans.
  static constexpr std::size_t kMaxTailSpans = 256;

  static SharedTraceRef make(std::string_view trace_state, const TailPolicy* policy);

  [[nodiscard]] std::string_view trace_state() const noexcept { return trace_state_; }
  // Whether spans of this trace should still be recorded though it is not sampled. Relaxed: a span
  // that starts while the root ends may see either answer; add() decides.
  [[nodiscard]] bool has_tail() const noexcept {
    const Tail tail = tail_.load(std::memory_order_relaxed);
    return tail == Tail::open || tail == Tail::kept;
  }

  // A span that was recorded for the tail has ended. The root's end opens or closes the tail: when
  // it is kept, everything goes to `sink`, and so do the spans that end later.
  void add(const SpanData& span, bool is_local_root, SpanSink& sink);

 private:
  friend void retain(SharedTrace* shared) noexcept;
  friend void release(SharedTrace* shared) noexcept;
  friend struct SharedTracePool;
  enum class Tail : std::uint8_t { none, open, kept, dropped };

  void end_root(const SpanData& root, SpanSink& sink);

  std::atomic<std::uint32_t> references_{1};
  std::atomic<Tail> tail_{Tail::none};
  const TailPolicy* policy_ = nullptr;
  std::string trace_state_;
  std::mutex mutex_;
  // All below: under mutex_.
  bool any_failed_ = false;
  std::uint32_t dropped_ = 0;
  std::vector<const SpanData*> spans_;
  Arena<64> memory_;
  SharedTrace* next_free_ = nullptr;
};

}  // namespace tyaprover::trace::detail
