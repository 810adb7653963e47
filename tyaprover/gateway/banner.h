// The start banner: what listens where, what is served, what is on (R1.2).
//
//   print_banner(config, {"127.0.0.1:3000"}, 2);
#pragma once

#include <string>
#include <vector>

#include "tyaprover/gateway/config.h"

namespace tyaprover::gateway {

// Lines for people, or one JSON object. `listeners` as bound: "127.0.0.1:3000", "unix:/run/t.sock".
[[nodiscard]] std::string banner_text(const Config& config,
                                      const std::vector<std::string>& listeners, unsigned workers);
[[nodiscard]] std::string banner_json(const Config& config,
                                      const std::vector<std::string>& listeners, unsigned workers);

}  // namespace tyaprover::gateway
