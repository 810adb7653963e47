// tracestate: lines may be joined anywhere between members, joining again changes nothing, and our
// own member can always be added. Lines of a state are separated by line feeds in the input.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "fuzz/require.h"
#include "tyaprover/trace/trace_context.h"

namespace tyaprover::trace {
namespace {

void check_written(const std::string& state) {
  const std::string ours = TraceState::with(state, "tya", "1");
  require(ours.starts_with("tya=1"), "ours goes first");
  require(ours.size() <= std::max<std::size_t>(TraceState::kMaxWritten, 5), "it fits");
  std::string buffer;
  const std::string_view line = ours;
  const auto again = TraceState::join(std::span(&line, 1), buffer);
  require(again && *again == ours, "what we write is valid");
  require(TraceState::get(ours, "tya") == "1", "it can be read");
  require(!TraceState::get(TraceState::without(ours, "tya"), "tya"), "it can be removed");
}

void check(std::string_view text) {
  std::vector<std::string_view> lines;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    lines.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  std::string buffer;
  const auto joined = TraceState::join(lines, buffer);
  std::string one_line(text);
  std::replace(one_line.begin(), one_line.end(), '\n', ',');
  const std::string_view line = one_line;
  std::string other_buffer;
  const auto as_one = TraceState::join(std::span(&line, 1), other_buffer);
  require(joined == as_one, "lines are members in order");
  if (!joined) return;
  const std::string state(*joined);
  require(std::count(state.begin(), state.end(), ',') < 32, "there are at most 32 members");
  require(state.find(",,") == std::string::npos, "no member is empty");
  const std::string_view state_line = state;
  require(TraceState::join(std::span(&state_line, 1), buffer) == state_line,
          "joining again is idle");
  check_written(state);
}

}  // namespace
}  // namespace tyaprover::trace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  tyaprover::trace::check({reinterpret_cast<const char*>(data), size});
  return 0;
}
