// How many CPUs this process may use: the smaller of its affinity mask and its cgroup's quota
// (R3.1).
#pragma once

namespace tyaprover::gateway {

// At least 1.
[[nodiscard]] unsigned allowed_cpus();

}  // namespace tyaprover::gateway
