// What the kernel and the allocator know about this process: CPU time, memory, descriptors.
//
// Thread-safe. Reads files of /proc: some 50 µs, meant for once in a while.
//
//   const ProcessInfo info = read_process_info();
//   use(info.resident_bytes);
#pragma once

#include <chrono>
#include <cstdint>

#include "tyaprover/base/clock.h"

namespace tyaprover {

struct ProcessInfo {
  Nanos cpu_user{};
  Nanos cpu_system{};
  std::uint64_t resident_bytes = 0;
  std::uint64_t virtual_bytes = 0;
  std::uint64_t heap_used_bytes = 0;   // allocated by the program and not freed
  std::uint64_t heap_total_bytes = 0;  // taken from the system for that
  std::uint64_t open_descriptors = 0;
  std::uint64_t max_descriptors = 0;
  std::uint64_t threads = 0;
  std::chrono::system_clock::time_point started;
};

// What cannot be read (no /proc, a sandbox) is zero.
[[nodiscard]] ProcessInfo read_process_info();

}  // namespace tyaprover
