// Golden files: testdata/config/*.txt hold the files, the environment and the flags of one case
// above, and what load_config makes of them below: the errors as text, or the settings that are not
// defaults. TYAPROVER_UPDATE_GOLDEN=1 writes the results anew; read the difference before you
// commit it.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

#include "tyaprover/base/text.h"
#include "tyaprover/gateway/config_print.h"
#include "tyaprover/gateway/config_test_files.h"

namespace tyaprover::gateway {
namespace {

std::filesystem::path folder() {
  return std::filesystem::path(TYAPROVER_SOURCE_DIR) / "tyaprover/gateway/testdata/config";
}

std::vector<std::string> case_names() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder())) {
    names.push_back(entry.path().stem().string());
  }
  std::ranges::sort(names);
  return names;
}

std::string bytes_of(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

struct GoldenCase {
  MemoryFiles files;
  std::map<std::string, std::string> environment;
  LoadOptions options;
  std::string input;  // everything above the result
  std::string expected;
};

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

// Parts begin with a line "-- name --"; the names environment, flags and expected are special.
GoldenCase read_case(const std::string& text) {
  GoldenCase golden;
  constexpr std::string_view kResult = "-- expected --\n";
  const std::size_t result = text.find(kResult);
  golden.input = text.substr(0, result);
  golden.expected = result == std::string::npos ? "" : text.substr(result + kResult.size());
  std::string part;
  for (const std::string& line : lines_of(golden.input)) {
    if (line.starts_with("-- ") && line.ends_with(" --")) {
      part = line.substr(3, line.size() - 6);
      if (part != "environment" && part != "flags") golden.files.files[part];
    } else if (part == "environment") {
      golden.environment[line.substr(0, line.find('='))] = line.substr(line.find('=') + 1);
    } else if (part == "flags") {
      golden.options.settings.push_back(line);
    } else {
      golden.files.files[part] += line + "\n";
    }
  }
  return golden;
}

// Without the lines that are defaults, and the sections that held nothing else.
std::string without_defaults(const std::string& yaml) {
  std::vector<std::string> kept;
  const auto indent_of = [](const std::string& line) { return line.find_first_not_of(' '); };
  const auto drop_empty_section = [&](std::size_t next_indent) {
    if (!kept.empty() && kept.back().ends_with(":") && indent_of(kept.back()) >= next_indent)
      kept.pop_back();
  };
  for (const std::string& line : lines_of(yaml)) {
    if (line.ends_with("# default")) continue;
    drop_empty_section(indent_of(line));
    kept.push_back(line);
  }
  drop_empty_section(0);
  std::string out;
  for (const std::string& line : kept) out += line + "\n";
  return out;
}

class ConfigGolden : public testing::TestWithParam<std::string> {};

TEST_P(ConfigGolden, GivesTheExpectedResult) {
  const std::filesystem::path path = folder() / (GetParam() + ".txt");
  GoldenCase golden = read_case(bytes_of(path));
  golden.options.file = "tyaprover.yaml";
  golden.options.files = &golden.files;
  golden.options.environment = lookup_in(golden.environment);

  const auto loaded = load_config(golden.options);
  const std::string result =
      loaded ? without_defaults(config_as_yaml(*loaded)) : errors_as_text(loaded.error());

  if (std::getenv("TYAPROVER_UPDATE_GOLDEN") != nullptr) {
    std::ofstream(path, std::ios::binary) << golden.input << "-- expected --\n" << result;
    return;
  }
  EXPECT_EQ(result, golden.expected);
}

INSTANTIATE_TEST_SUITE_P(Files, ConfigGolden, testing::ValuesIn(case_names()),
                         [](const auto& each) { return each.param; });

}  // namespace
}  // namespace tyaprover::gateway
