// RetryBudget: how many repetitions a service is given for its requests, so that retries cannot
// multiply its load when all of it fails.
//
// Thread-safe: requests are counted by one atomic addition, retries under a mutex. One budget per
// upstream, shared by all who retry towards it.
//
// Within any window there are at most max(minimum, share × requests) retries. So from a dozen
// requests per window on, attempts are at most (1 + share) × requests.
//
//   budget.on_request(now);
//   if (failed && budget.try_retry(now)) again();
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>

#include "tyaprover/base/clock.h"

namespace tyaprover::resilience {

struct RetryBudgetOptions {
  double share = 0.2;    // of the requests in the window, 0 to 1
  unsigned minimum = 3;  // retries in a window that are always allowed
  Nanos window = std::chrono::seconds(10);

  [[nodiscard]] std::optional<std::string> validate() const;
};

class RetryBudget {
 public:
  // Throws std::invalid_argument if an option is wrong.
  explicit RetryBudget(RetryBudgetOptions options = {});

  // A request, not counting its retries. Watched by policies_bench: no allocation, no lock.
  void on_request(TimePoint now) noexcept;
  // Whether one retry is within the budget; if so it is spent.
  [[nodiscard]] bool try_retry(TimePoint now) noexcept;

 private:
  static constexpr unsigned kSlots = 10;
  static constexpr unsigned kCountBits = 24;

  // Counts of one slot of time: its number 40 bits, then a count that stays at its limit.
  using Word = std::atomic<std::uint64_t>;
  using Slots = std::array<Word, kSlots>;

  [[nodiscard]] std::uint64_t epoch(TimePoint now) const noexcept;
  static void add(Slots& slots, std::uint64_t epoch) noexcept;
  [[nodiscard]] static std::uint64_t sum(const Slots& slots, std::uint64_t epoch) noexcept;

  const RetryBudgetOptions options_;
  Slots requests_{};
  std::mutex mutex_;  // makes looking at the budget and spending it one step
  Slots retries_{};
};

}  // namespace tyaprover::resilience
