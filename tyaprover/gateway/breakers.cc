#include "tyaprover/gateway/breakers.h"

#include <utility>

#include "tyaprover/base/parse.h"
#include "tyaprover/gateway/log.h"
#include "tyaprover/gateway/upstream.h"
#include "tyaprover/telemetry/breaker_telemetry.h"

namespace tyaprover::gateway {
namespace {

using resilience::BreakerState;
using resilience::CircuitBreaker;
using resilience::CircuitBreakerOptions;
using resilience::TransitionEvent;

// The exchange whose call this thread is admitting or settling.
thread_local filters::Exchange* cause = nullptr;

void log_transition(const TransitionEvent& event) {
  const bool opened = event.to == BreakerState::open;
  log_event(opened ? LogLevel::warn : LogLevel::info, telemetry::transition_message(event),
            {{"breaker", event.breaker},
             {"from", to_string(event.from)},
             {"to", to_string(event.to)},
             {"cause", to_string(event.cause)},
             {"failures", std::to_string(event.window.failures)},
             {"calls", std::to_string(event.window.calls)},
             {"slow", std::to_string(event.window.slow)},
             {"consecutive", std::to_string(event.consecutive_failures)},
             {"open_for", opened ? format_duration(event.open_for) : std::string()},
             {"request_id", cause != nullptr ? cause->request_id : std::string_view()}});
}

}  // namespace

CausedBy::CausedBy(filters::Exchange* exchange) noexcept : outer_(std::exchange(cause, exchange)) {}
CausedBy::~CausedBy() {
  cause = outer_;
}

CircuitBreakerOptions breaker_options(const AppConfig& app) {
  const BreakerConfig& config = app.breaker;
  CircuitBreakerOptions options{
      .name = "upstream:" + app.name,
      .failure_threshold = config.failure_threshold,
      .reset_timeout = config.reset_timeout,
      .timeout = config.timeout.value_or(Nanos(0)),
      .error_threshold_percentage = config.error_threshold_percentage,
      .minimum_requests = config.minimum_requests,
      .rolling_window = config.rolling_window,
      .half_open_max = config.half_open_max,
      .half_open_required = config.half_open_required,
      .half_open_failures_allowed = config.half_open_failures_allowed,
      .half_open_lease = config.half_open_lease.value_or(app.timeouts.request + 10s),
      .slow_call = config.slow_call,
      .slow_call_threshold = config.slow_call_threshold,
      .warm_up = config.warm_up,
      .mode = config.mode,
  };
  if (config.backoff_factor) {
    options.backoff = resilience::OpenBackoff{.factor = *config.backoff_factor,
                                              .max = config.backoff_max,
                                              .jitter = config.backoff_jitter};
  }
  return options;
}

bool move_by_hand(CircuitBreaker& breaker, std::string_view action) {
  if (action == "open") {
    breaker.open();
  } else if (action == "close") {
    static_cast<void>(breaker.close());
  } else if (action == "reset") {
    static_cast<void>(breaker.reset());
  } else {
    return false;
  }
  return true;
}

Breakers::Breakers(const Config& config, metrics::Registry& metrics)
    : ejections_(metrics.counter("tyaprover_upstream_ejections_total",
                                 "Times that a target was left out for what it answered.",
                                 {"app", "target"})) {
  telemetry::observe_breakers(registry_, metrics,
                              {.on_transition = log_transition,
                               .span = [] { return cause == nullptr ? nullptr : &cause->span; }});
  for (const AppConfig& app : config.apps) {
    CircuitBreakerOptions options = breaker_options(app);
    const std::string name = options.name;
    upstreams_.push_back({.app = app.name,
                          .outliers = outlier_options(app.ejection),
                          .breaker = registry_.register_breaker(name, std::move(options)),
                          .health = nullptr});
  }
  static_cast<void>(
      registry_.register_breaker("docker-api", {.failure_threshold = 3, .timeout = 5s}));
  external_http_ = registry_.register_breaker("external-http", {.reset_timeout = 5s});
  if (config.environment != Environment::production) {
    test_ = registry_.register_breaker("test", {.failure_threshold = 5, .reset_timeout = 10s});
  }
  metrics.add_collector("upstream_ejections", [this](metrics::Collection& out) { collect(out); });
}

std::shared_ptr<PassiveHealth> Breakers::targets_changed(std::size_t app,
                                                         const TargetList& targets) {
  Upstream& upstream = upstreams_[app];
  auto health = std::make_shared<PassiveHealth>(upstream.outliers, targets, upstream.health.get());
  const std::lock_guard lock(mutex_);
  upstream.health = health;
  return health;
}

std::shared_ptr<PassiveHealth> Breakers::health_of(const Upstream& upstream) const {
  const std::lock_guard lock(mutex_);
  return upstream.health;
}

void Breakers::note_ejection(std::string_view app, const PassiveHealth& health,
                             const PassiveHealth::Ejection& ejection) {
  const std::string& target = health.targets()[ejection.target]->address;
  ejections_.with({app, target}).inc();
  log_event(LogLevel::warn, "a target is left out for a while",
            {{"app", app},
             {"target", target},
             {"cause", to_string(ejection.reason)},
             {"for", format_duration(
                         std::chrono::duration_cast<std::chrono::milliseconds>(ejection.period))},
             {"times", std::to_string(ejection.times)}});
}

void Breakers::compare_targets(TimePoint now) {
  for (const Upstream& upstream : upstreams_) {
    const std::shared_ptr<PassiveHealth> health = health_of(upstream);
    if (health == nullptr) continue;
    for (const PassiveHealth::Ejection& ejection : health->evaluate(now)) {
      note_ejection(upstream.app, *health, ejection);
    }
  }
}

CheckResult Breakers::check() const {
  CheckResult result;
  std::string open;
  for (const auto& breaker : registry_.all()) {
    const BreakerState state = breaker->state();
    result.figures.emplace_back(breaker->name(), "\"" + std::string(to_string(state)) + "\"");
    if (state != BreakerState::open || breaker == test_) continue;
    open += (open.empty() ? "" : ", ") + breaker->name();
  }
  if (!open.empty()) {
    result.status = HealthStatus::degraded;
    result.detail = "open: " + open;
  }
  return result;
}

void Breakers::collect(metrics::Collection& out) const {
  const TimePoint now = SteadyClock::instance().now();
  for (const Upstream& upstream : upstreams_) {
    const std::shared_ptr<PassiveHealth> health = health_of(upstream);
    if (health == nullptr) continue;
    for (std::size_t i = 0; i < health->targets().size(); ++i) {
      out.gauge("tyaprover_upstream_target_ejected",
                "1 while a target is left out for what it answered.",
                health->is_ejected(i, now) ? 1 : 0,
                {{"app", upstream.app}, {"target", health->targets()[i]->address}});
    }
  }
}

}  // namespace tyaprover::gateway
