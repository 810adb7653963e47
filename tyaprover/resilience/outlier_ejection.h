// OutlierEjection: takes single targets of an upstream out of the balancing while they fail, but
// never so many that the rest cannot carry the load.
//
// Thread-safe: outcomes are counted by atomics; ejecting and restoring take a mutex. Targets are
// numbered from 0 and fixed; a new configuration makes a new object. Keeps no clock and no timer.
//
//   OutlierEjection ejection({}, targets.size());
//   if (!ejection.is_ejected(i, now)) …
//   if (auto ejected = ejection.record(i, failed, now)) log(*ejected);
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tyaprover/base/clock.h"
#include "tyaprover/base/ids.h"
#include "tyaprover/resilience/backoff.h"

namespace tyaprover::resilience {

struct OutlierOptions {
  unsigned consecutive_failures = 5;  // that eject; 0 = off
  // Success-rate rule, judged by evaluate(): a target is ejected when its rate is more than this
  // many standard deviations below the mean of all; nullopt = off.
  std::optional<double> success_rate_deviations = 1.9;
  unsigned success_rate_calls =
      100;  // targets with fewer calls since the last judgement are left out
  unsigned success_rate_targets = 5;               // with fewer targets left nobody is judged
  Nanos base_ejection = std::chrono::seconds(30);  // times the number of ejections …
  Nanos max_ejection = std::chrono::seconds(300);  // … up to this
  double jitter = 0.1;                             // scatters the period, both ways
  double max_ejected_share = 0.5;                  // of the targets; at least one always stays
  Random random = random_u64;

  [[nodiscard]] std::optional<std::string> validate() const;
};

class OutlierEjection {
 public:
  enum class Reason : std::uint8_t { consecutive_failures, success_rate };
  struct Ejection {
    std::size_t target;
    Reason reason;
    Nanos period;
    unsigned times;  // how often in a row; falls by one for every base_ejection without one
  };

  // Throws std::invalid_argument if an option is wrong.
  OutlierEjection(OutlierOptions options, std::size_t targets);

  // Counts one call; what ended while the target is ejected is not counted. The ejection, if this
  // was the call that caused one. A success takes no lock.
  std::optional<Ejection> record(std::size_t target, bool failure, TimePoint now);
  // Applies the success-rate rule to the calls since the last time and begins a new count. To be
  // run by the owner, every ten seconds or so.
  std::vector<Ejection> evaluate(TimePoint now);
  // Brings the target back early, as when an active check passed. Whether it was ejected.
  bool restore(std::size_t target, TimePoint now);
  // Continues what `other` knows of its target `from` as `target` of this one. Before first use.
  void take_over(std::size_t target, const OutlierEjection& other, std::size_t from);

  // Lock-free.
  [[nodiscard]] bool is_ejected(std::size_t target, TimePoint now) const noexcept;
  [[nodiscard]] std::size_t ejected_count(TimePoint now) const noexcept;
  [[nodiscard]] std::uint64_t ejections() const noexcept {
    return ejections_.load(std::memory_order_relaxed);
  }

 private:
  struct alignas(64) Target {
    // All relaxed: counts, and a time that may be seen a moment late.
    std::atomic<TimePoint::rep> ejected_until{0};
    std::atomic<unsigned> consecutive{0};
    std::atomic<unsigned> calls{0};
    std::atomic<unsigned> failures{0};
    unsigned times = 0;  // under the mutex
  };

  [[nodiscard]] std::optional<Ejection> eject(std::size_t target, Reason reason, TimePoint now);

  const OutlierOptions options_;
  const std::size_t count_;
  const std::size_t most_ejected_;
  const std::unique_ptr<Target[]> targets_;
  mutable std::mutex mutex_;
  std::atomic<std::uint64_t> ejections_{0};
};

[[nodiscard]] std::string_view to_string(OutlierEjection::Reason reason) noexcept;

}  // namespace tyaprover::resilience
