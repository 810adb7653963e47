// Arena: memory for the small strings a request makes, freed all at once when the next request
// begins.
//
// Confined to one worker. Owns its blocks and keeps the first one: no allocation per request after
// warm-up.
//
//   std::string_view value = arena.store("max-age=60");
#pragma once

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <memory>
#include <string_view>
#include <vector>

namespace tyaprover::http {

class Arena {
 public:
  // Uninitialised bytes, valid until reset().
  [[nodiscard]] char* allocate(std::size_t size) {
    if (size > room_) grow(size);
    char* p = next_;
    next_ += size;
    room_ -= size;
    return p;
  }
  // A copy.
  [[nodiscard]] std::string_view store(std::string_view text) { return concat({text}); }
  // The parts, one after the other.
  [[nodiscard]] std::string_view concat(std::initializer_list<std::string_view> parts) {
    std::size_t size = 0;
    for (const std::string_view part : parts) size += part.size();
    char* const begin = allocate(size);
    char* p = begin;
    for (const std::string_view part : parts) {
      if (!part.empty()) std::memcpy(p, part.data(), part.size());
      p += part.size();
    }
    return {begin, size};
  }
  // Its digits.
  [[nodiscard]] std::string_view store_number(std::int64_t number) {
    char digits[20];
    const auto end = std::to_chars(digits, digits + sizeof digits, number).ptr;
    return store({digits, static_cast<std::size_t>(end - digits)});
  }
  // Every view given out is dead after this.
  void reset() noexcept {
    if (blocks_.empty()) return;
    blocks_.resize(1);
    next_ = blocks_.front().get();
    room_ = kBlock;
  }

 private:
  static constexpr std::size_t kBlock = 4096;  // a usual request head and its replies fit

  void grow(std::size_t size) {
    const std::size_t block = size > kBlock || !blocks_.empty() ? size + kBlock : kBlock;
    blocks_.push_back(std::make_unique_for_overwrite<char[]>(block));
    next_ = blocks_.back().get();
    room_ = block;
    if (blocks_.size() == 1 && block != kBlock) {
      // The first block must be the standard one, which reset() goes back to.
      blocks_.insert(blocks_.begin(), std::make_unique_for_overwrite<char[]>(kBlock));
    }
  }

  std::vector<std::unique_ptr<char[]>> blocks_;
  char* next_ = nullptr;
  std::size_t room_ = 0;
};

}  // namespace tyaprover::http
