#include "tyaprover/resilience/hedge.h"

#include <algorithm>
#include <bit>

#include "tyaprover/resilience/option_check.h"

namespace tyaprover::resilience {

std::optional<std::string> HedgeOptions::validate() const {
  OptionCheck check;
  check.not_negative("delay", delay).between("share", share, 0, 1);
  if (quantile) {
    check.fraction("quantile", *quantile);
    check.rule(*quantile < 1, "quantile", "1", "less than 1");
  }
  return check.problem();
}

Hedge::Hedge(HedgeOptions options) : options_(options), delay_(options.delay.count()) {
  OptionCheck::require("hedge", options_.validate());
}

void Hedge::on_call() noexcept {
  const auto earned = static_cast<std::int64_t>(options_.share * static_cast<double>(kOneHedge));
  std::int64_t credit = credit_.load(std::memory_order_relaxed);
  while (!credit_.compare_exchange_weak(credit, std::min(credit + earned, kMostCredit),
                                        std::memory_order_relaxed)) {
  }
}

bool Hedge::try_hedge() noexcept {
  std::int64_t credit = credit_.load(std::memory_order_relaxed);
  while (credit >= kOneHedge) {
    if (credit_.compare_exchange_weak(credit, credit - kOneHedge, std::memory_order_relaxed))
      return true;
  }
  return false;
}

std::size_t Hedge::bucket_of(Nanos latency) noexcept {
  const auto n = static_cast<std::uint64_t>(std::max<Nanos::rep>(latency.count(), 4));
  const auto power = static_cast<std::size_t>(std::bit_width(n)) - 1;
  return power * 4 + (n >> (power - 2) & 3);
}

Nanos Hedge::top_of(std::size_t bucket) noexcept {
  const std::size_t power = std::max<std::size_t>(bucket / 4, 2);
  const std::uint64_t quarter = std::uint64_t{1} << (power - 2);
  const std::uint64_t top = (4 + bucket % 4 + 1) * quarter;
  return Nanos(static_cast<Nanos::rep>(std::min<std::uint64_t>(top, INT64_MAX)));
}

void Hedge::on_latency(Nanos latency) noexcept {
  if (!options_.quantile) return;
  buckets_[bucket_of(latency)].fetch_add(1, std::memory_order_relaxed);
  if (seen_.fetch_add(1, std::memory_order_relaxed) % kBetweenJudgements == kBetweenJudgements - 1)
    judge_delay();
}

void Hedge::judge_delay() noexcept {
  std::uint64_t total = 0;
  for (const auto& bucket : buckets_) total += bucket.load(std::memory_order_relaxed);
  const auto below = static_cast<std::uint64_t>(*options_.quantile * static_cast<double>(total));
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < kBuckets; ++i) {
    sum += buckets_[i].load(std::memory_order_relaxed);
    if (sum <= below) continue;
    delay_.store(top_of(i).count(), std::memory_order_relaxed);
    break;
  }
  if (total < kEnough) return;
  for (auto& bucket : buckets_) {
    bucket.store(bucket.load(std::memory_order_relaxed) / 2, std::memory_order_relaxed);
  }
}

}  // namespace tyaprover::resilience
