// CallError: why a protected call has no value of its own; and the exceptions that say the same in
// the throwing forms.
//
// A value type. It holds the exception that the function threw, if it threw one; a rejection holds
// nothing and costs no allocation.
//
//   auto reply = breaker.execute(fetch);
//   if (!reply && reply.error().kind == CallError::Kind::open) retry_in(reply.error().retry_after);
#pragma once

#include <exception>
#include <stdexcept>
#include <string>
#include <string_view>

#include "tyaprover/base/clock.h"
#include "tyaprover/resilience/outcome.h"

namespace tyaprover::resilience {

struct CallError {
  enum class Kind : std::uint8_t {
    open,       // the breaker admitted nothing
    timeout,    // the deadline passed
    shed,       // a bulkhead or a rate limit had no room
    cancelled,  // the caller gave up
    failed,     // the function threw (cause), or returned what its OutcomeTraits call a failure
  };

  Kind kind = Kind::failed;
  // When a further attempt makes sense; zero where nobody can know.
  Nanos retry_after{0};
  std::exception_ptr cause = {};
  // Of a failed call: the breaker was told to ignore this error, so no fallback stands in for it.
  bool ignored = false;
};

[[nodiscard]] std::string_view to_string(CallError::Kind kind) noexcept;
// One line for people: the kind, and what() of the cause.
[[nodiscard]] std::string describe(const CallError& error);

template <>
struct OutcomeTraits<CallError> {
  // open counts as shed: for whoever stands outside, the service was not asked.
  static constexpr Outcome outcome(const CallError& error) noexcept {
    switch (error.kind) {
      case CallError::Kind::open:
      case CallError::Kind::shed:
        return Outcome::shed;
      case CallError::Kind::timeout:
        return Outcome::timeout;
      case CallError::Kind::cancelled:
        return Outcome::cancelled;
      case CallError::Kind::failed:
        return error.ignored ? Outcome::ignored : Outcome::failure;
    }
    return Outcome::failure;
  }
};

// Whether a fallback may stand in: for open, timeout, shed and failed calls, but not for
// cancellation and ignored errors.
[[nodiscard]] constexpr bool allows_fallback(const CallError& error) noexcept {
  return error.kind != CallError::Kind::cancelled && !error.ignored;
}

// The throwing forms throw one of these, or the function's own exception. A function may throw
// them too: they are read as the kind that they name.
class CallException : public std::runtime_error {
 public:
  explicit CallException(const CallError& error)
      : std::runtime_error(describe(error)), error_(error) {}
  [[nodiscard]] const CallError& error() const noexcept { return error_; }

 private:
  CallError error_;
};
class BreakerOpen : public CallException {
 public:
  explicit BreakerOpen(Nanos retry_after = {})
      : CallException({.kind = CallError::Kind::open, .retry_after = retry_after}) {}
};
class CallTimeout : public CallException {
 public:
  CallTimeout() : CallException({.kind = CallError::Kind::timeout}) {}
};
class CallShed : public CallException {
 public:
  explicit CallShed(Nanos retry_after = {})
      : CallException({.kind = CallError::Kind::shed, .retry_after = retry_after}) {}
};
class CallCancelled : public CallException {
 public:
  CallCancelled() : CallException({.kind = CallError::Kind::cancelled}) {}
};

// Throws what `error` says: its cause if it has one, otherwise the exception of its kind.
[[noreturn]] void throw_error(const CallError& error);
// The exception that is being handled, as an error. REQUIRES: called inside a catch block.
[[nodiscard]] CallError current_call_error() noexcept;

}  // namespace tyaprover::resilience
