// Samplers: which traces are recorded and exported.
//
// Immutable but for atomic counters, and thread-safe; shared by pointer. sample() runs once per
// started span on the caller's thread and neither allocates nor locks.
//
//   TracerProviderOptions{.sampler = parent_based(ratio(0.1))}
//   TracerProviderOptions{.sampler = parent_based(error_biased({.base = 0.01}))}
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tyaprover/base/clock.h"
#include "tyaprover/trace/attribute.h"
#include "tyaprover/trace/span_context.h"
#include "tyaprover/trace/span_data.h"

namespace tyaprover::trace {

namespace detail {
class TailPolicy;
}

struct SamplingInput {
  const SpanContext& parent;  // invalid for the root of a trace
  TraceId trace_id;
  std::string_view name;
  SpanKind kind = SpanKind::internal;
  std::span<const Attribute> attributes;  // those given at the start
};

struct SamplingDecision {
  bool sampled = false;
  // Set = a trace that is not sampled is recorded in memory, and this decides at its end.
  const detail::TailPolicy* tail = nullptr;
};

class Sampler {
 public:
  virtual ~Sampler() = default;
  [[nodiscard]] virtual SamplingDecision sample(const SamplingInput& input) const noexcept = 0;
  // Where the answer for spans without parent depends on the trace id alone: the least
  // random_bits() that is sampled. Asked once, so that starting such a span needs no call.
  [[nodiscard]] virtual std::optional<std::uint64_t> root_threshold() const noexcept {
    return std::nullopt;
  }
  // For people: "ratio(0.1)".
  [[nodiscard]] virtual std::string description() const = 0;
};
using SamplerPtr = std::shared_ptr<const Sampler>;

[[nodiscard]] SamplerPtr always_on();
[[nodiscard]] SamplerPtr always_off();

// The share `probability` of all traces, chosen by the low 56 bits of the trace id: every process
// with the same probability chooses the same traces, and one with a larger probability chooses
// these and more. Throws std::invalid_argument unless 0 <= probability <= 1.
[[nodiscard]] SamplerPtr ratio(double probability);

// What parent_based asks, by kind of parent; null = follow the parent's flag.
struct ParentSamplers {
  SamplerPtr remote_sampled = nullptr;
  SamplerPtr remote_not_sampled = nullptr;
  SamplerPtr local_sampled = nullptr;
  SamplerPtr local_not_sampled = nullptr;
};
// `root` for spans without parent. Throws std::invalid_argument when it is null.
[[nodiscard]] SamplerPtr parent_based(SamplerPtr root, ParentSamplers parents = {});

// At most `per_second` traces a second, and as many at once after a pause. Throws
// std::invalid_argument unless 0 < per_second <= 1e9.
[[nodiscard]] SamplerPtr rate_limited(double per_second,
                                      const Clock& clock = SteadyClock::instance());

// A span matches when every pattern that is not empty matches; `*` at a pattern's end stands for
// any rest.
struct SamplingRule {
  std::string route;  // compared with the attribute http.route given at the start
  std::string name;   // compared with the span's name
  SamplerPtr sampler;
};
// The first rule that matches decides, or `otherwise`. Throws std::invalid_argument for a null
// sampler.
[[nodiscard]] SamplerPtr rules(std::vector<SamplingRule> rules, SamplerPtr otherwise);

struct ErrorBiasedOptions {
  double base = 0.01;                           // share chosen at the start, as by ratio()
  bool errors = true;                           // keep traces that failed
  Nanos slower_than = std::chrono::seconds(1);  // keep slower ones; zero = do not
  double max_per_second = 100;                  // kept at the end, at most
  const Clock* clock = &SteadyClock::instance();
};

// Traces that are not chosen at their start are recorded in memory and kept at the end of their
// first span in this process (the local root), if it or a span below it has status error, if its
// attribute http.response.status_code is 500 or more, or if it was slow. Such a root carries the
// attribute sampling.reason = "error" or "slow". The flag sent to other processes is the decision
// at the start.
class ErrorBiasedSampler : public Sampler {
 public:
  struct Counts {
    std::uint64_t kept = 0;        // not chosen at the start, kept at the end
    std::uint64_t over_limit = 0;  // would have been kept, but for max_per_second
  };
  [[nodiscard]] virtual Counts counts() const noexcept = 0;
};
// Throws std::invalid_argument for a base that ratio(), or a limit that rate_limited() would
// refuse.
[[nodiscard]] std::shared_ptr<const ErrorBiasedSampler> error_biased(
    ErrorBiasedOptions options = {});

}  // namespace tyaprover::trace
