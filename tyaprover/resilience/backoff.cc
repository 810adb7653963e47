#include "tyaprover/resilience/backoff.h"

#include <algorithm>
#include <cmath>

#include "tyaprover/base/parse.h"
#include "tyaprover/resilience/option_check.h"

namespace tyaprover::resilience {
namespace {

Nanos clamp_to_nanos(double value) noexcept {
  constexpr double kMost = 9.2e18;
  return Nanos(static_cast<Nanos::rep>(std::clamp(value, 0.0, kMost)));
}

}  // namespace

std::optional<std::string> Backoff::validate() const {
  return OptionCheck()
      .positive("first", first)
      .at_least("factor", factor, 1.0)
      .at_least("max", max, first)
      .problem();
}

Nanos Backoff::ceiling(unsigned attempt) const noexcept {
  const double grown = static_cast<double>(first.count()) * std::pow(factor, attempt);
  return std::min(max, clamp_to_nanos(grown));
}

Nanos Backoff::delay(unsigned attempt, Nanos last, const Random& random) const {
  const Nanos top = ceiling(attempt);
  switch (jitter) {
    case Jitter::none:
      return top;
    case Jitter::full:
      return clamp_to_nanos(unit_interval(random()) * static_cast<double>(top.count()));
    case Jitter::decorrelated: {
      const auto low = static_cast<double>(first.count());
      const double high = std::max(low, 3 * static_cast<double>(last.count()));
      return std::min(max, clamp_to_nanos(low + unit_interval(random()) * (high - low)));
    }
  }
  return top;
}

std::string_view to_string(Backoff::Jitter jitter) noexcept {
  switch (jitter) {
    case Backoff::Jitter::none:
      return "none";
    case Backoff::Jitter::full:
      return "full";
    case Backoff::Jitter::decorrelated:
      return "decorrelated";
  }
  return "unknown";
}

Nanos scatter(Nanos period, double share, std::uint64_t random) noexcept {
  const double by = 1 - share + 2 * share * unit_interval(random);
  return std::max(Nanos(1), clamp_to_nanos(static_cast<double>(period.count()) * by));
}

}  // namespace tyaprover::resilience
