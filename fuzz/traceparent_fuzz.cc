// traceparent: what is accepted is what the grammar says, and survives being written and read
// again.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "fuzz/require.h"
#include "tyaprover/trace/trace_context.h"

namespace tyaprover::trace {
namespace {

bool is_lower_hex(std::string_view text) {
  return text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

// The grammar of §3.2 as it reads, for a value without blanks around it.
bool is_traceparent(std::string_view text) {
  if (text.size() < 55) return false;
  const std::string_view version = text.substr(0, 2);
  const std::string_view trace_id = text.substr(3, 32);
  const std::string_view span_id = text.substr(36, 16);
  if (!is_lower_hex(version) || version == "ff" || !is_lower_hex(trace_id) ||
      !is_lower_hex(span_id) || !is_lower_hex(text.substr(53, 2))) {
    return false;
  }
  if (text[2] != '-' || text[35] != '-' || text[52] != '-') return false;
  if (trace_id == std::string(32, '0') || span_id == std::string(16, '0')) return false;
  return text.size() == 55 || (version != "00" && text[55] == '-');
}

void check(std::string_view text) {
  const auto context = TraceContext::parse(text);
  std::string_view bare = text;
  while (!bare.empty() && (bare.front() == ' ' || bare.front() == '\t')) bare.remove_prefix(1);
  while (!bare.empty() && (bare.back() == ' ' || bare.back() == '\t')) bare.remove_suffix(1);
  require(context.has_value() == is_traceparent(bare), "the grammar decides");
  if (!context) return;
  require(context->is_valid() && context->is_remote(),
          "a context from outside is valid and remote");
  const std::string anew = TraceContext::format(*context);
  require(anew.substr(3, 50) == bare.substr(3, 50), "ids are passed on as they came");
  const auto again = TraceContext::parse(anew);
  require(again && TraceContext::format(*again) == anew, "what is written is read again");
}

}  // namespace
}  // namespace tyaprover::trace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  tyaprover::trace::check({reinterpret_cast<const char*>(data), size});
  return 0;
}
