// BufferPool: I/O buffers of one worker, handed from connection to connection.
//
// Confined to one worker. Sizes are powers of two from 4 KiB to 1 MiB; at most 8 MiB of free
// buffers are kept. A Buffer goes back to its pool when destroyed, and must not outlive it.
//
//   Buffer buffer = worker.buffers().take(64 * 1024);
//   co_await stream.read(buffer.data(), buffer.size(), deadline);
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <utility>
#include <vector>

namespace tyaprover::http {

class BufferPool;

class Buffer {
 public:
  Buffer() = default;
  Buffer(Buffer&& other) noexcept
      : pool_(other.pool_),
        data_(std::exchange(other.data_, nullptr)),
        size_(std::exchange(other.size_, 0)) {}
  Buffer& operator=(Buffer&& other) noexcept {
    std::swap(pool_, other.pool_);
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  inline ~Buffer();

  [[nodiscard]] char* data() const noexcept { return data_; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  explicit operator bool() const noexcept { return data_ != nullptr; }

 private:
  friend class BufferPool;
  Buffer(BufferPool* pool, char* data, std::size_t size) noexcept
      : pool_(pool), data_(data), size_(size) {}
  BufferPool* pool_ = nullptr;
  char* data_ = nullptr;
  std::size_t size_ = 0;
};

class BufferPool {
 public:
  BufferPool() = default;
  ~BufferPool() {
    for (auto& list : free_) {
      for (char* p : list) delete[] p;
    }
  }
  BufferPool(const BufferPool&) = delete;
  BufferPool& operator=(const BufferPool&) = delete;

  // At least `size` bytes.
  [[nodiscard]] Buffer take(std::size_t size) {
    size = std::bit_ceil(size < kSmallest ? kSmallest : size);
    if (size > kLargest) return {this, new char[size], size};
    auto& list = free_[index(size)];
    if (list.empty()) return {this, new char[size], size};
    char* const p = list.back();
    list.pop_back();
    kept_ -= size;
    return {this, p, size};
  }

 private:
  friend class Buffer;
  static constexpr std::size_t kSmallest = 4 * 1024;
  static constexpr std::size_t kLargest = 1024 * 1024;
  static constexpr std::size_t kKept = 8 * 1024 * 1024;

  static std::size_t index(std::size_t size) noexcept {
    return static_cast<std::size_t>(std::countr_zero(size) - std::countr_zero(kSmallest));
  }
  void give(char* p, std::size_t size) noexcept {
    if (size > kLargest || kept_ + size > kKept) {
      delete[] p;
      return;
    }
    free_[index(size)].push_back(p);
    kept_ += size;
  }

  std::array<std::vector<char*>, 9> free_;
  std::size_t kept_ = 0;
};

inline Buffer::~Buffer() {
  if (data_ != nullptr) pool_->give(data_, size_);
}

}  // namespace tyaprover::http
