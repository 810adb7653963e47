#include "tyaprover/resilience/breaker_stats.h"

#include <chrono>

namespace tyaprover::resilience {
namespace {

std::string_view upper_name(BreakerState state) noexcept {
  switch (state) {
    case BreakerState::closed:
      return "CLOSED";
    case BreakerState::open:
      return "OPEN";
    case BreakerState::half_open:
      return "HALF_OPEN";
  }
  return "UNKNOWN";
}

std::int64_t whole_millis(Nanos time) noexcept {
  return std::chrono::ceil<std::chrono::milliseconds>(time).count();
}

}  // namespace

std::string_view to_string(BreakerState state) noexcept {
  switch (state) {
    case BreakerState::closed:
      return "closed";
    case BreakerState::open:
      return "open";
    case BreakerState::half_open:
      return "half_open";
  }
  return "unknown";
}

void write_json(JsonWriter& json, const BreakerStats& stats) {
  json.begin_object();
  json.key("name").string(stats.name);
  json.key("state").string(upper_name(stats.state));
  json.key("failureCount").integer(stats.failure_count);
  json.key("successCount").integer(stats.success_count);
  json.key("errorRate").number(stats.error_rate);
  json.key("recentRequests").integer(stats.recent_requests);
  json.key("slowCount").integer(stats.slow_count);
  json.key("consecutiveFailures").integer(stats.consecutive_failures);
  json.key("attempt").integer(stats.attempt);
  json.key("retryAfterMs");
  if (stats.retry_after) {
    json.integer(whole_millis(*stats.retry_after));
  } else {
    json.null();
  }
  json.key("isolated").boolean(stats.isolated);
  json.key("inStateMs").integer(whole_millis(stats.in_state));
  json.key("inFlight").integer(stats.in_flight);
  json.key("totals").begin_object();
  for (std::size_t i = 0; i < kOutcomes; ++i) {
    json.key(to_string(static_cast<Outcome>(i))).integer(stats.totals[i]);
  }
  json.end_object();
  json.key("listenerErrors").integer(stats.listener_errors);
  json.end_object();
}

std::string to_json(const BreakerStats& stats) {
  std::string text;
  JsonWriter json(text);
  write_json(json, stats);
  return text;
}

std::string to_json(const std::map<std::string, BreakerStats>& stats) {
  std::string text;
  JsonWriter json(text);
  json.begin_object();
  for (const auto& [name, one] : stats) {
    json.key(name);
    write_json(json, one);
  }
  json.end_object();
  return text;
}

}  // namespace tyaprover::resilience
