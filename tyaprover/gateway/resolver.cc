#include "tyaprover/gateway/resolver.h"

#include <arpa/inet.h>

#include <algorithm>

#include "tyaprover/gateway/log.h"

namespace tyaprover::gateway {
namespace {

bool needs_lookup(const Target& target) {
  if (target.unix_socket) return false;
  unsigned char bytes[16];
  return ::inet_pton(AF_INET, target.host.c_str(), bytes) != 1 &&
         ::inet_pton(AF_INET6, target.host.c_str(), bytes) != 1;
}

bool is_same(const UpstreamTarget& a, const UpstreamTarget& b) {
  return a.endpoint == b.endpoint && a.url == b.url;
}

bool same_addresses(const TargetList& a, const TargetList& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const auto& x, const auto& y) { return is_same(*x, *y); });
}

// Each app knows its targets by itself: two apps may judge one address differently. What stays in
// an app's list stays the same object, with all that is known of it.
void take_known(const AppConfig& app, const TargetList& before, TargetList& list) {
  for (auto& target : list) {
    const auto known = std::find_if(before.begin(), before.end(),
                                    [&](const auto& one) { return is_same(*one, *target); });
    if (known != before.end()) {
      target = *known;
      continue;
    }
    UpstreamTarget own = *target;
    own.state = std::make_shared<TargetState>(app);
    target = std::make_shared<const UpstreamTarget>(std::move(own));
  }
}

}  // namespace

Resolver::Resolver(const Config& config, Publish publish)
    : config_(config), publish_(std::move(publish)), published_(config.apps.size()) {
  refresh();
  const bool names = std::any_of(config.apps.begin(), config.apps.end(), [](const AppConfig& app) {
    return std::any_of(app.targets.begin(), app.targets.end(), needs_lookup);
  });
  if (names) thread_ = std::thread([this] { run(); });
}

Resolver::~Resolver() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void Resolver::run() {
  std::unique_lock lock(mutex_);
  while (!changed_.wait_for(lock, kInterval, [this] { return stop_; })) {
    lock.unlock();
    refresh();
    lock.lock();
  }
}

void Resolver::refresh() {
  for (std::size_t i = 0; i < config_.apps.size(); ++i) {
    TargetList list;
    for (const Target& target : config_.apps[i].targets) {
      std::string problem;
      TargetList found = resolve_target(target, problem);
      bool& failing = failing_[target.url];
      if (found.empty()) {
        if (!failing) log_event(LogLevel::warn, problem, {{"target", target.url}});
        failing = true;
        found = known_[target.url];
      } else {
        if (failing) log_event(LogLevel::info, "the name resolves again", {{"target", target.url}});
        failing = false;
        // The order of DNS answers changes from one to the next; ours must not, or nothing would
        // look the same.
        std::sort(found.begin(), found.end(),
                  [](const auto& a, const auto& b) { return a->address < b->address; });
        known_[target.url] = found;
      }
      list.insert(list.end(), found.begin(), found.end());
    }
    if (!same_addresses(published_[i], list)) {
      take_known(config_.apps[i], published_[i], list);
      published_[i] = list;
      publish_(i, list);
    }
  }
}

}  // namespace tyaprover::gateway
