// Endpoint: where spans go and in what form, worked out from a URL.
//
// Pure functions, thread-safe.
//
//   Result<Endpoint, std::string> endpoint = detect_endpoint("http://jaeger:14268/api/traces");
//   if (!endpoint) complain(endpoint.error());
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "tyaprover/base/result.h"

namespace tyaprover::trace {

enum class WireFormat : std::uint8_t { otlp_protobuf, otlp_json, zipkin, jaeger_thrift };
// As TRACE_EXPORTER_PROTOCOL writes it: "otlp-proto", "otlp-json", "zipkin", "jaeger-thrift".
[[nodiscard]] std::string_view to_string(WireFormat format) noexcept;

struct Endpoint {
  std::string url;
  WireFormat format = WireFormat::otlp_protobuf;
  bool operator==(const Endpoint&) const = default;
};

// By the path: …/api/traces is Jaeger, …/api/v2/spans Zipkin, …/v1/traces OTLP. Without a path by
// the port: 14268 is Jaeger, 9411 Zipkin, anything else OTLP; the usual path is then appended. Any
// other path is OTLP at exactly that URL. `otlp` is what OTLP is spoken in. The error completes
// "this endpoint …".
[[nodiscard]] Result<Endpoint, std::string> detect_endpoint(
    std::string_view url, WireFormat otlp = WireFormat::otlp_protobuf);

// The same URL, completed as above, in a format that is known.
[[nodiscard]] Result<Endpoint, std::string> endpoint_for(std::string_view url, WireFormat format);

}  // namespace tyaprover::trace
