// AccessLogWriter: brings the workers' log lines to a file or stream without ever making a request
// wait.
//
// One background thread drains one bounded ring of bytes per worker. Thread-safe where it says so;
// a Ring has one producer, its worker. Lines of one ring come out in order and whole. When the sink
// is slow, full or gone (EAGAIN, ENOSPC, EPIPE) the rings fill up and further lines are dropped and
// counted; writing is tried again until it works. Neither side makes a system call per line: the
// writer gathers for a few milliseconds before it writes, and is woken only when it sleeps.
//
//   AccessLogWriter writer({.output = "/var/log/tyaprover/access.log"});
//   AccessLogWriter::Ring& ring = writer.add_ring(4 << 20);   // one per worker
//   ring.push("GET / 200\n");
//   writer.reopen();                                          // SIGUSR1: the file was rotated
//   writer.flush(1s);                                         // at shutdown
#pragma once

#include <sys/types.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "tyaprover/base/clock.h"

namespace tyaprover::filters {

struct AccessLogWriterOptions {
  std::string output = "stdout";  // stdout, stderr or a file's path
  // How long lines gather before they are written; bounds the rate of system calls, and a line's
  // delay.
  Nanos gather = std::chrono::milliseconds(5);
  // Told once when writing begins to fail and once when it works again. Called on the writer's
  // thread.
  std::function<void(std::string_view message)> on_trouble;
};

class AccessLogWriter {
 public:
  class Ring;

  // Throws std::system_error when the file cannot be opened.
  explicit AccessLogWriter(AccessLogWriterOptions options);
  // Writes what can be written at once, then ends the thread.
  ~AccessLogWriter();
  AccessLogWriter(const AccessLogWriter&) = delete;
  AccessLogWriter& operator=(const AccessLogWriter&) = delete;

  // Thread-safe. A ring of at least `bytes`, alive as long as the writer.
  [[nodiscard]] Ring& add_ring(std::size_t bytes);

  // Thread-safe, does not wait: before its next write the writer opens the file's path again.
  void reopen();
  // Thread-safe: true when everything pushed before the call was written within `limit`; false at
  // once when the sink refuses it.
  bool flush(Nanos limit);

  // Thread-safe, over all rings.
  [[nodiscard]] std::uint64_t lines() const;  // taken
  [[nodiscard]] std::uint64_t dropped()
      const;  // lost: a ring was full, or the file was rotated in their midst

 private:
  enum class Drained : std::uint8_t {
    all,      // the rings were empty for a moment
    blocked,  // the sink takes nothing now
    failed,   // the sink refuses
  };
  enum class Sink : std::uint8_t {
    file,
    socket,
    stream,  // pipe or terminal
  };
  struct Readable;

  void run();
  void sleep_until_pushed(std::unique_lock<std::mutex>& lock);
  void wake() noexcept;
  [[nodiscard]] bool called() const noexcept {
    return stop_ || reopen_ || drains_begun_ < drains_wanted_;
  }
  Drained drain();
  Drained drain_ring(Ring& ring);
  void skip_line(Ring& ring) noexcept;
  ssize_t write_some(Readable& readable) noexcept;
  [[nodiscard]] int open_output() noexcept;
  void close_output() noexcept;
  void reopen_output();
  void report(int error);

  const AccessLogWriterOptions options_;

  // The writer's thread only, once it runs.
  int fd_ = -1;
  bool owns_fd_ = false;
  Sink sink_ = Sink::file;
  int trouble_ = 0;             // errno of the failure that was reported last; 0: it works
  Ring* unfinished_ = nullptr;  // its line is half written, so it goes first
  std::vector<Ring*> draining_;

  // Guards what follows. push() takes it only to wake the writer.
  mutable std::mutex mutex_;
  std::condition_variable wakeup_;    // to the writer
  std::condition_variable progress_;  // from it, after each drain
  std::vector<std::unique_ptr<Ring>> rings_;
  std::uint64_t drains_begun_ = 0;
  std::uint64_t drains_ended_ = 0;
  std::uint64_t drains_wanted_ = 0;
  Drained last_drain_ = Drained::all;
  std::uint64_t cut_ = 0;  // lines whose rest was given up
  bool stop_ = false;
  bool reopen_ = false;

  std::atomic<bool> asleep_{false};  // see access_log_writer.cc

  std::thread thread_;
};

// A bounded queue of bytes that holds whole lines only. Single producer, single consumer.
//
// Invariant: tail_ <= head_ <= tail_ + size; head_ always stands at the end of a line.
class AccessLogWriter::Ring {
 public:
  Ring(AccessLogWriter& writer, std::size_t bytes);
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;

  // Its producer's thread only. `line` ends with its only '\n'. False: full, counted as dropped.
  bool push(std::string_view line) noexcept;

  // Thread-safe.
  [[nodiscard]] std::uint64_t lines() const noexcept {
    return lines_.load(std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint64_t dropped() const noexcept {
    return dropped_.load(std::memory_order_relaxed);
  }

 private:
  friend class AccessLogWriter;

  AccessLogWriter& writer_;
  const std::size_t mask_;  // size - 1, size is a power of two
  const std::unique_ptr<char[]> bytes_;

  alignas(64) std::atomic<std::uint64_t> head_{0};  // written by the producer
  std::uint64_t known_tail_ = 0;                    // the producer's last look at tail_
  // Relaxed: statistics with one writer each.
  std::atomic<std::uint64_t> lines_{0};
  std::atomic<std::uint64_t> dropped_{0};

  alignas(64) std::atomic<std::uint64_t> tail_{0};  // written by the writer's thread
};

}  // namespace tyaprover::filters
