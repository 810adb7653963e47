#include "tyaprover/trace/span.h"

#include <algorithm>
#include <memory>
#include <new>

#include "tyaprover/base/utf8.h"
#include "tyaprover/trace/exception_type.h"
#include "tyaprover/trace/provider_core.h"
#include "tyaprover/trace/recording.h"
#include "tyaprover/trace/shared_trace.h"

namespace tyaprover::trace {
namespace detail {

// As SharedTracePool: no guard on the way of a span, a cleaner that only release() touches.
struct RecordingPool {
  static constexpr int kMaxFree = 64;

  Recording* first = nullptr;
  int size = 0;
  bool closed = false;

  static void free_all() noexcept;
};

namespace {

constinit thread_local RecordingPool pool;

struct PoolCleaner {
  ~PoolCleaner() { RecordingPool::free_all(); }
};

std::int64_t unix_nanos(WallTime time) noexcept {
  return std::chrono::duration_cast<Nanos>(time.time_since_epoch()).count();
}

}  // namespace

void RecordingPool::free_all() noexcept {
  pool.closed = true;
  while (pool.first != nullptr) {
    const std::unique_ptr<Recording> recording(pool.first);
    pool.first = recording->next_free_;
  }
}

Recording* Recording::acquire() {
  Recording* const recording = pool.first;
  if (recording == nullptr) [[unlikely]]
    return std::make_unique<Recording>().release();
  pool.first = recording->next_free_;
  --pool.size;
  return recording;
}

void Recording::release(Recording* recording) noexcept {
  if (pool.closed || pool.size == RecordingPool::kMaxFree) [[unlikely]] {
    const std::unique_ptr<Recording> last(recording);
    return;
  }
  thread_local const PoolCleaner cleaner;
  recording->reset();
  recording->next_free_ = pool.first;
  pool.first = recording;
  ++pool.size;
}

// Of `data` only what the next start and end do not set anyway.
void Recording::reset() noexcept {
  data.status = SpanStatus::unset;
  data.status_description = {};
  data.dropped_attributes = 0;
  data.dropped_events = 0;
  data.dropped_links = 0;
  for_tail = false;
  keys = {};
  attribute_count = 0;
  attributes.clear();
  events.clear();
  links.clear();
  arena.reset();
}

std::int64_t Recording::unix_nanos_now() const noexcept {
  return data.start_unix_nanos + (provider->clock.now() - start).count();
}

Text Recording::keep(Text text) {
  return text.lives_for_ever() ? text : Text(arena.copy(text.view()), false);
}

namespace {

// Copies what an attribute points to into a recording.
class Keeper {
 public:
  explicit Keeper(Recording& recording) noexcept : recording_(recording) {}

  std::string_view text(std::string_view text) { return recording_.arena.copy(text); }
  template <class T>
  std::span<T> array(std::span<const T> values) {
    const std::span<T> copies = recording_.arena.array<T>(values.size());
    std::copy(values.begin(), values.end(), copies.begin());
    return copies;
  }

 private:
  Recording& recording_;
};

}  // namespace

void Recording::keep_at(AttributeData& place, Text key, AttributeValue value) {
  new (&place) AttributeData(key, value);
  copy_for(place);
}

// Texts of at most value_length characters, whole ones.
void Recording::cut(AttributeData& attribute) {
  const std::size_t limit = provider->limits.value_length;
  const auto shorten = [&](std::string_view text) {
    if (text.size() <= limit) return text;
    std::size_t at = 0;
    for (std::size_t characters = 0; characters < limit && at < text.size(); ++characters) {
      at += decode_utf8(text, at).length;
    }
    return text.substr(0, at);
  };
  const AttributeValue value = attribute.value();
  if (value.type() == AttributeType::string) {
    const Text text = value.text();
    attribute =
        AttributeData(attribute.key_text(), Text(shorten(text.view()), text.lives_for_ever()));
  } else if (value.type() == AttributeType::strings) {
    const std::span<std::string_view> copies =
        arena.array<std::string_view>(value.strings().size());
    std::transform(value.strings().begin(), value.strings().end(), copies.begin(), shorten);
    attribute = AttributeData(attribute.key_text(), std::span<const std::string_view>(copies));
  }
}

std::span<const AttributeData> Recording::keep(std::span<const Attribute> given,
                                               std::uint32_t limit, std::uint32_t& dropped) {
  const std::span<AttributeData> kept = arena.array<AttributeData>(given.size());
  std::size_t count = 0;
  for (const Attribute& attribute : given) {
    const std::string_view key = attribute.key;
    if (key.empty()) continue;
    const auto known = std::find_if(kept.data(), kept.data() + count,
                                    [&](const AttributeData& each) { return each.key() == key; });
    if (known != kept.data() + count) {
      keep_at(*known, attribute.key, attribute.value);
    } else if (count == limit || key.size() > AttributeData::kMaxKeySize) {
      ++dropped;
    } else {
      keep_at(kept[count++], attribute.key, attribute.value);
    }
  }
  if (provider->limits.value_length != SpanLimits::kNoLimit) {
    for (AttributeData& each : kept.first(count)) cut(each);
  }
  return kept.first(count);
}

// Small, so that all it needs stays in registers: this runs ten times a span.
void Recording::set_attribute(Text key, AttributeValue value) {
  const std::string_view name = key;
  // An empty key wraps around.
  const bool has_plain_size = name.size() - 1 < AttributeData::kMaxKeySize;
  if (!has_plain_size || attribute_count >= plain_attributes) [[unlikely]] {
    return set_attribute_checked(key, value);
  }
  if (keys.add(key)) [[unlikely]]
    return set_attribute_checked(key, value);
  AttributeData& place = inline_attributes[attribute_count++];
  new (&place) AttributeData(key, value);
  if (!AttributeMover::needs_no_copy(place)) copy_for(place);
}

[[gnu::noinline]] void Recording::copy_for(AttributeData& attribute) {
  Keeper keeper(*this);
  AttributeMover::move(attribute, keeper);
}

[[gnu::noinline]] void Recording::set_attribute_checked(Text key, AttributeValue value) {
  const std::string_view name = key;
  if (name.empty()) return;
  AttributeData* const first = attributes.empty() ? inline_attributes : attributes.data();
  AttributeData* const end = first + attribute_count;
  AttributeData* const known =
      std::find_if(first, end, [&](const AttributeData& each) { return each.key() == name; });
  if (known != end) {
    keep_at(*known, key, value);
    if (provider->limits.value_length != SpanLimits::kNoLimit) cut(*known);
    return;
  }
  if (attribute_count == provider->limits.attributes || name.size() > AttributeData::kMaxKeySize) {
    ++data.dropped_attributes;
    return;
  }
  keys.add(key);
  if (attribute_count == kInlineAttributes) {
    attributes.assign(std::begin(inline_attributes), std::end(inline_attributes));
  }
  AttributeData& place = attribute_count < kInlineAttributes ? inline_attributes[attribute_count]
                                                             : attributes.emplace_back();
  keep_at(place, key, value);
  if (provider->limits.value_length != SpanLimits::kNoLimit) cut(place);
  ++attribute_count;
}

void Recording::add_event(Text name, std::span<const Attribute> given, std::int64_t unix_nanos) {
  if (events.size() == provider->limits.events) {
    ++data.dropped_events;
    return;
  }
  EventData event{.name = keep(name), .unix_nanos = unix_nanos};
  event.attributes = keep(given, provider->limits.attributes_per_event, event.dropped_attributes);
  events.push_back(event);
}

void Recording::add_link(const SpanContext& context, std::span<const Attribute> given) {
  if (links.size() == provider->limits.links) {
    ++data.dropped_links;
    return;
  }
  LinkData link{.trace_id = context.trace_id(),
                .span_id = context.span_id(),
                .flags = context.flags(),
                .is_remote = context.is_remote(),
                .trace_state = Text(arena.copy(context.trace_state()), false)};
  link.attributes = keep(given, provider->limits.attributes_per_link, link.dropped_attributes);
  links.push_back(link);
}

}  // namespace detail

Span& Span::operator=(Span&& other) noexcept {
  if (this != &other) {
    end();
    context_ = std::move(other.context_);
    recording_ = std::exchange(other.recording_, nullptr);
  }
  return *this;
}

void Span::record_attribute(Text key, AttributeValue value) {
  recording_->set_attribute(key, value);
}

void Span::record_event(Text name, std::span<const Attribute> attributes,
                        std::optional<WallTime> time) {
  recording_->add_event(name, attributes,
                        time ? detail::unix_nanos(*time) : recording_->unix_nanos_now());
}

void Span::record_link(const SpanContext& context, std::span<const Attribute> attributes) {
  recording_->add_link(context, attributes);
}

Span& Span::set_status(SpanStatus status, Text description) {
  if (recording_ == nullptr || status == SpanStatus::unset) return *this;
  SpanData& data = recording_->data;
  if (data.status == SpanStatus::ok) return *this;
  data.status = status;
  data.status_description = status == SpanStatus::error ? recording_->keep(description) : Text();
  return *this;
}

Span& Span::set_name(Text name) {
  if (recording_ != nullptr) recording_->data.name = recording_->keep(name);
  return *this;
}

Span& Span::record_exception(const std::exception& exception, std::string_view stack) {
  if (recording_ == nullptr) return *this;
  const std::string type = detail::type_name(typeid(exception));
  const Attribute attributes[] = {{"exception.type", type},
                                  {"exception.message", exception.what()},
                                  {"exception.stacktrace", stack}};
  recording_->add_event("exception", std::span(attributes).first(stack.empty() ? 2 : 3),
                        recording_->unix_nanos_now());
  return *this;
}

Span& Span::record_exception(const std::exception_ptr& exception) {
  if (recording_ == nullptr || exception == nullptr) return *this;
  try {
    std::rethrow_exception(exception);
  } catch (const std::exception& known) {
    record_exception(known);
  } catch (...) {
    add_event("exception", {{"exception.type", "unknown"}});
  }
  return *this;
}

void Span::finish(std::optional<WallTime> at) noexcept {
  detail::Recording& recording = *std::exchange(recording_, nullptr);
  SpanData& data = recording.data;
  data.end_unix_nanos =
      std::max(data.start_unix_nanos, at ? detail::unix_nanos(*at) : recording.unix_nanos_now());
  data.attributes = {
      recording.attributes.empty() ? recording.inline_attributes : recording.attributes.data(),
      recording.attribute_count};
  data.events = recording.events;
  data.links = recording.links;
  data.trace_state = Text(context_.trace_state(), false);
  if (recording.for_tail) {
    context_.shared_.get()->add(data, recording.is_local_root, *recording.provider);
  } else {
    recording.provider->on_end(data);
  }
  detail::Recording::release(&recording);
}

}  // namespace tyaprover::trace
