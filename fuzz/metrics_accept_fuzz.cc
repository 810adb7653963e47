// The Accept field of a scrape: whatever it holds, one exposition comes out; neither letter case,
// spaces around separators nor a repetition changes it, and what the field refuses is not chosen
// while something else is wanted.
#include <algorithm>
#include <cctype>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "fuzz/require.h"
#include "tyaprover/metrics/page.h"

namespace tyaprover::metrics {
namespace {

void check(const std::string& accept) {
  const Exposition chosen = negotiate(accept);
  require(!content_type(chosen).empty(), "an exposition is chosen");

  // The version, proto and encoding of a type are compared as they are: digits and one spelling.
  const bool has_parameter = accept.find('=') != std::string::npos;
  if (!has_parameter) {
    std::string upper = accept;
    std::transform(upper.begin(), upper.end(), upper.begin(),
                   [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
    require(negotiate(upper) == chosen, "letter case of types means nothing");
  }
  std::string spaced;
  for (const char c : accept) {
    if (c == ',' || c == ';') spaced += " \t";
    spaced += c;
    if (c == ',' || c == ';') spaced += "\t ";
  }
  require(negotiate(spaced) == chosen, "spaces around separators mean nothing");
  require(negotiate(accept + "," + accept) == chosen, "a repetition means nothing");

  // A range with the greatest precision and weight, in front, decides.
  const std::string first = "application/openmetrics-text;version=1.0.0;q=1," + accept;
  require(negotiate(first) == Exposition::openmetrics, "a first range of full weight is followed");
  const std::string refused = "application/openmetrics-text;version=1.0.0;q=0," + accept;
  require(negotiate(refused) != Exposition::openmetrics, "a weight of 0 refuses");
}

}  // namespace
}  // namespace tyaprover::metrics

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > 4096) return 0;
  tyaprover::metrics::check(std::string(reinterpret_cast<const char*>(data), size));
  return 0;
}
