// Exchange: one request and its response on their way through the product.
//
// Confined to one worker. Made by Application::new_exchange and reset for each request; a server
// keeps them for its connections, and a connection holds one only while a request is coming or
// running. Every view in it lives until reset(). The server fills the request side, the application
// the response side, the server sends it and fills the outcome.
//
//   exchange.response.status = 200;
//   exchange.response.fields.add(KnownField::content_type, "text/plain");
//   exchange.response.content = "hello\n";
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "tyaprover/base/clock.h"
#include "tyaprover/http/address.h"
#include "tyaprover/http/arena.h"
#include "tyaprover/http/body.h"
#include "tyaprover/http/field.h"
#include "tyaprover/http/parser.h"
#include "tyaprover/http/reason.h"
#include "tyaprover/http/task.h"

namespace tyaprover::http {

class Worker;
class Stream;

// Takes over both sides of a connection after 101 (R4.20).
class Tunnel {
 public:
  virtual ~Tunnel() = default;
  // `early`: bytes the client sent right behind its request. Returns when either side has closed.
  // Adds what went each way to the counters.
  virtual Task<void> run(Stream& client, std::string_view early, std::uint64_t& bytes_in,
                         std::uint64_t& bytes_out) = 0;
};

struct Response {
  int status = 0;
  Fields fields;  // no framing, connection or Date fields: the server writes those
  // The body is `content` (whole, in memory) or, when set, `body` (streamed).
  std::string_view content;
  std::shared_ptr<const void>
      content_owner;  // keeps `content` alive when it is not in the arena or static
  BodyPtr body;
  // What Content-Length says although no body is sent (HEAD, 304); nothing: none is sent then.
  std::optional<std::uint64_t> described_length;
  std::unique_ptr<Tunnel> tunnel;  // with status 101 only
  bool close = false;              // end the connection after this response

  void clear() noexcept;
};

// When things happened; a zero point did not happen. Taken once by the engine (R7.5).
struct Timings {
  TimePoint accepted;
  TimePoint head_begun;  // first byte of the request
  TimePoint head_parsed;
  TimePoint routed;
  TimePoint upstream_acquired;   // a connection of the last try was there
  TimePoint upstream_connected;  // only when it was a new one
  TimePoint upstream_first_byte;
  TimePoint response_head;  // response head written to the socket
  TimePoint last_byte;
};

// How the exchange ended, for on_finish.
enum class Outcome : std::uint8_t {
  complete,             // the whole response was handed to the kernel
  client_disconnected,  // the client left before that
  client_timeout,       // the client stopped reading
  truncated,            // the response's source failed; the client saw a truncation
  shutdown,             // we ended
};

// What the connection offers an exchange.
class ConnectionControl {
 public:
  virtual ~ConnectionControl() = default;
  // Sends an interim response (1xx other than 101) now; false when the client is gone.
  virtual Task<bool> send_interim(int status, const Fields& fields) = 0;
  // Calls `gone` when the client closes while nobody reads from it (at most once); null stops
  // watching.
  virtual void watch_client(std::function<void()> gone) = 0;
  // The client has been told to send its body (100 was sent, or it never asked).
  [[nodiscard]] virtual bool body_invited() const noexcept = 0;
};

class Exchange {
 public:
  explicit Exchange(Worker& w) noexcept : worker(w) {}
  virtual ~Exchange() = default;
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  // Called by the server before each request; overriders call this one.
  virtual void reset() noexcept;

  // The status for logs and metrics: 499 when the client left before the end of the response.
  [[nodiscard]] int logged_status() const noexcept {
    return outcome == Outcome::client_disconnected ? 499 : response.status;
  }
  [[nodiscard]] Reason logged_reason() const noexcept {
    return outcome == Outcome::client_disconnected ? Reason::client_disconnected : reason;
  }

  Worker& worker;
  ConnectionControl* connection = nullptr;

  // Request side
  RequestHead request;
  BodySource* request_body = nullptr;  // null: no body
  std::string path;                    // request.path normalised for matching; keeps its capacity
  PeerAddress peer;                    // who connected
  PeerAddress local;                   // where
  std::string_view client;  // the client's address after trusted proxies (R6.3); set by the gateway
  bool peer_trusted = false;
  std::string_view scheme = "http";
  Arena arena;

  // Set while something else than the handler reads request_body (a proxy's upload): the server
  // waits for it before it touches the connection again.
  std::shared_ptr<Event> body_reader_done;

  // Limits that the route may change before the body is read.
  Nanos body_idle_timeout{};
  std::uint64_t body_rate = 0;
  std::uint64_t body_limit = UINT64_MAX;
  Nanos write_timeout{};
  TimePoint deadline = TimePoint::max();  // of the whole request, until the response head is sent

  // Response side
  Response response;
  Reason reason = Reason::none;
  std::string_view reason_detail;

  // What is told about it in logs, metrics and spans
  std::string_view app;
  std::string_view route;  // template of the matched route, never the raw path
  std::string_view request_id;
  std::string_view trace_id;
  std::string_view span_id;
  bool trace_sampled = false;
  std::string_view upstream;
  unsigned upstream_tries = 0;
  std::string_view cache;
  std::string_view breaker;
  bool quiet = false;       // health and metrics paths: left out of the access log (R8.3)
  bool unmeasured = false;  // left out of the HTTP metrics
  bool untraced = false;    // has no span
  bool forwarded_expect =
      false;  // the upstream was told of Expect: 100-continue and will answer it

  // Outcome
  Timings timings;
  Outcome outcome = Outcome::complete;
  std::uint64_t bytes_in = 0;   // of this request on the wire, head included
  std::uint64_t bytes_out = 0;  // of all its responses on the wire, heads included
};

// What a server serves.
class Application {
 public:
  virtual ~Application() = default;
  virtual std::unique_ptr<Exchange> new_exchange(Worker& worker) = 0;
  // Fills exchange.response; reads the request body if it wants it.
  virtual Task<void> handle(Exchange& exchange) = 0;
  // The head was refused, or did not come in time: fill the reply. The connection closes after it.
  virtual void refuse(Exchange& exchange, const ParseError& error) = 0;
  // Exactly once for every exchange given to handle() or refuse(), after its response was sent or
  // given up.
  virtual void finish(Exchange& exchange) noexcept = 0;
};

}  // namespace tyaprover::http
