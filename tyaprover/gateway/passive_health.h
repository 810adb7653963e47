// PassiveHealth: what the answers of an upstream's targets say about them (R30).
//
// Thread-safe; one for all workers and one list of targets, which are numbered as in the list.
// Asking and a success take no lock and do not allocate. A new list makes a new object, which takes
// over what is known of the targets that stay.
//
//   PassiveHealth health(outlier_options(app.ejection), targets, nullptr);
//   if (health.is_usable(i, now)) …
//   if (auto ejected = health.record(i, failed, now)) log(*ejected);
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <optional>
#include <vector>

#include "tyaprover/base/clock.h"
#include "tyaprover/gateway/config.h"
#include "tyaprover/resilience/outlier_ejection.h"

namespace tyaprover::gateway {

struct UpstreamTarget;
using TargetList = std::vector<std::shared_ptr<const UpstreamTarget>>;

[[nodiscard]] resilience::OutlierOptions outlier_options(const EjectionConfig& config);

class PassiveHealth {
 public:
  using Ejection = resilience::OutlierEjection::Ejection;

  // Throws std::invalid_argument if an option is wrong. `before` is the one of the list before this
  // one, or null.
  PassiveHealth(const resilience::OutlierOptions& options, TargetList targets,
                const PassiveHealth* before);

  // Neither ejected nor passed over. Relaxed: a change may be seen a moment late.
  [[nodiscard]] bool is_usable(std::size_t target, TimePoint now) const noexcept {
    return now.time_since_epoch().count() >=
               states_[target].passed_over_until.load(std::memory_order_relaxed) &&
           !ejection_.is_ejected(target, now);
  }
  [[nodiscard]] bool is_ejected(std::size_t target, TimePoint now) const noexcept {
    return ejection_.is_ejected(target, now);
  }

  // It is ejected, and not all others are.
  [[nodiscard]] bool is_replaced(std::size_t target, TimePoint now) const noexcept;

  // A connect failed: the target is passed over for 2 s, then 4, 8 and 10 s, while others are
  // there.
  void connect_failed(std::size_t target, TimePoint now) noexcept;
  void connect_succeeded(std::size_t target) noexcept;

  // What a try came to. The ejection, if this was the try that caused one.
  std::optional<Ejection> record(std::size_t target, bool failure, TimePoint now) {
    return ejection_.record(target, failure, now);
  }
  // Applies the success-rate rule; to be run every ten seconds.
  std::vector<Ejection> evaluate(TimePoint now) { return ejection_.evaluate(now); }
  // Brings a target back early. Whether it was ejected.
  bool restore(std::size_t target, TimePoint now) { return ejection_.restore(target, now); }

  // A target asked to be left alone until then. The time until the first of them may be asked
  // again, if now all of them have asked for it.
  [[nodiscard]] std::optional<Nanos> asked_for_rest(std::size_t target, TimePoint until,
                                                    TimePoint now) noexcept;
  // Its last answer asked for no rest.
  void asked_for_none(std::size_t target) noexcept {
    std::atomic<TimePoint::rep>& until = states_[target].rests_until;
    if (until.load(std::memory_order_relaxed) != 0) until.store(0, std::memory_order_relaxed);
  }

  [[nodiscard]] const TargetList& targets() const noexcept { return targets_; }

 private:
  // All relaxed: times and a count that nothing else depends on.
  struct alignas(64) State {
    std::atomic<TimePoint::rep> passed_over_until{0};
    std::atomic<unsigned> refused{0};  // connects in a row
    std::atomic<TimePoint::rep> rests_until{0};
  };

  const TargetList targets_;
  resilience::OutlierEjection ejection_;
  const std::unique_ptr<State[]> states_;
};

}  // namespace tyaprover::gateway
