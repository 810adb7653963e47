#include "tyaprover/trace/encode_jaeger.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <initializer_list>

#include "tyaprover/base/utf8.h"
#include "tyaprover/trace/span_groups.h"
#include "tyaprover/trace/value_text.h"

// TBinaryProtocol: a struct is fields of (type byte, i16 id, value) up to a zero byte, a list is
// (type byte, i32 count, values), a string is (i32 size, bytes); numbers in network order. The ids
// and types are those of Jaeger's IDL (jaeger.thrift).

namespace tyaprover::trace {
namespace {

enum class Type : std::uint8_t {
  stop = 0,
  boolean = 2,
  real = 4,
  i32 = 8,
  i64 = 10,
  string = 11,
  structure = 12,
  list = 15,
};

enum class TagType : std::int32_t { string = 0, real = 1, boolean = 2, integer = 3 };
enum class RefType : std::int32_t { child_of = 0, follows_from = 1 };

class Encoder {
 public:
  explicit Encoder(std::string& out) noexcept : out_(out) {}

  void batch(std::span<const SpanData> spans) {
    field(Type::structure, 1);
    process(spans.front().scope->resource);
    field(Type::list, 2);
    list(Type::structure, spans.size());
    for (const SpanData& each : spans) span(each);
    end();
  }

 private:
  template <class T>
  void big_endian(T value) {
    for (int shift = 8 * (static_cast<int>(sizeof(T)) - 1); shift >= 0; shift -= 8) {
      out_ += static_cast<char>(value >> shift);
    }
  }
  void field(Type type, std::int16_t id) {
    out_ += static_cast<char>(type);
    big_endian(static_cast<std::uint16_t>(id));
  }
  void end() { out_ += static_cast<char>(Type::stop); }
  void list(Type type, std::size_t size) {
    out_ += static_cast<char>(type);
    big_endian(static_cast<std::uint32_t>(size));
  }
  void i32(std::int16_t id, std::int32_t value) {
    field(Type::i32, id);
    big_endian(static_cast<std::uint32_t>(value));
  }
  void i64(std::int16_t id, std::uint64_t value) {
    field(Type::i64, id);
    big_endian(value);
  }
  void string(std::int16_t id, std::string_view text) {
    field(Type::string, id);
    big_endian(static_cast<std::uint32_t>(repaired_size(text)));
    append_repaired(out_, text);
  }

  void tag(std::string_view key, AttributeValue value) {
    string(1, key);
    switch (value.type()) {
      case AttributeType::boolean:
        i32(2, static_cast<std::int32_t>(TagType::boolean));
        field(Type::boolean, 5);
        out_ += value.boolean() ? '\1' : '\0';
        break;
      case AttributeType::integer:
        i32(2, static_cast<std::int32_t>(TagType::integer));
        i64(6, static_cast<std::uint64_t>(value.integer()));
        break;
      case AttributeType::real:
        i32(2, static_cast<std::int32_t>(TagType::real));
        field(Type::real, 4);
        big_endian(std::bit_cast<std::uint64_t>(value.real()));
        break;
      case AttributeType::string:
      case AttributeType::strings:
      case AttributeType::booleans:
      case AttributeType::integers:
      case AttributeType::reals:
        text_.clear();
        detail::append_value_text(text_, value);
        i32(2, static_cast<std::int32_t>(TagType::string));
        string(3, text_);
        break;
    }
    end();
  }

  void process(const Resource& resource) {
    string(1, detail::service_name(resource));
    const auto is_tag = [](const auto& each) { return each.first != "service.name"; };
    field(Type::list, 2);
    list(Type::structure,
         static_cast<std::size_t>(std::count_if(resource.begin(), resource.end(), is_tag)));
    for (const auto& each : resource) {
      if (is_tag(each)) tag(each.first, std::string_view(each.second));
    }
    end();
  }

  void reference(RefType type, TraceId trace_id, SpanId span_id) {
    i32(1, static_cast<std::int32_t>(type));
    i64(2, trace_id.low);
    i64(3, trace_id.high);
    i64(4, span_id.value);
    end();
  }

  void log(const EventData& event) {
    i64(1, static_cast<std::uint64_t>(event.unix_nanos / 1000));
    field(Type::list, 2);
    list(Type::structure, event.attributes.size() + 1);
    tag("event", event.name);
    for (const AttributeData& each : event.attributes) tag(each.key(), each.value());
    end();
  }

  void tags(const SpanData& span) {
    const Attribute failure = {"error", true};
    const Attribute extra[] = {
        {"span.kind", to_string(span.kind)},
        {"otel.scope.name", span.scope->name},
        {"otel.scope.version", span.scope->version},
        {"otel.status_code", span.status == SpanStatus::ok ? "OK" : "ERROR"},
        {"otel.status_description", span.status_description},
        failure,
    };
    const bool wanted[] = {
        span.kind != SpanKind::internal,  true,
        !span.scope->version.empty(),     span.status != SpanStatus::unset,
        !span.status_description.empty(), span.status == SpanStatus::error,
    };
    field(Type::list, 10);
    list(Type::structure,
         span.attributes.size() +
             static_cast<std::size_t>(std::count(std::begin(wanted), std::end(wanted), true)));
    for (const AttributeData& each : span.attributes) tag(each.key(), each.value());
    for (std::size_t i = 0; i < std::size(extra); ++i) {
      if (wanted[i]) tag(extra[i].key, extra[i].value);
    }
  }

  void span(const SpanData& span) {
    i64(1, span.trace_id.low);
    i64(2, span.trace_id.high);
    i64(3, span.span_id.value);
    i64(4, span.parent_span_id.value);
    string(5, span.name);
    if (!span.links.empty()) {
      field(Type::list, 6);
      list(Type::structure, span.links.size());
      for (const LinkData& link : span.links) {
        reference(RefType::follows_from, link.trace_id, link.span_id);
      }
    }
    i32(7, span.flags.sampled() ? 1 : 0);
    i64(8, static_cast<std::uint64_t>(span.start_unix_nanos / 1000));
    i64(9, static_cast<std::uint64_t>((span.end_unix_nanos - span.start_unix_nanos) / 1000));
    tags(span);
    if (!span.events.empty()) {
      field(Type::list, 11);
      list(Type::structure, span.events.size());
      for (const EventData& event : span.events) log(event);
    }
    end();
  }

  std::string& out_;
  std::string text_;
};

}  // namespace

std::size_t encode_jaeger(std::span<const SpanData> spans, std::string& out) {
  out.clear();
  if (spans.empty()) return 0;
  const Resource& resource = spans.front().scope->resource;
  const auto end = std::find_if(spans.begin(), spans.end(), [&](const SpanData& span) {
    return span.scope != spans.front().scope && span.scope->resource != resource;
  });
  const auto count = static_cast<std::size_t>(end - spans.begin());
  Encoder(out).batch(spans.first(count));
  return count;
}

}  // namespace tyaprover::trace
