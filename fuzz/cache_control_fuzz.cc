// Cache-Control: one list whatever the lines, names in any case, nothing read out of another
// directive's string, and a restriction that is added is seen.
#include "tyaprover/cache/cache_control.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "fuzz/require.h"

namespace tyaprover::cache {
namespace {

CacheControl parse(std::string_view value) {
  return parse_cache_control({{"Cache-Control", value}});
}

void check_bounds(const CacheControl& cc) {
  for (const DeltaSeconds& seconds : {cc.max_age, cc.s_maxage, cc.max_stale, cc.min_fresh,
                                      cc.stale_while_revalidate, cc.stale_if_error}) {
    require(seconds.value().count() >= 0 && seconds.value().count() <= DeltaSeconds::kMax,
            "a number is within its bounds");
    require(seconds.present() || !seconds.valid(), "what is not there is not valid");
  }
}

std::string swap_case(std::string_view text) {
  std::string swapped(text);
  for (char& c : swapped) {
    if (to_lower(c) != c) {
      c = to_lower(c);
    } else if (c >= 'a' && c <= 'z') {
      c = static_cast<char>(c - 'a' + 'A');
    }
  }
  return swapped;
}

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + '"';
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  if (const auto surrogate = parse_surrogate_control({{"Surrogate-Control", input}})) {
    check_bounds(*surrogate);
  }
  std::vector<HeaderField> lines;
  std::string joined;
  bool well_formed = true;
  for (const std::string_view line : split(input, '\n')) {
    if (!lines.empty()) joined += ", ";
    joined += line;
    lines.push_back({"Cache-Control", line});
    well_formed = well_formed && !parse(line).malformed;
  }
  const CacheControl cc = parse_cache_control(lines);
  check_bounds(cc);
  require(cc.malformed == !well_formed, "one malformed line makes the list malformed");
  if (well_formed) require(parse(joined) == cc, "lines are one list");
  require(parse(swap_case(joined)) == parse(joined), "names have no case");
  require(parse("x=" + quoted(joined) + ", max-age=5") == parse("max-age=5"),
          "what stands in a string is no directive");
  if (well_formed) {
    CacheControl restricted = cc;
    restricted.no_store = true;
    require(parse(joined + ", no-store") == restricted, "a restriction that is added is seen");
  }
  for_each_no_cache_field(
      lines, [&](std::string_view name) { require(!name.empty(), "a name is not empty"); });

  if (const auto cdn = parse_cdn_cache_control({{"CDN-Cache-Control", joined}})) {
    check_bounds(*cdn);
  }
  return 0;
}

}  // namespace tyaprover::cache
