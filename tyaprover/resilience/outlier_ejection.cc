#include "tyaprover/resilience/outlier_ejection.h"

#include <algorithm>
#include <cmath>

#include "tyaprover/resilience/option_check.h"

namespace tyaprover::resilience {
namespace {

std::size_t most_ejected(double share, std::size_t targets) noexcept {
  if (targets == 0) return 0;
  return std::min(static_cast<std::size_t>(share * static_cast<double>(targets)), targets - 1);
}

}  // namespace

std::string_view to_string(OutlierEjection::Reason reason) noexcept {
  switch (reason) {
    case OutlierEjection::Reason::consecutive_failures:
      return "consecutive_failures";
    case OutlierEjection::Reason::success_rate:
      return "success_rate";
  }
  return "unknown";
}

std::optional<std::string> OutlierOptions::validate() const {
  OptionCheck check;
  if (success_rate_deviations) {
    check.at_least("success_rate_deviations", *success_rate_deviations, 0);
  }
  check.between("success_rate_calls", success_rate_calls, 1, 1'000'000'000)
      .positive("base_ejection", base_ejection)
      .at_least("max_ejection", max_ejection, base_ejection)
      .between("jitter", jitter, 0, 1)
      .between("max_ejected_share", max_ejected_share, 0, 1);
  check.rule(random != nullptr, "random", "empty", "a generator");
  return check.problem();
}

OutlierEjection::OutlierEjection(OutlierOptions options, std::size_t targets)
    : options_(std::move(options)),
      count_(targets),
      most_ejected_(most_ejected(options_.max_ejected_share, targets)),
      targets_(std::make_unique<Target[]>(targets)) {
  OptionCheck::require("outlier ejection", options_.validate());
}

bool OutlierEjection::is_ejected(std::size_t target, TimePoint now) const noexcept {
  return now.time_since_epoch().count() <
         targets_[target].ejected_until.load(std::memory_order_relaxed);
}

std::size_t OutlierEjection::ejected_count(TimePoint now) const noexcept {
  std::size_t ejected = 0;
  for (std::size_t i = 0; i < count_; ++i) ejected += is_ejected(i, now);
  return ejected;
}

std::optional<OutlierEjection::Ejection> OutlierEjection::record(std::size_t target, bool failure,
                                                                 TimePoint now) {
  if (is_ejected(target, now)) return std::nullopt;
  Target& one = targets_[target];
  one.calls.fetch_add(1, std::memory_order_relaxed);
  if (!failure) {
    if (one.consecutive.load(std::memory_order_relaxed) != 0) {
      one.consecutive.store(0, std::memory_order_relaxed);
    }
    return std::nullopt;
  }
  one.failures.fetch_add(1, std::memory_order_relaxed);
  const unsigned row = one.consecutive.fetch_add(1, std::memory_order_relaxed) + 1;
  if (options_.consecutive_failures == 0 || row < options_.consecutive_failures)
    return std::nullopt;
  return eject(target, Reason::consecutive_failures, now);
}

std::optional<OutlierEjection::Ejection> OutlierEjection::eject(std::size_t target, Reason reason,
                                                                TimePoint now) {
  const std::lock_guard lock(mutex_);
  // Looked at under the lock: of many simultaneous failures one ejects.
  if (is_ejected(target, now) || ejected_count(now) >= most_ejected_) return std::nullopt;
  Target& one = targets_[target];
  if (one.times > 0) {
    const TimePoint returned{Nanos(one.ejected_until.load(std::memory_order_relaxed))};
    const auto good = (now - returned) / options_.base_ejection;
    one.times -= static_cast<unsigned>(std::min<std::int64_t>(good, one.times));
  }
  ++one.times;
  const std::int64_t most = options_.max_ejection / options_.base_ejection + 1;
  const Nanos grown = std::min(options_.max_ejection,
                               options_.base_ejection * std::min<std::int64_t>(one.times, most));
  const Nanos period =
      std::min(options_.max_ejection, scatter(grown, options_.jitter, options_.random()));
  one.consecutive.store(0, std::memory_order_relaxed);
  one.ejected_until.store((now + period).time_since_epoch().count(), std::memory_order_relaxed);
  ejections_.fetch_add(1, std::memory_order_relaxed);
  return Ejection{target, reason, period, one.times};
}

std::vector<OutlierEjection::Ejection> OutlierEjection::evaluate(TimePoint now) {
  struct Rate {
    std::size_t target;
    double successes;
  };
  std::vector<Rate> rates;
  double sum = 0;
  for (std::size_t i = 0; i < count_; ++i) {
    const unsigned calls = targets_[i].calls.exchange(0, std::memory_order_relaxed);
    const unsigned failures = targets_[i].failures.exchange(0, std::memory_order_relaxed);
    if (calls < options_.success_rate_calls || is_ejected(i, now)) continue;
    rates.push_back({i, 1 - static_cast<double>(std::min(failures, calls)) / calls});
    sum += rates.back().successes;
  }
  if (!options_.success_rate_deviations || rates.empty() ||
      rates.size() < options_.success_rate_targets)
    return {};
  const auto n = static_cast<double>(rates.size());
  const double mean = sum / n;
  double squares = 0;
  for (const Rate& rate : rates) squares += (rate.successes - mean) * (rate.successes - mean);
  const double least = mean - *options_.success_rate_deviations * std::sqrt(squares / n);
  // The worst first, as long as the share allows.
  std::sort(rates.begin(), rates.end(),
            [](const Rate& a, const Rate& b) { return a.successes < b.successes; });
  std::vector<Ejection> ejections;
  for (const Rate& rate : rates) {
    if (rate.successes >= least) break;
    if (auto ejection = eject(rate.target, Reason::success_rate, now)) {
      ejections.push_back(*ejection);
    }
  }
  return ejections;
}

bool OutlierEjection::restore(std::size_t target, TimePoint now) {
  const std::lock_guard lock(mutex_);
  if (!is_ejected(target, now)) return false;
  targets_[target].ejected_until.store(now.time_since_epoch().count(), std::memory_order_relaxed);
  return true;
}

void OutlierEjection::take_over(std::size_t target, const OutlierEjection& other,
                                std::size_t from) {
  const std::lock_guard lock(other.mutex_);
  const Target& old = other.targets_[from];
  Target& one = targets_[target];
  one.ejected_until = old.ejected_until.load(std::memory_order_relaxed);
  one.consecutive = old.consecutive.load(std::memory_order_relaxed);
  one.calls = old.calls.load(std::memory_order_relaxed);
  one.failures = old.failures.load(std::memory_order_relaxed);
  one.times = old.times;
}

}  // namespace tyaprover::resilience
