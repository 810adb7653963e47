#include "tyaprover/trace/span_ring.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <new>

namespace tyaprover::trace::detail {
namespace {

constexpr std::size_t kLargestInRing = 8192;
constexpr std::size_t kSmallestRing = 2 * kLargestInRing;

// A counter with one writer needs no read-modify-write.
void add_one(std::atomic<std::uint64_t>& counter, std::memory_order order) noexcept {
  counter.store(counter.load(std::memory_order_relaxed) + 1, order);
}

}  // namespace

SpanRing::SpanRing(std::size_t max_spans)
    : max_spans_(max_spans),
      capacity_(std::bit_ceil(std::max(max_spans * kBytesPerSpan, kSmallestRing))),
      memory_(std::make_unique_for_overwrite<std::uint64_t[]>(capacity_ / 8)) {}

SpanRing::~SpanRing() {
  while (take() != nullptr) {
  }
  release();
}

SpanRing::Header* SpanRing::header_at(std::uint64_t position) const noexcept {
  return reinterpret_cast<Header*>(memory_.get() + (position & (capacity_ - 1)) / 8);
}

char* SpanRing::reserve(std::size_t size) {
  const std::uint64_t end = end_.load(std::memory_order_relaxed);
  const std::size_t to_the_edge = capacity_ - (end & (capacity_ - 1));
  const std::size_t skipped = size > to_the_edge ? to_the_edge : 0;
  if (end + skipped + size - known_freed_bytes_ > capacity_) return nullptr;
  if (skipped != 0) {
    new (header_at(end)) Header{static_cast<std::uint32_t>(skipped), Kind::wrap};
  }
  reserved_end_ = end + skipped + size;
  return reinterpret_cast<char*>(header_at(end + skipped));
}

SpanRing::Push SpanRing::push(const SpanData& span) {
  add_one(produced_, std::memory_order_relaxed);
  if (looks_half_full()) {
    // Acquire: the consumer has finished with what it freed.
    known_released_ = released_.load(std::memory_order_acquire);
    known_freed_bytes_ = freed_bytes_.load(std::memory_order_acquire);
  }
  const PackedSize size = packed_size(span);
  const bool on_heap = size.total > kLargestInRing;
  const std::size_t record = sizeof(Header) + (on_heap ? sizeof(OwnedSpan) : size.total);
  char* const at = pushed_ - known_released_ < max_spans_ ? reserve(record) : nullptr;
  if (at == nullptr) {
    // Release: who sees the drop sees the production.
    add_one(dropped_full_, std::memory_order_release);
    return Push::full;
  }
  new (at) Header{static_cast<std::uint32_t>(record), on_heap ? Kind::heap_span : Kind::span};
  if (on_heap) {
    new (at + sizeof(Header)) OwnedSpan(span);
  } else {
    pack(span, size, at + sizeof(Header));
  }
  ++pushed_;
  // Release: who sees the new end sees the span.
  end_.store(reserved_end_, std::memory_order_release);
  return looks_half_full() ? Push::queued_half_full : Push::queued;
}

bool SpanRing::looks_half_full() const noexcept {
  return 2 * (pushed_ - known_released_) >= max_spans_ ||
         2 * (reserved_end_ - known_freed_bytes_) >= capacity_;
}

void SpanRing::drop() noexcept {
  add_one(produced_, std::memory_order_relaxed);
  add_one(dropped_late_, std::memory_order_release);
}

const SpanData* SpanRing::take() noexcept {
  if (taken_bytes_ == end_.load(std::memory_order_acquire)) return nullptr;
  Header* header = header_at(taken_bytes_);
  taken_bytes_ += header->size;
  if (header->kind == Kind::wrap) {  // never the last record
    header = header_at(taken_bytes_);
    taken_bytes_ += header->size;
  }
  ++taken_;
  if (header->kind == Kind::heap_span) return &**reinterpret_cast<OwnedSpan*>(header + 1);
  return reinterpret_cast<const SpanData*>(header + 1);
}

void SpanRing::release() noexcept {
  for (std::uint64_t at = freed_bytes_.load(std::memory_order_relaxed); at != taken_bytes_;) {
    Header* const header = header_at(at);
    at += header->size;
    if (header->kind == Kind::heap_span) reinterpret_cast<OwnedSpan*>(header + 1)->~OwnedSpan();
  }
  // Release: the producer may write there again.
  released_.store(taken_, std::memory_order_release);
  freed_bytes_.store(taken_bytes_, std::memory_order_release);
}

SpanRing::Counts SpanRing::counts() const noexcept {
  Counts counts;
  counts.dropped_full = dropped_full_.load(std::memory_order_acquire);
  counts.dropped_late = dropped_late_.load(std::memory_order_acquire);
  counts.produced = produced_.load(std::memory_order_relaxed);
  return counts;
}

}  // namespace tyaprover::trace::detail
