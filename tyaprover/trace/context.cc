#include "tyaprover/trace/context.h"

#include "tyaprover/trace/span.h"

namespace tyaprover::trace {
Scope::Scope(Span& span) noexcept
    : context_(span.context(), current_context().baggage()), span_(&span), outer_(innermost) {
  innermost = this;
}

Scope::Scope(Context context) noexcept : context_(std::move(context)), outer_(innermost) {
  innermost = this;
}

Scope::~Scope() {
  innermost = outer_;
}

}  // namespace tyaprover::trace
