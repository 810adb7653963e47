// For tests: one protected call in each of the forms that a breaker can be used in, so that every
// rule of the state machine is tested in all of them.
#pragma once

#include <gtest/gtest.h>

#include <coroutine>
#include <exception>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>

#include "tyaprover/resilience/circuit_breaker.h"

namespace tyaprover::resilience::call_forms {

enum class Form { sync, permit, coroutine };

inline std::string form_name(const testing::TestParamInfo<Form>& info) {
  switch (info.param) {
    case Form::sync:
      return "Sync";
    case Form::permit:
      return "Permit";
    case Form::coroutine:
      return "Coroutine";
  }
  return "Unknown";
}

// An error that the breakers of these tests are told to ignore.
struct NotTheServicesFault : std::runtime_error {
  NotTheServicesFault() : std::runtime_error("not the service's fault") {}
};
inline bool is_ignored(const CallError& error) {
  try {
    std::rethrow_exception(error.cause);
  } catch (const NotTheServicesFault&) {
    return true;
  } catch (...) {
    return false;
  }
}

inline void end_as(Outcome outcome) {
  switch (outcome) {
    case Outcome::success:
      return;
    case Outcome::failure:
      throw std::runtime_error("down");
    case Outcome::timeout:
      throw CallTimeout();
    case Outcome::ignored:
      throw NotTheServicesFault();
    case Outcome::cancelled:
      throw CallCancelled();
    case Outcome::shed:
    case Outcome::rejected:
      throw CallShed();
  }
}

// The least coroutine: runs at once, is resumed by hand, and frees itself at its end.
struct Detached {
  struct promise_type {
    Detached get_return_object() {
      return {std::coroutine_handle<promise_type>::from_promise(*this)};
    }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() noexcept {}
    void unhandled_exception() { std::terminate(); }
  };
  std::coroutine_handle<> handle;
};

inline Detached call_in_coroutine(CircuitBreaker& breaker, std::optional<Rejection>& rejection,
                                  bool& suspended, const Outcome& outcome) {
  auto permit = breaker.try_acquire();
  if (!permit) {
    rejection = permit.error();
    co_return;
  }
  suspended = true;
  co_await std::suspend_always();
  permit->settle(outcome);
}

// Makes a call that ends as `outcome`; `meanwhile` runs while it is under way. Returns the
// rejection, if it was rejected.
inline std::optional<Rejection> call(
    Form form, CircuitBreaker& breaker, Outcome outcome,
    const std::function<void()>& meanwhile = [] {}) {
  switch (form) {
    case Form::sync: {
      const auto result = breaker.execute([&] {
        meanwhile();
        end_as(outcome);
      });
      if (result || result.error().kind != CallError::Kind::open) return std::nullopt;
      return Rejection{breaker.state(), result.error().retry_after};
    }
    case Form::permit: {
      auto permit = breaker.try_acquire();
      if (!permit) return permit.error();
      meanwhile();
      // Half of the cancelled ones are only dropped, as a caller would that forgot them.
      static bool drop = false;
      if (outcome == Outcome::cancelled && (drop = !drop)) return std::nullopt;
      permit->settle(outcome);
      return std::nullopt;
    }
    case Form::coroutine: {
      std::optional<Rejection> rejection;
      bool suspended = false;
      const Detached running = call_in_coroutine(breaker, rejection, suspended, outcome);
      if (!suspended) return rejection;
      meanwhile();
      running.handle.resume();
      return std::nullopt;
    }
  }
  return std::nullopt;
}

}  // namespace tyaprover::resilience::call_forms
