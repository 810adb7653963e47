// Spans as a Zipkin v2 JSON list (POST /api/v2/spans).
//
// Pure function, thread-safe. `out` is replaced.
//
//   encode_zipkin(spans, body);   // application/json
#pragma once

#include <span>
#include <string>

#include "tyaprover/trace/span_data.h"

namespace tyaprover::trace {

// Kinds as Zipkin's (internal has none), attributes as tags in text, events as annotations, status
// as the tags otel.status_code and error, the scope as otel.scope.*, resource attributes as tags
// that a span's own attributes of the same key replace.
void encode_zipkin(std::span<const SpanData> spans, std::string& out);

}  // namespace tyaprover::trace
