// BreakerStats: what a circuit breaker shows of itself, and its JSON.
//
// Values; pure functions, thread-safe.
//
//   std::string json = to_json(breaker.stats());   // {"name":"billing","state":"CLOSED",…}
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "tyaprover/base/clock.h"
#include "tyaprover/base/json_writer.h"
#include "tyaprover/resilience/outcome.h"

namespace tyaprover::resilience {

enum class BreakerState : std::uint8_t { closed, open, half_open };
// The word of metric labels: closed, open, half_open. JSON has CLOSED, OPEN, HALF_OPEN.
[[nodiscard]] std::string_view to_string(BreakerState state) noexcept;

struct BreakerStats {
  std::string name = {};
  BreakerState state = BreakerState::closed;
  // In the rolling window; after opening, what is left of the one that was watched while closed.
  std::uint64_t failure_count = 0;
  std::uint64_t success_count = 0;
  std::uint64_t slow_count = 0;
  std::uint64_t recent_requests = 0;
  double error_rate = 0;  // 0 to 1; 0 without calls

  unsigned consecutive_failures = 0;
  unsigned attempt = 0;              // trials that failed since it was last closed
  std::optional<Nanos> retry_after;  // when open and not isolated: until the next trial
  bool isolated = false;
  Nanos in_state{0};  // for how long it has been in its state
  std::uint64_t in_flight = 0;
  std::uint64_t generation = 0;                      // transitions and resets so far
  std::array<std::uint64_t, kOutcomes> totals = {};  // by Outcome, since construction
  std::uint64_t listener_errors = 0;

  [[nodiscard]] std::uint64_t total(Outcome outcome) const noexcept {
    return totals[static_cast<std::size_t>(outcome)];
  }
};

// One object; names in camelCase, times in whole milliseconds rounded up.
void write_json(JsonWriter& json, const BreakerStats& stats);
[[nodiscard]] std::string to_json(const BreakerStats& stats);
// An object with one member per breaker.
[[nodiscard]] std::string to_json(const std::map<std::string, BreakerStats>& stats);

}  // namespace tyaprover::resilience
