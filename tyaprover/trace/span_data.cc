#include "tyaprover/trace/span_data.h"

#include <algorithm>
#include <cstring>
#include <list>
#include <mutex>
#include <new>
#include <type_traits>

namespace tyaprover::trace {
namespace {

static_assert(std::is_trivially_copyable_v<SpanData> && std::is_trivially_copyable_v<EventData> &&
              std::is_trivially_copyable_v<LinkData> && std::is_trivially_copyable_v<AttributeData>);

constexpr std::size_t round_up(std::size_t size) noexcept {
  return (size + 7) & ~std::size_t{7};
}

// Pass one adds up what pass two writes. Both walk a span in the same order: arrays first (they
// need alignment), text after them is packed without gaps.
class Measure {
 public:
  void text(const Text& text) noexcept {
    if (!text.lives_for_ever()) texts_ += text.view().size();
  }
  template <class T>
  void array(std::size_t count) noexcept {
    arrays_ += round_up(count * sizeof(T));
  }
  void attributes(std::span<const AttributeData> attributes) noexcept {
    array<AttributeData>(attributes.size());
    for (const AttributeData& attribute : attributes) {
      text(attribute.key_text());
      const AttributeValue value = attribute.value();
      switch (value.type()) {
        case AttributeType::string:
          text(value.text());
          break;
        case AttributeType::boolean:
        case AttributeType::integer:
        case AttributeType::real:
          break;
        case AttributeType::strings:
          array<std::string_view>(value.strings().size());
          for (const std::string_view string : value.strings()) texts_ += string.size();
          break;
        case AttributeType::booleans:
          array<bool>(value.booleans().size());
          break;
        case AttributeType::integers:
          array<std::int64_t>(value.integers().size());
          break;
        case AttributeType::reals:
          array<double>(value.reals().size());
          break;
      }
    }
  }
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
  [[nodiscard]] std::size_t arrays() const noexcept { return arrays_; }
  [[nodiscard]] std::size_t total() const noexcept { return round_up(arrays_ + texts_); }

 private:
  std::size_t arrays_ = 0;
  std::size_t texts_ = 0;
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

 private:
  std::string_view text(std::string_view text) noexcept {
    char* const at = texts_;
    if (!text.empty()) std::memcpy(at, text.data(), text.size());
    texts_ += text.size();
    return {at, text.size()};
  }
  void text(Text& field) noexcept {
    if (!field.lives_for_ever()) field = Text(text(field.view()), false);
  }
  template <class T>
  std::span<T> array(std::span<const T> from) noexcept {
    if (from.empty()) return {};
    auto* const at = reinterpret_cast<T*>(arrays_);
    std::memcpy(static_cast<void*>(at), from.data(), from.size_bytes());
    arrays_ += round_up(from.size_bytes());
    return {at, from.size()};
  }
  void attributes(std::span<const AttributeData>& field) noexcept {
    const std::span<AttributeData> copies = array(field);
    field = copies;
    for (AttributeData& attribute : copies) {
      Text key = attribute.key_text();
      text(key);
      attribute = AttributeData(key, value(attribute.value()));
    }
  }
  AttributeValue value(const AttributeValue& from) noexcept {
    switch (from.type()) {
      case AttributeType::string: {
        Text copy = from.text();
        text(copy);
        return copy;
      }
      case AttributeType::boolean:
      case AttributeType::integer:
      case AttributeType::real:
        return from;
      case AttributeType::strings: {
        const std::span<std::string_view> copies = array(from.strings());
        for (std::string_view& string : copies) string = text(string);
        return std::span<const std::string_view>(copies);
      }
      case AttributeType::booleans:
        return std::span<const bool>(array(from.booleans()));
      case AttributeType::integers:
        return std::span<const std::int64_t>(array(from.integers()));
      case AttributeType::reals:
        return std::span<const double>(array(from.reals()));
    }
    return from;
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
  return {measure.arrays(), measure.total()};
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
