// Outcome: how a protected call ended, as the policies count it; and OutcomeTraits, which reads it
// off what the call returned.
//
// Pure, thread-safe. Only success, failure and timeout enter a breaker's window; ignored and
// cancelled calls count nowhere; shed and rejected calls were never made.
//
//   template <>
//   struct OutcomeTraits<Reply> {
//     static Outcome outcome(const Reply& reply) noexcept {
//       return reply.status >= 500 ? Outcome::failure : Outcome::success;
//     }
//   };
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <system_error>

#include "tyaprover/base/result.h"

namespace tyaprover::resilience {

enum class Outcome : std::uint8_t {
  success,
  failure,
  timeout,    // a kind of failure
  ignored,    // an error that says nothing about the service
  cancelled,  // by the caller
  shed,       // by a bulkhead, a rate limit or a queue, before the service was asked
  rejected,   // by the breaker itself
};
inline constexpr std::size_t kOutcomes = 7;

// The word of metric labels and JSON.
[[nodiscard]] std::string_view to_string(Outcome outcome) noexcept;

[[nodiscard]] constexpr bool is_failure(Outcome outcome) noexcept {
  return outcome == Outcome::failure || outcome == Outcome::timeout;
}

// What a returned T says. Specialise it for types whose values can be failures.
template <class T>
struct OutcomeTraits {
  static constexpr Outcome outcome(const T&) noexcept { return Outcome::success; }
};

template <class T>
struct OutcomeTraits<std::optional<T>> {
  static constexpr Outcome outcome(const std::optional<T>& value) noexcept {
    return value ? OutcomeTraits<T>::outcome(*value) : Outcome::failure;
  }
};

template <>
struct OutcomeTraits<std::error_code> {
  static Outcome outcome(const std::error_code& code) noexcept {
    if (!code) return Outcome::success;
    if (code == std::errc::operation_canceled) return Outcome::cancelled;
    if (code == std::errc::timed_out) return Outcome::timeout;
    return Outcome::failure;
  }
};

// A Result with an error is what the error says, when its type has traits that can; otherwise a
// failure.
template <class T, class E>
struct OutcomeTraits<Result<T, E>> {
  static constexpr Outcome outcome(const Result<T, E>& result) noexcept {
    if (result) {
      if constexpr (std::is_void_v<T>) {
        return Outcome::success;
      } else {
        return OutcomeTraits<T>::outcome(*result);
      }
    }
    const Outcome said = OutcomeTraits<E>::outcome(result.error());
    return said == Outcome::success ? Outcome::failure : said;
  }
};

}  // namespace tyaprover::resilience
