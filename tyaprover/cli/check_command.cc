#include "tyaprover/cli/check_command.h"

#include <ostream>
#include <string>

#include "tyaprover/base/json_writer.h"
#include "tyaprover/cli/config_source.h"
#include "tyaprover/gateway/config_keys.h"
#include "tyaprover/gateway/config_print.h"

namespace tyaprover::cli {
namespace {

using gateway::ConfigError;
using gateway::LoadedConfig;

std::string counted(std::size_t count, std::string_view what) {
  return std::to_string(count) + " " + std::string(what) + (count == 1 ? "" : "s");
}

int report_errors(const std::string& file, const std::vector<ConfigError>& errors, bool json,
                  const Surroundings& surroundings) {
  if (json) {
    std::string text;
    JsonWriter(text)
        .begin_object()
        .key("valid")
        .boolean(false)
        .key("errors")
        .raw(gateway::errors_as_json(errors))
        .end_object();
    surroundings.out << text << '\n';
  } else {
    print_errors(errors, surroundings);
    if (errors.size() > 1) surroundings.err << file << ": " << errors.size() << " errors\n";
  }
  return kWrong;
}

int report_success(const LoadedConfig& loaded, const CheckArguments& arguments,
                   const Surroundings& surroundings) {
  if (arguments.format == "json") {
    std::string text;
    JsonWriter json(text);
    json.begin_object().key("valid").boolean(true);
    if (arguments.print) json.key("effective").raw(gateway::config_as_json(loaded));
    json.end_object();
    surroundings.out << text << '\n';
  } else if (arguments.print) {
    surroundings.out << gateway::config_as_yaml(loaded);
  } else {
    std::size_t targets = 0;
    for (const gateway::AppConfig& app : loaded.config.apps) targets += app.targets.size();
    surroundings.out << loaded.files.front() << ": valid, "
                     << counted(loaded.config.apps.size(), "app") << ", "
                     << counted(targets, "target") << '\n';
  }
  return kSuccess;
}

}  // namespace

int check(const CheckArguments& arguments, const Surroundings& surroundings) {
  if (arguments.reference) {
    surroundings.out << gateway::key_reference();
    return kSuccess;
  }
  const std::optional<std::string> file = find_file(arguments.file, surroundings);
  if (!file) return kWrong;
  gateway::LoadOptions options = load_options(surroundings);
  options.file = file;
  const auto loaded = gateway::load_config(options);
  if (!loaded)
    return report_errors(*file, loaded.error(), arguments.format == "json", surroundings);
  return report_success(*loaded, arguments, surroundings);
}

}  // namespace tyaprover::cli
