#include "tyaprover/gateway/shared_upstream.h"

#include <coroutine>

#include "tyaprover/http/worker.h"

namespace tyaprover::gateway {
namespace {

using resilience::Bulkhead;

// A coroutine's wait in the queue. Whoever takes the node out of it, by a grant or by giving up,
// resumes the coroutine, once and from the worker's loop.
class QueuedWait {
 public:
  QueuedWait(http::Exchange& exchange, Bulkhead& limit, TimePoint deadline)
      : exchange_(exchange), limit_(limit), deadline_(deadline) {}

  bool await_ready() const noexcept { return false; }
  bool await_suspend(std::coroutine_handle<> h) {
    waiter_ = h;
    switch (limit_.enter(waiting_)) {
      case Bulkhead::Entry::granted:
        return false;
      case Bulkhead::Entry::full:
        end_ = PlaceWait::full;
        return false;
      case Bulkhead::Entry::queued:
        break;
    }
    exchange_.worker.timers().set(timer_, deadline_);
    exchange_.connection->watch_client([this] { give_up(PlaceWait::client_gone); });
    return true;
  }
  PlaceWait await_resume() const noexcept { return end_; }

  [[nodiscard]] std::optional<resilience::BulkheadPlace> take() noexcept { return waiting_.take(); }

 private:
  void give_up(PlaceWait end) {
    if (!waiting_.cancel()) return;  // granted just now
    end_ = end;
    resume_soon();
  }
  // Also called by the thread that gave its place back.
  void resume_soon() {
    exchange_.worker.post([this] {
      timer_.cancel();
      exchange_.connection->watch_client(nullptr);
      http::resume(waiter_);
    });
  }

  http::Exchange& exchange_;
  Bulkhead& limit_;
  const TimePoint deadline_;
  PlaceWait end_ = PlaceWait::granted;
  std::coroutine_handle<> waiter_;
  Bulkhead::Waiting waiting_{[this] { resume_soon(); }};
  http::Timer timer_{[this] { give_up(PlaceWait::timeout); }};
};

}  // namespace

void set_limit(std::optional<Bulkhead>& limit, unsigned most, const ConcurrencyConfig& config) {
  if (most == 0) return;
  limit.emplace(resilience::BulkheadOptions{
      .limit = most, .queue = config.max_pending, .max_wait = config.queue_timeout});
}

SharedUpstream::SharedUpstream(const AppConfig& app) : retries(app.retries) {
  set_limit(limit, app.concurrency.max_in_flight, app.concurrency);
}

http::Task<PlaceWait> take_place(http::Exchange& exchange, Bulkhead& limit, TimePoint deadline,
                                 std::optional<resilience::BulkheadPlace>& place) {
  QueuedWait wait(exchange, limit, deadline);
  const PlaceWait end = co_await wait;
  if (end == PlaceWait::granted) place = wait.take();
  co_return end;
}

}  // namespace tyaprover::gateway
