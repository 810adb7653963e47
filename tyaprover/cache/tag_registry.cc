#include "tyaprover/cache/tag_registry.h"

#include <algorithm>
#include <utility>

namespace tyaprover::cache {

TagStamps TagRegistry::attach(std::span<const std::string> tags) {
  TagStamps stamps;
  if (tags.empty()) return stamps;
  stamps.reserve(tags.size());
  const std::lock_guard lock(mutex_);
  for (const std::string& name : tags) {
    const auto [at, is_new] = tags_.try_emplace(name);
    detail::Tag& tag = at->second;
    if (is_new) tag.name = at->first;
    const bool repeated = std::any_of(stamps.begin(), stamps.end(),
                                      [&](const auto& stamp) { return stamp.tag == &tag; });
    if (repeated) continue;
    ++tag.attached;
    ++tag.live;
    // Relaxed: generations change only under this lock.
    stamps.push_back({&tag, tag.generation.load(std::memory_order_relaxed)});
  }
  return stamps;
}

void TagRegistry::drop(const TagStamps& stamps) noexcept {
  if (stamps.empty()) return;
  const std::lock_guard lock(mutex_);
  for (const detail::TagStamp& stamp : stamps) {
    if (stamp.tag->generation.load(std::memory_order_relaxed) == stamp.generation) {
      --stamp.tag->live;
    }
  }
}

void TagRegistry::detach(TagStamps&& stamps) noexcept {
  if (stamps.empty()) return;
  const std::lock_guard lock(mutex_);
  for (const detail::TagStamp& stamp : stamps) {
    if (--stamp.tag->attached > 0) continue;
    tags_.erase(tags_.find(stamp.tag->name));
  }
  stamps.clear();
}

std::size_t TagRegistry::invalidate(std::string_view name) {
  const std::lock_guard lock(mutex_);
  const std::uint64_t number = invalidations_.load(std::memory_order_relaxed);
  recent_[number % kRemembered] = name;
  invalidations_.store(number + 1, std::memory_order_release);
  const auto at = tags_.find(name);
  if (at == tags_.end()) return 0;
  detail::Tag& tag = at->second;
  tag.generation.fetch_add(1, std::memory_order_release);
  return std::exchange(tag.live, 0);
}

bool TagRegistry::invalidated_since(std::uint64_t mark, std::span<const std::string> tags) const {
  if (tags.empty()) return false;
  const std::lock_guard lock(mutex_);
  const std::uint64_t now = invalidations_.load(std::memory_order_relaxed);
  if (now - mark > kRemembered) return true;
  for (std::uint64_t i = mark; i < now; ++i) {
    if (std::find(tags.begin(), tags.end(), recent_[i % kRemembered]) != tags.end()) return true;
  }
  return false;
}

std::size_t TagRegistry::size() const {
  const std::lock_guard lock(mutex_);
  return tags_.size();
}

}  // namespace tyaprover::cache
