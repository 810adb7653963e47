// RequestBody: the body of the request that a server connection is serving, as a BodySource.
//
// Confined to its worker; a part of its ServerConnection, reset for every request. Reads first what
// came with the head, then from the stream into a pooled buffer that it holds only while it needs
// one.
//
//   body.begin(exchange, rest_of_buffer);
//   auto piece = co_await body.read();
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

#include "tyaprover/http/body.h"
#include "tyaprover/http/buffer_pool.h"
#include "tyaprover/http/exchange.h"
#include "tyaprover/http/parser.h"
#include "tyaprover/http/stream.h"

namespace tyaprover::http {

class RequestBody final : public BodySource {
 public:
  RequestBody(Worker& worker, Stream& stream, std::size_t buffer, std::size_t trailers);

  // `received`: bytes that came behind the head; they stay where they are until the body is read.
  // `invite` is called before the first wait, to send 100 (Continue) when it is owed.
  void begin(Exchange& exchange, std::string_view received);
  void end() noexcept;

  [[nodiscard]] std::optional<std::uint64_t> length() const noexcept override;
  [[nodiscard]] std::optional<BodyPiece> poll() override;
  [[nodiscard]] Task<Result<BodyPiece, BodyError>> read() override;
  [[nodiscard]] const Fields* trailers() const noexcept override;
  void release() noexcept override {}  // owned by the connection

  // The whole body was taken from the stream.
  [[nodiscard]] bool complete() const noexcept { return complete_; }
  [[nodiscard]] std::optional<BodyError> error() const noexcept { return error_; }
  // Bytes still to come by Content-Length; nothing for chunked.
  [[nodiscard]] std::optional<std::uint64_t> remaining() const noexcept;
  // Bytes behind the body: the next, pipelined request.
  [[nodiscard]] std::string_view rest() const noexcept { return unread_; }
  // Reads and forgets at most `limit` bytes until `deadline`; true when the body is complete then.
  [[nodiscard]] Task<bool> drain(std::uint64_t limit, TimePoint deadline);

  // Ends the read() that is under way, soon, with BodyError::aborted; the body can be read on
  // afterwards.
  void cancel_read() override;

  // Told when a read has to wait although the client awaits 100 (Continue).
  std::function<Task<bool>()> invite;

 private:
  [[nodiscard]] Result<BodyPiece, BodyError> fail(BodyError error) noexcept;
  // The next piece from unread_, if there is one.
  [[nodiscard]] std::optional<BodyPiece> decode();

  Worker& worker_;
  Stream& stream_;
  const std::size_t buffer_size_;
  Exchange* exchange_ = nullptr;
  BodyFraming framing_;
  ChunkedDecoder decoder_;
  std::string_view unread_;
  Buffer buffer_;
  std::uint64_t received_ = 0;  // bytes of the body, decoded
  bool complete_ = true;
  bool reading_ = false;
  bool cancelled_ = false;
  std::optional<BodyError> error_;
  TimePoint drain_deadline_ = TimePoint::max();

  // Minimum rate: bytes since the window began.
  static constexpr Nanos kRateWindow = std::chrono::seconds(20);
  TimePoint window_begin_;
  std::uint64_t window_bytes_ = 0;
};

}  // namespace tyaprover::http
