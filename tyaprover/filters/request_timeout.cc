#include "tyaprover/filters/request_timeout.h"

#include <cassert>

#include "tyaprover/filters/route_settings.h"

namespace tyaprover::filters {

Verdict RequestTimeout::on_request(Exchange& exchange, State&) noexcept {
  assert(exchange.settings != nullptr);
  const Nanos timeout = exchange.settings->request_timeout.timeout;
  if (timeout > Nanos(0)) exchange.deadline = exchange.timings.head_parsed + timeout;
  return Verdict::proceed;
}

}  // namespace tyaprover::filters
