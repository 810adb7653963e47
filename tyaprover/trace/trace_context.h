// W3C Trace Context, Levels 1 and 2: the fields traceparent and tracestate.
//
// Pure functions, thread-safe.
//
//   headers.set("traceparent", TraceContext::format(span.context()));
//   std::optional<SpanContext> parent = TraceContext::parse(traceparent, tracestate);
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "tyaprover/trace/span_context.h"

namespace tyaprover::trace {

struct TraceContext {
  static constexpr std::size_t kSize = 55;

  // The value of a traceparent field in version 00, with the flags sampled and random (§3.2). An
  // invalid context gives all zeros, which everybody must ignore.
  [[nodiscard]] static std::string format(const SpanContext& context);
  // The same without allocating; no terminator.
  static void write(char (&out)[kSize], const SpanContext& context) noexcept;

  // Reads both fields; blanks around the values are ignored. nullopt when traceparent is invalid
  // (§3.2, §4.3): the trace starts anew. An invalid tracestate is dropped and the trace goes on.
  [[nodiscard]] static std::optional<SpanContext> parse(std::string_view traceparent,
                                                        std::string_view tracestate = {});
};

// The list of a tracestate field (§3.3). Keys follow the grammar of Level 1, a Recommendation with
// a test suite. Level 2, still a draft, also lets simple keys begin with a digit and puts no bounds
// on the parts around `@`; states with such keys are dropped, as every Level 1 peer would.
class TraceState {
 public:
  static constexpr std::size_t kMaxMembers = 32;
  static constexpr std::size_t kMaxWritten = 512;  // §3.3.1.5: what everybody passes on

  // Several fields' values as one: members in order, empty ones and blanks left out. nullopt when a
  // member breaks the grammar, a key comes twice or there are more than 32. `buffer` is used only
  // when the result is not simply a part of the first line.
  [[nodiscard]] static std::optional<std::string_view> join(std::span<const std::string_view> lines,
                                                            std::string& buffer);

  // The value of a key, or nothing. REQUIRES: `state` is valid, as for all below.
  [[nodiscard]] static std::optional<std::string_view> get(std::string_view state,
                                                           std::string_view key) noexcept;
  // The state with `key` in front (§3.4). When it grows beyond kMaxWritten, members of more than
  // 128 characters are left out first, then those at the end. An invalid key or value changes
  // nothing.
  [[nodiscard]] static std::string with(std::string_view state, std::string_view key,
                                        std::string_view value);
  [[nodiscard]] static std::string without(std::string_view state, std::string_view key);
};

}  // namespace tyaprover::trace
