// TagRegistry: makes all entries of a tag invalid at once, however many there are.
//
// Thread-safe: attaching, detaching and invalidating take one lock; checking takes none. An entry
// carries a stamp per tag, the tag's generation when it was made; invalidating a tag moves its
// generation on. A tag lives as long as an entry carries it, so the registry is never larger than
// what is cached.
//
//   TagStamps stamps = registry.attach(tags);     // with the entry
//   if (!TagRegistry::is_current(stamps)) …       // at every look-up
//   registry.drop(stamps); …; registry.detach(std::move(stamps));
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tyaprover::cache {

class TagRegistry;

namespace detail {
struct Tag {
  std::atomic<std::uint64_t> generation{0};
  std::size_t attached = 0;  // entries that carry it, dead ones too
  std::size_t live = 0;      // entries of the present generation
  std::string_view name;     // the registry's own key
};
struct TagStamp {
  Tag* tag;
  std::uint64_t generation;
};
}  // namespace detail

using TagStamps = std::vector<detail::TagStamp>;

class TagRegistry {
 public:
  // One stamp per different tag.
  [[nodiscard]] TagStamps attach(std::span<const std::string> tags);
  // The entry is no longer to be found: it does not count as live any more.
  void drop(const TagStamps& stamps) noexcept;
  // The entry is gone, and nobody reads its stamps any more. REQUIRES: it was dropped.
  void detach(TagStamps&& stamps) noexcept;

  // Acquire: whoever sees the new generation sees what was done before the invalidation.
  [[nodiscard]] static bool is_current(const TagStamps& stamps) noexcept {
    for (const detail::TagStamp& stamp : stamps) {
      if (stamp.tag->generation.load(std::memory_order_acquire) != stamp.generation) return false;
    }
    return true;
  }

  // Number of entries that it made invalid, with those that are there but that another of their
  // tags had made invalid already.
  std::size_t invalidate(std::string_view tag);

  // A mark to be compared with later: were any of these tags invalidated since? When too many were
  // to be remembered, the answer is yes.
  [[nodiscard]] std::uint64_t mark() const noexcept {
    // Acquire: an invalidation before the mark is not one since.
    return invalidations_.load(std::memory_order_acquire);
  }
  [[nodiscard]] bool invalidated_since(std::uint64_t mark, std::span<const std::string> tags) const;

  // Tags that some entry carries.
  [[nodiscard]] std::size_t size() const;

 private:
  static constexpr std::size_t kRemembered = 64;

  mutable std::mutex mutex_;
  std::map<std::string, detail::Tag, std::less<>> tags_;
  std::atomic<std::uint64_t> invalidations_{0};
  std::array<std::string, kRemembered> recent_;  // of invalidation i at i % kRemembered
};

}  // namespace tyaprover::cache
