#include "tyaprover/trace/environment.h"

#include <algorithm>
#include <array>
#include <limits>

#include "tyaprover/base/parse.h"
#include "tyaprover/base/text.h"
#include "tyaprover/trace/baggage.h"
#include "tyaprover/trace/console_exporter.h"

namespace tyaprover::trace {
namespace {

constexpr std::array kSamplerKinds = {
    SamplerKind::always_on,
    SamplerKind::always_off,
    SamplerKind::traceidratio,
    SamplerKind::parentbased_always_on,
    SamplerKind::parentbased_always_off,
    SamplerKind::parentbased_traceidratio,
};
constexpr std::array kPropagators = {Propagator::tracecontext, Propagator::baggage,
                                     Propagator::b3,           Propagator::b3multi,
                                     Propagator::jaeger,       Propagator::xray};
constexpr std::array kWireFormats = {WireFormat::otlp_protobuf, WireFormat::otlp_json,
                                     WireFormat::zipkin, WireFormat::jaeger_thrift};

bool uses_ratio(SamplerKind kind) noexcept {
  return kind == SamplerKind::traceidratio || kind == SamplerKind::parentbased_traceidratio;
}

// A URL as it may be shown: without what stands before the `@`.
std::string without_credentials(std::string_view url) {
  std::string shown(url);
  const std::size_t begin = shown.find("://");
  if (begin == std::string::npos) return shown;
  const std::size_t end = std::min(shown.find_first_of("/?", begin + 3), shown.size());
  const std::size_t at = shown.rfind('@', end);
  if (at != std::string::npos && at > begin) shown.erase(begin + 3, at - begin - 2);
  return shown;
}

class Reader {
 public:
  explicit Reader(const GetVariable& get) : get_(get) {}

  TraceSettings read() {
    settings_.disabled = flag("OTEL_SDK_DISABLED");
    read_resource();
    read_sampler();
    read_propagators();
    read_exporter();
    read_otlp_options();
    read_batch();
    read_limits();
    return std::move(settings_);
  }

 private:
  std::optional<std::string> get(std::string_view name) const {
    std::optional<std::string> value = get_(name);
    if (value) *value = trim(*value);
    return value && !value->empty() ? value : std::nullopt;
  }

  void warn(std::string_view variable, std::string_view value, std::string message) {
    settings_.warnings.push_back({std::string(variable), std::string(value), std::move(message)});
  }

  // The standard: only "true" is true, without regard to case; anything but "false" is a mistake.
  bool flag(std::string_view name) {
    const auto value = get(name);
    if (!value || iequals(*value, "false")) return false;
    if (iequals(*value, "true")) return true;
    warn(name, *value, "is neither true nor false; using false");
    return false;
  }

  // A whole number of at least `least`.
  template <class T>
  void number(std::string_view name, std::uint64_t least, T& into) {
    const auto value = get(name);
    if (!value) return;
    const auto parsed = parse_u64(*value);
    if (parsed && *parsed >= least && *parsed <= std::numeric_limits<std::uint32_t>::max()) {
      into = static_cast<T>(*parsed);
    } else {
      warn(name, *value,
           "is not a whole number of at least " + std::to_string(least) + "; using " +
               (static_cast<std::uint64_t>(into) == SpanLimits::kNoLimit ? "no limit"
                                                                         : std::to_string(into)));
    }
  }

  void milliseconds(std::string_view name, Nanos& into) {
    auto count = std::chrono::duration_cast<std::chrono::milliseconds>(into).count();
    number(name, 1, count);
    into = std::chrono::milliseconds(count);
  }

  void read_resource() {
    // Unlike other baggage these values may be decoded only once the whole list is known to be
    // good: the standard drops all of it for one mistake.
    if (const auto text = get("OTEL_RESOURCE_ATTRIBUTES")) {
      Resource attributes;
      for (const std::string_view piece : split(*text, ',')) {
        if (trim(piece).empty()) continue;
        const Baggage one = Baggage::parse(piece);
        if (one.members().size() != 1 || !one.members()[0].properties.empty()) {
          warn("OTEL_RESOURCE_ATTRIBUTES", *text, "is not a list of key=value; ignoring it");
          attributes.clear();
          break;
        }
        attributes.emplace_back(one.members()[0].key, one.members()[0].value);
      }
      settings_.resource = std::move(attributes);
    }
    if (const auto name = get("OTEL_SERVICE_NAME")) {
      std::erase_if(settings_.resource,
                    [](const auto& each) { return each.first == "service.name"; });
      settings_.resource.insert(settings_.resource.begin(), {"service.name", *name});
    }
  }

  std::optional<double> fraction(std::string_view name) {
    const auto value = get(name);
    if (!value) return std::nullopt;
    const auto parsed = parse_double(*value);
    if (parsed && *parsed >= 0 && *parsed <= 1) return *parsed;
    warn(name, *value, "is not a number between 0 and 1; ignoring it");
    return std::nullopt;
  }

  // TRACE_SAMPLE_RATE, then OpenTelemetry's variables, then the environment's nature.
  void read_sampler() {
    constexpr double kProduction = 0.1;
    if (const auto rate = fraction("TRACE_SAMPLE_RATE")) {
      settings_.sampler = {SamplerKind::parentbased_traceidratio, *rate};
      return;
    }
    if (const auto name = get("OTEL_TRACES_SAMPLER")) {
      const auto kind = std::find_if(kSamplerKinds.begin(), kSamplerKinds.end(),
                                     [&](SamplerKind each) { return *name == to_string(each); });
      if (kind != kSamplerKinds.end()) {
        settings_.sampler.kind = *kind;
        if (uses_ratio(*kind))
          settings_.sampler.ratio = fraction("OTEL_TRACES_SAMPLER_ARG").value_or(1);
        return;
      }
      warn("OTEL_TRACES_SAMPLER", *name, "is not a sampler; using the default");
    }
    if (get("NODE_ENV").value_or("") == "production") {
      settings_.sampler = {SamplerKind::parentbased_traceidratio, kProduction};
    }
  }

  void read_propagators() {
    const auto text = get("OTEL_PROPAGATORS");
    if (!text) return;
    Propagators chosen;
    for (const std::string_view piece : split(*text, ',')) {
      const std::string_view name = trim(piece);
      if (name.empty() || name == "none") continue;
      const auto known = std::find_if(kPropagators.begin(), kPropagators.end(),
                                      [&](Propagator each) { return name == to_string(each); });
      if (known == kPropagators.end()) {
        warn("OTEL_PROPAGATORS", *text, "has an unknown propagator; using the others");
      } else {
        chosen.add(*known);
      }
    }
    settings_.propagators = chosen;
  }

  // OTLP's variables: the one for traces wins over the one for all signals.
  std::optional<std::string> otlp(std::string_view name, std::string& variable) const {
    for (const std::string_view prefix : {"OTEL_EXPORTER_OTLP_TRACES_", "OTEL_EXPORTER_OTLP_"}) {
      variable = std::string(prefix).append(name);
      if (auto value = get(variable)) return value;
    }
    return std::nullopt;
  }

  WireFormat otlp_format() {
    std::string variable;
    const auto protocol = otlp("PROTOCOL", variable);
    if (!protocol || *protocol == "http/protobuf") return WireFormat::otlp_protobuf;
    if (*protocol == "http/json") return WireFormat::otlp_json;
    warn(variable, *protocol,
         *protocol == "grpc" ? "is not supported; using http/protobuf"
                             : "is neither http/protobuf nor http/json; using http/protobuf");
    return WireFormat::otlp_protobuf;
  }

  void use_console(std::string_view variable) {
    settings_.exporter = ExporterKind::console;
    settings_.endpoint_variable = variable;
  }
  void use_endpoint(std::string_view variable, const std::string& url,
                    const Result<Endpoint, std::string>& endpoint) {
    settings_.endpoint_variable = variable;
    if (endpoint) {
      settings_.exporter = ExporterKind::http;
      settings_.endpoint = *endpoint;
    } else {
      warn(variable, without_credentials(url), endpoint.error() + "; not exporting");
    }
  }

  void read_exporter() {
    const WireFormat otlp = otlp_format();
    if (read_seed_exporter(otlp)) return;
    const auto kind = get("OTEL_TRACES_EXPORTER");
    if (kind && *kind == "none") {
      settings_.endpoint_variable = "OTEL_TRACES_EXPORTER";
      return;
    }
    if (kind && (*kind == "console" || *kind == "logging"))
      return use_console("OTEL_TRACES_EXPORTER");
    if (kind && *kind == "zipkin") {
      const std::string url =
          get("OTEL_EXPORTER_ZIPKIN_ENDPOINT").value_or("http://localhost:9411/api/v2/spans");
      return use_endpoint("OTEL_TRACES_EXPORTER", url, endpoint_for(url, WireFormat::zipkin));
    }
    const bool asks_for_otlp = kind && *kind == "otlp";
    if (kind && !asks_for_otlp) {
      warn("OTEL_TRACES_EXPORTER", *kind, "is none of otlp, zipkin, console, none; ignoring it");
    }
    read_otlp_endpoint(otlp, asks_for_otlp);
  }

  void read_otlp_endpoint(WireFormat format, bool even_if_unset) {
    constexpr std::string_view kTraces = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
    constexpr std::string_view kAll = "OTEL_EXPORTER_OTLP_ENDPOINT";
    if (const auto url = get(kTraces)) {  // as it is: even without a path nothing is appended
      auto endpoint = endpoint_for(*url, format);
      if (endpoint) endpoint->url = *url;
      return use_endpoint(kTraces, *url, endpoint);
    }
    if (const auto url = get(kAll)) {
      std::string base = *url;
      while (base.ends_with('/')) base.pop_back();
      return use_endpoint(kAll, *url, endpoint_for(base + "/v1/traces", format));
    }
    if (!even_if_unset) return;
    use_endpoint("OTEL_TRACES_EXPORTER", {},
                 endpoint_for("http://localhost:4318/v1/traces", format));
  }

  // TRACE_EXPORTER_ENDPOINT and TRACE_EXPORTER_PROTOCOL. True when they decide.
  bool read_seed_exporter(WireFormat otlp) {
    constexpr std::string_view kEndpoint = "TRACE_EXPORTER_ENDPOINT";
    constexpr std::string_view kProtocol = "TRACE_EXPORTER_PROTOCOL";
    const auto url = get(kEndpoint);
    const auto protocol = get(kProtocol);
    for (const auto& [variable, value] :
         {std::pair(kProtocol, &protocol), std::pair(kEndpoint, &url)}) {
      const std::string word = value->value_or("");
      if (word == "none") {
        settings_.endpoint_variable = variable;
        return true;
      }
      if (word == "console" || word == "stdout") {
        use_console(variable);
        return true;
      }
    }
    std::optional<WireFormat> format;
    if (protocol) {
      const auto known =
          std::find_if(kWireFormats.begin(), kWireFormats.end(),
                       [&](WireFormat each) { return *protocol == to_string(each); });
      if (known != kWireFormats.end()) {
        format = *known;
      } else {
        warn(kProtocol, *protocol,
             "is none of otlp-proto, otlp-json, zipkin, jaeger-thrift, console, none; ignoring it");
      }
    }
    if (!url) {
      if (format) warn(kProtocol, *protocol, "needs TRACE_EXPORTER_ENDPOINT; ignoring it");
      return false;
    }
    use_endpoint(kEndpoint, *url,
                 format ? endpoint_for(*url, *format) : detect_endpoint(*url, otlp));
    return true;
  }

  void read_otlp_options() {
    std::string variable;
    if (const auto compression = otlp("COMPRESSION", variable)) {
      settings_.compress = *compression != "none";
      if (*compression != "none" && *compression != "gzip") {
        warn(variable, *compression, "is neither gzip nor none; using gzip");
      }
    }
    // The value is a secret more often than not.
    if (const auto headers = otlp("HEADERS", variable)) {
      for (const std::string_view piece : split(*headers, ',')) {
        if (trim(piece).empty()) continue;
        const Baggage one = Baggage::parse(piece);
        const bool fits = one.members().size() == 1 && is_field_value(one.members()[0].value);
        if (fits) {
          settings_.headers.emplace_back(one.members()[0].key, one.members()[0].value);
        } else {
          warn(variable, "", "has a member that is not key=value; using the others");
        }
      }
    }
  }

  static bool is_field_value(std::string_view value) noexcept {
    return std::all_of(value.begin(), value.end(), [](char c) {
      return c == '\t' || (static_cast<unsigned char>(c) >= ' ' && c != 0x7f);
    });
  }

  void read_batch() {
    BatchOptions& batch = settings_.batch;
    milliseconds("OTEL_BSP_SCHEDULE_DELAY", batch.schedule_delay);
    milliseconds("OTEL_BSP_EXPORT_TIMEOUT", batch.export_timeout);
    number("OTEL_BSP_MAX_QUEUE_SIZE", 1, batch.max_queue_size);
    number("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 1, batch.max_batch_size);
    if (batch.max_batch_size > batch.max_queue_size) {
      if (get("OTEL_BSP_MAX_EXPORT_BATCH_SIZE")) {
        warn("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", std::to_string(batch.max_batch_size),
             "is larger than the queue; using " + std::to_string(batch.max_queue_size));
      }
      batch.max_batch_size = batch.max_queue_size;
    }
    std::string variable;
    if (otlp("TIMEOUT", variable)) milliseconds(variable, batch.export_timeout);
  }

  void read_limits() {
    SpanLimits& limits = settings_.limits;
    number("OTEL_ATTRIBUTE_COUNT_LIMIT", 0, limits.attributes);
    number("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", 0, limits.attributes);
    number("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", 0, limits.value_length);
    number("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", 0, limits.value_length);
    number("OTEL_SPAN_EVENT_COUNT_LIMIT", 0, limits.events);
    number("OTEL_SPAN_LINK_COUNT_LIMIT", 0, limits.links);
    number("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", 0, limits.attributes_per_event);
    number("OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", 0, limits.attributes_per_link);
  }

  const GetVariable& get_;
  TraceSettings settings_;
};

}  // namespace

std::string_view to_string(SamplerKind kind) noexcept {
  switch (kind) {
    case SamplerKind::always_on:
      return "always_on";
    case SamplerKind::always_off:
      return "always_off";
    case SamplerKind::traceidratio:
      return "traceidratio";
    case SamplerKind::parentbased_always_on:
      return "parentbased_always_on";
    case SamplerKind::parentbased_always_off:
      return "parentbased_always_off";
    case SamplerKind::parentbased_traceidratio:
      return "parentbased_traceidratio";
  }
  return "";
}

double chosen_share(const SamplerSettings& settings) noexcept {
  switch (settings.kind) {
    case SamplerKind::always_on:
    case SamplerKind::parentbased_always_on:
      return 1;
    case SamplerKind::always_off:
    case SamplerKind::parentbased_always_off:
      return 0;
    case SamplerKind::traceidratio:
    case SamplerKind::parentbased_traceidratio:
      break;
  }
  return settings.ratio;
}

SpanProcessorPtr make_processor(const TraceSettings& settings,
                                const DefaultHttpTransport& transport) {
  switch (settings.exporter) {
    case ExporterKind::none:
      break;
    case ExporterKind::console:
      return simple(std::make_shared<ConsoleSpanExporter>());
    case ExporterKind::http:
      return batch(
          std::make_shared<HttpSpanExporter>(
              settings.endpoint->url, HttpExporterOptions{.transport = transport.transport,
                                                          .gzip = transport.gzip,
                                                          .compress = settings.compress,
                                                          .format = settings.endpoint->format,
                                                          .headers = settings.headers}),
          settings.batch);
  }
  return nullptr;
}

SamplerPtr make_sampler(const SamplerSettings& settings) {
  switch (settings.kind) {
    case SamplerKind::always_on:
      return always_on();
    case SamplerKind::always_off:
      return always_off();
    case SamplerKind::traceidratio:
      return ratio(settings.ratio);
    case SamplerKind::parentbased_always_on:
      return parent_based(always_on());
    case SamplerKind::parentbased_always_off:
      return parent_based(always_off());
    case SamplerKind::parentbased_traceidratio:
      return parent_based(ratio(settings.ratio));
  }
  return always_on();
}

std::string_view to_string(ExporterKind kind) noexcept {
  switch (kind) {
    case ExporterKind::none:
      return "none";
    case ExporterKind::console:
      return "console";
    case ExporterKind::http:
      return "http";
  }
  return "";
}

TraceSettings read_trace_environment(const GetVariable& get) {
  return Reader(get).read();
}

}  // namespace tyaprover::trace
