// Poller: tells streams when their sockets become readable or writable.
//
// Confined to one worker. A socket is registered once, edge-triggered, and stays so: waiting for it
// costs no system call. Asio's own reactor would try every read before it waits, and with
// keep-alive that try finds nothing for every request on either side; two wasted system calls were
// 15 % of a proxied request. The poller's descriptor is watched by the worker's io_context, which
// stays the one loop.
//
//   poller.add(fd, stream);      // stream.on_events(EPOLLIN) from now on
#pragma once

#include <cstdint>
#include <memory>

namespace boost::asio {
class io_context;
}

namespace tyaprover::http {

// Something that owns a registered descriptor. Counted, because an event may arrive in the same
// batch as the one that closes it.
class Pollable {
 public:
  virtual ~Pollable() = default;
  virtual void on_events(std::uint32_t events) = 0;

  void retain() noexcept { ++references_; }
  void release() noexcept {
    if (--references_ == 0) delete this;
  }

 private:
  unsigned references_ = 1;
};

// A counted reference.
class PollableRef {
 public:
  explicit PollableRef(Pollable& p) noexcept : pollable_(&p) { pollable_->retain(); }
  PollableRef(const PollableRef& other) noexcept : pollable_(other.pollable_) {
    pollable_->retain();
  }
  PollableRef& operator=(const PollableRef&) = delete;
  ~PollableRef() { pollable_->release(); }

 private:
  Pollable* pollable_;
};

class Poller {
 public:
  explicit Poller(boost::asio::io_context& context);
  ~Poller();
  Poller(const Poller&) = delete;
  Poller& operator=(const Poller&) = delete;

  // False when the kernel takes no more. Closing the descriptor ends the registration.
  [[nodiscard]] bool add(int fd, Pollable& pollable) noexcept;

 private:
  struct Watch;
  void wait();
  void turn();

  int fd_;
  std::unique_ptr<Watch> watch_;
};

}  // namespace tyaprover::http
