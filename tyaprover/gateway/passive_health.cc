#include "tyaprover/gateway/passive_health.h"

#include <algorithm>
#include <array>

#include "tyaprover/gateway/upstream.h"

namespace tyaprover::gateway {
namespace {

constexpr std::array<Nanos, 4> kPassedOver = {2s, 4s, 8s, 10s};

}  // namespace

resilience::OutlierOptions outlier_options(const EjectionConfig& config) {
  return {.consecutive_failures = config.consecutive_failures,
          .success_rate_deviations = config.success_rate_deviations,
          .success_rate_calls = config.success_rate_calls,
          .success_rate_targets = config.success_rate_targets,
          .base_ejection = config.base,
          .max_ejection = config.max,
          .max_ejected_share = config.max_share};
}

PassiveHealth::PassiveHealth(const resilience::OutlierOptions& options, TargetList targets,
                             const PassiveHealth* before)
    : targets_(std::move(targets)),
      ejection_(options, targets_.size()),
      states_(std::make_unique<State[]>(targets_.size())) {
  if (before == nullptr) return;
  for (std::size_t i = 0; i < targets_.size(); ++i) {
    const auto same = std::find_if(before->targets_.begin(), before->targets_.end(),
                                   [&](const auto& t) { return same_place(*t, *targets_[i]); });
    if (same == before->targets_.end()) continue;
    const auto from = static_cast<std::size_t>(same - before->targets_.begin());
    const State& old = before->states_[from];
    states_[i].passed_over_until = old.passed_over_until.load(std::memory_order_relaxed);
    states_[i].refused = old.refused.load(std::memory_order_relaxed);
    states_[i].rests_until = old.rests_until.load(std::memory_order_relaxed);
    ejection_.take_over(i, before->ejection_, from);
  }
}

bool PassiveHealth::is_replaced(std::size_t target, TimePoint now) const noexcept {
  if (!is_ejected(target, now)) return false;
  for (std::size_t i = 0; i < targets_.size(); ++i) {
    if (!is_ejected(i, now)) return true;
  }
  return false;
}

void PassiveHealth::connect_failed(std::size_t target, TimePoint now) noexcept {
  State& state = states_[target];
  TimePoint::rep until = state.passed_over_until.load(std::memory_order_relaxed);
  // Of the connects that were under way together, the first counts.
  if (now.time_since_epoch().count() < until) return;
  const unsigned times = state.refused.load(std::memory_order_relaxed);
  const Nanos period = kPassedOver[std::min<std::size_t>(times, kPassedOver.size() - 1)];
  if (state.passed_over_until.compare_exchange_strong(
          until, (now + period).time_since_epoch().count(), std::memory_order_relaxed)) {
    state.refused.store(times + 1, std::memory_order_relaxed);
  }
}

void PassiveHealth::connect_succeeded(std::size_t target) noexcept {
  State& state = states_[target];
  if (state.refused.load(std::memory_order_relaxed) == 0) return;
  state.refused.store(0, std::memory_order_relaxed);
  state.passed_over_until.store(0, std::memory_order_relaxed);
}

std::optional<Nanos> PassiveHealth::asked_for_rest(std::size_t target, TimePoint until,
                                                   TimePoint now) noexcept {
  states_[target].rests_until.store(until.time_since_epoch().count(), std::memory_order_relaxed);
  TimePoint::rep first = until.time_since_epoch().count();
  for (std::size_t i = 0; i < targets_.size(); ++i) {
    first = std::min(first, states_[i].rests_until.load(std::memory_order_relaxed));
  }
  const Nanos left = Nanos(first) - now.time_since_epoch();
  if (left <= Nanos(0)) return std::nullopt;
  return left;
}

}  // namespace tyaprover::gateway
