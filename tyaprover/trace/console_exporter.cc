#include "tyaprover/trace/console_exporter.h"

#include <chrono>
#include <cstdio>
#include <utility>

#include "tyaprover/base/json_writer.h"
#include "tyaprover/base/time_format.h"
#include "tyaprover/trace/value_text.h"

namespace tyaprover::trace {
namespace {

void write_attributes(JsonWriter& json, std::span<const AttributeData> attributes) {
  json.key("attributes").begin_object();
  for (const AttributeData& each : attributes) {
    json.key(each.key());
    detail::write_json_value(json, each.value());
  }
  json.end_object();
}

void write_time(JsonWriter& json, std::int64_t unix_nanos) {
  char text[kRfc3339Size];
  const std::chrono::nanoseconds since_epoch(unix_nanos);
  write_rfc3339(text, std::chrono::system_clock::time_point(since_epoch));
  json.string({text, sizeof(text)});
}

template <std::size_t N>
void write_id(JsonWriter& json, std::string_view name, const std::array<char, N>& hex) {
  json.key(name).string({hex.data(), N});
}

void write_dropped(JsonWriter& json, std::string_view name, std::uint32_t count) {
  if (count != 0) json.key(name).integer(count);
}

void write_events(JsonWriter& json, const SpanData& span) {
  if (span.events.empty()) return;
  json.key("events").begin_array();
  for (const EventData& event : span.events) {
    json.begin_object().key("name").string(event.name).key("time");
    write_time(json, event.unix_nanos);
    json.key("unix_nanos").integer(event.unix_nanos);
    write_attributes(json, event.attributes);
    write_dropped(json, "dropped_attributes", event.dropped_attributes);
    json.end_object();
  }
  json.end_array();
}

void write_links(JsonWriter& json, const SpanData& span) {
  if (span.links.empty()) return;
  json.key("links").begin_array();
  for (const LinkData& link : span.links) {
    json.begin_object();
    write_id(json, "trace_id", link.trace_id.to_hex());
    write_id(json, "span_id", link.span_id.to_hex());
    write_attributes(json, link.attributes);
    write_dropped(json, "dropped_attributes", link.dropped_attributes);
    json.end_object();
  }
  json.end_array();
}

}  // namespace

void append_console_json(std::string& out, const SpanData& span) {
  JsonWriter json(out);
  json.begin_object().key("name").string(span.name);
  write_id(json, "trace_id", span.trace_id.to_hex());
  write_id(json, "span_id", span.span_id.to_hex());
  if (span.parent_span_id.is_valid()) {
    write_id(json, "parent_span_id", span.parent_span_id.to_hex());
  }
  json.key("kind").string(to_string(span.kind)).key("start");
  write_time(json, span.start_unix_nanos);
  json.key("start_unix_nanos").integer(span.start_unix_nanos);
  json.key("duration_nanos").integer(span.end_unix_nanos - span.start_unix_nanos);
  json.key("status").string(to_string(span.status));
  if (!span.status_description.empty()) {
    json.key("status_description").string(span.status_description);
  }
  if (!span.trace_state.empty()) json.key("trace_state").string(span.trace_state);
  write_attributes(json, span.attributes);
  write_events(json, span);
  write_links(json, span);
  write_dropped(json, "dropped_attributes", span.dropped_attributes);
  write_dropped(json, "dropped_events", span.dropped_events);
  write_dropped(json, "dropped_links", span.dropped_links);
  json.key("scope").string(span.scope->name).key("resource").begin_object();
  for (const auto& [key, value] : span.scope->resource) json.key(key).string(value);
  json.end_object().end_object();
}

ConsoleSpanExporter::ConsoleSpanExporter(std::function<void(std::string_view)> sink)
    : sink_(std::move(sink)) {}

ExportResult ConsoleSpanExporter::export_spans(std::span<const SpanData> spans,
                                               TimePoint /*deadline*/) {
  lines_.clear();
  for (const SpanData& span : spans) {
    append_console_json(lines_, span);
    lines_ += '\n';
  }
  if (sink_) {
    sink_(lines_);
    return {};
  }
  const bool written = std::fwrite(lines_.data(), 1, lines_.size(), stdout) == lines_.size();
  if (!written || std::fflush(stdout) != 0) {
    return {.outcome = ExportOutcome::refused, .message = "cannot write to the standard output"};
  }
  return {};
}

}  // namespace tyaprover::trace
