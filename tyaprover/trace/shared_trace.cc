#include "tyaprover/trace/shared_trace.h"

#include <memory>

namespace tyaprover::trace::detail {

// Free instances of one thread. The list itself is constant-initialised and has no destructor, so
// that an access costs no guard; a second object, touched only when something is freed, empties it
// at the thread's end.
struct SharedTracePool {
  static constexpr int kMaxFree = 64;

  SharedTrace* first = nullptr;
  int size = 0;
  bool closed = false;

  static void free_all() noexcept;
};

namespace {

constinit thread_local SharedTracePool pool;

struct PoolCleaner {
  ~PoolCleaner() { SharedTracePool::free_all(); }
};

}  // namespace

void SharedTracePool::free_all() noexcept {
  pool.closed = true;
  while (pool.first != nullptr) {
    const std::unique_ptr<SharedTrace> shared(pool.first);
    pool.first = shared->next_free_;
  }
}

void retain(SharedTrace* shared) noexcept {
  // Relaxed: who copies a reference holds one already.
  shared->references_.fetch_add(1, std::memory_order_relaxed);
}

void release(SharedTrace* shared) noexcept {
  // Acquire-release: what other threads did with it happens before it is reused.
  if (shared->references_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  if (pool.closed || pool.size == SharedTracePool::kMaxFree) {
    const std::unique_ptr<SharedTrace> last(shared);
    return;
  }
  thread_local const PoolCleaner cleaner;
  shared->next_free_ = pool.first;
  pool.first = shared;
  ++pool.size;
}

SharedTraceRef SharedTrace::make(std::string_view trace_state, const TailPolicy* policy) {
  SharedTrace* shared = pool.first;
  if (shared != nullptr) {
    pool.first = shared->next_free_;
    --pool.size;
    shared->spans_.clear();
    shared->memory_.reset();
    shared->any_failed_ = false;
    shared->dropped_ = 0;
    shared->references_.store(1, std::memory_order_relaxed);
  } else {
    shared = std::make_unique<SharedTrace>().release();
  }
  shared->trace_state_ = trace_state;
  shared->policy_ = policy;
  shared->tail_.store(policy == nullptr ? Tail::none : Tail::open, std::memory_order_relaxed);
  return SharedTraceRef(shared);
}

void SharedTrace::add(const SpanData& span, bool is_local_root, SpanSink& sink) {
  const std::lock_guard lock(mutex_);
  any_failed_ |= span.status == SpanStatus::error;
  switch (tail_.load(std::memory_order_relaxed)) {
    case Tail::none:
    case Tail::dropped:
      return;
    case Tail::kept:
      sink.on_end(span);
      return;
    case Tail::open:
      break;
  }
  if (is_local_root) return end_root(span, sink);
  if (spans_.size() == kMaxTailSpans) {
    ++dropped_;
    return;
  }
  const PackedSize size = packed_size(span);
  spans_.push_back(pack(span, size, memory_.allocate(size.total)));
}

void SharedTrace::end_root(const SpanData& root, SpanSink& sink) {
  const Text reason = policy_->keep(root, any_failed_);
  if (reason.empty()) {
    tail_.store(Tail::dropped, std::memory_order_relaxed);
    return;
  }
  tail_.store(Tail::kept, std::memory_order_relaxed);
  for (const SpanData* span : spans_) sink.on_end(*span);

  const auto attributes = memory_.array<AttributeData>(root.attributes.size() + 2);
  auto* end = std::copy(root.attributes.begin(), root.attributes.end(), attributes.data());
  *end++ = AttributeData("sampling.reason", reason);
  if (dropped_ > 0) *end++ = AttributeData("sampling.dropped_spans", dropped_);
  SpanData kept = root;
  kept.attributes = std::span<const AttributeData>(attributes.data(), end);
  sink.on_end(kept);
}

}  // namespace tyaprover::trace::detail
