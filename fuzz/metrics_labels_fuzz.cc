// Label values of any bytes: they keep series apart, and whatever they hold, each line of the page
// stays one line with one label that reads back as the value in UTF-8.
#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "fuzz/require.h"
#include "tyaprover/base/text.h"
#include "tyaprover/base/utf8.h"
#include "tyaprover/metrics/registry.h"

namespace tyaprover::metrics {
namespace {

std::string in_utf8(std::string_view text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Sequence sequence = decode_utf8(text, at);
    out += sequence.valid ? text.substr(at, sequence.length) : "\xEF\xBF\xBD";
    at += sequence.length;
  }
  return out;
}

// The value of the one label of a line `c{a="…"} 1`, unescaped; advances over the line.
std::string take_value(std::string_view& page) {
  std::string value;
  if (page.starts_with("c{a=\"")) {
    page.remove_prefix(5);
    for (;;) {
      require(!page.empty() && page.front() != '\n', "a value ends on its line");
      const char c = page.front();
      page.remove_prefix(1);
      if (c == '"') break;
      if (c != '\\') {
        value += c;
        continue;
      }
      require(!page.empty(), "an escape is complete");
      const char escaped = page.front();
      page.remove_prefix(1);
      require(escaped == 'n' || escaped == '"' || escaped == '\\', "an escape is known");
      value += escaped == 'n' ? '\n' : escaped;
    }
    require(page.starts_with("}"), "there is one label");
    page.remove_prefix(1);
  } else {
    require(page.starts_with("c"), "a line is a sample");
    page.remove_prefix(1);
  }
  require(page.starts_with(" 1\n"), "each series was counted once");
  page.remove_prefix(3);
  return value;
}

// Values stand between bytes of 0x1F.
void check(std::string_view data) {
  constexpr char kSeparator = '\x1f';
  Registry registry;
  auto& family = registry.counter("c", "", {"a"});
  std::set<std::string> values;
  for (const std::string_view value : split(data, kSeparator)) {
    if (values.insert(std::string(value)).second) family.with({value}).inc();
  }
  require(family.size() == values.size(), "different values are different series");
  for (const std::string& value : values) require(family.with({value}).value() == 1, "found again");

  std::set<std::string> expected;
  for (const std::string& value : values) expected.insert(in_utf8(value));
  const std::string text = registry.expose({.self_metrics = false}).text();
  std::string_view page = text;
  constexpr std::string_view kHead = "# HELP c \n# TYPE c counter\n";
  require(page.starts_with(kHead), "the family comes first");
  page.remove_prefix(kHead.size());
  std::set<std::string> shown;
  while (!page.empty()) require(shown.insert(take_value(page)).second, "no value is shown twice");
  require(shown == expected, "a page shows the values");
}

}  // namespace
}  // namespace tyaprover::metrics

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > 4096) return 0;
  tyaprover::metrics::check({reinterpret_cast<const char*>(data), size});
  return 0;
}
