#include "tyaprover/http/stream.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/un.h>

#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <cstring>
#include <utility>

#include "tyaprover/http/poller.h"
#include "tyaprover/http/task.h"
#include "tyaprover/http/worker.h"

namespace tyaprover::http {
namespace {

// Reads that find their bytes at once before the event loop must turn: a fast peer shall not keep a
// worker to itself.
constexpr unsigned kReadsPerTurn = 8;

IoError from_errno(int error) noexcept {
  switch (error) {
    case 0:
      return IoError::none;
    case ECONNREFUSED:
    case ENOENT:  // a unix socket's path that is not there
      return IoError::refused;
    case EHOSTUNREACH:
    case ENETUNREACH:
    case EACCES:
    case EPERM:
    case EADDRNOTAVAIL:
      return IoError::unreachable;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
    case EAGAIN:  // a unix socket's full backlog
      return IoError::exhausted;
    case ETIMEDOUT:
      return IoError::timeout;
    default:
      return IoError::reset;
  }
}

}  // namespace

std::string_view to_string(IoError error) noexcept {
  switch (error) {
    case IoError::none:
      return "no error";
    case IoError::end:
      return "closed by the peer";
    case IoError::reset:
      return "reset by the peer";
    case IoError::timeout:
      return "timed out";
    case IoError::closed:
      return "closed";
    case IoError::refused:
      return "connection refused";
    case IoError::unreachable:
      return "unreachable";
    case IoError::exhausted:
      return "out of descriptors, ports or memory";
  }
  return "";
}

Endpoint Endpoint::unix_path(std::string_view path) noexcept {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::size_t n = std::min(path.size(), sizeof address.sun_path - 1);
  std::memcpy(address.sun_path, path.data(), n);
  Endpoint endpoint;
  std::memcpy(&endpoint.address, &address, sizeof address);
  endpoint.size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + n + 1);
  return endpoint;
}

bool Endpoint::operator==(const Endpoint& other) const noexcept {
  return size == other.size && std::memcmp(&address, &other.address, size) == 0;
}

// Lives as long as the Stream, or as an event for it is being handled.
struct Stream::Impl final : Pollable {
  Worker& worker;
  int fd = -1;

  // Whether the kernel may have bytes, or the end, that were not read yet. Edge-triggered: set by
  // an event, cleared by a read that took less than it could.
  bool readable = false;
  bool ended = false;  // the peer's end was announced: `readable` stays
  unsigned reads_this_turn = 0;
  bool turn_posted = false;
  char* data = nullptr;  // of the standing read
  std::size_t size = 0;
  bool read_standing = false;
  bool read_ready = false;
  IoResult read_result;
  ReadAwaiter* reader = nullptr;
  std::coroutine_handle<> read_waiter;
  std::function<void(IoError)> watch;
  Timer read_timer{[this] {
    if (reader == nullptr) return;
    reader->timed_out = true;
    reader = nullptr;
    resume(std::exchange(read_waiter, nullptr));
  }};

  // Waiting to be writable: a write, or a connect.
  WriteAwaiter* writer = nullptr;
  ConnectAwaiter* connector = nullptr;
  std::coroutine_handle<> write_waiter;
  Timer write_timer{[this] { end_write_wait(IoError::timeout); }};
  std::uint64_t bytes_written = 0;

  explicit Impl(Worker& w) : worker(w) {}

  void open(int socket) {
    bytes_written = 0;
    if (worker.poller().add(socket, *this)) {
      fd = socket;
    } else {
      ::close(socket);  // the kernel watches no more descriptors; the stream stays closed
    }
  }

  void on_events(std::uint32_t events) override {
    if (fd < 0) return;  // closed by an event of the same batch
    const bool broken = (events & (EPOLLERR | EPOLLHUP)) != 0;
    if (broken || (events & (EPOLLIN | EPOLLRDHUP)) != 0) {
      readable = true;
      ended = ended || broken || (events & EPOLLRDHUP) != 0;
      reads_this_turn = 0;
      if (read_standing && !read_ready && receive()) finish_read();
    }
    if (fd >= 0 && (broken || (events & EPOLLOUT) != 0)) on_writable();
  }

  // Tries the standing read. True: it has its result.
  bool receive() {
    for (;;) {
      const ssize_t n = ::recv(fd, data, size, 0);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
        readable = false;
        return false;
      }
      if (n > 0) {
        read_result = {static_cast<std::size_t>(n), IoError::none};
        // Less than there was room for: that was all there is (epoll(7)), unless an end is
        // announced.
        if (static_cast<std::size_t>(n) < size && !ended) readable = false;
      } else {
        read_result = {0, n == 0 ? IoError::end : IoError::reset};
      }
      read_ready = true;
      return true;
    }
  }

  void start_read() {
    if (fd < 0) {
      read_ready = true;
      read_result = {0, IoError::closed};
    } else if (readable && ++reads_this_turn <= kReadsPerTurn) {
      receive();
    } else if (readable && !turn_posted) {
      turn_posted = true;
      worker.post([this, ref = PollableRef(*this)] {
        turn_posted = false;
        on_events(EPOLLIN);
      });
    }
  }

  void set_watch(std::function<void(IoError)> f) {
    watch = std::move(f);
    if (!watch || !read_standing || !read_ready) return;
    worker.post([this, ref = PollableRef(*this)] {
      if (watch && read_standing && read_ready) finish_read();
    });
  }

  // Tells who waits for the read's result.
  void finish_read() {
    if (reader != nullptr) {
      read_timer.cancel();
      reader = nullptr;
      resume(std::exchange(read_waiter, nullptr));
    } else if (watch) {
      std::exchange(watch, nullptr)(read_result.error);
    }
  }

  void on_writable() {
    if (connector != nullptr) {
      int failure = 0;
      socklen_t length = sizeof failure;
      if (::getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &length) < 0) failure = errno;
      end_write_wait(from_errno(failure));
    } else if (writer != nullptr) {
      if (send(*writer)) {
        end_write_wait(writer->result);
      } else {
        worker.timers().set(write_timer, worker.now() + writer->stall);
      }
    }
  }

  void end_write_wait(IoError result) {
    write_timer.cancel();
    if (connector != nullptr) {
      std::exchange(connector, nullptr)->result = result;
    } else if (writer != nullptr) {
      std::exchange(writer, nullptr)->result = result;
    } else {
      return;
    }
    resume(std::exchange(write_waiter, nullptr));
  }

  // Sends what is left of `w`. True: it is over, for good or bad. False: the kernel takes no more
  // now.
  bool send(WriteAwaiter& w) {
    while (w.count > 0) {
      if (fd < 0) {
        w.result = IoError::closed;
        return true;
      }
      msghdr message{};
      message.msg_iov = &w.parts[w.first];
      message.msg_iovlen = w.count;
      const ssize_t sent = ::sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (sent < 0) {
        if (errno == EINTR) continue;
        if (errno == EAGAIN || errno == EWOULDBLOCK) return false;
        w.result = IoError::reset;
        return true;
      }
      bytes_written += static_cast<std::uint64_t>(sent);
      auto left = static_cast<std::size_t>(sent);
      while (w.count > 0 && left >= w.parts[w.first].iov_len) {
        left -= w.parts[w.first].iov_len;
        ++w.first;
        --w.count;
      }
      if (w.count > 0) {
        iovec& part = w.parts[w.first];
        part.iov_base = static_cast<char*>(part.iov_base) + left;
        part.iov_len -= left;
      }
    }
    return true;
  }

  // Waits end from the loop, not on the closer's stack.
  void close() {
    if (fd < 0) return;
    ::close(std::exchange(fd, -1));
    watch = nullptr;
    if (read_standing && !read_ready) {
      read_ready = true;
      read_result = {0, IoError::closed};
    }
    if (reader == nullptr && writer == nullptr && connector == nullptr) return;
    worker.post([this, ref = PollableRef(*this)] {
      if (reader != nullptr) finish_read();
      end_write_wait(IoError::closed);
    });
  }
};

Stream::Stream(Worker& worker) : impl_(new Impl(worker)) {}

Stream::~Stream() {
  assert(impl_->reader == nullptr && impl_->writer == nullptr && impl_->connector == nullptr);
  close();
  impl_->release();
}

void Stream::adopt(int fd) {
  impl_->open(fd);
}

Stream::ConnectAwaiter Stream::connect(const Endpoint& endpoint, TimePoint deadline) {
  const int family = endpoint.address.ss_family;
  const int fd = ::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return {impl_, deadline, from_errno(errno)};
  if (family != AF_UNIX) {
    const int on = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }
  ConnectAwaiter awaiter{impl_, deadline, IoError::none};
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&endpoint.address), endpoint.size) == 0) {
    impl_->open(fd);
    if (!is_open()) awaiter.result = IoError::exhausted;
    return awaiter;
  }
  if (errno != EINPROGRESS) {
    awaiter.result = from_errno(errno);
    ::close(fd);
    return awaiter;
  }
  impl_->open(fd);
  if (!is_open()) {
    awaiter.result = IoError::exhausted;
  } else {
    impl_->connector = nullptr;
    awaiter.result = IoError::timeout;  // until it is known; await_suspend waits
  }
  return awaiter;
}

bool Stream::ConnectAwaiter::await_ready() const noexcept {
  return result != IoError::timeout;
}

void Stream::ConnectAwaiter::await_suspend(std::coroutine_handle<> h) {
  impl->connector = this;
  impl->write_waiter = h;
  impl->worker.timers().set(impl->write_timer, deadline);
}

IoError Stream::ConnectAwaiter::await_resume() const noexcept {
  return result;
}

bool Stream::is_open() const noexcept {
  return impl_->fd >= 0;
}

int Stream::fd() const noexcept {
  return impl_->fd;
}

void Stream::start_read(char* data, std::size_t size) {
  assert(!impl_->read_standing && size > 0);
  impl_->read_standing = true;
  impl_->read_ready = false;
  impl_->data = data;
  impl_->size = size;
  impl_->start_read();
}

bool Stream::read_standing() const noexcept {
  return impl_->read_standing;
}
bool Stream::read_ready() const noexcept {
  return impl_->read_standing && impl_->read_ready;
}
void Stream::on_read_ready(std::function<void(IoError)> f) {
  impl_->set_watch(std::move(f));
}
void Stream::set_read_deadline(TimePoint deadline) {
  if (impl_->reader != nullptr) impl_->worker.timers().set(impl_->read_timer, deadline);
}

Stream::ReadAwaiter Stream::wait_read(TimePoint deadline) {
  return {impl_, deadline};
}

Stream::ReadAwaiter Stream::read(char* data, std::size_t size, TimePoint deadline) {
  start_read(data, size);
  return {impl_, deadline};
}

bool Stream::ReadAwaiter::await_ready() const noexcept {
  return impl->read_ready;
}

void Stream::ReadAwaiter::await_suspend(std::coroutine_handle<> h) {
  assert(impl->read_standing && impl->reader == nullptr);
  impl->reader = this;
  impl->read_waiter = h;
  impl->worker.timers().set(impl->read_timer, deadline);
}

IoResult Stream::ReadAwaiter::await_resume() noexcept {
  if (timed_out) return {0, IoError::timeout};
  impl->read_standing = false;
  impl->read_ready = false;
  return impl->read_result;
}

Stream::WriteAwaiter Stream::write(Nanos stall, std::string_view a, std::string_view b,
                                   std::string_view c, std::string_view d) {
  WriteAwaiter awaiter{impl_, stall, {}};
  for (const std::string_view part : {a, b, c, d}) {
    if (part.empty()) continue;
    // sendmsg only reads; iovec has no const form.
    awaiter.parts[awaiter.count++] = {const_cast<char*>(part.data()), part.size()};
  }
  return awaiter;
}

bool Stream::WriteAwaiter::await_ready() {
  return impl->send(*this);
}

void Stream::WriteAwaiter::await_suspend(std::coroutine_handle<> h) {
  assert(impl->writer == nullptr);
  impl->writer = this;
  impl->write_waiter = h;
  impl->worker.timers().set(impl->write_timer, impl->worker.now() + stall);
}

std::uint64_t Stream::bytes_written() const noexcept {
  return impl_->bytes_written;
}

void Stream::shutdown_send() noexcept {
  if (impl_->fd >= 0) ::shutdown(impl_->fd, SHUT_WR);
}

void Stream::close() noexcept {
  impl_->close();
}

void Stream::close_with_reset() noexcept {
  if (impl_->fd >= 0) {
    const linger hard{1, 0};
    ::setsockopt(impl_->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
  }
  close();
}

}  // namespace tyaprover::http
