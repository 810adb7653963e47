// Random numbers and request ids: fast, per thread, never repeated across forks.
//
// Thread-safe: each thread has its own xoshiro256** generator, seeded from the kernel on first use
// and again after fork(). Not for secrets: who sees some outputs can compute the next ones. Watched
// by http's benchmark of a local reply: no allocation, no system call after the first use.
//
//   char id[36];
//   write_uuid_v7(id, std::chrono::system_clock::now());
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

namespace tyaprover {

// Uniform over all 64-bit values.
[[nodiscard]] std::uint64_t random_u64() noexcept;

namespace detail {
extern constinit std::atomic<std::uint32_t> fork_generation;
}
// Differs between a process and its child, from the moment fork() returns there: who owns threads or
// queues compares it to notice that they stayed behind. Relaxed: only the forking thread survives in
// the child, and it wrote this.
[[nodiscard]] inline std::uint32_t fork_generation() noexcept {
  return detail::fork_generation.load(std::memory_order_relaxed);
}

// A new UUIDv7 (RFC 9562 §5.7) in lower case, 36 bytes, no terminator: ids made in order of time
// sort in it.
void write_uuid_v7(char (&out)[36], std::chrono::system_clock::time_point now) noexcept;

}  // namespace tyaprover
