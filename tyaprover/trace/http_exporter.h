// HttpSpanExporter: posts spans to a collector over a transport that the program gives.
//
// Used by one processor at a time. The trace core opens no sockets: an HttpTransport does. A
// program sets one for all exporters (set_default_http_transport), or gives each its own.
//
//   set_default_http_transport({.transport = client});
//   provider.set_exporter(HttpSpanExporter{"http://jaeger:14268/api/traces"});
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tyaprover/trace/endpoint.h"
#include "tyaprover/trace/exporter.h"

namespace tyaprover::trace {

using HttpHeaders = std::vector<std::pair<std::string, std::string>>;

struct HttpPost {
  std::string_view url;
  const HttpHeaders& headers;  // Content-Type, Content-Encoding, User-Agent and the configured ones
  std::string_view body;
};

struct HttpReply {
  int status = 0;                 // 0 = there is no answer, see error
  std::string retry_after = {};   // the field's value, or what the transport itself asks for
  std::string content_type = {};  // the field's value, or empty
  std::string body = {};          // at most HttpTransport::kMaxReplyBody bytes
  std::string error = {};         // why there is no answer
};

// REQUIRES of an implementation: keep connections alive, do not follow redirects, do not retry,
// read at most kMaxReplyBody bytes of a reply. Used from one exporter's thread at a time per
// exporter, so one that several exporters share must be thread-safe; and it must work in the child
// of a fork.
class HttpTransport {
 public:
  static constexpr std::size_t kMaxReplyBody = 4 << 20;
  virtual ~HttpTransport() = default;
  // Blocks until there is an answer or the steady clock shows `deadline`.
  [[nodiscard]] virtual HttpReply post(const HttpPost& request, TimePoint deadline) = 0;
  // From any thread: makes a running post() return soon, and later ones at once.
  virtual void cancel() noexcept {}
};
using HttpTransportPtr = std::shared_ptr<HttpTransport>;

// Replaces `out` with a gzip stream of `in`; false = it cannot.
using GzipFunction = std::function<bool(std::string_view in, std::string& out)>;

struct HttpExporterOptions {
  HttpTransportPtr transport = nullptr;   // null = the default one
  GzipFunction gzip = nullptr;            // null = the default one; without any, no compression
  bool compress = true;                   // bodies over 1 KiB, if there is a gzip function
  std::optional<WireFormat> format = {};  // nothing = detected from the URL, see endpoint.h
  HttpHeaders headers = {};               // added to every request
};

// What exporters without a transport of their own use. Thread-safe; call it before making them.
struct DefaultHttpTransport {
  HttpTransportPtr transport;
  GzipFunction gzip = nullptr;
};
void set_default_http_transport(DefaultHttpTransport transport);

class HttpSpanExporter final : public SpanExporter {
 public:
  // Throws std::invalid_argument when the URL is not one that spans can be posted to, or when there
  // is no transport.
  explicit HttpSpanExporter(std::string_view url, HttpExporterOptions options = {});

  // The endpoint as it was understood.
  [[nodiscard]] const Endpoint& endpoint() const noexcept { return endpoint_; }

  // 2xx: delivered, less what a partial success rejects. 429, 502, 503, 504 and no answer: try
  // again, after what Retry-After asks for. Everything else, redirects included, is a refusal.
  [[nodiscard]] ExportResult export_spans(std::span<const SpanData> spans,
                                          TimePoint deadline) override;
  void cancel() noexcept override { options_.transport->cancel(); }
  [[nodiscard]] SpanExporterPtr after_fork() const override;

 private:
  [[nodiscard]] ExportResult post(TimePoint deadline);
  [[nodiscard]] ExportResult judge(const HttpReply& reply) const;

  Endpoint endpoint_;
  HttpExporterOptions options_;
  HttpHeaders plain_headers_;
  HttpHeaders gzip_headers_;
  std::string body_;
  std::string compressed_;
};

// The spec's shorthands: an exporter of OTLP in protobuf, Zipkin or Jaeger, whatever the URL looks
// like.
[[nodiscard]] SpanExporterPtr otlp_http(std::string_view url, HttpExporterOptions options = {});
[[nodiscard]] SpanExporterPtr zipkin_http(std::string_view url, HttpExporterOptions options = {});
[[nodiscard]] SpanExporterPtr jaeger_http(std::string_view url, HttpExporterOptions options = {});

// The wait that a Retry-After value asks for (RFC 9110 §10.2.3): seconds, or an HTTP date in the
// preferred form, which is compared with `now`. At most a day; nullopt for anything else.
[[nodiscard]] std::optional<Nanos> parse_retry_after(
    std::string_view value, std::chrono::system_clock::time_point now) noexcept;

}  // namespace tyaprover::trace
