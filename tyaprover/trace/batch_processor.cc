#include "tyaprover/trace/batch_processor.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <vector>

#include "tyaprover/base/ids.h"
#include "tyaprover/trace/per_thread.h"
#include "tyaprover/trace/span_ring.h"

// Who owns what: a BatchProcessor has a Worker, shared with the worker's thread. When shutdown()
// runs out of time the thread is left alone with the worker and ends when its exporter returns;
// from then on its results are ignored, so that what shutdown() reported stays true. In the child
// of a fork the thread is gone and the worker's locks may be held for ever, so the child makes a
// new worker and never touches the old one.

namespace tyaprover::trace {
namespace {

double random_fraction() noexcept {
  return static_cast<double>(random_u64() >> 11) * 0x1p-53;
}

class Worker {
 public:
  Worker(SpanExporterPtr exporter, BatchOptions options)
      : options_(std::move(options)),
        exporter_(std::move(exporter)),
        rings_(
            [size = options_.max_queue_size] { return std::make_unique<detail::SpanRing>(size); }) {
    batch_.reserve(options_.max_batch_size);
  }

  static std::shared_ptr<Worker> start(SpanExporterPtr exporter, BatchOptions options) {
    auto worker = std::make_shared<Worker>(std::move(exporter), std::move(options));
    worker->thread_ = std::thread([worker] { worker->run(); });
    return worker;
  }

  void on_end(const SpanData& span) noexcept;
  FlushResult flush(Nanos timeout);
  FlushResult shutdown(Nanos timeout);
  ProcessorStats stats() const;

  [[nodiscard]] SpanExporterPtr exporter() const { return exporter_; }
  [[nodiscard]] const BatchOptions& options() const { return options_; }

 private:
  using Lock = std::unique_lock<std::mutex>;

  void wake() noexcept;
  void run();
  void drain();
  std::size_t collect();
  void export_batch();
  bool wait_before_retry(Nanos wait, TimePoint first_try);
  [[nodiscard]] bool may_try_again(const ExportResult& result, unsigned tries,
                                   TimePoint first_try) const;
  void note(const ExportResult& result);
  void finish(const ExportResult& result);
  [[nodiscard]] ProcessorStats stats_locked() const;
  [[nodiscard]] TimePoint now() const noexcept { return options_.clock->now(); }

  const BatchOptions options_;
  const SpanExporterPtr exporter_;
  detail::PerThread<detail::SpanRing> rings_;
  std::thread thread_;

  // Relaxed: producers only need to see it some time; the mutex orders the rest.
  std::atomic<bool> closed_{false};
  std::atomic<bool> wake_requested_{false};
  // Spans that ended when their thread's memory was already gone.
  std::atomic<std::uint64_t> homeless_{0};

  mutable std::mutex mutex_;
  std::condition_variable work_;
  std::condition_variable done_;
  // All below: under mutex_.
  bool stopping_ = false;
  bool abandoned_ = false;  // shutdown() has given up waiting
  bool ended_ = false;      // the thread has nothing more to do
  TimePoint stop_deadline_;
  std::uint64_t flushes_wanted_ = 0;
  std::uint64_t flushes_done_ = 0;
  std::uint64_t exported_ = 0;
  std::uint64_t failed_ = 0;
  std::uint64_t rejected_ = 0;
  std::uint64_t retries_ = 0;
  std::uint64_t exports_ = 0;
  Nanos export_time_{};
  bool failing_ = false;

  // The worker's thread only.
  std::vector<SpanData> batch_;
  TimePoint failing_since_;
  std::uint64_t failed_before_ = 0;
};

void Worker::on_end(const SpanData& span) noexcept {
  detail::SpanRing* const ring = rings_.local();
  if (ring == nullptr) {
    homeless_.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  if (closed_.load(std::memory_order_relaxed)) return ring->drop();
  if (ring->push(span) == detail::SpanRing::Push::queued) return;
  if (!wake_requested_.load(std::memory_order_relaxed)) wake();
}

// Once per half a ring. The lock is never held for longer than a few loads and stores, and without
// it the call could fall between the worker's look at the flag and its sleep.
void Worker::wake() noexcept {
  {
    const std::lock_guard lock(mutex_);
    wake_requested_.store(true, std::memory_order_relaxed);
  }
  work_.notify_one();
}

void Worker::run() {
  Lock lock(mutex_);
  while (!abandoned_) {
    work_.wait_for(lock, options_.schedule_delay, [this] {
      return stopping_ || flushes_wanted_ != flushes_done_ ||
             wake_requested_.load(std::memory_order_relaxed);
    });
    const bool is_last = stopping_;
    const std::uint64_t flushes = flushes_wanted_;
    lock.unlock();
    drain();
    lock.lock();
    flushes_done_ = flushes;
    done_.notify_all();
    if (is_last) break;
  }
  ended_ = true;
  done_.notify_all();
}

// Exports what is queued now. What comes meanwhile is for the next time, so that this ends.
void Worker::drain() {
  std::uint64_t left = stats().queued;
  while (left > 0) {
    wake_requested_.store(false, std::memory_order_relaxed);
    const std::size_t taken = collect();
    if (taken == 0) return;
    export_batch();
    left -= std::min<std::uint64_t>(left, taken);
    const std::lock_guard lock(mutex_);
    if (abandoned_ || (stopping_ && now() >= stop_deadline_)) return;
  }
}

std::size_t Worker::collect() {
  batch_.clear();
  rings_.for_each([this](detail::SpanRing& ring) {
    while (batch_.size() < options_.max_batch_size) {
      const SpanData* const span = ring.take();
      if (span == nullptr) break;
      batch_.push_back(*span);
    }
  });
  return batch_.size();
}

void Worker::export_batch() {
  const TimePoint first_try = now();
  for (unsigned tries = 1;; ++tries) {
    const TimePoint begin = now();
    TimePoint deadline = begin + options_.export_timeout;
    {
      const std::lock_guard lock(mutex_);
      if (stopping_) deadline = std::min(deadline, stop_deadline_);
    }
    ExportResult result;
    try {
      result = exporter_->export_spans(batch_, deadline);
    } catch (const std::exception& error) {
      result = {.outcome = ExportOutcome::refused, .message = error.what()};
    }
    {
      const std::lock_guard lock(mutex_);
      ++exports_;
      if (tries > 1) ++retries_;
      export_time_ += now() - begin;
    }
    note(result);
    if (!may_try_again(result, tries, first_try)) return finish(result);
    const double fraction = options_.random ? options_.random() : random_fraction();
    const Nanos jittered(static_cast<Nanos::rep>(
        fraction * static_cast<double>(detail::longest_wait(options_.retry, tries).count())));
    if (!wait_before_retry(result.retry_after.value_or(jittered), first_try)) return finish(result);
  }
}

bool Worker::may_try_again(const ExportResult& result, unsigned tries, TimePoint first_try) const {
  return result.outcome == ExportOutcome::try_again && tries < options_.retry.max_tries &&
         now() - first_try < options_.retry.max_elapsed;
}

// False when there is no time for another try. A shutdown cuts a wait short that would outlast it.
bool Worker::wait_before_retry(Nanos wait, TimePoint first_try) {
  const TimePoint until = now() + wait;
  if (until - first_try > options_.retry.max_elapsed) return false;
  Lock lock(mutex_);
  for (;;) {
    if (abandoned_) return false;
    const TimePoint time = now();
    if (stopping_ && time >= stop_deadline_) return false;
    if (time >= until || (stopping_ && until >= stop_deadline_)) return true;
    const bool was_stopping = stopping_;
    work_.wait_for(lock, until - time, [&] { return abandoned_ || stopping_ != was_stopping; });
  }
}

// Reports the beginning and the end of an outage.
void Worker::note(const ExportResult& result) {
  const bool fails = result.outcome != ExportOutcome::delivered;
  ExportEvent event{.message = result.message};
  {
    const std::lock_guard lock(mutex_);
    if (failing_ == fails || abandoned_) return;
    failing_ = fails;
    event.kind = fails ? ExportEvent::Kind::failing : ExportEvent::Kind::recovered;
    const ProcessorStats stats = stats_locked();
    event.queued = stats.queued;
    if (fails) {
      failing_since_ = now();
      failed_before_ = stats.dropped();
    } else {
      event.dropped = stats.dropped() - failed_before_;
      event.outage = now() - failing_since_;
    }
  }
  if (options_.on_event) options_.on_event(event);
}

void Worker::finish(const ExportResult& result) {
  const std::lock_guard lock(mutex_);
  if (abandoned_) return;
  // Batches that a shutdown has no time for stay queued until shutdown() counts them.
  if (stopping_ && result.outcome == ExportOutcome::try_again && now() >= stop_deadline_) return;
  if (result.outcome == ExportOutcome::delivered) {
    const std::uint64_t rejected = std::min<std::uint64_t>(result.rejected, batch_.size());
    rejected_ += rejected;
    exported_ += batch_.size() - rejected;
  } else {
    failed_ += batch_.size();
  }
  rings_.for_each([](detail::SpanRing& ring) { ring.release(); });
}

FlushResult Worker::flush(Nanos timeout) {
  Lock lock(mutex_);
  const ProcessorStats before = stats_locked();
  if (ended_ || abandoned_ || stopping_) return {.remaining = before.queued};
  const std::uint64_t mine = ++flushes_wanted_;
  work_.notify_one();
  const bool in_time =
      done_.wait_for(lock, timeout, [&] { return flushes_done_ >= mine || ended_ || abandoned_; });
  const ProcessorStats after = stats_locked();
  FlushResult result{.delivered = after.exported - before.exported,
                     .dropped = after.dropped_export_failed + after.dropped_rejected -
                                before.dropped_export_failed - before.dropped_rejected};
  const std::uint64_t settled = result.delivered + result.dropped;
  if (!in_time) result.remaining = before.queued - std::min(before.queued, settled);
  return result;
}

FlushResult Worker::shutdown(Nanos timeout) {
  Lock lock(mutex_);
  if (stopping_) return {};
  const ProcessorStats before = stats_locked();
  stopping_ = true;
  stop_deadline_ = now() + timeout;
  closed_.store(true, std::memory_order_relaxed);
  work_.notify_one();
  const bool in_time = done_.wait_for(lock, timeout, [this] { return ended_; });
  if (!in_time) {
    abandoned_ = true;
    work_.notify_one();
  }
  const ProcessorStats after = stats_locked();
  lock.unlock();
  if (in_time) {
    thread_.join();
  } else {
    exporter_->cancel();
    thread_.detach();
  }
  return {.delivered = after.exported - before.exported,
          .dropped = after.dropped() - before.dropped()};
}

ProcessorStats Worker::stats() const {
  const std::lock_guard lock(mutex_);
  return stats_locked();
}

ProcessorStats Worker::stats_locked() const {
  ProcessorStats stats;
  stats.exported = exported_;
  stats.dropped_export_failed = failed_;
  stats.dropped_rejected = rejected_;
  stats.retries = retries_;
  stats.exports = exports_;
  stats.export_time = export_time_;
  stats.failing = failing_;
  stats.dropped_shutdown = homeless_.load(std::memory_order_relaxed);
  stats.produced = stats.dropped_shutdown;
  rings_.for_each([&](const detail::SpanRing& ring) {
    const detail::SpanRing::Counts counts = ring.counts();
    stats.dropped_queue_full += counts.dropped_full;
    stats.dropped_shutdown += counts.dropped_late;
    stats.produced += counts.produced;
    stats.queue_capacity += options_.max_queue_size;
  });
  stats.queued = stats.produced - stats.exported - stats.dropped();
  if (ended_ || abandoned_) {
    stats.dropped_shutdown += stats.queued;
    stats.queued = 0;
  }
  return stats;
}

class BatchProcessor final : public SpanProcessor {
 public:
  BatchProcessor(SpanExporterPtr exporter, BatchOptions options) {
    home_.store(new Home{Worker::start(std::move(exporter), std::move(options)), fork_generation(),
                         nullptr});
  }
  ~BatchProcessor() override {
    Home* const home = home_.load();
    // In the child of a fork that never used it, nothing can be ended and nothing may be freed.
    if (home->generation != fork_generation()) return;
    home->worker->shutdown(Nanos(0));
    const std::unique_ptr<Home> last(home);
  }
  BatchProcessor(const BatchProcessor&) = delete;
  BatchProcessor& operator=(const BatchProcessor&) = delete;

  void on_end(const SpanData& span) noexcept override { worker().on_end(span); }
  FlushResult flush(Nanos timeout) override { return worker().flush(timeout); }
  FlushResult shutdown(Nanos timeout) override { return worker().shutdown(timeout); }
  ProcessorStats stats() const override { return worker().stats(); }

 private:
  struct Home {
    std::shared_ptr<Worker> worker;
    std::uint32_t generation;
    Home* before_fork;  // the parent's: kept, never touched
  };

  // Acquire: the worker is complete for whoever finds it.
  Worker& worker() const {
    Home* const home = home_.load(std::memory_order_acquire);
    if (home->generation == fork_generation()) [[likely]]
      return *home->worker;
    return move_after_fork(home);
  }

  [[gnu::noinline]] Worker& move_after_fork(Home* old) const {
    SpanExporterPtr exporter = old->worker->exporter()->after_fork();
    if (exporter == nullptr) exporter = old->worker->exporter();
    auto home = std::make_unique<Home>(
        Home{Worker::start(std::move(exporter), old->worker->options()), fork_generation(), old});
    if (home_.compare_exchange_strong(old, home.get(), std::memory_order_acq_rel)) {
      return *home.release()->worker;
    }
    home->worker->shutdown(Nanos(0));  // another thread was first
    return *old->worker;
  }

  mutable std::atomic<Home*> home_{nullptr};
};

}  // namespace

std::string_view to_string(ExportEvent::Kind kind) noexcept {
  switch (kind) {
    case ExportEvent::Kind::failing:
      return "failing";
    case ExportEvent::Kind::recovered:
      return "recovered";
  }
  return "";
}

Nanos detail::longest_wait(const RetryOptions& options, unsigned tries) noexcept {
  Nanos wait = options.first;
  for (unsigned i = 1; i < tries && wait < options.longest; ++i) wait *= 2;
  return std::min(wait, options.longest);
}

SpanProcessorPtr batch(SpanExporterPtr exporter, BatchOptions options) {
  if (exporter == nullptr) throw std::invalid_argument("batch() needs an exporter");
  if (options.max_batch_size == 0 || options.max_batch_size > options.max_queue_size) {
    throw std::invalid_argument("max_batch_size must be between 1 and max_queue_size");
  }
  if (options.schedule_delay <= Nanos(0) || options.export_timeout <= Nanos(0)) {
    throw std::invalid_argument("schedule_delay and export_timeout must be positive");
  }
  return std::make_shared<BatchProcessor>(std::move(exporter), std::move(options));
}

}  // namespace tyaprover::trace
