// timeout(): a deadline for what is inside.
//
// A policy; thread-safe. It cannot stop a blocking function: it passes the deadline on, and what
// comes back later than that is a timeout, whatever it is. For a caller that must not wait longer
// see execute_on.h; awaitables are cancelled for real (tyaprover/awaitable/).
//
//   auto guarded = retry({}) | timeout(2s);   // two seconds for each attempt
#pragma once

#include "tyaprover/resilience/policy.h"

namespace tyaprover::resilience {

class Timeout : public Policy {
 public:
  explicit Timeout(Nanos limit) noexcept : limit_(limit) {}

  template <class Op>
  auto run(const Deadline& deadline, Op&& op) {
    using Returned = decltype(op(deadline));
    const Deadline own = deadline.not_after(after(deadline.clock().now(), limit_));
    Returned result = op(own);
    const Outcome outcome = outcome_of(result);
    if ((outcome == Outcome::success || outcome == Outcome::failure) && own.passed()) {
      return Returned(err(CallError{.kind = CallError::Kind::timeout}));
    }
    return result;
  }

 private:
  Nanos limit_;
};

[[nodiscard]] inline Timeout timeout(Nanos limit) noexcept {
  return Timeout(limit);
}

}  // namespace tyaprover::resilience
