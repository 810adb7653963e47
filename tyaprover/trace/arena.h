// Arena: small pieces of memory that are all given back at once.
//
// Not thread-safe. Owns its memory: a first chunk inside itself, more from the heap, of which one
// is kept over reset(), so that a reused arena of ordinary size does not allocate.
//
//   Arena<256> arena;
//   std::string_view copy = arena.copy(text);   // until arena.reset()
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "tyaprover/trace/copy_bytes.h"

namespace tyaprover::trace::detail {

template <std::size_t kInline>
class Arena {
 public:
  Arena() noexcept = default;
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  // `size` bytes, aligned to 8.
  char* allocate(std::size_t size) {
    const std::size_t gap = -reinterpret_cast<std::uintptr_t>(at_) & 7;
    // A new chunk is aligned as it is.
    char* const padded = take(size + gap);
    return padded + (-reinterpret_cast<std::uintptr_t>(padded) & 7);
  }
  std::string_view copy(std::string_view text) {
    if (text.empty()) return {};
    char* const at = take(text.size());
    copy_bytes(at, text.data(), text.size());
    return {at, text.size()};
  }
  template <class T>
  std::span<T> array(std::size_t count) {
    if (count == 0) return {};
    auto* const first = reinterpret_cast<T*>(allocate(count * sizeof(T)));
    std::uninitialized_value_construct_n(first, count);
    return {first, count};
  }

  void reset() noexcept {
    at_ = inline_;
    end_ = inline_ + kInline;
    if (chunks_.empty()) return;
    if (chunk_is_large_) {
      chunks_.clear();
      chunk_is_large_ = false;
    } else {
      chunks_.resize(1);
    }
    next_ = 0;
  }

 private:
  static constexpr std::size_t kChunk = 4096;

  char* take(std::size_t size) {
    if (size > static_cast<std::size_t>(end_ - at_)) [[unlikely]]
      grow(size);
    return std::exchange(at_, at_ + size);
  }
  [[gnu::noinline]] void grow(std::size_t size) {
    const std::size_t chunk = std::max(size, kChunk);
    if (size <= kChunk && next_ < chunks_.size()) {
      at_ = chunks_[next_++].get();
    } else {
      chunk_is_large_ |= size > kChunk;
      at_ = chunks_.emplace_back(std::make_unique_for_overwrite<char[]>(chunk)).get();
      next_ = chunks_.size();
    }
    end_ = at_ + chunk;
  }

  char* at_ = inline_;
  char* end_ = inline_ + kInline;
  std::vector<std::unique_ptr<char[]>> chunks_;
  std::size_t next_ = 0;         // the first chunk that is not in use
  bool chunk_is_large_ = false;  // whether any chunk is larger than kChunk
  alignas(8) char inline_[kInline];
};

}  // namespace tyaprover::trace::detail
