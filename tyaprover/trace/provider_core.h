// ProviderCore: what a provider's tracers and spans need of it. Internal.
//
// Thread-safe: settings never change, the processor is swapped atomically, counters are per thread.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>

#include "tyaprover/base/clock.h"
#include "tyaprover/trace/per_thread.h"
#include "tyaprover/trace/processor.h"
#include "tyaprover/trace/recording.h"
#include "tyaprover/trace/sampler.h"
#include "tyaprover/trace/tracer.h"

namespace tyaprover::trace::detail {

class ProviderCore final : public SpanSink {
 public:
  ProviderCore(SamplerPtr chosen_sampler, SpanLimits chosen_limits, const Clock& chosen_clock)
      : sampler(std::move(chosen_sampler)),
        root_threshold(sampler->root_threshold()),
        limits(chosen_limits),
        clock(chosen_clock) {}

  // Acquire: a processor that was just set is complete.
  void on_end(const SpanData& span) noexcept override {
    SpanProcessor* const to = processor.load(std::memory_order_acquire);
    if (to != nullptr) to->on_end(span);
  }

  // What a thread keeps between the spans that it starts. Only that thread writes.
  struct Local {
    std::atomic<std::uint64_t> sampled{0};
    std::atomic<std::uint64_t> unsampled{0};
    // Where the wall clock stood at a point of the steady clock. Reading a clock is a quarter of a
    // span's cost, so within kAnchorAge the wall clock is computed; it follows a step within that.
    TimePoint anchor_steady;
    std::int64_t anchor_unix_nanos = 0;

    void count(bool is_sampled) noexcept {
      // Relaxed: readers want a count, not an order. No other writer, so no read-modify-write.
      std::atomic<std::uint64_t>& counter = is_sampled ? sampled : unsampled;
      counter.store(counter.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    }
    std::int64_t unix_nanos(TimePoint steady) noexcept {
      if (anchor_unix_nanos == 0 || steady - anchor_steady > kAnchorAge) [[unlikely]] {
        anchor_steady = steady;
        anchor_unix_nanos = unix_nanos_now();
      }
      return anchor_unix_nanos + (steady - anchor_steady).count();
    }
  };
  static constexpr Nanos kAnchorAge = std::chrono::milliseconds(10);

  static std::int64_t unix_nanos_now() noexcept {
    const auto since_epoch = std::chrono::system_clock::now().time_since_epoch();
    return std::chrono::duration_cast<Nanos>(since_epoch).count();
  }

  const SamplerPtr sampler;
  const std::optional<std::uint64_t> root_threshold;  // of the sampler
  const SpanLimits limits;
  const Clock& clock;
  // See Recording::plain_attributes.
  const std::uint32_t plain_attributes =
      limits.value_length == SpanLimits::kNoLimit
          ? std::min<std::uint32_t>(limits.attributes, Recording::kInlineAttributes)
          : 0;
  std::atomic<SpanProcessor*> processor{nullptr};
  // Null while the thread is being destroyed.
  PerThread<Local> locals{[] { return std::make_unique<Local>(); }};
};

}  // namespace tyaprover::trace::detail
