// ServerConnection: one client's connection and the requests on it, one after the other.
//
// Confined to its worker. Owns itself: made by Server::serve, gone when its coroutine has ended.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "tyaprover/http/address.h"
#include "tyaprover/http/buffer_pool.h"
#include "tyaprover/http/exchange.h"
#include "tyaprover/http/parser.h"
#include "tyaprover/http/request_body.h"
#include "tyaprover/http/server.h"
#include "tyaprover/http/stream.h"

namespace tyaprover::http {

class ServerConnection final : public ConnectionControl {
 public:
  // `overloaded`: answer 503 to whatever is asked, and close (R3.3).
  ServerConnection(Server& server, int fd, const PeerAddress& peer, bool overloaded);
  ~ServerConnection() override;

  static Task<void> run(std::unique_ptr<ServerConnection> connection);

  // Idle: close within `grace`. Busy: close after the running request.
  void drain(Nanos grace);
  // Cuts it; true when a request was running.
  bool cut();

  // ConnectionControl
  Task<bool> send_interim(int status, const Fields& fields) override;
  void watch_client(std::function<void()> gone) override;
  [[nodiscard]] bool body_invited() const noexcept override { return !invitation_owed_; }

 private:
  friend class Server;
  enum class Head : std::uint8_t { parsed, refused, closed };

  // Where bytes are received: a small block for the idle and the usual request, a pooled one for
  // larger heads.
  [[nodiscard]] char* data() noexcept { return large_ ? large_.data() : small_.data(); }
  [[nodiscard]] std::size_t capacity() const noexcept {
    return large_ ? large_.size() : small_.size();
  }
  [[nodiscard]] std::string_view received() noexcept { return {data() + begin_, filled_ - begin_}; }
  // Moves what is unread to the front, into the small block when it fits.
  void compact();
  void make_room();

  Task<void> serve();
  // Waits for the next head and parses it into the exchange.
  Task<Head> read_head();
  void begin_exchange();
  // Handles one request; true when another may follow.
  Task<bool> serve_request(Head head);
  Task<bool> send_response();
  Task<Outcome> send_body(BodySource& body, bool chunked);
  void write_head(bool keep_alive, bool chunked, std::optional<std::uint64_t> length);
  [[nodiscard]] bool may_keep_alive() const noexcept;
  void finish_exchange() noexcept;
  // Sends FIN and reads on for a moment, so that the last reply is not lost to a reset (R4.14).
  Task<void> linger();

  static constexpr std::uint64_t kDrainBytes = 64 * 1024;
  static constexpr Nanos kDrainTime = std::chrono::seconds(1);

  Server& server_;
  Worker& worker_;
  Stream stream_;
  PeerAddress peer_;
  PeerAddress local_;
  TimePoint accepted_;
  std::unique_ptr<Exchange> exchange_;  // only while a request is coming or running
  RequestParser parser_;
  RequestBody body_;
  std::function<void()> gone_;

  Buffer large_;
  std::size_t begin_ = 0;  // of the message being received
  std::size_t filled_ = 0;
  std::string head_;  // response head being written
  std::uint64_t requests_ = 0;
  bool overloaded_;
  bool idle_ = true;  // no byte of a request has come since the last response
  bool draining_ = false;
  bool invitation_owed_ = false;  // the client waits for 100 (Continue)
  bool client_gone_ = false;
  bool lingering_ = false;  // the reply may be lost if we close at once

  ServerConnection* previous_ = nullptr;
  ServerConnection* next_ = nullptr;
  std::array<char, 1024> small_;
};

}  // namespace tyaprover::http
