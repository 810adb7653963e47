// Upstreams: the addresses of an app's targets, which of them takes the next request, and the
// connections to them.
//
// UpstreamTarget and TargetList are read-only and shared between workers. WorkerUpstream belongs to
// one worker and owns that worker's pools; names are resolved elsewhere (resolver.h) and arrive as
// a new TargetList.
//
//   WorkerUpstream upstream(worker, app, shared, options, metrics, breakers, breaker);
//   WorkerTarget* target = upstream.pick(tried, upstream.hash_of(exchange));
//   http::ClientConnection* connection = target->pool.take();
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "tyaprover/gateway/balancing.h"
#include "tyaprover/gateway/config.h"
#include "tyaprover/gateway/passive_health.h"
#include "tyaprover/gateway/shared_upstream.h"
#include "tyaprover/gateway/upstream_breaker.h"
#include "tyaprover/gateway/upstream_metrics.h"
#include "tyaprover/http/client.h"
#include "tyaprover/http/stream.h"
#include "tyaprover/resilience/consistent_hash.h"

namespace tyaprover::gateway {

// What all workers know of a target of an app. Thread-safe: relaxed atomics, as each value stands
// for itself and may be seen a moment late.
class TargetState {
 public:
  TargetState() = default;
  explicit TargetState(const AppConfig& app) {
    set_limit(limit_, app.concurrency.max_in_flight_per_target, app.concurrency);
  }

  [[nodiscard]] bool is_healthy() const noexcept {
    return healthy_.load(std::memory_order_relaxed);
  }
  void go_down() noexcept { healthy_.store(false, std::memory_order_relaxed); }
  void come_back(TimePoint now) noexcept {
    back_at_.store(now.time_since_epoch().count(), std::memory_order_relaxed);
    healthy_.store(true, std::memory_order_relaxed);
  }
  // The part of its usual share that it gets: it grows during `slow_start` after a return, from a
  // twentieth to 1.
  [[nodiscard]] double share(TimePoint now, Nanos slow_start) const noexcept;
  // Of the requests that it is given at once; null if there is none.
  [[nodiscard]] resilience::Bulkhead* limit() noexcept { return limit_ ? &*limit_ : nullptr; }
  [[nodiscard]] bool is_full() const noexcept { return limit_ && limit_->is_full(); }

 private:
  std::optional<resilience::Bulkhead> limit_;
  std::atomic<bool> healthy_{true};
  std::atomic<TimePoint::rep> back_at_{0};  // 0: it was never away
};

// One address to connect to. A host name with several addresses gives several (R6.7).
struct UpstreamTarget {
  http::Endpoint endpoint;
  std::string address;     // "127.0.0.1:8080", "unix:/run/app.sock": for logs
  std::string authority;   // Host when upstream.host is `target`
  std::string url;         // as configured
  std::string host = {};   // of the address, or the path of the unix socket
  std::uint16_t port = 0;  // 0: a unix socket
  unsigned weight = 1;
  std::shared_ptr<TargetState> state = std::make_shared<TargetState>();
};
// Whether what is known of the one holds for the other.
[[nodiscard]] inline bool same_place(const UpstreamTarget& a, const UpstreamTarget& b) {
  return a.endpoint == b.endpoint && a.authority == b.authority;
}

// The addresses of one configured target; blocks on the resolver when it is a name. Empty: not
// found, and `problem` says why.
[[nodiscard]] TargetList resolve_target(const Target& target, std::string& problem);

struct WorkerTarget {
  WorkerTarget(std::shared_ptr<const UpstreamTarget> t, http::Worker& worker, const AppConfig& app,
               const http::ClientOptions& options, UpstreamMetrics& upstream_metrics)
      : target(std::move(t)),
        pool(worker, options),
        metrics(upstream_metrics.target(app.name, target->address, pool.counters())) {
    load.weight = target->weight;
  }

  std::shared_ptr<const UpstreamTarget> target;
  http::ConnectionPool pool;
  std::unique_ptr<TargetMetrics> metrics;
  TargetLoad load;
  unsigned waiting = 0;  // requests that wait for a place there
  TargetStanding standing;
};

class WorkerUpstream {
 public:
  // Borrows all but the options.
  WorkerUpstream(http::Worker& worker, const AppConfig& app, SharedUpstream& shared,
                 const http::ClientOptions& options, UpstreamMetrics& metrics, Breakers& breakers,
                 resilience::CircuitBreaker& app_breaker);

  // Takes over the resolved list that `health` is about; pools of addresses that stay are kept.
  void update(const std::shared_ptr<PassiveHealth>& health);

  // What keeps the request together with others on one target; nothing unless the app balances by
  // consistent hash and the request has the key.
  [[nodiscard]] std::optional<std::uint64_t> hash_of(const http::Exchange& exchange) const noexcept;
  // The target for the next try, by the app's balancing; never one of `tried`, nor an unhealthy
  // one; one that is ejected or passed over only if there is no other. Null when none is left.
  // Allocates only until the longest list was seen.
  [[nodiscard]] WorkerTarget* pick(std::span<WorkerTarget* const> tried,
                                   std::optional<std::uint64_t> hash = {});

  [[nodiscard]] std::size_t size() const noexcept { return targets_.size(); }
  [[nodiscard]] const AppConfig& app() const noexcept { return app_; }
  [[nodiscard]] SharedUpstream& shared() noexcept { return shared_; }
  [[nodiscard]] UpstreamBreaker& breaker() noexcept { return breaker_; }
  // Where requests go while the breaker is open; null if nowhere.
  [[nodiscard]] WorkerUpstream* fallback() const noexcept { return fallback_; }
  void set_fallback(WorkerUpstream* fallback) noexcept { fallback_ = fallback; }

 private:
  [[nodiscard]] WorkerTarget* pick_by_hash(std::uint64_t hash);
  [[nodiscard]] bool is_first_choice(const WorkerTarget& target, TimePoint now) const noexcept;

  http::Worker& worker_;
  const AppConfig& app_;
  SharedUpstream& shared_;
  const http::ClientOptions options_;
  UpstreamMetrics& metrics_;
  UpstreamBreaker breaker_;  // before the connections, which tell it how responses end
  WorkerUpstream* fallback_ = nullptr;
  std::vector<std::unique_ptr<WorkerTarget>> targets_;
  std::vector<std::unique_ptr<WorkerTarget>> retired_;  // gone from the list, still in use
  std::optional<HashBy> hash_by_;
  std::optional<resilience::ConsistentHash> ring_;  // of targets_, when the app balances by it
  // Of the pick under way; they keep their capacity.
  std::vector<Candidate> candidates_;
  std::vector<WorkerTarget*> candidate_targets_;
  std::vector<std::uint32_t> in_flight_;  // by target
};

}  // namespace tyaprover::gateway
