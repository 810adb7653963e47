// How the breaker stays lock-free where it is hot, and exact where it is not.
//
// All that decides about admission is one 64-bit word {state, consecutive failures, version,
// generation}. An admitted call loads it. Its outcome is counted in the rolling window, whose slots
// carry the generation; if the window holds a failure or a slow call, or a row of failures begins,
// goes on or ends, it then changes count and version by compare-and-swap. A thread that finds a
// rule broken takes the mutex and, holding it, swaps exactly the word it judged for an open one of
// the next generation. So of many threads that see the same failures one opens the breaker, and an
// outcome that comes between judgement and swap makes the judgement begin anew. Settling so has two
// steps, recording and judging, and simultaneous outcomes may all be recorded before they are
// judged; breaker_model_test.cc shows that there is no more to it. In the usual case,
// a success and no trouble in sight, the word is only read, and stays in every core's cache.
//
// All transitions happen under the mutex, and only there may the generation change; thus their
// events are queued in order. What a state needs is written before the word that announces it: the
// cleared window before "closed", the gate before "open". The gate is the time before which callers
// need not take the lock to be rejected: the deadline while open; while half-open the end of the
// first lease if no trial is free, otherwise the beginning of time.
//
// The half-open state lives under the mutex entirely: a few trial calls use it.
#include "tyaprover/resilience/circuit_breaker.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "tyaprover/resilience/option_check.h"

namespace tyaprover::resilience {
namespace {

constexpr TimePoint::rep kGateOpen = std::numeric_limits<TimePoint::rep>::min();
constexpr TimePoint::rep kGateShut = std::numeric_limits<TimePoint::rep>::max();

Nanos lease_of(const CircuitBreakerOptions& options) noexcept {
  if (options.half_open_lease) return *options.half_open_lease;
  return options.timeout > Nanos(0) ? options.timeout : options.reset_timeout;
}

double share(std::uint64_t part, std::uint64_t whole) noexcept {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

}  // namespace

std::string_view to_string(BreakerMode mode) noexcept {
  switch (mode) {
    case BreakerMode::normal:
      return "normal";
    case BreakerMode::disabled:
      return "disabled";
    case BreakerMode::metrics_only:
      return "metrics_only";
  }
  return "unknown";
}

std::string_view to_string(TransitionCause cause) noexcept {
  switch (cause) {
    case TransitionCause::consecutive_failures:
      return "consecutive_failures";
    case TransitionCause::failure_rate:
      return "failure_rate";
    case TransitionCause::slow_rate:
      return "slow_rate";
    case TransitionCause::trial_due:
      return "trial_due";
    case TransitionCause::trials_succeeded:
      return "trials_succeeded";
    case TransitionCause::trial_failed:
      return "trial_failed";
    case TransitionCause::trial_lost:
      return "trial_lost";
    case TransitionCause::manual:
      return "manual";
    case TransitionCause::isolated:
      return "isolated";
    case TransitionCause::health:
      return "health";
    case TransitionCause::imported:
      return "imported";
  }
  return "unknown";
}

std::string_view to_string(TransitionError error) noexcept {
  switch (error) {
    case TransitionError::illegal:
      return "a closed breaker cannot become half-open";
    case TransitionError::isolated:
      return "the breaker is isolated";
  }
  return "unknown";
}

std::optional<std::string> CircuitBreakerOptions::validate() const {
  OptionCheck check;
  check.not_empty("name", name)
      .between("failure_threshold", failure_threshold, 0, 65535)
      .positive("reset_timeout", reset_timeout)
      .not_negative("timeout", timeout)
      .between("minimum_requests", minimum_requests, 1, 1'000'000)
      .at_least("rolling_window", rolling_window, Nanos(RollingWindow::kSlots))
      .at_most("rolling_window", rolling_window, RollingWindow::kMaxWidth)
      .between("half_open_max", half_open_max, 1, 1024)
      .between("half_open_required", half_open_required, 1, 1'000'000)
      .fraction("slow_call_threshold", slow_call_threshold)
      .not_negative("warm_up", warm_up);
  if (error_threshold_percentage) {
    check.fraction("error_threshold_percentage", *error_threshold_percentage);
  }
  if (backoff) {
    check.at_least("backoff.factor", backoff->factor, 1)
        .at_least("backoff.max", backoff->max, reset_timeout)
        .between("backoff.jitter", backoff->jitter, 0, 1);
  }
  if (half_open_lease) check.positive("half_open_lease", *half_open_lease);
  if (slow_call) check.not_negative("slow_call", *slow_call);
  check.rule(clock != nullptr, "clock", "null", "a clock");
  check.rule(random != nullptr, "random", "empty", "a generator");
  return check.problem();
}

CircuitBreaker::CircuitBreaker(CircuitBreakerOptions options)
    : word_(make_word(BreakerState::closed, 0, 0)),
      gate_(kGateOpen),
      mode_(options.mode),
      judges_rates_(options.error_threshold_percentage || options.slow_call),
      slow_call_(options.slow_call.value_or(Nanos::max())),
      warm_until_(options.clock ? after(options.clock->now(), options.warm_up) : TimePoint()),
      // A window that validate() will refuse must not divide by zero before it does.
      window_(std::clamp(options.rolling_window, Nanos(RollingWindow::kSlots),
                         RollingWindow::kMaxWidth),
              options.clock ? options.clock->now() : TimePoint()),
      options_(std::move(options)) {
  OptionCheck::require("circuit breaker", options_.validate());
  trials_.reserve(options_.half_open_max);
  since_ = options_.clock->now();
}

CircuitBreaker::~CircuitBreaker() {
  const auto free_all = [](auto* listener) {
    while (listener) {
      delete std::exchange(listener, listener->next.load(std::memory_order_relaxed));
    }
  };
  free_all(outcome_listeners_.load(std::memory_order_relaxed));
  free_all(transition_listeners_.load(std::memory_order_relaxed));
}

// ── Acquiring ──

Result<CircuitBreaker::Permit, Rejection> CircuitBreaker::reject(BreakerState state,
                                                                 Nanos retry_after) noexcept {
  totals_.ended(Outcome::rejected);
  if (outcome_listeners_.load(std::memory_order_relaxed)) {
    tell(outcome_listeners_, OutcomeEvent{options_.name, Outcome::rejected, Nanos(0)});
  }
  return err(Rejection{state, retry_after});
}

Result<CircuitBreaker::Permit, Rejection> CircuitBreaker::acquire_unclosed(std::uint64_t word,
                                                                           TimePoint now) noexcept {
  if (mode_ == BreakerMode::metrics_only) {
    totals_.admitted();
    return Permit(this, generation_of(word), 0, now);
  }
  const TimePoint::rep gate = gate_.load(std::memory_order_relaxed);
  if (now.time_since_epoch().count() < gate) {
    const bool known = state_of(word) == BreakerState::open && gate != kGateShut;
    return reject(state_of(word), known ? TimePoint(Nanos(gate)) - now : Nanos(0));
  }

  std::unique_lock lock(mutex_);
  if (state() == BreakerState::half_open && expire_trials(now)) {
    add_trial_failure(TransitionCause::trial_lost, now);
  }
  if (state() == BreakerState::open && isolations_ == 0 && now >= open_until_) {
    begin_half_open(TransitionCause::trial_due, now);
  }
  word = word_.load(std::memory_order_relaxed);
  std::uint64_t trial = 0;
  bool admitted = state_of(word) == BreakerState::closed;
  if (state_of(word) == BreakerState::half_open && trials_.size() < options_.half_open_max) {
    trial = next_trial_++;
    trials_.push_back({trial, after(now, lease_of(options_))});
    update_half_open_gate();
    admitted = true;
  }
  const bool known = state_of(word) == BreakerState::open && isolations_ == 0;
  const Nanos left = known ? open_until_ - now : Nanos(0);
  deliver(lock);
  if (!admitted) return reject(state_of(word), left);
  totals_.admitted();
  return Permit(this, generation_of(word), trial, now);
}

// ── Settling ──

void CircuitBreaker::settle(const Permit& permit, Outcome outcome, TimePoint now,
                            Nanos took) noexcept {
  if (outcome == Outcome::rejected) outcome = Outcome::shed;
  const bool failure = resilience::is_failure(outcome);
  const bool completed = failure || outcome == Outcome::success;
  const bool slow = completed && took > slow_call_;
  totals_.ended(outcome);
  bool current;
  if (permit.trial_ != 0) {
    current = settle_trial(permit, outcome, now);
  } else if (completed) {
    current = settle_closed(permit.generation_, failure, slow, now);
  } else {
    current = generation_of(word_.load(std::memory_order_acquire)) == permit.generation_;
  }
  if (outcome_listeners_.load(std::memory_order_acquire)) {
    tell(outcome_listeners_, OutcomeEvent{options_.name, outcome, took, slow, !current});
  }
}

std::optional<TransitionCause> CircuitBreaker::rate_cause(std::uint64_t epoch,
                                                          std::uint64_t generation) const noexcept {
  const WindowCounts counts = window_.sum(epoch, generation);
  if (counts.calls < options_.minimum_requests) return std::nullopt;
  if (options_.error_threshold_percentage &&
      share(counts.failures, counts.calls) >= *options_.error_threshold_percentage)
    return TransitionCause::failure_rate;
  if (options_.slow_call && share(counts.slow, counts.calls) >= options_.slow_call_threshold)
    return TransitionCause::slow_rate;
  return std::nullopt;
}

// Whether the outcome was of the current generation.
bool CircuitBreaker::settle_closed(std::uint64_t generation, bool failure, bool slow,
                                   TimePoint now) noexcept {
  const auto is_current = [&](std::uint64_t word) {
    return generation_of(word) == generation && state_of(word) == BreakerState::closed;
  };
  std::uint64_t word = word_.load(std::memory_order_acquire);
  if (!is_current(word)) return false;
  const std::uint64_t epoch = window_.epoch(now);
  window_.record(epoch, generation, failure, slow);
  const bool judges = judges_rates_ && window_.may_trip(epoch);
  if (!failure && !judges && consecutive_of(word) == 0 && mode_ == BreakerMode::normal) return true;

  std::unique_lock lock(mutex_, std::defer_lock);
  std::optional<TransitionCause> cause;
  word = word_.load(std::memory_order_acquire);
  for (;;) {
    if (!is_current(word)) return false;
    const unsigned failures = failure ? std::min(consecutive_of(word) + 1, kMaxConsecutive) : 0;
    cause.reset();
    if (now >= warm_until_) {
      if (options_.failure_threshold > 0 && failures >= options_.failure_threshold) {
        cause = TransitionCause::consecutive_failures;
      } else if (judges) {
        cause = rate_cause(epoch, generation);
      }
    }
    if (cause && mode_ == BreakerMode::normal) {
      if (!lock.owns_lock()) {
        lock.lock();
        word = word_.load(std::memory_order_acquire);
      } else if (begin_open(word, failures, *cause, now, next_open_period())) {
        deliver(lock);
        return true;
      }
      continue;
    }
    if (!judges && failures == consecutive_of(word)) break;
    if (word_.compare_exchange_weak(word, with_consecutive(word, failures),
                                    std::memory_order_acq_rel, std::memory_order_acquire))
      break;
  }
  if (lock.owns_lock()) lock.unlock();
  if (mode_ == BreakerMode::metrics_only) watch_crossing(generation, cause, now);
  return true;
}

void CircuitBreaker::watch_crossing(std::uint64_t generation, std::optional<TransitionCause> cause,
                                    TimePoint now) noexcept {
  std::unique_lock lock(mutex_);
  const std::uint64_t word = word_.load(std::memory_order_relaxed);
  if (generation_of(word) == generation && crossed_ != cause.has_value()) {
    crossed_ = cause.has_value();
    if (cause) {
      note(BreakerState::closed, BreakerState::open, *cause, now, consecutive_of(word),
           next_open_period(), true);
    }
  }
  deliver(lock);
}

// Whether the outcome was of the current generation, and in time for its lease.
bool CircuitBreaker::settle_trial(const Permit& permit, Outcome outcome, TimePoint now) noexcept {
  std::unique_lock lock(mutex_);
  const auto is_current = [&] {
    const std::uint64_t word = word_.load(std::memory_order_relaxed);
    return generation_of(word) == permit.generation_ && state_of(word) == BreakerState::half_open;
  };
  if (!is_current()) return false;
  if (expire_trials(now)) add_trial_failure(TransitionCause::trial_lost, now);
  bool current = false;
  if (is_current()) {
    current = std::erase_if(trials_, [&](const Trial& t) { return t.id == permit.trial_; }) > 0;
    update_half_open_gate();
  }
  if (current && resilience::is_failure(outcome)) {
    ++trial_failures_;
    add_trial_failure(TransitionCause::trial_failed, now);
  } else if (current && outcome == Outcome::success) {
    if (++trial_successes_ >= options_.half_open_required) {
      begin_closed(TransitionCause::trials_succeeded, now);
    }
  }
  deliver(lock);
  return current;
}

// Counts the trials whose lease is over as failed; whether there were any.
bool CircuitBreaker::expire_trials(TimePoint now) noexcept {
  const auto lost = std::erase_if(trials_, [&](const Trial& t) { return now >= t.lease_end; });
  trial_failures_ += static_cast<unsigned>(lost);
  update_half_open_gate();
  return lost > 0;
}

// Opens it again if more trials failed than are allowed.
void CircuitBreaker::add_trial_failure(TransitionCause cause, TimePoint now) noexcept {
  if (trial_failures_ <= options_.half_open_failures_allowed) return;
  ++attempt_;
  force_open(cause, now, next_open_period());
}

void CircuitBreaker::update_half_open_gate() noexcept {
  TimePoint::rep gate = kGateOpen;
  if (trials_.size() >= options_.half_open_max) {
    gate =
        std::min_element(trials_.begin(), trials_.end(),
                         [](const Trial& a, const Trial& b) { return a.lease_end < b.lease_end; })
            ->lease_end.time_since_epoch()
            .count();
  }
  gate_.store(gate, std::memory_order_relaxed);
}

// ── Transitions ──

Nanos CircuitBreaker::next_open_period() const {
  if (!options_.backoff) return options_.reset_timeout;
  const Backoff growth{options_.reset_timeout, options_.backoff->factor, options_.backoff->max,
                       Backoff::Jitter::none};
  return scatter(growth.ceiling(attempt_), options_.backoff->jitter, options_.random());
}

bool CircuitBreaker::begin_open(std::uint64_t& word, unsigned consecutive, TransitionCause cause,
                                TimePoint now, Nanos period) noexcept {
  const TimePoint until = isolations_ > 0 ? TimePoint::max() : after(now, period);
  gate_.store(until.time_since_epoch().count(), std::memory_order_relaxed);
  // Release: the gate is seen with the state.
  if (!word_.compare_exchange_strong(word,
                                     make_word(BreakerState::open, 0, generation_of(word) + 1),
                                     std::memory_order_acq_rel))
    return false;
  open_until_ = until;
  since_ = now;
  note(state_of(word), BreakerState::open, cause, now, consecutive,
       isolations_ > 0 ? Nanos(0) : period);
  return true;
}

void CircuitBreaker::force_open(TransitionCause cause, TimePoint now, Nanos period) noexcept {
  std::uint64_t word = word_.load(std::memory_order_relaxed);
  while (!begin_open(word, consecutive_of(word), cause, now, period)) {
  }
}

void CircuitBreaker::begin_half_open(TransitionCause cause, TimePoint now) noexcept {
  trials_.clear();
  trial_successes_ = 0;
  trial_failures_ = 0;
  since_ = now;
  gate_.store(kGateOpen, std::memory_order_relaxed);
  const std::uint64_t word = word_.load(std::memory_order_relaxed);
  word_.store(make_word(BreakerState::half_open, 0, generation_of(word) + 1),
              std::memory_order_release);
  note(state_of(word), BreakerState::half_open, cause, now, 0, Nanos(0));
}

// Also from closed to closed, which is no event: a new generation with an empty window.
void CircuitBreaker::begin_closed(TransitionCause cause, TimePoint now) noexcept {
  const std::uint64_t word = word_.load(std::memory_order_relaxed);
  const BreakerState from = state_of(word);
  const std::uint64_t generation = generation_of(word) + 1;
  attempt_ = 0;
  crossed_ = false;
  open_until_ = TimePoint::max();
  gate_.store(kGateOpen, std::memory_order_relaxed);
  window_.clear(window_.epoch(now), generation);
  window_generation_ = generation;
  // Release: the cleared window is seen with the state. Of a closed word only the count of failures
  // may have changed meanwhile, and it ends here.
  word_.store(make_word(BreakerState::closed, 0, generation), std::memory_order_release);
  if (from == BreakerState::closed) return;
  since_ = now;
  note(from, BreakerState::closed, cause, now, 0, Nanos(0));
}

void CircuitBreaker::open(std::optional<Nanos> period) {
  const TimePoint now = options_.clock->now();
  std::unique_lock lock(mutex_);
  if (state() != BreakerState::open) {
    force_open(TransitionCause::manual, now, period ? *period : next_open_period());
  }
  deliver(lock);
}

Result<void, TransitionError> CircuitBreaker::close() {
  const TimePoint now = options_.clock->now();
  std::unique_lock lock(mutex_);
  if (isolations_ > 0) return err(TransitionError::isolated);
  if (state() != BreakerState::closed) begin_closed(TransitionCause::manual, now);
  deliver(lock);
  return {};
}

Result<void, TransitionError> CircuitBreaker::half_open() {
  const TimePoint now = options_.clock->now();
  std::unique_lock lock(mutex_);
  if (isolations_ > 0) return err(TransitionError::isolated);
  if (state() == BreakerState::closed) return err(TransitionError::illegal);
  if (state() == BreakerState::open) begin_half_open(TransitionCause::manual, now);
  deliver(lock);
  return {};
}

Result<void, TransitionError> CircuitBreaker::reset() {
  const TimePoint now = options_.clock->now();
  std::unique_lock lock(mutex_);
  if (isolations_ > 0) return err(TransitionError::isolated);
  begin_closed(TransitionCause::manual, now);
  deliver(lock);
  return {};
}

CircuitBreaker::Isolation CircuitBreaker::isolate() {
  const TimePoint now = options_.clock->now();
  std::unique_lock lock(mutex_);
  ++isolations_;
  if (state() == BreakerState::open) {
    gate_.store(kGateShut, std::memory_order_relaxed);
  } else {
    force_open(TransitionCause::isolated, now, Nanos(0));
  }
  deliver(lock);
  return Isolation(this);
}

void CircuitBreaker::end_isolation() noexcept {
  const TimePoint now = options_.clock->now();
  const std::lock_guard lock(mutex_);
  if (--isolations_ > 0) return;
  open_until_ = now;
  gate_.store(kGateOpen, std::memory_order_relaxed);
}

void CircuitBreaker::report_health(bool healthy) {
  if (mode_ != BreakerMode::normal) return;
  const TimePoint now = options_.clock->now();
  std::unique_lock lock(mutex_);
  if (isolations_ > 0) return;
  if (healthy) {
    if (options_.health_success_closes && state() != BreakerState::closed) {
      begin_closed(TransitionCause::health, now);
    }
  } else if (state() != BreakerState::open && now >= warm_until_) {
    if (state() == BreakerState::half_open) ++attempt_;
    force_open(TransitionCause::health, now, next_open_period());
  }
  deliver(lock);
}

// ── Listeners ──

void CircuitBreaker::note(BreakerState from, BreakerState to, TransitionCause cause, TimePoint now,
                          unsigned consecutive, Nanos open_for, bool hypothetical) noexcept {
  if (from == to || !transition_listeners_.load(std::memory_order_relaxed)) return;
  try {
    events_.push_back({.breaker = options_.name,
                       .from = from,
                       .to = to,
                       .cause = cause,
                       .generation = generation_of(word_.load(std::memory_order_relaxed)),
                       .at = now,
                       .window = window_.sum(window_.epoch(now), window_generation_),
                       .consecutive_failures = consecutive,
                       .open_for = open_for,
                       .hypothetical = hypothetical});
  } catch (...) {  // out of memory: the event is lost, and counted
    listener_errors_.fetch_add(1, std::memory_order_relaxed);
  }
}

// Tells what is queued, unless somebody does already: then they will go on with ours, in order.
void CircuitBreaker::deliver(std::unique_lock<std::mutex>& lock) noexcept {
  if (!delivering_) {
    delivering_ = true;
    while (!events_.empty()) {
      std::vector<TransitionEvent> batch;
      batch.swap(events_);
      lock.unlock();
      for (const TransitionEvent& event : batch) tell(transition_listeners_, event);
      lock.lock();
    }
    delivering_ = false;
  }
  lock.unlock();
}

template <class Event>
void CircuitBreaker::tell(const std::atomic<Listener<Event>*>& first,
                          const Event& event) const noexcept {
  for (const Listener<Event>* listener = first.load(std::memory_order_acquire); listener;
       listener = listener->next.load(std::memory_order_acquire)) {
    try {
      listener->call(event);
    } catch (...) {
      listener_errors_.fetch_add(1, std::memory_order_relaxed);
    }
  }
}

template <class Event>
void CircuitBreaker::append(std::atomic<Listener<Event>*>& first,
                            std::function<void(const Event&)> call) {
  auto added = std::make_unique<Listener<Event>>();
  added->call = std::move(call);
  const std::lock_guard lock(mutex_);
  std::atomic<Listener<Event>*>* end = &first;
  while (Listener<Event>* next = end->load(std::memory_order_relaxed)) end = &next->next;
  // Release: readers walk the list without the lock.
  end->store(added.release(), std::memory_order_release);
}

void CircuitBreaker::on_transition(std::function<void(const TransitionEvent&)> listener) {
  append(transition_listeners_, std::move(listener));
}

void CircuitBreaker::on_outcome(std::function<void(const OutcomeEvent&)> listener) {
  append(outcome_listeners_, std::move(listener));
}

bool CircuitBreaker::says(const std::function<bool(const CallError&)>& predicate,
                          const CallError& error, bool otherwise) const noexcept {
  if (!predicate) return otherwise;
  try {
    return predicate(error);
  } catch (...) {
    listener_errors_.fetch_add(1, std::memory_order_relaxed);
    return otherwise;
  }
}

// ── Seen from outside ──

BreakerStats CircuitBreaker::stats() const {
  const TimePoint now = options_.clock->now();
  BreakerStats stats;
  stats.name = options_.name;
  const std::lock_guard lock(mutex_);
  const std::uint64_t word = word_.load(std::memory_order_relaxed);
  stats.state = state_of(word);
  stats.generation = generation_of(word);
  stats.consecutive_failures = consecutive_of(word);
  const WindowCounts counts = window_.sum(window_.epoch(now), window_generation_);
  stats.failure_count = counts.failures;
  stats.success_count = counts.calls - counts.failures;
  stats.slow_count = counts.slow;
  stats.recent_requests = counts.calls;
  stats.error_rate = share(counts.failures, counts.calls);
  stats.attempt = attempt_;
  stats.isolated = isolations_ > 0;
  if (stats.state == BreakerState::open && !stats.isolated) {
    stats.retry_after = std::max(Nanos(0), open_until_ - now);
  }
  stats.in_state = std::max(Nanos(0), now - since_);
  stats.in_flight = totals_.in_flight();
  for (std::size_t i = 0; i < kOutcomes; ++i) {
    stats.totals[i] = totals_.count(static_cast<Outcome>(i));
  }
  stats.listener_errors = listener_errors_.load(std::memory_order_relaxed);
  return stats;
}

BreakerSnapshot CircuitBreaker::export_state() const {
  const TimePoint now = options_.clock->now();
  BreakerSnapshot snapshot;
  const std::lock_guard lock(mutex_);
  const std::uint64_t word = word_.load(std::memory_order_relaxed);
  snapshot.state = state_of(word);
  snapshot.attempt = attempt_;
  snapshot.consecutive_failures = consecutive_of(word);
  // Isolation is the owner's wish and is not carried on.
  if (snapshot.state == BreakerState::open && open_until_ != TimePoint::max()) {
    snapshot.open_left = std::max(Nanos(0), open_until_ - now);
  }
  if (snapshot.state != BreakerState::closed) return snapshot;
  const std::uint64_t newest = window_.epoch(now);
  for (std::uint64_t epoch = newest - RollingWindow::kSlots + 1; epoch <= newest; ++epoch) {
    const WindowCounts counts = window_.at(epoch, window_generation_);
    if (counts.calls > 0) snapshot.window.push_back({now - window_.begin_of(epoch), counts});
  }
  return snapshot;
}

Result<void, TransitionError> CircuitBreaker::import_state(const BreakerSnapshot& snapshot) {
  const TimePoint now = options_.clock->now();
  std::unique_lock lock(mutex_);
  if (isolations_ > 0) return err(TransitionError::isolated);
  if (snapshot.state == BreakerState::closed) {
    begin_closed(TransitionCause::imported, now);
    // A slot begins here no later than it did there, so that nothing is remembered for too long.
    for (const BreakerSnapshot::Slot& slot : snapshot.window) {
      window_.restore(window_.epoch(now - slot.age), window_generation_, slot.counts);
    }
    word_.store(
        make_word(BreakerState::closed, std::min(snapshot.consecutive_failures, kMaxConsecutive),
                  window_generation_),
        std::memory_order_release);
  } else {
    const bool waits = snapshot.state == BreakerState::open;
    force_open(TransitionCause::imported, now,
               waits ? std::max(Nanos(0), snapshot.open_left) : Nanos(0));
  }
  attempt_ = snapshot.attempt;
  deliver(lock);
  return {};
}

}  // namespace tyaprover::resilience
