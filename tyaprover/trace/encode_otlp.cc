#include "tyaprover/trace/encode_otlp.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>
#include <utility>

#include "tyaprover/base/json_writer.h"
#include "tyaprover/base/utf8.h"
#include "tyaprover/trace/hex.h"
#include "tyaprover/trace/span_groups.h"

// Protobuf wants the length of every nested message in front of it. Write leaves as many bytes as
// that length will most likely take, and moves the message where it was wrong.
//
// Field numbers: opentelemetry/proto/{collector/trace,trace,resource,common}/v1.

namespace tyaprover::trace {
namespace {

enum WireType : std::uint32_t { varint = 0, fixed64 = 1, delimited = 2, fixed32 = 5 };

constexpr std::size_t varint_size(std::uint64_t value) noexcept {
  return (static_cast<std::size_t>(std::bit_width(value | 1)) + 6) / 7;
}

// At the end of `out`, which is as long as it must be once finish() is called.
class Write {
 public:
  explicit Write(std::string& out) : out_(out) {
    out_.resize(out_.capacity());
    use(0);
  }

  void varint_field(std::uint32_t field, std::uint64_t value) {
    need(2 * kMaxVarint);
    put_varint(field << 3 | varint);
    put_varint(value);
  }
  void fixed64_field(std::uint32_t field, std::uint64_t value) {
    need(kMaxVarint + sizeof(value));
    put_varint(field << 3 | fixed64);
    put_little_endian(value);
  }
  void fixed32_field(std::uint32_t field, std::uint32_t value) {
    need(kMaxVarint + sizeof(value));
    put_varint(field << 3 | fixed32);
    put_little_endian(value);
  }
  void bytes_field(std::uint32_t field, std::string_view bytes) {
    need(2 * kMaxVarint + bytes.size());
    put_varint(field << 3 | delimited);
    put_varint(bytes.size());
    if (!bytes.empty()) std::memcpy(to_, bytes.data(), bytes.size());
    to_ += bytes.size();
  }
  void text_field(std::uint32_t field, std::string_view text) {
    if (is_ascii(text)) [[likely]]
      return bytes_field(field, text);
    repaired_.clear();
    append_repaired(repaired_, text);
    bytes_field(field, repaired_);
  }
  // `length_size`: how many bytes the length of what `fields` writes takes, as a rule.
  template <class F>
  void message(std::uint32_t field, F fields, std::size_t length_size = 1) {
    need(2 * kMaxVarint);
    put_varint(field << 3 | delimited);
    const std::size_t length_at = size();
    to_ += length_size;
    fields();
    const std::size_t message_size = size() - length_at - length_size;
    if (varint_size(message_size) != length_size) [[unlikely]]
      move(length_at, length_size, message_size);
    char* const end = std::exchange(to_, begin_ + length_at);
    put_varint(message_size);
    to_ = end;
  }
  void finish() { out_.resize(size()); }

 private:
  static constexpr std::size_t kMaxVarint = 10;

  [[nodiscard]] std::size_t size() const noexcept { return static_cast<std::size_t>(to_ - begin_); }
  void use(std::size_t size) noexcept {
    begin_ = out_.data();
    to_ = begin_ + size;
    end_ = begin_ + out_.size();
  }
  void need(std::size_t bytes) {
    if (static_cast<std::size_t>(end_ - to_) < bytes) [[unlikely]]
      grow(bytes);
  }
  [[gnu::noinline]] void grow(std::size_t bytes) {
    const std::size_t used = size();
    out_.resize(std::max(2 * out_.size(), used + bytes));
    use(used);
  }
  // The message behind a length that takes another number of bytes than were left for it.
  [[gnu::noinline]] void move(std::size_t length_at, std::size_t length_size,
                              std::size_t message_size) {
    need(kMaxVarint);
    const std::size_t wanted = varint_size(message_size);
    char* const length = begin_ + length_at;
    std::memmove(length + wanted, length + length_size, message_size);
    to_ = length + wanted + message_size;
  }
  void put_varint(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) *to_++ = static_cast<char>(value | 0x80);
    *to_++ = static_cast<char>(value);
  }
  template <class Unsigned>
  void put_little_endian(Unsigned value) {
    for (std::size_t i = 0; i < sizeof(value); ++i) to_[i] = static_cast<char>(value >> (8 * i));
    to_ += sizeof(value);
  }

  std::string& out_;
  char* begin_ = nullptr;
  char* to_ = nullptr;
  char* end_ = nullptr;
  std::string repaired_;
};

// Of lengths: spans have mostly 128 bytes to 16 KiB, batches of them up to 2 MiB.
constexpr std::size_t kSpanLength = 2;
constexpr std::size_t kBatchLength = 3;

// The bytes of ids in network order.
struct IdBytes {
  explicit IdBytes(TraceId id) noexcept : size(16) {
    put(bytes, id.high);
    put(bytes + 8, id.low);
  }
  explicit IdBytes(SpanId id) noexcept : size(8) { put(bytes, id.value); }
  static void put(char* to, std::uint64_t value) noexcept {
    for (int shift = 56; shift >= 0; shift -= 8) *to++ = static_cast<char>(value >> shift);
  }
  [[nodiscard]] std::string_view view() const noexcept { return {bytes, size}; }

  char bytes[16];
  std::size_t size;
};

// bits 0-7: the W3C flags; bit 8: it is known whether the parent is remote; bit 9: it is.
std::uint32_t otlp_flags(TraceFlags flags, bool is_remote) noexcept {
  return flags.bits | 0x100u | (is_remote ? 0x200u : 0u);
}

void put_scalar(Write& to, std::string_view text) {
  to.text_field(1, text);
}
void put_scalar(Write& to, bool value) {
  to.varint_field(2, value ? 1 : 0);
}
void put_scalar(Write& to, std::int64_t value) {
  to.varint_field(3, static_cast<std::uint64_t>(value));
}
void put_scalar(Write& to, double value) {
  to.fixed64_field(4, std::bit_cast<std::uint64_t>(value));
}

template <class T>
void put_array(Write& to, std::span<const T> values) {
  to.message(5, [&] {
    for (const T& value : values) {
      to.message(1, [&] { put_scalar(to, value); });
    }
  });
}

void put_value(Write& to, AttributeValue value) {
  switch (value.type()) {
    case AttributeType::string:
      return put_scalar(to, value.text().view());
    case AttributeType::boolean:
      return put_scalar(to, value.boolean());
    case AttributeType::integer:
      return put_scalar(to, value.integer());
    case AttributeType::real:
      return put_scalar(to, value.real());
    case AttributeType::strings:
      return put_array(to, value.strings());
    case AttributeType::booleans:
      return put_array(to, value.booleans());
    case AttributeType::integers:
      return put_array(to, value.integers());
    case AttributeType::reals:
      return put_array(to, value.reals());
  }
}

void put_attribute(Write& to, std::uint32_t field, std::string_view key, AttributeValue value) {
  to.message(field, [&] {
    to.text_field(1, key);
    to.message(2, [&] { put_value(to, value); });
  });
}

void put_attributes(Write& to, std::uint32_t field, std::span<const AttributeData> attributes) {
  for (const AttributeData& each : attributes) put_attribute(to, field, each.key(), each.value());
}

void put_count(Write& to, std::uint32_t field, std::uint32_t count) {
  if (count != 0) to.varint_field(field, count);
}

void put_event(Write& to, const EventData& event) {
  to.fixed64_field(1, static_cast<std::uint64_t>(event.unix_nanos));
  to.text_field(2, event.name.view());
  put_attributes(to, 3, event.attributes);
  put_count(to, 4, event.dropped_attributes);
}

void put_link(Write& to, const LinkData& link) {
  to.bytes_field(1, IdBytes(link.trace_id).view());
  to.bytes_field(2, IdBytes(link.span_id).view());
  if (!link.trace_state.empty()) to.text_field(3, link.trace_state.view());
  put_attributes(to, 4, link.attributes);
  put_count(to, 5, link.dropped_attributes);
  to.fixed32_field(6, otlp_flags(link.flags, link.is_remote));
}

// Status.code: unset 0, ok 1, error 2.
unsigned status_code(SpanStatus status) noexcept {
  return static_cast<unsigned>(status);
}
// SpanKind: unspecified 0, internal 1, server 2, client 3, producer 4, consumer 5.
unsigned span_kind(SpanKind kind) noexcept {
  return static_cast<unsigned>(kind) + 1;
}

void put_span(Write& to, const SpanData& span) {
  to.bytes_field(1, IdBytes(span.trace_id).view());
  to.bytes_field(2, IdBytes(span.span_id).view());
  if (!span.trace_state.empty()) to.text_field(3, span.trace_state.view());
  if (span.parent_span_id.is_valid()) to.bytes_field(4, IdBytes(span.parent_span_id).view());
  to.text_field(5, span.name.view());
  to.varint_field(6, span_kind(span.kind));
  to.fixed64_field(7, static_cast<std::uint64_t>(span.start_unix_nanos));
  to.fixed64_field(8, static_cast<std::uint64_t>(span.end_unix_nanos));
  put_attributes(to, 9, span.attributes);
  put_count(to, 10, span.dropped_attributes);
  for (const EventData& event : span.events) to.message(11, [&] { put_event(to, event); });
  put_count(to, 12, span.dropped_events);
  for (const LinkData& link : span.links) to.message(13, [&] { put_link(to, link); });
  put_count(to, 14, span.dropped_links);
  to.message(15, [&] {
    if (!span.status_description.empty()) to.text_field(2, span.status_description.view());
    if (span.status != SpanStatus::unset) to.varint_field(3, status_code(span.status));
  });
  to.fixed32_field(16, otlp_flags(span.flags, span.parent_is_remote));
}

using Scopes = std::span<const InstrumentationScope* const>;

// The scopes at the front that share a resource.
Scopes take_resource(Scopes& scopes) {
  std::size_t count = 0;
  while (count < scopes.size() && scopes[count]->resource == scopes.front()->resource) ++count;
  const Scopes first = scopes.first(count);
  scopes = scopes.subspan(count);
  return first;
}

void put_scope(Write& to, const InstrumentationScope& scope, std::span<const SpanData> spans) {
  to.message(1, [&] {
    to.text_field(1, scope.name);
    if (!scope.version.empty()) to.text_field(2, scope.version);
  });
  for (const SpanData& span : spans) {
    if (span.scope == &scope)
      to.message(
          2, [&] { put_span(to, span); }, kSpanLength);
  }
}

void put_request(Write& to, Scopes scopes, std::span<const SpanData> spans) {
  while (!scopes.empty()) {
    const Scopes of_resource = take_resource(scopes);
    const auto put_resource = [&] {
      to.message(1, [&] {
        for (const auto& [key, value] : of_resource.front()->resource) {
          put_attribute(to, 1, key, std::string_view(value));
        }
      });
      for (const InstrumentationScope* scope : of_resource) {
        to.message(
            2, [&] { put_scope(to, *scope, spans); }, kBatchLength);
      }
    };
    to.message(1, put_resource, kBatchLength);
  }
}

// JSON.

void json_integer_as_text(JsonWriter& json, std::int64_t value) {
  char digits[24];
  json.string({digits, std::to_chars(digits, digits + sizeof(digits), value).ptr});
}

template <std::size_t N>
void json_hex(JsonWriter& json, const std::array<char, N>& digits) {
  json.string({digits.data(), N});
}

void json_scalar(JsonWriter& json, std::string_view text) {
  json.key("stringValue").string(text);
}
void json_scalar(JsonWriter& json, bool value) {
  json.key("boolValue").boolean(value);
}
void json_scalar(JsonWriter& json, std::int64_t value) {
  json.key("intValue");
  json_integer_as_text(json, value);
}
// The JSON mapping of proto3 writes what JSON numbers cannot say as words.
void json_scalar(JsonWriter& json, double value) {
  json.key("doubleValue");
  if (std::isfinite(value)) {
    json.number(value);
  } else {
    json.string(std::isnan(value) ? "NaN" : value > 0 ? "Infinity" : "-Infinity");
  }
}

template <class T>
void json_array(JsonWriter& json, std::span<const T> values) {
  json.key("arrayValue").begin_object().key("values").begin_array();
  for (const T& value : values) {
    json.begin_object();
    json_scalar(json, value);
    json.end_object();
  }
  json.end_array().end_object();
}

void json_attribute(JsonWriter& json, std::string_view key, AttributeValue value) {
  json.begin_object().key("key").string(key).key("value").begin_object();
  switch (value.type()) {
    case AttributeType::string:
      json_scalar(json, value.text().view());
      break;
    case AttributeType::boolean:
      json_scalar(json, value.boolean());
      break;
    case AttributeType::integer:
      json_scalar(json, value.integer());
      break;
    case AttributeType::real:
      json_scalar(json, value.real());
      break;
    case AttributeType::strings:
      json_array(json, value.strings());
      break;
    case AttributeType::booleans:
      json_array(json, value.booleans());
      break;
    case AttributeType::integers:
      json_array(json, value.integers());
      break;
    case AttributeType::reals:
      json_array(json, value.reals());
      break;
  }
  json.end_object().end_object();
}

void json_attributes(JsonWriter& json, std::span<const AttributeData> attributes) {
  json.key("attributes").begin_array();
  for (const AttributeData& each : attributes) json_attribute(json, each.key(), each.value());
  json.end_array();
}

void json_event(JsonWriter& json, const EventData& event) {
  json.begin_object().key("timeUnixNano");
  json_integer_as_text(json, event.unix_nanos);
  json.key("name").string(event.name);
  json_attributes(json, event.attributes);
  json.key("droppedAttributesCount").integer(event.dropped_attributes).end_object();
}

void json_link(JsonWriter& json, const LinkData& link) {
  json.begin_object().key("traceId");
  json_hex(json, link.trace_id.to_hex());
  json.key("spanId");
  json_hex(json, link.span_id.to_hex());
  if (!link.trace_state.empty()) json.key("traceState").string(link.trace_state);
  json_attributes(json, link.attributes);
  json.key("droppedAttributesCount").integer(link.dropped_attributes);
  json.key("flags").integer(otlp_flags(link.flags, link.is_remote)).end_object();
}

void json_span(JsonWriter& json, const SpanData& span) {
  json.begin_object().key("traceId");
  json_hex(json, span.trace_id.to_hex());
  json.key("spanId");
  json_hex(json, span.span_id.to_hex());
  if (!span.trace_state.empty()) json.key("traceState").string(span.trace_state);
  if (span.parent_span_id.is_valid()) {
    json.key("parentSpanId");
    json_hex(json, span.parent_span_id.to_hex());
  }
  json.key("flags").integer(otlp_flags(span.flags, span.parent_is_remote));
  json.key("name").string(span.name).key("kind").integer(span_kind(span.kind));
  json.key("startTimeUnixNano");
  json_integer_as_text(json, span.start_unix_nanos);
  json.key("endTimeUnixNano");
  json_integer_as_text(json, span.end_unix_nanos);
  json_attributes(json, span.attributes);
  json.key("droppedAttributesCount").integer(span.dropped_attributes);
  json.key("events").begin_array();
  for (const EventData& event : span.events) json_event(json, event);
  json.end_array().key("droppedEventsCount").integer(span.dropped_events);
  json.key("links").begin_array();
  for (const LinkData& link : span.links) json_link(json, link);
  json.end_array().key("droppedLinksCount").integer(span.dropped_links);
  json.key("status").begin_object().key("code").integer(status_code(span.status));
  if (!span.status_description.empty()) json.key("message").string(span.status_description);
  json.end_object().end_object();
}

// Reading the response.

class ProtobufReader {
 public:
  explicit ProtobufReader(std::string_view bytes) noexcept : rest_(bytes) {}

  [[nodiscard]] bool done() const noexcept { return rest_.empty(); }
  std::optional<std::uint64_t> varint() noexcept {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && !rest_.empty(); shift += 7) {
      const auto byte = static_cast<unsigned char>(rest_.front());
      rest_.remove_prefix(1);
      value |= std::uint64_t{byte & 0x7fu} << shift;
      if (byte < 0x80) return value;
    }
    return std::nullopt;
  }
  std::optional<std::string_view> take(std::uint64_t size) noexcept {
    if (size > rest_.size()) return std::nullopt;
    const std::string_view taken = rest_.substr(0, static_cast<std::size_t>(size));
    rest_.remove_prefix(taken.size());
    return taken;
  }
  std::optional<std::string_view> delimited() noexcept {
    const auto size = varint();
    return size ? take(*size) : std::nullopt;
  }
  bool skip(std::uint64_t wire_type) noexcept {
    switch (wire_type) {
      case WireType::varint:
        return varint().has_value();
      case WireType::fixed64:
        return take(8).has_value();
      case WireType::delimited:
        return delimited().has_value();
      case WireType::fixed32:
        return take(4).has_value();
      default:
        return false;
    }
  }

 private:
  std::string_view rest_;
};

bool read_partial_success(std::string_view message, PartialSuccess& partial) {
  for (ProtobufReader reader(message); !reader.done();) {
    const auto tag = reader.varint();
    if (!tag) return false;
    if (*tag == (1u << 3 | varint)) {
      const auto rejected = reader.varint();
      if (!rejected) return false;
      partial.rejected_spans = *rejected >> 63 != 0 ? 0 : *rejected;  // an int64
    } else if (*tag == (2u << 3 | delimited)) {
      const auto text = reader.delimited();
      if (!text) return false;
      partial.message = *text;
    } else if (!reader.skip(*tag & 7)) {
      return false;
    }
  }
  return true;
}

// What follows `"name"` and a colon, or nothing.
std::string_view value_after(std::string_view body, std::string_view quoted_name) noexcept {
  const std::size_t at = body.find(quoted_name);
  if (at == std::string_view::npos) return {};
  body.remove_prefix(at + quoted_name.size());
  const std::size_t colon = body.find_first_not_of(" \t\r\n");
  if (colon == std::string_view::npos || body[colon] != ':') return {};
  const std::size_t value = body.find_first_not_of(" \t\r\n", colon + 1);
  return value == std::string_view::npos ? std::string_view() : body.substr(value);
}

}  // namespace

void encode_otlp_protobuf(std::span<const SpanData> spans, std::string& out) {
  const auto scopes = detail::scopes_of(spans);
  Write write(out);
  put_request(write, scopes, spans);
  write.finish();
}

void encode_otlp_json(std::span<const SpanData> spans, std::string& out) {
  const auto all_scopes = detail::scopes_of(spans);
  out.clear();
  JsonWriter json(out);
  json.begin_object().key("resourceSpans").begin_array();
  for (Scopes scopes = all_scopes; !scopes.empty();) {
    const Scopes of_resource = take_resource(scopes);
    json.begin_object().key("resource").begin_object().key("attributes").begin_array();
    for (const auto& [key, value] : of_resource.front()->resource) {
      json_attribute(json, key, std::string_view(value));
    }
    json.end_array().end_object().key("scopeSpans").begin_array();
    for (const InstrumentationScope* scope : of_resource) {
      json.begin_object().key("scope").begin_object().key("name").string(scope->name);
      if (!scope->version.empty()) json.key("version").string(scope->version);
      json.end_object().key("spans").begin_array();
      for (const SpanData& span : spans) {
        if (span.scope == scope) json_span(json, span);
      }
      json.end_array().end_object();
    }
    json.end_array().end_object();
  }
  json.end_array().end_object();
}

std::optional<PartialSuccess> decode_otlp_response_protobuf(std::string_view body) {
  PartialSuccess partial;
  for (ProtobufReader reader(body); !reader.done();) {
    const auto tag = reader.varint();
    if (!tag) return std::nullopt;
    if (*tag != (1u << 3 | delimited)) {
      if (!reader.skip(*tag & 7)) return std::nullopt;
      continue;
    }
    const auto message = reader.delimited();
    if (!message || !read_partial_success(*message, partial)) return std::nullopt;
  }
  return partial;
}

PartialSuccess scan_otlp_response_json(std::string_view body) {
  PartialSuccess partial;
  std::string_view rejected = value_after(body, "\"rejectedSpans\"");
  if (rejected.starts_with('"')) rejected.remove_prefix(1);
  std::from_chars(rejected.data(), rejected.data() + rejected.size(), partial.rejected_spans);
  const std::string_view message = value_after(body, "\"errorMessage\"");
  if (message.starts_with('"')) partial.message = message.substr(1, message.find('"', 1) - 1);
  return partial;
}

}  // namespace tyaprover::trace
