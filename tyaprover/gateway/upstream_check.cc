#include "tyaprover/gateway/upstream_check.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>

namespace tyaprover::gateway {
namespace {

constexpr std::chrono::milliseconds kConnectTime{2000};

// One connect under way.
struct Probe {
  std::size_t app = 0;
  const UpstreamTarget* target = nullptr;
  int fd = -1;
  bool accepted = false;
};

void start(Probe& probe) {
  const auto* const address = reinterpret_cast<const sockaddr*>(&probe.target->endpoint.address);
  probe.fd = ::socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (probe.fd < 0) return;
  if (::connect(probe.fd, address, probe.target->endpoint.size) == 0) {
    probe.accepted = true;
  } else if (errno == EINPROGRESS) {
    return;
  }
  ::close(probe.fd);
  probe.fd = -1;
}

void wait_for(std::vector<Probe>& probes) {
  const auto deadline = std::chrono::steady_clock::now() + kConnectTime;
  for (;;) {
    std::vector<pollfd> waiting;
    std::vector<Probe*> owners;
    for (Probe& probe : probes) {
      if (probe.fd < 0) continue;
      waiting.push_back({probe.fd, POLLOUT, 0});
      owners.push_back(&probe);
    }
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        deadline - std::chrono::steady_clock::now());
    if (waiting.empty()) return;
    const bool over = left.count() <= 0 ||
                      ::poll(waiting.data(), waiting.size(), static_cast<int>(left.count())) <= 0;
    for (std::size_t i = 0; i < waiting.size(); ++i) {
      if (!over && waiting[i].revents == 0) continue;
      int error = ETIMEDOUT;
      socklen_t size = sizeof error;
      if (!over) ::getsockopt(waiting[i].fd, SOL_SOCKET, SO_ERROR, &error, &size);
      owners[i]->accepted = error == 0;
      ::close(waiting[i].fd);
      owners[i]->fd = -1;
    }
    if (over) return;
  }
}

std::string quoted(const std::string& text) {
  return "\"" + text + "\"";
}

}  // namespace

void UpstreamCheck::update(std::size_t app, const TargetList& targets) {
  const std::lock_guard lock(mutex_);
  if (targets_.size() < config_.apps.size()) targets_.resize(config_.apps.size());
  targets_[app] = targets;
}

CheckResult UpstreamCheck::run() {
  std::vector<TargetList> targets;
  {
    const std::lock_guard lock(mutex_);
    targets = targets_;
  }
  targets.resize(config_.apps.size());
  std::vector<Probe> probes;
  for (std::size_t app = 0; app < targets.size(); ++app) {
    for (const auto& target : targets[app]) {
      const bool checked = config_.apps[app].health_check.enabled;
      probes.push_back({app, target.get(), -1, checked && target->state->is_healthy()});
      if (!checked) start(probes.back());
    }
  }
  wait_for(probes);

  CheckResult result;
  std::string down;
  std::string partly;
  for (std::size_t i = 0; i < config_.apps.size(); ++i) {
    const AppConfig& app = config_.apps[i];
    std::size_t up = 0;
    for (const Target& target : app.targets) {
      up += std::any_of(probes.begin(), probes.end(), [&](const Probe& probe) {
        return probe.app == i && probe.accepted && probe.target->url == target.url;
      });
    }
    result.figures.emplace_back(
        app.name, quoted(std::to_string(up) + "/" + std::to_string(app.targets.size())));
    std::string* const list = up == 0 ? &down : up < app.targets.size() ? &partly : nullptr;
    if (list != nullptr) *list += (list->empty() ? "" : ", ") + app.name;
  }
  if (!down.empty()) {
    result.status = HealthStatus::unhealthy;
    result.detail = "no target accepts connections or is healthy: " + down;
  } else if (!partly.empty()) {
    result.status = HealthStatus::degraded;
    result.detail = "some targets accept no connections or are unhealthy: " + partly;
  }
  return result;
}

}  // namespace tyaprover::gateway
