// ReaderEpochs: lets readers walk shared nodes without a lock, and tells writers when a node that
// they unlinked can be freed.
//
// Thread-safe. A reader enters, reads, leaves; entering is one store to a cache line that only its
// thread writes, so readers do not slow each other down. A writer unlinks a node, stamps it with
// retire(), and frees it once oldest_reader() is larger: no reader that could have seen it is left.
//
//   { const ReaderEpochs::Guard guard(epochs); use(*head.load()); }
//   // a writer, under its lock:
//   const std::uint64_t stamp = epochs.retire();   // after unlinking
//   if (stamp < epochs.oldest_reader()) delete node;
//
// Why it is right: a reader stores its epoch and then loads the links; a writer stores the links
// and then loads the readers' epochs. All four are sequentially consistent, so either the reader
// sees the node unlinked or the writer sees the reader.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

namespace tyaprover::cache {

namespace detail {
// A small number that belongs to this thread alone while it lives; numbers are used again.
[[nodiscard]] std::size_t claim_thread_number();
inline constinit thread_local std::size_t thread_number_plus_one = 0;
[[nodiscard]] inline std::size_t thread_number() {
  return thread_number_plus_one != 0 ? thread_number_plus_one - 1 : claim_thread_number();
}
}  // namespace detail

class ReaderEpochs {
 public:
  // What one thread writes, and others only read. Counters are plain loads and stores for their
  // owner (relaxed: a reader of the sum may see it a little late).
  struct alignas(64) Slot {
    std::atomic<std::uint64_t> epoch{0};  // 0: not reading
    std::atomic<std::uint64_t> hits{0};
    std::atomic<std::uint64_t> misses{0};
    std::uint32_t depth = 0;

    static void count(std::atomic<std::uint64_t>& counter) noexcept {
      counter.store(counter.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    }
  };

  ReaderEpochs() = default;
  ~ReaderEpochs();
  ReaderEpochs(const ReaderEpochs&) = delete;
  ReaderEpochs& operator=(const ReaderEpochs&) = delete;

  // Reads while it lives. May be nested.
  class [[nodiscard]] Guard {
   public:
    explicit Guard(ReaderEpochs& epochs) : slot_(epochs.slot()) {
      if (slot_.depth++ == 0) {
        // Relaxed: an epoch that is too old only delays freeing.
        slot_.epoch.store(epochs.epoch_.load(std::memory_order_relaxed), std::memory_order_seq_cst);
      }
    }
    ~Guard() {
      // Release: all that was read was read before.
      if (--slot_.depth == 0) slot_.epoch.store(0, std::memory_order_release);
    }
    Guard(const Guard&) = delete;
    Guard& operator=(const Guard&) = delete;

    [[nodiscard]] Slot& slot() const noexcept { return slot_; }

   private:
    Slot& slot_;
  };

  // The stamp of what was unlinked before the call.
  std::uint64_t retire() noexcept { return epoch_.fetch_add(1, std::memory_order_seq_cst); }
  // Everything with a smaller stamp can be freed. The largest number when nobody reads.
  [[nodiscard]] std::uint64_t oldest_reader() const noexcept;

  struct Counts {
    std::uint64_t hits = 0;
    std::uint64_t misses = 0;
  };
  [[nodiscard]] Counts counts() const noexcept;
  // This thread's slot, for counting outside of a guard.
  [[nodiscard]] Slot& slot() {
    const std::size_t number = detail::thread_number();
    const std::size_t chunk = number / kChunk;
    if (chunk < kChunks) {
      // Acquire: pairs with the release that published the chunk.
      if (Chunk* slots = chunks_[chunk].load(std::memory_order_acquire)) {
        return (*slots)[number % kChunk];
      }
    }
    return new_slot(number);
  }

 private:
  // 16 threads cost 1 KiB per object; more than 4096 at once are refused (std::length_error).
  static constexpr std::size_t kChunk = 16;
  static constexpr std::size_t kChunks = 256;
  using Chunk = std::array<Slot, kChunk>;

  Slot& new_slot(std::size_t number);

  // Begins at 1, for 0 means not reading.
  alignas(64) std::atomic<std::uint64_t> epoch_{1};
  alignas(64) std::array<std::atomic<Chunk*>, kChunks> chunks_{};
};

}  // namespace tyaprover::cache
