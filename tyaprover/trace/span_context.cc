#include "tyaprover/trace/span_context.h"

#include "tyaprover/trace/hex.h"
#include "tyaprover/trace/shared_trace.h"

namespace tyaprover::trace {

std::array<char, 32> TraceId::to_hex() const noexcept {
  std::array<char, 32> text;
  detail::write_hex(detail::write_hex(text.data(), high), low);
  return text;
}

std::array<char, 16> SpanId::to_hex() const noexcept {
  std::array<char, 16> text;
  detail::write_hex(text.data(), value);
  return text;
}

SpanContext::SpanContext(TraceId trace_id, SpanId span_id, TraceFlags flags, bool is_remote,
                         std::string_view trace_state)
    : trace_id_(trace_id), span_id_(span_id), flags_(flags), is_remote_(is_remote) {
  if (!trace_state.empty()) shared_ = detail::SharedTrace::make(trace_state, nullptr);
}

std::string_view SpanContext::trace_state() const noexcept {
  return shared_.get() == nullptr ? std::string_view() : shared_.get()->trace_state();
}

SpanContext SpanContext::with_trace_state(std::string_view trace_state) const {
  return {trace_id_, span_id_, flags_, is_remote_, trace_state};
}

}  // namespace tyaprover::trace
