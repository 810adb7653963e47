// `tyaprover breaker`: shows the circuit breakers of a running gateway, and moves one by hand.
#pragma once

#include "tyaprover/cli/command_line.h"
#include "tyaprover/cli/commands.h"

namespace tyaprover::cli {

int breaker(const BreakerArguments& arguments, const Surroundings& surroundings);

}  // namespace tyaprover::cli
