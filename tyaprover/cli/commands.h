// The command line: from arguments to an exit code.
//
// Not thread-safe; called once by main(), and freely by tests with surroundings of their own. What
// the commands do is the gateway room's; how they are asked and what they say is here, a file per
// command. Exit codes (R1.1): 0 success, 1 the thing asked about is wrong, 2 bad usage.
//
//   std::ostringstream out, err;
//   int code = run_command_line({"version"}, {.out = out, .err = err});
#pragma once

#include <functional>
#include <iosfwd>
#include <string>
#include <vector>

#include "tyaprover/gateway/run.h"

namespace tyaprover::cli {

inline constexpr int kSuccess = 0;
inline constexpr int kWrong = 1;
inline constexpr int kBadUsage = 2;

// What a command touches outside of itself.
struct Surroundings {
  std::ostream& out;
  std::ostream& err;
  // Colour is the caller's decision: only on a terminal, never with NO_COLOR.
  bool colour_err = false;
  gateway::EnvironmentLookup environment = gateway::process_environment;
  const gateway::ConfigFiles* files = &gateway::ConfigFiles::system();
  std::function<int(gateway::LoadedConfig, const gateway::RunOptions&)> run = gateway::run_gateway;
};

// `arguments` come without the program's name.
int run_command_line(const std::vector<std::string>& arguments, const Surroundings& surroundings);

}  // namespace tyaprover::cli
