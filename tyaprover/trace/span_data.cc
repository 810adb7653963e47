#include "tyaprover/trace/span_data.h"

#include <algorithm>
#include <cstring>
#include <list>
#include <mutex>
#include <new>
#include <type_traits>

#include "tyaprover/trace/copy_bytes.h"

namespace tyaprover::trace {
namespace {

static_assert(std::is_trivially_copyable_v<SpanData> && std::is_trivially_copyable_v<EventData> &&
              std::is_trivially_copyable_v<LinkData> &&
              std::is_trivially_copyable_v<AttributeData>);

constexpr std::size_t round_up(std::size_t size) noexcept {
  return (size + 7) & ~std::size_t{7};
}

// Pass one adds up what pass two writes. Both walk a span in the same order: arrays first (they
// need alignment), text after them is packed without gaps.
class Measure {
 public:
  void span(const SpanData& span) noexcept {
    array<SpanData>(1);
    text(span.name);
    text(span.status_description);
    text(span.trace_state);
    attributes(span.attributes);
    array<EventData>(span.events.size());
    for (const EventData& event : span.events) {
      text(event.name);
      attributes(event.attributes);
    }
    array<LinkData>(span.links.size());
    for (const LinkData& link : span.links) {
      text(link.trace_state);
      attributes(link.attributes);
    }
  }
  [[nodiscard]] PackedSize size() const noexcept {
    return {sum_.arrays, round_up(sum_.arrays + sum_.texts)};
  }

 private:
  void text(const Text& text) noexcept {
    if (!text.lives_for_ever()) sum_.texts += text.view().size();
  }
  template <class T>
  void array(std::size_t count) noexcept {
    sum_.arrays += round_up(count * sizeof(T));
  }
  void attributes(std::span<const AttributeData> attributes) noexcept {
    array<AttributeData>(attributes.size());
    for (const AttributeData& each : attributes) detail::AttributeMover::measure(each, sum_);
  }

  detail::AttributeMover::Size sum_;
};

class Packer {
 public:
  Packer(char* arrays, char* texts) noexcept : arrays_(arrays), texts_(texts) {}

  SpanData* span(const SpanData& span) noexcept {
    SpanData* copy = array(std::span(&span, 1)).data();
    text(copy->name);
    text(copy->status_description);
    text(copy->trace_state);
    attributes(copy->attributes);
    const std::span<EventData> events = array(span.events);
    copy->events = events;
    for (EventData& event : events) {
      text(event.name);
      attributes(event.attributes);
    }
    const std::span<LinkData> links = array(span.links);
    copy->links = links;
    for (LinkData& link : links) {
      text(link.trace_state);
      attributes(link.attributes);
    }
    return copy;
  }

  std::string_view text(std::string_view text) noexcept {
    char* const at = texts_;
    detail::copy_bytes(at, text.data(), text.size());
    texts_ += text.size();
    return {at, text.size()};
  }
  template <class T>
  std::span<T> array(std::span<const T> from) noexcept {
    if (from.empty()) return {};
    auto* const at = reinterpret_cast<T*>(arrays_);
    std::memcpy(static_cast<void*>(at), from.data(), from.size_bytes());
    arrays_ += round_up(from.size_bytes());
    return {at, from.size()};
  }

 private:
  void text(Text& field) noexcept {
    if (!field.lives_for_ever()) field = Text(text(field.view()), false);
  }
  void attributes(std::span<const AttributeData>& field) noexcept {
    const std::span<AttributeData> copies = array(field);
    field = copies;
    for (AttributeData& each : copies) detail::AttributeMover::move(each, *this);
  }

  char* arrays_;
  char* texts_;
};

}  // namespace

std::string_view to_string(SpanKind kind) noexcept {
  switch (kind) {
    case SpanKind::internal:
      return "internal";
    case SpanKind::server:
      return "server";
    case SpanKind::client:
      return "client";
    case SpanKind::producer:
      return "producer";
    case SpanKind::consumer:
      return "consumer";
  }
  return "";
}

std::string_view to_string(SpanStatus status) noexcept {
  switch (status) {
    case SpanStatus::unset:
      return "unset";
    case SpanStatus::ok:
      return "ok";
    case SpanStatus::error:
      return "error";
  }
  return "";
}

const InstrumentationScope& intern(InstrumentationScope scope) {
  static std::mutex& mutex = *new std::mutex;
  static auto& scopes = *new std::list<InstrumentationScope>;
  const std::lock_guard lock(mutex);
  for (const InstrumentationScope& known : scopes) {
    if (known.name == scope.name && known.version == scope.version &&
        known.resource == scope.resource) {
      return known;
    }
  }
  return scopes.emplace_back(std::move(scope));
}

const AttributeData* SpanData::find(std::string_view key) const noexcept {
  const auto found = std::find_if(attributes.begin(), attributes.end(),
                                  [&](const AttributeData& each) { return each.key() == key; });
  return found == attributes.end() ? nullptr : &*found;
}

PackedSize packed_size(const SpanData& span) noexcept {
  Measure measure;
  measure.span(span);
  return measure.size();
}

SpanData* pack(const SpanData& span, PackedSize size, char* to) noexcept {
  return Packer(to, to + size.arrays).span(span);
}

OwnedSpan::OwnedSpan(const SpanData& span) {
  const PackedSize size = packed_size(span);
  memory_ = std::make_unique_for_overwrite<std::uint64_t[]>(size.total / 8);
  data_ = pack(span, size, reinterpret_cast<char*>(memory_.get()));
}

}  // namespace tyaprover::trace
