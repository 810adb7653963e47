#include "bench/allocations.h"

#include <cstdlib>
#include <new>

namespace {

thread_local std::size_t calls = 0;

}  // namespace

// Not inlined: gcc would take them for mismatched.
[[gnu::noinline]] void* operator new(std::size_t size) {
  ++calls;
  if (void* memory = std::malloc(size)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}

namespace tyaprover::bench {

std::size_t allocations() noexcept {
  return calls;
}

}  // namespace tyaprover::bench
