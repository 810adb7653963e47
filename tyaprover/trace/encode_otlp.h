// Spans as OTLP 1.x requests (ExportTraceServiceRequest), in protobuf or JSON, and what comes back.
//
// Pure functions, thread-safe. `out` is replaced; a reused string makes them free of allocation
// once it is large enough. Invalid UTF-8 becomes U+FFFD.
//
//   encode_otlp_protobuf(spans, body);   // application/x-protobuf
//   encode_otlp_json(spans, body);        // application/json
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "tyaprover/trace/span_data.h"

namespace tyaprover::trace {

void encode_otlp_protobuf(std::span<const SpanData> spans, std::string& out);
// The OTLP dialect of proto3's JSON: ids in hex, enums as numbers, 64-bit integers as strings.
void encode_otlp_json(std::span<const SpanData> spans, std::string& out);

// partial_success of an ExportTraceServiceResponse.
struct PartialSuccess {
  std::uint64_t rejected_spans = 0;
  std::string message;
};
// An empty body says that all went well. nullopt = not such a response.
[[nodiscard]] std::optional<PartialSuccess> decode_otlp_response_protobuf(std::string_view body);
// Looks for `rejectedSpans` and `errorMessage` without reading the rest: for counting, not for
// trust.
[[nodiscard]] PartialSuccess scan_otlp_response_json(std::string_view body);

}  // namespace tyaprover::trace
