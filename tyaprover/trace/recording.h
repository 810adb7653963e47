// Recording: the memory of a span between its start and its end. Internal.
//
// One block of a KiB with room for sixteen attributes and a few hundred bytes of text; what does
// not fit goes to vectors and chunks that the block keeps when it is used again. Blocks come from
// a free list of the thread and go back to that of the thread that ends the span, so a warm thread
// does not allocate. They never leave the producing side: an ending span is packed for whoever
// takes it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "tyaprover/base/clock.h"
#include "tyaprover/trace/arena.h"
#include "tyaprover/trace/span_data.h"

namespace tyaprover::trace::detail {

class ProviderCore;

// A Bloom filter of 256 bits with one bit a key: what it has not seen is new.
class KeyFilter {
 public:
  // Whether a key may have been seen before; from now on it has.
  bool add(Text key) noexcept {
    const unsigned hash = key.hash();
    std::uint64_t& word = words_[hash >> 6];
    const std::uint64_t bit = std::uint64_t{1} << (hash & 63);
    const bool seen = (word & bit) != 0;
    word |= bit;
    return seen;
  }

 private:
  std::uint64_t words_[4] = {};
};

struct Recording {
  static constexpr std::size_t kInlineAttributes = 16;

  SpanData data;  // its attributes, events and links are set at the end
  ProviderCore* provider = nullptr;
  TimePoint start;
  bool is_local_root = false;
  bool for_tail = false;  // kept only if the trace is: see SharedTrace
  KeyFilter keys;         // of the attributes
  std::uint32_t attribute_count = 0;
  std::uint32_t plain_attributes = 0;  // as long as there are fewer, a new one needs no checks
  AttributeData inline_attributes[kInlineAttributes];
  std::vector<AttributeData> attributes;  // all of them, once there are more than fit inline
  std::vector<EventData> events;
  std::vector<LinkData> links;
  Arena<256> arena;

  // A block from this thread's free list, or a new one.
  static Recording* acquire();
  static void release(Recording* recording) noexcept;

  void set_attribute(Text key, AttributeValue value);
  void add_link(const SpanContext& context, std::span<const Attribute> given);
  void add_event(Text name, std::span<const Attribute> given, std::int64_t unix_nanos);
  [[nodiscard]] Text keep(Text text);
  [[nodiscard]] std::int64_t unix_nanos_now() const noexcept;

 private:
  friend struct RecordingPool;
  void set_attribute_checked(Text key, AttributeValue value);
  void keep_at(AttributeData& place, Text key, AttributeValue value);
  void copy_for(AttributeData& attribute);
  void cut(AttributeData& attribute);
  [[nodiscard]] std::span<const AttributeData> keep(std::span<const Attribute> given,
                                                    std::uint32_t limit, std::uint32_t& dropped);
  void reset() noexcept;

  Recording* next_free_ = nullptr;
};
static_assert(sizeof(Recording) <= 1280);

}  // namespace tyaprover::trace::detail
