#include "tyaprover/cli/commands.h"

#include <ostream>

namespace tyaprover::cli {

int run_command_line(const std::vector<std::string>& arguments, const Terminal& terminal) {
  if (arguments == std::vector<std::string>{"version"}) {
    terminal.out << "tyaprover " TYAPROVER_VERSION "\n";
    return kSuccess;
  }
  terminal.err << "usage: tyaprover version\n";
  return kBadUsage;
}

}  // namespace tyaprover::cli
