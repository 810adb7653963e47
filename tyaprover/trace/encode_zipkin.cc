#include "tyaprover/trace/encode_zipkin.h"

#include <algorithm>

#include "tyaprover/base/json_writer.h"
#include "tyaprover/trace/span_groups.h"
#include "tyaprover/trace/value_text.h"

namespace tyaprover::trace {
namespace {

constexpr std::string_view kind_name(SpanKind kind) noexcept {
  switch (kind) {
    case SpanKind::internal:
      return {};
    case SpanKind::server:
      return "SERVER";
    case SpanKind::client:
      return "CLIENT";
    case SpanKind::producer:
      return "PRODUCER";
    case SpanKind::consumer:
      return "CONSUMER";
  }
  return {};
}

// Tags that are written below. The status alone decides whether there is a tag `error`, because its
// presence means failure, whatever its value.
bool is_ours(std::string_view key) noexcept {
  return key == "error" || key.starts_with("otel.status_") || key.starts_with("otel.scope.");
}

void write_tags(JsonWriter& json, const SpanData& span, std::string& text) {
  json.key("tags").begin_object();
  for (const AttributeData& attribute : span.attributes) {
    if (is_ours(attribute.key())) continue;
    text.clear();
    detail::append_value_text(text, attribute.value());
    json.key(attribute.key()).string(text);
  }
  for (const auto& [key, value] : span.scope->resource) {
    if (key != "service.name" && span.find(key) == nullptr) json.key(key).string(value);
  }
  json.key("otel.scope.name").string(span.scope->name);
  if (!span.scope->version.empty()) json.key("otel.scope.version").string(span.scope->version);
  if (span.status == SpanStatus::ok) json.key("otel.status_code").string("OK");
  if (span.status == SpanStatus::error) {
    json.key("otel.status_code").string("ERROR");
    json.key("error").string(span.status_description.empty() ? std::string_view("true")
                                                             : span.status_description.view());
  }
  json.end_object();
}

// An annotation has a time and a text only: the event's name, and its attributes as JSON.
void write_annotations(JsonWriter& json, const SpanData& span, std::string& text) {
  if (span.events.empty()) return;
  json.key("annotations").begin_array();
  for (const EventData& event : span.events) {
    text = event.name.view();
    if (!event.attributes.empty()) {
      text += ": ";
      JsonWriter attributes(text);
      attributes.begin_object();
      for (const AttributeData& each : event.attributes) {
        attributes.key(each.key());
        detail::write_json_value(attributes, each.value());
      }
      attributes.end_object();
    }
    json.begin_object().key("timestamp").integer(event.unix_nanos / 1000);
    json.key("value").string(text).end_object();
  }
  json.end_array();
}

}  // namespace

void encode_zipkin(std::span<const SpanData> spans, std::string& out) {
  out.clear();
  std::string text;
  JsonWriter json(out);
  json.begin_array();
  for (const SpanData& span : spans) {
    const auto trace_id = span.trace_id.to_hex();
    const auto id = span.span_id.to_hex();
    json.begin_object().key("traceId").string({trace_id.data(), trace_id.size()});
    json.key("id").string({id.data(), id.size()});
    if (span.parent_span_id.is_valid()) {
      const auto parent = span.parent_span_id.to_hex();
      json.key("parentId").string({parent.data(), parent.size()});
    }
    json.key("name").string(span.name);
    if (const std::string_view kind = kind_name(span.kind); !kind.empty()) {
      json.key("kind").string(kind);
    }
    // Zero would mean "unknown" to Zipkin.
    json.key("timestamp").integer(std::max<std::int64_t>(1, span.start_unix_nanos / 1000));
    json.key("duration")
        .integer(std::max<std::int64_t>(1, (span.end_unix_nanos - span.start_unix_nanos) / 1000));
    json.key("localEndpoint").begin_object();
    json.key("serviceName").string(detail::service_name(span.scope->resource)).end_object();
    write_annotations(json, span, text);
    write_tags(json, span, text);
    json.end_object();
  }
  json.end_array();
}

}  // namespace tyaprover::trace
