// EpollServer: the least an HTTP/1.1 server can do per request, to measure others against.
//
// One thread, edge-triggered epoll, one read and one write per batch of requests, no allocation
// after a connection's first request. It finds the end of each head and believes everything else: a
// yardstick, no server.
#pragma once

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace tyaprover::bench {

// Serves on a kernel port of 127.0.0.1 until the process is killed; prints "http://127.0.0.1:PORT"
// first. `answer` gives the whole response for a head; what it returns must outlive the server.
template <typename Answer>
class EpollServer {
 public:
  explicit EpollServer(Answer answer) : answer_(std::move(answer)) {}

  [[noreturn]] void run() {
    std::signal(SIGPIPE, SIG_IGN);
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    listen();
    std::vector<epoll_event> events(512);
    for (;;) {
      const int ready = ::epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), -1);
      for (int i = 0; i < ready; ++i) {
        auto* connection = static_cast<Connection*>(events[static_cast<std::size_t>(i)].data.ptr);
        if (!connection) {
          accept_all();
        } else if (!progress(*connection)) {
          ::close(connection->descriptor);
          delete connection;
        }
      }
    }
  }

 private:
  struct Connection {
    int descriptor;
    std::size_t used = 0;   // bytes of an incomplete head
    std::string out;        // responses of the current batch
    std::string_view rest;  // what the kernel did not take yet
    std::unique_ptr<char[]> in{new char[kInput]};
  };
  static constexpr std::size_t kInput = 16 * 1024;

  void listen() {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(at);
    if (::bind(listener_, reinterpret_cast<const sockaddr*>(&at), size) != 0 ||
        ::listen(listener_, 4096) != 0 ||
        ::getsockname(listener_, reinterpret_cast<sockaddr*>(&at), &size) != 0) {
      std::perror("cannot listen on 127.0.0.1");
      std::exit(1);
    }
    epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
    watch(listener_, nullptr, EPOLLIN);
    std::printf("http://127.0.0.1:%u\n", static_cast<unsigned>(ntohs(at.sin_port)));
    std::fflush(stdout);
  }

  void watch(int descriptor, Connection* connection, std::uint32_t events) {
    epoll_event event{};
    event.events = events;
    event.data.ptr = connection;
    ::epoll_ctl(epoll_, EPOLL_CTL_ADD, descriptor, &event);
  }

  void accept_all() {
    for (;;) {
      const int descriptor = ::accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (descriptor < 0) return;
      const int on = 1;
      ::setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
      watch(descriptor, new Connection{descriptor, 0, {}, {}},
            EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
    }
  }

  // False when the connection is over.
  bool progress(Connection& connection) {
    if (!connection.rest.empty() && !flush(connection)) return false;
    while (connection.rest.empty()) {
      const ssize_t count = ::recv(connection.descriptor, connection.in.get() + connection.used,
                                   kInput - connection.used, 0);
      if (count < 0) return errno == EAGAIN || errno == EINTR;
      if (count == 0) return false;
      connection.used += static_cast<std::size_t>(count);
      if (!respond(connection)) return false;
    }
    return true;
  }

  bool respond(Connection& connection) {
    std::string_view heads(connection.in.get(), connection.used);
    std::string_view only;  // a single response is sent from where it lies
    connection.out.clear();
    for (;;) {
      const auto end = heads.find("\r\n\r\n");
      if (end == std::string_view::npos) break;
      const std::string_view response = answer_(heads.substr(0, end));
      heads.remove_prefix(end + 4);
      if (only.empty() && connection.out.empty()) {
        only = response;
      } else {
        connection.out.append(only).append(response);
        only = {};
      }
    }
    connection.used = heads.size();
    if (connection.used == kInput) return false;
    std::char_traits<char>::move(connection.in.get(), heads.data(), heads.size());
    connection.rest = only.empty() ? std::string_view(connection.out) : only;
    return connection.rest.empty() || flush(connection);
  }

  bool flush(Connection& connection) {
    while (!connection.rest.empty()) {
      const ssize_t count = ::send(connection.descriptor, connection.rest.data(),
                                   connection.rest.size(), MSG_NOSIGNAL);
      if (count < 0) return errno == EAGAIN || errno == EINTR;
      connection.rest.remove_prefix(static_cast<std::size_t>(count));
    }
    return true;
  }

  Answer answer_;
  int listener_ = -1;
  int epoll_ = -1;
};

}  // namespace tyaprover::bench
