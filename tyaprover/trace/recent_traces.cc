#include "tyaprover/trace/recent_traces.h"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "tyaprover/trace/batch_processor.h"
#include "tyaprover/trace/span_groups.h"

namespace tyaprover::trace {
namespace {

using namespace std::chrono_literals;

// How long new traces are counted before the share that is kept is chosen again, and how long a
// share counts: once traces come more slowly nobody may be left to choose another.
constexpr std::int64_t kWindow = Nanos(1s).count();
constexpr std::int64_t kShareLasts = Nanos(2s).count();

// Not the bits by which samplers choose: what they let through has those in common.
std::uint64_t spread(TraceId id) noexcept {
  const std::uint64_t x = (id.high ^ id.low) * 0x9e3779b97f4a7c15;
  return (x ^ x >> 32) * 0xd6e8feb86659fd93;
}

class RecentProcessor final : public SpanProcessor {
 public:
  explicit RecentProcessor(std::shared_ptr<RecentTraces> traces)
      : traces_(std::move(traces)), batch_(batch(traces_, {.schedule_delay = 200ms})) {}

  void on_end(const SpanData& span) noexcept override {
    if (traces_->wants(span)) batch_->on_end(span);
  }
  FlushResult flush(Nanos timeout) override { return batch_->flush(timeout); }
  FlushResult shutdown(Nanos timeout) override { return batch_->shutdown(timeout); }
  ProcessorStats stats() const override { return batch_->stats(); }

 private:
  const std::shared_ptr<RecentTraces> traces_;
  const SpanProcessorPtr batch_;
};

std::string_view route_of(const SpanData& span) noexcept {
  const AttributeData* const route = span.find("http.route");
  return route != nullptr && route->type() == AttributeType::string ? route->value().text().view()
                                                                    : std::string_view();
}

bool starts_before(const SpanData* a, const SpanData* b) noexcept {
  return a->start_unix_nanos < b->start_unix_nanos;
}

}  // namespace

RecentTraces::RecentTraces(std::size_t capacity) : capacity_(capacity) {
  if (capacity == 0) throw std::invalid_argument("RecentTraces needs a capacity");
}

ExportResult RecentTraces::export_spans(std::span<const SpanData> spans, TimePoint /*deadline*/) {
  const std::lock_guard lock(mutex_);
  std::int64_t now = 0;
  std::size_t new_traces = 0;
  for (const SpanData& span : spans) {
    now = std::max(now, span.end_unix_nanos);
    Trace*& trace = by_id_[span.trace_id];
    if (trace == nullptr) {
      if (traces_.size() == capacity_) {
        by_id_.erase(traces_.front().id);
        traces_.pop_front();
      }
      trace = &traces_.emplace_back(Trace{span.trace_id, {}});
      ++new_traces;
    }
    if (trace->spans.size() < kMaxSpansPerTrace) trace->spans.emplace_back(span);
  }
  choose_share(now, new_traces);
  return {};
}

bool RecentTraces::wants(const SpanData& span) const noexcept {
  const std::int64_t left =
      share_until_unix_nanos_.load(std::memory_order_relaxed) - span.end_unix_nanos;
  // Over the limit when the wall clock was set back.
  if (left < 0 || left > kShareLasts) return true;
  return spread(span.trace_id) <= largest_hash_.load(std::memory_order_relaxed);
}

void RecentTraces::choose_share(std::int64_t now, std::size_t new_traces) noexcept {
  const std::int64_t elapsed = now - window_start_;
  if (elapsed < 0 || elapsed > kShareLasts) {  // nothing to compare with
    window_start_ = now;
    window_traces_ = new_traces;
    return;
  }
  window_traces_ += new_traces;
  const std::size_t limit = std::max(capacity_, kLeastPerSecond);
  if (elapsed < kWindow && window_traces_ < limit) return;
  constexpr auto kAll = static_cast<double>(std::numeric_limits<std::uint64_t>::max());
  const double kept_share =
      now <= share_until_unix_nanos_.load(std::memory_order_relaxed)
          ? static_cast<double>(largest_hash_.load(std::memory_order_relaxed)) / kAll
          : 1;
  const double seconds = std::max(static_cast<double>(elapsed), 1e6) / 1e9;
  const double per_second = static_cast<double>(window_traces_) / seconds / kept_share;
  const double share = std::min(1.0, static_cast<double>(limit) / per_second);
  largest_hash_.store(share == 1 ? std::numeric_limits<std::uint64_t>::max()
                                 : static_cast<std::uint64_t>(share * kAll),
                      std::memory_order_relaxed);
  share_until_unix_nanos_.store(now + kShareLasts, std::memory_order_relaxed);
  window_start_ = now;
  window_traces_ = 0;
}

SpanExporterPtr RecentTraces::after_fork() const {
  return std::make_shared<RecentTraces>(capacity_);
}

TraceSummary RecentTraces::summary_of(const Trace& trace) {
  std::vector<SpanId> ids;
  for (const OwnedSpan& each : trace.spans) ids.push_back(each->span_id);
  std::sort(ids.begin(), ids.end());
  const auto is_here = [&](SpanId id) { return std::binary_search(ids.begin(), ids.end(), id); };
  const SpanData* root = nullptr;
  const SpanData* first = &*trace.spans.front();
  std::int64_t end = first->end_unix_nanos;
  TraceSummary summary{.trace_id = trace.id, .spans = trace.spans.size()};
  for (const OwnedSpan& each : trace.spans) {
    const SpanData& span = *each;
    if (starts_before(&span, first)) first = &span;
    end = std::max(end, span.end_unix_nanos);
    if (span.status == SpanStatus::error) ++summary.failed_spans;
    if ((root == nullptr || starts_before(&span, root)) && !is_here(span.parent_span_id)) {
      root = &span;
    }
  }
  if (root == nullptr) root = first;  // parents in a circle: somebody makes up ids
  summary.name = root->name.view();
  summary.route = route_of(*root);
  summary.service = detail::service_name(root->scope->resource);
  summary.start_unix_nanos = first->start_unix_nanos;
  summary.duration = Nanos(end - first->start_unix_nanos);
  return summary;
}

bool RecentTraces::matches(const Trace& trace, const TraceSummary& summary,
                           const TraceQuery& query) noexcept {
  if (summary.duration < query.min_duration) return false;
  if (query.failed_only && summary.failed_spans == 0) return false;
  return query.route.empty() ||
         std::any_of(trace.spans.begin(), trace.spans.end(),
                     [&](const OwnedSpan& each) { return route_of(*each) == query.route; });
}

std::vector<TraceSummary> RecentTraces::find(const TraceQuery& query) const {
  std::vector<TraceSummary> found;
  const std::lock_guard lock(mutex_);
  for (auto trace = traces_.rbegin(); trace != traces_.rend() && found.size() < query.limit;
       ++trace) {
    TraceSummary summary = summary_of(*trace);
    if (matches(*trace, summary, query)) found.push_back(std::move(summary));
  }
  return found;
}

std::vector<TraceNode> RecentTraces::tree(TraceId trace_id) const {
  std::vector<TraceNode> nodes;
  const std::lock_guard lock(mutex_);
  const auto found = by_id_.find(trace_id);
  if (found == by_id_.end()) return nodes;
  std::vector<const SpanData*> rest;
  for (const OwnedSpan& each : found->second->spans) rest.push_back(&*each);
  std::stable_sort(rest.begin(), rest.end(), starts_before);
  const std::int64_t start = rest.front()->start_unix_nanos;

  // Depth first with a stack of our own: somebody else's trace may be deep. Spans on the stack wait
  // for their turn; the last one pushed is visited first.
  std::vector<std::pair<const SpanData*, std::size_t>> waiting;
  const auto push_if = [&](auto wanted, std::size_t depth) {
    for (std::size_t i = rest.size(); i-- > 0;) {
      if (!wanted(*rest[i])) continue;
      waiting.emplace_back(rest[i], depth);
      rest.erase(rest.begin() + static_cast<std::ptrdiff_t>(i));
    }
  };
  const auto parent_is_here = [&](const SpanData& span) {
    return std::any_of(found->second->spans.begin(), found->second->spans.end(),
                       [&](const OwnedSpan& each) { return each->span_id == span.parent_span_id; });
  };
  push_if([&](const SpanData& span) { return !parent_is_here(span); }, 0);
  while (!waiting.empty() || !rest.empty()) {
    if (waiting.empty()) {  // a circle: enter it at its earliest span
      waiting.emplace_back(rest.front(), 0);
      rest.erase(rest.begin());
    }
    const SpanData& span = *waiting.back().first;
    const std::size_t depth = waiting.back().second;
    waiting.pop_back();
    nodes.push_back({OwnedSpan(span), depth, Nanos(span.start_unix_nanos - start)});
    push_if([&](const SpanData& each) { return each.parent_span_id == span.span_id; }, depth + 1);
  }
  return nodes;
}

SpanProcessorPtr keep_recent(std::shared_ptr<RecentTraces> traces) {
  if (traces == nullptr) throw std::invalid_argument("keep_recent() needs traces");
  return std::make_shared<RecentProcessor>(std::move(traces));
}

}  // namespace tyaprover::trace
