// Structured fields: what was read is the same after it was written anew, and an error is where the
// text stops being a dictionary.
#include "tyaprover/cache/structured_field.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "fuzz/require.h"
#include "tyaprover/cache/cache_control.h"

namespace tyaprover::cache {
namespace {

// RFC 8941 §4.1.2, without parameters.
std::string serialise(const std::vector<StructuredMember>& members) {
  std::string text;
  for (const StructuredMember& member : members) {
    if (!text.empty()) text += ", ";
    text.append(member.key).append("=");
    switch (member.type) {
      case StructuredType::boolean:
        text += member.integer != 0 ? "?1" : "?0";
        break;
      case StructuredType::integer:
        text += std::to_string(member.integer);
        break;
      case StructuredType::decimal: {
        const std::int64_t positive = member.integer < 0 ? -member.integer : member.integer;
        std::string fraction = std::to_string(positive % 1000);
        fraction.insert(0, 3 - fraction.size(), '0');
        text += (member.integer < 0 ? "-" : "") + std::to_string(positive / 1000) + "." + fraction;
        break;
      }
      case StructuredType::string:
        text.append("\"").append(member.text).append("\"");
        break;
      case StructuredType::token:
        text += member.text;
        break;
      case StructuredType::byte_sequence:
        text.append(":").append(member.text).append(":");
        break;
      case StructuredType::inner_list:
        text.append("(").append(member.text).append(")");
        break;
    }
  }
  return text;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const auto read = parse_dictionary(input);
  if (!read) {
    require(read.error().position <= input.size(), "an error lies in the text");
    require(!parse_cdn_cache_control({{"CDN-Cache-Control", input}}),
            "what does not parse is ignored");
    return 0;
  }
  for (const StructuredMember& member : *read) {
    require(!member.key.empty(), "a key is not empty");
    const bool inside = member.text.empty() ||
                        (member.text.data() >= input.data() &&
                         member.text.data() + member.text.size() <= input.data() + input.size());
    require(inside, "text lies in what was given");
  }
  const std::string written = serialise(*read);
  const auto again = parse_dictionary(written);
  require(again.has_value(), "what was written is a dictionary");
  require(again->size() == read->size(), "it has as many members");
  for (std::size_t i = 0; i < read->size(); ++i) {
    const StructuredMember& a = (*read)[i];
    const StructuredMember& b = (*again)[i];
    require(a.key == b.key && a.type == b.type && a.integer == b.integer,
            "a member is the same after writing");
  }
  require(serialise(*again) == written, "writing is stable");
  return 0;
}

}  // namespace tyaprover::cache
