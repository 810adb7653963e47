// retry(): makes a failed call again, after a pause that grows; and RetrySequence, which decides
// the same for callers that wait in their own way.
//
// The policy is thread-safe as its options are; a sequence belongs to one call. Only calls that may
// be repeated may be retried: whether that is so, the caller knows.
//
//   auto guarded = retry({.attempts = 3}) | breaker;      // blocks the thread in pauses
//
//   RetrySequence sequence(options);                       // coroutines, callbacks
//   while (failed)
//     if (auto pause = sequence.next(error, deadline)) co_await sleep(*pause); else break;
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "tyaprover/base/ids.h"
#include "tyaprover/resilience/backoff.h"
#include "tyaprover/resilience/option_check.h"
#include "tyaprover/resilience/policy.h"
#include "tyaprover/resilience/retry_budget.h"
#include "tyaprover/resilience/waiter.h"

namespace tyaprover::resilience {

struct RetryOptions {
  unsigned attempts = 3;  // the first call included
  Backoff backoff = {};
  // Which errors are worth another attempt. Default: timeout and failed ones; neither open (that
  // is what a breaker inside says to stop), nor shed, cancelled or ignored.
  std::function<bool(const CallError&)> retry_on = {};
  // An error may ask for a pause (retry_after). A longer one than this ends the sequence.
  Nanos max_retry_after = std::chrono::seconds(30);
  RetryBudget* budget = nullptr;  // borrowed; null = no limit
  Random random = random_u64;
  Waiter* waiter = &SteadyWaiter::instance();  // of the blocking form

  [[nodiscard]] std::optional<std::string> validate() const;
};

class RetrySequence {
 public:
  // Counts the call in the budget. Borrows the options.
  RetrySequence(const RetryOptions& options, TimePoint now) noexcept;

  // After an attempt that ended with `error`: how long to wait before the next one, or nothing if
  // there is none: the attempts are used up, the error is none to retry, the caller gave up, the
  // pause would not end before the deadline, or the budget is spent.
  [[nodiscard]] std::optional<Nanos> next(const CallError& error, const Deadline& deadline);
  // Retries so far.
  [[nodiscard]] unsigned retries() const noexcept { return retries_; }

 private:
  const RetryOptions* options_;
  unsigned retries_ = 0;
  Nanos last_{0};
};

class Retry : public Policy {
 public:
  // Throws std::invalid_argument if an option is wrong.
  explicit Retry(RetryOptions options) : options_(std::move(options)) {
    OptionCheck::require("retry", options_.validate());
  }

  template <class Op>
  auto run(const Deadline& deadline, Op&& op) {
    using Returned = decltype(op(deadline));
    RetrySequence sequence(options_, deadline.clock().now());
    for (;;) {
      Returned result = op(deadline);
      if (outcome_of(result) == Outcome::success) return result;
      const auto pause = sequence.next(error_of(result), deadline);
      if (!pause) return result;
      if (!options_.waiter->wait_until(after(deadline.clock().now(), *pause),
                                       deadline.stop_token())) {
        return Returned(err(CallError{.kind = CallError::Kind::cancelled}));
      }
    }
  }

 private:
  RetryOptions options_;
};

[[nodiscard]] inline Retry retry(RetryOptions options) {
  return Retry(std::move(options));
}

}  // namespace tyaprover::resilience
