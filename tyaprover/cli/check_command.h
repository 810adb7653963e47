// `tyaprover check`: validates the configuration, prints what is in effect, or the reference of all
// keys.
#pragma once

#include "tyaprover/cli/command_line.h"
#include "tyaprover/cli/commands.h"

namespace tyaprover::cli {

int check(const CheckArguments& arguments, const Surroundings& surroundings);

}  // namespace tyaprover::cli
