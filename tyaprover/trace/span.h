// Span: one piece of work with a start, an end and what is worth knowing about it.
//
// A move-only value, confined to one thread at a time; it may be ended on another thread than it
// was started on. A default-constructed span and one of a trace that is not sampled accept every
// call and keep nothing. A span must not outlive the provider that made it. It ends when end() is
// called or when it is destroyed; after that every call is ignored.
//
//   Span span = tracer.start_span("database-query", {.attributes = {{"db.system", "postgresql"}}});
//   span.set_attribute("rows", 42);
//   span.add_event("retry", {{"n", 1}});
//   span.set_status(SpanStatus::ok);
//
// Watched by trace_bench: starting, ten attributes and ending allocate nothing.
#pragma once

#include <chrono>
#include <exception>
#include <initializer_list>
#include <optional>
#include <string_view>
#include <utility>

#include "tyaprover/trace/attribute.h"
#include "tyaprover/trace/span_context.h"
#include "tyaprover/trace/span_data.h"

namespace tyaprover::trace {

namespace detail {
struct Recording;
}

using WallTime = std::chrono::system_clock::time_point;

// A span that this one belongs with, without being its child.
struct Link {
  SpanContext context;
  std::initializer_list<Attribute> attributes = {};
};

// Borrowed for the length of the call that it is given to: attributes and links in braces die with
// the statement, so do not keep an instance.
struct SpanOptions {
  SpanContext parent = {};  // invalid = the current context's span, see Scope
  bool root = false;        // true = no parent, a new trace
  SpanKind kind = SpanKind::internal;
  std::initializer_list<Attribute> attributes = {};
  std::initializer_list<Link> links = {};
  std::optional<WallTime> start_time = {};  // nothing = now
  // For a span without parent: whether it is sampled, instead of asking the sampler (B3's lone
  // sampling state).
  std::optional<bool> sampled = {};
};

class [[nodiscard]] Span {
 public:
  Span() noexcept = default;
  Span(Span&& other) noexcept
      : context_(std::move(other.context_)), recording_(std::exchange(other.recording_, nullptr)) {}
  Span& operator=(Span&& other) noexcept;
  Span(const Span&) = delete;
  Span& operator=(const Span&) = delete;
  ~Span() {
    if (recording_ != nullptr) finish(std::nullopt);
  }

  // Keeps nothing: stands for a span that somebody else keeps, as the parent of others.
  [[nodiscard]] static Span stand_in(const SpanContext& context) { return Span(context, nullptr); }

  // Stays valid after the end.
  [[nodiscard]] const SpanContext& context() const noexcept { return context_; }
  // Whether anything that is set is kept: to save the work of computing it.
  [[nodiscard]] bool is_recording() const noexcept { return recording_ != nullptr; }

  // The last value of a key wins. An empty key, and keys over the provider's limit, are dropped;
  // the latter are counted.
  Span& set_attribute(Text key, AttributeValue value) {
    if (recording_ != nullptr) record_attribute(key, value);
    return *this;
  }
  // The event's time is now unless given.
  Span& add_event(Text name, std::initializer_list<Attribute> attributes = {},
                  std::optional<WallTime> time = {}) {
    if (recording_ != nullptr) record_event(name, {attributes.begin(), attributes.size()}, time);
    return *this;
  }
  Span& add_link(const SpanContext& context, std::initializer_list<Attribute> attributes = {}) {
    if (recording_ != nullptr) record_link(context, {attributes.begin(), attributes.size()});
    return *this;
  }
  // ok is final; unset changes nothing; the description is kept for error only.
  Span& set_status(SpanStatus status, Text description = {});
  Span& set_name(Text name);
  // The event `exception` with exception.type, exception.message and, if given,
  // exception.stacktrace. The status is the caller's.
  Span& record_exception(const std::exception& exception, std::string_view stack = {});
  // The same for whatever was thrown.
  Span& record_exception(const std::exception_ptr& exception);

  void end() {
    if (recording_ != nullptr) finish(std::nullopt);
  }
  // An end before the start counts as the start.
  void end(WallTime at) {
    if (recording_ != nullptr) finish(at);
  }

 private:
  friend class Tracer;
  Span(SpanContext context, detail::Recording* recording) noexcept
      : context_(std::move(context)), recording_(recording) {}

  void record_attribute(Text key, AttributeValue value);
  void record_event(Text name, std::span<const Attribute> attributes, std::optional<WallTime> time);
  void record_link(const SpanContext& context, std::span<const Attribute> attributes);
  void finish(std::optional<WallTime> at) noexcept;

  SpanContext context_;
  detail::Recording* recording_ = nullptr;
};

}  // namespace tyaprover::trace
