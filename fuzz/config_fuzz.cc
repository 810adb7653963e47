// The configuration reader on arbitrary bytes, without file system and environment.
//
// Beside not crashing and not hanging: what it accepts it must print as a configuration that it
// accepts again with the same settings, and errors must be printable whatever stood in the file.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "tyaprover/gateway/config_print.h"
#include "tyaprover/gateway/config_test_files.h"

namespace {

using namespace tyaprover::gateway;  // NOLINT(google-build-using-namespace)
using tyaprover::Result;

[[noreturn]] void fail(const char* what, const std::string& text) {
  std::fprintf(stderr, "%s:\n%s\n", what, text.c_str());
  std::abort();
}

Result<LoadedConfig, std::vector<ConfigError>> load(const std::string& text) {
  // Included by the pattern of some inputs.
  const MemoryFiles files(
      {{"main.yaml", text},
       {"conf.d/a.yaml", "apps: [{name: inc, path: /inc, upstream: {targets: ['http://a']}}]"}});
  return load_config(
      {.file = "main.yaml",
       .apps_required = false,
       .environment = lookup_in({{"HOST", "a.example"}, {"NUMBER", "7"}, {"EMPTY", ""}}),
       .files = &files});
}

void check_errors(const std::vector<ConfigError>& errors) {
  if (errors.empty()) fail("refused without an error", "");
  (void)errors_as_json(errors);
  const std::string text = errors_as_text(errors);
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\t')
      fail("a control character", text);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto loaded = load(text);
  if (!loaded) {
    check_errors(loaded.error());
    return 0;
  }
  (void)config_as_json(*loaded);
  const std::string printed = config_as_yaml(*loaded);
  const auto again = load(printed);
  if (!again) fail("the printed configuration is refused", printed + errors_as_text(again.error()));
  if (again->config != loaded->config) fail("the printed configuration differs", printed);
  return 0;
}
