// Worker: one thread's event loop, timers and clock.
//
// Everything a connection uses belongs to one worker and is touched on its thread only; post() is
// the one door from outside. Owns its io_context; destroys what is left on it in its destructor.
//
//   Worker worker(0);
//   worker.post([&] { spawn(serve(worker)); });
//   worker.run();                                   // until stop()
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>

#include "tyaprover/base/clock.h"
#include "tyaprover/http/buffer_pool.h"
#include "tyaprover/http/poller.h"
#include "tyaprover/http/timer_wheel.h"

namespace boost::asio {
class io_context;
}

namespace tyaprover::http {

class Worker {
 public:
  explicit Worker(unsigned index, const Clock& clock = SteadyClock::instance());
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  [[nodiscard]] unsigned index() const noexcept { return index_; }
  [[nodiscard]] boost::asio::io_context& context() noexcept;
  [[nodiscard]] TimerWheel& timers() noexcept { return *timers_; }
  [[nodiscard]] Poller& poller() noexcept { return *poller_; }
  [[nodiscard]] BufferPool& buffers() noexcept { return buffers_; }
  [[nodiscard]] TimePoint now() const noexcept { return clock_.now(); }

  // IMF-fixdate of this second (RFC 9110 §5.6.7), made once per second.
  [[nodiscard]] std::string_view date();

  // Runs the loop on the calling thread until stop(), also with nothing to do.
  void run();
  // Thread-safe, also from a signal-handling thread.
  void stop();
  // Thread-safe: calls f on the worker's thread, later.
  void post(std::function<void()> f);

  // How late the loop's own 100 ms heartbeat was, last time (event-loop lag).
  [[nodiscard]] Nanos lag() const noexcept { return Nanos(lag_.load(std::memory_order_relaxed)); }
  // When the loop last turned; relaxed, for the watchdog.
  [[nodiscard]] TimePoint last_turn() const noexcept {
    return TimePoint(Nanos(last_turn_.load(std::memory_order_relaxed)));
  }

 private:
  struct Loop;
  class Heartbeat;

  const unsigned index_;
  const Clock& clock_;
  BufferPool buffers_;
  std::unique_ptr<TimerWheel> timers_;
  std::unique_ptr<Loop> loop_;
  std::unique_ptr<Poller> poller_;
  std::unique_ptr<Heartbeat> heartbeat_;
  std::int64_t date_second_ = -1;
  char date_[29];
  // Statistics read by other threads; nothing else is published through them, so relaxed is enough.
  std::atomic<Nanos::rep> lag_{0};
  std::atomic<Nanos::rep> last_turn_{0};
};

}  // namespace tyaprover::http
