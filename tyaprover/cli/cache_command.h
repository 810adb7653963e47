// `tyaprover cache`: shows what the cache of a running gateway holds, and makes it forget.
#pragma once

#include "tyaprover/cli/command_line.h"
#include "tyaprover/cli/commands.h"

namespace tyaprover::cli {

int cache(const CacheArguments& arguments, const Surroundings& surroundings);

}  // namespace tyaprover::cli
