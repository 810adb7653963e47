// GhostTable: remembers by their hashes the keys that were evicted last, so that one that comes
// back is known to be worth more than one that is seen for the first time (S3-FIFO's ghost queue).
//
// Not thread-safe: part of a stripe, guarded by its lock. Eight bytes per remembered key and no
// list: a slot holds a fingerprint and the number of the eviction; the key is remembered while
// fewer than `capacity` evictions followed. A full bucket forgets its oldest key early, two keys of
// one fingerprint are taken for each other: both cost a fraction of a per cent of hits, never
// correctness.
//
//   ghosts.insert(hash);
//   if (ghosts.take(hash)) insert_into_main();
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace tyaprover::cache {

class GhostTable {
 public:
  // Room for about this many keys; forgets all.
  void reset(std::size_t keys) {
    const std::size_t slots = std::bit_ceil(std::max(keys, kWays)) * 2;
    slots_.assign(slots, 0);
  }
  [[nodiscard]] std::size_t slots() const noexcept { return slots_.size(); }

  void insert(std::uint64_t hash) noexcept {
    if (slots_.empty()) return;
    ++evictions_;
    const std::size_t first = bucket(hash);
    std::size_t oldest = first;
    for (std::size_t i = first; i < first + kWays; ++i) {
      if (fingerprint(slots_[i]) == fingerprint(hash) || slots_[i] == 0) {
        oldest = i;
        break;
      }
      if (age(slots_[i]) > age(slots_[oldest])) oldest = i;
    }
    slots_[oldest] = (hash & kFingerprint) | evictions_;
  }

  // Whether the key is among the last `capacity` evicted; it is forgotten then.
  bool take(std::uint64_t hash, std::size_t capacity) noexcept {
    if (slots_.empty()) return false;
    const std::size_t first = bucket(hash);
    for (std::size_t i = first; i < first + kWays; ++i) {
      if (slots_[i] == 0 || fingerprint(slots_[i]) != fingerprint(hash)) continue;
      const bool remembered = age(slots_[i]) < capacity;
      slots_[i] = 0;
      return remembered;
    }
    return false;
  }

 private:
  static constexpr std::size_t kWays = 4;
  static constexpr std::uint64_t kFingerprint = 0xffff'ffff'0000'0000;

  static std::uint64_t fingerprint(std::uint64_t slot) noexcept { return slot & kFingerprint; }
  // Evictions since; numbers wrap after 2^32.
  [[nodiscard]] std::uint32_t age(std::uint64_t slot) const noexcept {
    return evictions_ - static_cast<std::uint32_t>(slot);
  }
  // From the lower half: the upper one is the fingerprint.
  [[nodiscard]] std::size_t bucket(std::uint64_t hash) const noexcept {
    return hash & (slots_.size() - 1) & ~(kWays - 1);
  }

  std::vector<std::uint64_t> slots_;
  std::uint32_t evictions_ = 0;
};

}  // namespace tyaprover::cache
