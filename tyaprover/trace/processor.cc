#include "tyaprover/trace/processor.h"

#include <mutex>
#include <stdexcept>
#include <utility>

namespace tyaprover::trace {
namespace {

using namespace std::chrono_literals;

class SimpleProcessor final : public SpanProcessor {
 public:
  explicit SimpleProcessor(SpanExporterPtr exporter) : exporter_(std::move(exporter)) {}

  void on_end(const SpanData& span) noexcept override {
    const std::lock_guard lock(mutex_);
    ++stats_.produced;
    if (stopped_) {
      ++stats_.dropped_shutdown;
      return;
    }
    const TimePoint begin = SteadyClock::instance().now();
    ExportResult result;
    try {
      result = exporter_->export_spans({&span, 1}, begin + kTimeout);
    } catch (...) {
      result.outcome = ExportOutcome::refused;
    }
    ++stats_.exports;
    stats_.export_time += SteadyClock::instance().now() - begin;
    stats_.failing = result.outcome != ExportOutcome::delivered;
    if (stats_.failing) {
      ++stats_.dropped_export_failed;
    } else if (result.rejected > 0) {
      ++stats_.dropped_rejected;
    } else {
      ++stats_.exported;
    }
  }
  FlushResult flush(Nanos /*timeout*/) override { return {}; }
  FlushResult shutdown(Nanos /*timeout*/) override {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
    return {};
  }
  ProcessorStats stats() const override {
    const std::lock_guard lock(mutex_);
    return stats_;
  }

 private:
  static constexpr Nanos kTimeout = 30s;

  const SpanExporterPtr exporter_;
  mutable std::mutex mutex_;
  // Under mutex_.
  ProcessorStats stats_;
  bool stopped_ = false;
};

class FanOut final : public SpanProcessor {
 public:
  explicit FanOut(std::vector<SpanProcessorPtr> processors) : processors_(std::move(processors)) {}

  void on_end(const SpanData& span) noexcept override {
    for (const SpanProcessorPtr& each : processors_) each->on_end(span);
  }
  FlushResult flush(Nanos timeout) override {
    return one_after_another(timeout,
                             [](SpanProcessor& each, Nanos left) { return each.flush(left); });
  }
  FlushResult shutdown(Nanos timeout) override {
    return one_after_another(timeout,
                             [](SpanProcessor& each, Nanos left) { return each.shutdown(left); });
  }
  ProcessorStats stats() const override { return processors_.front()->stats(); }

 private:
  template <class F>
  FlushResult one_after_another(Nanos timeout, F call) {
    const TimePoint deadline = SteadyClock::instance().now() + timeout;
    FlushResult sum;
    // The last first: those behind the first are for this process and quick, and the first one's
    // dead collector must not use up their time.
    for (auto each = processors_.rbegin(); each != processors_.rend(); ++each) {
      const Nanos left = std::max(Nanos(0), Nanos(deadline - SteadyClock::instance().now()));
      sum += call(**each, left);
    }
    return sum;
  }

  std::vector<SpanProcessorPtr> processors_;
};

}  // namespace

std::string_view to_string(ExportOutcome outcome) noexcept {
  switch (outcome) {
    case ExportOutcome::delivered:
      return "delivered";
    case ExportOutcome::try_again:
      return "try again";
    case ExportOutcome::refused:
      return "refused";
  }
  return "";
}

SpanProcessorPtr simple(SpanExporterPtr exporter) {
  if (exporter == nullptr) throw std::invalid_argument("simple() needs an exporter");
  return std::make_shared<SimpleProcessor>(std::move(exporter));
}

SpanProcessorPtr fan_out(std::vector<SpanProcessorPtr> processors) {
  if (processors.empty()) throw std::invalid_argument("fan_out() needs a processor");
  if (processors.size() == 1) return std::move(processors.front());
  return std::make_shared<FanOut>(std::move(processors));
}

}  // namespace tyaprover::trace
