// The breaker against a simple model, driven by random sequences of everything that can happen to
// it: calls that end at once, late, in another order or never, by hand operations, listeners'
// events, carried states and clocks that jump.
//
// The first test runs millions of events, each on one of several threads, so that every permit is
// taken and settled by different ones; the model runs beside it and must agree after each event.
// The second runs short bursts truly at once and searches an order of the operations that the model
// explains (linearisability, after Wing and Gong, "Testing and Verifying Concurrent Objects",
// 1993). TYAPROVER_MODEL_SECONDS sets how long each runs; ctest's default is short.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <barrier>
#include <condition_variable>
#include <cstdlib>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "tyaprover/resilience/circuit_breaker.h"

namespace tyaprover::resilience {
namespace {

using namespace std::chrono_literals;
using enum BreakerState;

std::chrono::milliseconds run_time() {
  const char* seconds = std::getenv("TYAPROVER_MODEL_SECONDS");
  return seconds ? std::chrono::milliseconds(1000 * std::atoi(seconds)) : 4'000ms;
}

// The rules of the breaker as plainly as they can be written: one thread, a list of calls.
class Model {
 public:
  struct Permit {
    std::uint64_t generation = 0;
    std::uint64_t trial = 0;
    TimePoint start{};
  };
  struct Event {
    BreakerState from, to;
    TransitionCause cause;
    bool operator==(const Event&) const = default;
  };

  Model(const CircuitBreakerOptions& options, TimePoint now) : o_(&options), born_(now) {}

  std::optional<Permit> acquire(TimePoint now) {
    if (state == half_open) expire(now);
    if (state == open && isolations == 0 && now >= open_until) {
      go(half_open, TransitionCause::trial_due);
    }
    if (state == closed) return admit(0, now);
    if (state == half_open && trials_.size() < o_->half_open_max) {
      trials_[++last_trial_] = now + *o_->half_open_lease;
      return admit(last_trial_, now);
    }
    ++totals[static_cast<std::size_t>(Outcome::rejected)];
    return std::nullopt;
  }

  void settle(const Permit& p, Outcome outcome, TimePoint now) {
    record(p, outcome, now);
    judge(p, outcome, now);
  }
  // The two steps of settling: the outcome enters the window, then it is judged.
  void record(const Permit& p, Outcome outcome, TimePoint now) {
    ++totals[static_cast<std::size_t>(outcome)];
    --in_flight;
    const bool completed = is_failure(outcome) || outcome == Outcome::success;
    if (p.generation != generation || p.trial != 0 || !completed || state != closed) return;
    calls_.push_back(
        {slot(now), is_failure(outcome), o_->slow_call && now - p.start > *o_->slow_call});
  }
  void judge(const Permit& p, Outcome outcome, TimePoint now) {
    if (p.generation != generation) return;
    const bool failure = is_failure(outcome);
    if (p.trial != 0) {
      expire(now);
      if (state != half_open || trials_.erase(p.trial) == 0) return;
      if (failure && ++trial_failures_ > o_->half_open_failures_allowed) {
        reopen(TransitionCause::trial_failed, now);
      } else if (outcome == Outcome::success && ++trial_successes_ >= o_->half_open_required) {
        go(closed, TransitionCause::trials_succeeded);
      }
      return;
    }
    const bool completed = failure || outcome == Outcome::success;
    if (!completed || state != closed) return;
    consecutive = failure ? consecutive + 1 : 0;
    if (now < born_ + o_->warm_up) return;
    if (o_->failure_threshold > 0 && consecutive >= o_->failure_threshold) {
      return opened(TransitionCause::consecutive_failures, now, period());
    }
    const WindowCounts w = window(now);
    if (w.calls < o_->minimum_requests) return;
    const auto n = static_cast<double>(w.calls);
    if (o_->error_threshold_percentage &&
        static_cast<double>(w.failures) / n >= *o_->error_threshold_percentage)
      return opened(TransitionCause::failure_rate, now, period());
    if (o_->slow_call && static_cast<double>(w.slow) / n >= o_->slow_call_threshold)
      return opened(TransitionCause::slow_rate, now, period());
  }

  void open_by_hand(TimePoint now) {
    if (state != open) opened(TransitionCause::manual, now, period());
  }
  bool close_by_hand() {
    if (isolations > 0) return false;
    if (state != closed) go(closed, TransitionCause::manual);
    return true;
  }
  bool half_open_by_hand() {
    if (isolations > 0 || state == closed) return false;
    if (state == open) go(half_open, TransitionCause::manual);
    return true;
  }
  bool reset() {
    if (isolations > 0) return false;
    go(closed, TransitionCause::manual);
    return true;
  }
  void isolate(TimePoint now) {
    ++isolations;
    if (state != open) opened(TransitionCause::isolated, now, 0s);
  }
  void end_isolation(TimePoint now) {
    if (--isolations == 0) open_until = now;
  }
  void health(bool good, TimePoint now) {
    if (isolations > 0) return;
    if (good && o_->health_success_closes && state != closed) go(closed, TransitionCause::health);
    if (good || state == open || now < born_ + o_->warm_up) return;
    if (state == half_open) ++attempt;
    opened(TransitionCause::health, now, period());
  }

  [[nodiscard]] WindowCounts window(TimePoint now) const {
    WindowCounts w;
    for (const Call& c : calls_) {
      if (c.slot + RollingWindow::kSlots <= slot(now)) continue;
      ++w.calls;
      w.failures += c.failure;
      w.slow += c.slow;
    }
    return w;
  }
  void forget(TimePoint now) {
    while (!calls_.empty() && calls_.front().slot + RollingWindow::kSlots <= slot(now)) {
      calls_.pop_front();
    }
  }

  BreakerState state = closed;
  std::uint64_t generation = 0;
  unsigned consecutive = 0;
  unsigned attempt = 0;
  int isolations = 0;
  TimePoint open_until{};
  std::uint64_t in_flight = 0;
  std::array<std::uint64_t, kOutcomes> totals{};
  std::vector<Event> events;

 private:
  struct Call {
    std::int64_t slot;
    bool failure, slow;
  };

  Permit admit(std::uint64_t trial, TimePoint now) {
    ++in_flight;
    return {generation, trial, now};
  }
  [[nodiscard]] std::int64_t slot(TimePoint now) const {
    return (now - born_) / (o_->rolling_window / RollingWindow::kSlots);
  }
  [[nodiscard]] Nanos period() const {
    if (!o_->backoff) return o_->reset_timeout;
    double p = static_cast<double>(o_->reset_timeout.count());
    for (unsigned i = 0; i < attempt; ++i) p *= o_->backoff->factor;
    return std::min(o_->backoff->max, Nanos(static_cast<Nanos::rep>(std::min(p, 9e18))));
  }
  void expire(TimePoint now) {
    const auto lost = std::erase_if(trials_, [&](const auto& t) { return now >= t.second; });
    trial_failures_ += static_cast<unsigned>(lost);
    if (trial_failures_ > o_->half_open_failures_allowed) reopen(TransitionCause::trial_lost, now);
  }
  void reopen(TransitionCause cause, TimePoint now) {
    ++attempt;
    opened(cause, now, period());
  }
  void opened(TransitionCause cause, TimePoint now, Nanos open_for) {
    go(open, cause);
    open_until = now + open_for;
  }
  void go(BreakerState to, TransitionCause cause) {
    if (to != state) events.push_back({state, to, cause});
    state = to;
    ++generation;
    consecutive = 0;
    trials_.clear();
    trial_failures_ = trial_successes_ = 0;
    if (to != closed) return;
    calls_.clear();
    attempt = 0;
  }

  const CircuitBreakerOptions* o_;
  TimePoint born_;
  std::deque<Call> calls_;
  std::map<std::uint64_t, TimePoint> trials_;
  std::uint64_t last_trial_ = 0;
  unsigned trial_failures_ = 0;
  unsigned trial_successes_ = 0;
};

// Options that make every rule likely.
CircuitBreakerOptions random_options(std::mt19937_64& random, const Clock& clock) {
  const auto one_of = [&](auto... values) {
    const std::common_type_t<decltype(values)...> all[] = {values...};
    return all[random() % sizeof...(values)];
  };
  CircuitBreakerOptions o{.name = "model", .clock = &clock};
  o.failure_threshold = one_of(0U, 1U, 2U, 3U, 5U);
  o.reset_timeout = one_of(Nanos(1s), Nanos(7s), Nanos(60s));
  o.error_threshold_percentage =
      one_of(std::optional<double>(), std::optional(0.1), std::optional(0.5), std::optional(1.0));
  o.minimum_requests = one_of(1U, 4U, 10U);
  o.rolling_window = one_of(Nanos(10s), Nanos(1s), Nanos(997ms));
  if (random() % 2) o.backoff = OpenBackoff{.factor = one_of(1.0, 2.0), .jitter = 0};
  o.half_open_max = one_of(1U, 2U, 4U);
  o.half_open_required = one_of(1U, 2U, 5U);
  o.half_open_failures_allowed = one_of(0U, 0U, 2U);
  o.half_open_lease = one_of(Nanos(500ms), Nanos(10s));
  if (random() % 3 == 0) o.slow_call = one_of(Nanos(0s), Nanos(300ms));
  o.slow_call_threshold = one_of(0.5, 1.0);
  o.warm_up = one_of(Nanos(0s), Nanos(0s), Nanos(5s));
  o.health_success_closes = random() % 2;
  return o;
}

Outcome random_outcome(std::mt19937_64& random, unsigned failures_of_16) {
  const auto n = random() % 16;
  if (n < failures_of_16) return n % 4 == 0 ? Outcome::timeout : Outcome::failure;
  switch (random() % 12) {
    case 0:
      return Outcome::ignored;
    case 1:
      return Outcome::cancelled;
    case 2:
      return Outcome::shed;
    default:
      return Outcome::success;
  }
}

Nanos random_step(std::mt19937_64& random) {
  switch (random() % 64) {
    case 0:
      return 10s;
    case 1:
      return 1min;
    case 2:
      return 1h;
    case 3:  // where the tags of the window come round
      return 5120s;
    case 4:
      return Nanos(random() % 100'000'000'000'000);
    case 5:
    case 6:
    case 7:
      return Nanos(random() % 3'000'000'000);
    default:
      return Nanos(random() % 2'000'000);
  }
}

// Runs a function on one of several threads and waits for it.
class Hands {
 public:
  explicit Hands(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) threads_.emplace_back([this, i] { work(i); });
  }
  ~Hands() {
    {
      const std::lock_guard lock(mutex_);
      ended_ = true;
    }
    changed_.notify_all();
  }
  void run(std::size_t hand, const std::function<void()>& job) {
    std::unique_lock lock(mutex_);
    job_ = &job;
    hand_ = hand;
    changed_.notify_all();
    changed_.wait(lock, [&] { return job_ == nullptr; });
  }

 private:
  void work(std::size_t me) {
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [&] { return ended_ || (job_ && hand_ == me); });
      if (ended_) return;
      (*job_)();
      job_ = nullptr;
      changed_.notify_all();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  const std::function<void()>* job_ = nullptr;
  std::size_t hand_ = 0;
  bool ended_ = false;
  std::vector<std::jthread> threads_;
};

class Pair {
 public:
  explicit Pair(std::uint64_t seed)
      : random_(seed),
        options_(random_options(random_, clock_)),
        breaker_(options_),
        model_(options_, clock_.now()),
        failures_of_16_(static_cast<unsigned>(random_() % 14)) {
    breaker_.on_transition([this](const TransitionEvent& e) {
      events_.push_back({e.from, e.to, e.cause});
    });
  }

  // One thing that happens.
  void step() {
    if (random_() % 3 == 0) clock_.advance(random_step(random_));
    if (random_() % 512 == 0) failures_of_16_ = static_cast<unsigned>(random_() % 14);
    const auto what = random_() % 100;
    if (what < 45) {
      acquire();
    } else if (what < 94) {
      settle();
    } else if (random_() % 8 == 0) {
      by_hand();
    }
  }

  // Compares all that can be seen.
  void expect_equal(std::uint64_t seed, std::uint64_t step) {
    const BreakerStats stats = breaker_.stats();
    const TimePoint now = clock_.now();
    model_.forget(now);
    ASSERT_EQ(stats.state, model_.state) << "seed " << seed << " step " << step;
    ASSERT_EQ(stats.generation, model_.generation) << "seed " << seed << " step " << step;
    ASSERT_EQ(stats.totals, model_.totals) << "seed " << seed << " step " << step;
    ASSERT_EQ(stats.in_flight, model_.in_flight) << "seed " << seed << " step " << step;
    ASSERT_EQ(stats.attempt, model_.attempt) << "seed " << seed << " step " << step;
    ASSERT_EQ(events_, model_.events) << "seed " << seed << " step " << step;
    events_.clear();
    model_.events.clear();
    if (model_.state == closed) {
      const WindowCounts w = model_.window(now);
      ASSERT_EQ(stats.recent_requests, w.calls) << "seed " << seed << " step " << step;
      ASSERT_EQ(stats.failure_count, w.failures) << "seed " << seed << " step " << step;
      ASSERT_EQ(stats.slow_count, w.slow) << "seed " << seed << " step " << step;
      ASSERT_EQ(stats.consecutive_failures, model_.consecutive) << seed << " step " << step;
    }
    if (model_.state == open && model_.isolations == 0) {
      ASSERT_EQ(stats.retry_after, std::max(Nanos(0), model_.open_until - now))
          << "seed " << seed << " step " << step;
    }
  }

 private:
  struct Held {
    CircuitBreaker::Permit real;
    Model::Permit model;
  };

  void acquire() {
    const TimePoint now = clock_.now();
    auto real = breaker_.try_acquire();
    const auto expected = model_.acquire(now);
    ASSERT_EQ(real.has_value(), expected.has_value());
    if (real) {
      ASSERT_EQ(real->is_trial(), expected->trial != 0);
      held_.push_back({std::move(*real), *expected});
      // Never more than a few, so that the oldest are very late and all end some time.
      if (held_.size() > 40) settle();
    } else if (model_.state == open && model_.isolations == 0) {
      ASSERT_EQ(real.error().retry_after, model_.open_until - now);
    }
  }
  void settle() {
    if (held_.empty()) return;
    // Mostly the newest; sometimes one that has waited for long.
    const std::size_t back = random_() % 4 == 0 ? random_() % held_.size() : 0;
    const std::size_t i = held_.size() - 1 - back;
    Held one = std::move(held_[i]);
    held_.erase(held_.begin() + static_cast<std::ptrdiff_t>(i));
    const Outcome outcome = random_outcome(random_, failures_of_16_);
    if (outcome != Outcome::cancelled) one.real.settle(outcome);
    // A cancelled one is settled by its destructor.
    const CircuitBreaker::Permit gone = std::move(one.real);
    model_.settle(one.model, outcome, clock_.now());
  }
  void by_hand() {
    const TimePoint now = clock_.now();
    switch (random_() % 8) {
      case 0:
        breaker_.open();
        model_.open_by_hand(now);
        break;
      case 1:
        ASSERT_EQ(breaker_.close().has_value(), model_.close_by_hand());
        break;
      case 2:
        ASSERT_EQ(breaker_.half_open().has_value(), model_.half_open_by_hand());
        break;
      case 3:
        ASSERT_EQ(breaker_.reset().has_value(), model_.reset());
        break;
      case 4:
        if (isolations_.size() < 3) {
          isolations_.push_back(breaker_.isolate());
          model_.isolate(now);
        }
        break;
      case 5:
      case 6:
        if (!isolations_.empty()) {
          isolations_.pop_back();
          model_.end_isolation(now);
        }
        break;
      case 7: {
        const bool good = random_() % 2;
        breaker_.report_health(good);
        model_.health(good, now);
        break;
      }
    }
  }

  std::mt19937_64 random_;
  ManualClock clock_;
  CircuitBreakerOptions options_;
  CircuitBreaker breaker_;
  Model model_;
  unsigned failures_of_16_;
  std::vector<Model::Event> events_;
  std::vector<Held> held_;
  std::vector<CircuitBreaker::Isolation> isolations_;
};

TEST(BreakerModelTest, RandomSequencesMatchTheModelAfterEveryEvent) {
  const auto end = std::chrono::steady_clock::now() + run_time();
  std::uint64_t events = 0;
  std::uint64_t seed = 1;
  for (; std::chrono::steady_clock::now() < end; ++seed) {
    Pair pair(seed);
    for (std::uint64_t step = 0; step < 5'000; ++step, ++events) {
      pair.step();
      if (HasFatalFailure()) FAIL() << "seed " << seed << " step " << step;
      pair.expect_equal(seed, step);
      if (HasFatalFailure()) return;
    }
  }
  RecordProperty("events", std::to_string(events));
  std::printf("%llu events in %llu sequences\n", static_cast<unsigned long long>(events),
              static_cast<unsigned long long>(seed - 1));
}

TEST(BreakerModelTest, SequencesWhoseEveryEventRunsOnAnotherThreadMatchTheModel) {
  const auto end = std::chrono::steady_clock::now() + run_time() / 4;
  Hands hands(3);
  std::mt19937_64 random(1);
  for (std::uint64_t seed = 1'000'000; std::chrono::steady_clock::now() < end; ++seed) {
    Pair pair(seed);
    for (std::uint64_t step = 0; step < 1'000; ++step) {
      hands.run(random() % 3, [&] {
        pair.step();
        pair.expect_equal(seed, step);
      });
      if (HasFatalFailure()) FAIL() << "seed " << seed << " step " << step;
    }
  }
}

// ── Bursts ──

// What one thread did in a burst, and when: `began` and `ended` are ticks of a shared counter.
struct Operation {
  // A settling is two steps, in one interval: what others do may come between.
  enum class Kind { acquire, settle, judge, open, close, half_open } kind;
  Outcome outcome = Outcome::success;
  std::size_t permit = 0;  // which of the thread's permits
  bool admitted = false;   // what came out
  int began = 0;
  int ended = 0;
};
using History = std::vector<std::vector<Operation>>;  // by thread

// Whether some order of the operations, each between its beginning and its end, makes the model do
// what was seen.
class Explanation {
 public:
  struct Seen {
    BreakerState state;
    std::uint64_t generation;
    unsigned consecutive;
    WindowCounts window;
    std::vector<Model::Event> events;
  };
  Explanation(const History& history, const Seen& seen, TimePoint now)
      : history_(history), seen_(seen), now_(now) {}

  using Permits = std::vector<std::vector<std::optional<Model::Permit>>>;

  bool search(const Model& model, const Permits& permits) {
    return search(model, std::vector<std::size_t>(history_.size(), 0), permits);
  }

 private:
  bool search(const Model& model, const std::vector<std::size_t>& next, const Permits& permits) {
    bool complete = true;
    // Nothing may come before what had ended before it began.
    int first_end = std::numeric_limits<int>::max();
    for (std::size_t t = 0; t < history_.size(); ++t) {
      if (next[t] == history_[t].size()) continue;
      complete = false;
      first_end = std::min(first_end, history_[t][next[t]].ended);
    }
    if (complete) return matches(model);
    for (std::size_t t = 0; t < history_.size(); ++t) {
      if (next[t] == history_[t].size()) continue;
      const Operation& op = history_[t][next[t]];
      if (op.began > first_end) continue;
      Model after = model;
      Permits held = permits;
      if (!apply(after, held[t], op)) continue;
      std::vector<std::size_t> then = next;
      ++then[t];
      if (search(after, then, held)) return true;
    }
    return false;
  }
  bool apply(Model& model, std::vector<std::optional<Model::Permit>>& held, const Operation& op) {
    switch (op.kind) {
      case Operation::Kind::acquire: {
        auto permit = model.acquire(now_);
        if (permit.has_value() != op.admitted) return false;
        held[op.permit] = permit;
        return true;
      }
      case Operation::Kind::settle:
        model.record(*held[op.permit], op.outcome, now_);
        return true;
      case Operation::Kind::judge:
        model.judge(*held[op.permit], op.outcome, now_);
        return true;
      case Operation::Kind::open:
        model.open_by_hand(now_);
        return true;
      case Operation::Kind::close:
        return model.close_by_hand() == op.admitted;
      case Operation::Kind::half_open:
        return model.half_open_by_hand() == op.admitted;
    }
    return false;
  }
  [[nodiscard]] bool matches(const Model& model) const {
    return model.state == seen_.state && model.generation == seen_.generation &&
           model.events == seen_.events &&
           (model.state != closed ||
            (model.consecutive == seen_.consecutive && model.window(now_) == seen_.window));
  }

  const History& history_;
  const Seen& seen_;
  TimePoint now_;
};

TEST(BreakerModelTest, EveryBurstOfSimultaneousCallsHasAnOrderThatTheModelExplains) {
  constexpr std::size_t kThreads = 3;
  constexpr std::size_t kOperations = 4;
  constexpr std::size_t kPermits = kOperations + 1;
  const auto end = std::chrono::steady_clock::now() + run_time();
  std::mt19937_64 random(7);

  ManualClock clock;
  CircuitBreakerOptions options;
  std::unique_ptr<CircuitBreaker> breaker;
  History history;
  std::vector<std::vector<std::optional<CircuitBreaker::Permit>>> permits;
  std::atomic<int> tick{0};
  bool stop = false;
  std::barrier gate(static_cast<std::ptrdiff_t>(kThreads + 1));

  const auto perform = [&](std::size_t t) {
    for (Operation& op : history[t]) {
      op.began = tick.fetch_add(1);
      switch (op.kind) {
        case Operation::Kind::acquire:
          if (auto permit = breaker->try_acquire()) {
            permits[t][op.permit].emplace(std::move(*permit));
            op.admitted = true;
          }
          break;
        case Operation::Kind::settle:
          if (permits[t][op.permit]) permits[t][op.permit]->settle(op.outcome);
          break;
        case Operation::Kind::judge:
          break;
        case Operation::Kind::open:
          breaker->open();
          break;
        case Operation::Kind::close:
          op.admitted = breaker->close().has_value();
          break;
        case Operation::Kind::half_open:
          op.admitted = breaker->half_open().has_value();
          break;
      }
      op.ended = tick.fetch_add(1);
    }
  };
  std::vector<std::jthread> threads;
  for (std::size_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (;;) {
        gate.arrive_and_wait();
        if (stop) return;
        perform(t);
        gate.arrive_and_wait();
      }
    });
  }

  std::uint64_t bursts = 0;
  std::uint64_t opened = 0;
  while (std::chrono::steady_clock::now() < end && !HasFailure()) {
    options = random_options(random, clock);
    options.warm_up = 0s;
    breaker = std::make_unique<CircuitBreaker>(options);
    Model model(options, clock.now());
    std::vector<Model::Event> events;
    breaker->on_transition([&](const TransitionEvent& e) {
      events.push_back({e.from, e.to, e.cause});
    });

    // A quiet beginning: some calls, a state, and a permit for each thread.
    std::vector<std::vector<std::optional<Model::Permit>>> model_permits(
        kThreads, std::vector<std::optional<Model::Permit>>(kPermits));
    permits.clear();
    permits.resize(kThreads);
    for (std::size_t t = 0; t < kThreads; ++t) permits[t].resize(kPermits);
    for (auto n = random() % 12; n > 0; --n) {
      auto permit = breaker->try_acquire();
      auto expected = model.acquire(clock.now());
      if (!permit) continue;
      const Outcome outcome = random_outcome(random, 6);
      permit->settle(outcome);
      model.settle(*expected, outcome, clock.now());
    }
    for (std::size_t t = 0; t < kThreads; ++t) {
      if (auto permit = breaker->try_acquire()) permits[t][0].emplace(std::move(*permit));
      model_permits[t][0] = model.acquire(clock.now());
    }
    if (random() % 3 == 0) {
      breaker->open();
      model.open_by_hand(clock.now());
      clock.advance(random() % 2 ? Nanos(10min) : Nanos(0));
    }
    events.clear();
    model.events.clear();

    history.assign(kThreads, {});
    for (std::size_t t = 0; t < kThreads; ++t) {
      for (std::size_t i = 0; i < kOperations; ++i) {
        Operation op{};
        if (i == 0 && permits[t][0]) {
          op = {.kind = Operation::Kind::settle, .outcome = random_outcome(random, 9)};
        } else if (i % 2 == 1) {
          op = {.kind = Operation::Kind::acquire, .permit = i};
        } else if (i > 0 && random() % 8 != 0) {
          op = {.kind = Operation::Kind::settle,
                .outcome = random_outcome(random, 9),
                .permit = i - 1};
        } else {
          const Operation::Kind kinds[] = {Operation::Kind::open, Operation::Kind::close,
                                           Operation::Kind::half_open};
          op = {.kind = kinds[random() % 3]};
        }
        history[t].push_back(op);
      }
    }
    gate.arrive_and_wait();
    gate.arrive_and_wait();
    // Settling what was not admitted was no operation.
    for (std::size_t t = 0; t < kThreads; ++t) {
      std::erase_if(history[t], [&](const Operation& op) {
        return op.kind == Operation::Kind::settle && !permits[t][op.permit];
      });
      for (std::size_t i = 0; i < history[t].size(); ++i) {
        if (history[t][i].kind != Operation::Kind::settle) continue;
        Operation second = history[t][i];
        second.kind = Operation::Kind::judge;
        history[t].insert(history[t].begin() + static_cast<std::ptrdiff_t>(++i), second);
      }
    }
    const BreakerStats stats = breaker->stats();
    const Explanation::Seen seen{stats.state,
                                 stats.generation,
                                 stats.consecutive_failures,
                                 {stats.recent_requests, stats.failure_count, stats.slow_count},
                                 events};
    ++bursts;
    opened += events.empty() ? 0 : 1;
    if (!Explanation(history, seen, clock.now()).search(model, model_permits)) {
      std::ostringstream text;
      for (std::size_t t = 0; t < kThreads; ++t) {
        for (const Operation& op : history[t]) {
          text << "thread " << t << " kind " << static_cast<int>(op.kind) << " permit " << op.permit
               << ' ' << to_string(op.outcome) << " admitted " << op.admitted << " from "
               << op.began << " to " << op.ended << '\n';
        }
      }
      ADD_FAILURE() << "burst " << bursts << " has no order\n"
                    << text.str() << "state " << to_string(stats.state) << " generation "
                    << stats.generation << " from " << model.generation << " consecutive "
                    << stats.consecutive_failures << " window " << stats.recent_requests << '/'
                    << stats.failure_count << " before " << to_string(model.state) << ' '
                    << model.consecutive << ' ' << model.window(clock.now()).calls << '/'
                    << model.window(clock.now()).failures << " threshold "
                    << options.failure_threshold << " minimum " << options.minimum_requests
                    << " events " << events.size();
    }
    permits.clear();
  }
  stop = true;
  gate.arrive_and_wait();
  EXPECT_GT(opened, 0u) << "the bursts are not about nothing";
  std::printf("%llu bursts, %llu with transitions\n", static_cast<unsigned long long>(bursts),
              static_cast<unsigned long long>(opened));
}

}  // namespace
}  // namespace tyaprover::resilience
