// Random numbers and request ids: fast, per thread, never repeated across forks.
//
// Thread-safe: each thread has its own xoshiro256** generator, seeded from the kernel on first use
// and again after fork(). Not for secrets: who sees some outputs can compute the next ones. Watched
// by http's benchmark of a local reply: no allocation, no system call after the first use.
//
//   char id[36];
//   write_uuid_v7(id, std::chrono::system_clock::now());
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace tyaprover {

namespace detail {

extern constinit std::atomic<std::uint32_t> fork_generation;

// Xoshiro256** 1.0 (Blackman and Vigna, "Scrambled linear pseudorandom number generators", 2018).
struct RandomGenerator {
  std::uint64_t state[4] = {};
  std::uint32_t generation = 0;  // 0 = never seeded

  void seed() noexcept;
  // The next words. Between them the state stays in registers: by way of memory each would wait for
  // the one before.
  template <std::size_t N>
  std::array<std::uint64_t, N> next() noexcept {
    std::uint64_t a = state[0];
    std::uint64_t b = state[1];
    std::uint64_t c = state[2];
    std::uint64_t d = state[3];
    std::array<std::uint64_t, N> words;
    for (std::uint64_t& word : words) {
      word = std::rotl(b * 5, 7) * 9;
      const std::uint64_t t = b << 17;
      c ^= a;
      d ^= b;
      b ^= c;
      a ^= d;
      c ^= t;
      d = std::rotl(d, 45);
    }
    state[0] = a;
    state[1] = b;
    state[2] = c;
    state[3] = d;
    return words;
  }
};
// Constant-initialised, so that an access costs no guard.
extern constinit thread_local RandomGenerator random_generator;

}  // namespace detail

// Differs between a process and its child, from the moment fork() returns there: who owns threads
// or queues compares it to notice that they stayed behind. Relaxed: only the forking thread
// survives in the child, and it wrote this.
[[nodiscard]] inline std::uint32_t fork_generation() noexcept {
  return detail::fork_generation.load(std::memory_order_relaxed);
}

// Each uniform over all 64-bit values. Several at once cost less than one after another.
template <std::size_t N>
[[nodiscard]] inline std::array<std::uint64_t, N> random_words() noexcept {
  detail::RandomGenerator& mine = detail::random_generator;
  if (mine.generation != fork_generation()) [[unlikely]]
    mine.seed();
  return mine.next<N>();
}
[[nodiscard]] inline std::uint64_t random_u64() noexcept {
  return random_words<1>().front();
}

// A new UUIDv7 (RFC 9562 §5.7) in lower case, 36 bytes, no terminator: ids made in order of time
// sort in it.
void write_uuid_v7(char (&out)[36], std::chrono::system_clock::time_point now) noexcept;

}  // namespace tyaprover
