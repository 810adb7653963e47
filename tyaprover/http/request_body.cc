#include "tyaprover/http/request_body.h"

#include <algorithm>
#include <utility>

#include "tyaprover/http/worker.h"

namespace tyaprover::http {

RequestBody::RequestBody(Worker& worker, Stream& stream, std::size_t buffer, std::size_t trailers)
    : worker_(worker),
      stream_(stream),
      buffer_size_(buffer),
      decoder_(ChunkedDecoder::Limits{.trailers = trailers}) {}

void RequestBody::begin(Exchange& exchange, std::string_view received) {
  exchange_ = &exchange;
  framing_ = exchange.request.body;
  unread_ = received;
  received_ = 0;
  complete_ = framing_.kind == BodyKind::none ||
              (framing_.kind == BodyKind::length && framing_.length == 0);
  error_.reset();
  drain_deadline_ = TimePoint::max();
  cancelled_ = false;
  window_begin_ = {};
  window_bytes_ = 0;
  if (framing_.kind == BodyKind::chunked) decoder_.reset();
}

void RequestBody::end() noexcept {
  exchange_ = nullptr;
  unread_ = {};
  buffer_ = Buffer();
}

std::optional<std::uint64_t> RequestBody::length() const noexcept {
  if (framing_.kind == BodyKind::length) return framing_.length;
  return std::nullopt;
}

std::optional<std::uint64_t> RequestBody::remaining() const noexcept {
  if (framing_.kind == BodyKind::chunked) return std::nullopt;
  return framing_.length - received_;
}

const Fields* RequestBody::trailers() const noexcept {
  return complete_ && framing_.kind == BodyKind::chunked && !decoder_.trailers().empty()
             ? &decoder_.trailers()
             : nullptr;
}

void RequestBody::cancel_read() {
  if (!reading_) return;
  cancelled_ = true;
  stream_.set_read_deadline(worker_.now());
}

Result<BodyPiece, BodyError> RequestBody::fail(BodyError error) noexcept {
  error_ = error;
  return err(error);
}

std::optional<BodyPiece> RequestBody::decode() {
  if (framing_.kind == BodyKind::length) {
    if (unread_.empty()) return std::nullopt;
    const std::uint64_t left = framing_.length - received_;
    const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(left, unread_.size()));
    const std::string_view data = unread_.substr(0, n);
    unread_.remove_prefix(n);
    received_ += n;
    complete_ = received_ == framing_.length;
    return BodyPiece{data, complete_};
  }
  while (!unread_.empty()) {
    std::size_t consumed = 0;
    std::string_view data;
    const ChunkedDecoder::Status status = decoder_.step(unread_, consumed, data);
    unread_.remove_prefix(consumed);
    switch (status) {
      case ChunkedDecoder::Status::need_more:
        break;
      case ChunkedDecoder::Status::data:
        received_ += data.size();
        if (received_ > exchange_->body_limit) {
          error_ = BodyError::too_large;
          return std::nullopt;
        }
        return BodyPiece{data, false};
      case ChunkedDecoder::Status::done:
        complete_ = true;
        return BodyPiece{{}, true};
      case ChunkedDecoder::Status::error:
        error_ = BodyError::malformed;
        return std::nullopt;
    }
  }
  return std::nullopt;
}

std::optional<BodyPiece> RequestBody::poll() {
  if (complete_) return BodyPiece{{}, true};
  if (error_ || reading_) return std::nullopt;
  return decode();
}

Task<Result<BodyPiece, BodyError>> RequestBody::read() {
  for (;;) {
    if (auto piece = poll()) co_return *piece;
    if (error_) co_return err(*error_);
    if (!stream_.is_open()) co_return fail(BodyError::aborted);
    if (invite && !(co_await invite())) co_return fail(BodyError::disconnected);

    const TimePoint now = worker_.now();
    if (window_begin_ == TimePoint{}) window_begin_ = now;
    const TimePoint window_end = window_begin_ + kRateWindow;
    const bool rated = exchange_->body_rate > 0;
    const TimePoint idle = now + exchange_->body_idle_timeout;
    TimePoint deadline = std::min({idle, exchange_->deadline, drain_deadline_});
    if (rated) deadline = std::min(deadline, window_end);

    if (!stream_.read_standing()) {
      if (!buffer_) buffer_ = worker_.buffers().take(buffer_size_);
      std::size_t size = buffer_.size();
      // Not past the end of a body of known length: what follows is the next request's.
      if (const auto left = remaining())
        size = static_cast<std::size_t>(std::min<std::uint64_t>(size, *left));
      stream_.start_read(buffer_.data(), size);
    }
    reading_ = true;
    const IoResult r = co_await stream_.wait_read(deadline);
    reading_ = false;
    const TimePoint after = worker_.now();
    switch (r.error) {
      case IoError::none:
        exchange_->bytes_in += r.bytes;
        window_bytes_ += r.bytes;
        unread_ = std::string_view(buffer_.data(), r.bytes);
        break;
      case IoError::timeout:
        if (std::exchange(cancelled_, false)) co_return err(BodyError::aborted);
        if (after >= std::min({idle, exchange_->deadline, drain_deadline_})) {
          co_return fail(BodyError::timeout);
        }
        break;  // the end of a rate window
      case IoError::closed:
        co_return fail(BodyError::aborted);
      default:
        co_return fail(BodyError::disconnected);
    }
    if (rated && after >= window_end) {
      const auto seconds =
          static_cast<std::uint64_t>((after - window_begin_) / std::chrono::seconds(1));
      if (window_bytes_ < exchange_->body_rate * seconds) co_return fail(BodyError::too_slow);
      window_begin_ = after;
      window_bytes_ = 0;
    }
  }
}

Task<bool> RequestBody::drain(std::uint64_t limit, TimePoint deadline) {
  drain_deadline_ = deadline;
  std::uint64_t drained = 0;
  while (!complete_ && !error_) {
    const auto piece = co_await read();
    if (!piece) break;
    drained += piece->data.size();
    if (piece->last) break;
    if (drained > limit) co_return false;
  }
  co_return complete_;
}

}  // namespace tyaprover::http
