// BackgroundTasks: one thread that runs refreshes, started by the first of them.
//
// Thread-safe. The destructor drops what waits and waits for what runs.
//
//   if (!tasks.post([=] { refresh(key); })) …   // full: the next look-up will ask again
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

namespace tyaprover::cache {

class BackgroundTasks {
 public:
  explicit BackgroundTasks(std::size_t capacity = 1024) noexcept : capacity_(capacity) {}
  ~BackgroundTasks();
  BackgroundTasks(const BackgroundTasks&) = delete;
  BackgroundTasks& operator=(const BackgroundTasks&) = delete;

  // False when `capacity` tasks wait already, or no thread can be had. Tasks must not throw.
  bool post(std::function<void()> task);

 private:
  void run();

  const std::size_t capacity_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> waiting_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace tyaprover::cache
