#include "tyaprover/gateway/health.h"

#include <algorithm>
#include <stdexcept>
#include <thread>

namespace tyaprover::gateway {

namespace {
constexpr Nanos kKept = std::chrono::seconds(1);
}  // namespace

std::string_view to_string(HealthStatus status) noexcept {
  switch (status) {
    case HealthStatus::healthy:
      return "healthy";
    case HealthStatus::degraded:
      return "degraded";
    case HealthStatus::unhealthy:
      return "unhealthy";
  }
  return "";
}

// A check and its thread. Shared with the thread, which may outlive everything else when its check
// hangs.
struct HealthChecks::Runner {
  std::string name;
  CheckOptions options;
  std::function<CheckResult()> check;

  std::mutex mutex;
  std::condition_variable changed;
  std::uint64_t wanted = 0;  // rounds asked for
  std::uint64_t done = 0;    // rounds finished
  CheckResult result;
  bool stop = false;
  bool hung = false;
  std::thread thread;

  static void run(const std::shared_ptr<Runner>& self) {
    std::unique_lock lock(self->mutex);
    for (;;) {
      self->changed.wait(lock, [&] { return self->stop || self->done < self->wanted; });
      if (self->stop) return;
      const std::uint64_t round = self->wanted;
      lock.unlock();
      CheckResult result;
      try {
        result = self->check();
      } catch (const std::exception& e) {
        result = {HealthStatus::unhealthy, std::string("the check threw: ") + e.what(), {}};
      } catch (...) {
        result = {HealthStatus::unhealthy, "the check threw", {}};
      }
      lock.lock();
      self->result = std::move(result);
      self->done = round;
      self->hung = false;
      self->changed.notify_all();
    }
  }
};

struct HealthChecks::Thread {
  std::thread thread;
};

HealthChecks::HealthChecks(const Clock& clock)
    : clock_(clock), thread_(std::make_unique<Thread>()) {
  thread_->thread = std::thread([this] { serve_async(); });
}

HealthChecks::~HealthChecks() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
    changed_.notify_all();
  }
  thread_->thread.join();
  for (const auto& runner : runners_) {
    bool busy = false;
    {
      const std::lock_guard lock(runner->mutex);
      runner->stop = true;
      busy = runner->done < runner->wanted;
      runner->changed.notify_all();
    }
    if (busy) {
      runner->thread.detach();
    } else {
      runner->thread.join();
    }
  }
}

void HealthChecks::add(std::string name, CheckOptions options, std::function<CheckResult()> check) {
  auto runner = std::make_shared<Runner>();
  runner->name = std::move(name);
  runner->options = options;
  runner->check = std::move(check);
  const std::lock_guard lock(mutex_);
  for (const auto& known : runners_) {
    if (known->name == runner->name) {
      throw std::invalid_argument("a health check named \"" + runner->name + "\" is there already");
    }
  }
  runner->thread = std::thread([runner] { Runner::run(runner); });
  runners_.push_back(std::move(runner));
  last_at_ = {};
}

HealthReport HealthChecks::report() {
  const std::lock_guard round(run_mutex_);
  {
    const std::lock_guard lock(mutex_);
    if (last_at_ != TimePoint{} && clock_.now() - last_at_ < kKept) return last_;
  }
  HealthReport report = run_all();
  const std::lock_guard lock(mutex_);
  last_ = report;
  last_at_ = clock_.now();
  return report;
}

HealthReport HealthChecks::run_all() {
  std::vector<std::shared_ptr<Runner>> runners;
  {
    const std::lock_guard lock(mutex_);
    runners = runners_;
  }
  const auto begin = std::chrono::steady_clock::now();
  for (const auto& runner : runners) {
    const std::lock_guard lock(runner->mutex);
    if (runner->done < runner->wanted) continue;  // still hanging since an earlier round
    ++runner->wanted;
    runner->changed.notify_all();
  }
  HealthReport report;
  for (const auto& runner : runners) {
    std::unique_lock lock(runner->mutex);
    // A hanging check has had its time; waiting for it again would make every probe slow.
    const auto deadline = runner->hung ? begin : begin + runner->options.limit;
    runner->changed.wait_until(lock, deadline, [&] { return runner->done >= runner->wanted; });
    HealthReport::Check check{runner->name, runner->options.required, {}};
    if (runner->done >= runner->wanted) {
      check.result = runner->result;
    } else {
      runner->hung = true;
      check.result = {HealthStatus::unhealthy, "the check did not end in time", {}};
    }
    HealthStatus weight = check.result.status;
    if (!check.required && weight == HealthStatus::unhealthy) weight = HealthStatus::degraded;
    report.status = std::max(report.status, weight);
    report.checks.push_back(std::move(check));
  }
  return report;
}

void HealthChecks::report_async(std::function<void(const HealthReport&)> done) {
  HealthReport kept;
  {
    const std::lock_guard lock(mutex_);
    if (last_at_ == TimePoint{} || clock_.now() - last_at_ >= kKept) {
      waiting_.push_back(std::move(done));
      changed_.notify_all();
      return;
    }
    kept = last_;
  }
  done(kept);
}

void HealthChecks::serve_async() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return stop_ || !waiting_.empty(); });
    if (stop_) return;
    std::vector<std::function<void(const HealthReport&)>> now;
    now.swap(waiting_);
    lock.unlock();
    const HealthReport result = report();
    for (const auto& done : now) done(result);
    lock.lock();
  }
}

}  // namespace tyaprover::gateway
