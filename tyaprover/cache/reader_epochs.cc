#include "tyaprover/cache/reader_epochs.h"

#include <algorithm>
#include <limits>
#include <mutex>
#include <stdexcept>
#include <vector>

namespace tyaprover::cache {
namespace {

// The numbers that threads which have ended gave back. Never destroyed: threads may end after main.
struct ThreadNumbers {
  std::mutex mutex;
  std::vector<std::size_t> free;
  std::size_t next = 0;

  static ThreadNumbers& instance() {
    static auto* numbers = new ThreadNumbers;
    return *numbers;
  }
};

struct ThreadNumber {
  std::size_t value;

  ThreadNumber() {
    ThreadNumbers& numbers = ThreadNumbers::instance();
    const std::lock_guard lock(numbers.mutex);
    if (numbers.free.empty()) {
      value = numbers.next++;
      // So that giving it back cannot fail.
      numbers.free.reserve(numbers.next);
    } else {
      // The smallest, so that few chunks are in use.
      const auto smallest = std::min_element(numbers.free.begin(), numbers.free.end());
      value = *smallest;
      numbers.free.erase(smallest);
    }
    detail::thread_number_plus_one = value + 1;
  }
  ~ThreadNumber() {
    ThreadNumbers& numbers = ThreadNumbers::instance();
    const std::lock_guard lock(numbers.mutex);
    numbers.free.push_back(value);
    detail::thread_number_plus_one = 0;
  }
  ThreadNumber(const ThreadNumber&) = delete;
  ThreadNumber& operator=(const ThreadNumber&) = delete;
};

}  // namespace

std::size_t detail::claim_thread_number() {
  thread_local const ThreadNumber number;
  return number.value;
}

ReaderEpochs::~ReaderEpochs() {
  // Relaxed: nobody uses an object that is being destroyed.
  for (auto& chunk : chunks_) delete chunk.load(std::memory_order_relaxed);
}

ReaderEpochs::Slot& ReaderEpochs::new_slot(std::size_t number) {
  const std::size_t chunk = number / kChunk;
  if (chunk >= kChunks) throw std::length_error("more threads use one cache than it has room for");
  auto fresh = std::make_unique<Chunk>();
  Chunk* expected = nullptr;
  // Release: the slots are zero for whoever sees the pointer. Sequentially consistent, so that a
  // writer which looks for readers sees the chunk of any reader that is in it.
  if (chunks_[chunk].compare_exchange_strong(expected, fresh.get(), std::memory_order_seq_cst)) {
    expected = fresh.release();
  }
  return (*expected)[number % kChunk];
}

std::uint64_t ReaderEpochs::oldest_reader() const noexcept {
  std::uint64_t oldest = std::numeric_limits<std::uint64_t>::max();
  for (const auto& chunk : chunks_) {
    const Chunk* slots = chunk.load(std::memory_order_seq_cst);
    if (slots == nullptr) continue;
    for (const Slot& slot : *slots) {
      const std::uint64_t epoch = slot.epoch.load(std::memory_order_seq_cst);
      if (epoch != 0) oldest = std::min(oldest, epoch);
    }
  }
  return oldest;
}

ReaderEpochs::Counts ReaderEpochs::counts() const noexcept {
  Counts counts;
  for (const auto& chunk : chunks_) {
    const Chunk* slots = chunk.load(std::memory_order_acquire);
    if (slots == nullptr) continue;
    for (const Slot& slot : *slots) {
      counts.hits += slot.hits.load(std::memory_order_relaxed);
      counts.misses += slot.misses.load(std::memory_order_relaxed);
    }
  }
  return counts;
}

}  // namespace tyaprover::cache
