#include "tyaprover/gateway/cpus.h"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <string>

namespace tyaprover::gateway {
namespace {

// CPUs worth of quota, or 0 for none.
double cgroup_quota() {
  // cgroup v2: "max 100000" or "150000 100000", in the process's own group and in its parents.
  std::ifstream self("/proc/self/cgroup");
  double quota = 0;
  const auto take = [&quota](double q) { quota = quota == 0 ? q : std::min(quota, q); };
  for (std::string line; std::getline(self, line);) {
    if (!line.starts_with("0::")) continue;
    std::string path = line.substr(3);
    for (;;) {
      std::ifstream file("/sys/fs/cgroup" + path + "/cpu.max");
      std::string limit;
      double period = 0;
      if (file >> limit >> period && limit != "max" && period > 0) {
        take(std::strtod(limit.c_str(), nullptr) / period);
      }
      if (path.empty() || path == "/") break;
      path.resize(path.rfind('/'));
    }
  }
  // cgroup v1
  std::ifstream v1_quota("/sys/fs/cgroup/cpu/cpu.cfs_quota_us");
  std::ifstream v1_period("/sys/fs/cgroup/cpu/cpu.cfs_period_us");
  double limit = 0;
  double period = 0;
  if (v1_quota >> limit && v1_period >> period && limit > 0 && period > 0) take(limit / period);
  return quota;
}

}  // namespace

unsigned allowed_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  unsigned cpus = 1;
  if (::sched_getaffinity(0, sizeof set, &set) == 0) {
    cpus = static_cast<unsigned>(std::max(1, CPU_COUNT(&set)));
  }
  if (const double quota = cgroup_quota(); quota > 0) {
    cpus = std::min(cpus, std::max(1u, static_cast<unsigned>(std::ceil(quota))));
  }
  return cpus;
}

}  // namespace tyaprover::gateway
