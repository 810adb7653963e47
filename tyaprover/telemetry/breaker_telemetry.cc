#include "tyaprover/telemetry/breaker_telemetry.h"

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <utility>

#include "tyaprover/base/json_writer.h"
#include "tyaprover/trace/context.h"

namespace tyaprover::telemetry {
namespace {

using resilience::BreakerState;
using resilience::CircuitBreaker;
using resilience::OutcomeEvent;
using resilience::TransitionEvent;
using trace::Text;

constexpr std::array<BreakerState, 3> kStates = {BreakerState::closed, BreakerState::open,
                                                 BreakerState::half_open};

// How often a breaker went from one state to another.
class Transitions {
 public:
  // Relaxed: it only grows, and nothing else is read with it.
  void count(BreakerState from, BreakerState to) noexcept {
    counts_[at(from, to)].fetch_add(1, std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint64_t of(BreakerState from, BreakerState to) const noexcept {
    return counts_[at(from, to)].load(std::memory_order_relaxed);
  }

 private:
  static constexpr std::size_t at(BreakerState from, BreakerState to) noexcept {
    return static_cast<std::size_t>(from) * kStates.size() + static_cast<std::size_t>(to);
  }
  std::array<std::atomic<std::uint64_t>, kStates.size() * kStates.size()> counts_{};
};

void add_span_event(trace::Span& span, const TransitionEvent& event) {
  span.add_event(
      Text(event.hypothetical ? "circuit_breaker.would_open" : "circuit_breaker.transition", true),
      {{"circuit_breaker.name", event.breaker},
       {"circuit_breaker.from", Text(to_string(event.from), true)},
       {"circuit_breaker.to", Text(to_string(event.to), true)},
       {"circuit_breaker.cause", Text(to_string(event.cause), true)},
       {"circuit_breaker.failures", static_cast<std::int64_t>(event.window.failures)},
       {"circuit_breaker.calls", static_cast<std::int64_t>(event.window.calls)},
       {"circuit_breaker.consecutive_failures", std::int64_t{event.consecutive_failures}}});
}

// Shared by the listeners and the collector.
class Observer {
 public:
  Observer(resilience::BreakerRegistry& breakers, metrics::Registry& metrics,
           BreakerTelemetryOptions options)
      : breakers_(breakers),
        durations_(metrics.histogram("circuit_breaker_call_duration_seconds",
                                     "Calls that a circuit breaker let pass.",
                                     {.labels = {"name"}, .durations = true, .unit = "seconds"})),
        options_(std::move(options)) {}

  void watch(const std::shared_ptr<Observer>& self, CircuitBreaker& breaker) {
    const auto transitions = std::make_shared<Transitions>();
    {
      const std::lock_guard lock(mutex_);
      transitions_[breaker.name()] = transitions;
    }
    breaker.on_transition(
        [self, transitions](const TransitionEvent& event) { self->note(*transitions, event); });
    breaker.on_outcome(
        [duration = durations_.with({breaker.name()})](const OutcomeEvent& event) mutable {
          if (event.outcome == resilience::Outcome::success || is_failure(event.outcome)) {
            duration.observe(event.duration);
          }
        });
  }

  void collect(metrics::Collection& out) const;

 private:
  void note(Transitions& transitions, const TransitionEvent& event) const {
    if (!event.hypothetical) transitions.count(event.from, event.to);
    if (options_.on_transition) options_.on_transition(event);
    trace::Span* const span = options_.span ? options_.span() : trace::current_span();
    if (span != nullptr) add_span_event(*span, event);
  }

  resilience::BreakerRegistry& breakers_;
  metrics::HistogramFamily& durations_;
  const BreakerTelemetryOptions options_;
  mutable std::mutex mutex_;
  std::map<std::string, std::shared_ptr<Transitions>> transitions_;  // by breaker; under mutex_
};

void Observer::collect(metrics::Collection& out) const {
  for (const auto& breaker : breakers_.all()) {
    const resilience::BreakerStats stats = breaker->stats();
    const std::string& name = stats.name;
    std::shared_ptr<Transitions> transitions;
    {
      const std::lock_guard lock(mutex_);
      const auto found = transitions_.find(name);
      if (found == transitions_.end()) continue;  // it is being registered just now
      transitions = found->second;
    }
    for (const BreakerState state : kStates) {
      out.gauge("circuit_breaker_state", "1 for the state that a circuit breaker is in.",
                state == stats.state ? 1 : 0, {{"name", name}, {"state", to_string(state)}});
    }
    for (std::size_t i = 0; i < resilience::kOutcomes; ++i) {
      out.counter("circuit_breaker_calls_total", "Calls through a circuit breaker, by outcome.",
                  stats.totals[i],
                  {{"name", name}, {"outcome", to_string(static_cast<resilience::Outcome>(i))}});
    }
    for (const BreakerState from : kStates) {
      for (const BreakerState to : kStates) {
        if (from == to) continue;
        out.counter("circuit_breaker_transitions_total", "Changes of a circuit breaker's state.",
                    transitions->of(from, to),
                    {{"name", name}, {"from", to_string(from)}, {"to", to_string(to)}});
      }
    }
    out.gauge("circuit_breaker_failure_ratio", "Share of failed calls in the window.",
              stats.error_rate, {{"name", name}});
    out.gauge("circuit_breaker_in_flight", "Calls that a circuit breaker let pass and that run.",
              static_cast<double>(stats.in_flight), {{"name", name}});
  }
}

}  // namespace

void observe_breakers(resilience::BreakerRegistry& breakers, metrics::Registry& metrics,
                      BreakerTelemetryOptions options) {
  const auto observer = std::make_shared<Observer>(breakers, metrics, std::move(options));
  breakers.on_register([observer](CircuitBreaker& breaker) { observer->watch(observer, breaker); });
  metrics.add_collector("circuit_breakers",
                        [observer](metrics::Collection& out) { observer->collect(out); });
}

std::string_view transition_message(const TransitionEvent& event) noexcept {
  if (event.hypothetical) return "a circuit breaker would have opened";
  switch (event.to) {
    case BreakerState::closed:
      return "a circuit breaker closed";
    case BreakerState::open:
      return "a circuit breaker opened";
    case BreakerState::half_open:
      return "a circuit breaker lets a trial pass";
  }
  return "";
}

std::string transition_json(const TransitionEvent& event) {
  std::string text;
  JsonWriter json(text);
  json.begin_object().key("msg").string(transition_message(event));
  json.key("breaker").string(event.breaker);
  json.key("from").string(to_string(event.from)).key("to").string(to_string(event.to));
  json.key("cause").string(to_string(event.cause));
  json.key("failures").integer(event.window.failures).key("calls").integer(event.window.calls);
  json.key("slow").integer(event.window.slow);
  json.key("consecutive").integer(event.consecutive_failures);
  if (event.to == BreakerState::open) {
    json.key("open_for_ms")
        .integer(std::chrono::ceil<std::chrono::milliseconds>(event.open_for).count());
  }
  json.end_object();
  return text;
}

}  // namespace tyaprover::telemetry
