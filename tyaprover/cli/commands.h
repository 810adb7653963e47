// The command line: from arguments to an exit code.
//
// Not thread-safe; called once by main() and freely by tests, with streams of their own. Every
// command is one file beside this one; what the commands do is the gateway room's, what they say is
// here. Exit codes: 0 success, 1 the thing asked about is wrong, 2 bad usage.
//
//   std::ostringstream out, err;
//   int code = run_command_line({"version"}, {.out = out, .err = err});
#pragma once

#include <iosfwd>
#include <string>
#include <vector>

namespace tyaprover::cli {

inline constexpr int kSuccess = 0;
inline constexpr int kWrong = 1;
inline constexpr int kBadUsage = 2;

// Where a command writes. Colour is the caller's decision: only on a terminal, never with NO_COLOR.
struct Terminal {
  std::ostream& out;
  std::ostream& err;
  bool colour_out = false;
  bool colour_err = false;
};

// REQUIRES: `arguments` without the program's name.
int run_command_line(const std::vector<std::string>& arguments, const Terminal& terminal);

}  // namespace tyaprover::cli
