// Backoff: how long to wait before the n-th repetition, growing and scattered.
//
// A value type; pure but for the generator that it is given. Thread-safe as that generator is.
//
//   Backoff backoff{.first = 100ms, .factor = 2, .max = 10s, .jitter = Backoff::Jitter::full};
//   Nanos pause = backoff.delay(0, {}, random_u64);
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "tyaprover/base/clock.h"

namespace tyaprover::resilience {

// Uniform over all 64-bit values, as random_u64; tests give their own.
using Random = std::function<std::uint64_t()>;

struct Backoff {
  enum class Jitter : std::uint8_t {
    none,
    // Uniform between 0 and the delay: the most scattered, for many clients of one service.
    full,
    // Uniform between the first delay and three times the last one, which wanders apart faster.
    decorrelated,
  };

  Nanos first = std::chrono::milliseconds(100);
  double factor = 2;  // at least 1
  Nanos max = std::chrono::seconds(10);
  Jitter jitter = Jitter::full;

  // What is wrong with a field, naming it and its value; nothing if all is right.
  [[nodiscard]] std::optional<std::string> validate() const;
  // min(max, first × factor^attempt), without jitter.
  [[nodiscard]] Nanos ceiling(unsigned attempt) const noexcept;
  // The pause before repetition `attempt` (from 0); `last` is the pause before, which only
  // decorrelated jitter reads.
  [[nodiscard]] Nanos delay(unsigned attempt, Nanos last, const Random& random) const;
};

[[nodiscard]] std::string_view to_string(Backoff::Jitter jitter) noexcept;

// Uniform in [0, 1).
[[nodiscard]] inline double unit_interval(std::uint64_t random) noexcept {
  return static_cast<double>(random >> 11) * 0x1p-53;
}
// `period` × uniform[1 − share, 1 + share), at least 1 ns.
[[nodiscard]] Nanos scatter(Nanos period, double share, std::uint64_t random) noexcept;

}  // namespace tyaprover::resilience
