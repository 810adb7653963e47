// Server: accepts connections on one worker and serves HTTP/1 on them.
//
// Confined to its worker, except where said. Borrows the worker and the application, which outlive
// it. Must be empty (connections() == 0) or its loop stopped for good when it is destroyed.
//
//   Server server(worker, application, {});
//   server.listen(fd);
//   worker.run();
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "tyaprover/base/clock.h"
#include "tyaprover/http/exchange.h"
#include "tyaprover/http/parser.h"
#include "tyaprover/http/timer_wheel.h"

namespace tyaprover::http {

class ServerConnection;

struct ServerOptions {
  HeadLimits head;                              // body is left to Exchange::body_limit
  std::size_t trailers = 8 * 1024;              // bytes of a request's trailer section
  std::size_t buffer = 64 * 1024;               // one read of a request body
  Nanos first_head = std::chrono::seconds(10);  // connect → first head complete; else 408, or close
  Nanos request_head = std::chrono::seconds(10);  // first byte → later head complete; else 408
  Nanos keep_alive = std::chrono::seconds(60);    // idle between requests
  Nanos body_idle = std::chrono::seconds(30);     // no byte of a request body
  std::uint64_t body_rate = 250;                  // bytes per second over 20 s; 0 = off
  std::uint64_t body_limit = 100 * 1024 * 1024;
  Nanos write = std::chrono::seconds(60);  // the client takes no byte
  std::uint64_t requests_per_connection = 10'000;
  std::size_t max_connections = 10'000;  // of all servers that share the counters
};

// Shared by the servers of all workers. Statistics: relaxed, nothing else is published through
// them.
struct ServerCounters {
  std::atomic<std::uint64_t> connections{0};  // open now
  std::atomic<std::uint64_t> accepted{0};
  std::atomic<std::uint64_t> rejected{0};       // over max_connections
  std::atomic<std::uint64_t> accept_errors{0};  // EMFILE and the like: accepting paused
};

class Server {
 public:
  Server(Worker& worker, Application& application, ServerOptions options, ServerCounters& counters);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Accepts from the listening socket `fd`, which it owns from now on.
  void listen(int fd);

  // Every response from now on carries Connection: close (R9.1).
  void announce_close() noexcept { closing_ = true; }
  // Lets no new connection begin, takes those already begun, then closes the listening sockets and
  // calls `done`. Nobody who was accepted by the kernel is turned away.
  void stop_listening(std::function<void()> done);
  // Connections close after their running request; idle ones within a second (a request may be on
  // its way to them, R9.2). Calls `empty` when the last one is gone.
  void drain(std::function<void()> empty);
  // Cuts everything; returns the number of requests cut.
  std::size_t close_all();

  [[nodiscard]] std::size_t connections() const noexcept { return connections_; }
  [[nodiscard]] Worker& worker() noexcept { return worker_; }
  [[nodiscard]] Application& application() noexcept { return application_; }
  [[nodiscard]] const ServerOptions& options() const noexcept { return options_; }
  [[nodiscard]] bool closing() const noexcept { return closing_; }
  [[nodiscard]] bool draining() const noexcept { return draining_; }

 private:
  friend class ServerConnection;
  class Acceptor;

  void serve(int fd, const sockaddr* peer, unsigned size);
  // Exchanges of idle connections, for the next request of any connection.
  std::unique_ptr<Exchange> take_exchange();
  void give_exchange(std::unique_ptr<Exchange> exchange);
  void remove(ServerConnection& connection) noexcept;
  void close_acceptors();

  Worker& worker_;
  Application& application_;
  const ServerOptions options_;
  ServerCounters& counters_;
  std::vector<std::unique_ptr<Acceptor>> acceptors_;
  std::vector<std::unique_ptr<Exchange>> free_exchanges_;
  ServerConnection* first_ = nullptr;  // doubly linked list of the open ones
  std::size_t connections_ = 0;
  bool closing_ = false;
  bool draining_ = false;
  std::function<void()> empty_;
  std::function<void()> listening_stopped_;
  Timer stop_timer_;
};

}  // namespace tyaprover::http
