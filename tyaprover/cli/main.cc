#include <unistd.h>

#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

#include "tyaprover/cli/commands.h"

int main(int argc, char** argv) {
  const bool colour = std::getenv("NO_COLOR") == nullptr;
  const tyaprover::cli::Terminal terminal{
      .out = std::cout,
      .err = std::cerr,
      .colour_out = colour && isatty(STDOUT_FILENO) == 1,
      .colour_err = colour && isatty(STDERR_FILENO) == 1,
  };
  return tyaprover::cli::run_command_line(std::vector<std::string>(argv + 1, argv + argc),
                                          terminal);
}
