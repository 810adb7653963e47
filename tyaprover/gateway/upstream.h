// Upstreams: the addresses of an app's targets, which of them takes the next request, and the
// connections to them.
//
// UpstreamTarget and TargetList are read-only and shared between workers. WorkerUpstream belongs to
// one worker and owns that worker's pools; names are resolved elsewhere (resolver.h) and arrive as
// a new TargetList.
//
//   WorkerUpstream upstream(worker, app, options, metrics);
//   WorkerTarget* target = upstream.pick(tried);
//   http::ClientConnection* connection = target->pool.take();
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "tyaprover/gateway/config.h"
#include "tyaprover/gateway/upstream_metrics.h"
#include "tyaprover/http/client.h"
#include "tyaprover/http/stream.h"

namespace tyaprover::gateway {

// One address to connect to. A host name with several addresses gives several (R6.7).
struct UpstreamTarget {
  http::Endpoint endpoint;
  std::string address;     // "127.0.0.1:8080", "unix:/run/app.sock": for logs
  std::string authority;   // Host when upstream.host is `target`
  std::string url;         // as configured
  std::string host = {};   // of the address, or the path of the unix socket
  std::uint16_t port = 0;  // 0: a unix socket
};
using TargetList = std::vector<std::shared_ptr<const UpstreamTarget>>;

// The addresses of one configured target; blocks on the resolver when it is a name. Empty: not
// found, and `problem` says why.
[[nodiscard]] TargetList resolve_target(const Target& target, std::string& problem);

struct WorkerTarget {
  WorkerTarget(std::shared_ptr<const UpstreamTarget> t, http::Worker& worker, const AppConfig& app,
               const http::ClientOptions& options, UpstreamMetrics& upstream_metrics)
      : target(std::move(t)),
        pool(worker, options),
        metrics(upstream_metrics.target(app.name, target->address, pool.counters())) {}

  std::shared_ptr<const UpstreamTarget> target;
  http::ConnectionPool pool;
  std::unique_ptr<TargetMetrics> metrics;
  // Passed over until then, when another target is there: its last connect failed.
  TimePoint avoid_until{};
};

class WorkerUpstream {
 public:
  // Borrows all but the options.
  WorkerUpstream(http::Worker& worker, const AppConfig& app, const http::ClientOptions& options,
                 UpstreamMetrics& metrics);

  // Takes over a resolved list; pools of addresses that stay are kept.
  void update(const TargetList& targets);

  // The target for the next try, by the app's balancing; never one of `tried`. Null when none is
  // left.
  [[nodiscard]] WorkerTarget* pick(std::span<WorkerTarget* const> tried);
  void note_connect_failure(WorkerTarget& target) noexcept;
  void note_connect_success(WorkerTarget& target) noexcept { target.avoid_until = {}; }

  [[nodiscard]] std::size_t size() const noexcept { return targets_.size(); }
  [[nodiscard]] const AppConfig& app() const noexcept { return app_; }

 private:
  http::Worker& worker_;
  const AppConfig& app_;
  const http::ClientOptions options_;
  UpstreamMetrics& metrics_;
  std::vector<std::unique_ptr<WorkerTarget>> targets_;
  std::vector<std::unique_ptr<WorkerTarget>> retired_;  // gone from the list, still in use
  std::vector<WorkerTarget*> candidates_;               // of the pick under way; keeps its capacity
  std::size_t next_ = 0;                                // round robin
};

}  // namespace tyaprover::gateway
