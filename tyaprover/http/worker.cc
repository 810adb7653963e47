#include "tyaprover/http/worker.h"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include "tyaprover/base/time_format.h"

namespace tyaprover::http {

using namespace std::chrono_literals;

// Concurrency hint 1: one thread runs the loop. Asio keeps its locks, because post() comes from
// outside.
struct Worker::Loop {
  boost::asio::io_context context{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work{
      context.get_executor()};
  boost::asio::basic_waitable_timer<std::chrono::steady_clock,
                                    boost::asio::wait_traits<std::chrono::steady_clock>,
                                    boost::asio::io_context::executor_type>
      wheel_timer{context};
};

// A timer that asks every 100 ms how late it is: the delay every other event of this worker has,
// too.
class Worker::Heartbeat {
 public:
  static constexpr Nanos kPeriod = 100ms;

  explicit Heartbeat(Worker& worker) : worker_(worker), timer_([this] { beat(); }) { schedule(); }

 private:
  void schedule() {
    due_ = worker_.now() + kPeriod;
    worker_.timers().set(timer_, due_);
  }
  void beat() {
    const TimePoint now = worker_.now();
    // The wheel itself rounds up to its tick; that much is not lag.
    const Nanos late = now - due_ - TimerWheel::kTick;
    worker_.lag_.store(std::max(late, Nanos(0)).count(), std::memory_order_relaxed);
    worker_.last_turn_.store(now.time_since_epoch().count(), std::memory_order_relaxed);
    schedule();
  }

  Worker& worker_;
  TimePoint due_;
  Timer timer_;
};

Worker::Worker(unsigned index, const Clock& clock)
    : index_(index), clock_(clock), loop_(std::make_unique<Loop>()) {
  timers_ = std::make_unique<TimerWheel>(clock.now(), [this](TimePoint when) {
    loop_->wheel_timer.expires_at(std::chrono::steady_clock::time_point(when.time_since_epoch()));
    loop_->wheel_timer.async_wait([this](boost::system::error_code error) {
      if (!error) timers_->run(clock_.now());
    });
  });
  last_turn_.store(clock.now().time_since_epoch().count(), std::memory_order_relaxed);
  poller_ = std::make_unique<Poller>(loop_->context);
  heartbeat_ = std::make_unique<Heartbeat>(*this);
}

Worker::~Worker() {
  heartbeat_.reset();
  poller_.reset();
  // Before the timers and buffers: destroying pending handlers destroys what they own.
  loop_.reset();
}

boost::asio::io_context& Worker::context() noexcept {
  return loop_->context;
}

std::string_view Worker::date() {
  const auto now = std::chrono::system_clock::now();
  const std::int64_t second = std::chrono::system_clock::to_time_t(now);
  if (second != date_second_) {
    date_second_ = second;
    write_imf_fixdate(date_, now);
  }
  return {date_, sizeof date_};
}

void Worker::run() {
  loop_->context.run();
}

void Worker::stop() {
  loop_->context.stop();
}

void Worker::post(std::function<void()> f) {
  boost::asio::post(loop_->context, std::move(f));
}

}  // namespace tyaprover::http
