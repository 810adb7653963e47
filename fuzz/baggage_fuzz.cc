// baggage: limits hold, and what was read survives being written and read again.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "fuzz/require.h"
#include "tyaprover/trace/baggage.h"

namespace tyaprover::trace {
namespace {

void check(std::string_view text) {
  Baggage baggage = Baggage::parse(text);
  const std::string written = baggage.format();
  require(baggage.members().size() <= Baggage::kMaxMembers, "there are at most 64 members");
  require(written.size() <= Baggage::kMaxBytes, "it fits into 8192 bytes");
  for (const char c : written) {
    require((c >= ' ' && c < 0x7f) || c == '\t', "it can be sent as a field");
  }
  const Baggage again = Baggage::parse(written);
  require(again.members() == baggage.members(), "what is written is read again");
  require(again.format() == written, "writing is stable");
  if (baggage.empty()) return;
  const std::string key = baggage.members().front().key;
  require(baggage.get(key).has_value(), "a member can be found");
  baggage.remove(key);
  require(!baggage.get(key), "a member can be removed");
  require(baggage.set(key, "x"), "there is room for what was removed");
}

}  // namespace
}  // namespace tyaprover::trace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  tyaprover::trace::check({reinterpret_cast<const char*>(data), size});
  return 0;
}
