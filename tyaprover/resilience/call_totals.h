// CallTotals: how many calls were admitted, and how each ended, since the beginning.
//
// Thread-safe and lock-free. The first threads of the process have counters of their own, to which
// they add without a locked instruction; all others share one set. Relaxed: each count only grows.
//
//   totals.admitted();
//   totals.ended(Outcome::success);
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "tyaprover/resilience/outcome.h"
#include "tyaprover/resilience/thread_stripe.h"

namespace tyaprover::resilience {

class CallTotals {
 public:
  void admitted() noexcept { add(kOutcomes); }
  void ended(Outcome outcome) noexcept { add(static_cast<std::size_t>(outcome)); }

  [[nodiscard]] std::uint64_t count(Outcome outcome) const noexcept {
    return sum(static_cast<std::size_t>(outcome));
  }
  // Admitted and not yet ended. While calls run it may be off by those that begin or end meanwhile.
  [[nodiscard]] std::uint64_t in_flight() const noexcept {
    std::uint64_t ended = 0;
    for (std::size_t i = 0; i < kOutcomes; ++i) {
      if (static_cast<Outcome>(i) != Outcome::rejected) ended += sum(i);
    }
    const std::uint64_t admitted = sum(kOutcomes);
    return admitted > ended ? admitted - ended : 0;
  }

 private:
  static constexpr std::size_t kOwned = kStripes;

  struct alignas(64) Stripe {
    std::array<std::atomic<std::uint64_t>, kOutcomes + 1> counts{};
  };

  void add(std::size_t index) noexcept {
    const unsigned number = thread_number();
    if (number < kOwned) [[likely]] {
      std::atomic<std::uint64_t>& mine = stripes_[number].counts[index];
      mine.store(mine.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    } else {
      stripes_[kOwned].counts[index].fetch_add(1, std::memory_order_relaxed);
    }
  }
  [[nodiscard]] std::uint64_t sum(std::size_t index) const noexcept {
    std::uint64_t total = 0;
    for (const Stripe& stripe : stripes_) {
      total += stripe.counts[index].load(std::memory_order_relaxed);
    }
    return total;
  }

  std::array<Stripe, kOwned + 1> stripes_;
};

}  // namespace tyaprover::resilience
