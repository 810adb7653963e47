#include "tyaprover/gateway/gateway_tracing.h"

#include <atomic>
#include <utility>
#include <vector>

#include "tyaprover/base/parse.h"
#include "tyaprover/filters/trace_transport.h"
#include "tyaprover/gateway/config_load.h"
#include "tyaprover/gateway/log.h"
#include "tyaprover/gateway/secrets.h"
#include "tyaprover/gateway/upstream_breaker.h"

namespace tyaprover::gateway {
namespace {

std::string joined(const std::vector<std::string>& items) {
  std::string text;
  for (const std::string& item : items) text += (text.empty() ? "" : ",") + item;
  return text;
}

std::string_view protocol_name(ExporterProtocol protocol) noexcept {
  switch (protocol) {
    case ExporterProtocol::automatic:
      return {};
    case ExporterProtocol::otlp_proto:
      return "otlp-proto";
    case ExporterProtocol::otlp_json:
      return "otlp-json";
    case ExporterProtocol::zipkin:
      return "zipkin";
    case ExporterProtocol::jaeger_thrift:
      return "jaeger-thrift";
    case ExporterProtocol::console:
      return "console";
    case ExporterProtocol::none:
      return "none";
  }
  return {};
}

void log_export_event(const trace::ExportEvent& event) {
  if (event.kind == trace::ExportEvent::Kind::failing) {
    log_event(LogLevel::warn, "traces cannot be delivered; trying on",
              {{"what", event.message}, {"queued", std::to_string(event.queued)}});
  } else {
    log_event(LogLevel::info, "traces are delivered again",
              {{"outage", format_duration(
                              std::chrono::duration_cast<std::chrono::milliseconds>(event.outage))},
               {"dropped", std::to_string(event.dropped)}});
  }
}

// A transport behind a circuit breaker. While that is open a post fails at once, and says when the
// next one may succeed, so that the exporter waits until then and loses nothing it would have kept.
class GuardedTransport final : public trace::HttpTransport {
 public:
  GuardedTransport(trace::HttpTransportPtr inner, resilience::CircuitBreaker& breaker)
      : inner_(std::move(inner)), breaker_(breaker) {}

  [[nodiscard]] trace::HttpReply post(const trace::HttpPost& request, TimePoint deadline) override {
    auto permit = breaker_.try_acquire();
    if (!permit) {
      return {.retry_after = std::to_string(whole_seconds(permit.error().retry_after).count()),
              .error = "the circuit breaker " + breaker_.name() + " is open"};
    }
    trace::HttpReply reply = inner_->post(request, deadline);
    if (cancelled_) {
      permit->cancel();
    } else if (reply.status == 0 || is_failure(outcome_of(reply.status))) {
      permit->failure();
    } else {
      permit->success();
    }
    return reply;
  }
  void cancel() noexcept override {
    cancelled_ = true;
    inner_->cancel();
  }

 private:
  const trace::HttpTransportPtr inner_;
  resilience::CircuitBreaker& breaker_;
  std::atomic<bool> cancelled_{false};
};

}  // namespace

trace::TraceSettings trace_settings(const Config& config, const trace::GetVariable& environment) {
  const TracingConfig& tracing = config.tracing;
  return trace::read_trace_environment([&](std::string_view name) -> std::optional<std::string> {
    const auto given = [](std::string value) {
      return value.empty() ? std::nullopt : std::optional<std::string>(std::move(value));
    };
    if (name == "TRACE_SAMPLE_RATE") {
      return tracing.sample_rate ? given(format_double(*tracing.sample_rate)) : std::nullopt;
    }
    if (name == "TRACE_EXPORTER_ENDPOINT") return given(tracing.exporter_endpoint);
    if (name == "TRACE_EXPORTER_PROTOCOL") {
      return given(std::string(protocol_name(tracing.exporter_protocol)));
    }
    if (name == "NODE_ENV") {
      return config.environment == Environment::production ? "production" : "development";
    }
    if (name == "OTEL_PROPAGATORS" && !tracing.propagators.empty()) {
      return joined(tracing.propagators);
    }
    if (name == "OTEL_SERVICE_NAME" && !tracing.service_name.empty()) return tracing.service_name;
    return environment(name);
  });
}

GatewayTracing::GatewayTracing(const Config& config, resilience::CircuitBreaker& external_http) {
  const TracingConfig& tracing = config.tracing;
  trace::TraceSettings settings = trace_settings(
      config, [](std::string_view name) { return process_environment(std::string(name)); });
  for (const trace::EnvironmentWarning& warning : settings.warnings) {
    log_event(LogLevel::warn, "a variable of tracing is wrong",
              {{"variable", warning.variable},
               {"value", mask_urls(warning.value)},
               {"what", warning.message}});
  }
  if (settings.disabled || !config.app_tracing.enabled) return;

  const bool named =
      !settings.resource.empty() && settings.resource.front().first == "service.name";
  if (!named) settings.resource.insert(settings.resource.begin(), {"service.name", "tyaprover"});

  std::vector<trace::SpanProcessorPtr> processors;
  const trace::DefaultHttpTransport transport{
      std::make_shared<GuardedTransport>(std::make_shared<filters::TraceTransport>(),
                                         external_http),
      filters::gzip_text};
  if (settings.exporter == trace::ExporterKind::console) {
    destination_ = "console";
    processors.push_back(trace::make_processor(settings, transport));
  }
  if (settings.exporter == trace::ExporterKind::http) {
    destination_ = mask_urls(settings.endpoint->url);
    if (settings.endpoint->url.starts_with("https://")) {
      log_event(LogLevel::error, "traces are not sent: https is not supported in this version yet",
                {{"endpoint", destination_}});
      destination_ += " (https is not supported)";
    } else {
      settings.batch.on_event = log_export_event;
      processors.push_back(trace::make_processor(settings, transport));
      log_event(LogLevel::info, "traces are sent",
                {{"endpoint", destination_},
                 {"protocol", to_string(settings.endpoint->format)},
                 {"chosen by", settings.endpoint_variable}});
    }
  }
  if (tracing.recent > 0) {
    recent_ = std::make_shared<trace::RecentTraces>(tracing.recent);
    processors.push_back(trace::keep_recent(recent_));
  }

  trace::SamplerPtr sampler = trace::make_sampler(settings.sampler);
  if (tracing.keep_errors || tracing.keep_slower_than) {
    biased_ = trace::error_biased({.base = trace::chosen_share(settings.sampler),
                                   .errors = tracing.keep_errors,
                                   .slower_than = tracing.keep_slower_than.value_or(Nanos(0)),
                                   .max_per_second = static_cast<double>(tracing.keep_per_second)});
    sampler = trace::parent_based(biased_, {.remote_not_sampled = biased_});
  }
  provider_.emplace(trace::TracerProviderOptions{
      .resource = std::move(settings.resource),
      .sampler = std::move(sampler),
      .processor = processors.empty()       ? nullptr
                   : processors.size() == 1 ? processors.front()
                                            : trace::fan_out(std::move(processors)),
      .limits = settings.limits});
  http_.emplace(provider_->tracer("tyaprover", TYAPROVER_VERSION),
                filters::HttpTracingOptions{.propagators = settings.propagators,
                                            .trust = tracing.trust,
                                            .response_header = tracing.response_header,
                                            .semconv = tracing.semconv,
                                            .query = tracing.query});
}

void GatewayTracing::collect(metrics::Collection& out) const {
  if (!provider_) return;
  const trace::ProviderStats stats = provider_->stats();
  const trace::ProcessorStats& sent = stats.processor;
  constexpr std::string_view kStarted = "tyaprover_trace_spans_started_total";
  out.counter(kStarted, "Spans begun.", stats.started_sampled, {{"sampled", "true"}});
  out.counter(kStarted, "Spans begun.", stats.started_unsampled, {{"sampled", "false"}});
  out.counter("tyaprover_trace_spans_exported_total", "Spans delivered.", sent.exported);
  constexpr std::string_view kDropped = "tyaprover_trace_spans_dropped_total";
  constexpr std::string_view kDroppedHelp = "Spans lost, by reason.";
  out.counter(kDropped, kDroppedHelp, sent.dropped_queue_full, {{"reason", "queue_full"}});
  out.counter(kDropped, kDroppedHelp, sent.dropped_export_failed, {{"reason", "export_failed"}});
  out.counter(kDropped, kDroppedHelp, sent.dropped_rejected, {{"reason", "rejected"}});
  out.counter(kDropped, kDroppedHelp, sent.dropped_shutdown, {{"reason", "shutdown"}});
  out.gauge("tyaprover_trace_queue_size", "Spans waiting to be sent.",
            static_cast<double>(sent.queued));
  out.gauge("tyaprover_trace_queue_capacity", "Spans that may wait to be sent.",
            static_cast<double>(sent.queue_capacity));
  out.histogram("tyaprover_trace_export_duration_seconds",
                "Requests to the collector that were answered.", {}, {{sent.exports}},
                std::chrono::duration<double>(sent.export_time).count());
  out.unit("seconds");
  out.counter("tyaprover_trace_export_retries_total",
              "Requests to the collector that were repeats.", sent.retries);
  if (biased_ != nullptr) {
    const auto counts = biased_->counts();
    out.counter("tyaprover_trace_kept_total",
                "Traces not chosen at their start and kept for an error or their length.",
                counts.kept);
    out.counter("tyaprover_trace_kept_over_limit_total",
                "Traces that would have been kept but for tracing.keep_per_second.",
                counts.over_limit);
  }
}

CheckResult GatewayTracing::check() const {
  CheckResult result;
  if (!provider_) return result;
  const trace::ProcessorStats stats = provider_->stats().processor;
  if (!destination_.empty() && stats.failing) {
    result.status = HealthStatus::degraded;
    result.detail = "traces cannot be delivered to " + destination_;
  }
  if (!destination_.empty())
    result.figures.emplace_back("dropped", std::to_string(stats.dropped()));
  result.figures.emplace_back("queued", std::to_string(stats.queued));
  return result;
}

trace::FlushResult GatewayTracing::shutdown(Nanos timeout) {
  if (!provider_) return {};
  return provider_->shutdown(timeout);
}

}  // namespace tyaprover::gateway
