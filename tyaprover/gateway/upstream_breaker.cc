#include "tyaprover/gateway/upstream_breaker.h"

#include <algorithm>
#include <chrono>
#include <string>
#include <utility>

#include "tyaprover/gateway/retries.h"
#include "tyaprover/http/timer_wheel.h"
#include "tyaprover/http/worker.h"

namespace tyaprover::gateway {
namespace {

using http::BodyError;
using http::Reason;
using resilience::Outcome;

// A trial whose body has been coming for so long has succeeded: an endless stream must not keep the
// others out.
constexpr Nanos kTrialBody = 5s;
constexpr Nanos kMaxRetryAfter = 5min;

Outcome outcome_of_body(BodyError error) noexcept {
  switch (error) {
    case BodyError::timeout:
    case BodyError::too_slow:
      return Outcome::timeout;
    case BodyError::disconnected:
    case BodyError::malformed:
    case BodyError::too_large:
      return Outcome::failure;
    case BodyError::aborted:
      break;
  }
  return Outcome::cancelled;
}

}  // namespace

std::chrono::seconds whole_seconds(Nanos time) noexcept {
  return std::max(std::chrono::ceil<std::chrono::seconds>(time), std::chrono::seconds(1));
}

Outcome outcome_of(Reason reason) noexcept {
  switch (reason) {
    case Reason::upstream_connect_failed:
    case Reason::upstream_reset:
    case Reason::upstream_protocol_error:
      return Outcome::failure;
    case Reason::request_timeout:
    case Reason::upstream_connect_timeout:
    case Reason::upstream_response_timeout:
      return Outcome::timeout;
    case Reason::no_healthy_upstream:
      return Outcome::ignored;
    case Reason::overloaded:
    case Reason::rate_limited:
      return Outcome::shed;
    default:
      return Outcome::cancelled;
  }
}

Outcome outcome_of(int status) noexcept {
  return status == 500 || (status >= 502 && status <= 504) ? Outcome::failure : Outcome::success;
}

// A response whose body is on its way to the client.
class UpstreamBreaker::PendingResponse final : public http::ResponseWatcher {
 public:
  explicit PendingResponse(UpstreamBreaker& owner)
      : owner_(owner), trial_time_([this] { look_at_trial(); }) {}

  void begin(filters::Exchange& exchange, Permit permit, const TargetStanding& target, Nanos took,
             http::ClientConnection& connection) {
    exchange_ = &exchange;
    exchange.follower = &exchange_;
    permit_.emplace(std::move(permit));
    target_ = target;
    took_ = took;
    connection_ = &connection;
    if (permit_->is_trial()) watch_trial();
    connection.watch_response(*this);
  }

  void response_ended(std::optional<BodyError> error) noexcept override {
    trial_time_.cancel();
    const Outcome outcome = error ? outcome_of_body(*error) : Outcome::success;
    settle(owner_.judge_target(target_, outcome));
    if (exchange_ != nullptr) exchange_->follower = nullptr;
    exchange_ = nullptr;
    permit_.reset();
    target_.health.reset();
    owner_.unused_.push_back(this);
  }

 private:
  void watch_trial() {
    received_ = connection_->bytes_received();
    owner_.worker_.timers().set(trial_time_, owner_.worker_.now() + kTrialBody);
  }
  void look_at_trial() {
    if (connection_->bytes_received() == received_) return watch_trial();
    settle(Outcome::success);
  }
  void settle(Outcome outcome) noexcept {
    const CausedBy cause(exchange_);
    permit_->settle(outcome, owner_.worker_.now(), took_);
  }

  UpstreamBreaker& owner_;
  filters::Exchange* exchange_ = nullptr;
  std::optional<Permit> permit_;
  TargetStanding target_;
  Nanos took_{0};
  http::ClientConnection* connection_ = nullptr;
  std::uint64_t received_ = 0;
  http::Timer trial_time_;
};

UpstreamBreaker::UpstreamBreaker(http::Worker& worker, const AppConfig& app, Breakers& breakers,
                                 resilience::CircuitBreaker& breaker)
    : worker_(worker), app_(app), breakers_(breakers), breaker_(breaker) {}
UpstreamBreaker::~UpstreamBreaker() = default;

Outcome UpstreamBreaker::judge_target(const TargetStanding& target, Outcome outcome) {
  const bool failure = is_failure(outcome);
  if (!failure && outcome != Outcome::success) return outcome;
  const TimePoint now = worker_.now();
  const auto ejection = target.health->record(target.number, failure, now);
  if (ejection) breakers_.note_ejection(app_.name, *target.health, *ejection);
  return failure && target.health->is_replaced(target.number, now) ? Outcome::ignored : outcome;
}

void UpstreamBreaker::settle(filters::Exchange& exchange, Permit& permit, Outcome outcome,
                             Nanos took) {
  const CausedBy cause(&exchange);
  permit.settle(outcome, worker_.now(), took);
}

void UpstreamBreaker::judge_response(filters::Exchange& exchange, Permit permit, TimePoint begun,
                                     const TargetStanding& target,
                                     http::ClientConnection& connection) {
  const int status = connection.head().status;
  const Nanos took = worker_.now() - begun;
  note_retry_after(exchange, target, connection.head());
  const Outcome outcome = gateway::outcome_of(status);
  if (is_failure(outcome) || status == 101 || connection.body_complete()) {
    settle(exchange, permit, judge_target(target, outcome), took);
    return;
  }
  if (unused_.empty()) {
    unused_.push_back(pending_.emplace_back(std::make_unique<PendingResponse>(*this)).get());
  }
  PendingResponse* const pending = unused_.back();
  unused_.pop_back();
  pending->begin(exchange, std::move(permit), target, took, connection);
}

void UpstreamBreaker::note_retry_after(filters::Exchange& exchange, const TargetStanding& target,
                                       const http::ResponseHead& head) {
  // In the other modes nothing would close it again.
  if (!app_.breaker.honour_retry_after || app_.breaker.mode != resilience::BreakerMode::normal) {
    return;
  }
  const bool is_busy = head.status == 429 || head.status == 503;
  if (!is_busy || !head.fields.has(http::KnownField::retry_after)) {
    return target.health->asked_for_none(target.number);
  }
  const std::optional<Nanos> wanted = retry_after(head.fields);
  if (!wanted || *wanted <= Nanos(0)) return;
  const TimePoint now = worker_.now();
  const TimePoint until = now + std::min(*wanted, kMaxRetryAfter);
  if (const auto rest = target.health->asked_for_rest(target.number, until, now)) {
    const CausedBy cause(&exchange);
    breaker_.open(*rest);
  }
}

void reply_circuit_open(filters::Exchange& e, std::string_view breaker, Nanos retry_after,
                        const filters::ReplyOptions& options) {
  filters::ReplyOptions with_time = options;
  with_time.retry_after = whole_seconds(retry_after);
  filters::reply(e, Reason::circuit_open,
                 e.arena.concat({"the circuit breaker ", breaker, " is open"}), with_time);
}

void reply_rejected(filters::Exchange& e, const AppConfig& app, Nanos retry_after,
                    const filters::ReplyOptions& options) {
  const BreakerConfig& breaker = app.breaker;
  if (breaker.fallback_status == 0 || e.stale_when_open) {
    reply_circuit_open(e, e.arena.concat({"upstream:", app.name}), retry_after, options);
    return;
  }
  e.reason = Reason::circuit_open;
  e.response.status = static_cast<int>(breaker.fallback_status);
  if (!breaker.fallback_content_type.empty()) {
    e.response.fields.add(http::KnownField::content_type, breaker.fallback_content_type);
  }
  e.response.fields.add(http::KnownField::cache_control, "no-store");
  if (breaker.fallback_status == 503) {
    e.response.fields.add(http::KnownField::retry_after,
                          e.arena.store(std::to_string(whole_seconds(retry_after).count())));
  }
  e.response.content = breaker.fallback_body;
}

}  // namespace tyaprover::gateway
