// ConsistentHash: sends a key to the same target as long as that lasts, and moves few keys when
// targets come or go; with bounded load, so that no hot key drowns a target.
//
// Immutable, so thread-safe; a change of targets makes a new one. Two rings of the same targets are
// alike, in every process and in whatever order the targets are named.
//
// Each target has points on a circle of 64-bit hashes; a key belongs to the first point at or after
// its own hash. With bounded load a target takes a key only while its load is below `bound` times
// the average, else the next one on the circle gets it (Mirrokni, Thorup and Zadimoghaddam,
// "Consistent Hashing with Bounded Loads", 2018).
//
//   const ConsistentHash::Target targets[] = {{"10.0.0.1:80"}, {"10.0.0.2:80"}};
//   ConsistentHash ring(targets);
//   auto target = ring.pick(hash_key(session), in_flight, is_healthy);
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tyaprover::resilience {

// 64 well mixed bits; the same in every process. Not for secrets.
[[nodiscard]] std::uint64_t hash_key(std::string_view key) noexcept;

class ConsistentHash {
 public:
  struct Target {
    std::string id;
    unsigned weight = 1;  // 0 = gets no keys
  };

  // `points` per unit of weight: more spread keys more evenly and cost 16 bytes each. With bound c
  // a target's load stays at most c × its share of all load, rounded up. Throws
  // std::invalid_argument if points is 0 or bound is not more than 1.
  explicit ConsistentHash(std::span<const Target> targets, unsigned points = 160,
                          double bound = 1.25);

  // The target of the key, whatever its load; nothing if no target has weight.
  [[nodiscard]] std::optional<std::size_t> owner(std::uint64_t hash) const noexcept;

  // The first target from the key's place on that is usable(index) and below its bound, given what
  // is in flight at each target; nothing if none is usable. There always is one below its bound,
  // because not all can be above the average. O(log points), and the points of full targets passed
  // over; no allocation.
  template <class Usable>
  [[nodiscard]] std::optional<std::size_t> pick(std::uint64_t hash,
                                                std::span<const std::uint32_t> in_flight,
                                                Usable&& usable) const {
    std::uint64_t load = 1;  // this call included
    std::uint64_t weight = 0;
    for (std::size_t i = 0; i < weights_.size(); ++i) {
      if (weights_[i] == 0 || !usable(i)) continue;
      load += in_flight[i];
      weight += weights_[i];
    }
    if (weight == 0) return std::nullopt;
    const double per_weight = bound_ * static_cast<double>(load) / static_cast<double>(weight);
    std::size_t at = first_point(hash);
    for (std::size_t passed = 0; passed < points_.size(); ++passed) {
      const std::size_t target = points_[at].target;
      at = at + 1 == points_.size() ? 0 : at + 1;
      if (!usable(target)) continue;
      if (in_flight[target] < std::ceil(per_weight * weights_[target])) return target;
    }
    return std::nullopt;  // what is usable has changed meanwhile
  }

 private:
  struct Point {
    std::uint64_t hash;
    std::size_t target;
  };

  [[nodiscard]] std::size_t first_point(std::uint64_t hash) const noexcept;

  std::vector<Point> points_;  // by hash
  std::vector<unsigned> weights_;
  double bound_;
};

}  // namespace tyaprover::resilience
