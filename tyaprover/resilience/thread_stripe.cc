#include "tyaprover/resilience/thread_stripe.h"

#include <atomic>
#include <bit>
#include <cstdint>

namespace tyaprover::resilience::detail {
namespace {

// A bit per number that a living thread has.
constinit std::atomic<std::uint64_t> taken{0};

// Gives the number back when its thread ends.
struct Numbered {
  std::uint64_t bit = 0;
  ~Numbered() {
    // Destructors of other thread-locals may still count something.
    thread_number = kSharedThreadNumber;
    // Release: the next owner sees what this thread wrote under its number.
    taken.fetch_and(~bit, std::memory_order_release);
  }
};

}  // namespace

unsigned number_this_thread() noexcept {
  static thread_local Numbered mine;
  std::uint64_t seen = taken.load(std::memory_order_relaxed);
  thread_number = kSharedThreadNumber;
  while (~seen != 0) {
    const std::uint64_t bit = ~seen & (seen + 1);
    if (taken.compare_exchange_weak(seen, seen | bit, std::memory_order_acquire,
                                    std::memory_order_relaxed)) {
      mine.bit = bit;
      thread_number = static_cast<unsigned>(std::countr_zero(bit));
      break;
    }
  }
  return thread_number;
}

}  // namespace tyaprover::resilience::detail
