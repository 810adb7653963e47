#include "tyaprover/gateway/health_checker.h"

#include <algorithm>
#include <string>
#include <thread>
#include <utility>

#include "tyaprover/base/ids.h"
#include "tyaprover/gateway/log.h"
#include "tyaprover/gateway/tunnel.h"
#include "tyaprover/http/client.h"
#include "tyaprover/http/task.h"
#include "tyaprover/http/worker.h"
#include "tyaprover/resilience/backoff.h"

namespace tyaprover::gateway {
namespace {

using http::IoError;
using http::ReadHead;
using http::Task;

// The share by which an interval is scattered: gateways that began together do not go on together.
constexpr double kScatter = 0.1;

http::ClientOptions client_options(const HealthCheckConfig& check) {
  return {.buffer = 4 * 1024, .write = check.timeout, .max_idle = 0};
}

}  // namespace

// One target and the coroutine that asks it. Lives on the checker's thread.
class HealthChecker::Watch : public std::enable_shared_from_this<Watch> {
 public:
  Watch(http::Worker& worker, const AppConfig& app, std::shared_ptr<const UpstreamTarget> target)
      : worker_(worker),
        app_(app),
        target_(std::move(target)),
        pool_(worker, client_options(app.health_check)),
        pause_([this] { wake_.set(); }) {
    const std::string& host = app.host_header;
    const bool own = host == "keep" || host == "target";
    request_ = "GET " + app.health_check.path +
               " HTTP/1.1\r\nHost: " + (own ? target_->authority : host) +
               "\r\nUser-Agent: tyaprover-health-check\r\nConnection: close\r\n\r\n";
  }

  [[nodiscard]] const AppConfig& app() const noexcept { return app_; }
  [[nodiscard]] const UpstreamTarget* target() const noexcept { return target_.get(); }
  [[nodiscard]] bool ended() const noexcept { return ended_; }
  void set_standing(TargetStanding standing) { standing_ = std::move(standing); }

  void start() { http::spawn(run(shared_from_this())); }
  void stop() {
    stopped_ = true;
    if (connection_ != nullptr) connection_->abort();
    wake_.set();
  }

 private:
  static Task<void> run(std::shared_ptr<Watch> self) {
    Watch& w = *self;
    const HealthCheckConfig& check = w.app_.health_check;
    while (!w.stopped_) {
      const TimePoint begun = w.worker_.now();
      const std::string problem = co_await w.ask();
      if (w.stopped_) break;
      w.judge(problem);
      // From begin to begin; a check that takes all its time is not followed by the next at once.
      const Nanos interval = resilience::scatter(check.interval, kScatter, random_u64());
      const TimePoint next = std::max(begun + interval, w.worker_.now() + check.interval / 10);
      w.worker_.timers().set(w.pause_, next);
      co_await w.wake_;
      w.wake_.clear();
    }
    w.ended_ = true;
  }

  // Empty when it passed.
  Task<std::string> ask() {
    const HealthCheckConfig& check = app_.health_check;
    const TimePoint deadline = worker_.now() + check.timeout;
    const ConnectionPtr connection(pool_.create());
    http::ClientConnection& c = *connection;
    connection_ = &c;
    std::string problem;
    const IoError error = co_await c.connect(target_->endpoint, deadline);
    if (error != IoError::none) {
      problem = "connect: " + std::string(to_string(error));
    } else if (check.type == HealthCheckType::http) {
      c.begin(http::Method::get);
      const IoError written = co_await c.write(request_);
      if (written != IoError::none) {
        problem = "request: " + std::string(to_string(written));
      } else {
        problem = co_await answer(c, deadline);
      }
    }
    c.spoil();
    connection_ = nullptr;
    co_return problem;
  }

  Task<std::string> answer(http::ClientConnection& c, TimePoint deadline) {
    for (;;) {
      const ReadHead result = co_await c.read_head(deadline);
      switch (result) {
        case ReadHead::complete:
          break;
        case ReadHead::timeout:
          co_return "no answer in time";
        case ReadHead::protocol:
          co_return "the answer is no HTTP: " + std::string(c.error().detail);
        case ReadHead::closed:
        case ReadHead::aborted:
          co_return "closed without an answer";
      }
      const int status = c.head().status;
      if (status < 200) continue;
      const bool passed = contain(app_.health_check.statuses, status);
      co_return passed ? std::string() : "status " + std::to_string(status);
    }
  }

  void judge(const std::string& problem) {
    const HealthCheckConfig& check = app_.health_check;
    TargetState& state = *target_->state;
    const bool passed = problem.empty();
    in_row_ = passed == last_passed_ ? in_row_ + 1 : 1;
    last_passed_ = passed;
    if (passed) return_early();
    if (passed == state.is_healthy() ||
        in_row_ < (passed ? check.healthy_after : check.unhealthy_after))
      return;
    if (passed) {
      state.come_back(worker_.now());
      log_event(LogLevel::info, "a target is healthy again",
                {{"app", app_.name}, {"target", target_->address}});
    } else {
      state.go_down();
      log_event(LogLevel::warn, "a target is unhealthy",
                {{"app", app_.name}, {"target", target_->address}, {"what", problem}});
    }
  }

  // Passes that were made before the ejection say nothing about what it was for.
  void return_early() {
    const TimePoint now = worker_.now();
    if (!standing_.health->is_ejected(standing_.number, now)) {
      passed_ejected_ = 0;
      return;
    }
    if (++passed_ejected_ < app_.health_check.healthy_after) return;
    passed_ejected_ = 0;
    if (standing_.health->restore(standing_.number, now)) {
      target_->state->come_back(now);
      log_event(LogLevel::info, "a target is back before its time: it passes its health checks",
                {{"app", app_.name}, {"target", target_->address}});
    }
  }

  http::Worker& worker_;
  const AppConfig& app_;
  const std::shared_ptr<const UpstreamTarget> target_;
  http::ConnectionPool pool_;
  std::string request_;
  http::ClientConnection* connection_ = nullptr;  // of the check under way
  http::Event wake_;
  http::Timer pause_;
  bool stopped_ = false;
  bool ended_ = false;
  TargetStanding standing_;  // what its answers say
  unsigned passed_ejected_ = 0;
  bool last_passed_ = true;
  unsigned in_row_ = 0;  // checks with the last result
};

struct HealthChecker::Loop {
  http::Worker worker{0};
  std::vector<std::shared_ptr<Watch>> watches;  // those that were told to stop, until they did
  std::thread thread;
};

HealthChecker::HealthChecker(const Config& config) : config_(config) {}

HealthChecker::~HealthChecker() {
  if (!loop_) return;
  loop_->worker.post([this] { end(); });
  loop_->thread.join();
}

void HealthChecker::update(std::size_t app, const std::shared_ptr<PassiveHealth>& passive) {
  if (!config_.apps[app].health_check.enabled) return;
  const std::lock_guard lock(mutex_);
  targets_.resize(config_.apps.size());
  targets_[app] = passive->targets();
  if (!loop_) {
    loop_ = std::make_unique<Loop>();
    loop_->thread = std::thread([&worker = loop_->worker] { worker.run(); });
  }
  loop_->worker.post([this, app, passive] { adopt(config_.apps[app], passive); });
}

// On the checker's thread.
void HealthChecker::adopt(const AppConfig& app, const std::shared_ptr<PassiveHealth>& passive) {
  const TargetList& targets = passive->targets();
  std::vector<std::shared_ptr<Watch>>& watches = loop_->watches;
  const auto is_of = [&](const Watch& watch, const auto& target) {
    return &watch.app() == &app && watch.target() == target.get();
  };
  for (const auto& watch : watches) {
    const bool stays = std::any_of(targets.begin(), targets.end(),
                                   [&](const auto& target) { return is_of(*watch, target); });
    if (&watch->app() == &app && !stays) watch->stop();
  }
  std::erase_if(watches, [](const auto& watch) { return watch->ended(); });
  for (std::size_t i = 0; i < targets.size(); ++i) {
    auto watch = std::find_if(watches.begin(), watches.end(),
                              [&](const auto& one) { return is_of(*one, targets[i]); });
    const bool known = watch != watches.end();
    if (!known) {
      watch =
          watches.insert(watches.end(), std::make_shared<Watch>(loop_->worker, app, targets[i]));
    }
    (*watch)->set_standing({.health = passive, .number = i});
    if (!known) (*watch)->start();
  }
}

// On the checker's thread, until the last check has ended.
void HealthChecker::end() {
  for (const auto& watch : loop_->watches) watch->stop();
  std::erase_if(loop_->watches, [](const auto& watch) { return watch->ended(); });
  if (loop_->watches.empty()) {
    loop_->worker.stop();
  } else {
    loop_->worker.post([this] { end(); });
  }
}

void HealthChecker::collect(metrics::Collection& out) {
  std::vector<TargetList> targets;
  {
    const std::lock_guard lock(mutex_);
    targets = targets_;
  }
  for (std::size_t app = 0; app < targets.size(); ++app) {
    for (const auto& target : targets[app]) {
      out.gauge("tyaprover_upstream_target_healthy", "1 while a target passes its health checks.",
                target->state->is_healthy() ? 1 : 0,
                {{"app", config_.apps[app].name}, {"target", target->address}});
    }
  }
}

}  // namespace tyaprover::gateway
