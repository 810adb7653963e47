// Attributes are those of OpenTelemetry's HTTP conventions (stable, 1.23 and later). Most are set
// at the end, when everything is known; the sampler sees the route and the method at the start.
#include "tyaprover/filters/tracing.h"

#include <array>
#include <charconv>
#include <cstring>

#include "tyaprover/filters/route_settings.h"
#include "tyaprover/http/target.h"
#include "tyaprover/trace/trace_context.h"

namespace tyaprover::filters {
namespace {

using http::KnownField;
using trace::Span;
using trace::SpanKind;
using trace::SpanStatus;
using trace::Text;

// One of the registered methods; empty for any other, which a client may make up at will.
Text method_text(http::Method method) noexcept {
  return {to_string(method), true};
}

// `GET /api/v1/apps`, never the raw path.
class SpanName {
 public:
  SpanName(std::string_view method, std::string_view route) noexcept {
    add(method.empty() ? std::string_view("HTTP") : method);
    if (route.empty() || route == "unmatched") return;
    add(" ");
    add(route);
  }
  [[nodiscard]] std::string_view view() const noexcept { return {text_.data(), size_}; }

 private:
  void add(std::string_view part) noexcept {
    part = part.substr(0, text_.size() - size_);
    std::memcpy(text_.data() + size_, part.data(), part.size());
    size_ += part.size();
  }

  std::array<char, 256> text_;
  std::size_t size_ = 0;
};

bool wants_stable(Semconv semconv) noexcept {
  return semconv != Semconv::seed;
}
bool wants_seed(Semconv semconv) noexcept {
  return semconv != Semconv::stable;
}

void set_if_there(Span& span, Text key, std::string_view value) {
  if (!value.empty()) span.set_attribute(key, value);
}

void set_method(Span& span, const http::RequestHead& request) {
  const Text method = method_text(request.method_id);
  span.set_attribute("http.request.method", method.empty() ? Text("_OTHER") : method);
  if (method.empty()) set_if_there(span, "http.request.method_original", request.method);
}

void set_status_code(Span& span, int status, Semconv semconv) {
  if (wants_stable(semconv)) span.set_attribute("http.response.status_code", status);
  if (wants_seed(semconv)) span.set_attribute("http.status_code", status);
}

// What the request said, for its end.
void describe_request(Span& span, Exchange& e, const HttpTracingOptions& options) {
  const http::RequestHead& request = e.request;
  const std::string_view query = !request.has_query ? std::string_view()
                                 : options.query    ? request.query
                                                    : "***";
  if (wants_stable(options.semconv)) {
    set_method(span, request);
    set_if_there(span, "url.path", request.path);
    span.set_attribute("url.scheme", e.scheme);
    set_if_there(span, "url.query", query);
    if (const auto authority = http::parse_authority(request.authority)) {
      span.set_attribute("server.address", authority->host);
      if (authority->port) span.set_attribute("server.port", int{*authority->port});
    }
    set_if_there(span, "client.address", e.client);
    span.set_attribute("network.peer.address", e.peer.text());
    if (e.peer.port() != 0) span.set_attribute("network.peer.port", int{e.peer.port()});
    span.set_attribute("network.protocol.version",
                       request.minor_version == 0 ? Text("1.0") : Text("1.1"));
    set_if_there(span, "user_agent.original", request.fields.value(KnownField::user_agent));
  }
  if (wants_seed(options.semconv)) {
    span.set_attribute("http.method", request.method);
    const std::string_view target =
        request.has_query ? std::string_view(request.origin_form) : request.path;
    span.set_attribute("http.target", options.query ? target : request.path);
    const std::string_view url =
        e.arena.concat({e.scheme, "://", request.authority, options.query ? target : request.path});
    span.set_attribute("http.url", url);
  }
}

void describe_end(Span& span, const Exchange& e, const HttpTracingOptions& options) {
  const int status = e.logged_status();
  if (status != 0) set_status_code(span, status, options.semconv);
  set_if_there(span, "cache.status", e.cache);
  set_if_there(span, "breaker.state", e.breaker);
  const http::Reason reason = e.logged_reason();
  if (reason != http::Reason::none) {
    span.set_attribute("error.type", Text(to_string(reason), true));
  } else if (status >= 500) {
    span.set_attribute("error.type", std::to_string(status));
  } else if (e.outcome == http::Outcome::truncated) {
    span.set_attribute("error.type", "truncated");
  }
  // A client's faults are no errors of the server (§ "Status" of the conventions).
  if (status >= 500 || e.outcome == http::Outcome::truncated) span.set_status(SpanStatus::error);
}

}  // namespace

Verdict Tracing::on_request(Exchange& e, State&) noexcept {
  if (tracing_ == nullptr || e.untraced || !e.settings->tracing.enabled) return Verdict::proceed;
  const HttpTracingOptions& options = tracing_->options();

  trace::Extractor extractor(options.propagators);
  for (const http::Field& field : e.request.fields) extractor.field(field.name, field.value);
  const trace::Extracted parent = extractor.finish();
  const bool trusted = options.trust == TraceTrust::always ||
                       (options.trust == TraceTrust::trusted_proxies && e.peer_trusted);

  const Text method = method_text(e.request.method_id);
  const SpanName name(method, e.route);
  // An unmatched request has no route: then the key is empty, and such an attribute is not kept.
  const Text route_key = e.route == "unmatched" ? Text() : Text("http.route");
  e.span = tracing_->tracer().start_span(name.view(),
                                         {.parent = trusted ? parent.context : trace::SpanContext(),
                                          .root = !trusted || !parent.context.is_valid(),
                                          .kind = SpanKind::server,
                                          .attributes = {{route_key, e.route}},
                                          .sampled = trusted ? parent.sampled : std::nullopt});
  if (!trusted && parent.context.is_valid()) e.span.add_link(parent.context);

  const trace::SpanContext& context = e.span.context();
  const auto trace_id = context.trace_id().to_hex();
  const auto span_id = context.span_id().to_hex();
  e.trace_id = e.arena.store({trace_id.data(), trace_id.size()});
  e.span_id = e.arena.store({span_id.data(), span_id.size()});
  e.trace_sampled = context.is_sampled();
  return Verdict::proceed;
}

void Tracing::on_response(Exchange& e, State&) noexcept {
  if (!e.span.context().is_valid() || !tracing_->options().response_header) return;
  char text[trace::TraceContext::kSize];
  trace::TraceContext::write(text, e.span.context());
  e.response.fields.set(KnownField::traceparent, e.arena.store({text, sizeof(text)}));
}

void Tracing::on_finish(Exchange& e, State&) noexcept {
  if (e.upstream_span.is_recording()) {
    if (e.outcome == http::Outcome::truncated) {
      e.upstream_span.set_attribute("error.type", "truncated");
      e.upstream_span.set_status(SpanStatus::error);
    }
    e.upstream_span.end();
  }
  if (e.span.is_recording()) {
    describe_request(e.span, e, tracing_->options());
    describe_end(e.span, e, tracing_->options());
    e.span.end();
  }
}

Span start_upstream_span(const HttpTracing& tracing, Exchange& e, const UpstreamTry& to) {
  const Text method = method_text(e.request.method_id);
  trace::SpanOptions span_options{.parent = e.span.context(), .kind = SpanKind::client};
  Span span = tracing.tracer().start_span(method.empty() ? Text("HTTP") : method, span_options);
  if (!span.is_recording()) return span;
  const HttpTracingOptions& options = tracing.options();
  if (wants_stable(options.semconv)) {
    set_method(span, e.request);
    span.set_attribute("server.address", to.host);
    if (to.port != 0) span.set_attribute("server.port", int{to.port});
    if (to.resend > 0) {
      span.set_attribute("http.request.resend_count", static_cast<std::int64_t>(to.resend));
    }
  }
  // The target's address has no credentials: the configuration refuses them.
  char port[8] = {':'};
  char* const port_end =
      to.port == 0 ? port : std::to_chars(port + 1, port + sizeof(port), to.port).ptr;
  const std::string_view url =
      e.arena.concat({"http://", to.port == 0 ? std::string_view("localhost") : to.host,
                      std::string_view(port, static_cast<std::size_t>(port_end - port)),
                      options.query ? std::string_view(e.request.origin_form) : e.request.path});
  if (wants_stable(options.semconv)) span.set_attribute("url.full", url);
  if (wants_seed(options.semconv)) {
    span.set_attribute("http.method", e.request.method);
    span.set_attribute("http.url", url);
  }
  return span;
}

void describe_upstream_answer(const HttpTracing& tracing, Span& span, int status,
                              http::Reason reason) noexcept {
  if (!span.is_recording()) return;
  if (reason != http::Reason::none) {
    span.set_attribute("error.type", Text(to_string(reason), true));
    span.set_status(SpanStatus::error);
    return;
  }
  set_status_code(span, status, tracing.options().semconv);
  if (status >= 400) {
    span.set_attribute("error.type", std::to_string(status));
    span.set_status(SpanStatus::error);
  }
}

}  // namespace tyaprover::filters
