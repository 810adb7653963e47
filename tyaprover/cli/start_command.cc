#include "tyaprover/cli/start_command.h"

#include <utility>

#include "tyaprover/cli/config_source.h"

namespace tyaprover::cli {
namespace {

int start(const StartArguments& arguments, gateway::LoadOptions options,
          const Surroundings& surroundings) {
  options.targets = arguments.targets;
  options.listen = arguments.listen;
  options.settings = arguments.settings;
  if (!arguments.workers.empty()) options.workers = arguments.workers;
  options.apps_required = !arguments.demo;
  auto loaded = gateway::load_config(options);
  if (!loaded) {
    print_errors(loaded.error(), surroundings);
    return is_bad_usage(loaded.error()) ? kBadUsage : kWrong;
  }
  return surroundings.run(std::move(*loaded), {.demo = arguments.demo});
}

}  // namespace

int run_from_file(const StartArguments& arguments, const Surroundings& surroundings) {
  gateway::LoadOptions options = load_options(surroundings);
  options.file = find_file(arguments.file, surroundings);
  if (!options.file) return kWrong;
  return start(arguments, std::move(options), surroundings);
}

int quick_start(const StartArguments& arguments, const Surroundings& surroundings) {
  return start(arguments, load_options(surroundings), surroundings);
}

}  // namespace tyaprover::cli
