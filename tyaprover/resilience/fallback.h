// fallback(): what stands in for a call that was open, timed out, shed or failed.
//
// A policy; as thread-safe as the function. It does not stand in for cancelled calls and ignored
// errors. The function takes the error or nothing; what it returns or throws is what the caller
// sees. A chain is made of fallbacks: the outer one gets the error of the inner.
//
//   auto price = fallback([] { return kListPrice; }) | fallback(other_shop) | breaker;
#pragma once

#include <utility>

#include "tyaprover/resilience/policy.h"

namespace tyaprover::resilience {

template <class F>
class Fallback : public Policy {
 public:
  explicit Fallback(F fn) : fn_(std::move(fn)) {}

  template <class Op>
  auto run(const Deadline& deadline, Op&& op) {
    auto result = op(deadline);
    if (outcome_of(result) == Outcome::success) return result;
    const CallError error = error_of(result);
    if (!allows_fallback(error)) return result;
    return detail::run_fallback<decltype(result)>(fn_, error);
  }

 private:
  F fn_;
};

template <class F>
[[nodiscard]] Fallback<F> fallback(F fn) {
  return Fallback<F>(std::move(fn));
}

}  // namespace tyaprover::resilience
