#include "tyaprover/gateway/retries.h"

#include <algorithm>
#include <chrono>

#include "tyaprover/trace/http_exporter.h"

namespace tyaprover::gateway {

bool may_repeat(const RetryConfig& config, http::Method method) noexcept {
  return config.non_idempotent || http::is_idempotent(method);
}

bool may_retry(const RetryConfig& config, const TryEnd& end) noexcept {
  if (end.nothing_sent) return true;
  if (!end.repeatable) return false;
  switch (end.reason) {
    case http::Reason::none:
      return contain(config.statuses, end.status);
    case http::Reason::upstream_reset:
    case http::Reason::upstream_protocol_error:
    case http::Reason::upstream_response_timeout:
      return true;
    default:
      return false;
  }
}

std::optional<Nanos> retry_after(const http::Fields& response) {
  const http::Field* const field = response.find(http::KnownField::retry_after);
  if (field == nullptr) return std::nullopt;
  return trace::parse_retry_after(field->value, std::chrono::system_clock::now());
}

SharedRetries::SharedRetries(const RetryConfig& config)
    : budget_({.share = config.budget, .minimum = config.budget_minimum}),
      options_{
          .attempts = config.attempts,
          .backoff = {.first = config.backoff, .max = std::max(config.backoff, config.max_backoff)},
          .max_retry_after = config.max_retry_after,
          .budget = &budget_} {}

}  // namespace tyaprover::gateway
