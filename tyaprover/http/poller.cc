#include "tyaprover/http/poller.h"

#include <sys/epoll.h>

#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/basic_stream_descriptor.hpp>
#include <cerrno>
#include <system_error>

namespace tyaprover::http {

struct Poller::Watch {
  boost::asio::posix::basic_stream_descriptor<boost::asio::io_context::executor_type> descriptor;
};

Poller::Poller(boost::asio::io_context& context) : fd_(::epoll_create1(EPOLL_CLOEXEC)) {
  if (fd_ < 0) throw std::system_error(errno, std::generic_category(), "epoll_create1");
  watch_ = std::make_unique<Watch>(Watch{{context, fd_}});
  wait();
}

Poller::~Poller() = default;

bool Poller::add(int fd, Pollable& pollable) noexcept {
  epoll_event event{};
  event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
  event.data.ptr = &pollable;
  return ::epoll_ctl(fd_, EPOLL_CTL_ADD, fd, &event) == 0;
}

void Poller::wait() {
  watch_->descriptor.async_wait(decltype(watch_->descriptor)::wait_read,
                                [this](boost::system::error_code error) {
                                  if (error) return;
                                  turn();
                                  wait();
                                });
}

void Poller::turn() {
  std::array<epoll_event, 128> events;
  const int n = ::epoll_wait(fd_, events.data(), static_cast<int>(events.size()), 0);
  const auto pollable = [&](int i) {
    return static_cast<Pollable*>(events[static_cast<std::size_t>(i)].data.ptr);
  };
  // All of them first: handling one may let go of another.
  for (int i = 0; i < n; ++i) pollable(i)->retain();
  for (int i = 0; i < n; ++i) {
    pollable(i)->on_events(events[static_cast<std::size_t>(i)].events);
    pollable(i)->release();
  }
}

}  // namespace tyaprover::http
