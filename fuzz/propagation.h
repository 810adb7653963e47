// For the fuzz targets of propagation formats: the input as header fields, and what must hold for
// every format.
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <string_view>

#include "fuzz/require.h"
#include "tyaprover/trace/propagation.h"

namespace tyaprover::trace {

// One field per line, "name:value"; a line without colon is a value of `name`. Each field lies in
// memory of its own size.
inline void check_propagation(Propagator format, std::string_view name, std::string_view text) {
  const auto memory = std::make_unique<char[]>(text.size() + name.size());
  std::copy(text.begin(), text.end(), memory.get());
  text = std::string_view(memory.get(), text.size());
  Extractor extractor({format});
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const std::size_t colon = name.empty() ? line.find(':') : std::string_view::npos;
    if (!name.empty()) {
      extractor.field(name, line);
    } else if (colon != std::string_view::npos) {
      extractor.field(line.substr(0, colon), line.substr(colon + 1));
    }
  }
  const Extracted extracted = extractor.finish();
  if (!extracted.context.is_valid()) return;
  require(extracted.context.is_remote(), "a context from outside is remote");
  require(!extracted.sampled, "a context decides for itself");

  const Context context(extracted.context);
  const InjectedFields fields(context, {format});
  Extractor again({format});
  fields.for_each([&](std::string_view key, std::string_view value) {
    require(is_trace_field(key), "our own fields are known");
    again.field(key, value);
  });
  const Extracted second = again.finish();
  require(second.context.trace_id() == extracted.context.trace_id(), "the trace id survives");
  require(second.context.span_id() == extracted.context.span_id(), "the span id survives");
  require(second.context.is_sampled() == extracted.context.is_sampled(), "the decision survives");
}

}  // namespace tyaprover::trace
