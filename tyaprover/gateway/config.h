// Config: everything the gateway can be told, with the defaults it has when told nothing.
//
// A value type, built once by config_load.h (file, environment, command line) and then shared
// read-only between workers as std::shared_ptr<const Config>. Durations are nanoseconds, sizes are
// bytes. The reference of keys (name, type, default, unit, meaning) is the table in config_keys.cc.
//
//   auto loaded = load_config({.file = "tyaprover.yaml"});
//   if (!loaded) print_errors(loaded.error());
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tyaprover/base/clock.h"
#include "tyaprover/filters/access_log.h"
#include "tyaprover/filters/compression.h"
#include "tyaprover/filters/metrics.h"
#include "tyaprover/filters/response_cache_options.h"
#include "tyaprover/filters/security_headers.h"
#include "tyaprover/filters/tracing.h"
#include "tyaprover/resilience/circuit_breaker.h"

namespace tyaprover::gateway {

using namespace std::chrono_literals;

inline constexpr std::uint64_t kUnlimited = std::numeric_limits<std::uint64_t>::max();

enum class Environment { development, production };
enum class Balance { p2c, round_robin, random, consistent_hash };

enum class HealthCheckType { http, tcp };

// Status codes, both ends included.
struct StatusRange {
  int first = 0;
  int last = 0;
  bool operator==(const StatusRange&) const = default;
};
[[nodiscard]] inline bool contain(const std::vector<StatusRange>& ranges, int status) noexcept {
  return std::any_of(ranges.begin(), ranges.end(), [status](const StatusRange& range) {
    return status >= range.first && status <= range.last;
  });
}

// One upstream address as written: http://host:port or http+unix:///path.
struct Target {
  bool unix_socket = false;
  std::string host;  // name or address; without brackets for IPv6
  std::uint16_t port = 80;
  std::string path;  // of the unix socket
  // As written, for messages and logs.
  std::string url;
  unsigned weight = 1;
  bool operator==(const Target&) const = default;
};

struct Timeouts {
  Nanos first_head = 10s;     // connect → first complete request head
  Nanos request_head = 10s;   // first byte → end of a later head
  Nanos keep_alive = 60s;     // idle between requests
  Nanos request_body = 30s;   // no byte of the request body
  Nanos client_write = 60s;   // client reads no byte of the response
  Nanos connect = 5s;         // upstream connect
  Nanos response_head = 15s;  // upstream response head, per try
  Nanos response_body = 60s;  // no byte of the upstream's body
  Nanos request = 30s;        // whole request, until the response head is sent
  Nanos tunnel = 1h;          // upgraded connection without a byte
  Nanos upstream_idle = 30s;  // pooled upstream connection
  bool operator==(const Timeouts&) const = default;
};

// Of the active checks of an upstream's targets.
struct HealthCheckConfig {
  bool enabled = false;
  HealthCheckType type = HealthCheckType::http;
  std::string path = "/health";
  std::vector<StatusRange> statuses = {{200, 399}};  // that pass
  Nanos interval = 10s;
  Nanos timeout = 2s;
  unsigned unhealthy_after = 2;  // failed checks in a row
  unsigned healthy_after = 2;    // passed checks in a row
  Nanos slow_start = 30s;        // of a target that came back, until it gets its whole share
  bool operator==(const HealthCheckConfig&) const = default;
};

// How many requests an upstream is given at once.
struct ConcurrencyConfig {
  unsigned max_in_flight = 0;             // 0: no limit
  unsigned max_in_flight_per_target = 0;  // 0: no limit
  unsigned max_pending = 256;             // requests that wait for others to end
  Nanos queue_timeout = 1s;               // longest wait
  bool operator==(const ConcurrencyConfig&) const = default;
};

// When a request is sent again after a try failed.
struct RetryConfig {
  unsigned attempts = 3;                             // tries in all; 1 = no retries
  std::vector<StatusRange> statuses = {{502, 504}};  // of responses that are worth another try
  bool non_idempotent = false;                       // also POST and PATCH that may have arrived
  bool same_target = false;                          // also where no other target is left
  std::uint64_t body = 64 * 1024;                    // the largest request body that is kept for it
  std::optional<Nanos> per_try_timeout;              // connecting and response head together
  Nanos backoff = 25ms;         // longest first pause; doubles with each retry …
  Nanos max_backoff = 1s;       // … up to this
  Nanos max_retry_after = 1s;   // longest Retry-After that is waited for
  double budget = 0.2;          // retries per request of the last ten seconds …
  unsigned budget_minimum = 3;  // … or so many, if that is more
  bool operator==(const RetryConfig&) const = default;
};

struct Limits {
  std::uint64_t request_head = 64 * 1024;
  std::uint64_t fields = 100;
  std::uint64_t target = 8 * 1024;
  std::uint64_t body = 100ull * 1024 * 1024;  // kUnlimited possible
  std::uint64_t response_head = 64 * 1024;
  std::uint64_t buffer = 128 * 1024;  // per direction and stream
  std::uint64_t trailers = 8 * 1024;
  std::uint64_t body_rate = 250;  // bytes per second, averaged over 20 s; 0 = off
  std::uint64_t requests_per_connection = 10'000;
  std::uint64_t max_connections = 0;             // 0 = 90 % of the descriptor limit
  std::uint64_t upstream_idle_connections = 64;  // per target and worker
  bool operator==(const Limits&) const = default;
};

// The filters' own options, under the names that the file uses.
using CompressionConfig = filters::CompressionOptions;
using SecurityHeadersConfig = filters::SecurityHeadersOptions;
using AccessLogConfig = filters::AccessLogOptions;
using LogFormat = filters::LogFormat;

// Of the circuit breaker around an app's upstream (R30–R33). The names are those of the library's
// options.
struct BreakerConfig {
  resilience::BreakerMode mode = resilience::BreakerMode::normal;
  unsigned failure_threshold = 5;  // 0 = off
  std::optional<double> error_threshold_percentage = 0.5;
  unsigned minimum_requests = 10;
  Nanos rolling_window = 10s;
  Nanos reset_timeout = 60s;
  std::optional<double> backoff_factor;  // unset: every open period is reset_timeout
  Nanos backoff_max = 5min;
  double backoff_jitter = 0.2;
  std::optional<Nanos> timeout;  // until the response head; unset: only those of `timeouts`
  unsigned half_open_max = 1;
  unsigned half_open_required = 1;
  unsigned half_open_failures_allowed = 0;
  std::optional<Nanos> half_open_lease;  // unset: longer than a request may take
  std::optional<Nanos> slow_call;
  double slow_call_threshold = 1.0;
  Nanos warm_up{0};
  bool honour_retry_after = false;
  std::string fallback_app;      // empty: none
  unsigned fallback_status = 0;  // of a static response; 0 = none
  std::string fallback_body;
  std::string fallback_content_type = "text/plain; charset=utf-8";
  bool operator==(const BreakerConfig&) const = default;
};

// When a single target is left out of the balancing because of what it answers (R30).
struct EjectionConfig {
  unsigned consecutive_failures = 5;  // 0 = off
  std::optional<double> success_rate_deviations = 1.9;
  unsigned success_rate_calls = 100;
  unsigned success_rate_targets = 5;
  Nanos base = 30s;
  Nanos max = 300s;
  double max_share = 0.5;
  bool operator==(const EjectionConfig&) const = default;
};

// A setting at the top of the file is every app's default (R2.1); an app holds the merged result.
struct AppConfig {
  std::string name;
  std::vector<std::string> hosts;  // lower case; "*.example.com" = any subdomain; none = every host
  std::string path = "/";
  std::vector<Target> targets;
  Balance balance = Balance::p2c;
  std::string hash_by = "client";    // of consistent_hash: see balancing.h
  std::string host_header = "keep";  // keep | target | a value
  HealthCheckConfig health_check;
  ConcurrencyConfig concurrency;
  RetryConfig retries;
  Timeouts timeouts;
  std::uint64_t body_limit = 100ull * 1024 * 1024;
  CompressionConfig compression;
  SecurityHeadersConfig security_headers;
  filters::MetricsOptions metrics;
  filters::TracingOptions tracing;
  BreakerConfig breaker;
  EjectionConfig ejection;
  filters::ResponseCacheOptions cache;
  bool operator==(const AppConfig&) const = default;
};

// Of metrics and their page. What each app may change is filters::MetricsOptions.
struct MetricsConfig {
  metrics::Naming naming = metrics::Naming::both;
  // Ways to be let in to the page: "loopback", "key". None: the key where it is asked for at all.
  std::vector<std::string> access;
  std::string api_key;               // secret: never printed
  std::vector<std::string> exclude;  // paths that are not measured; the gateway's own never are
  bool native_histograms = true;
  bool status_classes = false;
  std::uint64_t max_series = 2000;  // per family
  std::uint64_t expire_after = 0;   // scrapes without a change; 0 = never
  bool operator==(const MetricsConfig&) const = default;
};

enum class ExporterProtocol {
  automatic,  // by the endpoint's path and port
  otlp_proto,
  otlp_json,
  zipkin,
  jaeger_thrift,
  console,
  none
};

// Of tracing as a whole. What is not set here may come from OTEL_* variables.
struct TracingConfig {
  std::string service_name;           // empty: OTEL_SERVICE_NAME, else tyaprover
  std::optional<double> sample_rate;  // unset: OTEL_TRACES_SAMPLER, else 1, in production 0.1
  std::string exporter_endpoint;
  ExporterProtocol exporter_protocol = ExporterProtocol::automatic;
  std::vector<std::string> propagators;  // none: OTEL_PROPAGATORS, else tracecontext and baggage
  filters::TraceTrust trust = filters::TraceTrust::always;
  bool response_header = true;
  filters::Semconv semconv = filters::Semconv::stable;
  bool query = true;
  bool keep_errors = false;               // also keep traces with an error that were not chosen
  std::optional<Nanos> keep_slower_than;  // and slower ones
  std::uint64_t keep_per_second = 100;
  std::uint64_t recent = 1000;  // traces kept in memory; 0 = none
  bool operator==(const TracingConfig&) const = default;
};

// Of the store that all apps share.
struct CacheConfig {
  std::uint64_t max_bytes = 64ull * 1024 * 1024;
  std::uint64_t max_entries = 0;  // 0 = no bound
  std::string file;               // survives restarts there; empty = nowhere
  bool operator==(const CacheConfig&) const = default;
};

// Of the admin API.
struct AdminConfig {
  std::vector<std::string> access = {"loopback", "key"};
  std::string api_key;  // secret: never printed
  bool operator==(const AdminConfig&) const = default;
};

// The paths the gateway answers itself; empty = off.
struct Endpoints {
  std::string metrics = "/metrics";
  std::string health = "/health";
  std::string cache_stats = "/cache/stats";
  std::string admin = "/api/v1";
  bool operator==(const Endpoints&) const = default;
};

struct ShutdownConfig {
  std::optional<Nanos> delay;  // unset: 0 s, or 5 s when KUBERNETES_SERVICE_HOST is set
  Nanos timeout = 30s;
  bool operator==(const ShutdownConfig&) const = default;
};

// "10.0.0.0/8", "::1/128"; an address alone is a network of one.
struct Network {
  bool v6 = false;
  std::uint8_t bytes[16] = {};
  unsigned prefix = 0;
  bool operator==(const Network&) const = default;
};

struct Config {
  std::vector<std::string> listen = {":3000"};
  Environment environment = Environment::development;
  unsigned workers = 0;                  // 0 = auto: CPUs allowed by affinity and cgroup quota
  std::vector<Network> trusted_proxies;  // default 127.0.0.0/8 and ::1, set by load_config
  bool forwarded_header = false;         // also send Forwarded (RFC 7239)
  Endpoints endpoints;
  std::vector<AppConfig> apps;
  HealthCheckConfig health_check;
  ConcurrencyConfig concurrency;
  RetryConfig retries;
  Timeouts timeouts;
  Limits limits;
  CompressionConfig compression;
  SecurityHeadersConfig security_headers;
  AccessLogConfig access_log;
  filters::MetricsOptions app_metrics;  // default of every app
  MetricsConfig metrics;
  filters::TracingOptions app_tracing;  // default of every app
  TracingConfig tracing;
  BreakerConfig breaker;
  EjectionConfig ejection;
  AdminConfig admin;
  ShutdownConfig shutdown;
  filters::ResponseCacheOptions app_cache;  // default of every app
  CacheConfig cache;
  bool operator==(const Config&) const = default;
};

}  // namespace tyaprover::gateway
