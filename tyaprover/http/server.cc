#include "tyaprover/http/server.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/basic_stream_descriptor.hpp>
#include <cerrno>
#include <utility>

#include "tyaprover/http/server_connection.h"
#include "tyaprover/http/worker.h"

namespace tyaprover::http {

using namespace std::chrono_literals;

// One listening socket. Accepts until the kernel has no more, then waits.
class Server::Acceptor {
 public:
  Acceptor(Server& server, int fd)
      : server_(server), socket_(server.worker_.context(), fd), retry_([this] { turn(); }) {
    ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK);
    wait();
  }

  // A SYN that comes from now on is dropped, so its sender tries again and is then refused, instead
  // of being accepted by the kernel and reset when the socket closes. Handshakes under way
  // complete.
  void refuse_new() noexcept {
    static sock_filter program[] = {
        {BPF_LD | BPF_B | BPF_ABS, 0, 0, 13},      // the TCP header's flags
        {BPF_JMP | BPF_JSET | BPF_K, 0, 1, 0x02},  // SYN?
        {BPF_RET | BPF_K, 0, 0, 0},                // drop
        {BPF_RET | BPF_K, 0, 0, 0xffffffff},       // keep
    };
    const sock_fprog filter{sizeof program / sizeof program[0], program};
    int family = 0;
    socklen_t size = sizeof family;
    ::getsockopt(socket_.native_handle(), SOL_SOCKET, SO_DOMAIN, &family, &size);
    if (family != AF_UNIX) {
      ::setsockopt(socket_.native_handle(), SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter);
    }
  }

  void close() {
    accept_all();
    retry_.cancel();
    boost::system::error_code ignored;
    socket_.close(ignored);
  }

 private:
  void wait() {
    socket_.async_wait(decltype(socket_)::wait_read, [this](boost::system::error_code error) {
      if (!error) turn();
    });
  }

  void turn() {
    if (accept_all()) {
      wait();
    } else {
      server_.worker_.timers().set(retry_, server_.worker_.now() + 100ms);
    }
  }

  // False when the machine has no descriptors or memory left: every further call would fail as well
  // (R3.2).
  bool accept_all() {
    // Bounded, so that a flood of connections cannot starve those already here.
    for (int i = 0; i < 256; ++i) {
      sockaddr_storage peer{};
      socklen_t size = sizeof peer;
      const int fd = ::accept4(socket_.native_handle(), reinterpret_cast<sockaddr*>(&peer), &size,
                               SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd >= 0) {
        server_.serve(fd, reinterpret_cast<const sockaddr*>(&peer), size);
      } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
        return true;
      } else if (errno != EINTR && errno != ECONNABORTED) {
        server_.counters_.accept_errors.fetch_add(1, std::memory_order_relaxed);
        return false;
      }
    }
    return true;
  }

  Server& server_;
  boost::asio::posix::basic_stream_descriptor<boost::asio::io_context::executor_type> socket_;
  Timer retry_;
};

Server::Server(Worker& worker, Application& application, ServerOptions options,
               ServerCounters& counters)
    : worker_(worker),
      application_(application),
      options_(options),
      counters_(counters),
      stop_timer_([this] { close_acceptors(); }) {}

Server::~Server() = default;

void Server::listen(int fd) {
  acceptors_.push_back(std::make_unique<Acceptor>(*this, fd));
}

void Server::serve(int fd, const sockaddr* peer, unsigned size) {
  counters_.accepted.fetch_add(1, std::memory_order_relaxed);
  const std::uint64_t open = counters_.connections.fetch_add(1, std::memory_order_relaxed) + 1;
  const bool overloaded = open > options_.max_connections;
  if (overloaded) counters_.rejected.fetch_add(1, std::memory_order_relaxed);
  if (open > options_.max_connections + options_.max_connections / 20 + 64) {
    counters_.connections.fetch_sub(1, std::memory_order_relaxed);
    ::close(fd);  // too many are being told already
    return;
  }
  if (peer->sa_family != AF_UNIX) {
    const int on = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }
  auto connection =
      std::make_unique<ServerConnection>(*this, fd, PeerAddress(peer, size), overloaded);
  ServerConnection& c = *connection;
  sockaddr_storage local{};
  socklen_t local_size = sizeof local;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&local), &local_size) == 0) {
    c.local_ = PeerAddress(reinterpret_cast<const sockaddr*>(&local), local_size);
  }
  c.next_ = first_;
  if (first_ != nullptr) first_->previous_ = &c;
  first_ = &c;
  ++connections_;
  if (draining_) c.drain(1s);
  spawn(ServerConnection::run(std::move(connection)));
}

void Server::remove(ServerConnection& c) noexcept {
  if (c.previous_ != nullptr) {
    c.previous_->next_ = c.next_;
  } else {
    first_ = c.next_;
  }
  if (c.next_ != nullptr) c.next_->previous_ = c.previous_;
  --connections_;
  counters_.connections.fetch_sub(1, std::memory_order_relaxed);
  if (connections_ == 0 && empty_) {
    // Later: the connection's coroutine is still on the stack.
    worker_.post(std::exchange(empty_, nullptr));
  }
}

std::unique_ptr<Exchange> Server::take_exchange() {
  if (free_exchanges_.empty()) return application_.new_exchange(worker_);
  auto exchange = std::move(free_exchanges_.back());
  free_exchanges_.pop_back();
  return exchange;
}

void Server::give_exchange(std::unique_ptr<Exchange> exchange) {
  constexpr std::size_t kKept = 256;
  if (free_exchanges_.size() < kKept) free_exchanges_.push_back(std::move(exchange));
}

void Server::stop_listening(std::function<void()> done) {
  for (auto& acceptor : acceptors_) acceptor->refuse_new();
  listening_stopped_ = std::move(done);
  // Long enough for handshakes under way to complete on a near network.
  worker_.timers().set(stop_timer_, worker_.now() + 50ms);
}

void Server::close_acceptors() {
  for (auto& acceptor : acceptors_) acceptor->close();
  acceptors_.clear();
  if (listening_stopped_) std::exchange(listening_stopped_, nullptr)();
}

void Server::drain(std::function<void()> empty) {
  draining_ = closing_ = true;
  for (ServerConnection* c = first_; c != nullptr; c = c->next_) c->drain(1s);
  if (connections_ == 0) {
    worker_.post(std::move(empty));
  } else {
    empty_ = std::move(empty);
  }
}

std::size_t Server::close_all() {
  std::size_t cut = 0;
  // Closing only asks: connections leave the list from the loop, later.
  for (ServerConnection* c = first_; c != nullptr; c = c->next_) cut += c->cut() ? 1 : 0;
  return cut;
}

}  // namespace tyaprover::http
