// SpanData: a finished span, as processors and exporters see it.
//
// A view: trivially copyable, owns nothing. What it points to lives as long as whoever hands it out
// says (for an exporter: during the call). pack() makes an owned copy in one block of memory: the
// structure first, then everything it points to, except text that lives for ever.
//
//   void export_spans(std::span<const SpanData> spans) {
//     for (const SpanData& span : spans) use(span.name, span.end_unix_nanos -
//     span.start_unix_nanos);
//   }
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tyaprover/trace/attribute.h"
#include "tyaprover/trace/span_context.h"

namespace tyaprover::trace {

enum class SpanKind : std::uint8_t { internal, server, client, producer, consumer };
[[nodiscard]] std::string_view to_string(SpanKind kind) noexcept;

enum class SpanStatus : std::uint8_t { unset, ok, error };
[[nodiscard]] std::string_view to_string(SpanStatus status) noexcept;

// What a process says of itself in all its spans, in the order given.
using Resource = std::vector<std::pair<std::string, std::string>>;

// The library that made a span, and the process it runs in. Interned: lives for ever.
struct InstrumentationScope {
  std::string name;
  std::string version;
  Resource resource;
};
// The one instance with these values. Instances are never freed, so that spans may be kept beyond
// the provider that made them; there are as many as there are libraries.
[[nodiscard]] const InstrumentationScope& intern(InstrumentationScope scope);

struct EventData {
  Text name;
  std::int64_t unix_nanos = 0;
  std::span<const AttributeData> attributes;
  std::uint32_t dropped_attributes = 0;
};

struct LinkData {
  TraceId trace_id;
  SpanId span_id;
  TraceFlags flags;
  bool is_remote = false;
  Text trace_state;
  std::span<const AttributeData> attributes;
  std::uint32_t dropped_attributes = 0;
};

struct SpanData {
  TraceId trace_id;
  SpanId span_id;
  SpanId parent_span_id;  // invalid for the root of a trace
  TraceFlags flags;
  bool parent_is_remote = false;
  SpanKind kind = SpanKind::internal;
  SpanStatus status = SpanStatus::unset;
  std::uint32_t dropped_attributes = 0;
  std::uint32_t dropped_events = 0;
  std::uint32_t dropped_links = 0;
  Text name;
  Text status_description;
  Text trace_state;
  std::int64_t start_unix_nanos = 0;
  std::int64_t end_unix_nanos = 0;
  std::span<const AttributeData> attributes;
  std::span<const EventData> events;
  std::span<const LinkData> links;
  const InstrumentationScope* scope = nullptr;  // never null

  // The value of an attribute, or nullptr.
  [[nodiscard]] const AttributeData* find(std::string_view key) const noexcept;
};

// What pack() needs, in bytes.
struct PackedSize {
  std::size_t arrays = 0;  // of the whole, what must be aligned
  std::size_t total = 0;   // a multiple of 8
};
[[nodiscard]] PackedSize packed_size(const SpanData& span) noexcept;
// Copies a span to `to`. REQUIRES: `size` is packed_size(span); `to` is aligned to 8 and has
// size.total bytes.
SpanData* pack(const SpanData& span, PackedSize size, char* to) noexcept;

// A packed span on the heap.
class OwnedSpan {
 public:
  explicit OwnedSpan(const SpanData& span);
  [[nodiscard]] const SpanData& operator*() const noexcept { return *data_; }
  [[nodiscard]] const SpanData* operator->() const noexcept { return data_; }

 private:
  std::unique_ptr<std::uint64_t[]> memory_;
  const SpanData* data_;
};

}  // namespace tyaprover::trace
