// The state machine, rule by rule, in every form of call. The model test (breaker_model_test.cc)
// looks for what nobody thought of.
#include "tyaprover/resilience/circuit_breaker.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <limits>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tyaprover/resilience/call_forms_testing.h"

namespace tyaprover::resilience {
namespace {

using namespace std::chrono_literals;
using call_forms::Form;
using enum Outcome;
constexpr auto kClosed = BreakerState::closed;
constexpr auto kOpen = BreakerState::open;
constexpr auto kHalfOpen = BreakerState::half_open;

class CircuitBreakerTest : public testing::TestWithParam<Form> {
 protected:
  CircuitBreaker& make(CircuitBreakerOptions options = {}) {
    options.name = "test";
    options.clock = &clock_;
    options.ignore = call_forms::is_ignored;
    breaker_ = std::make_unique<CircuitBreaker>(std::move(options));
    breaker_->on_transition([this](const TransitionEvent& e) { events_.push_back(e); });
    return *breaker_;
  }
  std::optional<Rejection> call(
      Outcome outcome, const std::function<void()>& meanwhile = [] {}) {
    return call_forms::call(GetParam(), *breaker_, outcome, meanwhile);
  }
  void calls(unsigned count, Outcome outcome) {
    for (unsigned i = 0; i < count; ++i) {
      ASSERT_FALSE(call(outcome)) << i << " was rejected";
    }
  }
  // A call that takes so long.
  void slow_call(Nanos takes, Outcome outcome = success) {
    ASSERT_FALSE(call(outcome, [&] { clock_.advance(takes); }));
  }
  [[nodiscard]] BreakerState state() const { return breaker_->state(); }
  // Opens it by failures and waits until a trial is due.
  void make_due() {
    calls(5, failure);
    ASSERT_EQ(state(), kOpen);
    clock_.advance(60s);
  }
  std::vector<TransitionCause> causes() const {
    std::vector<TransitionCause> all;
    for (const TransitionEvent& event : events_) all.push_back(event.cause);
    return all;
  }

  ManualClock clock_;
  std::unique_ptr<CircuitBreaker> breaker_;
  std::vector<TransitionEvent> events_;
};

INSTANTIATE_TEST_SUITE_P(Forms, CircuitBreakerTest,
                         testing::Values(Form::sync, Form::permit, Form::coroutine),
                         call_forms::form_name);

// ── R1: generations ──

TEST_P(CircuitBreakerTest, OutcomeOfAnOldGenerationChangesOnlyTheTotals) {
  make({.timeout = 0s});
  call(success, [&] {
    make_due();
    EXPECT_TRUE(breaker_->half_open());
    EXPECT_EQ(state(), kHalfOpen);
  });
  EXPECT_EQ(state(), kHalfOpen);
  EXPECT_EQ(breaker_->stats().total(success), 1u);
  EXPECT_EQ(breaker_->stats().success_count, 0u);
}

TEST_P(CircuitBreakerTest, LateFailureDoesNotEnterTheWindowOfALaterClosedState) {
  make({.failure_threshold = 1, .error_threshold_percentage = std::nullopt});
  call(failure, [&] {
    breaker_->open();
    EXPECT_TRUE(breaker_->close());
  });
  EXPECT_EQ(state(), kClosed);
  EXPECT_EQ(breaker_->stats().recent_requests, 0u);
  EXPECT_EQ(breaker_->stats().total(failure), 1u);
}

// ── R2: outcomes ──

TEST_P(CircuitBreakerTest, OnlyCompletedCallsEnterTheWindow) {
  struct Case {
    Outcome outcome;
    std::uint64_t calls;
    std::uint64_t failures;
  };
  for (const Case& c : {Case{success, 1, 0}, Case{failure, 1, 1}, Case{Outcome::timeout, 1, 1},
                        Case{ignored, 0, 0}, Case{cancelled, 0, 0}, Case{shed, 0, 0}}) {
    make();
    call(c.outcome);
    const BreakerStats stats = breaker_->stats();
    EXPECT_EQ(stats.recent_requests, c.calls) << to_string(c.outcome);
    EXPECT_EQ(stats.failure_count, c.failures) << to_string(c.outcome);
    EXPECT_EQ(stats.total(c.outcome), 1u) << to_string(c.outcome);
    EXPECT_EQ(stats.in_flight, 0u) << to_string(c.outcome);
  }
}

TEST_P(CircuitBreakerTest, ShedAndIgnoredAndCancelledCallsNeverOpen) {
  for (const Outcome outcome : {shed, ignored, cancelled}) {
    make({.failure_threshold = 2, .minimum_requests = 2});
    calls(100, outcome);
    EXPECT_EQ(state(), kClosed) << to_string(outcome);
  }
}

TEST_P(CircuitBreakerTest, IgnoredCallDoesNotInterruptARowOfFailures) {
  make();
  calls(4, failure);
  call(ignored);
  call(failure);
  EXPECT_EQ(state(), kOpen);
}

TEST_P(CircuitBreakerTest, RejectedCallsAreCountedAsSuch) {
  make();
  breaker_->open();
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(call(success));
  EXPECT_EQ(breaker_->stats().total(rejected), 3u);
  EXPECT_EQ(breaker_->stats().in_flight, 0u);
}

// ── R3: what opens it ──

struct OpensCase {
  const char* name;
  CircuitBreakerOptions options;
  std::string calls;  // s success, f failure, t timeout, S slow success, F slow failure
  bool opens;         // with the last call, and not before
};

TEST_P(CircuitBreakerTest, OpensWithTheCallThatBreaksARule) {
  const std::vector<OpensCase> cases{
      {"threshold", {.failure_threshold = 5}, "fffff", true},
      {"below the threshold", {.failure_threshold = 5}, "ffff", false},
      {"a row is interrupted", {.failure_threshold = 5}, "ffffsffff", false},
      {"and goes on", {.failure_threshold = 5, .minimum_requests = 100}, "ffffsfffff", true},
      {"timeouts are failures", {.failure_threshold = 3}, "tft", true},
      {"fraction reached at its volume", {.failure_threshold = 0}, "sssssfffff", true},
      {"a success makes the volume", {.failure_threshold = 0}, "fffffsssss", true},
      {"below the volume", {.failure_threshold = 0}, "fffffffff", false},
      {"below the fraction", {.failure_threshold = 0}, "ssssssffff", false},
      {"equal is enough",
       {.failure_threshold = 0, .error_threshold_percentage = 0.3, .minimum_requests = 10},
       "fffsssssss",
       true},
      {"the fraction is off",
       {.failure_threshold = 0, .error_threshold_percentage = std::nullopt},
       "ffffffffffffffffffff",
       false},
      {"all failures",
       {.failure_threshold = 0, .error_threshold_percentage = 1.0},
       "ffffffffff",
       true},
      {"one success under a fraction of one",
       {.failure_threshold = 0, .error_threshold_percentage = 1.0},
       "fffffffffsf",
       false},
      {"slow calls", {.slow_call = 1s, .slow_call_threshold = 0.5}, "sssssSSSSS", true},
      {"slow calls below the volume", {.slow_call = 1s}, "SSSSSSSSS", false},
      {"as slow as allowed is not slow", {.slow_call = 10s}, "SSSSSSSSSSSS", false},
      {"slow failures are both",
       {.failure_threshold = 0,
        .error_threshold_percentage = 0.9,
        .minimum_requests = 4,
        .slow_call = 1s,
        .slow_call_threshold = 0.75},
       "sFSF",
       true},
  };
  for (const OpensCase& c : cases) {
    SCOPED_TRACE(c.name);
    CircuitBreakerOptions options = c.options;
    options.rolling_window = 1h;
    make(options);
    for (std::size_t i = 0; i < c.calls.size(); ++i) {
      ASSERT_EQ(state(), kClosed) << "before call " << i;
      switch (c.calls[i]) {
        case 's':
          call(success);
          break;
        case 'f':
          call(failure);
          break;
        case 't':
          call(Outcome::timeout);
          break;
        case 'S':
          slow_call(10s);
          break;
        case 'F':
          slow_call(10s, failure);
          break;
      }
    }
    EXPECT_EQ(state(), c.opens ? kOpen : kClosed);
  }
}

TEST_P(CircuitBreakerTest, CallsInFlightAreNotInTheDenominator) {
  make({.failure_threshold = 0, .minimum_requests = 4});
  std::vector<CircuitBreaker::Permit> pending;
  for (int i = 0; i < 100; ++i) pending.push_back(std::move(*breaker_->try_acquire()));
  calls(4, failure);
  EXPECT_EQ(state(), kOpen);
}

TEST_P(CircuitBreakerTest, TransitionSaysWhatCausedIt) {
  make({.failure_threshold = 0});
  calls(5, success);
  calls(5, failure);
  ASSERT_EQ(events_.size(), 1u);
  EXPECT_EQ(events_[0].cause, TransitionCause::failure_rate);
  EXPECT_EQ(events_[0].window, (WindowCounts{10, 5, 0}));
  EXPECT_EQ(events_[0].consecutive_failures, 5u);
  EXPECT_EQ(events_[0].open_for, 60s);
  EXPECT_EQ(events_[0].from, kClosed);
  EXPECT_EQ(events_[0].to, kOpen);
  EXPECT_EQ(events_[0].breaker, "test");
}

TEST(CircuitBreakerSettleTest, ACallIsAsSlowAsItsSettlerSays) {
  ManualClock clock;
  CircuitBreaker breaker({.name = "test", .minimum_requests = 1, .slow_call = 1s, .clock = &clock});
  std::vector<Nanos> durations;
  breaker.on_outcome([&](const OutcomeEvent& event) { durations.push_back(event.duration); });
  auto permit = breaker.try_acquire();
  ASSERT_TRUE(permit);
  clock.advance(1min);
  permit->settle(success, clock.now(), 900ms);
  EXPECT_EQ(breaker.state(), kClosed);
  EXPECT_EQ(durations, std::vector<Nanos>{900ms});
}

// ── R4: the window forgets, the row of failures does not ──

TEST_P(CircuitBreakerTest, AnIdleHourEmptiesTheWindow) {
  make({.failure_threshold = 0, .minimum_requests = 5});
  calls(4, failure);
  clock_.advance(1h);
  call(failure);
  EXPECT_EQ(state(), kClosed);
  EXPECT_EQ(breaker_->stats().recent_requests, 1u);
}

TEST_P(CircuitBreakerTest, ConsecutiveFailuresDoNotAge) {
  make();
  calls(4, failure);
  clock_.advance(1h);
  call(failure);
  EXPECT_EQ(state(), kOpen);
}

TEST_P(CircuitBreakerTest, NothingInTheWindowIsOlderThanTheWindow) {
  for (Nanos phase = 0s; phase < 1s; phase += 100ms) {
    make({.failure_threshold = 0});
    clock_.advance(phase);
    call(success);
    clock_.advance(9s);
    EXPECT_EQ(breaker_->stats().recent_requests, 1u) << phase.count();
    clock_.advance(1s);
    EXPECT_EQ(breaker_->stats().recent_requests, 0u) << phase.count();
  }
}

TEST_P(CircuitBreakerTest, NoIdleTimeHoweverLongRevivesTheWindow) {
  // Slots are tagged with ten bits of their number and there are ten: 5120 slots later all agrees.
  make({.failure_threshold = 0, .minimum_requests = 2, .rolling_window = 10s});
  call(failure);
  for (const int slots : {10, 1024, 5120, 10240, 1'000'000, 5120 * 1024}) {
    clock_.advance(slots * 1s);
    EXPECT_EQ(breaker_->stats().recent_requests, 0u) << slots;
    call(failure);
    EXPECT_EQ(breaker_->stats().recent_requests, 1u) << slots;
    EXPECT_EQ(state(), kClosed) << slots;
  }
}

// ── R5, R6: open ──

TEST_P(CircuitBreakerTest, OpenRejectsWithTheTimeLeftAndAdmitsOneTrialAtTheDeadline) {
  make();
  calls(5, failure);
  clock_.advance(59'999ms);
  auto rejection = call(success);
  ASSERT_TRUE(rejection);
  EXPECT_EQ(rejection->retry_after, 1ms);
  EXPECT_EQ(rejection->state, kOpen);
  clock_.advance(1ms);
  EXPECT_FALSE(call(success, [&] {
    EXPECT_EQ(state(), kHalfOpen);
    EXPECT_TRUE(call(success)) << "a second caller";
  }));
}

TEST_P(CircuitBreakerTest, LaterFailuresDoNotMoveTheDeadline) {
  make();
  call(failure, [&] {
    call(failure, [&] {
      calls(5, failure);
      clock_.advance(30s);
    });
    clock_.advance(20s);
  });
  auto rejection = call(success);
  ASSERT_TRUE(rejection);
  EXPECT_EQ(rejection->retry_after, 10s);
  EXPECT_EQ(events_.size(), 1u);
}

// ── R7, R8, R9: half-open ──

TEST_P(CircuitBreakerTest, SuccessfulTrialCloses) {
  make();
  make_due();
  EXPECT_FALSE(call(success));
  EXPECT_EQ(state(), kClosed);
  EXPECT_THAT(causes(),
              testing::ElementsAre(TransitionCause::consecutive_failures,
                                   TransitionCause::trial_due, TransitionCause::trials_succeeded));
}

TEST_P(CircuitBreakerTest, FailedTrialOpensForAFullPeriod) {
  for (const Outcome outcome : {failure, Outcome::timeout}) {
    make();
    make_due();
    call(outcome);
    EXPECT_EQ(state(), kOpen);
    EXPECT_EQ(call(success)->retry_after, 60s);
  }
}

TEST_P(CircuitBreakerTest, IgnoredOrCancelledOrShedTrialGivesItsPlaceBackAndLeavesTheState) {
  for (const Outcome outcome : {ignored, cancelled, cancelled, shed}) {
    make();
    make_due();
    for (int i = 0; i < 10; ++i) {
      EXPECT_FALSE(call(outcome)) << to_string(outcome);
      EXPECT_EQ(state(), kHalfOpen) << to_string(outcome);
    }
    EXPECT_FALSE(call(success));
    EXPECT_EQ(state(), kClosed);
  }
}

TEST_P(CircuitBreakerTest, NoMoreTrialsRunAtOnceThanAllowed) {
  make({.half_open_max = 3, .half_open_required = 10});
  make_due();
  call(success, [&] {
    call(success, [&] {
      call(success, [&] {
        auto rejection = call(success);
        ASSERT_TRUE(rejection);
        EXPECT_EQ(rejection->state, kHalfOpen);
        EXPECT_EQ(rejection->retry_after, 0s) << "nobody knows how long the trials take";
      });
      EXPECT_FALSE(call(success)) << "a place is free again";
    });
  });
}

TEST_P(CircuitBreakerTest, ClosesAfterTheRequiredSuccesses) {
  make({.half_open_required = 3});
  make_due();
  calls(2, success);
  EXPECT_EQ(state(), kHalfOpen);
  call(success);
  EXPECT_EQ(state(), kClosed);
}

TEST_P(CircuitBreakerTest, SampledRecoveryToleratesSoManyFailures) {
  make({.half_open_required = 5, .half_open_failures_allowed = 2});
  make_due();
  calls(2, failure);
  EXPECT_EQ(state(), kHalfOpen);
  calls(4, success);
  EXPECT_EQ(state(), kHalfOpen);
  call(failure);
  EXPECT_EQ(state(), kOpen);
  clock_.advance(60s);
  calls(2, failure);
  calls(5, success);
  EXPECT_EQ(state(), kClosed);
}

TEST_P(CircuitBreakerTest, VolumeRulesDoNotApplyToTrials) {
  make({.minimum_requests = 1000});
  make_due();
  call(failure);
  EXPECT_EQ(state(), kOpen);
}

TEST_P(CircuitBreakerTest, LostTrialCountsAsFailureAndItsLateOutcomeAsNothing) {
  make({.timeout = 10s});
  make_due();
  call(success, [&] {
    clock_.advance(9'999ms);
    EXPECT_TRUE(call(success));
    EXPECT_EQ(state(), kHalfOpen) << "the lease is not over";
    clock_.advance(1ms);
    auto rejection = call(success);
    ASSERT_TRUE(rejection);
    EXPECT_EQ(state(), kOpen);
    EXPECT_EQ(rejection->retry_after, 60s);
  });
  EXPECT_EQ(state(), kOpen);
  EXPECT_EQ(events_.back().cause, TransitionCause::trial_lost);
}

TEST_P(CircuitBreakerTest, TrialThatEndsAfterItsLeaseFailedThoughNobodyCame) {
  make({.timeout = 0s, .half_open_lease = 2s});
  make_due();
  call(success, [&] { clock_.advance(2s); });
  EXPECT_EQ(state(), kOpen);
  EXPECT_EQ(events_.back().cause, TransitionCause::trial_lost);
}

TEST_P(CircuitBreakerTest, LostTrialOfASampledRecoveryFreesItsPlace) {
  make({.half_open_required = 2, .half_open_failures_allowed = 1});
  make_due();
  call(success, [&] {
    clock_.advance(10s);
    EXPECT_FALSE(call(success));
  });
  EXPECT_EQ(state(), kHalfOpen) << "the late success does not count";
  call(success);
  EXPECT_EQ(state(), kClosed);
}

TEST_P(CircuitBreakerTest, LeaseIsTheTimeoutElseTheResetTimeout) {
  struct Case {
    Nanos timeout;
    std::optional<Nanos> lease;
    Nanos expected;
  };
  for (const Case& c :
       {Case{10s, std::nullopt, 10s}, Case{0s, std::nullopt, 60s}, Case{10s, 3s, 3s}}) {
    make({.timeout = c.timeout, .half_open_lease = c.lease});
    make_due();
    call(success, [&] {
      clock_.advance(c.expected - 1ns);
      EXPECT_TRUE(call(success));
      EXPECT_EQ(state(), kHalfOpen);
      clock_.advance(1ns);
      EXPECT_TRUE(call(success));
      EXPECT_EQ(state(), kOpen);
    });
  }
}

// ── R10: closing ──

TEST_P(CircuitBreakerTest, ClosingForgetsTheWindowAndTheRow) {
  make({.reset_timeout = 1s, .minimum_requests = 6});
  calls(5, failure);
  clock_.advance(1s);
  call(success);
  ASSERT_EQ(state(), kClosed);
  EXPECT_EQ(breaker_->stats().recent_requests, 0u);
  calls(4, failure);
  EXPECT_EQ(state(), kClosed);
  EXPECT_EQ(breaker_->stats().consecutive_failures, 4u);
}

TEST_P(CircuitBreakerTest, OpenPeriodGrowsWithEveryFailedTrialAndReturnsAfterAClose) {
  make({.reset_timeout = 1s, .backoff = OpenBackoff{.factor = 3, .max = 10s, .jitter = 0}});
  calls(5, failure);
  for (const Nanos period : {1s, 3s, 9s, 10s, 10s}) {
    EXPECT_EQ(call(success)->retry_after, period);
    clock_.advance(period);
    EXPECT_FALSE(call(failure));
  }
  clock_.advance(10s);
  call(success);
  calls(5, failure);
  EXPECT_EQ(call(success)->retry_after, 1s);
}

TEST_P(CircuitBreakerTest, JitterScattersTheOpenPeriodWithinItsShare) {
  std::uint64_t random = 0;
  for (const auto& [number, expected] :
       std::vector<std::pair<std::uint64_t, Nanos>>{{0, 800ms}, {1ULL << 63, 1s}}) {
    random = number;
    make({.reset_timeout = 1s, .backoff = OpenBackoff{.jitter = 0.2}, .random = [&] {
            return random;
          }});
    calls(5, failure);
    EXPECT_EQ(call(success)->retry_after, expected);
  }
}

// ── R11: by hand ──

TEST_P(CircuitBreakerTest, OpenedByHandItRejectsUntilAFullPeriodIsOver) {
  make();
  breaker_->open();
  EXPECT_EQ(call(success)->retry_after, 60s);
  clock_.advance(60s);
  EXPECT_FALSE(call(success));
  EXPECT_EQ(state(), kClosed);
}

TEST_P(CircuitBreakerTest, OpenedByHandForAPeriodItKeepsThat) {
  make();
  breaker_->open(5min);
  EXPECT_EQ(call(success)->retry_after, 5min);
}

TEST_P(CircuitBreakerTest, TransitionToTheSameStateIsNoEventAndMovesNothing) {
  make();
  EXPECT_TRUE(breaker_->close());
  breaker_->open();
  clock_.advance(10s);
  breaker_->open();
  EXPECT_EQ(events_.size(), 1u);
  EXPECT_EQ(call(success)->retry_after, 50s);
}

TEST_P(CircuitBreakerTest, ClosedCannotBecomeHalfOpen) {
  make();
  const auto moved = breaker_->half_open();
  ASSERT_FALSE(moved);
  EXPECT_EQ(moved.error(), TransitionError::illegal);
  EXPECT_EQ(state(), kClosed);
}

TEST_P(CircuitBreakerTest, ResetMakesItAsNewButKeepsTheTotals) {
  make();
  calls(4, failure);
  EXPECT_TRUE(breaker_->reset());
  EXPECT_EQ(breaker_->stats().recent_requests, 0u);
  EXPECT_EQ(breaker_->stats().consecutive_failures, 0u);
  EXPECT_EQ(breaker_->stats().total(failure), 4u);
  EXPECT_TRUE(events_.empty());
}

TEST_P(CircuitBreakerTest, IsolatedItStaysOpenWhateverTheTimeUntilTheLastHandleIsGone) {
  make();
  {
    const auto first = breaker_->isolate();
    {
      const auto second = breaker_->isolate();
      clock_.advance(24h);
      EXPECT_TRUE(call(success));
      EXPECT_EQ(breaker_->close().error(), TransitionError::isolated);
      EXPECT_EQ(breaker_->half_open().error(), TransitionError::isolated);
      EXPECT_EQ(breaker_->reset().error(), TransitionError::isolated);
    }
    clock_.advance(24h);
    auto rejection = call(success);
    ASSERT_TRUE(rejection);
    EXPECT_EQ(rejection->retry_after, 0s);
    EXPECT_TRUE(breaker_->stats().isolated);
  }
  EXPECT_FALSE(call(success)) << "a trial";
  EXPECT_EQ(state(), kClosed);
}

TEST_P(CircuitBreakerTest, IsolationOfAnOpenBreakerOutlastsItsDeadline) {
  make();
  breaker_->open();
  const auto handle = breaker_->isolate();
  clock_.advance(1h);
  EXPECT_TRUE(call(success));
}

// ── R12: listeners ──

TEST_P(CircuitBreakerTest, ListenersMayCallTheBreakerAndEventsKeepTheirOrder) {
  make();
  std::vector<BreakerState> seen;
  breaker_->on_transition([&](const TransitionEvent& e) {
    seen.push_back(e.to);
    if (e.to == kOpen) {
      EXPECT_TRUE(breaker_->close());
    }
    EXPECT_EQ(breaker_->stats().name, "test");
  });
  breaker_->on_transition([&](const TransitionEvent& e) { seen.push_back(e.to); });
  calls(5, failure);
  EXPECT_THAT(seen, testing::ElementsAre(kOpen, kOpen, kClosed, kClosed));
}

TEST_P(CircuitBreakerTest, WhatAListenerThrowsIsCountedAndHurtsNobody) {
  make();
  breaker_->on_transition([](const TransitionEvent&) { throw std::runtime_error("listener"); });
  breaker_->on_outcome([](const OutcomeEvent&) { throw std::runtime_error("listener"); });
  int later = 0;
  breaker_->on_transition([&](const TransitionEvent&) { ++later; });
  calls(5, failure);
  EXPECT_EQ(state(), kOpen);
  EXPECT_EQ(later, 1);
  EXPECT_EQ(breaker_->stats().listener_errors, 6u);
}

TEST_P(CircuitBreakerTest, OutcomeListenerSeesEveryCallWithItsDuration) {
  make({.slow_call = 1s});
  std::vector<OutcomeEvent> seen;
  breaker_->on_outcome([&](const OutcomeEvent& e) { seen.push_back(e); });
  slow_call(2s);
  call(failure, [&] { breaker_->open(); });
  call(success);
  ASSERT_EQ(seen.size(), 3u);
  EXPECT_EQ(seen[0].outcome, success);
  EXPECT_EQ(seen[0].duration, 2s);
  EXPECT_TRUE(seen[0].slow);
  EXPECT_FALSE(seen[0].late);
  EXPECT_EQ(seen[1].outcome, failure);
  EXPECT_TRUE(seen[1].late);
  EXPECT_EQ(seen[2].outcome, rejected);
}

// ── R13: export and import ──

TEST_P(CircuitBreakerTest, ClosedStateIsCarriedWithItsPartialCounts) {
  make({.failure_threshold = 3, .minimum_requests = 5});
  call(success);
  clock_.advance(2s);
  calls(2, failure);
  clock_.advance(1s);
  const BreakerSnapshot snapshot = breaker_->export_state();

  clock_.advance(3h);
  make({.failure_threshold = 3, .minimum_requests = 5});
  EXPECT_TRUE(breaker_->import_state(snapshot));
  EXPECT_EQ(breaker_->stats().recent_requests, 3u);
  EXPECT_EQ(breaker_->stats().failure_count, 2u);
  EXPECT_EQ(breaker_->stats().consecutive_failures, 2u);
  clock_.advance(7s);
  EXPECT_EQ(breaker_->stats().recent_requests, 2u) << "the first is ten seconds old";
  call(failure);
  EXPECT_EQ(state(), kOpen);
}

TEST_P(CircuitBreakerTest, ImportedCountsAreNeverRememberedForTooLong) {
  for (Nanos phase = 0s; phase < 1s; phase += 130ms) {
    make();
    clock_.advance(phase);
    call(success);
    clock_.advance(3'300ms);
    const BreakerSnapshot snapshot = breaker_->export_state();
    clock_.advance(phase * 3);
    make();
    ASSERT_TRUE(breaker_->import_state(snapshot));
    EXPECT_EQ(breaker_->stats().recent_requests, 1u);
    clock_.advance(6'700ms);
    EXPECT_EQ(breaker_->stats().recent_requests, 0u) << phase.count();
  }
}

TEST_P(CircuitBreakerTest, OpenStateIsCarriedWithTheTimeLeftAndItsAttempt) {
  const CircuitBreakerOptions options{.reset_timeout = 1s,
                                      .backoff = OpenBackoff{.factor = 2, .jitter = 0}};
  make(options);
  calls(5, failure);
  clock_.advance(1s);
  call(failure);
  clock_.advance(500ms);
  const BreakerSnapshot snapshot = breaker_->export_state();

  clock_.advance(100h);
  make(options);
  EXPECT_TRUE(breaker_->import_state(snapshot));
  EXPECT_EQ(call(success)->retry_after, 1'500ms);
  clock_.advance(1'500ms);
  call(failure);
  EXPECT_EQ(call(success)->retry_after, 4s);
}

TEST_P(CircuitBreakerTest, HalfOpenAndOverdueStatesAreImportedAsADueTrial) {
  for (const bool half_open : {true, false}) {
    make();
    make_due();
    if (half_open) call(cancelled);
    const BreakerSnapshot snapshot = breaker_->export_state();
    EXPECT_EQ(snapshot.open_left, 0s);
    make();
    EXPECT_TRUE(breaker_->import_state(snapshot));
    EXPECT_EQ(state(), kOpen);
    EXPECT_FALSE(call(success)) << "a trial";
    EXPECT_EQ(state(), kClosed);
  }
}

TEST_P(CircuitBreakerTest, ImportIntoAnIsolatedBreakerIsRefused) {
  make();
  const auto handle = breaker_->isolate();
  EXPECT_EQ(breaker_->import_state({}).error(), TransitionError::isolated);
}

// ── R14: health ──

TEST_P(CircuitBreakerTest, FailedHealthCheckOpensAndAPassingOneClosesOnlyIfAskedTo) {
  for (const bool closes : {false, true}) {
    make({.health_success_closes = closes});
    breaker_->report_health(true);
    EXPECT_TRUE(events_.empty());
    breaker_->report_health(false);
    EXPECT_EQ(state(), kOpen);
    clock_.advance(10s);
    breaker_->report_health(false);
    breaker_->report_health(true);
    EXPECT_EQ(state(), closes ? kClosed : kOpen);
    if (!closes) {
      EXPECT_EQ(call(success)->retry_after, 50s);
    }
    events_.clear();
  }
}

// ── Options and modes ──

TEST_P(CircuitBreakerTest, NoRuleOpensItWhileItWarmsUp) {
  make({.warm_up = 1min});
  calls(50, failure);
  breaker_->report_health(false);
  EXPECT_EQ(state(), kClosed);
  clock_.advance(1min);
  call(failure);
  EXPECT_EQ(state(), kOpen);
}

TEST_P(CircuitBreakerTest, DisabledItAdmitsEverythingAndRecordsNothing) {
  make({.mode = BreakerMode::disabled});
  calls(50, failure);
  const auto handle = breaker_->isolate();
  calls(5, success);
  EXPECT_EQ(breaker_->stats().recent_requests, 0u);
  EXPECT_EQ(breaker_->stats().total(failure), 0u);
}

TEST_P(CircuitBreakerTest, MetricsOnlySaysOncePerCrossingThatItWouldHaveOpened) {
  make({.mode = BreakerMode::metrics_only});
  calls(20, failure);
  EXPECT_EQ(state(), kClosed);
  ASSERT_EQ(events_.size(), 1u);
  EXPECT_TRUE(events_[0].hypothetical);
  EXPECT_EQ(events_[0].cause, TransitionCause::consecutive_failures);
  EXPECT_EQ(breaker_->stats().failure_count, 20u);
  calls(21, success);
  EXPECT_EQ(events_.size(), 1u);
  calls(5, failure);
  EXPECT_EQ(events_.size(), 2u) << "a second crossing";
}

TEST_P(CircuitBreakerTest, MetricsOnlyAdmitsAlsoWhenItWasOpenedByHand) {
  make({.mode = BreakerMode::metrics_only});
  breaker_->open();
  calls(5, success);
  EXPECT_EQ(state(), kOpen);
}

TEST(CircuitBreakerOptionsTest, BadOptionFailsAndNamesFieldAndValue) {
  constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
  struct Case {
    CircuitBreakerOptions options;
    const char* says;
  };
  const std::vector<Case> cases{
      {{.name = ""}, "name is empty"},
      {{.name = "x", .failure_threshold = 65536}, "failure_threshold is 65536"},
      {{.name = "x", .reset_timeout = 0s}, "reset_timeout is 0"},
      {{.name = "x", .reset_timeout = -1s}, "reset_timeout is -1s"},
      {{.name = "x", .timeout = -1ms}, "timeout is -1ms"},
      {{.name = "x", .error_threshold_percentage = kNaN}, "error_threshold_percentage is NaN"},
      {{.name = "x", .error_threshold_percentage = 0.0}, "error_threshold_percentage is 0"},
      {{.name = "x", .error_threshold_percentage = 50}, "error_threshold_percentage is 50"},
      {{.name = "x", .minimum_requests = 0}, "minimum_requests is 0"},
      {{.name = "x", .rolling_window = 0s}, "rolling_window is 0"},
      {{.name = "x", .rolling_window = Nanos(9)}, "rolling_window is 9ns"},
      {{.name = "x", .rolling_window = 24h * 366}, "rolling_window is 366d"},
      {{.name = "x", .backoff = OpenBackoff{.factor = 0.5}}, "backoff.factor is 0.5"},
      {{.name = "x", .backoff = OpenBackoff{.factor = kNaN}}, "backoff.factor is NaN"},
      {{.name = "x", .backoff = OpenBackoff{.max = 1s}}, "backoff.max is 1s"},
      {{.name = "x", .backoff = OpenBackoff{.jitter = 1.5}}, "backoff.jitter is 1.5"},
      {{.name = "x", .half_open_max = 0}, "half_open_max is 0"},
      {{.name = "x", .half_open_required = 0}, "half_open_required is 0"},
      {{.name = "x", .half_open_lease = 0s}, "half_open_lease is 0"},
      {{.name = "x", .slow_call = -1s}, "slow_call is -1s"},
      {{.name = "x", .slow_call_threshold = kNaN}, "slow_call_threshold is NaN"},
      {{.name = "x", .warm_up = -1s}, "warm_up is -1s"},
      {{.name = "x", .clock = nullptr}, "clock is null"},
      {{.name = "x", .random = nullptr}, "random is empty"},
  };
  for (const Case& c : cases) {
    try {
      const CircuitBreaker breaker(c.options);
      ADD_FAILURE() << "accepted, though " << c.says;
    } catch (const std::invalid_argument& e) {
      EXPECT_THAT(e.what(), testing::HasSubstr(c.says));
    }
  }
  EXPECT_FALSE(CircuitBreakerOptions{.name = "x"}.validate());
}

// ── R5, R7, R15: threads ──

TEST(CircuitBreakerThreadsTest, ManySimultaneousFailuresOpenOnce) {
  for (int round = 0; round < 200; ++round) {
    CircuitBreaker breaker({.name = "test", .failure_threshold = 8});
    std::atomic<int> opened{0};
    breaker.on_transition([&](const TransitionEvent&) { opened.fetch_add(1); });
    {
      std::vector<std::jthread> threads;
      for (int t = 0; t < 4; ++t) {
        threads.emplace_back([&] {
          std::vector<CircuitBreaker::Permit> permits;
          for (int i = 0; i < 4; ++i) {
            if (auto permit = breaker.try_acquire()) permits.push_back(std::move(*permit));
          }
          for (auto& permit : permits) permit.failure();
        });
      }
    }
    ASSERT_LE(opened.load(), 1);
    ASSERT_EQ(opened.load() == 1, breaker.state() == BreakerState::open);
    ASSERT_EQ(breaker.stats().generation, static_cast<unsigned>(opened.load()));
  }
}

TEST(CircuitBreakerThreadsTest, OneOfManySimultaneousCallersGetsTheTrial) {
  ManualClock clock;
  CircuitBreaker breaker({.name = "test", .clock = &clock});
  for (int round = 0; round < 200; ++round) {
    breaker.open();
    clock.advance(60s);
    std::atomic<int> admitted{0};
    std::atomic<bool> go{false};
    {
      std::vector<std::jthread> threads;
      std::vector<std::optional<CircuitBreaker::Permit>> permits(4);
      for (int t = 0; t < 4; ++t) {
        threads.emplace_back([&, t] {
          while (!go.load()) std::this_thread::yield();
          if (auto permit = breaker.try_acquire()) {
            admitted.fetch_add(1);
            permits[static_cast<std::size_t>(t)] = std::move(*permit);
          }
        });
      }
      go = true;
      threads.clear();
    }
    ASSERT_EQ(admitted.load(), 1);
  }
}

TEST(CircuitBreakerThreadsTest, TotalsAndInFlightAreExactWhenAllIsQuiet) {
  CircuitBreaker breaker(
      {.name = "test", .failure_threshold = 0, .error_threshold_percentage = std::nullopt});
  constexpr std::uint64_t kThreads = 4;
  constexpr std::uint64_t kCalls = 5'000;
  {
    std::vector<std::jthread> threads;
    for (std::uint64_t t = 0; t < kThreads; ++t) {
      threads.emplace_back([&] {
        for (std::uint64_t i = 0; i < kCalls; ++i) {
          breaker.try_acquire()->settle(i % 4 == 0 ? failure : success);
        }
      });
    }
  }
  const BreakerStats stats = breaker.stats();
  EXPECT_EQ(stats.total(success), kThreads * kCalls * 3 / 4);
  EXPECT_EQ(stats.total(failure), kThreads * kCalls / 4);
  EXPECT_EQ(stats.in_flight, 0u);
}

// ── Footprint ──

TEST(CircuitBreakerSizeTest, FitsInOneKibibyte) {
  EXPECT_LE(sizeof(CircuitBreaker), 1024u);
}

}  // namespace
}  // namespace tyaprover::resilience
