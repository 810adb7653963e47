#include "tyaprover/http/stream.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/un.h>

#include <algorithm>
#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <cassert>
#include <cerrno>
#include <cstring>
#include <new>
#include <utility>

#include "tyaprover/http/task.h"
#include "tyaprover/http/worker.h"

namespace tyaprover::http {
namespace {

namespace asio = boost::asio;
using Socket =
    asio::basic_stream_socket<asio::generic::stream_protocol, asio::io_context::executor_type>;

// Memory of one operation under way, so that starting one allocates nothing. When two of a kind overlap
// (a wait given up at its deadline and its successor), the second one comes from the heap.
class OpMemory {
 public:
  void* allocate(std::size_t size) {
    if (used_ || size > sizeof bytes_) return ::operator new(size);
    used_ = true;
    return bytes_;
  }
  void deallocate(void* p) noexcept {
    if (p == bytes_) {
      used_ = false;
    } else {
      ::operator delete(p);
    }
  }

 private:
  alignas(std::max_align_t) std::byte bytes_[256];
  bool used_ = false;
};

template <class T>
struct OpAllocator {
  using value_type = T;
  OpMemory* memory;

  explicit OpAllocator(OpMemory* m) noexcept : memory(m) {}
  template <class U>
  OpAllocator(const OpAllocator<U>& other) noexcept : memory(other.memory) {}  // NOLINT
  T* allocate(std::size_t n) { return static_cast<T*>(memory->allocate(n * sizeof(T))); }
  void deallocate(T* p, std::size_t) noexcept { memory->deallocate(p); }
  template <class U>
  bool operator==(const OpAllocator<U>& other) const noexcept {
    return memory == other.memory;
  }
};

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

// Lives as long as the Stream or an operation under way, whichever is longer.
struct Stream::Impl {
  Worker& worker;
  Socket socket;
  unsigned references = 1;

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
  OpMemory read_memory;

  // Waiting to be writable: a write, or a connect.
  WriteAwaiter* writer = nullptr;
  ConnectAwaiter* connector = nullptr;
  std::coroutine_handle<> write_waiter;
  Timer write_timer{[this] { end_write_wait(IoError::timeout); }};
  OpMemory write_memory;
  std::uint64_t bytes_written = 0;

  explicit Impl(Worker& w) : worker(w), socket(w.context()) {}

  void retain() noexcept { ++references; }
  void release() noexcept {
    if (--references == 0) delete this;
  }

  // A counted reference, held by the operations.
  struct Ref {
    Impl* impl;
    explicit Ref(Impl* i) noexcept : impl(i) { impl->retain(); }
    Ref(Ref&& other) noexcept : impl(std::exchange(other.impl, nullptr)) {}
    Ref(const Ref& other) noexcept : impl(other.impl) {
      if (impl != nullptr) impl->retain();
    }
    Ref& operator=(const Ref&) = delete;
    ~Ref() {
      if (impl != nullptr) impl->release();
    }
  };

  struct OnRead {
    Ref ref;
    using allocator_type = OpAllocator<void>;
    allocator_type get_allocator() const noexcept {
      return allocator_type(&ref.impl->read_memory);
    }
    void operator()(const boost::system::error_code& error, std::size_t n) const {
      ref.impl->finish_read(error, n);
    }
  };
  struct OnWritable {
    Ref ref;
    using allocator_type = OpAllocator<void>;
    allocator_type get_allocator() const noexcept {
      return allocator_type(&ref.impl->write_memory);
    }
    void operator()(const boost::system::error_code& error) const { ref.impl->on_writable(error); }
  };

  void finish_read(const boost::system::error_code& error, std::size_t n) {
    read_ready = true;
    if (!error) {
      read_result = {n, IoError::none};
    } else if (error == asio::error::eof) {
      read_result = {0, IoError::end};
    } else if (error == asio::error::operation_aborted) {
      read_result = {0, IoError::closed};
    } else {
      read_result = {0, IoError::reset};
    }
    if (reader != nullptr) {
      read_timer.cancel();
      reader = nullptr;
      resume(std::exchange(read_waiter, nullptr));
    } else if (watch && read_result.error != IoError::closed) {
      std::exchange(watch, nullptr)(read_result.error);
    }
  }

  void wait_writable() { socket.async_wait(Socket::wait_write, OnWritable{Ref(this)}); }

  void on_writable(const boost::system::error_code& error) {
    if (connector != nullptr) {
      int failure = 0;
      socklen_t size = sizeof failure;
      if (!error && ::getsockopt(socket.native_handle(), SOL_SOCKET, SO_ERROR, &failure, &size) < 0) {
        failure = errno;
      }
      end_write_wait(error ? IoError::closed : from_errno(failure));
    } else if (writer != nullptr) {
      if (error) {
        end_write_wait(IoError::closed);
      } else if (send(*writer)) {
        end_write_wait(writer->result);
      } else {
        worker.timers().set(write_timer, worker.now() + writer->stall);
        wait_writable();
      }
    }
    // Neither: the wait was given up at its deadline.
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

  // Sends what is left of `w`. True: it is over, for good or bad. False: the kernel takes no more now.
  bool send(WriteAwaiter& w) {
    while (w.count > 0) {
      if (!socket.is_open()) {
        w.result = IoError::closed;
        return true;
      }
      msghdr message{};
      message.msg_iov = &w.parts[w.first];
      message.msg_iovlen = w.count;
      const ssize_t sent = ::sendmsg(socket.native_handle(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
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

  void open(int fd, int family) {
    boost::system::error_code error;
    // Assigning fails only when epoll takes no more descriptors; the stream then stays closed.
    socket.assign(asio::generic::stream_protocol(family, 0), fd, error);
    if (error) ::close(fd);
    bytes_written = 0;
  }
};

Stream::Stream(Worker& worker) : impl_(new Impl(worker)) {}

Stream::~Stream() {
  assert(impl_->reader == nullptr && impl_->writer == nullptr && impl_->connector == nullptr);
  close();
  impl_->release();
}

void Stream::adopt(int fd) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  impl_->open(fd, address.ss_family);
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
    impl_->open(fd, family);
    if (!is_open()) awaiter.result = IoError::exhausted;
    return awaiter;
  }
  if (errno != EINPROGRESS) {
    awaiter.result = from_errno(errno);
    ::close(fd);
    return awaiter;
  }
  impl_->open(fd, family);
  if (!is_open()) {
    awaiter.result = IoError::exhausted;
  } else {
    impl_->connector = nullptr;
    awaiter.result = IoError::timeout;  // until it is known; await_suspend waits
  }
  return awaiter;
}

bool Stream::ConnectAwaiter::await_ready() const noexcept { return result != IoError::timeout; }

void Stream::ConnectAwaiter::await_suspend(std::coroutine_handle<> h) {
  impl->connector = this;
  impl->write_waiter = h;
  impl->worker.timers().set(impl->write_timer, deadline);
  impl->wait_writable();
}

IoError Stream::ConnectAwaiter::await_resume() const noexcept { return result; }

bool Stream::is_open() const noexcept { return impl_->socket.is_open(); }

int Stream::fd() const noexcept {
  return impl_->socket.is_open() ? impl_->socket.native_handle() : -1;
}

void Stream::start_read(char* data, std::size_t size) {
  assert(!impl_->read_standing && size > 0);
  impl_->read_standing = true;
  impl_->read_ready = false;
  if (!impl_->socket.is_open()) {
    impl_->read_ready = true;
    impl_->read_result = {0, IoError::closed};
    return;
  }
  impl_->socket.async_read_some(asio::mutable_buffer(data, size), Impl::OnRead{Impl::Ref(impl_)});
}

bool Stream::read_standing() const noexcept { return impl_->read_standing; }
bool Stream::read_ready() const noexcept { return impl_->read_standing && impl_->read_ready; }
void Stream::on_read_ready(std::function<void(IoError)> f) { impl_->watch = std::move(f); }
void Stream::set_read_deadline(TimePoint deadline) {
  if (impl_->reader != nullptr) impl_->worker.timers().set(impl_->read_timer, deadline);
}

Stream::ReadAwaiter Stream::wait_read(TimePoint deadline) { return {impl_, deadline}; }

Stream::ReadAwaiter Stream::read(char* data, std::size_t size, TimePoint deadline) {
  start_read(data, size);
  return {impl_, deadline};
}

bool Stream::ReadAwaiter::await_ready() const noexcept { return impl->read_ready; }

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

bool Stream::WriteAwaiter::await_ready() { return impl->send(*this); }

void Stream::WriteAwaiter::await_suspend(std::coroutine_handle<> h) {
  assert(impl->writer == nullptr);
  impl->writer = this;
  impl->write_waiter = h;
  impl->worker.timers().set(impl->write_timer, impl->worker.now() + stall);
  impl->wait_writable();
}

std::uint64_t Stream::bytes_written() const noexcept { return impl_->bytes_written; }

void Stream::shutdown_send() noexcept {
  if (impl_->socket.is_open()) ::shutdown(impl_->socket.native_handle(), SHUT_WR);
}

void Stream::close() noexcept {
  impl_->watch = nullptr;
  boost::system::error_code ignored;
  impl_->socket.close(ignored);  // ends the waits with operation_aborted, from the loop
}

void Stream::close_with_reset() noexcept {
  if (impl_->socket.is_open()) {
    const linger hard{1, 0};
    ::setsockopt(impl_->socket.native_handle(), SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
  }
  close();
}

}  // namespace tyaprover::http
