// run_gateway: the running gateway, from opened listeners to the end of the process.
//
// Called once, by the command line's main thread, which then waits for signals: SIGTERM and SIGINT
// shut down gracefully (a second one ends at once), SIGUSR1 reopens the access log.
//
//   return run_gateway(std::move(loaded), {.demo = true});
#pragma once

#include "tyaprover/gateway/config_load.h"

namespace tyaprover::gateway {

struct RunOptions {
  bool demo = false;  // serve the built-in demo app behind the gateway
};

// The process's exit code (R1.1, R9.1): 0 after a graceful end, 1 when it could not start or was
// forced.
int run_gateway(LoadedConfig loaded, const RunOptions& options);

}  // namespace tyaprover::gateway
