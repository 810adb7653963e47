// Who a span is: its ids, its flags and what its trace carries between processes.
//
// Values; thread-safe as int is. A SpanContext shares (reference-counted, atomically) what belongs
// to its whole trace, so copying one neither allocates nor copies text.
//
//   SpanContext context = span.context();
//   log(context.trace_id().to_hex(), context.is_sampled());
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <string_view>
#include <utility>

#include "tyaprover/base/ids.h"

namespace tyaprover::trace {

// 128 bits, made of 16 bytes in network order: `high` holds the first eight. All zeros is invalid.
struct TraceId {
  std::uint64_t high = 0;
  std::uint64_t low = 0;

  // 32 hex digits in lower case, no terminator.
  [[nodiscard]] std::array<char, 32> to_hex() const noexcept;
  [[nodiscard]] constexpr bool is_valid() const noexcept { return (high | low) != 0; }
  // The 56 bits that Level 2's flag `random` speaks of (W3C Trace Context 2 §3.2.2.3).
  [[nodiscard]] constexpr std::uint64_t random_bits() const noexcept {
    return low & 0x00ff'ffff'ffff'ffff;
  }
  auto operator<=>(const TraceId&) const = default;  // NOLINT(modernize-use-nullptr)
};

// 64 bits in network order. All zeros is invalid.
struct SpanId {
  std::uint64_t value = 0;

  // 16 hex digits in lower case, no terminator.
  [[nodiscard]] std::array<char, 16> to_hex() const noexcept;
  [[nodiscard]] constexpr bool is_valid() const noexcept { return value != 0; }
  auto operator<=>(const SpanId&) const = default;  // NOLINT(modernize-use-nullptr)
};

// New ids, never zero, from this thread's generator (base/ids.h), which is seeded by the kernel and
// again in the child of a fork.
[[nodiscard]] inline TraceId make_trace_id() noexcept {
  TraceId id;
  do {
    id.high = random_u64();
    id.low = random_u64();
  } while (!id.is_valid());
  return id;
}
[[nodiscard]] inline SpanId make_span_id() noexcept {
  SpanId id;
  do {
    id.value = random_u64();
  } while (!id.is_valid());
  return id;
}

// Those of the root of a trace.
inline void make_ids(TraceId& trace_id, SpanId& span_id) noexcept {
  do {
    const auto [high, low, span] = random_words<3>();
    trace_id = {high, low};
    span_id = {span};
  } while (!trace_id.is_valid() || !span_id.is_valid());
}

// The trace-flags byte (W3C Trace Context 2 §3.2.2.5).
struct TraceFlags {
  static constexpr std::uint8_t kSampled = 0x01;
  static constexpr std::uint8_t kRandom = 0x02;
  std::uint8_t bits = 0;

  [[nodiscard]] constexpr bool sampled() const noexcept { return (bits & kSampled) != 0; }
  [[nodiscard]] constexpr bool random() const noexcept { return (bits & kRandom) != 0; }
  bool operator==(const TraceFlags&) const = default;
};

namespace detail {

// What all spans of one trace in this process share: see shared_trace.h.
class SharedTrace;
void retain(SharedTrace* shared) noexcept;
void release(SharedTrace* shared) noexcept;

class SharedTraceRef {
 public:
  constexpr SharedTraceRef() noexcept = default;
  // Takes over one reference.
  explicit SharedTraceRef(SharedTrace* shared) noexcept : shared_(shared) {}
  SharedTraceRef(const SharedTraceRef& other) noexcept : shared_(other.shared_) {
    if (shared_ != nullptr) retain(shared_);
  }
  SharedTraceRef(SharedTraceRef&& other) noexcept
      : shared_(std::exchange(other.shared_, nullptr)) {}
  SharedTraceRef& operator=(SharedTraceRef other) noexcept {
    std::swap(shared_, other.shared_);
    return *this;
  }
  ~SharedTraceRef() {
    if (shared_ != nullptr) release(shared_);
  }
  [[nodiscard]] SharedTrace* get() const noexcept { return shared_; }

 private:
  SharedTrace* shared_ = nullptr;
};

}  // namespace detail

// A default-constructed context is invalid: nobody's.
class SpanContext {
 public:
  constexpr SpanContext() noexcept = default;
  // `trace_state` is a tracestate field's value (see trace_context.h) or empty; it is copied, which
  // allocates until this thread has a spare buffer of that size.
  SpanContext(TraceId trace_id, SpanId span_id, TraceFlags flags, bool is_remote = false,
              std::string_view trace_state = {});

  [[nodiscard]] TraceId trace_id() const noexcept { return trace_id_; }
  [[nodiscard]] SpanId span_id() const noexcept { return span_id_; }
  [[nodiscard]] TraceFlags flags() const noexcept { return flags_; }
  [[nodiscard]] bool is_sampled() const noexcept { return flags_.sampled(); }
  // Whether it came from another process.
  [[nodiscard]] bool is_remote() const noexcept { return is_remote_; }
  [[nodiscard]] bool is_valid() const noexcept {
    return trace_id_.is_valid() && span_id_.is_valid();
  }
  // Lives as long as this context or a copy of it.
  [[nodiscard]] std::string_view trace_state() const noexcept;
  // The same context with another tracestate.
  [[nodiscard]] SpanContext with_trace_state(std::string_view trace_state) const;

 private:
  friend class Tracer;
  friend class Span;
  SpanContext(TraceId trace_id, SpanId span_id, TraceFlags flags,
              detail::SharedTraceRef shared) noexcept
      : trace_id_(trace_id), span_id_(span_id), flags_(flags), shared_(std::move(shared)) {}

  TraceId trace_id_;
  SpanId span_id_;
  TraceFlags flags_;
  bool is_remote_ = false;
  detail::SharedTraceRef shared_;
};

}  // namespace tyaprover::trace
