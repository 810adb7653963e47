#include "tyaprover/gateway/upstream.h"

#include <netdb.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>

#include "tyaprover/base/ids.h"
#include "tyaprover/http/address.h"
#include "tyaprover/http/worker.h"

namespace tyaprover::gateway {
namespace {

// How long a target whose connect failed is passed over while others are there.
constexpr Nanos kAvoid = std::chrono::seconds(1);

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

TargetList resolve_target(const Target& target, std::string& problem) {
  TargetList list;
  if (target.unix_socket) {
    list.push_back(std::make_shared<const UpstreamTarget>(
        UpstreamTarget{http::Endpoint::unix_path(target.path), "unix:" + target.path,
                       authority_of(target), target.url, target.path}));
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
    list.push_back(std::make_shared<const UpstreamTarget>(std::move(one)));
  }
  ::freeaddrinfo(found);
  return list;
}

WorkerUpstream::WorkerUpstream(http::Worker& worker, const AppConfig& app,
                               const http::ClientOptions& options, UpstreamMetrics& metrics)
    : worker_(worker), app_(app), options_(options), metrics_(metrics), next_(worker.index()) {}

void WorkerUpstream::update(const TargetList& targets) {
  std::vector<std::unique_ptr<WorkerTarget>> updated;
  for (const auto& target : targets) {
    const auto same = std::find_if(targets_.begin(), targets_.end(), [&](const auto& known) {
      return known != nullptr && known->target->endpoint == target->endpoint &&
             known->target->authority == target->authority;
    });
    if (same != targets_.end()) {
      updated.push_back(std::move(*same));
    } else {
      updated.push_back(std::make_unique<WorkerTarget>(target, worker_, app_, options_, metrics_));
    }
  }
  for (auto& gone : targets_) {
    if (gone != nullptr) retired_.push_back(std::move(gone));
  }
  std::erase_if(retired_, [](const auto& target) { return target->pool.in_use() == 0; });
  targets_ = std::move(updated);
}

WorkerTarget* WorkerUpstream::pick(std::span<WorkerTarget* const> tried) {
  if (targets_.size() == 1) {
    return tried.empty() ? targets_.front().get() : nullptr;
  }
  const TimePoint now = worker_.now();
  candidates_.clear();
  for (const bool avoid : {true, false}) {
    for (const auto& target : targets_) {
      if (std::find(tried.begin(), tried.end(), target.get()) != tried.end()) continue;
      if (avoid && target->avoid_until > now) continue;
      candidates_.push_back(target.get());
    }
    if (!candidates_.empty()) break;
  }
  const std::size_t n = candidates_.size();
  if (n == 0) return nullptr;
  if (n == 1) return candidates_.front();
  switch (app_.balance) {
    case Balance::round_robin:
      return candidates_[next_++ % n];
    case Balance::random:
      return candidates_[random_u64() % n];
    case Balance::p2c:
      break;
  }
  // The less busy of two different random ones: nearly as even as asking all, without herding.
  const std::uint64_t random = random_u64();
  const std::size_t i = (random & 0xffffffff) % n;
  const std::size_t j = (i + 1 + (random >> 32) % (n - 1)) % n;
  return candidates_[i]->pool.in_use() <= candidates_[j]->pool.in_use() ? candidates_[i]
                                                                        : candidates_[j];
}

void WorkerUpstream::note_connect_failure(WorkerTarget& target) noexcept {
  target.avoid_until = worker_.now() + kAvoid;
}

}  // namespace tyaprover::gateway
