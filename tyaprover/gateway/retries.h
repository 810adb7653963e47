// Retries: whether a try of a request that failed is made again, and after which pause (R20, R34).
//
// SharedRetries is what all workers share for an app: its options, the budget and the counts.
// Thread-safe. The rules are pure functions.
//
//   resilience::RetrySequence sequence(shared.options(), now);      // per request
//   if (may_retry(config, end)) if (auto pause = sequence.next(error_of(end), deadline)) …
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>

#include "tyaprover/gateway/config.h"
#include "tyaprover/http/parser.h"
#include "tyaprover/http/reason.h"
#include "tyaprover/resilience/retry.h"
#include "tyaprover/resilience/retry_budget.h"

namespace tyaprover::gateway {

// How a try ended.
struct TryEnd {
  http::Reason reason = http::Reason::none;  // none: a response came
  int status = 0;                            // of the response
  bool nothing_sent = false;                 // the connect failed
  bool repeatable = false;                   // the whole request can be sent again
};

// Whether the method may be sent again after the upstream may have seen it.
[[nodiscard]] bool may_repeat(const RetryConfig& config, http::Method method) noexcept;
// Whether this end is one that another try may mend.
[[nodiscard]] bool may_retry(const RetryConfig& config, const TryEnd& end) noexcept;

// How long a response asks to be left alone (RFC 9110 §10.2.3); nothing if it does not.
[[nodiscard]] std::optional<Nanos> retry_after(const http::Fields& response);

class SharedRetries {
 public:
  explicit SharedRetries(const RetryConfig& config);

  [[nodiscard]] const resilience::RetryOptions& options() const noexcept { return options_; }

  // Relaxed: statistics.
  std::atomic<std::uint64_t> succeeded{0};  // retries that got a response which was passed on
  std::atomic<std::uint64_t> failed{0};
  std::atomic<std::uint64_t> denied{0};  // not made: over budget, or the pause would be too long

 private:
  resilience::RetryBudget budget_;
  resilience::RetryOptions options_;
};

}  // namespace tyaprover::gateway
