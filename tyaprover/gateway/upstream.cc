#include "tyaprover/gateway/upstream.h"

#include <netdb.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <limits>

#include "tyaprover/base/ids.h"
#include "tyaprover/http/address.h"
#include "tyaprover/http/worker.h"
#include "tyaprover/resilience/backoff.h"

namespace tyaprover::gateway {
namespace {

// Of a target's usual requests, right after it came back.
constexpr double kFirstShare = 0.05;
// In place of a count.
constexpr std::uint32_t kNoCandidate = std::numeric_limits<std::uint32_t>::max();

std::string with_port(std::string_view host, std::uint16_t port) {
  const bool v6 = host.find(':') != std::string_view::npos;
  std::string text = v6 ? "[" + std::string(host) + "]" : std::string(host);
  return text + ":" + std::to_string(port);
}

std::string authority_of(const Target& target) {
  if (target.unix_socket) return "localhost";
  std::string text = with_port(target.host, target.port);
  if (target.port == 80) text.resize(text.size() - 3);
  return text;
}

}  // namespace

double TargetState::share(TimePoint now, Nanos slow_start) const noexcept {
  const TimePoint::rep back_at = back_at_.load(std::memory_order_relaxed);
  if (back_at == 0) return 1;
  const auto since = static_cast<double>(now.time_since_epoch().count() - back_at);
  const auto whole = static_cast<double>(slow_start.count());
  return since >= whole ? 1 : std::max(kFirstShare, since / whole);
}

TargetList resolve_target(const Target& target, std::string& problem) {
  TargetList list;
  if (target.unix_socket) {
    list.push_back(std::make_shared<const UpstreamTarget>(
        UpstreamTarget{http::Endpoint::unix_path(target.path), "unix:" + target.path,
                       authority_of(target), target.url, target.path, 0, target.weight}));
    return list;
  }
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int failure =
      ::getaddrinfo(target.host.c_str(), std::to_string(target.port).c_str(), &hints, &found);
  if (failure != 0) {
    problem = "cannot resolve " + target.host + ": " + ::gai_strerror(failure);
    return list;
  }
  for (const addrinfo* info = found; info != nullptr; info = info->ai_next) {
    UpstreamTarget one;
    std::memcpy(&one.endpoint.address, info->ai_addr, info->ai_addrlen);
    one.endpoint.size = info->ai_addrlen;
    one.host = http::PeerAddress(info->ai_addr, info->ai_addrlen).text();
    one.port = target.port;
    one.address = with_port(one.host, target.port);
    one.authority = authority_of(target);
    one.url = target.url;
    one.weight = target.weight;
    list.push_back(std::make_shared<const UpstreamTarget>(std::move(one)));
  }
  ::freeaddrinfo(found);
  return list;
}

WorkerUpstream::WorkerUpstream(http::Worker& worker, const AppConfig& app, SharedUpstream& shared,
                               const http::ClientOptions& options, UpstreamMetrics& metrics,
                               Breakers& breakers, resilience::CircuitBreaker& app_breaker)
    : worker_(worker),
      app_(app),
      shared_(shared),
      options_(options),
      metrics_(metrics),
      breaker_(worker, app, breakers, app_breaker) {
  if (app.balance == Balance::consistent_hash) hash_by_ = HashBy::parse(app.hash_by);
}

void WorkerUpstream::update(const std::shared_ptr<PassiveHealth>& health) {
  std::vector<std::unique_ptr<WorkerTarget>> updated;
  for (const auto& target : health->targets()) {
    const auto same = std::find_if(targets_.begin(), targets_.end(), [&](const auto& known) {
      return known != nullptr && same_place(*known->target, *target);
    });
    if (same != targets_.end()) {
      updated.push_back(std::move(*same));
    } else {
      updated.push_back(std::make_unique<WorkerTarget>(target, worker_, app_, options_, metrics_));
    }
    updated.back()->standing = {.health = health, .number = updated.size() - 1};
  }
  for (auto& gone : targets_) {
    if (gone != nullptr) retired_.push_back(std::move(gone));
  }
  std::erase_if(retired_, [](const auto& target) {
    return target->pool.in_use() == 0 && target->waiting == 0;
  });
  const bool first = targets_.empty();
  targets_ = std::move(updated);
  // Workers begin at different targets.
  if (first && !targets_.empty()) targets_[worker_.index() % targets_.size()]->load.turn = 1;
  if (hash_by_) {
    std::vector<resilience::ConsistentHash::Target> ids;
    for (const auto& target : targets_) {
      ids.push_back({target->target->address, target->load.weight});
    }
    ring_.emplace(ids);
  }
}

std::optional<std::uint64_t> WorkerUpstream::hash_of(
    const http::Exchange& exchange) const noexcept {
  return hash_by_ ? gateway::hash_of(*hash_by_, exchange) : std::nullopt;
}

WorkerTarget* WorkerUpstream::pick(std::span<WorkerTarget* const> tried,
                                   std::optional<std::uint64_t> hash) {
  if (targets_.size() == 1) {
    WorkerTarget& only = *targets_.front();
    return tried.empty() && only.target->state->is_healthy() ? &only : nullptr;
  }
  const TimePoint now = worker_.now();
  candidates_.clear();
  candidate_targets_.clear();
  for (const bool first_choice : {true, false}) {
    for (const auto& target : targets_) {
      if (std::find(tried.begin(), tried.end(), target.get()) != tried.end()) continue;
      if (!target->target->state->is_healthy()) continue;
      if (first_choice && !is_first_choice(*target, now)) continue;
      candidates_.push_back({&target->load, target->pool.in_use()});
      candidate_targets_.push_back(target.get());
    }
    if (!candidates_.empty()) break;
  }
  if (candidates_.empty()) return nullptr;
  if (candidates_.size() == 1) return candidate_targets_.front();
  switch (app_.balance) {
    case Balance::round_robin:
      return candidate_targets_[pick_round_robin(candidates_)];
    case Balance::random:
      return candidate_targets_[pick_random(candidates_)];
    case Balance::consistent_hash:
      // A request without the key may go anywhere.
      if (hash) return pick_by_hash(*hash);
      break;
    case Balance::p2c:
      break;
  }
  return candidate_targets_[pick_p2c(candidates_, now)];
}

bool WorkerUpstream::is_first_choice(const WorkerTarget& target, TimePoint now) const noexcept {
  if (target.target->state->is_full() ||
      !target.standing.health->is_usable(target.standing.number, now)) {
    return false;
  }
  const double share = target.target->state->share(now, app_.health_check.slow_start);
  return share >= 1 || resilience::unit_interval(random_u64()) < share;
}

WorkerTarget* WorkerUpstream::pick_by_hash(std::uint64_t hash) {
  in_flight_.assign(targets_.size(), kNoCandidate);
  std::size_t at = 0;
  for (std::size_t i = 0; i < targets_.size(); ++i) {
    if (at < candidate_targets_.size() && candidate_targets_[at] == targets_[i].get()) {
      in_flight_[i] = static_cast<std::uint32_t>(candidates_[at++].in_flight);
    }
  }
  const auto picked = ring_->pick(hash, in_flight_,
                                  [this](std::size_t i) { return in_flight_[i] != kNoCandidate; });
  return targets_[*picked].get();
}

}  // namespace tyaprover::gateway
