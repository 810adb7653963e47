// Stream: one connected socket (TCP or unix) on one worker, with deadlines.
//
// Confined to its worker. Owns the descriptor. At most one read and one write are under way at a
// time, each awaited by at most one coroutine; close() ends both waits. A Stream must not be
// destroyed while a coroutine waits on it: close it, let the waits end, then destroy it.
//
// Reading is two steps, so that a read can stand while nobody waits for it: it notices an idle
// peer's close, and it is already there when the next message comes.
//
//   const IoResult r = co_await stream.read(buffer, sizeof buffer, worker.now() + 10s);
//   if (r.error != IoError::none) co_return;
//   const IoError e = co_await stream.write(60s, head, body);
#pragma once

#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string_view>

#include "tyaprover/base/clock.h"

namespace tyaprover::http {

class Worker;

enum class IoError : std::uint8_t {
  none,
  end,          // the peer has closed its side
  reset,        // the peer reset the connection, or it broke
  timeout,      // the deadline came first; the read still stands
  closed,       // we closed it
  refused,      // connect: nobody listens there
  unreachable,  // connect: no route, or the network says no
  exhausted,    // connect: no descriptors, ports or memory
};
[[nodiscard]] std::string_view to_string(IoError error) noexcept;

struct IoResult {
  std::size_t bytes = 0;  // read; > 0 exactly when error is none
  IoError error = IoError::none;
};

// Where to connect to.
struct Endpoint {
  sockaddr_storage address{};
  socklen_t size = 0;

  [[nodiscard]] static Endpoint unix_path(std::string_view path) noexcept;
  bool operator==(const Endpoint& other) const noexcept;
};

class Stream {
  struct Impl;

 public:
  explicit Stream(Worker& worker);
  ~Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  // Takes a connected socket.
  void adopt(int fd);

  struct ConnectAwaiter;
  // Connects a new socket. Result: IoError.
  [[nodiscard]] ConnectAwaiter connect(const Endpoint& endpoint, TimePoint deadline);

  [[nodiscard]] bool is_open() const noexcept;
  [[nodiscard]] int fd() const noexcept;

  // Begins a read into `data`, which must stay valid until its result was taken or the stream
  // closed. REQUIRES: no read stands.
  void start_read(char* data, std::size_t size);
  // A read was started and its result not taken.
  [[nodiscard]] bool read_standing() const noexcept;
  // wait_read() would not wait.
  [[nodiscard]] bool read_ready() const noexcept;
  // Called once, from the loop, when the standing read has ended while no coroutine waits for it,
  // with how it ended; null: not any more. Not called when the stream is closed from this side.
  void on_read_ready(std::function<void(IoError)> f);
  // Moves the deadline of the wait_read() that is under way; without one, nothing.
  void set_read_deadline(TimePoint deadline);

  struct ReadAwaiter;
  // Takes the standing read's result. After IoError::timeout the read still stands. Result:
  // IoResult.
  [[nodiscard]] ReadAwaiter wait_read(TimePoint deadline);
  [[nodiscard]] ReadAwaiter read(char* data, std::size_t size, TimePoint deadline);

  struct WriteAwaiter;
  static constexpr std::size_t kMaxParts = 4;
  // Writes all parts, gathered into as few system calls as the kernel takes. `stall`: how long the
  // peer may accept no byte. Parts must stay valid until then. Result: IoError.
  [[nodiscard]] WriteAwaiter write(Nanos stall, std::string_view a, std::string_view b = {},
                                   std::string_view c = {}, std::string_view d = {});

  // Bytes handed to the kernel since the socket was opened.
  [[nodiscard]] std::uint64_t bytes_written() const noexcept;

  // Sends FIN after what was written.
  void shutdown_send() noexcept;
  void close() noexcept;
  // Closes with a reset, so that the peer cannot take a truncated message for a whole one.
  void close_with_reset() noexcept;

  struct ConnectAwaiter {
    Impl* impl;
    TimePoint deadline;
    IoError result = IoError::none;
    [[nodiscard]] bool await_ready() const noexcept;
    void await_suspend(std::coroutine_handle<> h);
    [[nodiscard]] IoError await_resume() const noexcept;
  };
  struct ReadAwaiter {
    Impl* impl;
    TimePoint deadline;
    bool timed_out = false;
    [[nodiscard]] bool await_ready() const noexcept;
    void await_suspend(std::coroutine_handle<> h);
    [[nodiscard]] IoResult await_resume() noexcept;
  };
  struct WriteAwaiter {
    Impl* impl;
    Nanos stall;
    std::array<iovec, kMaxParts> parts;
    std::size_t first = 0;
    std::size_t count = 0;
    IoError result = IoError::none;
    [[nodiscard]] bool await_ready();
    void await_suspend(std::coroutine_handle<> h);
    [[nodiscard]] IoError await_resume() const noexcept { return result; }
  };

 private:
  Impl* impl_;  // shared with the operations under way
};

}  // namespace tyaprover::http
