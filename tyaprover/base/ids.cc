#include "tyaprover/base/ids.h"

#include <pthread.h>
#include <sys/random.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstddef>

namespace tyaprover {
namespace detail {

constinit std::atomic<std::uint32_t> fork_generation{1};
constinit thread_local RandomGenerator random_generator;

}  // namespace detail

namespace {

// Runs before main() in every program that asks for a random number or the generation.
[[maybe_unused]] const int kRegistered = pthread_atfork(
    nullptr, nullptr, [] { detail::fork_generation.fetch_add(1, std::memory_order_relaxed); });

// SplitMix64: spreads what little the clock and the addresses give, where the kernel gives nothing.
std::uint64_t split_mix(std::uint64_t& x) noexcept {
  std::uint64_t z = (x += 0x9e3779b97f4a7c15);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

bool fill_from_kernel(std::uint64_t (&words)[4]) noexcept {
  auto* bytes = reinterpret_cast<unsigned char*>(words);
  std::size_t have = 0;
  while (have < sizeof(words)) {
    const ssize_t got = getrandom(bytes + have, sizeof(words) - have, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    have += static_cast<std::size_t>(got);
  }
  return true;
}

constexpr char kHex[] = "0123456789abcdef";

// The lowest `digits` hex digits of `value`, highest first.
char* write_hex(char* out, std::uint64_t value, unsigned digits) noexcept {
  for (unsigned shift = digits * 4; shift != 0;) {
    shift -= 4;
    *out++ = kHex[(value >> shift) & 0xf];
  }
  return out;
}

}  // namespace

[[gnu::noinline]] void detail::RandomGenerator::seed() noexcept {
  const int saved_errno = errno;
  if (!fill_from_kernel(state)) {
    const auto now = std::chrono::steady_clock::now().time_since_epoch().count();
    std::uint64_t x = static_cast<std::uint64_t>(now) ^ reinterpret_cast<std::uintptr_t>(this) ^
                      (static_cast<std::uint64_t>(getpid()) << 32);
    for (std::uint64_t& word : state) word = split_mix(x);
  }
  errno = saved_errno;
  state[0] |= 1;  // the state of all zeros would never leave itself
  generation = tyaprover::fork_generation();
}

void write_uuid_v7(char (&out)[36], std::chrono::system_clock::time_point now) noexcept {
  const auto since_epoch = now.time_since_epoch();
  const auto millis = static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(since_epoch).count());
  const std::uint64_t a = random_u64();
  const std::uint64_t b = random_u64();
  char* at = write_hex(out, millis >> 16, 8);
  *at++ = '-';
  at = write_hex(at, millis, 4);
  *at++ = '-';
  at = write_hex(at, 0x7000 | (a >> 52), 4);
  *at++ = '-';
  at = write_hex(at, 0x8000 | (b >> 50), 4);
  *at++ = '-';
  write_hex(at, a, 12);
}

}  // namespace tyaprover
