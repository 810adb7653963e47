// Variant keys: a request matches its own, normalisation is idempotent, lines are one list, and a
// key never reads as that of other fields.
//
// Input: the Vary value, then one request field "name: value" per line.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "fuzz/require.h"
#include "tyaprover/cache/vary.h"

namespace tyaprover::cache {
namespace {

// Reads a key back into its parts, as only the length prefixes say.
void check_parts(std::string_view text, const VaryNames& names) {
  const auto take = [&] {
    std::size_t length = 0;
    require(!text.empty() && text[0] >= '0' && text[0] <= '9', "a part has a length");
    while (!text.empty() && text[0] != ':') {
      length = length * 10 + static_cast<std::size_t>(text[0] - '0');
      text.remove_prefix(1);
    }
    require(text.size() > length, "a part lies in the key");
    const std::string_view part = text.substr(1, length);
    text.remove_prefix(1 + length);
    return part;
  };
  for (const std::string& name : names.names()) {
    require(take() == name, "the names stand in the key, in order");
    if (text.substr(0, 1) == "-") {
      text.remove_prefix(1);
    } else {
      take();
    }
  }
  require(text.empty(), "nothing else stands in the key");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  std::vector<HeaderField> request;
  std::string_view vary;
  bool first = true;
  for (const std::string_view line : split(input, '\n')) {
    if (first) vary = line;
    const std::size_t colon = line.find(':');
    if (!first && colon != std::string_view::npos) {
      request.push_back({line.substr(0, colon), trim(line.substr(colon + 1))});
    }
    first = false;
  }
  const VaryNames names({{"Vary", vary}});
  if (names.all()) {
    require(!VariantKey(names, request).matches(request), "a star matches nothing");
    return 0;
  }
  const VariantKey key(names, request);
  require(key.matches(request), "a request matches its own key");
  require(VariantKey(names, request, "de").matches(request), "with a language too");
  check_parts(key.text(), names);

  std::vector<std::string> values;
  values.reserve(names.names().size());
  std::vector<HeaderField> normalised;
  bool well_formed = true;
  for (const std::string& name : names.names()) {
    if (!HeaderFields(request).has(name)) continue;
    well_formed = for_each_member(request, name, [](std::string_view) {}) && well_formed;
    values.push_back(normalised_selecting_field(name, request));
    normalised.push_back({name, values.back()});
  }
  // A quote that does not end swallows the line that is joined to it.
  if (well_formed) {
    require(VariantKey(names, normalised).text() == key.text(), "normalising is idempotent");
  }
  return 0;
}

}  // namespace tyaprover::cache
