#include "tyaprover/resilience/retry.h"

#include <algorithm>

namespace tyaprover::resilience {
namespace {

bool worth_another_attempt(const RetryOptions& options, const CallError& error) {
  if (error.kind == CallError::Kind::cancelled) return false;
  if (options.retry_on) return options.retry_on(error);
  const bool went_wrong =
      error.kind == CallError::Kind::failed || error.kind == CallError::Kind::timeout;
  return went_wrong && !error.ignored;
}

}  // namespace

std::optional<std::string> RetryOptions::validate() const {
  OptionCheck check;
  check.between("attempts", attempts, 1, 1000)
      .part("backoff", backoff.validate())
      .not_negative("max_retry_after", max_retry_after);
  check.rule(waiter != nullptr, "waiter", "null", "a waiter");
  check.rule(random != nullptr, "random", "empty", "a generator");
  return check.problem();
}

RetrySequence::RetrySequence(const RetryOptions& options, TimePoint now) noexcept
    : options_(&options) {
  if (options.budget) options.budget->on_request(now);
}

std::optional<Nanos> RetrySequence::next(const CallError& error, const Deadline& deadline) {
  if (retries_ + 1 >= options_->attempts || deadline.stop_requested()) return std::nullopt;
  if (!worth_another_attempt(*options_, error)) return std::nullopt;
  if (error.retry_after > options_->max_retry_after) return std::nullopt;
  last_ = options_->backoff.delay(retries_, last_, options_->random);
  const Nanos pause = std::max(last_, error.retry_after);
  if (pause >= deadline.left()) return std::nullopt;
  // Last, so that the budget is only spent on retries that are made.
  if (options_->budget && !options_->budget->try_retry(deadline.clock().now())) {
    return std::nullopt;
  }
  ++retries_;
  return pause;
}

}  // namespace tyaprover::resilience
