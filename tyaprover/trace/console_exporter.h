// ConsoleSpanExporter: one JSON object a line, for people at a terminal.
//
// Used by one processor at a time. Without a sink it writes to the standard output, which is its
// purpose.
//
//   TracerProvider::instance().set_exporter(ConsoleSpanExporter{});
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "tyaprover/trace/exporter.h"

namespace tyaprover::trace {

// Appends one span as a JSON object, without line end: ids in hex, times in RFC 3339 and as
// nanoseconds, attributes as an object.
void append_console_json(std::string& out, const SpanData& span);

class ConsoleSpanExporter final : public SpanExporter {
 public:
  // `sink` gets whole lines.
  explicit ConsoleSpanExporter(std::function<void(std::string_view)> sink = nullptr);

  [[nodiscard]] ExportResult export_spans(std::span<const SpanData> spans,
                                          TimePoint deadline) override;

 private:
  std::function<void(std::string_view)> sink_;
  std::string lines_;
};

}  // namespace tyaprover::trace
