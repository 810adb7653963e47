#include "tyaprover/trace/tracer.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <stdexcept>

#include "tyaprover/trace/batch_processor.h"
#include "tyaprover/trace/provider_core.h"
#include "tyaprover/trace/recording.h"
#include "tyaprover/trace/shared_trace.h"

namespace tyaprover::trace {
namespace {

using namespace std::chrono_literals;

constexpr Nanos kPatience = 1s;  // for processors that are replaced or forgotten

// RFC 9110 §9 and RFC 5789: the methods that the conventions know.
bool is_known_method(std::string_view method) noexcept {
  constexpr std::array<std::string_view, 9> kMethods = {
      "GET", "POST", "PUT", "DELETE", "HEAD", "PATCH", "OPTIONS", "CONNECT", "TRACE"};
  return std::find(kMethods.begin(), kMethods.end(), method) != kMethods.end();
}

struct UrlParts {
  std::string without_credentials;
  std::string_view host;
  std::int64_t port = 0;  // 0 = none that is known
};

// RFC 3986 §3.2, as far as a span needs it: what cannot be read is left out, nothing is refused.
UrlParts read_url(std::string_view url) {
  UrlParts parts{.without_credentials = std::string(url)};
  const std::size_t scheme_end = url.find("://");
  if (scheme_end == std::string_view::npos) return parts;
  const std::string_view scheme = url.substr(0, scheme_end);
  const std::size_t begin = scheme_end + 3;
  std::string_view authority = url.substr(begin, url.find_first_of("/?#", begin) - begin);
  if (const std::size_t at = authority.rfind('@'); at != std::string_view::npos) {
    parts.without_credentials.erase(begin, at + 1);
    authority.remove_prefix(at + 1);
  }
  const std::size_t bracket = authority.rfind(']');
  const std::size_t colon = authority.rfind(':');
  std::string_view port;
  parts.host = authority;
  if (colon != std::string_view::npos && (bracket == std::string_view::npos || colon > bracket)) {
    parts.host = authority.substr(0, colon);
    port = authority.substr(colon + 1);
  }
  if (parts.host.starts_with('[') && parts.host.ends_with(']')) {
    parts.host = parts.host.substr(1, parts.host.size() - 2);
  }
  if (port.empty()) {
    parts.port = scheme == "https" ? 443 : scheme == "http" ? 80 : 0;
  } else {
    std::uint16_t number = 0;
    const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), number);
    if (error == std::errc() && end == port.data() + port.size()) parts.port = number;
  }
  return parts;
}

}  // namespace

Span Tracer::start_span(Text name, const SpanOptions& options) const {
  const SpanContext& parent = options.root                ? detail::kNoContext.span_context()
                              : options.parent.is_valid() ? options.parent
                                                          : current_context().span_context();
  const bool has_parent = parent.is_valid();
  TraceId trace_id = parent.trace_id();
  SpanId span_id;
  if (has_parent) {
    span_id = make_span_id();
  } else {
    make_ids(trace_id, span_id);
  }
  detail::SharedTrace* const shared = parent.shared_.get();
  const bool joins_tail = shared != nullptr && shared->has_tail();

  SamplingDecision decision;
  if (!joins_tail) {
    if (options.sampled && !has_parent) {
      decision.sampled = *options.sampled;
    } else if (core_->root_threshold && !has_parent) {
      decision.sampled = trace_id.random_bits() >= *core_->root_threshold;
    } else {
      decision = core_->sampler->sample(
          {.parent = parent,
           .trace_id = trace_id,
           .name = name,
           .kind = options.kind,
           .attributes = {options.attributes.begin(), options.attributes.size()}});
    }
  }
  detail::ProviderCore::Local* const local = core_->locals.local();
  if (local != nullptr) local->count(decision.sampled);

  TraceFlags flags;
  if (decision.sampled) flags.bits |= TraceFlags::kSampled;
  if (!has_parent || parent.flags().random()) flags.bits |= TraceFlags::kRandom;
  const bool opens_tail = !decision.sampled && decision.tail != nullptr;
  SpanContext context(
      trace_id, span_id, flags,
      opens_tail ? detail::SharedTrace::make(parent.trace_state(), decision.tail) : parent.shared_);
  if (!decision.sampled && !joins_tail && !opens_tail) return {std::move(context), nullptr};

  detail::Recording* const recording = start_recording(context, parent, name, options);
  recording->for_tail = joins_tail || opens_tail;
  recording->is_local_root = opens_tail;
  return {std::move(context), recording};
}

detail::Recording* Tracer::start_recording(const SpanContext& context, const SpanContext& parent,
                                           Text name, const SpanOptions& options) const {
  detail::Recording& recording = *detail::Recording::acquire();
  recording.provider = core_;
  recording.plain_attributes = core_->plain_attributes;
  recording.start = core_->clock.now();
  SpanData& data = recording.data;
  data.trace_id = context.trace_id();
  data.span_id = context.span_id();
  data.parent_span_id = parent.span_id();
  data.parent_is_remote = parent.is_remote();
  data.flags = context.flags();
  data.kind = options.kind;
  data.scope = scope_;
  data.name = recording.keep(name);
  if (options.start_time) {
    data.start_unix_nanos =
        std::chrono::duration_cast<Nanos>(options.start_time->time_since_epoch()).count();
  } else {
    detail::ProviderCore::Local* const local = core_->locals.local();
    data.start_unix_nanos = local != nullptr ? local->unix_nanos(recording.start)
                                             : detail::ProviderCore::unix_nanos_now();
  }
  for (const Attribute& attribute : options.attributes) {
    recording.set_attribute(attribute.key, attribute.value);
  }
  for (const Link& link : options.links) {
    recording.add_link(link.context, {link.attributes.begin(), link.attributes.size()});
  }
  return &recording;
}

Span Tracer::start_http_client_span(std::string_view method, std::string_view url,
                                    const SpanOptions& options) const {
  const bool known = is_known_method(method);
  SpanOptions with_kind = options;
  with_kind.kind = SpanKind::client;
  Span span = start_span(known ? Text(method, false) : Text("HTTP"), with_kind);
  if (!span.is_recording()) return span;
  const UrlParts parts = read_url(url);
  if (known) {
    span.set_attribute("http.request.method", method);
  } else {
    span.set_attribute("http.request.method", "_OTHER");
    span.set_attribute("http.request.method_original", method);
  }
  span.set_attribute("url.full", parts.without_credentials);
  if (!parts.host.empty()) span.set_attribute("server.address", parts.host);
  if (parts.port != 0) span.set_attribute("server.port", parts.port);
  // The sampler has seen them already; again, so that they win.
  for (const Attribute& attribute : options.attributes) {
    span.set_attribute(attribute.key, attribute.value);
  }
  return span;
}

Span Tracer::start_traced(std::string_view name, const TracedOptions& options) const {
  Span span = start_span(name, {.parent = options.parent, .kind = options.kind});
  for (const auto& [key, value] : options.attributes) span.set_attribute(key, value);
  return span;
}

TracerProvider::TracerProvider(TracerProviderOptions options)
    : resource_(std::move(options.resource)) {
  if (options.sampler == nullptr) throw std::invalid_argument("a provider needs a sampler");
  resource_.emplace_back("telemetry.sdk.name", "tyaprover");
  resource_.emplace_back("telemetry.sdk.language", "cpp");
  resource_.emplace_back("telemetry.sdk.version", TYAPROVER_VERSION);
  core_ = std::make_unique<detail::ProviderCore>(std::move(options.sampler), options.limits,
                                                 *options.clock);
  if (options.processor != nullptr) set_processor(std::move(options.processor));
}

TracerProvider::~TracerProvider() {
  shutdown(kPatience);
}

TracerProvider& TracerProvider::instance() {
  static TracerProvider& provider =
      *new TracerProvider({.resource = {{"service.name", "tyaprover"}}});
  return provider;
}

Tracer TracerProvider::tracer(std::string_view name, std::string_view version) {
  return {*core_, intern({std::string(name), std::string(version), resource_})};
}

void TracerProvider::set_processor(SpanProcessorPtr processor) {
  const SpanProcessorPtr old = this->processor();
  {
    const std::lock_guard lock(mutex_);
    // Release: who loads it finds it complete.
    core_->processor.store(processor.get(), std::memory_order_release);
    processors_.push_back(std::move(processor));
  }
  if (old != nullptr) old->shutdown(kPatience);
}

void TracerProvider::set_exporter(SpanExporterPtr exporter) {
  const bool to_console = dynamic_cast<ConsoleSpanExporter*>(exporter.get()) != nullptr;
  set_processor(to_console ? simple(std::move(exporter)) : batch(std::move(exporter)));
}

SpanProcessorPtr TracerProvider::processor() const {
  const std::lock_guard lock(mutex_);
  return processors_.empty() ? nullptr : processors_.back();
}

FlushResult TracerProvider::flush(Nanos timeout) {
  const SpanProcessorPtr processor = this->processor();
  return processor == nullptr ? FlushResult() : processor->flush(timeout);
}

FlushResult TracerProvider::shutdown(Nanos timeout) {
  const SpanProcessorPtr processor = this->processor();
  return processor == nullptr ? FlushResult() : processor->shutdown(timeout);
}

ProviderStats TracerProvider::stats() const {
  ProviderStats stats;
  core_->locals.for_each([&](const detail::ProviderCore::Local& each) {
    stats.started_sampled += each.sampled.load(std::memory_order_relaxed);
    stats.started_unsampled += each.unsampled.load(std::memory_order_relaxed);
  });
  const SpanProcessorPtr processor = this->processor();
  if (processor != nullptr) stats.processor = processor->stats();
  return stats;
}

const Tracer& global_tracer() {
  static const Tracer tracer = TracerProvider::instance().tracer("tyaprover", TYAPROVER_VERSION);
  return tracer;
}

}  // namespace tyaprover::trace
