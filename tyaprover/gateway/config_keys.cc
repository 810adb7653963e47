#include "tyaprover/gateway/config_keys.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <type_traits>
#include <unordered_set>

#include "tyaprover/base/parse.h"
#include "tyaprover/base/text.h"
#include "tyaprover/cache/header_fields.h"
#include "tyaprover/gateway/balancing.h"
#include "tyaprover/gateway/listen_address.h"
#include "tyaprover/gateway/network.h"
#include "tyaprover/gateway/secrets.h"
#include "tyaprover/gateway/target_url.h"

namespace tyaprover::gateway {
namespace {

template <class Section>
Section& section_of(ConfigView view) {
  const auto of_app_or_gateway = [&](auto of_app, auto of_gateway) -> Section& {
    return view.app != nullptr ? view.app->*of_app : view.config.*of_gateway;
  };
  if constexpr (std::is_same_v<Section, Config>) return view.config;
  if constexpr (std::is_same_v<Section, AppConfig>) return *view.app;
  if constexpr (std::is_same_v<Section, Endpoints>) return view.config.endpoints;
  if constexpr (std::is_same_v<Section, Limits>) return view.config.limits;
  if constexpr (std::is_same_v<Section, AccessLogConfig>) return view.config.access_log;
  if constexpr (std::is_same_v<Section, ShutdownConfig>) return view.config.shutdown;
  if constexpr (std::is_same_v<Section, MetricsConfig>) return view.config.metrics;
  if constexpr (std::is_same_v<Section, AdminConfig>) return view.config.admin;
  if constexpr (std::is_same_v<Section, TracingConfig>) return view.config.tracing;
  if constexpr (std::is_same_v<Section, BreakerConfig>) {
    return of_app_or_gateway(&AppConfig::breaker, &Config::breaker);
  }
  if constexpr (std::is_same_v<Section, EjectionConfig>) {
    return of_app_or_gateway(&AppConfig::ejection, &Config::ejection);
  }
  if constexpr (std::is_same_v<Section, CacheConfig>) return view.config.cache;
  if constexpr (std::is_same_v<Section, filters::ResponseCacheOptions>) {
    return of_app_or_gateway(&AppConfig::cache, &Config::app_cache);
  }
  if constexpr (std::is_same_v<Section, filters::TracingOptions>) {
    return of_app_or_gateway(&AppConfig::tracing, &Config::app_tracing);
  }
  if constexpr (std::is_same_v<Section, filters::MetricsOptions>) {
    return of_app_or_gateway(&AppConfig::metrics, &Config::app_metrics);
  }
  if constexpr (std::is_same_v<Section, HealthCheckConfig>) {
    return of_app_or_gateway(&AppConfig::health_check, &Config::health_check);
  }
  if constexpr (std::is_same_v<Section, ConcurrencyConfig>) {
    return of_app_or_gateway(&AppConfig::concurrency, &Config::concurrency);
  }
  if constexpr (std::is_same_v<Section, RetryConfig>) {
    return of_app_or_gateway(&AppConfig::retries, &Config::retries);
  }
  if constexpr (std::is_same_v<Section, Timeouts>) {
    return of_app_or_gateway(&AppConfig::timeouts, &Config::timeouts);
  }
  if constexpr (std::is_same_v<Section, CompressionConfig>) {
    return of_app_or_gateway(&AppConfig::compression, &Config::compression);
  }
  if constexpr (std::is_same_v<Section, SecurityHeadersConfig>) {
    return of_app_or_gateway(&AppConfig::security_headers, &Config::security_headers);
  }
}

template <class>
struct MemberOf;
template <class Section, class T>
struct MemberOf<T Section::*> {
  using Owner = Section;
  using Value = T;
};

template <auto Member>
constexpr Field kField = FieldOf<typename MemberOf<decltype(Member)>::Value>(
    [](ConfigView view) -> typename MemberOf<decltype(Member)>::Value& {
      return section_of<typename MemberOf<decltype(Member)>::Owner>(view).*Member;
    });

constexpr std::uint64_t kKiB = 1024;
constexpr std::uint64_t kMiB = 1024 * kKiB;
constexpr std::uint64_t kGiB = 1024 * kMiB;
constexpr std::uint64_t kMillisecond = 1'000'000;
constexpr std::uint64_t kSecond = 1000 * kMillisecond;
constexpr std::uint64_t kDay = 86'400 * kSecond;

constexpr KeyScope kTop = KeyScope::gateway;
constexpr KeyScope kApp = KeyScope::app;
constexpr KeyScope kBoth = KeyScope::both;

using CacheKeys = filters::ResponseCacheOptions;

constexpr ConfigKey timeout(std::string_view path, KeyScope scope, Field field,
                            std::string_view meaning) {
  return {path, scope, KeyType::duration, field, meaning, kMillisecond, 365 * kDay};
}
constexpr ConfigKey header(std::string_view path, Field field, std::string_view meaning) {
  return {path, kBoth, KeyType::header_value, field, meaning, 0, 0, "off"};
}

// clang-format off
constexpr ConfigKey kKeys[] = {
    {"listen", kTop, KeyType::listeners, kField<&Config::listen>,
     "Where to accept connections. PORT replaces the port of the first TCP address, or adds one on all addresses",
     0, 0, {}, 0, "PORT"},
    {"environment", kTop, KeyType::choice, kField<&Config::environment>,
     "In production error replies name no upstream and the test routes are absent", 0, 0, {}, 0, "NODE_ENV"},
    {"workers", kTop, KeyType::integer, kField<&Config::workers>,
     "Worker threads; auto = CPUs allowed by affinity and cgroup quota", 1, 1024, "auto", 0},
    {"trusted_proxies", kTop, KeyType::networks, kField<&Config::trusted_proxies>,
     "Peers whose X-Forwarded-*, X-Request-ID and traceparent are believed"},
    {"forwarded_header", kTop, KeyType::boolean, kField<&Config::forwarded_header>,
     "Also send Forwarded (RFC 7239) upstream"},

    {"endpoints.metrics", kTop, KeyType::endpoint, kField<&Endpoints::metrics>,
     "Path of the metrics page", 0, 0, "off"},
    {"endpoints.health", kTop, KeyType::endpoint, kField<&Endpoints::health>,
     "Path of the health checks, with /live and /ready below it", 0, 0, "off"},

    {"endpoints.cache_stats", kTop, KeyType::endpoint, kField<&Endpoints::cache_stats>,
     "Path of the statistics of the cache, where an app has one", 0, 0, "off"},
    {"endpoints.admin", kTop, KeyType::endpoint, kField<&Endpoints::admin>,
     "Where the admin API begins; only its own paths are taken from the apps", 0, 0, "off"},
    {"admin.access", kTop, KeyType::ways, kField<&AdminConfig::access>,
     "Who may use the admin API: clients on this machine (loopback), clients with the key (key)"},
    {"admin.api_key", kTop, KeyType::secret, kField<&AdminConfig::api_key>,
     "Key of the admin API, in x-api-key", 0, 0, {}, 0, "ADMIN_API_KEY"},

    {"name", kApp, KeyType::name, kField<&AppConfig::name>,
     "Name of the app in logs, metrics and messages; required, unique"},
    {"hosts", kApp, KeyType::hosts, kField<&AppConfig::hosts>,
     "Host names it serves; none = every host"},
    {"path", kApp, KeyType::path, kField<&AppConfig::path>,
     "Prefix of the paths it serves, in whole segments; the longest prefix wins"},
    {"upstream.targets", kApp, KeyType::targets, kField<&AppConfig::targets>,
     "Where its requests go; required. `URL weight=3` gets three times the share of one without"},
    {"upstream.balance", kApp, KeyType::choice, kField<&AppConfig::balance>,
     "How a target is chosen; p2c = of two random ones the less busy and faster"},
    {"upstream.hash_by", kApp, KeyType::hash_by, kField<&AppConfig::hash_by>,
     "What keeps requests on one target when balance is consistent_hash"},
    {"upstream.host", kApp, KeyType::host_header, kField<&AppConfig::host_header>,
     "The Host field that the upstream sees: the client's, the target's or a value"},

    {"health_check.enabled", kBoth, KeyType::boolean, kField<&HealthCheckConfig::enabled>,
     "Ask each target again and again whether it works, and send it no requests while it does not"},
    {"health_check.type", kBoth, KeyType::choice, kField<&HealthCheckConfig::type>,
     "How: http = GET of the path, tcp = a connection is enough"},
    {"health_check.path", kBoth, KeyType::path, kField<&HealthCheckConfig::path>,
     "Path that is asked for"},
    {"health_check.statuses", kBoth, KeyType::statuses, kField<&HealthCheckConfig::statuses>,
     "Status codes that pass"},
    {"health_check.interval", kBoth, KeyType::duration, kField<&HealthCheckConfig::interval>,
     "From one check to the next, a tenth more or less", 10 * kMillisecond, kDay},
    timeout("health_check.timeout", kBoth, kField<&HealthCheckConfig::timeout>, "Connecting and the answer's head together"),
    {"health_check.unhealthy_after", kBoth, KeyType::integer, kField<&HealthCheckConfig::unhealthy_after>,
     "Failed checks in a row that take a target out", 1, 1000},
    {"health_check.healthy_after", kBoth, KeyType::integer, kField<&HealthCheckConfig::healthy_after>,
     "Passed checks in a row that bring it back", 1, 1000},
    {"health_check.slow_start", kBoth, KeyType::duration, kField<&HealthCheckConfig::slow_start>,
     "Time in which a target that came back is given more and more of its share", 0, kDay},

    {"concurrency.max_in_flight", kBoth, KeyType::integer, kField<&ConcurrencyConfig::max_in_flight>,
     "Requests of an app that its upstream is given at once, by all workers together", 1, 1'000'000, "off", 0},
    {"concurrency.max_in_flight_per_target", kBoth, KeyType::integer, kField<&ConcurrencyConfig::max_in_flight_per_target>,
     "Requests that one target is given at once", 1, 1'000'000, "off", 0},
    {"concurrency.max_pending", kBoth, KeyType::integer, kField<&ConcurrencyConfig::max_pending>,
     "Requests that wait while the limit is reached; beyond: 503", 0, 1'000'000},
    {"concurrency.queue_timeout", kBoth, KeyType::duration, kField<&ConcurrencyConfig::queue_timeout>,
     "Longest wait there; beyond: 503", kMillisecond, kDay},

    {"retries.attempts", kBoth, KeyType::integer, kField<&RetryConfig::attempts>,
     "Tries of a request in all, each on another target", 1, 8, "off", 1},
    {"retries.statuses", kBoth, KeyType::statuses, kField<&RetryConfig::statuses>,
     "Status codes of responses after which an idempotent request is tried again; failed connects always are, resets and timeouts if the request may be repeated"},
    {"retries.non_idempotent", kBoth, KeyType::boolean, kField<&RetryConfig::non_idempotent>,
     "Also repeat POST, PATCH and unknown methods that the upstream may have got"},
    {"retries.same_target", kBoth, KeyType::boolean, kField<&RetryConfig::same_target>,
     "Also try a target again when no other is left"},
    {"retries.body", kBoth, KeyType::size, kField<&RetryConfig::body>,
     "Largest request body that is kept to be sent again", 0, 16 * kMiB},
    {"retries.per_try_timeout", kBoth, KeyType::duration, kField<&RetryConfig::per_try_timeout>,
     "Connecting and the response head of one try together; off = timeouts.connect and timeouts.response_head alone", kMillisecond, kDay, "off"},
    timeout("retries.backoff", kBoth, kField<&RetryConfig::backoff>, "Longest pause before the first retry, a random one below it; doubles with each. None after a failed connect"),
    timeout("retries.max_backoff", kBoth, kField<&RetryConfig::max_backoff>, "Longest pause before any retry"),
    {"retries.max_retry_after", kBoth, KeyType::duration, kField<&RetryConfig::max_retry_after>,
     "Longest Retry-After that is waited for; a response with a longer one is passed on", 0, kDay},
    {"retries.budget", kBoth, KeyType::number, kField<&RetryConfig::budget>,
     "Retries of an app per request of the last ten seconds, at most", 0, 1},
    {"retries.budget_minimum", kBoth, KeyType::integer, kField<&RetryConfig::budget_minimum>,
     "Retries in ten seconds that are always allowed", 0, 1'000'000},

    timeout("timeouts.first_head", kTop, kField<&Timeouts::first_head>, "Connect to the end of the first request head"),
    timeout("timeouts.request_head", kTop, kField<&Timeouts::request_head>, "First byte to the end of a later request head"),
    timeout("timeouts.keep_alive", kTop, kField<&Timeouts::keep_alive>, "Idle client connection between requests"),
    timeout("timeouts.request_body", kBoth, kField<&Timeouts::request_body>, "No byte of the request body"),
    timeout("timeouts.client_write", kBoth, kField<&Timeouts::client_write>, "The client reads no byte of the response"),
    timeout("timeouts.connect", kBoth, kField<&Timeouts::connect>, "Connecting to a target"),
    timeout("timeouts.response_head", kBoth, kField<&Timeouts::response_head>, "The upstream's response head, per try"),
    timeout("timeouts.response_body", kBoth, kField<&Timeouts::response_body>, "No byte of the upstream's response body"),
    timeout("timeouts.request", kBoth, kField<&Timeouts::request>, "The whole request until the response head is sent"),
    timeout("timeouts.tunnel", kBoth, kField<&Timeouts::tunnel>, "Upgraded connection without a byte"),
    timeout("timeouts.upstream_idle", kBoth, kField<&Timeouts::upstream_idle>, "Idle pooled upstream connection"),

    {"limits.request_head", kTop, KeyType::size, kField<&Limits::request_head>,
     "Request line and fields; beyond: 431", kKiB, 16 * kMiB},
    {"limits.fields", kTop, KeyType::integer, kField<&Limits::fields>,
     "Fields of a request head; beyond: 431", 1, 10'000},
    {"limits.target", kTop, KeyType::size, kField<&Limits::target>,
     "Request target; beyond: 414", 256, kMiB},
    {"limits.body", kTop, KeyType::size, kField<&Limits::body>,
     "Request body, default of every app; beyond: 413", 0, 1024 * kGiB, "unlimited", kUnlimited},
    {"limits.body", kApp, KeyType::size, kField<&AppConfig::body_limit>,
     "Request body of this app; beyond: 413", 0, 1024 * kGiB, "unlimited", kUnlimited},
    {"limits.response_head", kTop, KeyType::size, kField<&Limits::response_head>,
     "Upstream's response head; beyond: 502", kKiB, 16 * kMiB},
    {"limits.buffer", kTop, KeyType::size, kField<&Limits::buffer>,
     "Buffered bytes per direction and stream; beyond: reading waits", 4 * kKiB, 64 * kMiB},
    {"limits.trailers", kTop, KeyType::size, kField<&Limits::trailers>,
     "Trailer section", 256, kMiB},
    {"limits.body_rate", kTop, KeyType::size, kField<&Limits::body_rate>,
     "Slowest request body, bytes per second averaged over 20 s; below: 408", 1, kGiB, "off", 0},
    {"limits.requests_per_connection", kTop, KeyType::integer, kField<&Limits::requests_per_connection>,
     "Requests on one client connection before it is closed", 1, 1'000'000'000},
    {"limits.max_connections", kTop, KeyType::integer, kField<&Limits::max_connections>,
     "Client connections; beyond: 503. auto = 90 % of the descriptor limit", 1, 100'000'000, "auto", 0},
    {"limits.upstream_idle_connections", kTop, KeyType::integer, kField<&Limits::upstream_idle_connections>,
     "Idle pooled connections per target and worker", 0, 100'000},

    {"compression.enabled", kBoth, KeyType::boolean, kField<&CompressionConfig::enabled>,
     "Compress responses"},
    {"compression.threshold", kBoth, KeyType::size, kField<&CompressionConfig::threshold>,
     "Smallest body to compress, when its length is known", 0, kGiB},
    {"compression.encodings", kBoth, KeyType::encodings, kField<&CompressionConfig::encodings>,
     "Encodings on offer, the preferred first"},
    {"compression.gzip_level", kBoth, KeyType::integer, kField<&CompressionConfig::gzip_level>,
     "Level of gzip", 1, 9},
    {"compression.brotli_level", kBoth, KeyType::integer, kField<&CompressionConfig::brotli_level>,
     "Level of Brotli", 0, 11},
    {"compression.zstd_level", kBoth, KeyType::integer, kField<&CompressionConfig::zstd_level>,
     "Level of Zstandard", 1, 19},
    {"compression.flush_after", kBoth, KeyType::duration, kField<&CompressionConfig::flush_after>,
     "Longest wait of data in a compressor of a stream", kMillisecond, 60 * kSecond},

    {"security_headers.enabled", kBoth, KeyType::boolean, kField<&SecurityHeadersConfig::enabled>,
     "Add the fields of this section where the upstream did not set them"},
    header("security_headers.frame_options", kField<&SecurityHeadersConfig::frame_options>, "X-Frame-Options"),
    header("security_headers.content_type_options", kField<&SecurityHeadersConfig::content_type_options>, "X-Content-Type-Options"),
    header("security_headers.referrer_policy", kField<&SecurityHeadersConfig::referrer_policy>, "Referrer-Policy"),
    header("security_headers.permissions_policy", kField<&SecurityHeadersConfig::permissions_policy>, "Permissions-Policy"),
    header("security_headers.content_security_policy", kField<&SecurityHeadersConfig::content_security_policy>, "Content-Security-Policy"),
    header("security_headers.strict_transport_security", kField<&SecurityHeadersConfig::strict_transport_security>,
           "Strict-Transport-Security, sent over TLS only"),
    {"security_headers.remove_powered_by", kBoth, KeyType::boolean, kField<&SecurityHeadersConfig::remove_powered_by>,
     "Remove the upstream's X-Powered-By"},
    {"security_headers.server", kBoth, KeyType::header_value, kField<&SecurityHeadersConfig::server>,
     "Server: keep = the upstream's, \"\" = removed, else the value", 0, 0, "keep"},

    {"access_log.enabled", kTop, KeyType::boolean, kField<&AccessLogConfig::enabled>, "Write a line per request"},
    {"access_log.output", kTop, KeyType::output, kField<&AccessLogConfig::output>,
     "Where to; a file is opened again on SIGUSR1"},
    {"access_log.format", kTop, KeyType::choice, kField<&AccessLogConfig::format>, "Form of a line"},
    {"access_log.sample", kTop, KeyType::number, kField<&AccessLogConfig::sample>,
     "Share of the 2xx lines that is written; others always are", 0, 1},
    {"access_log.query", kTop, KeyType::boolean, kField<&AccessLogConfig::query>,
     "Write the query; if not, it reads `***`"},
    {"access_log.buffer", kTop, KeyType::size, kField<&AccessLogConfig::buffer>,
     "Lines waiting to be written, per worker; beyond: dropped and counted", 64 * kKiB, kGiB},

    {"metrics.enabled", kBoth, KeyType::boolean, kField<&filters::MetricsOptions::enabled>,
     "Measure requests"},
    {"metrics.naming", kTop, KeyType::choice, kField<&MetricsConfig::naming>,
     "Names on the page where two conventions differ: `…_ms` (seed), `…_seconds` (prometheus) or both"},
    {"metrics.api_key", kTop, KeyType::secret, kField<&MetricsConfig::api_key>,
     "Key that the metrics page asks for, in x-api-key; in production only, unless metrics.access says `key`",
     0, 0, {}, 0, "METRICS_API_KEY"},
    {"metrics.access", kTop, KeyType::ways, kField<&MetricsConfig::access>,
     "Who may see the metrics page: clients on this machine (loopback), clients with the key (key); none = everybody, but for the key in production"},
    {"metrics.exclude", kTop, KeyType::paths, kField<&MetricsConfig::exclude>,
     "Paths that are not measured; the gateway's own health and metrics paths never are"},
    {"metrics.native_histograms", kTop, KeyType::boolean, kField<&MetricsConfig::native_histograms>,
     "Also keep native (exponential) buckets of request durations, for scrapes in protobuf"},
    {"metrics.status_classes", kTop, KeyType::boolean, kField<&MetricsConfig::status_classes>,
     "Label requests with `2xx` in place of `204`"},
    {"metrics.max_series", kTop, KeyType::integer, kField<&MetricsConfig::max_series>,
     "Series per family; further label sets share one series called `other`", 10, 10'000'000},
    {"metrics.expire_after", kTop, KeyType::integer, kField<&MetricsConfig::expire_after>,
     "Scrapes after which an unchanged series leaves the page", 1, 1'000'000, "never", 0},

    {"tracing.enabled", kBoth, KeyType::boolean, kField<&filters::TracingOptions::enabled>,
     "Trace requests. Off at the top: fields of traces pass through as they are"},
    {"tracing.service_name", kTop, KeyType::name, kField<&TracingConfig::service_name>,
     "service.name of the spans; unset: OTEL_SERVICE_NAME, else tyaprover", 0, 0, "auto"},
    {"tracing.sample_rate", kTop, KeyType::number, kField<&TracingConfig::sample_rate>,
     "Share of the traces begun here that are kept; unset: OTEL_TRACES_SAMPLER, else 1, in production 0.1",
     0, 1, "auto", 0, "TRACE_SAMPLE_RATE"},
    {"tracing.exporter_endpoint", kTop, KeyType::exporter, kField<&TracingConfig::exporter_endpoint>,
     "Where spans go; unset: OTEL_EXPORTER_OTLP_*, else nowhere", 0, 0, "auto", 0, "TRACE_EXPORTER_ENDPOINT"},
    {"tracing.exporter_protocol", kTop, KeyType::choice, kField<&TracingConfig::exporter_protocol>,
     "Form of the spans; auto = by the endpoint's path and port", 0, 0, {}, 0, "TRACE_EXPORTER_PROTOCOL"},
    {"tracing.propagators", kTop, KeyType::propagators, kField<&TracingConfig::propagators>,
     "Forms in which a trace goes from process to process, the preferred first; none: OTEL_PROPAGATORS, else tracecontext and baggage"},
    {"tracing.trust", kTop, KeyType::choice, kField<&TracingConfig::trust>,
     "Whose trace context is believed; from others a new trace begins, with a link"},
    {"tracing.response_header", kTop, KeyType::boolean, kField<&TracingConfig::response_header>,
     "Send traceparent to the client"},
    {"tracing.semconv", kTop, KeyType::choice, kField<&TracingConfig::semconv>,
     "Names of the attributes: OpenTelemetry's stable ones, the seed's, or both"},
    {"tracing.query", kTop, KeyType::boolean, kField<&TracingConfig::query>,
     "Keep the query in attributes; if not, it reads `***`"},
    {"tracing.keep_errors", kTop, KeyType::boolean, kField<&TracingConfig::keep_errors>,
     "Also keep traces with an error that were not chosen. Every trace is then recorded until its end"},
    {"tracing.keep_slower_than", kTop, KeyType::duration, kField<&TracingConfig::keep_slower_than>,
     "Also keep slower traces that were not chosen", kMillisecond, kDay, "off"},
    {"tracing.keep_per_second", kTop, KeyType::integer, kField<&TracingConfig::keep_per_second>,
     "Traces kept so, at most", 1, 1'000'000},
    {"tracing.recent", kTop, KeyType::integer, kField<&TracingConfig::recent>,
     "Traces kept in memory for the admin API", 1, 1'000'000, "off", 0},

    {"breaker.mode", kBoth, KeyType::choice, kField<&BreakerConfig::mode>,
     "normal, disabled (lets everything pass and records nothing) or metrics_only (records, never rejects, logs when it would have opened)"},
    {"breaker.failure_threshold", kBoth, KeyType::integer, kField<&BreakerConfig::failure_threshold>,
     "Failed requests in a row that open it", 1, 65'535, "off", 0},
    {"breaker.error_threshold_percentage", kBoth, KeyType::fraction, kField<&BreakerConfig::error_threshold_percentage>,
     "Share of failed requests in the window that opens it", 0, 1, "off"},
    {"breaker.minimum_requests", kBoth, KeyType::integer, kField<&BreakerConfig::minimum_requests>,
     "Requests in the window below which no share is judged", 1, 1'000'000},
    {"breaker.rolling_window", kBoth, KeyType::duration, kField<&BreakerConfig::rolling_window>,
     "The window: how far back requests count", kMillisecond, kDay},
    timeout("breaker.reset_timeout", kBoth, kField<&BreakerConfig::reset_timeout>, "In open before the first trial request"),
    {"breaker.backoff_factor", kBoth, KeyType::number, kField<&BreakerConfig::backoff_factor>,
     "How the open period grows with each trial that fails", 1, 100, "off"},
    timeout("breaker.backoff_max", kBoth, kField<&BreakerConfig::backoff_max>, "Longest open period when it grows"),
    {"breaker.backoff_jitter", kBoth, KeyType::number, kField<&BreakerConfig::backoff_jitter>,
     "Share by which a growing open period is scattered, both ways", 0, 1},
    {"breaker.timeout", kBoth, KeyType::duration, kField<&BreakerConfig::timeout>,
     "From the request to the response head, all tries together; beyond: 504. off = only those of `timeouts`, which count as failures too",
     kMillisecond, kDay, "off"},
    {"breaker.half_open_max", kBoth, KeyType::integer, kField<&BreakerConfig::half_open_max>,
     "Trial requests at once", 1, 1024},
    {"breaker.half_open_required", kBoth, KeyType::integer, kField<&BreakerConfig::half_open_required>,
     "Successful trials that close it", 1, 1'000'000},
    {"breaker.half_open_failures_allowed", kBoth, KeyType::integer, kField<&BreakerConfig::half_open_failures_allowed>,
     "Failed trials that do not open it again", 0, 1'000'000},
    {"breaker.half_open_lease", kBoth, KeyType::duration, kField<&BreakerConfig::half_open_lease>,
     "A trial without a result by then has failed; auto = 10 s more than timeouts.request",
     kMillisecond, kDay, "auto"},
    {"breaker.slow_call", kBoth, KeyType::duration, kField<&BreakerConfig::slow_call>,
     "A request whose response head takes longer is slow", kMillisecond, kDay, "off"},
    {"breaker.slow_call_threshold", kBoth, KeyType::fraction, kField<&BreakerConfig::slow_call_threshold>,
     "Share of slow requests in the window that opens it", 0, 1},
    {"breaker.warm_up", kBoth, KeyType::duration, kField<&BreakerConfig::warm_up>,
     "After the start, so long no rule opens it", 0, kDay},
    {"breaker.honour_retry_after", kBoth, KeyType::boolean, kField<&BreakerConfig::honour_retry_after>,
     "Open it when all targets answer 429 or 503 with Retry-After, for that long, at most 5 min"},
    {"breaker.fallback_app", kApp, KeyType::name, kField<&BreakerConfig::fallback_app>,
     "While it is open: the app whose targets get the requests", 0, 0, "none"},
    {"breaker.fallback_status", kBoth, KeyType::integer, kField<&BreakerConfig::fallback_status>,
     "While it is open and no other app helps: status of a response of our own; off = 503 circuit_open", 200, 599, "off", 0},
    {"breaker.fallback_body", kBoth, KeyType::text, kField<&BreakerConfig::fallback_body>,
     "Body of that response"},
    {"breaker.fallback_content_type", kBoth, KeyType::header_value, kField<&BreakerConfig::fallback_content_type>,
     "Its Content-Type", 0, 0, "none"},

    {"ejection.consecutive_failures", kBoth, KeyType::integer, kField<&EjectionConfig::consecutive_failures>,
     "Failed tries in a row for which a target is left out for a while", 1, 1'000'000, "off", 0},
    {"ejection.success_rate_deviations", kBoth, KeyType::number, kField<&EjectionConfig::success_rate_deviations>,
     "Also left out: targets whose share of successes is so many standard deviations below the mean", 0, 100, "off"},
    {"ejection.success_rate_calls", kBoth, KeyType::integer, kField<&EjectionConfig::success_rate_calls>,
     "Tries in 10 s below which a target is not compared", 1, 1'000'000'000},
    {"ejection.success_rate_targets", kBoth, KeyType::integer, kField<&EjectionConfig::success_rate_targets>,
     "Targets below which none is compared", 1, 1'000'000},
    timeout("ejection.base", kBoth, kField<&EjectionConfig::base>, "How long a target is left out the first time; the second time twice as long, and so on"),
    timeout("ejection.max", kBoth, kField<&EjectionConfig::max>, "How long at most"),
    {"ejection.max_share", kBoth, KeyType::number, kField<&EjectionConfig::max_share>,
     "Share of the targets that may be left out at once; one always stays", 0, 1},

    {"shutdown.delay", kTop, KeyType::duration, kField<&ShutdownConfig::delay>,
     "Signal to the closing of the listeners; auto = 5 s in Kubernetes, else 0 s", 0, kDay, "auto"},
    {"shutdown.timeout", kTop, KeyType::duration, kField<&ShutdownConfig::timeout>,
     "Longest wait for running requests after that; then they are cut", 0, kDay},

    {"cache.mode", kBoth, KeyType::choice, kField<&CacheKeys::mode>,
     "Store responses: off, as they allow it (rfc9111), or for cache.ttl (forced)"},
    {"cache.max_bytes", kTop, KeyType::size, kField<&CacheConfig::max_bytes>,
     "Size of the store of all apps: heads, bodies and overhead. CACHE_MAX_SIZE with a unit",
     64 * kKiB, 1024 * kGiB, {}, 0, "CACHE_MAX_SIZE"},
    {"cache.max_entries", kTop, KeyType::integer, kField<&CacheConfig::max_entries>,
     "Most URLs in it. CACHE_MAX_SIZE without a unit", 1, 1'000'000'000'000, "unlimited", 0, "CACHE_MAX_SIZE"},
    {"cache.file", kTop, KeyType::file, kField<&CacheConfig::file>,
     "File that keeps what is stored over a restart: written at the end, read at the start", 0, 0, "off"},
    {"cache.max_object", kBoth, KeyType::size, kField<&CacheKeys::max_object>,
     "Largest body that is stored; larger ones pass through", 1, 64 * kGiB},
    {"cache.ttl", kBoth, KeyType::duration, kField<&CacheKeys::ttl>,
     "Mode forced: lifetime of every response. CACHE_TTL without a unit is in milliseconds",
     kMillisecond, 365 * kDay, {}, 0, "CACHE_TTL"},
    {"cache.methods", kBoth, KeyType::tokens, kField<&CacheKeys::methods>,
     "Mode forced: methods that are answered from the store, of GET and HEAD"},
    {"cache.status_codes", kBoth, KeyType::codes, kField<&CacheKeys::status_codes>,
     "Mode forced: statuses that are stored", 200, 599},
    {"cache.override", kBoth, KeyType::boolean, kField<&CacheKeys::override_origin>,
     "Mode forced: also store what the origin calls private, no-store or no-cache"},
    {"cache.skip", kBoth, KeyType::skip_rules, kField<&CacheKeys::skip>,
     "Requests that go past the cache"},
    {"cache.bypass_on_cookie", kBoth, KeyType::tokens, kField<&CacheKeys::bypass_on_cookie>,
     "Names of cookies; requests with one of them go past the cache"},
    {"cache.stale_while_revalidate", kBoth, KeyType::duration, kField<&CacheKeys::stale_while_revalidate>,
     "So long after its lifetime a response without a window of its own is sent while it is refreshed", 0, 365 * kDay},
    {"cache.stale_if_error", kBoth, KeyType::duration, kField<&CacheKeys::stale_if_error>,
     "Likewise when the origin fails; auto = 1 h in mode forced, else only when the origin cannot be reached", 0, 365 * kDay, "auto"},
    {"cache.heuristic", kBoth, KeyType::boolean, kField<&CacheKeys::heuristic>,
     "Responses that say no lifetime get a tenth of their age since Last-Modified, at most a day"},
    {"cache.odd_age", kBoth, KeyType::choice, kField<&CacheKeys::odd_age>,
     "A response whose Age is no single number: read as RFC 9111 §5.1 says (tolerate), or stale"},
    {"cache.set_cookie", kBoth, KeyType::choice, kField<&CacheKeys::set_cookie>,
     "Responses that set a cookie: stored with an explicit lifetime for shared caches (shared), with any explicit one (rfc9111), without the cookie (strip), or not (never); auto = never in mode forced, else shared",
     0, 0, "auto"},
    {"cache.ignore_client_directives", kBoth, KeyType::boolean, kField<&CacheKeys::ignore_client_directives>,
     "Cache-Control and Pragma of requests do not count"},
    {"cache.convert_head", kBoth, KeyType::boolean, kField<&CacheKeys::convert_head>,
     "A HEAD that is not stored asks the origin with GET, and stores the answer"},
    {"cache.lock_timeout", kBoth, KeyType::duration, kField<&CacheKeys::lock_timeout>,
     "Longest wait for another request to the same URL", 0, kDay},
    {"cache.uncacheable_memory", kBoth, KeyType::duration, kField<&CacheKeys::uncacheable_memory>,
     "So long nobody waits for a URL whose answer could not be stored", 0, kDay},
    {"cache.finish_fill", kBoth, KeyType::size, kField<&CacheKeys::finish_fill>,
     "Bodies up to this size are fetched to their end for the store when their clients have left", 0, 64 * kGiB},
    {"cache.key_headers", kBoth, KeyType::tokens, kField<&CacheKeys::key_headers>,
     "Fields of the request that tell responses apart, beside the URL"},
    {"cache.key_cookies", kBoth, KeyType::tokens, kField<&CacheKeys::key_cookies>,
     "Cookies likewise"},
    {"cache.query_drop", kBoth, KeyType::parameters, kField<&CacheKeys::query_drop>,
     "Parameters of the query that do not tell responses apart; * at the end = any that begin so"},
    {"cache.query_sort", kBoth, KeyType::boolean, kField<&CacheKeys::query_sort>,
     "The order of parameters does not tell responses apart"},
    {"cache.x_cache", kBoth, KeyType::boolean, kField<&CacheKeys::x_cache>,
     "Send X-Cache: HIT, MISS, STALE, REVALIDATED or BYPASS"},
    {"cache.cache_status", kBoth, KeyType::boolean, kField<&CacheKeys::cache_status>,
     "Send Cache-Status (RFC 9211)"},
    {"cache.tag_fields", kBoth, KeyType::boolean, kField<&CacheKeys::tag_fields>,
     "Send the origin's Surrogate-Key and Cache-Tag on to clients"},
    {"cache.purge_method", kBoth, KeyType::boolean, kField<&CacheKeys::purge_method>,
     "A PURGE request of any client removes its URL from the store"},
};
// clang-format on

// The options of the Node middleware that grew into this gateway, where the word itself differs
// from ours or its section is not obvious.
constexpr std::pair<std::string_view, std::string_view> kSeedSpellings[] = {
    {"apiKey", "metrics.api_key"},
    {"errorThresholdPercentage", "breaker.error_threshold_percentage"},
    {"exporterEndpoint", "tracing.exporter_endpoint"},
    {"failureThreshold", "breaker.failure_threshold"},
    {"maxSize", "cache.max_entries"},
    {"resetTimeout", "breaker.reset_timeout"},
    {"rollingWindow", "breaker.rolling_window"},
    {"sampleRate", "tracing.sample_rate"},
    {"serviceName", "tracing.service_name"},
    {"statusCodes", "cache.status_codes"},
};

template <class Enum>
struct Names;
template <>
struct Names<Environment> {
  static constexpr std::string_view kAll[] = {"development", "production"};
};
template <>
struct Names<Balance> {
  static constexpr std::string_view kAll[] = {"p2c", "round_robin", "random", "consistent_hash"};
};
template <>
struct Names<HealthCheckType> {
  static constexpr std::string_view kAll[] = {"http", "tcp"};
};
template <>
struct Names<LogFormat> {
  static constexpr std::string_view kAll[] = {"json", "clf", "combined"};
};
template <>
struct Names<metrics::Naming> {
  static constexpr std::string_view kAll[] = {"seed", "prometheus", "both"};
};
template <>
struct Names<ExporterProtocol> {
  static constexpr std::string_view kAll[] = {"auto",          "otlp-proto", "otlp-json", "zipkin",
                                              "jaeger-thrift", "console",    "none"};
};
template <>
struct Names<filters::TraceTrust> {
  static constexpr std::string_view kAll[] = {"always", "trusted_proxies", "never"};
};
template <>
struct Names<filters::Semconv> {
  static constexpr std::string_view kAll[] = {"stable", "seed", "both"};
};
template <>
struct Names<resilience::BreakerMode> {
  static constexpr std::string_view kAll[] = {"normal", "disabled", "metrics_only"};
};
template <>
struct Names<filters::CacheMode> {
  static constexpr std::string_view kAll[] = {"off", "rfc9111", "forced"};
};
template <>
struct Names<cache::OddAge> {
  static constexpr std::string_view kAll[] = {"tolerate", "stale"};
};
template <>
struct Names<cache::SetCookiePolicy> {
  static constexpr std::string_view kAll[] = {"shared", "rfc9111", "never", "strip"};
};
constexpr std::string_view kSkipKinds[] = {"query", "header", "cookie", "path"};
constexpr std::string_view kPropagators[] = {"tracecontext", "baggage", "b3",
                                             "b3multi",      "jaeger",  "xray"};
constexpr std::string_view kWays[] = {"loopback", "key"};
constexpr std::string_view kWeight = "weight=";
constexpr std::uint64_t kMaxWeight = 100;
constexpr std::string_view kEncodings[] = {"zstd", "br", "gzip"};

std::string list_of(std::span<const std::string_view> names) {
  std::string out;
  for (const std::string_view name : names) {
    if (!out.empty()) out += ", ";
    out += name;
  }
  return out;
}

Err<ValueError> wrong(std::string message, std::string hint = {}) {
  return err(ValueError{std::move(message), std::move(hint)});
}

std::string limit_text(KeyType type, std::uint64_t limit) {
  switch (type) {
    case KeyType::duration:
      return format_duration(Nanos(static_cast<std::int64_t>(limit)));
    case KeyType::size:
      return format_size(limit);
    default:
      return std::to_string(limit);
  }
}

std::string range_text(const ConfigKey& key) {
  std::string text = key.type == KeyType::fraction ? "more than " : "";
  text += limit_text(key.type, key.min) + " … " + limit_text(key.type, key.max);
  if (!key.word.empty()) text += " or " + std::string(key.word);
  return text;
}

Err<ValueError> wrong_number(const ConfigKey& key, ParseError error, std::string_view text) {
  const bool known_text = !text.empty() && text.size() < 20;
  std::string hint;
  switch (error) {
    case ParseError::missing_unit:
      if (key.type == KeyType::duration) {
        hint = "units are ns, us, ms, s, m, h, d";
        if (known_text)
          hint = "write \"" + std::string(text) + "ms\" or \"" + std::string(text) + "s\"; " + hint;
      } else {
        hint = "units are B, KB, MB, GB, KiB, MiB, GiB";
        if (known_text)
          hint =
              "write \"" + std::string(text) + "B\" or \"" + std::string(text) + "KiB\"; " + hint;
      }
      break;
    case ParseError::unknown_unit:
      hint = key.type == KeyType::duration ? "units are ns, us, ms, s, m, h, d"
                                           : "units are B, KB, MB, GB, KiB, MiB, GiB";
      break;
    case ParseError::trailing_text:
      if (key.type == KeyType::duration) {
        hint = "one number and one unit without a space, such as \"1.5s\"";
      } else if (key.type == KeyType::size) {
        hint = "one number and one unit without a space, such as \"64KiB\"";
      } else {
        hint = "allowed: " + range_text(key);
      }
      break;
    default:
      hint = "allowed: " + allowed_values(key);
  }
  return wrong(std::string(to_string(error)), std::move(hint));
}

template <class T>
Result<void, ValueError> in_range(const ConfigKey& key, std::uint64_t value, T& out) {
  if (value < key.min || value > key.max) {
    return wrong("is out of range", "allowed: " + range_text(key));
  }
  out = static_cast<T>(value);
  return {};
}

// Words may be written in place of a number.
bool is_word(const ConfigKey& key, std::string_view text) {
  return !key.word.empty() && text == key.word;
}

Result<void, ValueError> read(const ConfigKey&, std::string_view text, bool& out) {
  if (text != "true" && text != "false") {
    const bool yes =
        iequals(text, "yes") || iequals(text, "on") || iequals(text, "true") || text == "1";
    const bool no =
        iequals(text, "no") || iequals(text, "off") || iequals(text, "false") || text == "0";
    return wrong("is neither true nor false", yes ? "write \"true\"" : no ? "write \"false\"" : "");
  }
  out = text == "true";
  return {};
}

Result<void, ValueError> read(const ConfigKey& key, std::string_view text, std::uint64_t& out) {
  if (is_word(key, text)) {
    out = key.word_value;
    return {};
  }
  const auto value = key.type == KeyType::size ? parse_size(text) : parse_u64(text);
  if (!value) return wrong_number(key, value.error(), text);
  return in_range(key, *value, out);
}

template <class T>
requires std::is_same_v<T, int> || std::is_same_v<T, unsigned> Result<void, ValueError> read(
    const ConfigKey& key, std::string_view text, T& out) {
  std::uint64_t wide = 0;
  Result<void, ValueError> done = read(key, text, wide);
  if (done) out = static_cast<T>(wide);
  return done;
}

Result<void, ValueError> read(const ConfigKey& key, std::string_view text, double& out) {
  const auto value = parse_double(text);
  if (!value) return wrong_number(key, value.error(), text);
  const bool zero_is_wrong = key.type == KeyType::fraction && *value == 0;
  if (*value < static_cast<double>(key.min) || *value > static_cast<double>(key.max) ||
      zero_is_wrong) {
    return wrong("is out of range", "allowed: " + range_text(key));
  }
  out = *value == 0 ? 0.0 : *value;  // no minus zero
  return {};
}

Result<void, ValueError> read(const ConfigKey& key, std::string_view text, Nanos& out) {
  const auto value = parse_duration(text);
  if (!value) return wrong_number(key, value.error(), text);
  std::int64_t count = 0;
  Result<void, ValueError> done = in_range(key, static_cast<std::uint64_t>(value->count()), count);
  if (done) out = Nanos(count);
  return done;
}

template <class Enum>
requires std::is_enum_v<Enum> Result<void, ValueError> read(const ConfigKey& key,
                                                            std::string_view text, Enum& out);

template <class T>
requires(!std::is_same_v<T, std::string>) Result<void, ValueError> read(const ConfigKey& key,
                                                                        std::string_view text,
                                                                        std::optional<T>& out) {
  if (is_word(key, text)) {
    out.reset();
    return {};
  }
  T value{};
  Result<void, ValueError> done = read(key, text, value);
  if (done) out = value;
  return done;
}

template <class Enum>
requires std::is_enum_v<Enum> Result<void, ValueError> read(const ConfigKey&, std::string_view text,
                                                            Enum& out) {
  const auto& names = Names<Enum>::kAll;
  const auto found = std::ranges::find(names, text);
  if (found != std::end(names)) {
    out = static_cast<Enum>(found - std::begin(names));
    return {};
  }
  const auto close = closest_match(text, names);
  return wrong("is none of the values that it may have",
               (close ? "did you mean \"" + std::string(*close) + "\"? " : "") +
                   "allowed: " + list_of(names));
}

bool is_field_value(std::string_view text) {
  return std::ranges::none_of(
             text, [](unsigned char c) { return (c < 0x20 && c != '\t') || c == 0x7f; }) &&
         trim(text) == text;
}

bool is_visible_ascii(std::string_view text) {
  return std::ranges::all_of(text, [](unsigned char c) { return c > 0x20 && c < 0x7f; });
}

Result<void, ValueError> check_path(std::string_view text) {
  if (!text.starts_with('/')) return wrong("is not a path", "a path begins with \"/\"");
  if (!is_visible_ascii(text))
    return wrong("has a space or a byte that is not visible ASCII", "write it percent-encoded");
  if (text.find_first_of("?#\\") != std::string_view::npos) {
    return wrong("must be a path alone, without \"?\", \"#\" or \"\\\"");
  }
  if (text == "/") return {};
  if (text.ends_with('/')) {
    return wrong("ends with \"/\"",
                 "write \"" + std::string(text.substr(0, text.find_last_not_of('/') + 1)) +
                     "\": a prefix matches whole segments anyway");
  }
  for (const std::string_view segment : split(text.substr(1), '/')) {
    if (segment.empty()) return wrong("has an empty segment", "write one \"/\"");
    if (segment == "." || segment == "..")
      return wrong("has a dot segment", "write the path that it means");
  }
  return {};
}

Result<void, ValueError> check_name(std::string_view text) {
  const bool allowed = std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
  });
  if (text.empty() || text.size() > 63 || !allowed) {
    return wrong("is not a name", "1 to 63 letters, digits, \"-\", \"_\", \".\"");
  }
  return {};
}

Result<void, ValueError> check_exporter(std::string_view text) {
  if (text == "console" || text == "stdout" || text == "none") return {};
  const std::size_t scheme = text.starts_with("http://") ? 7 : text.starts_with("https://") ? 8 : 0;
  const std::string_view host = text.substr(std::min(scheme, text.size()));
  if (scheme == 0 || !is_visible_ascii(text) || host.empty() || host.starts_with('/') ||
      host.starts_with(':')) {
    return wrong("is not a URL",
                 "write for example \"http://jaeger:14268/api/traces\", or console, or none");
  }
  return {};
}

Result<void, ValueError> check_text(const ConfigKey& key, std::string_view text) {
  switch (key.type) {
    case KeyType::header_value:
    case KeyType::secret:
      if (!is_field_value(text)) {
        return wrong("is no value of a header field",
                     "no control characters, no spaces at its ends");
      }
      return {};
    case KeyType::endpoint:
      if (text == "/") return wrong("would hide every app", "write a longer path, or off");
      return check_path(text);
    case KeyType::path:
      return check_path(text);
    case KeyType::name:
      return check_name(text);
    case KeyType::host_header:
      if (text == "keep" || text == "target") return {};
      if (!parse_target("http://" + std::string(text))) {
        return wrong("is not a host", "write keep, target or a value such as \"shop.example.com\"");
      }
      return {};
    case KeyType::output:
      if (text == "stdout" || text == "stderr") return {};
      if (text.find('/') == std::string_view::npos || text.find('\0') != std::string_view::npos) {
        return wrong("is neither stdout nor stderr nor the path of a file",
                     "a file's path has a \"/\": \"./" + std::string(text) + "\"");
      }
      return {};
    case KeyType::file:
      if (text.find('/') == std::string_view::npos || text.find('\0') != std::string_view::npos) {
        return wrong("is not the path of a file",
                     "it has a \"/\": \"./" + std::string(text) + "\"");
      }
      return {};
    case KeyType::exporter:
      return check_exporter(text);
    case KeyType::hash_by:
      if (HashBy::parse(text)) return {};
      return wrong("is nothing that a request can be hashed by", "allowed: " + allowed_values(key));
    default:
      return {};
  }
}

Result<void, ValueError> read(const ConfigKey& key, std::string_view text, std::string& out) {
  if (is_word(key, text)) {
    out.clear();
    return {};
  }
  if (Result<void, ValueError> checked = check_text(key, text); !checked) return checked;
  out = text;
  return {};
}

Result<void, ValueError> read(const ConfigKey& key, std::string_view text,
                              std::optional<std::string>& out) {
  if (is_word(key, text)) {
    out.reset();
    return {};
  }
  if (Result<void, ValueError> checked = check_text(key, text); !checked) return checked;
  out = text;
  return {};
}

Result<std::string, ValueError> read_host(std::string_view text) {
  std::string host = to_lower(text);
  if (host == "*") return wrong("is not needed", "leave hosts out to serve every host");
  std::string_view name = host;
  if (name.starts_with("*.")) name.remove_prefix(2);
  if (name.find('*') != std::string_view::npos) {
    return wrong("has a \"*\" that is not its first label", "write for example \"*.example.com\"");
  }
  if (host.starts_with('[')) {
    if (!parse_target("http://" + host)) return wrong("is not a host");
    return host;
  }
  if (name.find("://") != std::string_view::npos || name.find('/') != std::string_view::npos) {
    return wrong("is a URL, not a host", "write the name alone; the path is a key of its own");
  }
  if (name.find(':') != std::string_view::npos) {
    return wrong("has a port", "write the name alone: an app serves its hosts on every listener");
  }
  if (!is_host_name(name)) {
    return wrong("is not a host", "letters, digits, \"-\" and dots; other alphabets as \"xn--…\"");
  }
  return host;
}

Result<std::string, ValueError> read_item(const ConfigKey& key, std::string_view text,
                                          std::string*) {
  switch (key.type) {
    case KeyType::listeners:
      if (auto address = parse_listen_address(text); !address) return err(address.error());
      return std::string(text);
    case KeyType::hosts:
      return read_host(text);
    case KeyType::paths:
      if (auto checked = check_path(text); !checked) return err(checked.error());
      return std::string(text);
    case KeyType::ways:
      if (std::ranges::find(kWays, text) == std::end(kWays)) {
        return wrong("is not a way in", "allowed: " + list_of(kWays));
      }
      return std::string(text);
    case KeyType::propagators:
      if (std::ranges::find(kPropagators, text) == std::end(kPropagators)) {
        return wrong("is not a form of trace context", "allowed: " + list_of(kPropagators));
      }
      return std::string(text);
    case KeyType::tokens:
      if (!cache::is_token(text)) return wrong("is not a name", "letters, digits, \"-\", \"_\" …");
      return std::string(text);
    case KeyType::parameters:
      if (text.empty() || !is_visible_ascii(text) ||
          text.find_first_of("&=#") != std::string_view::npos) {
        return wrong("is not the name of a parameter", "write for example \"utm_*\"");
      }
      return std::string(text);
    default:
      break;
  }
  if (std::ranges::find(kEncodings, text) == std::end(kEncodings)) {
    return wrong("is not an encoding", "allowed: " + list_of(kEncodings));
  }
  return std::string(text);
}
Result<Network, ValueError> read_item(const ConfigKey&, std::string_view text, Network*) {
  return parse_network(text);
}
// "204" or "200-399".
Result<StatusRange, ValueError> read_item(const ConfigKey&, std::string_view text, StatusRange*) {
  const std::size_t dash = text.find('-');
  const auto first = parse_u64(text.substr(0, dash));
  const auto last = dash == std::string_view::npos ? first : parse_u64(text.substr(dash + 1));
  if (!first || !last || *first < 100 || *last > 599 || *first > *last) {
    return wrong("is neither a status code nor a range of them",
                 "write for example \"204\" or \"200-399\"");
  }
  return StatusRange{static_cast<int>(*first), static_cast<int>(*last)};
}
// "URL" or "URL weight=N".
Result<Target, ValueError> read_item(const ConfigKey&, std::string_view text, Target*) {
  const std::size_t space = text.find(' ');
  Result<Target, ValueError> target = parse_target(text.substr(0, space));
  if (!target || space == std::string_view::npos) return target;
  std::string_view weight = trim(text.substr(space));
  const bool named = weight.starts_with(kWeight);
  if (named) weight.remove_prefix(kWeight.size());
  const auto value = parse_u64(weight);
  if (!named || !value || *value < 1 || *value > kMaxWeight) {
    return wrong("has more than a URL", "only a weight may follow, \"" + target->url +
                                            " weight=3\", 1 … " + std::to_string(kMaxWeight));
  }
  target->weight = static_cast<unsigned>(*value);
  return target;
}

std::string format_statuses(const StatusRange& range) {
  std::string text = std::to_string(range.first);
  return range.first == range.last ? text : text + '-' + std::to_string(range.last);
}
Result<std::uint64_t, ValueError> read_item(const ConfigKey& key, std::string_view text,
                                            std::uint64_t*) {
  const auto value = parse_u64(text);
  if (!value || *value < key.min || *value > key.max) {
    return wrong("is not a status", "allowed: " + range_text(key));
  }
  return *value;
}
Result<filters::SkipRule, ValueError> read_item(const ConfigKey&, std::string_view text,
                                                filters::SkipRule*) {
  using Kind = filters::SkipRule::Kind;
  const std::size_t colon = text.find(':');
  const auto found = std::ranges::find(kSkipKinds, text.substr(0, colon));
  std::string_view rest = colon == std::string_view::npos ? "" : text.substr(colon + 1);
  if (found == std::end(kSkipKinds) || rest.empty()) {
    return wrong(
        "is not a rule",
        "write for example query:nocache=true, header:X-Preview, cookie:session, path:/a/*");
  }
  filters::SkipRule rule{.kind = static_cast<Kind>(found - std::begin(kSkipKinds)),
                         .name = std::string(rest),
                         .value = {}};
  if (rule.kind == Kind::query || rule.kind == Kind::header) {
    const std::size_t equals = rest.find('=');
    rule.name = rest.substr(0, equals);
    if (equals != std::string_view::npos) rule.value = rest.substr(equals + 1);
  }
  if (rule.kind == Kind::path && !rest.starts_with('/')) {
    return wrong("is not a rule", "a path begins with \"/\"");
  }
  if (rule.name.empty()) return wrong("is not a rule", "it names nothing");
  return rule;
}
std::string rule_text(const filters::SkipRule& rule) {
  std::string text(kSkipKinds[static_cast<std::size_t>(rule.kind)]);
  text.append(":").append(rule.name);
  if (!rule.value.empty()) text.append("=").append(rule.value);
  return text;
}

// What makes two items of a list the same.
const std::string& identity(const std::string& item) {
  return item;
}
std::string identity(const Network& item) {
  return format_network(item);
}
std::string identity(const StatusRange& item) {
  return format_statuses(item);
}
std::string identity(const Target& item) {
  return item.unix_socket ? item.path : item.host + ' ' + std::to_string(item.port);
}

std::string identity(std::uint64_t item) {
  return std::to_string(item);
}
std::string identity(const filters::SkipRule& item) {
  return rule_text(item);
}

template <class T>
Result<void, ItemError> read_list(const ConfigKey& key, std::span<const std::string> items,
                                  std::vector<T>& out) {
  std::vector<T> values;
  std::unordered_set<std::string> seen;
  for (std::size_t i = 0; i < items.size(); ++i) {
    Result<T, ValueError> value = read_item(key, items[i], static_cast<T*>(nullptr));
    if (!value) return err(ItemError{i, std::move(value.error())});
    if (!seen.insert(identity(*value)).second) {
      return err(ItemError{i, {"stands in the list twice", "remove one of them"}});
    }
    values.push_back(std::move(*value));
  }
  const bool may_be_empty = key.type != KeyType::listeners && key.type != KeyType::statuses &&
                            key.type != KeyType::targets;
  if (values.empty() && !may_be_empty) return err(ItemError{0, {"must not be empty", ""}});
  out = std::move(values);
  return {};
}

void write(const ConfigKey&, bool value, ValueText& out) {
  out.items.emplace_back(value ? "true" : "false");
  out.literal = true;
}
void write(const ConfigKey& key, std::uint64_t value, ValueText& out) {
  if (!key.word.empty() && value == key.word_value) {
    out.items.emplace_back(key.word);
  } else if (key.type == KeyType::size) {
    out.items.push_back(format_size(value));
  } else {
    out.items.push_back(std::to_string(value));
    out.literal = true;
  }
}
void write(const ConfigKey& key, int value, ValueText& out) {
  write(key, static_cast<std::uint64_t>(value), out);
}
void write(const ConfigKey& key, unsigned value, ValueText& out) {
  write(key, std::uint64_t{value}, out);
}
void write(const ConfigKey&, double value, ValueText& out) {
  out.items.push_back(format_double(value));
  out.literal = true;
}
void write(const ConfigKey&, Nanos value, ValueText& out) {
  out.items.push_back(format_duration(value));
}
template <class Enum>
requires std::is_enum_v<Enum>
void write(const ConfigKey&, Enum value, ValueText& out);
template <class T>
void write(const ConfigKey& key, const std::optional<T>& value, ValueText& out) {
  if (!value && !key.word.empty()) {
    out.items.emplace_back(key.word);
  } else if (value) {
    if constexpr (std::is_same_v<T, std::string>) {
      out.items.push_back(*value);
    } else {
      write(key, *value, out);
    }
  } else {
    out.unset = true;
  }
}
template <class Enum>
requires std::is_enum_v<Enum>
void write(const ConfigKey&, Enum value, ValueText& out) {
  out.items.emplace_back(Names<Enum>::kAll[static_cast<std::size_t>(value)]);
}
void write(const ConfigKey& key, const std::string& value, ValueText& out) {
  if (value.empty()) {
    out.unset = key.word.empty();
    out.items.emplace_back(key.word);
  } else if (key.type == KeyType::secret) {
    out.items.emplace_back(kMask);
  } else {
    out.items.push_back(mask_urls(value));
  }
}
void write(const ConfigKey&, const std::vector<std::string>& values, ValueText& out) {
  out.items = values;
}
void write(const ConfigKey&, const std::vector<Network>& values, ValueText& out) {
  for (const Network& value : values) out.items.push_back(format_network(value));
}
void write(const ConfigKey&, const std::vector<StatusRange>& values, ValueText& out) {
  for (const StatusRange& value : values) out.items.push_back(format_statuses(value));
}
void write(const ConfigKey&, const std::vector<Target>& values, ValueText& out) {
  for (const Target& value : values) {
    const bool plain = value.weight == 1;
    out.items.push_back(
        plain ? value.url : value.url + ' ' + std::string(kWeight) + std::to_string(value.weight));
  }
}

void write(const ConfigKey&, const std::vector<std::uint64_t>& values, ValueText& out) {
  for (const std::uint64_t value : values) out.items.push_back(std::to_string(value));
}
void write(const ConfigKey&, const std::vector<filters::SkipRule>& values, ValueText& out) {
  for (const filters::SkipRule& value : values) out.items.push_back(rule_text(value));
}

bool stands_in(const ConfigKey& key, KeyScope where) noexcept {
  return key.scope == where || key.scope == KeyScope::both;
}

std::string as_code(std::string_view text) {
  return "`" + std::string(text) + "`";
}

std::string default_text(const ConfigKey& key) {
  Config config = default_config();
  AppConfig app;
  const ValueText value = value_text(key, {config, key.scope == KeyScope::app ? &app : nullptr});
  if (value.unset || (value.items.empty() && !key.is_list())) return "–";
  if (key.is_list() && value.items.empty()) return "none";
  std::string text;
  for (const std::string& item : value.items) {
    text += (text.empty() ? "" : ", ") + as_code(item.empty() ? "\"\"" : item);
  }
  return text;
}

}  // namespace

std::string_view to_string(KeyType type) noexcept {
  switch (type) {
    case KeyType::boolean:
      return "boolean";
    case KeyType::integer:
      return "integer";
    case KeyType::number:
      return "number";
    case KeyType::fraction:
      return "fraction";
    case KeyType::duration:
      return "duration";
    case KeyType::size:
      return "size";
    case KeyType::choice:
      return "choice";
    case KeyType::header_value:
      return "field value";
    case KeyType::endpoint:
      return "path";
    case KeyType::output:
      return "output";
    case KeyType::file:
      return "file";
    case KeyType::name:
      return "name";
    case KeyType::path:
      return "path";
    case KeyType::host_header:
      return "host";
    case KeyType::exporter:
      return "URL";
    case KeyType::hash_by:
      return "part of a request";
    case KeyType::secret:
      return "secret";
    case KeyType::text:
      return "text";
    case KeyType::listeners:
      return "list of addresses";
    case KeyType::networks:
      return "list of networks";
    case KeyType::hosts:
      return "list of hosts";
    case KeyType::encodings:
      return "list of encodings";
    case KeyType::paths:
      return "list of paths";
    case KeyType::ways:
      return "list of ways";
    case KeyType::propagators:
      return "list of propagators";
    case KeyType::statuses:
      return "list of status codes";
    case KeyType::targets:
      return "list of URLs";
    case KeyType::codes:
      return "list of status codes";
    case KeyType::tokens:
      return "list of names";
    case KeyType::parameters:
      return "list of parameters";
    case KeyType::skip_rules:
      return "list of rules";
  }
  return "value";
}

std::span<const ConfigKey> config_keys() noexcept {
  return kKeys;
}

const ConfigKey* find_key(std::string_view path, KeyScope where) noexcept {
  for (const ConfigKey& key : kKeys) {
    if (key.path == path && stands_in(key, where)) return &key;
  }
  return nullptr;
}

std::vector<std::string_view> names_under(std::string_view section, KeyScope where) {
  std::vector<std::string_view> names;
  const auto add = [&](std::string_view name) {
    if (std::ranges::find(names, name) == names.end()) names.push_back(name);
  };
  for (const ConfigKey& key : kKeys) {
    std::string_view rest = key.path;
    if (!stands_in(key, where)) continue;
    if (!section.empty()) {
      if (!rest.starts_with(section) || !rest.substr(section.size()).starts_with('.')) continue;
      rest.remove_prefix(section.size() + 1);
    }
    add(rest.substr(0, rest.find('.')));
  }
  if (section.empty() && where == KeyScope::gateway) {
    add("apps");
    add("include");
  }
  return names;
}

std::optional<std::string_view> seed_spelling(std::string_view name) noexcept {
  for (const auto& [theirs, ours] : kSeedSpellings) {
    if (theirs == name) return ours;
  }
  return std::nullopt;
}

Result<void, ItemError> set_value(const ConfigKey& key, ConfigView view,
                                  std::span<const std::string> items) {
  return std::visit(
      [&]<class T>(FieldOf<T> field) -> Result<void, ItemError> {
        if constexpr (requires { read_list(key, items, field(view)); }) {
          return read_list(key, items, field(view));
        } else {
          Result<void, ValueError> done = read(key, items.front(), field(view));
          if (!done) return err(ItemError{0, std::move(done.error())});
          return {};
        }
      },
      key.field);
}

ValueText value_text(const ConfigKey& key, ConfigView view) {
  ValueText out;
  std::visit([&](auto field) { write(key, field(view), out); }, key.field);
  return out;
}

std::string allowed_values(const ConfigKey& key) {
  switch (key.type) {
    case KeyType::boolean:
      return "true, false";
    case KeyType::integer:
    case KeyType::number:
    case KeyType::fraction:
    case KeyType::duration:
    case KeyType::size:
      return range_text(key);
    case KeyType::choice:
      return std::visit(
          []<class T>(FieldOf<T>) -> std::string {
            if constexpr (std::is_enum_v<T>) return list_of(Names<T>::kAll);
            if constexpr (std::is_same_v<T, std::optional<cache::SetCookiePolicy>>) {
              return list_of(Names<cache::SetCookiePolicy>::kAll) + ", auto";
            }
            return "";
          },
          key.field);
    case KeyType::header_value:
      return "text or " + std::string(key.word);
    case KeyType::endpoint:
      return "path or off";
    case KeyType::output:
      return "stdout, stderr, a file's path";
    case KeyType::file:
      return "a file's path or off";
    case KeyType::name:
      return "letters, digits, - _ .";
    case KeyType::path:
      return "path";
    case KeyType::host_header:
      return "keep, target, a host";
    case KeyType::exporter:
      return "URL, console, stdout, none";
    case KeyType::hash_by:
      return "client, path, header:NAME, cookie:NAME";
    case KeyType::secret:
    case KeyType::text:
      return "text";
    case KeyType::listeners:
      return ":3000, 127.0.0.1:3000, [::1]:3000, unix:/path?mode=0660, fd:3";
    case KeyType::networks:
      return "10.0.0.0/8, fd00::/8, an address";
    case KeyType::hosts:
      return "shop.example.com, *.example.com";
    case KeyType::encodings:
      return list_of(kEncodings);
    case KeyType::paths:
      return "/path";
    case KeyType::ways:
      return list_of(kWays);
    case KeyType::propagators:
      return list_of(kPropagators);
    case KeyType::statuses:
      return "204, 200-399";
    case KeyType::targets:
      return "http://host:port, http+unix:///path, each with weight=N";
    case KeyType::codes:
      return range_text(key);
    case KeyType::tokens:
      return "letters, digits, - _ …";
    case KeyType::parameters:
      return "name, name*";
    case KeyType::skip_rules:
      return "query:name=value, header:name=value, cookie:name, path:/pattern*";
  }
  return "";
}

Config default_config() {
  Config config;
  config.trusted_proxies = {{.v6 = false, .bytes = {127}, .prefix = 8},
                            {.v6 = true, .bytes = {}, .prefix = 128}};
  config.trusted_proxies[1].bytes[15] = 1;
  return config;
}

void apply_defaults(const Config& config, AppConfig& app) {
  app.health_check = config.health_check;
  app.concurrency = config.concurrency;
  app.retries = config.retries;
  app.timeouts = config.timeouts;
  app.body_limit = config.limits.body;
  app.compression = config.compression;
  app.security_headers = config.security_headers;
  app.metrics = config.app_metrics;
  app.tracing = config.app_tracing;
  app.breaker = config.breaker;
  app.ejection = config.ejection;
  app.cache = config.app_cache;
}

std::string key_reference() {
  const auto table = [](std::string_view title, KeyScope scope, std::string_view prefix) {
    std::string out = "### " + std::string(title) +
                      "\n\n| key | type | default | allowed | environment | meaning "
                      "|\n|---|---|---|---|---|---|\n";
    for (const ConfigKey& key : kKeys) {
      if (key.scope != scope) continue;
      out += "| " + as_code(std::string(prefix) + std::string(key.path)) + " | " +
             std::string(to_string(key.type)) + " | " + default_text(key) + " | " +
             allowed_values(key) + " | " + (key.variable.empty() ? "" : as_code(key.variable)) +
             " | " + std::string(key.meaning) + " |\n";
    }
    return out + "\n";
  };
  return table("At the top of the file", KeyScope::gateway, "") +
         table("At the top as every app's default, and in an app", KeyScope::both, "") +
         table("In an app", KeyScope::app, "apps[].");
}

}  // namespace tyaprover::gateway
