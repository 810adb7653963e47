#include "tyaprover/http/task.h"

#include <array>
#include <cstdio>

namespace tyaprover::http {
namespace detail {
namespace {

// Under a sanitizer every frame is a heap block of its own, so that a use after its end is seen.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kKeepFrames = false;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
constexpr bool kKeepFrames = false;
#else
constexpr bool kKeepFrames = true;
#endif
#else
constexpr bool kKeepFrames = true;
#endif

constexpr std::size_t kClassBytes = 64;
constexpr std::size_t kClasses = 64;     // frames up to 4 KiB
constexpr unsigned kKeptPerClass = 256;  // bounds what a burst leaves behind

// Free frames of this thread by size class, linked through their first word.
struct FrameCache {
  struct Free {
    Free* next;
  };
  std::array<Free*, kClasses> heads{};
  std::array<unsigned, kClasses> counts{};
  bool alive = true;

  ~FrameCache() {
    alive = false;
    for (Free* frame : heads) {
      while (frame != nullptr) {
        Free* const next = frame->next;
        ::operator delete(frame);
        frame = next;
      }
    }
  }
};

thread_local FrameCache frame_cache;

std::size_t class_of(std::size_t size) noexcept {
  return (size - 1) / kClassBytes;
}

}  // namespace

void* allocate_frame(std::size_t size) {
  const std::size_t c = class_of(size);
  if (!kKeepFrames || c >= kClasses) return ::operator new(size);
  if (FrameCache::Free* const frame = frame_cache.heads[c]; frame != nullptr) {
    frame_cache.heads[c] = frame->next;
    --frame_cache.counts[c];
    return frame;
  }
  return ::operator new((c + 1) * kClassBytes);
}

void free_frame(void* frame, std::size_t size) noexcept {
  const std::size_t c = class_of(size);
  if (!kKeepFrames || c >= kClasses || !frame_cache.alive ||
      frame_cache.counts[c] >= kKeptPerClass) {
    ::operator delete(frame);
    return;
  }
  auto* const free = static_cast<FrameCache::Free*>(frame);
  free->next = frame_cache.heads[c];
  frame_cache.heads[c] = free;
  ++frame_cache.counts[c];
}

void Detached::promise_type::fail() noexcept {
  try {
    throw;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "{\"level\":\"fatal\",\"msg\":\"unhandled exception in a worker: %s\"}\n",
                 e.what());
  } catch (...) {
    std::fprintf(stderr, "{\"level\":\"fatal\",\"msg\":\"unhandled exception in a worker\"}\n");
  }
  std::_Exit(70);
}

namespace {

Detached run_detached(Task<void> task) {
  co_await task;
}

}  // namespace
}  // namespace detail

void spawn(Task<void> task) {
  resume(detail::run_detached(std::move(task)).handle);
}

}  // namespace tyaprover::http
