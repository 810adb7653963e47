// Thread numbers: which of a few copies of a counter this thread uses, so that threads which count
// the same things do not pull one cache line to and fro.
//
// Thread-safe. A thread keeps its number until it ends; no two living threads have the same, as
// long as there are not more than 64 of them, and the number of one that ended is given again. The
// memory written by its old owner happened before the new one gets it, so who has a number below 64
// may add to counters of that number without an atomic read-modify-write.
//
//   stripes[thread_stripe()].count.fetch_add(1, std::memory_order_relaxed);
#pragma once

namespace tyaprover::resilience {

inline constexpr unsigned kStripes = 2;
// The number of every thread that found all others taken, or that is ending.
inline constexpr unsigned kSharedThreadNumber = 64;

namespace detail {
inline constexpr unsigned kUnnumbered = ~0U;
inline constinit thread_local unsigned thread_number = kUnnumbered;
unsigned number_this_thread() noexcept;
}  // namespace detail

// 0 to kSharedThreadNumber.
[[nodiscard]] inline unsigned thread_number() noexcept {
  const unsigned number = detail::thread_number;
  return number != detail::kUnnumbered ? number : detail::number_this_thread();
}

// Less than kStripes.
[[nodiscard]] inline unsigned thread_stripe() noexcept {
  return thread_number() % kStripes;
}

}  // namespace tyaprover::resilience
