// SpanRing: finished spans on their way from one thread to the exporter's. Internal.
//
// One producer, one consumer, no locks. Spans are packed one after another into a ring of bytes, so
// a waiting span takes what it needs; a large one goes to the heap and leaves a pointer. The
// consumer reads spans where they lie and frees them when they are delivered.
//
// Invariant: released <= taken <= pushed, in spans; freed_bytes_ <= taken_bytes_ <= end_, in bytes.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "tyaprover/trace/span_data.h"

namespace tyaprover::trace::detail {

class SpanRing {
 public:
  // Bytes of ring per span of capacity: an ordinary span fits with its attributes.
  static constexpr std::size_t kBytesPerSpan = 512;

  explicit SpanRing(std::size_t max_spans);
  SpanRing(const SpanRing&) = delete;
  SpanRing& operator=(const SpanRing&) = delete;
  ~SpanRing();

  enum class Push : std::uint8_t { queued, queued_half_full, full };

  // Producer. Counts the span as produced, and as dropped when it is full.
  Push push(const SpanData& span);
  // Producer. Counts a span that came after the end.
  void drop() noexcept;

  // Consumer. The next span that was not taken yet, or nullptr; valid until release().
  [[nodiscard]] const SpanData* take() noexcept;
  // Consumer. Frees all spans that were taken.
  void release() noexcept;

  struct Counts {
    std::uint64_t produced = 0;
    std::uint64_t dropped_full = 0;
    std::uint64_t dropped_late = 0;
  };
  // Any thread. A drop is seen no earlier than its production.
  [[nodiscard]] Counts counts() const noexcept;

 private:
  enum class Kind : std::uint32_t { span, heap_span, wrap };
  struct Header {
    std::uint32_t size;  // of the record with this header, in bytes
    Kind kind;
  };

  // Room for `size` bytes at the end, or nullptr. Large sizes never have room.
  char* reserve(std::size_t size);
  // As far as the producer knows: it asks the consumer only when this says so.
  [[nodiscard]] bool looks_half_full() const noexcept;
  [[nodiscard]] Header* header_at(std::uint64_t position) const noexcept;

  const std::size_t max_spans_;
  const std::size_t capacity_;  // a power of two
  const std::unique_ptr<std::uint64_t[]> memory_;

  // Written by the producer only; each alone on its cache lines with what it uses.
  alignas(64) std::atomic<std::uint64_t> end_{0};  // bytes ever written
  std::atomic<std::uint64_t> produced_{0};
  std::atomic<std::uint64_t> dropped_full_{0};
  std::atomic<std::uint64_t> dropped_late_{0};
  std::uint64_t pushed_ = 0;
  std::uint64_t reserved_end_ = 0;
  std::uint64_t known_freed_bytes_ = 0;  // as last seen: saves reading the consumer's line
  std::uint64_t known_released_ = 0;

  // Written by the consumer only.
  alignas(64) std::atomic<std::uint64_t> freed_bytes_{0};
  std::atomic<std::uint64_t> released_{0};
  std::uint64_t taken_bytes_ = 0;
  std::uint64_t taken_ = 0;
};

}  // namespace tyaprover::trace::detail
