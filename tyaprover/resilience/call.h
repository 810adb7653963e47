// How every policy calls what it protects: one shape of result for functions that return, return
// void, return a Result or throw.
//
// Pure templates. A function that returns Result<U, CallError> keeps that type, so that policies
// nest without nesting their results; any other return type T becomes Result<T, CallError>, and a
// T that says "failure" (OutcomeTraits) is still handed to the caller as it is.
#pragma once

#include <functional>
#include <type_traits>
#include <utility>

#include "tyaprover/base/result.h"
#include "tyaprover/resilience/call_error.h"
#include "tyaprover/resilience/deadline.h"
#include "tyaprover/resilience/outcome.h"

namespace tyaprover::resilience {

namespace detail {

template <class T>
struct Lift {
  using type = Result<T, CallError>;
};
template <class T>
struct Lift<Result<T, CallError>> {
  using type = Result<T, CallError>;
};

// What a function is given behind its own arguments: nothing if it takes nothing, else the
// deadline, else the stop token.
template <class F, class... Args>
decltype(auto) invoke(F&& fn, const Deadline& deadline, Args&&... args) {
  if constexpr (std::is_invocable_v<F, Args...>) {
    return std::invoke(std::forward<F>(fn), std::forward<Args>(args)...);
  } else if constexpr (std::is_invocable_v<F, Args..., const Deadline&>) {
    return std::invoke(std::forward<F>(fn), std::forward<Args>(args)..., deadline);
  } else {
    static_assert(std::is_invocable_v<F, Args..., const std::stop_token&>,
                  "the function takes its arguments, and may take a Deadline or a std::stop_token "
                  "behind them");
    return std::invoke(std::forward<F>(fn), std::forward<Args>(args)..., deadline.stop_token());
  }
}

template <class F, class... Args>
using InvokeResult = std::remove_cvref_t<decltype(invoke(
    std::declval<F>(), std::declval<const Deadline&>(), std::declval<Args>()...))>;

}  // namespace detail

// T as a policy returns it: T itself if it is a Result<U, CallError>, else Result<T, CallError>.
template <class T>
using Lifted = typename detail::Lift<T>::type;
// What calling F with Args through a policy returns.
template <class F, class... Args>
using CallResult = Lifted<detail::InvokeResult<F, Args...>>;

// Calls `fn`; an exception becomes an error. Throws nothing but what moving the result throws.
template <class F, class... Args>
CallResult<F, Args...> call(F&& fn, const Deadline& deadline, Args&&... args) {
  try {
    if constexpr (std::is_void_v<detail::InvokeResult<F, Args...>>) {
      detail::invoke(std::forward<F>(fn), deadline, std::forward<Args>(args)...);
      return {};
    } else {
      return detail::invoke(std::forward<F>(fn), deadline, std::forward<Args>(args)...);
    }
  } catch (...) {
    return err(current_call_error());
  }
}

// The error of a call, or, when its value says failure, the error that a fallback or a retry sees
// in its place. Only meaningful for calls whose outcome is not success.
template <class T>
[[nodiscard]] CallError error_of(const Result<T, CallError>& result) {
  if (!result) return result.error();
  switch (OutcomeTraits<Result<T, CallError>>::outcome(result)) {
    case Outcome::timeout:
      return {.kind = CallError::Kind::timeout};
    case Outcome::cancelled:
      return {.kind = CallError::Kind::cancelled};
    case Outcome::shed:
    case Outcome::rejected:
      return {.kind = CallError::Kind::shed};
    case Outcome::ignored:
      return {.kind = CallError::Kind::failed, .ignored = true};
    case Outcome::success:
    case Outcome::failure:
      break;
  }
  return {.kind = CallError::Kind::failed};
}

template <class T>
[[nodiscard]] Outcome outcome_of(const Result<T, CallError>& result) noexcept {
  return OutcomeTraits<Result<T, CallError>>::outcome(result);
}

namespace detail {

// Runs a fallback with as much of (error, args…) as it takes; it may return anything that makes a
// Result<T, CallError>.
template <class R, class Fallback, class... Args>
R run_fallback(Fallback& fallback, const CallError& error, Args&... args) {
  const auto run = [&]() -> decltype(auto) {
    if constexpr (std::is_invocable_v<Fallback&, const CallError&, Args&...>) {
      return std::invoke(fallback, error, args...);
    } else if constexpr (std::is_invocable_v<Fallback&, Args&...>) {
      return std::invoke(fallback, args...);
    } else if constexpr (std::is_invocable_v<Fallback&, const CallError&>) {
      return std::invoke(fallback, error);
    } else {
      static_assert(std::is_invocable_v<Fallback&>,
                    "a fallback takes the error and the arguments, or a part of these");
      return std::invoke(fallback);
    }
  };
  try {
    if constexpr (std::is_void_v<decltype(run())>) {
      run();
      return {};
    } else {
      return run();
    }
  } catch (...) {
    return err(current_call_error());
  }
}

}  // namespace detail
}  // namespace tyaprover::resilience
