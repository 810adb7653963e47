// Exemplars: one recent observation per series or bucket, with the trace in which it happened.
//
// An exemplar comes from the caller (`observe(value, exemplar)`) or, when a program has both
// metrics and tracing, from the hook that tells the active sampled span: `telemetry` sets it. A
// series takes at most one in 100 ms, so that its cost is bounded.
//
//   latency.observe(0.3, Exemplar{{"trace_id", "0af7651916cd43dd8448eb211c80319c"}});
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string_view>

#include "tyaprover/metrics/labels.h"

namespace tyaprover::metrics {

// The labels of an exemplar, as text that is ready for a page. A value type without allocation.
class Exemplar {
 public:
  // OpenMetrics 1.0: names and values together may have this many characters.
  static constexpr std::size_t kMaxCharacters = 128;
  static constexpr std::size_t kMaxLabels = 4;

  // No exemplar at all when the labels are too long (also beyond 160 bytes), too many, or one is
  // not valid: an exemplar is never cut, and a bad one is never worth losing the observation.
  Exemplar() = default;
  Exemplar(std::initializer_list<Label> labels) noexcept;

  [[nodiscard]] bool empty() const noexcept { return label_count_ == 0; }
  [[nodiscard]] std::size_t size() const noexcept { return label_count_; }
  [[nodiscard]] Label label(std::size_t i) const noexcept;

 private:
  // Valid UTF-8 of 128 characters has up to 512 bytes; longer exemplars are for nobody.
  static constexpr std::size_t kMaxBytes = 160;

  char text_[kMaxBytes];
  std::uint8_t ends_[2 * kMaxLabels];  // of name, value, name, value, …
  std::uint8_t label_count_ = 0;
};

// Tells the exemplar of what the calling thread is doing, empty for none. Called for observations
// without an exemplar of their own, unless their series had one less than 100 ms ago; must not
// throw.
using ExemplarHook = Exemplar (*)() noexcept;

// For the whole process; null switches it off.
void set_exemplar_hook(ExemplarHook hook) noexcept;

namespace detail {

inline std::atomic<ExemplarHook> exemplar_hook{nullptr};

// An exemplar as a page shows it.
struct ShownExemplar {
  Exemplar exemplar;
  double value = 0;
  std::chrono::system_clock::time_point time;
};

}  // namespace detail
}  // namespace tyaprover::metrics
