// Sleep: lets a coroutine wait for a while on its worker.
//
//   co_await Sleep(worker, 200ms);
#pragma once

#include <coroutine>

#include "tyaprover/http/task.h"
#include "tyaprover/http/worker.h"

namespace tyaprover::http {

class Sleep {
 public:
  Sleep(Worker& worker, Nanos time) : worker_(worker), time_(time) {}

  bool await_ready() const noexcept { return time_ <= Nanos(0); }
  void await_suspend(std::coroutine_handle<> h) {
    waiting_ = h;
    worker_.timers().set(timer_, worker_.now() + time_);
  }
  void await_resume() const noexcept {}

 private:
  Worker& worker_;
  const Nanos time_;
  std::coroutine_handle<> waiting_;
  Timer timer_{[this] { resume(waiting_); }};
};

}  // namespace tyaprover::http
