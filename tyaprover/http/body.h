// BodySource: a message body that is pulled piece by piece by whoever sends it on.
//
// Confined to one worker. Backpressure is the pulling itself: a source reads no further than it is
// asked. Sources wrap sources (compression, later the cache's tee).
//
//   while (true) {
//     auto piece = co_await body.read();
//     if (!piece) return truncated(piece.error());
//     co_await write(piece->data);
//     if (piece->last) break;
//   }
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "tyaprover/base/result.h"
#include "tyaprover/http/field.h"
#include "tyaprover/http/task.h"

namespace tyaprover::http {

// Why a body ended before its end.
enum class BodyError : std::uint8_t {
  disconnected,  // the sender closed or reset before the end: what was sent is truncated
  timeout,       // no byte for too long
  too_slow,      // bytes come, but fewer than the minimum rate
  malformed,     // chunk framing is wrong
  too_large,     // over the limit
  aborted,       // we closed it ourselves
};
[[nodiscard]] std::string_view to_string(BodyError error) noexcept;

struct BodyPiece {
  std::string_view data;  // valid until the next poll() or read(); may be empty
  bool last = false;      // nothing comes after it (except trailers)
};

class BodySource {
 public:
  virtual ~BodySource() = default;

  // Exact size in bytes, when known before reading.
  [[nodiscard]] virtual std::optional<std::uint64_t> length() const noexcept {
    return std::nullopt;
  }
  // What can be had without waiting. Nothing: read() has to wait, or would fail.
  [[nodiscard]] virtual std::optional<BodyPiece> poll() { return std::nullopt; }
  // The next piece. Not to be called again after a last piece or an error.
  [[nodiscard]] virtual Task<Result<BodyPiece, BodyError>> read() = 0;
  // Trailer fields, after the last piece; null for none. Never merged into the head.
  [[nodiscard]] virtual const Fields* trailers() const noexcept { return nullptr; }

  // Asks the read() that is under way to end soon, with BodyError::aborted, because nobody wants
  // the rest.
  virtual void cancel_read() {}

  // Called by BodyPtr instead of delete, so that a pooled object can go back to its pool.
  virtual void release() noexcept { delete this; }
};

struct BodyRelease {
  void operator()(BodySource* body) const noexcept { body->release(); }
};
// Owns a source: the last use is release().
using BodyPtr = std::unique_ptr<BodySource, BodyRelease>;

}  // namespace tyaprover::http
