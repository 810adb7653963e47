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
#include <memory>
#include <span>
#include <string_view>
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
    used_ = (used_ + 7) & ~std::size_t{7};
    return take(size);
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
    begin_ = inline_;
    used_ = 0;
    size_ = kInline;
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
    if (size > size_ - std::min(used_, size_)) [[unlikely]]
      grow(size);
    char* const at = begin_ + used_;
    used_ += size;
    return at;
  }
  void grow(std::size_t size) {
    if (size <= kChunk && next_ < chunks_.size()) {
      begin_ = chunks_[next_++].get();
      size_ = kChunk;
    } else {
      size_ = std::max(size, kChunk);
      chunk_is_large_ |= size > kChunk;
      begin_ = chunks_.emplace_back(std::make_unique_for_overwrite<char[]>(size_)).get();
      next_ = chunks_.size();
    }
    used_ = 0;
  }

  char* begin_ = inline_;
  std::size_t used_ = 0;
  std::size_t size_ = kInline;
  std::vector<std::unique_ptr<char[]>> chunks_;
  std::size_t next_ = 0;         // the first chunk that is not in use
  bool chunk_is_large_ = false;  // whether any chunk is larger than kChunk
  alignas(8) char inline_[kInline];
};

}  // namespace tyaprover::trace::detail
