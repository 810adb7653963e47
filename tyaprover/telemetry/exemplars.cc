#include "tyaprover/telemetry/exemplars.h"

#include <string_view>

#include "tyaprover/metrics/exemplar.h"
#include "tyaprover/trace/context.h"

namespace tyaprover::telemetry {
namespace {

metrics::Exemplar exemplar_of_active_span() noexcept {
  const trace::SpanContext& span = trace::current_context().span_context();
  if (!span.is_sampled() || !span.is_valid()) return {};
  const auto trace_id = span.trace_id().to_hex();
  const auto span_id = span.span_id().to_hex();
  return {{"trace_id", std::string_view(trace_id.data(), trace_id.size())},
          {"span_id", std::string_view(span_id.data(), span_id.size())}};
}

}  // namespace

void connect_exemplars() noexcept {
  metrics::set_exemplar_hook(&exemplar_of_active_span);
}

}  // namespace tyaprover::telemetry
