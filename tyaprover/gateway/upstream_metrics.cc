#include "tyaprover/gateway/upstream_metrics.h"

#include <algorithm>

namespace tyaprover::gateway {

TargetMetrics::TargetMetrics(const UpstreamMetrics& metrics, std::string app, std::string target)
    : metrics_(&metrics),
      app_(std::move(app)),
      target_(std::move(target)),
      first_byte_(metrics.first_byte_.with({app_, target_})) {}

void TargetMetrics::finished(int status, http::Reason reason, Nanos waited) noexcept {
  if (waited >= Nanos(0)) first_byte_.observe(waited);
  if (reason == http::Reason::none) {
    const auto index = static_cast<std::size_t>(std::clamp(status / 100, 1, 5) - 1);
    if (!class_seen_[index]) {
      const char label[] = {static_cast<char>('1' + index), 'x', 'x'};
      by_class_[index] = metrics_->requests_.with({app_, target_, std::string_view(label, 3)});
      class_seen_[index] = true;
    }
    by_class_[index].inc();
    return;
  }
  auto known = std::find_if(by_reason_.begin(), by_reason_.end(),
                            [reason](const auto& seen) { return seen.first == reason; });
  if (known == by_reason_.end()) {
    known = by_reason_.emplace(known, reason,
                               metrics_->requests_.with({app_, target_, http::to_string(reason)}));
  }
  known->second.inc();
}

UpstreamMetrics::UpstreamMetrics(metrics::Registry& registry)
    : requests_(registry.counter(
          "tyaprover_upstream_requests_total",
          "Requests sent to a target, retries included, by status class or reason of failure.",
          {"app", "target", "result"})),
      first_byte_(
          registry.histogram("tyaprover_upstream_first_byte_seconds",
                             "From the connection to the target to the first byte of its response.",
                             {.labels = {"app", "target"}, .durations = true, .unit = "seconds"})) {
  registry.add_collector("upstream_pools", [this](metrics::Collection& out) { collect(out); });
}

std::unique_ptr<TargetMetrics> UpstreamMetrics::target(
    std::string_view app, std::string_view target, std::shared_ptr<const http::PoolCounters> pool) {
  const std::lock_guard lock(mutex_);
  pools_.push_back({{std::string(app), std::string(target)}, std::move(pool)});
  return std::unique_ptr<TargetMetrics>(
      new TargetMetrics(*this, std::string(app), std::string(target)));
}

void UpstreamMetrics::collect(metrics::Collection& out) {
  std::map<Place, Sums> sums;
  {
    const std::lock_guard lock(mutex_);
    const auto add = [](Sums& to, const http::PoolCounters& from) {
      to.created += from.created.load(std::memory_order_relaxed);
      to.reused += from.reused.load(std::memory_order_relaxed);
      to.idle += from.idle.load(std::memory_order_relaxed);
      to.in_use += from.in_use.load(std::memory_order_relaxed);
    };
    // Only this list knows it any more: its pool is gone, what it has counted stays.
    std::erase_if(pools_, [&](const Pool& pool) {
      if (pool.counters.use_count() > 1) return false;
      add(gone_[pool.place], *pool.counters);
      return true;
    });
    sums = gone_;
    for (const Pool& pool : pools_) add(sums[pool.place], *pool.counters);
  }
  for (const auto& [place, sum] : sums) {
    const auto& [app, target] = place;
    out.counter("tyaprover_upstream_connections_created_total", "Connections made to a target.",
                sum.created, {{"app", app}, {"target", target}});
    out.counter("tyaprover_upstream_connections_reused_total",
                "Requests that found an idle connection in the pool.", sum.reused,
                {{"app", app}, {"target", target}});
    out.gauge("tyaprover_upstream_connections", "Connections to a target, by state.",
              static_cast<double>(sum.idle), {{"app", app}, {"target", target}, {"state", "idle"}});
    out.gauge("tyaprover_upstream_connections", "Connections to a target, by state.",
              static_cast<double>(sum.in_use),
              {{"app", app}, {"target", target}, {"state", "in_use"}});
  }
}

}  // namespace tyaprover::gateway
