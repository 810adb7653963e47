// How the commands load a configuration and say what is wrong with it.
//
// Not thread-safe.
#pragma once

#include <optional>
#include <string>

#include "tyaprover/cli/commands.h"
#include "tyaprover/gateway/config_load.h"

namespace tyaprover::cli {

// The file that was named, else the first of the default places that exists. If there is none, says
// where it looked and returns nothing.
[[nodiscard]] std::optional<std::string> find_file(const std::string& named,
                                                   const Surroundings& surroundings);

// Loading options with the surroundings' environment and files.
[[nodiscard]] gateway::LoadOptions load_options(const Surroundings& surroundings);

// Whether all errors are about the command line itself, which makes them bad usage.
[[nodiscard]] bool is_bad_usage(const std::vector<gateway::ConfigError>& errors);

// Errors of the command line as one line each, others with their source lines.
void print_errors(const std::vector<gateway::ConfigError>& errors,
                  const Surroundings& surroundings);

}  // namespace tyaprover::cli
