// ProviderCore: what a provider's tracers and spans need of it. Internal.
//
// Thread-safe: settings never change, the processor is swapped atomically, counters are per thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "tyaprover/base/clock.h"
#include "tyaprover/trace/per_thread.h"
#include "tyaprover/trace/processor.h"
#include "tyaprover/trace/sampler.h"
#include "tyaprover/trace/tracer.h"

namespace tyaprover::trace::detail {

class ProviderCore final : public SpanSink {
 public:
  ProviderCore(SamplerPtr chosen_sampler, SpanLimits chosen_limits, const Clock& chosen_clock)
      : sampler(std::move(chosen_sampler)), limits(chosen_limits), clock(chosen_clock) {}

  // Acquire: a processor that was just set is complete.
  void on_end(const SpanData& span) noexcept override {
    SpanProcessor* const to = processor.load(std::memory_order_acquire);
    if (to != nullptr) to->on_end(span);
  }

  void count_start(bool sampled) {
    Started* const mine = started.local();
    if (mine == nullptr) return;
    std::atomic<std::uint64_t>& counter = sampled ? mine->sampled : mine->unsampled;
    // This thread is the only writer, so no read-modify-write is needed. Relaxed: readers want a
    // count, not an order.
    counter.store(counter.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }

  struct Started {
    std::atomic<std::uint64_t> sampled{0};
    std::atomic<std::uint64_t> unsampled{0};
  };

  const SamplerPtr sampler;
  const SpanLimits limits;
  const Clock& clock;
  std::atomic<SpanProcessor*> processor{nullptr};
  PerThread<Started> started{[] { return std::make_unique<Started>(); }};
};

}  // namespace tyaprover::trace::detail
