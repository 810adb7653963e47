#include "tyaprover/gateway/gateway.h"

#include <algorithm>
#include <exception>

#include "tyaprover/base/json_writer.h"
#include "tyaprover/base/time_format.h"
#include "tyaprover/gateway/forwarding.h"
#include "tyaprover/gateway/log.h"
#include "tyaprover/http/target.h"
#include "tyaprover/http/worker.h"

namespace tyaprover::gateway {
namespace {

using http::KnownField;
using http::Method;
using http::Reason;
using http::Task;

// A direction holds one piece being read and, when it is encoded or framed, one being written.
std::size_t piece_size(const Config& config) {
  return std::clamp<std::size_t>(config.limits.buffer / 2, 4 * 1024, 1024 * 1024);
}

http::ClientOptions client_options(const Config& config, const AppConfig& app) {
  return {.head = {.head = config.limits.response_head, .fields = config.limits.fields},
          .trailers = config.limits.trailers,
          .buffer = piece_size(config),
          .body_idle = app.timeouts.response_body,
          .write = app.timeouts.response_body,
          .idle = app.timeouts.upstream_idle,
          .max_idle = config.limits.upstream_idle_connections};
}

filters::ResponseStoreOptions store_options(const Config& config) {
  const bool additions = std::any_of(config.apps.begin(), config.apps.end(), [](const auto& app) {
    return !app.cache.key_headers.empty() || !app.cache.key_cookies.empty();
  });
  return {.max_bytes = static_cast<std::size_t>(config.cache.max_bytes),
          .max_entries = static_cast<std::size_t>(config.cache.max_entries),
          .keys_have_additions = additions};
}

// Waits for the health checks without blocking the worker.
struct HealthWait {
  HealthChecks& health;
  http::Worker& worker;
  HealthReport report;
  std::coroutine_handle<> waiting;

  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> h) {
    waiting = h;
    // Always by way of the worker's queue: the checks answer on a thread of theirs.
    health.report_async([this](const HealthReport& result) {
      report = result;
      worker.post([this] { http::resume(waiting); });
    });
  }
  void await_resume() const noexcept {}
};

}  // namespace

GatewayShared::GatewayShared(const Config& c, HealthChecks& h, filters::AccessLogWriter& log)
    : config(c),
      router(c.apps),
      health(h),
      access_log(log),
      started(SteadyClock::instance().now()),
      health_live(c.endpoints.health.empty() ? "" : c.endpoints.health + "/live"),
      health_ready(c.endpoints.health.empty() ? "" : c.endpoints.health + "/ready"),
      metrics(c),
      breakers(c, metrics.registry),
      tracing(c, breakers.external_http()),
      metrics_endpoint(c.metrics, c.environment, metrics.registry),
      responses(store_options(c), c.apps.size()),
      cache_admin(c, responses, metrics.registry),
      admin(c, tracing, cache_admin, breakers),
      test_routes(breakers) {
  for (const AppConfig& app : c.apps) upstreams.push_back(std::make_unique<SharedUpstream>(app));
  metrics.registry.add_collector("upstreams", [this](metrics::Collection& out) { collect(out); });
}

void GatewayShared::collect(metrics::Collection& out) const {
  for (std::size_t i = 0; i < upstreams.size(); ++i) {
    const SharedUpstream& upstream = *upstreams[i];
    const std::string& app = config.apps[i].name;
    const auto retried = [&](std::string_view result, const std::atomic<std::uint64_t>& count) {
      out.counter("tyaprover_upstream_retries_total",
                  "Further tries of requests, by what became of them; denied: not made, as the "
                  "budget was spent or the pause too long.",
                  count.load(std::memory_order_relaxed), {{"app", app}, {"result", result}});
    };
    retried("success", upstream.retries.succeeded);
    retried("failure", upstream.retries.failed);
    retried("denied", upstream.retries.denied);
    if (!upstream.limit && config.apps[i].concurrency.max_in_flight_per_target == 0) continue;
    if (upstream.limit) {
      out.gauge("tyaprover_upstream_in_flight", "Requests that an upstream with a limit is given.",
                upstream.limit->in_flight(), {{"app", app}});
      out.gauge("tyaprover_upstream_pending", "Requests that wait for the limit of an upstream.",
                upstream.limit->waiting(), {{"app", app}});
    }
    const auto shed = [&](std::string_view why, const std::atomic<std::uint64_t>& count) {
      out.counter("tyaprover_upstream_shed_total",
                  "Requests turned away because too many ran and waited, or waited too long.",
                  count.load(std::memory_order_relaxed), {{"app", app}, {"why", why}});
    };
    shed("full", upstream.shed_full);
    shed("timeout", upstream.shed_timeout);
  }
}

http::ServerOptions server_options(const Config& config, std::size_t max_connections) {
  return {.head = {.head = config.limits.request_head,
                   .fields = config.limits.fields,
                   .target = config.limits.target},
          .trailers = config.limits.trailers,
          .buffer = piece_size(config),
          .first_head = config.timeouts.first_head,
          .request_head = config.timeouts.request_head,
          .keep_alive = config.timeouts.keep_alive,
          .body_idle = config.timeouts.request_body,
          .body_rate = config.limits.body_rate,
          .body_limit = config.limits.body,
          .write = config.timeouts.client_write,
          .requests_per_connection = config.limits.requests_per_connection,
          .max_connections = max_connections};
}

GatewayWorker::GatewayWorker(http::Worker& worker, GatewayShared& shared)
    : worker_(worker),
      shared_(shared),
      proxy_options_{.forwarded_header = shared.config.forwarded_header,
                     .reply = {.production = shared.config.environment == Environment::production},
                     .tracing = shared.tracing.http()},
      default_settings_{.security_headers = shared.config.security_headers,
                        .compression = shared.config.compression,
                        .request_timeout = {shared.config.timeouts.request},
                        .metrics = shared.config.app_metrics,
                        .tracing = shared.config.app_tracing},
      pipeline_(filters::Tracing(shared.tracing.http()), filters::Metrics(shared.metrics.http),
                filters::RequestId(), filters::SecurityHeaders(), filters::Compression(worker),
                filters::AccessLog(shared.access_log.add_ring(shared.config.access_log.buffer),
                                   shared.config.access_log),
                filters::RequestTimeout()),
      proxy_counters_(shared.metrics.proxy),
      response_cache_(worker, shared.responses, pipeline_.get<filters::Compression>(),
                      proxy_options_.reply) {
  const std::vector<AppConfig>& apps = shared.config.apps;
  for (std::size_t i = 0; i < apps.size(); ++i) {
    upstreams_.push_back(std::make_unique<WorkerUpstream>(
        worker, apps[i], *shared.upstreams[i], client_options(shared.config, apps[i]),
        shared.metrics.upstreams, shared.breakers, shared.breakers.upstream(i)));
    origins_.push_back(std::make_unique<AppOrigin>(*this, *upstreams_.back()));
  }
  for (const auto& upstream : upstreams_) {
    const auto stands_in = std::find_if(apps.begin(), apps.end(), [&](const AppConfig& app) {
      return app.name == upstream->app().breaker.fallback_app;
    });
    if (stands_in == apps.end()) continue;
    upstream->set_fallback(upstreams_[static_cast<std::size_t>(stands_in - apps.begin())].get());
  }
}

void GatewayWorker::update_targets(std::size_t app, const std::shared_ptr<PassiveHealth>& health) {
  upstreams_[app]->update(health);
}

std::unique_ptr<http::Exchange> GatewayWorker::new_exchange(http::Worker& worker) {
  return std::make_unique<Exchange>(worker);
}

GatewayWorker::Destination GatewayWorker::route(Exchange& e, std::size_t& app) {
  const Config& config = shared_.config;
  e.settings = &default_settings_;
  e.route = "unmatched";
  identify_client(e, config.trusted_proxies);

  if (e.request.path == "*") {
    e.path = "*";
  } else if (const auto problem = http::normalise_path(e.request.path, e.path)) {
    e.reason_detail = *problem;
    return Destination::bad_path;
  }
  if (!config.endpoints.metrics.empty() && e.path == config.endpoints.metrics) {
    e.route = config.endpoints.metrics;
    e.app = "(gateway)";
    e.quiet = true;  // R8.3
    e.unmeasured = true;
    e.untraced = true;
    return Destination::metrics;
  }
  if (!config.endpoints.health.empty() && e.path.starts_with(config.endpoints.health)) {
    const std::string_view path = e.path;
    Destination destination = Destination::nowhere;
    if (path == shared_.health_live) {
      e.route = shared_.health_live;
      destination = Destination::live;
    } else if (path == shared_.health_ready) {
      e.route = shared_.health_ready;
      destination = Destination::ready;
    } else if (path == config.endpoints.health) {
      e.route = config.endpoints.health;
      destination = Destination::health;
    }
    if (destination != Destination::nowhere) {
      e.quiet = true;  // R8.3
      e.unmeasured = true;
      e.untraced = true;
      e.app = "(gateway)";
      return destination;
    }
  }

  if (e.path == shared_.cache_admin.stats_path()) {
    e.route = shared_.cache_admin.stats_path();
    e.app = "(gateway)";
    e.untraced = true;
    return Destination::cache_stats;
  }
  if (const std::string_view own = shared_.admin.route_of(e.path); !own.empty()) {
    e.route = own;
    e.app = "(gateway)";
    e.untraced = true;  // who looks at traces does not want to find himself
    return Destination::admin;
  }
  if (const std::string_view own = TestRoutes::route_of(e.path); !own.empty()) {
    e.route = own;
    e.app = "(gateway)";
    return Destination::test;
  }
  e.unmeasured = std::find(config.metrics.exclude.begin(), config.metrics.exclude.end(), e.path) !=
                 config.metrics.exclude.end();

  std::string_view host;
  if (const auto authority = http::parse_authority(e.request.authority)) host = authority->host;
  const Route* const route =
      shared_.router.find(host, e.path == "*" ? "/" : std::string_view(e.path));
  if (route == nullptr) return Destination::nowhere;
  e.settings = &route->settings;
  e.app = route->app->name;
  e.route = route->name;
  e.body_limit = route->app->body_limit;
  e.body_idle_timeout = route->app->timeouts.request_body;
  e.write_timeout = route->app->timeouts.client_write;
  app = route->index;
  if (count_own_hops(e.request.fields) > kMaxHops) return Destination::circle;
  return Destination::proxy;
}

Task<void> GatewayWorker::handle(http::Exchange& base) {
  Exchange& e = static_cast<Exchange&>(base);
  std::size_t app = 0;
  const Destination destination = route(e, app);
  e.timings.routed = worker_.now();
  if (pipeline_.on_request(e)) {
    bool threw = false;
    try {
      co_await answer(e, destination, app);
    } catch (const std::exception& problem) {
      log_event(LogLevel::error, "a handler threw", {{"what", problem.what()}, {"route", e.route}});
      threw = true;
    }
    if (threw) {
      e.response.clear();
      filters::reply(e, Reason::internal_error, "the handler failed", proxy_options_.reply);
    }
  }
  if (e.response.status != 0) pipeline_.on_response(e);
}

Task<void> GatewayWorker::answer(Exchange& e, Destination destination, std::size_t app) {
  const auto refuse_with = [&](Reason reason, std::string_view detail) {
    filters::reply(e, reason, detail, proxy_options_.reply);
  };
  switch (destination) {
    case Destination::bad_path:
      refuse_with(Reason::bad_request, e.reason_detail);
      e.response.close = true;
      co_return;
    case Destination::nowhere:
      refuse_with(Reason::no_route, "no app is configured for this host and path");
      co_return;
    case Destination::circle:
      refuse_with(Reason::loop_detected, "the request has passed this gateway more than 10 times");
      co_return;
    case Destination::metrics:
      shared_.metrics_endpoint.answer(e, proxy_options_.reply);
      co_return;
    case Destination::admin:
      shared_.admin.answer(e, proxy_options_.reply);
      co_return;
    case Destination::test:
      co_await shared_.test_routes.answer(e, proxy_options_.reply);
      co_return;
    case Destination::cache_stats:
    case Destination::live:
    case Destination::ready:
    case Destination::health:
      if (e.request.method_id != Method::get && e.request.method_id != Method::head) {
        refuse_with(Reason::method_not_allowed, "only GET and HEAD");
        e.response.fields.add("Allow", "GET, HEAD");
        co_return;
      }
      if (destination == Destination::cache_stats) {
        shared_.cache_admin.show_stats(e);
        co_return;
      }
      if (destination == Destination::live) {
        e.response.status = 200;
        e.response.fields.add(KnownField::content_type, "text/plain; charset=utf-8");
        e.response.fields.add(KnownField::cache_control, "no-store");
        e.response.content = "OK";
        co_return;
      }
      co_await answer_health(e, destination == Destination::health);
      co_return;
    case Destination::proxy:
      break;
  }
  if (e.request.body.kind == http::BodyKind::length && e.request.body.length > e.body_limit) {
    refuse_with(Reason::body_too_large, "Content-Length is over the limit");
    e.response.close = true;
    co_return;
  }
  co_await response_cache_.handle(e, *origins_[app], app);
}

Task<void> GatewayWorker::answer_health(Exchange& e, bool details) {
  HealthWait wait{shared_.health, worker_, {}, {}};
  co_await wait;
  const HealthReport& report = wait.report;
  const Lifecycle lifecycle = shared_.lifecycle.load(std::memory_order_acquire);
  e.response.fields.add(KnownField::cache_control, "no-store");

  if (!details) {
    std::string failed;
    if (lifecycle == Lifecycle::starting) failed = " starting";
    if (lifecycle == Lifecycle::draining) failed = " draining";
    for (const HealthReport::Check& check : report.checks) {
      if (check.required && check.result.status == HealthStatus::unhealthy)
        failed += " " + check.name;
    }
    e.response.status = failed.empty() ? 200 : 503;
    e.response.fields.add(KnownField::content_type, "text/plain; charset=utf-8");
    e.response.content = failed.empty() ? "READY" : e.arena.concat({"NOT READY:", failed, "\n"});
    co_return;
  }

  std::string body;
  JsonWriter json(body);
  char time[kRfc3339Size];
  write_rfc3339(time, std::chrono::system_clock::now());
  const std::chrono::duration<double> uptime = worker_.now() - shared_.started;
  json.begin_object();
  json.key("status").string(to_string(report.status));
  json.key("timestamp").string({time, sizeof time});
  json.key("uptime").number(uptime.count());
  json.key("version").string(TYAPROVER_VERSION);
  json.key("checks").begin_object();
  for (const HealthReport::Check& check : report.checks) {
    json.key(check.name).begin_object();
    json.key("status").string(to_string(check.result.status));
    if (!check.result.detail.empty()) json.key("detail").string(check.result.detail);
    for (const auto& [name, value] : check.result.figures) json.key(name).raw(value);
    json.end_object();
  }
  json.end_object().end_object();
  body += '\n';
  e.response.status = report.status == HealthStatus::unhealthy ? 503 : 200;
  e.response.fields.add(KnownField::content_type, "application/json");
  e.response.content = e.arena.store(body);
}

void GatewayWorker::refuse(http::Exchange& base, const http::ParseError& error) {
  Exchange& e = static_cast<Exchange&>(base);
  e.settings = &default_settings_;
  e.route = "unmatched";
  identify_client(e, shared_.config.trusted_proxies);
  if (pipeline_.on_request(e)) {
    filters::reply(e, error.status, error.reason, error.detail, proxy_options_.reply);
  }
  pipeline_.on_response(e);
}

void GatewayWorker::finish(http::Exchange& base) noexcept {
  Exchange& e = static_cast<Exchange&>(base);
  e.leave_upstream();
  pipeline_.on_finish(e);
}

}  // namespace tyaprover::gateway
