// UpstreamBreaker: one worker's side of an app's circuit breaker: who is admitted, what stands in
// when nobody is, and what an answer says about the upstream (R31, R33).
//
// Confined to its worker; the breaker itself is shared. Nothing is allocated once as many responses
// as run at once have been judged.
//
//   auto permit = breaker.shared().try_acquire(worker.now());
//   if (!permit) return reply_rejected(exchange, app, permit.error().retry_after, options);
//   …                                                         // a response head came
//   breaker.judge_response(exchange, std::move(*permit), begun, target.standing, connection);
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "tyaprover/filters/error_reply.h"
#include "tyaprover/filters/pipeline.h"
#include "tyaprover/gateway/breakers.h"
#include "tyaprover/gateway/config.h"
#include "tyaprover/gateway/passive_health.h"
#include "tyaprover/http/client.h"
#include "tyaprover/http/reason.h"
#include "tyaprover/resilience/circuit_breaker.h"

namespace tyaprover::gateway {

// What is said about the upstream by a try that failed, and by a response with this status.
[[nodiscard]] resilience::Outcome outcome_of(http::Reason reason) noexcept;
[[nodiscard]] resilience::Outcome outcome_of(int status) noexcept;

// A target of a worker's list, as its passive health knows it.
struct TargetStanding {
  std::shared_ptr<PassiveHealth> health;
  std::size_t number = 0;
};

class UpstreamBreaker {
 public:
  using Permit = resilience::CircuitBreaker::Permit;

  // Borrows all.
  UpstreamBreaker(http::Worker& worker, const AppConfig& app, Breakers& breakers,
                  resilience::CircuitBreaker& breaker);
  ~UpstreamBreaker();
  UpstreamBreaker(const UpstreamBreaker&) = delete;
  UpstreamBreaker& operator=(const UpstreamBreaker&) = delete;

  [[nodiscard]] resilience::CircuitBreaker& shared() noexcept { return breaker_; }

  // Counts what a try says about its target. What it says about the upstream: nothing, if it is the
  // failure of a target that is ejected, with this one or before, while others take its place.
  resilience::Outcome judge_target(const TargetStanding& target, resilience::Outcome outcome);
  // Settles the permit. `took`: until the response head.
  void settle(filters::Exchange& exchange, Permit& permit, resilience::Outcome outcome, Nanos took);
  // Opens the breaker if the answers of all targets ask to be left alone for a while, and that is
  // to be honoured.
  void note_retry_after(filters::Exchange& exchange, const TargetStanding& target,
                        const http::ResponseHead& head);
  // A final response head came from the target, for a call that began at `begun`: the permit is
  // settled, and the target judged, now or at the end of the body. REQUIRES: no head of a later
  // response is read meanwhile.
  void judge_response(filters::Exchange& exchange, Permit permit, TimePoint begun,
                      const TargetStanding& target, http::ClientConnection& connection);

 private:
  class PendingResponse;

  http::Worker& worker_;
  const AppConfig& app_;
  Breakers& breakers_;
  resilience::CircuitBreaker& breaker_;
  std::vector<std::unique_ptr<PendingResponse>> pending_;  // all that there are
  std::vector<PendingResponse*> unused_;
};

// Answers a request that an app's breaker did not let pass: the static response, or the reply
// below.
void reply_rejected(filters::Exchange& exchange, const AppConfig& app, Nanos retry_after,
                    const filters::ReplyOptions& options);
// 503 circuit_open with Retry-After: whole seconds, at least one.
void reply_circuit_open(filters::Exchange& exchange, std::string_view breaker, Nanos retry_after,
                        const filters::ReplyOptions& options);

// For Retry-After: rounded up, at least one.
[[nodiscard]] std::chrono::seconds whole_seconds(Nanos time) noexcept;

}  // namespace tyaprover::gateway
