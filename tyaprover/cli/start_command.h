// The commands that start a gateway: `tyaprover run`, `tyaprover URL…` and `tyaprover --demo`.
//
// Return when the gateway has ended, with its exit code.
#pragma once

#include "tyaprover/cli/command_line.h"
#include "tyaprover/cli/commands.h"

namespace tyaprover::cli {

int run_from_file(const StartArguments& arguments, const Surroundings& surroundings);
int quick_start(const StartArguments& arguments, const Surroundings& surroundings);

}  // namespace tyaprover::cli
