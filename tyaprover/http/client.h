// ClientConnection and ConnectionPool: HTTP/1 requests to one upstream address from one worker.
//
// Confined to a worker. A pool owns its idle connections; a connection in use is owned by whoever
// took it, and goes back by release() (or BodyPtr), which closes it unless the whole response was
// read. The pool outlives its connections.
//
// A read stands on every idle connection: an upstream that closes, or sends what nobody asked for,
// is noticed when it happens, and the next response needs no further system call to be waited for.
//
//   ClientConnection* c = pool.take();                       // idle, or null
//   c->begin(Method::get);
//   co_await c->write(head);
//   if (co_await c->read_head(deadline) == ReadHead::complete) use(c->head());
//   exchange.response.body = BodyPtr(c);                     // the connection is the body;
//   released at its end
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "tyaprover/http/body.h"
#include "tyaprover/http/buffer_pool.h"
#include "tyaprover/http/parser.h"
#include "tyaprover/http/stream.h"
#include "tyaprover/http/timer_wheel.h"

namespace tyaprover::http {

class ConnectionPool;

struct ClientOptions {
  HeadLimits head;  // of responses
  std::size_t trailers = 8 * 1024;
  std::size_t buffer = 64 * 1024;              // one read of a response body
  Nanos body_idle = std::chrono::seconds(60);  // no byte of a response body
  Nanos write = std::chrono::seconds(60);      // the upstream takes no byte
  Nanos idle = std::chrono::seconds(30);       // in the pool
  std::size_t max_idle = 64;
};

enum class ReadHead : std::uint8_t {
  complete,
  timeout,
  closed,    // the upstream closed or reset the connection
  protocol,  // it is no HTTP: see error()
  aborted,   // abort() was called
};

// Is told how the body of a response ended: whole, by an error, or given up by us (aborted).
class ResponseWatcher {
 public:
  virtual ~ResponseWatcher() = default;
  virtual void response_ended(std::optional<BodyError> error) noexcept = 0;
};

class ClientConnection final : public BodySource {
 public:
  ClientConnection(Worker& worker, ConnectionPool& pool);
  ~ClientConnection() override;

  [[nodiscard]] Stream::ConnectAwaiter connect(const Endpoint& endpoint, TimePoint deadline) {
    return stream_.connect(endpoint, deadline);
  }

  // Starts a new request with that method; what is left of the last response is forgotten.
  void begin(Method method) noexcept;
  // Writes parts of the request. Result: IoError.
  [[nodiscard]] Stream::WriteAwaiter write(std::string_view a, std::string_view b = {},
                                           std::string_view c = {}, std::string_view d = {});
  // Reads the next head, interim (1xx) or final. Views in it are valid until the next begin() or
  // interim.
  [[nodiscard]] Task<ReadHead> read_head(TimePoint deadline);
  [[nodiscard]] ResponseHead& head() noexcept { return head_; }
  [[nodiscard]] const ParseError& error() const noexcept { return parser_.error(); }
  // Bytes of responses to the running request, received so far.
  [[nodiscard]] std::uint64_t bytes_received() const noexcept { return bytes_received_; }
  // It has served a request before this one.
  [[nodiscard]] bool reused() const noexcept { return requests_ > 1; }
  // False when the peer has closed, or sent bytes unasked; asks the kernel.
  [[nodiscard]] bool still_usable() const noexcept;

  // The response's body, once a final head is complete.
  [[nodiscard]] std::optional<std::uint64_t> length() const noexcept override;
  [[nodiscard]] std::optional<BodyPiece> poll() override;
  [[nodiscard]] Task<Result<BodyPiece, BodyError>> read() override;
  [[nodiscard]] const Fields* trailers() const noexcept override;
  [[nodiscard]] bool body_complete() const noexcept { return complete_; }
  void cancel_read() override { abort(); }
  // Tells `watcher` once, at the body's end, or when this connection is released before it. Not
  // after begin().
  void watch_response(ResponseWatcher& watcher) noexcept { watcher_ = &watcher; }
  // For whoever gives up the response before the connection is released.
  void stop_watching() noexcept {
    if (watcher_ != nullptr)
      tell_watcher(complete_ ? std::nullopt : std::optional(BodyError::aborted));
  }
  // Back to the pool when it can serve another request, else closed.
  void release() noexcept override;

  // Closes it at release(): the request was not sent whole, or nobody waits for the response's end.
  void spoil() noexcept {
    keep_alive_ = false;
    spoiled_ = true;
  }
  // Ends whatever waits on it; the connection cannot be used again.
  void abort() noexcept;

  // For an upgraded connection: the socket, and what the upstream sent right behind its 101.
  [[nodiscard]] Stream& stream() noexcept { return stream_; }
  [[nodiscard]] std::string_view unread() const noexcept { return unread_; }

 private:
  friend class ConnectionPool;

  void start_idle();
  [[nodiscard]] std::optional<BodyPiece> decode();
  void tell_watcher(std::optional<BodyError> error) noexcept {
    std::exchange(watcher_, nullptr)->response_ended(error);
  }
  void note_end() noexcept {
    if (watcher_ != nullptr && (complete_ || body_error_)) tell_watcher(body_error_);
  }

  Worker& worker_;
  ConnectionPool& pool_;
  Stream stream_;
  ResponseParser parser_;
  ResponseHead head_;
  Method method_ = Method::get;
  ChunkedDecoder decoder_;

  Buffer buffer_;  // heads, and what came with them
  std::size_t begin_ = 0;
  std::size_t filled_ = 0;
  Buffer body_buffer_;       // later parts of the body
  std::string_view unread_;  // body bytes not decoded yet
  std::uint64_t decoded_ = 0;
  bool complete_ = true;
  bool in_response_ = false;  // a final head was read
  bool keep_alive_ = false;
  bool spoiled_ = false;
  std::optional<BodyError> body_error_;
  ResponseWatcher* watcher_ = nullptr;
  std::uint64_t bytes_received_ = 0;
  std::uint64_t requests_ = 0;
  Nanos idle_timeout_{};
  Timer idle_timer_;
};

// What a pool did and has, for other threads to read. Relaxed: one writer, and nothing else is
// published through them.
struct PoolCounters {
  std::atomic<std::uint64_t> created{0};  // connections, ever
  std::atomic<std::uint64_t> reused{0};   // idle connections taken, ever
  std::atomic<std::uint64_t> idle{0};     // now
  std::atomic<std::uint64_t> in_use{0};   // now
};

class ConnectionPool {
 public:
  ConnectionPool(Worker& worker, ClientOptions options);
  ~ConnectionPool();

  // The connection used last, ready for begin(); null when none is idle.
  [[nodiscard]] ClientConnection* take();
  // A new one, to be connected.
  [[nodiscard]] ClientConnection* create();

  [[nodiscard]] std::size_t idle() const noexcept { return idle_.size(); }
  // Connections taken or created and not released yet.
  [[nodiscard]] std::size_t in_use() const noexcept { return in_use_; }
  [[nodiscard]] const ClientOptions& options() const noexcept { return options_; }
  // Outlive the pool if need be.
  [[nodiscard]] std::shared_ptr<const PoolCounters> counters() const noexcept { return counters_; }

 private:
  friend class ClientConnection;
  void count() noexcept;
  void give(ClientConnection& connection);
  void remove_idle(ClientConnection& connection);

  Worker& worker_;
  const ClientOptions options_;
  const std::shared_ptr<PoolCounters> counters_ = std::make_shared<PoolCounters>();
  std::vector<std::unique_ptr<ClientConnection>> idle_;
  std::size_t in_use_ = 0;
};

}  // namespace tyaprover::http
