// The effective configuration for people and machines, with the origin of every value and without
// secrets.
//
// Pure functions. The YAML is itself a valid configuration: read back it gives the same settings,
// but for those that came from variables without a key yet, which it holds as comments.
//
//   listen: [":8080"]        # environment PORT
//   timeouts:
//     connect: 2s            # tyaprover.yaml:9
#pragma once

#include <string>

#include "tyaprover/gateway/config_load.h"

namespace tyaprover::gateway {

// Of an app only what it sets itself; the rest is as at the top.
[[nodiscard]] std::string config_as_yaml(const LoadedConfig& loaded);

// {"files": […], "config": {…}, "origins": {"timeouts.connect": "default", …}}; an app with all its
// settings.
[[nodiscard]] std::string config_as_json(const LoadedConfig& loaded);

}  // namespace tyaprover::gateway
