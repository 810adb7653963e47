// Spans as Jaeger's Thrift struct Batch in TBinaryProtocol (POST /api/traces on port 14268).
//
// Pure functions, thread-safe. `out` is replaced. Invalid UTF-8 becomes U+FFFD.
//
//   for (rest = spans; !rest.empty();) {
//     rest = rest.subspan(encode_jaeger(rest, body));   // application/vnd.apache.thrift.binary
//     post(body);
//   }
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "tyaprover/trace/span_data.h"

namespace tyaprover::trace {

// A Batch speaks for one process, so this encodes the spans at the front that share the first one's
// resource and returns how many these are: all of them, unless several providers share an exporter.
// Mapping (OpenTelemetry's "to Jaeger"): kind, status and scope as the tags span.kind,
// otel.status_*, error and otel.scope.*, arrays as JSON text, events as logs with the field
// `event`, links as references of type FOLLOWS_FROM, the resource as the process' tags.
std::size_t encode_jaeger(std::span<const SpanData> spans, std::string& out);

}  // namespace tyaprover::trace
