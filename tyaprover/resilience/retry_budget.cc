#include "tyaprover/resilience/retry_budget.h"

#include "tyaprover/resilience/option_check.h"

namespace tyaprover::resilience {

std::optional<std::string> RetryBudgetOptions::validate() const {
  return OptionCheck()
      .between("share", share, 0, 1)
      .at_least("window", window, std::chrono::milliseconds(10))
      .problem();
}

RetryBudget::RetryBudget(RetryBudgetOptions options) : options_(options) {
  OptionCheck::require("retry budget", options_.validate());
}

// Slots later than zero, so that an empty word is of none.
std::uint64_t RetryBudget::epoch(TimePoint now) const noexcept {
  return static_cast<std::uint64_t>(now.time_since_epoch() / (options_.window / kSlots)) +
         2 * kSlots;
}

void RetryBudget::add(Slots& slots, std::uint64_t epoch) noexcept {
  constexpr std::uint64_t kMost = (1U << kCountBits) - 1;
  Word& slot = slots[epoch % kSlots];
  // Relaxed: a count orders nothing.
  std::uint64_t word = slot.load(std::memory_order_relaxed);
  for (;;) {
    const std::uint64_t found = word >> kCountBits;
    if (found > epoch || (found == epoch && (word & kMost) == kMost)) return;
    const std::uint64_t next = found == epoch ? word + 1 : epoch << kCountBits | 1;
    if (slot.compare_exchange_weak(word, next, std::memory_order_relaxed)) return;
  }
}

std::uint64_t RetryBudget::sum(const Slots& slots, std::uint64_t epoch) noexcept {
  std::uint64_t total = 0;
  for (const Word& slot : slots) {
    const std::uint64_t word = slot.load(std::memory_order_relaxed);
    if ((word >> kCountBits) + kSlots > epoch) total += word & ((1U << kCountBits) - 1);
  }
  return total;
}

void RetryBudget::on_request(TimePoint now) noexcept {
  add(requests_, epoch(now));
}

bool RetryBudget::try_retry(TimePoint now) noexcept {
  const std::uint64_t e = epoch(now);
  const std::lock_guard lock(mutex_);
  const std::uint64_t spent = sum(retries_, e);
  const auto share =
      static_cast<std::uint64_t>(options_.share * static_cast<double>(sum(requests_, e)));
  if (spent >= options_.minimum && spent >= share) return false;
  add(retries_, e);
  return true;
}

}  // namespace tyaprover::resilience
