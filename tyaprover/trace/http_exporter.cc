#include "tyaprover/trace/http_exporter.h"

#include <algorithm>
#include <array>
#include <mutex>
#include <stdexcept>

#include "tyaprover/base/parse.h"
#include "tyaprover/base/text.h"
#include "tyaprover/trace/encode_jaeger.h"
#include "tyaprover/trace/encode_otlp.h"
#include "tyaprover/trace/encode_zipkin.h"

namespace tyaprover::trace {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kCompressAbove = 1024;
constexpr std::size_t kMaxBody = 64 << 20;

struct Defaults {
  std::mutex mutex;
  DefaultHttpTransport value;
};
Defaults& defaults() {
  static Defaults& instance = *new Defaults;
  return instance;
}

std::string_view content_type(WireFormat format) noexcept {
  switch (format) {
    case WireFormat::otlp_protobuf:
      return "application/x-protobuf";
    case WireFormat::otlp_json:
    case WireFormat::zipkin:
      return "application/json";
    case WireFormat::jaeger_thrift:
      return "application/vnd.apache.thrift.binary";
  }
  return {};
}

SpanExporterPtr exporter_of(std::string_view url, HttpExporterOptions options, WireFormat format) {
  options.format = format;
  return std::make_shared<HttpSpanExporter>(url, std::move(options));
}

// Digits at `at`, exactly `count` of them; -1 for anything else.
int digits(std::string_view text, std::size_t at, std::size_t count) noexcept {
  int value = 0;
  for (const char c : text.substr(at, count)) {
    if (c < '0' || c > '9') return -1;
    value = value * 10 + (c - '0');
  }
  return value;
}

// IMF-fixdate, RFC 9110 §5.6.7: "Sun, 06 Nov 1994 08:49:37 GMT".
std::optional<std::chrono::sys_seconds> parse_imf_fixdate(std::string_view text) noexcept {
  constexpr std::string_view kShape = "aaa, 00 aaa 0000 00:00:00 GMT";
  constexpr std::string_view kMonths = "JanFebMarAprMayJunJulAugSepOctNovDec";
  if (text.size() != kShape.size()) return std::nullopt;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const bool fits = kShape[i] == '0'   ? c >= '0' && c <= '9'
                      : kShape[i] == 'a' ? to_lower(c) >= 'a' && to_lower(c) <= 'z'
                                         : c == kShape[i];
    if (!fits) return std::nullopt;
  }
  const std::size_t month = kMonths.find(text.substr(8, 3));
  if (month == std::string_view::npos || month % 3 != 0) return std::nullopt;
  const std::chrono::year_month_day day(
      std::chrono::year(digits(text, 12, 4)),
      std::chrono::month(static_cast<unsigned>(month / 3 + 1)),
      std::chrono::day(static_cast<unsigned>(digits(text, 5, 2))));
  const int hours = digits(text, 17, 2);
  const int minutes = digits(text, 20, 2);
  const int seconds = digits(text, 23, 2);
  if (!day.ok() || hours > 23 || minutes > 59 || seconds > 60) return std::nullopt;
  return std::chrono::sys_days(day) + std::chrono::hours(hours) + std::chrono::minutes(minutes) +
         std::chrono::seconds(seconds);
}

}  // namespace

void set_default_http_transport(DefaultHttpTransport transport) {
  Defaults& all = defaults();
  const std::lock_guard lock(all.mutex);
  all.value = std::move(transport);
}

HttpSpanExporter::HttpSpanExporter(std::string_view url, HttpExporterOptions options)
    : options_(std::move(options)) {
  const auto endpoint =
      options_.format ? endpoint_for(url, *options_.format) : detect_endpoint(url);
  if (!endpoint) {
    throw std::invalid_argument("the endpoint " + std::string(url) + " " + endpoint.error());
  }
  endpoint_ = *endpoint;
  {
    Defaults& all = defaults();
    const std::lock_guard lock(all.mutex);
    if (options_.transport == nullptr) options_.transport = all.value.transport;
    if (options_.gzip == nullptr) options_.gzip = all.value.gzip;
  }
  if (options_.transport == nullptr) {
    throw std::invalid_argument("an HttpSpanExporter needs an HttpTransport");
  }
  plain_headers_ = {{"Content-Type", std::string(content_type(endpoint_.format))},
                    {"User-Agent", "tyaprover/" TYAPROVER_VERSION}};
  plain_headers_.insert(plain_headers_.end(), options_.headers.begin(), options_.headers.end());
  gzip_headers_ = plain_headers_;
  gzip_headers_.emplace_back("Content-Encoding", "gzip");
}

ExportResult HttpSpanExporter::export_spans(std::span<const SpanData> spans, TimePoint deadline) {
  switch (endpoint_.format) {
    case WireFormat::otlp_protobuf:
      encode_otlp_protobuf(spans, body_);
      return post(deadline);
    case WireFormat::otlp_json:
      encode_otlp_json(spans, body_);
      return post(deadline);
    case WireFormat::zipkin:
      encode_zipkin(spans, body_);
      return post(deadline);
    case WireFormat::jaeger_thrift:
      break;
  }
  // A request per resource. When a later one fails the earlier ones are sent again, which Jaeger
  // takes for the same spans.
  ExportResult result;
  while (!spans.empty() && result.outcome == ExportOutcome::delivered) {
    spans = spans.subspan(encode_jaeger(spans, body_));
    result = post(deadline);
  }
  return result;
}

ExportResult HttpSpanExporter::post(TimePoint deadline) {
  if (body_.size() > kMaxBody) {
    return {.outcome = ExportOutcome::refused, .message = "a request would be over 64 MiB"};
  }
  const bool compressed = options_.compress && options_.gzip && body_.size() > kCompressAbove &&
                          options_.gzip(body_, compressed_);
  return judge(options_.transport->post({.url = endpoint_.url,
                                         .headers = compressed ? gzip_headers_ : plain_headers_,
                                         .body = compressed ? compressed_ : body_},
                                        deadline));
}

ExportResult HttpSpanExporter::judge(const HttpReply& reply) const {
  const auto wanted = [&] {
    return parse_retry_after(reply.retry_after, std::chrono::system_clock::now());
  };
  if (reply.status == 0) {
    return {.outcome = ExportOutcome::try_again, .retry_after = wanted(), .message = reply.error};
  }
  if (reply.status >= 200 && reply.status <= 299) {
    PartialSuccess partial;
    if (endpoint_.format == WireFormat::otlp_json) {
      partial = scan_otlp_response_json(reply.body);
    } else if (endpoint_.format == WireFormat::otlp_protobuf) {
      partial = decode_otlp_response_protobuf(reply.body).value_or(PartialSuccess());
    }
    return {.rejected = partial.rejected_spans, .message = std::move(partial.message)};
  }
  ExportResult result{.outcome = ExportOutcome::refused,
                      .message = "the collector answered " + std::to_string(reply.status)};
  constexpr std::array kTryAgain = {429, 502, 503, 504};
  if (std::find(kTryAgain.begin(), kTryAgain.end(), reply.status) != kTryAgain.end()) {
    result.outcome = ExportOutcome::try_again;
    result.retry_after = wanted();
  }
  return result;
}

SpanExporterPtr HttpSpanExporter::after_fork() const {
  HttpExporterOptions options = options_;
  options.format = endpoint_.format;
  return std::make_shared<HttpSpanExporter>(endpoint_.url, std::move(options));
}

SpanExporterPtr otlp_http(std::string_view url, HttpExporterOptions options) {
  return exporter_of(url, std::move(options), WireFormat::otlp_protobuf);
}
SpanExporterPtr zipkin_http(std::string_view url, HttpExporterOptions options) {
  return exporter_of(url, std::move(options), WireFormat::zipkin);
}
SpanExporterPtr jaeger_http(std::string_view url, HttpExporterOptions options) {
  return exporter_of(url, std::move(options), WireFormat::jaeger_thrift);
}

std::optional<Nanos> parse_retry_after(std::string_view value,
                                       std::chrono::system_clock::time_point now) noexcept {
  constexpr std::chrono::seconds kLongest = 24h;
  value = trim(value);
  if (const auto seconds = parse_u64(value)) {
    return std::min(std::chrono::seconds(std::min<std::uint64_t>(*seconds, 1u << 30)), kLongest);
  }
  const auto date = parse_imf_fixdate(value);
  if (!date) return std::nullopt;
  // In seconds: nanoseconds end in 2262.
  const auto wait = *date - std::chrono::floor<std::chrono::seconds>(now);
  return std::clamp<std::chrono::seconds>(wait, 0s, kLongest);
}

}  // namespace tyaprover::trace
