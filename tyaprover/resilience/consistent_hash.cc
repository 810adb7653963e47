#include "tyaprover/resilience/consistent_hash.h"

#include <algorithm>
#include <stdexcept>

#include "tyaprover/resilience/option_check.h"

namespace tyaprover::resilience {
namespace {

// The finaliser of SplitMix64: every bit of the input changes half of the output's.
constexpr std::uint64_t mix(std::uint64_t x) noexcept {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

}  // namespace

// FNV-1a over the bytes, then mixed, because its high bits are weak for short keys.
std::uint64_t hash_key(std::string_view key) noexcept {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char c : key) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return mix(hash);
}

ConsistentHash::ConsistentHash(std::span<const Target> targets, unsigned points, double bound)
    : bound_(bound) {
  OptionCheck check;
  check.between("points", points, 1, 1'000'000);
  check.rule(std::isfinite(bound) && bound > 1, "bound", std::to_string(bound), "more than 1");
  OptionCheck::require("consistent hash", check.problem());
  for (std::size_t i = 0; i < targets.size(); ++i) {
    weights_.push_back(targets[i].weight);
    const std::uint64_t id = hash_key(targets[i].id);
    const std::uint64_t count = std::uint64_t{points} * targets[i].weight;
    for (std::uint64_t p = 0; p < count; ++p) {
      points_.push_back({mix(id + p * 0x9e3779b97f4a7c15), i});
    }
  }
  std::sort(points_.begin(), points_.end(), [&](const Point& a, const Point& b) {
    if (a.hash != b.hash) return a.hash < b.hash;
    return targets[a.target].id < targets[b.target].id;
  });
}

std::size_t ConsistentHash::first_point(std::uint64_t hash) const noexcept {
  const auto found =
      std::lower_bound(points_.begin(), points_.end(), hash,
                       [](const Point& point, std::uint64_t h) { return point.hash < h; });
  return found == points_.end() ? 0 : static_cast<std::size_t>(found - points_.begin());
}

std::optional<std::size_t> ConsistentHash::owner(std::uint64_t hash) const noexcept {
  if (points_.empty()) return std::nullopt;
  return points_[first_point(hash)].target;
}

}  // namespace tyaprover::resilience
