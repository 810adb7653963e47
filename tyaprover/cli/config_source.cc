#include "tyaprover/cli/config_source.h"

#include <algorithm>
#include <ostream>

namespace tyaprover::cli {
namespace {

using gateway::ConfigError;

constexpr const char* kDefaultFiles[] = {"./tyaprover.yaml", "/etc/tyaprover/tyaprover.yaml"};

bool is_of_command_line(const ConfigError& error) {
  return error.line == 0 && (error.file == "argument" || error.file.starts_with("--"));
}

}  // namespace

std::optional<std::string> find_file(const std::string& named, const Surroundings& surroundings) {
  if (!named.empty()) return named;
  std::string places;
  for (const std::string place : kDefaultFiles) {
    const auto bytes = surroundings.files->read(place);
    // One that exists and cannot be read is not passed over: loading it says why.
    if (bytes || bytes.error() != "does not exist") return place;
    places += (places.empty() ? "" : " and ") + place;
  }
  surroundings.err
      << "tyaprover: no configuration, looked for " << places
      << ": name one with -c FILE, or start without one: tyaprover http://localhost:8080\n";
  return std::nullopt;
}

gateway::LoadOptions load_options(const Surroundings& surroundings) {
  gateway::LoadOptions options;
  options.environment = surroundings.environment;
  options.files = surroundings.files;
  return options;
}

bool is_bad_usage(const std::vector<ConfigError>& errors) {
  return std::ranges::all_of(errors, is_of_command_line);
}

void print_errors(const std::vector<ConfigError>& errors, const Surroundings& surroundings) {
  for (const ConfigError& error : errors) {
    if (!is_of_command_line(error)) {
      surroundings.err << gateway::errors_as_text({&error, 1}, surroundings.colour_err);
      continue;
    }
    surroundings.err << "tyaprover: ";
    if (error.file != "argument") surroundings.err << error.file << ": ";
    surroundings.err << error.message;
    if (!error.hint.empty()) surroundings.err << ": " << error.hint;
    surroundings.err << '\n';
  }
}

}  // namespace tyaprover::cli
