// Composition of policies with `|`, outermost first, and AnyPolicy, which forgets their types.
//
// A policy is a class that derives from Policy and has
//     run(const Deadline&, op) → what op returns, a Result<T, CallError>
// where op is called with a Deadline. A composition holds policies that are temporaries by value
// and named ones by reference, which must outlive it; it is as thread-safe as its parts, and adds
// no allocation and no indirection.
//
//   auto guarded = fallback(cached) | retry({.attempts = 3}) | breaker | bulkhead | timeout(2s);
//   Result<Price, CallError> price = guarded([&] { return ask_price(item); });
//
// What stands where decides what it sees:
//
//   retry | breaker      each attempt is a call of the breaker; retrying stops when it opens
//   breaker | retry      the breaker sees one outcome per sequence of attempts
//   breaker | bulkhead   a full bulkhead is shed, which the breaker does not count as failure
//   bulkhead | breaker   rejected calls hold a place for a moment
//   breaker | timeout    a timeout is a failure for the breaker
//   timeout | retry      one deadline for all attempts; retry does not begin a pause beyond it
//   retry | timeout      a deadline for each attempt
//   fallback | …         stands in for whatever came out of the rest
#pragma once

#include <concepts>
#include <functional>
#include <type_traits>
#include <utility>

#include "tyaprover/resilience/call.h"

namespace tyaprover::resilience {

// Marks policies, so that `|` is only theirs.
struct Policy {};

template <class P>
concept IsPolicy = std::derived_from<std::remove_cvref_t<P>, Policy>;

namespace detail {

template <class P>
class Held {
 public:
  explicit Held(P policy) : policy_(std::move(policy)) {}
  P& get() noexcept { return policy_; }

 private:
  P policy_;
};
template <class P>
class Held<P&> {
 public:
  explicit Held(P& policy) noexcept : policy_(&policy) {}
  P& get() const noexcept { return *policy_; }

 private:
  P* policy_;
};

}  // namespace detail

// Two policies, the outer around the inner. Outer and Inner are values or lvalue references.
template <class Outer, class Inner>
class Composed : public Policy {
 public:
  Composed(Outer&& outer, Inner&& inner)
      : outer_(std::forward<Outer>(outer)), inner_(std::forward<Inner>(inner)) {}

  template <class Op>
  auto run(const Deadline& deadline, Op&& op) {
    return outer_.get().run(deadline,
                            [&](const Deadline& within) { return inner_.get().run(within, op); });
  }
  // Calls `fn`, which may take a Deadline or a std::stop_token, through all policies.
  template <class F>
  auto operator()(F&& fn) {
    return call_until(Deadline(), std::forward<F>(fn));
  }
  // The same with the caller's deadline, stop token and clock.
  template <class F>
  auto call_until(const Deadline& deadline, F&& fn) {
    return run(deadline, [&fn](const Deadline& within) { return call(fn, within); });
  }

 private:
  detail::Held<Outer> outer_;
  detail::Held<Inner> inner_;
};

template <IsPolicy Outer, IsPolicy Inner>
[[nodiscard]] auto operator|(Outer&& outer, Inner&& inner) {
  return Composed<Outer, Inner>(std::forward<Outer>(outer), std::forward<Inner>(inner));
}

// Any policy for functions that return T, behind one type; costs two indirect calls and an
// allocation when it is made.
template <class T>
class AnyPolicy : public Policy {
 public:
  using Returned = Lifted<T>;

  template <IsPolicy P>
  explicit AnyPolicy(P policy)
      : run_([held = std::move(policy)](const Deadline& deadline, const Operation& op) mutable {
          return held.run(deadline, op);
        }) {}

  template <class Op>
  Returned run(const Deadline& deadline, Op&& op) {
    return run_(deadline, Operation(std::ref(op)));
  }
  template <class F>
  Returned operator()(F&& fn) {
    return run(Deadline(), [&fn](const Deadline& within) -> Returned { return call(fn, within); });
  }

 private:
  using Operation = std::function<Returned(const Deadline&)>;
  std::function<Returned(const Deadline&, const Operation&)> run_;
};

}  // namespace tyaprover::resilience
