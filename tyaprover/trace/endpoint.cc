#include "tyaprover/trace/endpoint.h"

#include <algorithm>
#include <charconv>

#include "tyaprover/base/text.h"

namespace tyaprover::trace {
namespace {

constexpr std::uint16_t kJaegerPort = 14268;
constexpr std::uint16_t kZipkinPort = 9411;
constexpr std::uint16_t kOtlpGrpcPort = 4317;

constexpr std::string_view usual_path(WireFormat format) noexcept {
  switch (format) {
    case WireFormat::otlp_protobuf:
    case WireFormat::otlp_json:
      return "/v1/traces";
    case WireFormat::zipkin:
      return "/api/v2/spans";
    case WireFormat::jaeger_thrift:
      return "/api/traces";
  }
  return {};
}

struct Url {
  std::uint16_t port = 0;  // 0 = not given
  std::string_view path;   // without query; empty for none and for "/"
  std::size_t path_begin = 0;
};

Result<Url, std::string> read_url(std::string_view url) {
  const auto is_visible = [](char c) { return c > ' ' && c < 0x7f; };
  if (!std::all_of(url.begin(), url.end(), is_visible)) {
    return err(std::string("holds blanks or characters beyond ASCII"));
  }
  const std::size_t scheme_end = url.find("://");
  const std::string_view scheme = url.substr(0, scheme_end);
  if (scheme_end == std::string_view::npos ||
      !(iequals(scheme, "http") || iequals(scheme, "https"))) {
    return err(std::string("must begin with http:// or https://"));
  }
  if (url.find('#') != std::string_view::npos) return err(std::string("must not have a fragment"));
  const std::size_t begin = scheme_end + 3;
  const std::size_t end = std::min(url.find_first_of("/?", begin), url.size());
  std::string_view authority = url.substr(begin, end - begin);
  if (const std::size_t at = authority.rfind('@'); at != std::string_view::npos) {
    authority.remove_prefix(at + 1);
  }
  Url parts{.path_begin = end};
  const std::size_t colon = authority.rfind(':');
  if (colon != std::string_view::npos && authority.find(']', colon) == std::string_view::npos) {
    const std::string_view digits = authority.substr(colon + 1);
    const char* const last = digits.data() + digits.size();
    const auto [stop, error] = std::from_chars(digits.data(), last, parts.port);
    if (error != std::errc() || stop != last || parts.port == 0) {
      return err(std::string("has no valid port"));
    }
    authority = authority.substr(0, colon);
  }
  if (authority.empty()) return err(std::string("has no host"));
  parts.path = url.substr(end, url.find('?', end) - end);
  if (parts.path == "/") parts.path = {};
  return parts;
}

// The URL with the usual path, if it has none.
std::string completed(std::string_view url, const Url& parts, WireFormat format) {
  if (!parts.path.empty()) return std::string(url);
  std::string_view query = url.substr(parts.path_begin);
  if (query.starts_with('/')) query.remove_prefix(1);
  return std::string(url.substr(0, parts.path_begin)).append(usual_path(format)).append(query);
}

}  // namespace

std::string_view to_string(WireFormat format) noexcept {
  switch (format) {
    case WireFormat::otlp_protobuf:
      return "otlp-proto";
    case WireFormat::otlp_json:
      return "otlp-json";
    case WireFormat::zipkin:
      return "zipkin";
    case WireFormat::jaeger_thrift:
      return "jaeger-thrift";
  }
  return "";
}

Result<Endpoint, std::string> detect_endpoint(std::string_view url, WireFormat otlp) {
  const auto parts = read_url(url);
  if (!parts) return err(parts.error());
  std::string_view path = parts->path;
  while (path.ends_with('/')) path.remove_suffix(1);
  WireFormat format = otlp;
  if (path.ends_with("/api/traces")) {
    format = WireFormat::jaeger_thrift;
  } else if (path.ends_with("/api/v2/spans")) {
    format = WireFormat::zipkin;
  } else if (path.ends_with("/api/v1/spans")) {
    return err(std::string("speaks Zipkin v1, which is not supported; use /api/v2/spans"));
  } else if (path.empty()) {
    if (parts->port == kOtlpGrpcPort) {
      return err(
          std::string("is the port of OTLP over gRPC, which is not supported; use OTLP over "
                      "HTTP on port 4318"));
    }
    if (parts->port == kJaegerPort) format = WireFormat::jaeger_thrift;
    if (parts->port == kZipkinPort) format = WireFormat::zipkin;
  }
  return Endpoint{completed(url, *parts, format), format};
}

Result<Endpoint, std::string> endpoint_for(std::string_view url, WireFormat format) {
  const auto parts = read_url(url);
  if (!parts) return err(parts.error());
  return Endpoint{completed(url, *parts, format), format};
}

}  // namespace tyaprover::trace
