#include "tyaprover/gateway/run.h"

#include <fcntl.h>
#include <malloc.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tyaprover/gateway/banner.h"
#include "tyaprover/gateway/config_keys.h"
#include "tyaprover/gateway/cpus.h"
#include "tyaprover/gateway/demo_app.h"
#include "tyaprover/gateway/gateway.h"
#include "tyaprover/gateway/health.h"
#include "tyaprover/gateway/health_checker.h"
#include "tyaprover/gateway/listen_address.h"
#include "tyaprover/gateway/log.h"
#include "tyaprover/gateway/resolver.h"
#include "tyaprover/gateway/shutdown.h"
#include "tyaprover/gateway/upstream_check.h"
#include "tyaprover/http/listen.h"
#include "tyaprover/http/worker.h"

namespace tyaprover::gateway {
namespace {

using SteadyTime = std::chrono::steady_clock::time_point;

constexpr int kExitSoftware = 70;  // EX_SOFTWARE (R9.4)
constexpr Nanos kStalled = 5s;
constexpr Nanos kComparison = 10s;  // of an upstream's targets with each other

// The limit itself, after raising it as far as is allowed (R3.3).
std::size_t raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 1024;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
  ::getrlimit(RLIMIT_NOFILE, &limit);
  constexpr rlim_t kEnough = 1024 * 1024;
  return static_cast<std::size_t>(std::min(limit.rlim_cur, kEnough));
}

// A worker's thread and what it serves.
struct Unit {
  http::Worker worker;
  GatewayWorker gateway;
  http::Server server;
  std::thread thread;
  std::atomic<bool> listening{true};
  std::atomic<bool> empty{false};
  std::atomic<bool> fills_ended{true};
  bool stall_reported = false;

  Unit(unsigned index, GatewayShared& shared, const http::ServerOptions& options)
      : worker(index),
        gateway(worker, shared),
        server(worker, gateway, options, shared.server_counters) {}

  // On the worker: gives up what fills the cache, and looks again until it has ended.
  void end_fills() {
    gateway.abort_fills();
    if (!gateway.has_fills()) {
      fills_ended = true;
    } else {
      worker.post([this] { end_fills(); });
    }
  }

  void start() {
    thread = std::thread([this] {
      try {
        worker.run();
      } catch (const std::exception& problem) {
        log_event(LogLevel::error, "a worker failed; the process ends", {{"what", problem.what()}});
        std::_Exit(kExitSoftware);
      }
    });
  }
};

// The demo app on a worker of its own.
struct Demo {
  http::Worker worker{0};
  DemoApp app;
  http::ServerCounters counters;
  http::Server server{worker, app, {.max_connections = 100'000}, counters};
  std::thread thread;

  ~Demo() {
    if (!thread.joinable()) return;
    worker.post([this] {
      server.drain([this] { worker.stop(); });
      server.close_all();
    });
    thread.join();
  }
};

Result<std::vector<std::vector<int>>, std::string> open_listeners(const Config& config,
                                                                  unsigned workers) {
  std::vector<std::vector<int>> listeners;  // by address, then by worker
  for (const std::string& text : config.listen) {
    const auto address = parse_listen_address(text);
    if (!address) return err("cannot listen on " + text + ": " + address.error().message);
    switch (address->kind) {
      case ListenAddress::Kind::tcp: {
        auto sockets = http::listen_tcp(address->host, address->port, workers);
        if (!sockets) return err(sockets.error());
        listeners.push_back(std::move(*sockets));
        break;
      }
      case ListenAddress::Kind::unix_socket:
      case ListenAddress::Kind::fd: {
        const auto socket = address->kind == ListenAddress::Kind::fd
                                ? http::listen_inherited(address->fd)
                                : http::listen_unix(address->path, address->mode);
        if (!socket) return err(socket.error());
        std::vector<int> shared = {*socket};
        while (shared.size() < workers) shared.push_back(::dup(*socket));
        listeners.push_back(std::move(shared));
        break;
      }
    }
  }
  return listeners;
}

double megabytes(std::size_t bytes) {
  return static_cast<double>(bytes) / (1024.0 * 1024.0);
}

std::string rounded(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f", value);
  return text;
}

CheckResult check_memory() {
  std::ifstream statm("/proc/self/statm");
  std::size_t total = 0;
  std::size_t resident = 0;
  statm >> total >> resident;
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  const auto physical = static_cast<std::size_t>(::sysconf(_SC_PHYS_PAGES)) * page;
  const std::size_t rss = resident * page;
  const struct mallinfo2 heap = ::mallinfo2();
  CheckResult result;
  if (physical > 0 && rss > physical / 10 * 9) {
    result.status = HealthStatus::unhealthy;
    result.detail = "the process uses more than 90 % of the machine's memory";
  }
  result.figures = {{"rssMb", rounded(megabytes(rss))},
                    {"heapUsedMb", rounded(megabytes(heap.uordblks + heap.hblkhd))}};
  return result;
}

CheckResult check_loops(const std::vector<std::unique_ptr<Unit>>& units) {
  Nanos lag{};
  Nanos silent{};
  const TimePoint now = SteadyClock::instance().now();
  for (const auto& unit : units) {
    lag = std::max(lag, unit->worker.lag());
    silent = std::max(silent, now - unit->worker.last_turn());
  }
  CheckResult result;
  if (silent > kStalled) {
    result.status = HealthStatus::unhealthy;
    result.detail = "a worker's event loop does not turn";
  } else if (lag > 250ms) {
    result.status = HealthStatus::degraded;
    result.detail = "the event loops are late";
  }
  result.figures = {{"lagMs", rounded(std::chrono::duration<double, std::milli>(lag).count())}};
  return result;
}

class Gateway {
 public:
  // `signals` are blocked already.
  Gateway(LoadedConfig loaded, const RunOptions& options, const sigset_t& signals)
      : options_(options), signals_(signals) {
    // The demo shows the cache, unless it was told not to.
    if (options.demo && !loaded.is_set("cache.mode")) {
      loaded.config.app_cache.mode = filters::CacheMode::rfc9111;
    }
    config_ = std::move(loaded.config);
  }

  int run() {
    const std::size_t descriptors = raise_descriptor_limit();
    const unsigned workers = config_.workers > 0 ? config_.workers : allowed_cpus();
    if (options_.demo) start_demo();

    auto listeners = open_listeners(config_, workers);
    if (!listeners) {
      std::fprintf(stderr, "tyaprover: %s\n", listeners.error().c_str());
      return 1;
    }
    try {
      log_writer_.emplace(filters::AccessLogWriterOptions{
          .output = config_.access_log.output,
          .on_trouble = [](std::string_view message) { log_event(LogLevel::warn, message); }});
    } catch (const std::exception& problem) {
      std::fprintf(
          stderr,
          "tyaprover: cannot open the access log %s: %s; its folder must exist and be writable\n",
          config_.access_log.output.c_str(), problem.what());
      return 1;
    }

    shared_ = std::make_unique<GatewayShared>(config_, health_, *log_writer_);
    const std::size_t max_connections =
        config_.limits.max_connections > 0 ? config_.limits.max_connections : descriptors / 10 * 9;
    for (unsigned i = 0; i < workers; ++i) {
      units_.push_back(
          std::make_unique<Unit>(i, *shared_, server_options(config_, max_connections)));
    }
    resolver_.emplace(config_, [this](std::size_t app, const TargetList& targets) {
      const auto health = shared_->breakers.targets_changed(app, targets);
      for (const auto& unit : units_) {
        unit->worker.post(
            [&gateway = unit->gateway, app, health] { gateway.update_targets(app, health); });
      }
      upstream_check_.update(app, targets);
      health_checker_.update(app, health);
    });
    register_checks();
    register_metrics();
    shutdown_.on_shutdown(
        "flush-traces", [this] { flush_traces(); }, config_.shutdown.timeout);

    if (!config_.cache.file.empty()) {
      load_cache();
      shutdown_.on_shutdown(
          "save-cache", [this] { save_cache(); }, config_.shutdown.timeout);
    }

    std::vector<std::string> bound;
    for (const auto& sockets : *listeners) {
      bound.push_back(http::describe_listener(sockets.front()));
      for (unsigned i = 0; i < workers; ++i) {
        units_[i]->worker.post(
            [&server = units_[i]->server, fd = sockets[i]] { server.listen(fd); });
      }
    }
    for (const auto& unit : units_) unit->start();
    shared_->lifecycle.store(Lifecycle::serving, std::memory_order_release);
    const std::string banner = ::isatty(STDOUT_FILENO) != 0 ? banner_text(config_, bound, workers)
                                                            : banner_json(config_, bound, workers);
    std::fputs(banner.c_str(), stdout);
    std::fflush(stdout);

    wait_for_end();
    return shut_down();
  }

 private:
  void start_demo() {
    demo_.emplace();
    auto sockets = http::listen_tcp("127.0.0.1", 0, 1);
    if (!sockets) return;
    const std::string place = http::describe_listener(sockets->front());
    demo_->worker.post([this, fd = sockets->front()] { demo_->server.listen(fd); });
    demo_->thread = std::thread([this] { demo_->worker.run(); });
    AppConfig app;
    app.name = "demo";
    apply_defaults(config_, app);
    app.targets.push_back({.host = "127.0.0.1",
                           .port = static_cast<std::uint16_t>(std::strtoul(
                               place.substr(place.rfind(':') + 1).c_str(), nullptr, 10)),
                           .path = {},
                           .url = "http://" + place});
    config_.apps.push_back(std::move(app));
  }

  void register_checks() {
    health_.add("memory", {}, check_memory);
    health_.add("eventLoop", {.required = true}, [this] { return check_loops(units_); });
    health_.add("upstreams", {.required = true}, [this] { return upstream_check_.run(); });
    health_.add("breakers", {}, [this] { return shared_->breakers.check(); });
    if (shared_->tracing.http() != nullptr) {
      health_.add("tracing", {}, [this] { return shared_->tracing.check(); });
    }
  }

  void register_metrics() {
    metrics::Registry& registry = shared_->metrics.registry;
    http::ServerCounters& server = shared_->server_counters;
    registry.gauge_callback("http_connections_active", "Open client connections.", [&server] {
      return static_cast<double>(server.connections.load(std::memory_order_relaxed));
    });
    registry.add_collector("tracing",
                           [this](metrics::Collection& out) { shared_->tracing.collect(out); });
    registry.add_collector("health_checks",
                           [this](metrics::Collection& out) { health_checker_.collect(out); });
    registry.add_collector("gateway", [this](metrics::Collection& out) { collect(out); });
  }

  void collect(metrics::Collection& out) {
    const http::ServerCounters& server = shared_->server_counters;
    out.counter("tyaprover_connections_accepted_total", "Client connections accepted.",
                server.accepted.load(std::memory_order_relaxed));
    out.counter("tyaprover_connections_rejected_total",
                "Client connections refused because there were too many.",
                server.rejected.load(std::memory_order_relaxed));
    out.counter("tyaprover_accept_errors_total",
                "Times that accepting paused, for example for want of descriptors.",
                server.accept_errors.load(std::memory_order_relaxed));
    out.counter("tyaprover_log_lines_total", "Access log lines taken.", log_writer_->lines());
    out.counter("tyaprover_log_lines_dropped_total",
                "Access log lines lost because the log's place was too slow or full.",
                log_writer_->dropped());

    std::uint64_t responses = 0;
    std::uint64_t bytes_in = 0;
    std::uint64_t bytes_out = 0;
    Nanos largest_lag{};
    const auto seconds = [](Nanos time) { return std::chrono::duration<double>(time).count(); };
    for (const auto& unit : units_) {
      const filters::CompressionStats& stats = unit->gateway.compression_stats();
      responses += stats.responses.load(std::memory_order_relaxed);
      bytes_in += stats.bytes_in.load(std::memory_order_relaxed);
      bytes_out += stats.bytes_out.load(std::memory_order_relaxed);
      const Nanos lag = unit->worker.lag();
      largest_lag = std::max(largest_lag, lag);
      out.shown_in(metrics::ShownIn::prometheus_only);
      out.gauge("event_loop_lag_seconds", "How late a worker's 100 ms timer was.", seconds(lag),
                {{"worker", std::to_string(unit->worker.index())}});
      out.unit("seconds");
      out.shown_in(metrics::ShownIn::always);
    }
    out.counter("tyaprover_compression_responses_total", "Responses that were compressed.",
                responses);
    out.counter("tyaprover_compression_input_bytes_total", "Bytes before compression.", bytes_in);
    out.counter("tyaprover_compression_output_bytes_total", "Bytes after compression.", bytes_out);
    out.shown_in(metrics::ShownIn::seed_only);
    out.gauge("process_event_loop_lag_ms", "How late the latest worker's 100 ms timer was.",
              seconds(largest_lag) * 1000);
  }

  // Serving does not wait for a slow disk: what is not there yet is missed until it is.
  void load_cache() {
    cache_loaded_ = std::async(std::launch::async, [this] {
      std::ifstream file(config_.cache.file, std::ios::binary);
      if (!file) return;  // the first start
      const auto loaded = shared_->responses.load(file);
      if (loaded) {
        log_event(LogLevel::info, "cache read", {{"responses", std::to_string(*loaded)}});
      } else {
        log_event(LogLevel::warn, "the cache's file is of no use; starting empty",
                  {{"file", config_.cache.file},
                   {"what", to_string(loaded.error().kind)},
                   {"position", std::to_string(loaded.error().position)}});
      }
    });
    constexpr auto kLongest = 5s;
    cache_loaded_.wait_for(kLongest);
  }

  void save_cache() {
    cache_loaded_.wait();
    // A file that is there stays whole until the new one is.
    const std::string fresh = config_.cache.file + ".new";
    const int made = ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (made >= 0) ::close(made);
    std::ofstream file(fresh, std::ios::binary | std::ios::trunc);
    const auto saved = shared_->responses.save(file);
    file.close();
    if (!saved || !file || std::rename(fresh.c_str(), config_.cache.file.c_str()) != 0) {
      log_event(LogLevel::warn, "the cache could not be written", {{"file", config_.cache.file}});
    }
  }

  void flush_traces() {
    // A collector that does not answer must not hold the process longer than this.
    const trace::FlushResult result = shared_->tracing.shutdown(config_.shutdown.timeout / 3);
    if (result.dropped + result.remaining > 0) {
      log_event(LogLevel::warn, "spans were lost at the end",
                {{"lost", std::to_string(result.dropped + result.remaining)},
                 {"delivered", std::to_string(result.delivered)}});
    }
  }

  // A signal within `time`, or 0.
  int next_signal(Nanos time) {
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(time);
    const timespec wait{static_cast<time_t>(seconds.count()),
                        static_cast<long>((time - seconds).count())};
    const int signal = ::sigtimedwait(&signals_, nullptr, &wait);
    if (signal == SIGUSR1) {
      log_writer_->reopen();
      log_event(LogLevel::info, "access log reopened");
      return 0;
    }
    if (signal == SIGHUP) {
      log_event(LogLevel::warn,
                "SIGHUP ignored: this version reads its configuration at start only");
      return 0;
    }
    return std::max(signal, 0);
  }

  // Until the first signal to end; meanwhile looks after the workers (R9.4) and compares targets.
  void wait_for_end() {
    TimePoint next_comparison = SteadyClock::instance().now() + kComparison;
    while (next_signal(1s) == 0) {
      const TimePoint now = SteadyClock::instance().now();
      if (now >= next_comparison) {
        shared_->breakers.compare_targets(now);
        next_comparison = now + kComparison;
      }
      for (const auto& unit : units_) {
        const Nanos silent = now - unit->worker.last_turn();
        if (silent > kStalled && !unit->stall_reported) {
          log_event(LogLevel::error, "a worker's event loop has not turned for 5 s",
                    {{"worker", std::to_string(unit->worker.index())}});
        }
        unit->stall_reported = silent > kStalled;
      }
    }
  }

  // Waits until `ready`, the deadline, or a signal; a signal ends the process at once.
  bool wait_until(SteadyTime deadline, const std::function<bool()>& ready) {
    while (!ready()) {
      if (std::chrono::steady_clock::now() >= deadline) return false;
      if (next_signal(10ms) != 0) end_now();
    }
    return true;
  }

  [[noreturn]] void end_now() {
    log_event(LogLevel::warn, "second signal: ending now",
              {{"connections", std::to_string(shared_->server_counters.connections.load())}});
    log_writer_->flush(100ms);
    std::_Exit(1);
  }

  int shut_down() {
    const SteadyTime deadline = std::chrono::steady_clock::now() + config_.shutdown.timeout;
    log_event(LogLevel::info, "shutting down: draining");
    shared_->lifecycle.store(Lifecycle::draining, std::memory_order_release);
    for (const auto& unit : units_) {
      unit->worker.post([&server = unit->server] { server.announce_close(); });
    }
    const Nanos delay = config_.shutdown.delay.value_or(
        std::getenv("KUBERNETES_SERVICE_HOST") != nullptr ? Nanos(5s) : Nanos(0));
    wait_until(std::min(deadline, std::chrono::steady_clock::now() + delay), [] { return false; });

    for (const auto& unit : units_) {
      unit->worker.post([&u = *unit] {
        u.server.stop_listening([&u] {
          u.listening = false;
          u.server.drain([&u] { u.empty = true; });
        });
      });
    }
    const auto all_empty = [this] {
      return std::all_of(units_.begin(), units_.end(),
                         [](const auto& u) { return u->empty.load(); });
    };
    const bool graceful = wait_until(deadline, all_empty);
    if (!graceful) cut(all_empty);
    end_fills();

    const auto handler_deadline =
        std::max(deadline, std::chrono::steady_clock::now() + std::chrono::seconds(1));
    for (const auto& outcome : shutdown_.run_handlers(handler_deadline)) {
      if (!outcome.in_time) {
        log_event(LogLevel::warn, "a shutdown handler did not end in time",
                  {{"name", outcome.name}});
      } else if (!outcome.error.empty()) {
        log_event(LogLevel::warn, "a shutdown handler failed",
                  {{"name", outcome.name}, {"what", outcome.error}});
      }
    }
    log_event(LogLevel::info, graceful ? "shut down" : "shut down by force");
    for (const auto& path : config_.listen) {
      const auto address = parse_listen_address(path);
      if (address && address->kind == ListenAddress::Kind::unix_socket)
        ::unlink(address->path.c_str());
    }
    if (!all_empty() || !fills_ended()) {
      // A connection that does not even end when it is cut holds its worker; the process ends all
      // the same.
      log_writer_->flush(1s);
      std::_Exit(1);
    }
    resolver_.reset();
    for (const auto& unit : units_) unit->worker.stop();
    for (const auto& unit : units_) unit->thread.join();
    demo_.reset();
    log_writer_->flush(1s);
    return graceful ? 0 : 1;
  }

  // Requests of the cache that no client waits for. A worker that does not answer is left to the
  // end of the process.
  void end_fills() {
    for (const auto& unit : units_) {
      unit->fills_ended = false;
      unit->worker.post([&u = *unit] { u.end_fills(); });
    }
    wait_until(std::chrono::steady_clock::now() + 1s, [this] { return fills_ended(); });
  }
  [[nodiscard]] bool fills_ended() const {
    return std::all_of(units_.begin(), units_.end(),
                       [](const auto& u) { return u->fills_ended.load(); });
  }

  void cut(const std::function<bool()>& all_empty) {
    std::atomic<std::size_t> requests{0};
    std::atomic<std::size_t> workers_done{0};
    for (const auto& unit : units_) {
      unit->worker.post([&server = unit->server, &requests, &workers_done] {
        requests += server.close_all();
        ++workers_done;
      });
    }
    const SteadyTime soon = std::chrono::steady_clock::now() + 2s;
    // A worker that does not answer holds references to this frame's counters: give up with the
    // process.
    if (!wait_until(soon, [&] { return workers_done == units_.size(); })) {
      log_event(LogLevel::error, "a worker does not answer; ending the process");
      std::_Exit(1);
    }
    log_event(LogLevel::warn, "shutdown time is over: connections cut",
              {{"requests", std::to_string(requests.load())}});
    wait_until(soon, all_empty);
  }

  Config config_;
  const RunOptions options_;
  const sigset_t signals_;
  GracefulShutdown shutdown_;
  std::optional<filters::AccessLogWriter> log_writer_;
  UpstreamCheck upstream_check_{config_};
  HealthChecker health_checker_{config_};
  std::optional<Demo> demo_;
  std::unique_ptr<GatewayShared> shared_;
  std::vector<std::unique_ptr<Unit>> units_;
  std::future<void> cache_loaded_;
  HealthChecks health_;  // after what its checks look at
  std::optional<Resolver> resolver_;
};

}  // namespace

int run_gateway(LoadedConfig loaded, const RunOptions& options) {
  // Before any thread is there, the members' own included: a thread that does not block a signal
  // may be the one that gets it, and then it ends the process.
  sigset_t signals;
  ::sigemptyset(&signals);
  for (const int signal : {SIGTERM, SIGINT, SIGUSR1, SIGHUP}) ::sigaddset(&signals, signal);
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  return std::make_unique<Gateway>(std::move(loaded), options, signals)->run();
}

}  // namespace tyaprover::gateway
