// The coroutine form of Cache::get_or_load, independent of any event loop.
//
// Optional: nothing else includes it. A Lazy is a coroutine that runs when it is awaited, on the
// thread of whoever awaits it. A coroutine that waits for another's load is resumed by `resume`: on
// the leader's thread unless `resume` posts it elsewhere, which code bound to one thread must do.
//
//   AsyncLoads<std::string, Blob> loads(blobs, [&](std::coroutine_handle<> h) { worker.post(h); });
//   Result<Blob, std::exception_ptr> blob = co_await loads.get_or_load("key", [&] { return fetch();
//   });
//
// The cache outlives the loads, and both outlive every coroutine that is inside.
#pragma once

#include <atomic>
#include <coroutine>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>

#include "tyaprover/cache/cache.h"

namespace tyaprover::cache {

// Movable; destroying it before its end destroys the coroutine. Awaited at most once.
template <class T>
class [[nodiscard]] Lazy {
 public:
  struct promise_type {
    std::coroutine_handle<> continuation;
    std::optional<T> value;
    std::exception_ptr thrown;

    Lazy get_return_object() noexcept { return Lazy(Handle::from_promise(*this)); }
    std::suspend_always initial_suspend() noexcept { return {}; }
    auto final_suspend() noexcept {
      struct Resume {
        bool await_ready() noexcept { return false; }
        std::coroutine_handle<> await_suspend(Handle self) noexcept {
          return self.promise().continuation;
        }
        void await_resume() noexcept {}
      };
      return Resume{};
    }
    void return_value(T result) { value.emplace(std::move(result)); }
    void unhandled_exception() noexcept { thrown = std::current_exception(); }
  };
  using Handle = std::coroutine_handle<promise_type>;

  Lazy(Lazy&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Lazy& operator=(Lazy&&) = delete;
  ~Lazy() {
    if (handle_) handle_.destroy();
  }

  [[nodiscard]] bool await_ready() const noexcept { return false; }
  std::coroutine_handle<> await_suspend(std::coroutine_handle<> continuation) noexcept {
    handle_.promise().continuation = continuation;
    return handle_;
  }
  T await_resume() {
    promise_type& promise = handle_.promise();
    if (promise.thrown) std::rethrow_exception(promise.thrown);
    return *std::move(promise.value);
  }

 private:
  explicit Lazy(Handle handle) noexcept : handle_(handle) {}
  Handle handle_;
};

// A coroutine that nobody awaits: it runs until it waits, and ends by itself.
struct Detached {
  struct promise_type {
    Detached get_return_object() noexcept { return {}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() noexcept {}
    void unhandled_exception() noexcept { std::terminate(); }
  };
};

template <class K, class V, class E = std::exception_ptr>
class AsyncLoads {
 public:
  using LoadCache = Cache<K, V, E>;
  using Resume = std::function<void(std::coroutine_handle<>)>;

  // Without `resume` coroutines go on where the load ended.
  explicit AsyncLoads(LoadCache& cache, Resume resume = {})
      : cache_(cache), resume_(std::move(resume)) {
    if (!resume_) resume_ = [](std::coroutine_handle<> handle) { handle.resume(); };
  }

  // As Cache::get_or_load, and one load with it: a thread and a coroutine that ask at the same time
  // share it. `loader()` returns something that can be awaited and gives V, Loaded<V>, Result<V, E>
  // or Result<Loaded<V>, E>. A stale value comes at once; its refresh runs on until it waits, and
  // owns a copy of the loader.
  template <class F>
  Lazy<Result<V, E>> get_or_load(K key, F loader, EntryOptions options = {}) {
    Waiter waiter{*this, key};
    typename LoadCache::Start start = co_await waiter;
    if (start.ready) {
      if (start.load) refresh(std::move(key), start.load, std::move(loader), std::move(options));
      co_return *std::move(start.ready);
    }
    if (start.leads) co_await run(key, start.load, loader, options);
    co_return LoadCache::outcome(*start.load);
  }

 private:
  using Load = typename LoadCache::Load;

  // Looks up; suspends only when another's load has to be waited for.
  struct Waiter {
    AsyncLoads& loads;
    const K& key;
    typename LoadCache::Start start{};

    [[nodiscard]] bool await_ready() const noexcept { return false; }
    bool await_suspend(std::coroutine_handle<> self) {
      // The continuation may run before start() returns; then the one who comes second resumes.
      auto meeting = std::make_shared<std::atomic<bool>>(false);
      auto* own = &loads;
      auto began = loads.cache_.start(key, std::thread::id(), [own, self, meeting] {
        if (meeting->exchange(true, std::memory_order_acq_rel)) own->resume_(self);
      });
      const bool waits = !began.ready && !began.leads;
      start = std::move(began);
      // Acquire and release: whoever is second sees what the first wrote.
      return waits && !meeting->exchange(true, std::memory_order_acq_rel);
    }
    typename LoadCache::Start await_resume() { return std::move(start); }
  };

  template <class F>
  Lazy<bool> run(const K& key, const std::shared_ptr<Load>& load, F& loader,
                 const EntryOptions& options) {
    const TimePoint began = cache_.now();
    std::exception_ptr thrown;
    std::optional<Result<Loaded<V>, E>> loaded;
    try {
      loaded.emplace(LoadCache::loaded_from(co_await loader(), options));
    } catch (...) {
      thrown = std::current_exception();
    }
    if (thrown) {
      if constexpr (std::is_same_v<E, std::exception_ptr>) {
        loaded.emplace(err(std::exchange(thrown, nullptr)));
      } else {
        loaded.emplace(err(E{}));
      }
    }
    cache_.finish(key, load, *std::move(loaded), thrown, cache_.now() - began);
    co_return true;
  }

  template <class F>
  Detached refresh(K key, std::shared_ptr<Load> load, F loader, EntryOptions options) {
    co_await run(key, load, loader, options);
  }

  LoadCache& cache_;
  Resume resume_;
};

}  // namespace tyaprover::cache
