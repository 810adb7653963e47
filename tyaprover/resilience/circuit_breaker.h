// CircuitBreaker: stops calling a service that keeps failing, and finds out when it works again.
//
// Thread-safe. Not movable; hold it where its service lives, or in a BreakerRegistry. It must
// outlive its permits. No thread, no timer: every transition happens inside a caller's call.
//
//   CircuitBreaker breaker({.name = "billing", .failure_threshold = 5, .reset_timeout = 60s});
//   auto reply = breaker.execute([&] { return fetch(url); });     // Result<Reply, CallError>
//   if (!reply) log(describe(reply.error()));   // open, timeout, shed, cancelled or failed
//
// A blocking function cannot be stopped from outside. execute() hands a Deadline, or the caller's
// stop token, to functions that take one, and judges at their return: what came too late is a
// timeout. execute_on() (execute_on.h) runs the function elsewhere and leaves it at the deadline;
// awaitables are cancelled for real (tyaprover/awaitable/).
//
// Where a function does not suit, take a permit; it works for callbacks and any kind of coroutine:
//
//   if (auto permit = breaker.try_acquire()) {
//     …                        // the permit may move to another thread
//     permit->success();       // or failure(), timeout(), …; unsettled means cancelled
//   }
//
//         ┌────────┐  too many failures or slow calls   ┌──────┐
//         │ CLOSED │ ─────────────────────────────────► │ OPEN │ ◄─────────┐
//         └────────┘                                    └──────┘           │
//              ▲                                            │ first call   │ a trial fails
//              │          enough trials succeed       ┌───────────┐ due     │ or is lost
//              └───────────────────────────────────── │ HALF_OPEN │ ────────┘
//                                                     └───────────┘
//
// Every transition begins a new generation. A permit belongs to the generation that admitted it,
// and an outcome of an old one changes the totals and nothing else.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "tyaprover/base/clock.h"
#include "tyaprover/base/ids.h"
#include "tyaprover/base/result.h"
#include "tyaprover/resilience/backoff.h"
#include "tyaprover/resilience/breaker_stats.h"
#include "tyaprover/resilience/call.h"
#include "tyaprover/resilience/call_totals.h"
#include "tyaprover/resilience/deadline.h"
#include "tyaprover/resilience/outcome.h"
#include "tyaprover/resilience/policy.h"
#include "tyaprover/resilience/rolling_window.h"

namespace tyaprover::resilience {

enum class BreakerMode : std::uint8_t {
  normal,
  disabled,      // admits everything and records nothing
  metrics_only,  // admits everything and records; says once per crossing that it would have opened
};
[[nodiscard]] std::string_view to_string(BreakerMode mode) noexcept;

// How the open period grows with every trial that fails, until the breaker closes.
struct OpenBackoff {
  double factor = 2;  // at least 1
  Nanos max = std::chrono::minutes(5);
  double jitter = 0.2;  // 0 to 1: each period is scattered by up to this share, both ways
};

struct CircuitBreakerOptions {
  std::string name = {};           // label of its metrics; must not be empty
  unsigned failure_threshold = 5;  // consecutive failures that open it; 0 = off, at most 65535
  Nanos reset_timeout = std::chrono::seconds(60);  // in open before the first trial call
  Nanos timeout = std::chrono::seconds(10);        // of one call; 0 = none
  // Fraction of failed calls in the window that opens it, 0 < x ≤ 1; nullopt = off.
  std::optional<double> error_threshold_percentage = 0.5;
  unsigned minimum_requests = 10;  // below so many completed calls in the window no fraction counts
  Nanos rolling_window = std::chrono::seconds(10);
  std::optional<OpenBackoff> backoff = std::nullopt;  // none = always reset_timeout
  unsigned half_open_max = 1;                         // trial calls at once, 1 to 1024
  unsigned half_open_required = 1;                    // successful trials that close it
  unsigned half_open_failures_allowed = 0;            // failed trials that do not open it again
  // A trial that is not settled by then counts as failed; default: timeout, else reset_timeout.
  std::optional<Nanos> half_open_lease = std::nullopt;
  // Calls that take longer are slow; nullopt = no call is.
  std::optional<Nanos> slow_call = std::nullopt;
  double slow_call_threshold = 1.0;  // fraction of slow calls in the window that opens it
  Nanos warm_up = Nanos(0);          // no rule or health check opens it during its first so long
  // Of an error with an exception: whether it says nothing about the service.
  std::function<bool(const CallError&)> ignore = {};
  // Of an error with an exception that is not ignored: whether the service failed. Default: yes.
  std::function<bool(const CallError&)> is_failure = {};
  BreakerMode mode = BreakerMode::normal;
  bool health_success_closes = false;  // see report_health()
  const Clock* clock = &SteadyClock::instance();
  Random random = random_u64;  // for the jitter

  // What is wrong with a field, naming it and its value; nothing if all is right.
  [[nodiscard]] std::optional<std::string> validate() const;
};

enum class TransitionCause : std::uint8_t {
  consecutive_failures,
  failure_rate,
  slow_rate,
  trial_due,         // the open period is over
  trials_succeeded,  // half_open_required of them
  trial_failed,
  trial_lost,  // not settled within its lease
  manual,
  isolated,
  health,
  imported,
};
[[nodiscard]] std::string_view to_string(TransitionCause cause) noexcept;

struct TransitionEvent {
  std::string_view breaker;
  BreakerState from;
  BreakerState to;
  TransitionCause cause;
  std::uint64_t generation;  // the one that begins
  TimePoint at;
  // What had been counted when it happened.
  WindowCounts window;
  unsigned consecutive_failures = 0;
  Nanos open_for{0};          // the open period that begins, if one does
  bool hypothetical = false;  // metrics_only: it would have opened and did not
};

struct OutcomeEvent {
  std::string_view breaker;
  Outcome outcome;
  Nanos duration;     // 0 for a rejection
  bool slow = false;  // longer than slow_call
  bool late = false;  // of a generation that is over: it changed the totals only
};

struct Rejection {
  BreakerState state = BreakerState::open;
  // Time left in the open period; zero when a trial is running or the breaker is isolated, because
  // then nobody knows.
  Nanos retry_after{0};
};

enum class TransitionError : std::uint8_t {
  illegal,   // closed → half-open
  isolated,  // while a handle of isolate() lives
};
[[nodiscard]] std::string_view to_string(TransitionError error) noexcept;

// The state of a breaker as it is carried to another process or the next configuration. Times are
// relative, so they mean the same on another clock.
struct BreakerSnapshot {
  struct Slot {
    Nanos age{0};  // since the slot began
    WindowCounts counts;
  };
  BreakerState state = BreakerState::closed;
  Nanos open_left{0};  // 0 = the next call is a trial
  unsigned attempt = 0;
  unsigned consecutive_failures = 0;
  std::vector<Slot> window = {};  // oldest first; only slots that counted something
};

class CircuitBreaker : public Policy {
 public:
  class Permit;
  class Isolation;

  // Throws std::invalid_argument, naming the field and its value, if an option is wrong.
  explicit CircuitBreaker(CircuitBreakerOptions options);
  ~CircuitBreaker();
  CircuitBreaker(const CircuitBreaker&) = delete;
  CircuitBreaker& operator=(const CircuitBreaker&) = delete;

  // ── Calls ──

  // Calls fn(args…) if the breaker admits it. `T` that fn returns becomes Result<T, CallError>; a
  // Result<U, CallError> stays as it is.
  template <class F, class... Args>
  CallResult<F, Args...> execute(F&& fn, Args&&... args) {
    return execute_until(Deadline(TimePoint::max(), *options_.clock), std::forward<F>(fn),
                         std::forward<Args>(args)...);
  }
  // The same within the caller's own deadline and stop token. When the caller has requested a stop
  // and the call did not succeed, it is cancelled and no failure.
  template <class F, class... Args>
  CallResult<F, Args...> execute_until(const Deadline& deadline, F&& fn, Args&&... args);
  // `fallback` stands in when the call was open, timed out, shed or failed, exactly once. It takes
  // (const CallError&, args…), (args…), (const CallError&) or nothing; what it throws or returns is
  // what the caller sees. The arguments are passed to both as lvalues.
  template <class Fallback, class F, class... Args>
  CallResult<F, Args&...> execute_with_fallback(Fallback&& fallback, F&& fn, Args&&... args);
  // Returns the value, or throws BreakerOpen, CallTimeout, CallShed, CallCancelled or what fn
  // threw.
  template <class F, class... Args>
  detail::InvokeResult<F, Args...> execute_or_throw(F&& fn, Args&&... args);
  // As a policy in a composition.
  template <class Op>
  auto run(const Deadline& deadline, Op&& op) {
    return execute_until(deadline, std::forward<Op>(op));
  }
  // The function with this breaker around it, as an object; the breaker must outlive it.
  template <class F>
  [[nodiscard]] auto wrap(F fn);

  // ── Permits ──

  // Admits or rejects at once; costs no allocation, lock or exception, but a lock for the calls
  // that move the state or take a trial. `now` is the clock's time, for callers that have just read
  // it.
  [[nodiscard]] Result<Permit, Rejection> try_acquire() noexcept;
  [[nodiscard]] Result<Permit, Rejection> try_acquire(TimePoint now) noexcept;

  // Settles a permit by what its call returned, as execute() does, and hands that on: for callers
  // that make the call themselves, such as coroutines. Deadlines are theirs.
  template <class T>
  Result<T, CallError> settle_call(Permit& permit, Result<T, CallError> result) noexcept {
    return judge(permit, Deadline(TimePoint::max(), *options_.clock), std::move(result));
  }

  // ── By hand ──

  // Opens it, for `period` or else for the period that is due (reset_timeout and its backoff). No
  // effect while it is open: the time left does not change.
  void open(std::optional<Nanos> period = std::nullopt);
  // Closes it, with an empty window. No effect while it is closed.
  Result<void, TransitionError> close();
  // The next call is a trial. Refused while it is closed.
  Result<void, TransitionError> half_open();
  // As new: closed, the window empty, the backoff at its first period. The totals stay, because
  // counters only grow.
  Result<void, TransitionError> reset();
  // Open until the last handle is gone, whatever the time; then the next call is a trial.
  [[nodiscard]] Isolation isolate();
  // What a health check of the owner found: a failure opens it; a success closes it if
  // health_success_closes is set.
  void report_health(bool healthy);

  // ── Seen from outside ──

  [[nodiscard]] BreakerState state() const noexcept {
    return state_of(word_.load(std::memory_order_acquire));
  }
  [[nodiscard]] BreakerStats stats() const;
  [[nodiscard]] const std::string& name() const noexcept { return options_.name; }
  [[nodiscard]] const CircuitBreakerOptions& options() const noexcept { return options_; }

  // Listeners are called for as long as the breaker lives, after its locks are released: of
  // transitions in their order, of outcomes by the thread that settled the call. They may call the
  // breaker. What they throw is swallowed and counted (stats().listener_errors).
  void on_transition(std::function<void(const TransitionEvent&)> listener);
  void on_outcome(std::function<void(const OutcomeEvent&)> listener);

  [[nodiscard]] BreakerSnapshot export_state() const;
  // Takes the state of another breaker: closed with its counts; open with the time left; half-open
  // as open whose next call is a trial. Refused while isolated.
  Result<void, TransitionError> import_state(const BreakerSnapshot& snapshot);

 private:
  // One trial call of the half-open state.
  struct Trial {
    std::uint64_t id;
    TimePoint lease_end;
  };
  template <class Event>
  struct Listener {
    std::function<void(const Event&)> call;
    std::atomic<Listener*> next{nullptr};
  };

  // word_: state 2 bits, consecutive failures 16, version 16, generation 30. The version counts
  // outcomes while the window holds what may open the breaker.
  static constexpr unsigned kStateBits = 2;
  static constexpr unsigned kConsecutiveBits = 16;
  static constexpr unsigned kVersionBits = 16;
  static constexpr unsigned kMaxConsecutive = (1U << kConsecutiveBits) - 1;
  static constexpr std::uint64_t kOneVersion = 1ULL << (kStateBits + kConsecutiveBits);
  static constexpr unsigned kGenerationShift = kStateBits + kConsecutiveBits + kVersionBits;
  [[nodiscard]] static constexpr BreakerState state_of(std::uint64_t word) noexcept {
    return static_cast<BreakerState>(word & ((1U << kStateBits) - 1));
  }
  [[nodiscard]] static constexpr unsigned consecutive_of(std::uint64_t word) noexcept {
    return static_cast<unsigned>(word >> kStateBits) & kMaxConsecutive;
  }
  [[nodiscard]] static constexpr std::uint64_t generation_of(std::uint64_t word) noexcept {
    return word >> kGenerationShift;
  }
  [[nodiscard]] static constexpr std::uint64_t make_word(BreakerState state, unsigned consecutive,
                                                         std::uint64_t generation) noexcept {
    return generation << kGenerationShift | std::uint64_t{consecutive} << kStateBits |
           static_cast<std::uint64_t>(state);
  }
  // The word of the same generation with this many failures, and a new version.
  [[nodiscard]] static constexpr std::uint64_t with_consecutive(std::uint64_t word,
                                                                unsigned consecutive) noexcept {
    const std::uint64_t mask = (kOneVersion << kVersionBits) - kOneVersion;
    const std::uint64_t version = (word + kOneVersion) & mask;
    return make_word(state_of(word), consecutive, generation_of(word)) | version;
  }

  [[nodiscard]] Result<Permit, Rejection> acquire_unclosed(std::uint64_t word,
                                                           TimePoint now) noexcept;
  [[nodiscard]] Result<Permit, Rejection> reject(BreakerState state, Nanos retry_after) noexcept;
  void settle(const Permit& permit, Outcome outcome, TimePoint now, Nanos took) noexcept;
  bool settle_closed(std::uint64_t generation, bool failure, bool slow, TimePoint now) noexcept;
  bool settle_trial(const Permit& permit, Outcome outcome, TimePoint now) noexcept;
  [[nodiscard]] std::optional<TransitionCause> rate_cause(std::uint64_t epoch,
                                                          std::uint64_t generation) const noexcept;
  void watch_crossing(std::uint64_t generation, std::optional<TransitionCause> cause,
                      TimePoint now) noexcept;
  // REQUIRE mutex_; end in deliver().
  [[nodiscard]] bool expire_trials(TimePoint now) noexcept;
  void add_trial_failure(TransitionCause cause, TimePoint now) noexcept;
  void update_half_open_gate() noexcept;
  [[nodiscard]] Nanos next_open_period() const;
  // Opens it if word_ still is `word`; else reads that anew.
  [[nodiscard]] bool begin_open(std::uint64_t& word, unsigned consecutive, TransitionCause cause,
                                TimePoint now, Nanos period) noexcept;
  void force_open(TransitionCause cause, TimePoint now, Nanos period) noexcept;
  void begin_half_open(TransitionCause cause, TimePoint now) noexcept;
  void begin_closed(TransitionCause cause, TimePoint now) noexcept;
  void note(BreakerState from, BreakerState to, TransitionCause cause, TimePoint now,
            unsigned consecutive, Nanos open_for, bool hypothetical = false) noexcept;
  void deliver(std::unique_lock<std::mutex>& lock) noexcept;
  template <class Event>
  void tell(const std::atomic<Listener<Event>*>& first, const Event& event) const noexcept;
  template <class Event>
  void append(std::atomic<Listener<Event>*>& first, std::function<void(const Event&)> call);
  void end_isolation() noexcept;
  template <class T>
  Result<T, CallError> judge(Permit& permit, const Deadline& deadline,
                             Result<T, CallError> result) noexcept;
  [[nodiscard]] bool says(const std::function<bool(const CallError&)>& predicate,
                          const CallError& error, bool otherwise) const noexcept;

  // What every call reads. Loads of word_ acquire: whoever sees a state sees what was prepared for
  // it (the cleared window, the gate). Transitions store it under mutex_; the count of consecutive
  // failures is changed without.
  alignas(64) std::atomic<std::uint64_t> word_;
  // While not closed: calls before this time are rejected without a lock. Relaxed: a stale value
  // sends a caller to the lock, or rejects it as if it had come a moment earlier.
  std::atomic<TimePoint::rep> gate_;
  std::atomic<Listener<OutcomeEvent>*> outcome_listeners_{nullptr};
  const BreakerMode mode_;
  const bool judges_rates_;
  const Nanos slow_call_;  // Nanos::max() = no call is slow
  const TimePoint warm_until_;
  mutable std::atomic<std::uint64_t> listener_errors_{0};
  CallTotals totals_;
  RollingWindow window_;

  CircuitBreakerOptions options_;

  // Guards all below, and transitions.
  mutable std::mutex mutex_;
  std::vector<Trial> trials_;            // running ones; reserved for half_open_max
  std::vector<TransitionEvent> events_;  // not yet delivered
  std::atomic<Listener<TransitionEvent>*> transition_listeners_{nullptr};
  std::uint64_t window_generation_ = 0;  // the last one that was closed
  std::uint64_t next_trial_ = 1;
  TimePoint since_;  // when the state began
  TimePoint open_until_ = TimePoint::max();
  unsigned attempt_ = 0;  // trials that failed since it was closed
  unsigned trial_successes_ = 0;
  unsigned trial_failures_ = 0;
  unsigned isolations_ = 0;
  bool delivering_ = false;
  bool crossed_ = false;  // metrics_only: a rule holds, and that was said
};

// The right to make one call. Settle it once with what came of it; unsettled, it is cancelled when
// it is destroyed. Movable, also between threads; not thread-safe.
class [[nodiscard]] CircuitBreaker::Permit {
 public:
  Permit(Permit&& other) noexcept
      : breaker_(std::exchange(other.breaker_, nullptr)),
        generation_(other.generation_),
        trial_(other.trial_),
        start_(other.start_) {}
  Permit& operator=(Permit&& other) noexcept {
    if (this != &other) {
      cancel();
      breaker_ = std::exchange(other.breaker_, nullptr);
      generation_ = other.generation_;
      trial_ = other.trial_;
      start_ = other.start_;
    }
    return *this;
  }
  ~Permit() {
    if (breaker_) cancel();
  }

  void success() noexcept { settle(Outcome::success); }
  void failure() noexcept { settle(Outcome::failure); }
  void timeout() noexcept { settle(Outcome::timeout); }
  void ignore() noexcept { settle(Outcome::ignored); }
  void cancel() noexcept { settle(Outcome::cancelled); }
  void shed() noexcept { settle(Outcome::shed); }

  // The first settling counts; further ones have no effect. A rejected outcome is a programming
  // error: it counts as shed.
  void settle(Outcome outcome) noexcept {
    if (breaker_) settle(outcome, breaker_->options_.clock->now());
  }
  // `now` is the clock's time, for callers that have just read it.
  void settle(Outcome outcome, TimePoint now) noexcept { settle(outcome, now, now - start_); }
  // `took` is the call's duration where that is not the time since the permit was given.
  void settle(Outcome outcome, TimePoint now, Nanos took) noexcept {
    if (CircuitBreaker* breaker = std::exchange(breaker_, nullptr)) {
      breaker->settle(*this, outcome, now, took);
    }
  }

  [[nodiscard]] TimePoint start() const noexcept { return start_; }
  // False once settled, and of a breaker that is disabled.
  [[nodiscard]] bool is_counted() const noexcept { return breaker_ != nullptr; }
  // Whether this call is a trial of the half-open state.
  [[nodiscard]] bool is_trial() const noexcept { return trial_ != 0; }

 private:
  friend class CircuitBreaker;
  Permit(CircuitBreaker* breaker, std::uint64_t generation, std::uint64_t trial,
         TimePoint start) noexcept
      : breaker_(breaker), generation_(generation), trial_(trial), start_(start) {}

  CircuitBreaker* breaker_;  // null = settled, or of a disabled breaker
  std::uint64_t generation_;
  std::uint64_t trial_;  // its number, or 0
  TimePoint start_;
};

// Holds a breaker open. Movable; the breaker must outlive it.
class [[nodiscard]] CircuitBreaker::Isolation {
 public:
  Isolation(Isolation&& other) noexcept : breaker_(std::exchange(other.breaker_, nullptr)) {}
  Isolation& operator=(Isolation&& other) noexcept {
    std::swap(breaker_, other.breaker_);
    return *this;
  }
  ~Isolation() {
    if (breaker_) breaker_->end_isolation();
  }

 private:
  friend class CircuitBreaker;
  explicit Isolation(CircuitBreaker* breaker) noexcept : breaker_(breaker) {}
  CircuitBreaker* breaker_;
};

// A function with its breaker around it. Copyable if the function is; it shares the breaker, or
// borrows it if it came from CircuitBreaker::wrap().
//
//   auto fetch_user = breaker.wrap(fetch_user_unprotected);
//   auto user = fetch_user.execute(42);
template <class F>
class ProtectedFunction {
 public:
  ProtectedFunction(std::shared_ptr<CircuitBreaker> breaker, F fn)
      : breaker_(std::move(breaker)), fn_(std::move(fn)) {}

  // As the calls of CircuitBreaker with the same names.
  template <class... Args>
  auto execute(Args&&... args) {
    return breaker_->execute(fn_, std::forward<Args>(args)...);
  }
  template <class Fallback, class... Args>
  auto execute_with_fallback(Fallback&& fallback, Args&&... args) {
    return breaker_->execute_with_fallback(std::forward<Fallback>(fallback), fn_,
                                           std::forward<Args>(args)...);
  }
  template <class... Args>
  auto execute_or_throw(Args&&... args) {
    return breaker_->execute_or_throw(fn_, std::forward<Args>(args)...);
  }
  [[nodiscard]] BreakerStats stats() const { return breaker_->stats(); }
  [[nodiscard]] CircuitBreaker& breaker() noexcept { return *breaker_; }

 private:
  std::shared_ptr<CircuitBreaker> breaker_;
  F fn_;
};

// ── Implementation of the templates ──

inline Result<CircuitBreaker::Permit, Rejection> CircuitBreaker::try_acquire(
    TimePoint now) noexcept {
  if (mode_ == BreakerMode::disabled) return Permit(nullptr, 0, 0, now);
  const std::uint64_t word = word_.load(std::memory_order_acquire);
  if (state_of(word) != BreakerState::closed) return acquire_unclosed(word, now);
  totals_.admitted();
  return Permit(this, generation_of(word), 0, now);
}

inline Result<CircuitBreaker::Permit, Rejection> CircuitBreaker::try_acquire() noexcept {
  return try_acquire(options_.clock->now());
}

template <class T>
Result<T, CallError> CircuitBreaker::judge(Permit& permit, const Deadline& deadline,
                                           Result<T, CallError> result) noexcept {
  const TimePoint now = options_.clock->now();
  Outcome outcome = outcome_of(result);
  if (!result && result.error().kind == CallError::Kind::failed && result.error().cause) {
    CallError& error = result.error();
    error.ignored = error.ignored || says(options_.ignore, error, false);
    if (error.ignored) {
      outcome = Outcome::ignored;
    } else if (!says(options_.is_failure, error, true)) {
      outcome = Outcome::success;
    }
  }
  if (resilience::is_failure(outcome) && deadline.stop_requested()) {
    permit.settle(Outcome::cancelled, now);
    return err(CallError{.kind = CallError::Kind::cancelled});
  }
  if ((outcome == Outcome::success || resilience::is_failure(outcome)) && now > deadline.at()) {
    permit.settle(Outcome::timeout, now);
    return err(CallError{.kind = CallError::Kind::timeout});
  }
  permit.settle(outcome, now);
  return result;
}

template <class F, class... Args>
CallResult<F, Args...> CircuitBreaker::execute_until(const Deadline& deadline, F&& fn,
                                                     Args&&... args) {
  const TimePoint now = options_.clock->now();
  auto permit = try_acquire(now);
  if (!permit) {
    return err(CallError{.kind = CallError::Kind::open, .retry_after = permit.error().retry_after});
  }
  const Deadline own =
      options_.timeout > Nanos(0) ? deadline.not_after(after(now, options_.timeout)) : deadline;
  return judge(*permit, own, call(std::forward<F>(fn), own, std::forward<Args>(args)...));
}

template <class Fallback, class F, class... Args>
CallResult<F, Args&...> CircuitBreaker::execute_with_fallback(Fallback&& fallback, F&& fn,
                                                              Args&&... args) {
  auto result = execute(std::forward<F>(fn), args...);
  if (outcome_of(result) == Outcome::success) return result;
  const CallError error = error_of(result);
  if (!allows_fallback(error)) return result;
  return detail::run_fallback<CallResult<F, Args&...>>(fallback, error, args...);
}

template <class F, class... Args>
detail::InvokeResult<F, Args...> CircuitBreaker::execute_or_throw(F&& fn, Args&&... args) {
  using T = detail::InvokeResult<F, Args...>;
  auto result = execute(std::forward<F>(fn), std::forward<Args>(args)...);
  if constexpr (std::is_same_v<T, Lifted<T>>) {
    return result;
  } else {
    if (!result) throw_error(result.error());
    if constexpr (!std::is_void_v<T>) return std::move(*result);
  }
}

template <class F>
auto CircuitBreaker::wrap(F fn) {
  // Shares nothing: the owner of the breaker keeps it alive.
  return ProtectedFunction<F>(std::shared_ptr<CircuitBreaker>(std::shared_ptr<void>(), this),
                              std::move(fn));
}

static_assert(sizeof(CircuitBreaker) <= 1024);

}  // namespace tyaprover::resilience
