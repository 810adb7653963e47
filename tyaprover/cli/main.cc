#include <unistd.h>

#include <cstdlib>
#include <iostream>

#include "tyaprover/cli/commands.h"

int main(int argc, char** argv) {
  // https://no-color.org: any value but the empty one.
  const char* const no_color = std::getenv("NO_COLOR");
  const bool colour = no_color == nullptr || *no_color == '\0';
  return tyaprover::cli::run_command_line(
      std::vector<std::string>(argv + 1, argv + argc),
      {.out = std::cout, .err = std::cerr, .colour_err = colour && isatty(STDERR_FILENO) == 1});
}
