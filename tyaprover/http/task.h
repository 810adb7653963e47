// Task<T>: a lazy coroutine, awaited once, that runs on the worker that awaits it.
//
// Not thread-safe: a task and everything it awaits stay on one thread. A Task owns its frame;
// destroying a task that has not finished destroys the frame, so whoever holds one decides how long
// it may live.
//
// Why not asio::awaitable: every connection here is a handful of nested calls that mostly finish
// without waiting. These frames come from a per-thread free list, completion is one indirect call,
// and .cc files that only await need not compile Asio.
//
//   Task<int> twice(Task<int> t) { co_return 2 * co_await std::move(t); }
//   spawn(serve(connection));                  // detached; an escaped exception ends the process
//   (R9.4)
#pragma once

#include <coroutine>
#include <cstddef>
#include <cstdlib>
#include <exception>
#include <new>
#include <optional>
#include <utility>

namespace tyaprover::http {

template <class T>
class [[nodiscard]] Task;

namespace detail {

// Frames of finished coroutines, kept for the next ones of the same size class.
void* allocate_frame(std::size_t size);
void free_frame(void* frame, std::size_t size) noexcept;

// The coroutine that the innermost resume() loop of this thread runs next. Coroutines never resume
// each other directly: they leave the handle here and suspend, so the stack does not grow with the
// number of calls made, at any optimisation level.
inline thread_local std::coroutine_handle<> next_coroutine;

struct FrameAllocated {
  static void* operator new(std::size_t size) { return allocate_frame(size); }
  static void operator delete(void* frame, std::size_t size) noexcept { free_frame(frame, size); }
};

struct PromiseBase : FrameAllocated {
  std::coroutine_handle<> continuation;
  std::exception_ptr exception;

  struct FinalAwaiter {
    bool await_ready() const noexcept { return false; }
    template <class Promise>
    void await_suspend(std::coroutine_handle<Promise> h) const noexcept {
      next_coroutine = h.promise().continuation;
    }
    void await_resume() const noexcept {}
  };

  std::suspend_always initial_suspend() const noexcept { return {}; }
  FinalAwaiter final_suspend() const noexcept { return {}; }
  void unhandled_exception() noexcept { exception = std::current_exception(); }
};

template <class T>
struct Promise : PromiseBase {
  std::optional<T> value;
  Task<T> get_return_object() noexcept;
  template <class U>
  void return_value(U&& v) {
    value.emplace(std::forward<U>(v));
  }
  T take() {
    if (exception) std::rethrow_exception(exception);
    return std::move(*value);
  }
};

template <>
struct Promise<void> : PromiseBase {
  Task<void> get_return_object() noexcept;
  void return_void() const noexcept {}
  void take() const {
    if (exception) std::rethrow_exception(exception);
  }
};

}  // namespace detail

// Runs a suspended coroutine, and those it hands over to, until one waits for an event.
// Called by whatever delivers events: I/O completions, timers, spawn().
inline void resume(std::coroutine_handle<> h) {
  const std::coroutine_handle<> outer = std::exchange(detail::next_coroutine, nullptr);
  while (h) {
    h.resume();
    h = std::exchange(detail::next_coroutine, nullptr);
  }
  detail::next_coroutine = outer;
}

template <class T>
class [[nodiscard]] Task {
 public:
  using promise_type = detail::Promise<T>;

  Task() = default;
  explicit Task(std::coroutine_handle<promise_type> h) noexcept : handle_(h) {}
  Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Task& operator=(Task&& other) noexcept {
    if (this != &other) {
      if (handle_) handle_.destroy();
      handle_ = std::exchange(other.handle_, nullptr);
    }
    return *this;
  }
  Task(const Task&) = delete;
  Task& operator=(const Task&) = delete;
  ~Task() {
    if (handle_) handle_.destroy();
  }

  struct Awaiter {
    std::coroutine_handle<promise_type> handle;
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> awaiting) const noexcept {
      handle.promise().continuation = awaiting;
      detail::next_coroutine = handle;
    }
    T await_resume() const { return handle.promise().take(); }
  };
  // At most once per task; the task must outlive the wait.
  Awaiter operator co_await() const noexcept { return Awaiter{handle_}; }

 private:
  std::coroutine_handle<promise_type> handle_;
};

namespace detail {

template <class T>
Task<T> Promise<T>::get_return_object() noexcept {
  return Task<T>(std::coroutine_handle<Promise<T>>::from_promise(*this));
}
inline Task<void> Promise<void>::get_return_object() noexcept {
  return Task<void>(std::coroutine_handle<Promise<void>>::from_promise(*this));
}

// A coroutine that owns itself.
struct Detached {
  struct promise_type : FrameAllocated {
    Detached get_return_object() noexcept {
      return {std::coroutine_handle<promise_type>::from_promise(*this)};
    }
    std::suspend_always initial_suspend() const noexcept { return {}; }
    std::suspend_never final_suspend() const noexcept { return {}; }
    void return_void() const noexcept {}
    [[noreturn]] void unhandled_exception() const noexcept { fail(); }
    // Logs the current exception to stderr and ends the process with status 70 (EX_SOFTWARE).
    [[noreturn]] static void fail() noexcept;
  };
  std::coroutine_handle<> handle;
};

}  // namespace detail

// Starts a task that nobody waits for. It runs at once, up to its first wait.
void spawn(Task<void> task);

// A flag one coroutine waits for. Confined to one worker.
class Event {
 public:
  Event() = default;
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  // Wakes the waiter at once, on the setter's stack.
  void set() {
    set_ = true;
    if (waiter_) resume(std::exchange(waiter_, nullptr));
  }
  void clear() noexcept { set_ = false; }
  // Also drops the waiter, whose coroutine is gone.
  void forget() noexcept {
    set_ = false;
    waiter_ = nullptr;
  }
  [[nodiscard]] bool is_set() const noexcept { return set_; }

  // The wait refers to the event by pointer: GCC 12 may copy an awaited lvalue into the frame.
  struct Awaiter {
    Event* event;
    bool await_ready() const noexcept { return event->set_; }
    void await_suspend(std::coroutine_handle<> h) const noexcept { event->waiter_ = h; }
    void await_resume() const noexcept {}
  };
  Awaiter operator co_await() noexcept { return {this}; }

 private:
  bool set_ = false;
  std::coroutine_handle<> waiter_;
};

}  // namespace tyaprover::http
