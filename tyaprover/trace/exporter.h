// SpanExporter: sends finished spans somewhere.
//
// A processor calls export_spans() from one thread at a time; cancel() may come from any thread. To
// write one of your own, derive from this and give it to batch() or simple():
//
//   class Counter final : public SpanExporter {
//     ExportResult export_spans(std::span<const SpanData> spans, TimePoint) override {
//       count_ += spans.size();
//       return {};
//     }
//   };
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "tyaprover/base/clock.h"
#include "tyaprover/trace/span_data.h"

namespace tyaprover::trace {

enum class ExportOutcome : std::uint8_t {
  delivered,
  try_again,  // nobody took them, a repeat may help
  refused,    // a repeat would not help
};
[[nodiscard]] std::string_view to_string(ExportOutcome outcome) noexcept;

struct ExportResult {
  ExportOutcome outcome = ExportOutcome::delivered;
  std::uint64_t rejected = 0;             // of those delivered, spans that were thrown away there
  std::optional<Nanos> retry_after = {};  // how long the other side asked to be left alone
  std::string message = {};               // what went wrong, for people
};

class SpanExporter {
 public:
  virtual ~SpanExporter() = default;
  // Blocks until the spans are delivered or the steady clock shows `deadline`. `spans` and what
  // they point to live until it returns.
  [[nodiscard]] virtual ExportResult export_spans(std::span<const SpanData> spans,
                                                  TimePoint deadline) = 0;
  // Makes a running export_spans() return soon, and later ones at once.
  virtual void cancel() noexcept {}
  // In the child of a fork: the exporter to use there, because a thread that the child does not
  // have may have been inside this one; nullptr = this one has no state that matters.
  [[nodiscard]] virtual std::shared_ptr<SpanExporter> after_fork() const { return nullptr; }
};
using SpanExporterPtr = std::shared_ptr<SpanExporter>;

}  // namespace tyaprover::trace
