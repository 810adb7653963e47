#include "tyaprover/http/client.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>

#include "tyaprover/base/text.h"
#include "tyaprover/http/worker.h"

namespace tyaprover::http {
namespace {

constexpr std::size_t kHeadBuffer = 16 * 1024;

// The upstream's own idle limit (`Keep-Alive: timeout=5`), less a second for the way (R6.4).
Nanos idle_limit(const Fields& fields, Nanos ours) {
  const std::string_view value = fields.value(KnownField::keep_alive);
  Nanos limit = ours;
  for_each_list_member(value, [&](std::string_view member) {
    constexpr std::string_view kName = "timeout=";
    if (member.size() <= kName.size() || !iequals(member.substr(0, kName.size()), kName))
      return true;
    unsigned seconds = 0;
    const char* const end = member.data() + member.size();
    const auto [at, error] = std::from_chars(member.data() + kName.size(), end, seconds);
    if (error == std::errc() && at == end) {
      limit = std::min<Nanos>(limit, std::chrono::seconds(seconds > 0 ? seconds - 1 : 0));
    }
    return false;
  });
  return limit;
}

}  // namespace

ClientConnection::ClientConnection(Worker& worker, ConnectionPool& pool)
    : worker_(worker),
      pool_(pool),
      stream_(worker),
      parser_(pool.options().head),
      decoder_(ChunkedDecoder::Limits{.trailers = pool.options().trailers}),
      idle_timer_([this] { pool_.remove_idle(*this); }) {}

ClientConnection::~ClientConnection() {
  stream_.close();
}

void ClientConnection::begin(Method method) noexcept {
  method_ = method;
  stream_.on_read_ready(nullptr);
  idle_timer_.cancel();
  parser_.reset();
  head_.clear();
  begin_ = filled_ = 0;
  unread_ = {};
  complete_ = in_response_ = keep_alive_ = false;
  body_error_.reset();
  bytes_received_ = 0;
  ++requests_;
}

Stream::WriteAwaiter ClientConnection::write(std::string_view a, std::string_view b,
                                             std::string_view c, std::string_view d) {
  return stream_.write(pool_.options().write, a, b, c, d);
}

bool ClientConnection::still_usable() const noexcept {
  if (!stream_.is_open() || stream_.read_ready()) return false;
  char byte;
  const ssize_t n = ::recv(stream_.fd(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

Task<ReadHead> ClientConnection::read_head(TimePoint deadline) {
  if (in_response_ || head_.status != 0) {
    // The interim head before this one is done with.
    begin_ += parser_.size();
    parser_.reset();
    head_.clear();
  }
  for (;;) {
    if (filled_ > begin_) {
      const std::string_view received(buffer_.data() + begin_, filled_ - begin_);
      const ParseStatus status = parser_.parse(received, method_, head_);
      if (status == ParseStatus::error) co_return ReadHead::protocol;
      if (status == ParseStatus::complete) {
        if (head_.status < 200 && head_.status != 101) co_return ReadHead::complete;
        in_response_ = true;
        keep_alive_ = head_.keep_alive && head_.status != 101;
        idle_timeout_ = idle_limit(head_.fields, pool_.options().idle);
        unread_ = received.substr(parser_.size());
        decoded_ = 0;
        complete_ = head_.body.kind == BodyKind::none ||
                    (head_.body.kind == BodyKind::length && head_.body.length == 0);
        if (head_.body.kind == BodyKind::chunked) decoder_.reset();
        co_return ReadHead::complete;
      }
    }
    if (!stream_.read_standing()) {
      if (!buffer_) buffer_ = worker_.buffers().take(kHeadBuffer);
      if (filled_ == buffer_.size()) {
        // The parser refuses a head over its limit, so this ends.
        Buffer larger = worker_.buffers().take(buffer_.size() * 2);
        std::memcpy(larger.data(), buffer_.data() + begin_, filled_ - begin_);
        filled_ -= begin_;
        begin_ = 0;
        buffer_ = std::move(larger);
      }
      stream_.start_read(buffer_.data() + filled_, buffer_.size() - filled_);
    }
    const IoResult r = co_await stream_.wait_read(deadline);
    switch (r.error) {
      case IoError::none:
        filled_ += r.bytes;
        bytes_received_ += r.bytes;
        break;
      case IoError::timeout:
        co_return ReadHead::timeout;
      case IoError::closed:
        co_return ReadHead::aborted;
      default:
        co_return ReadHead::closed;
    }
  }
}

std::optional<std::uint64_t> ClientConnection::length() const noexcept {
  if (head_.body.kind == BodyKind::length) return head_.body.length;
  if (head_.body.kind == BodyKind::none) return 0;
  return std::nullopt;
}

const Fields* ClientConnection::trailers() const noexcept {
  return complete_ && head_.body.kind == BodyKind::chunked && !decoder_.trailers().empty()
             ? &decoder_.trailers()
             : nullptr;
}

std::optional<BodyPiece> ClientConnection::decode() {
  switch (head_.body.kind) {
    case BodyKind::none:
      complete_ = true;
      return BodyPiece{{}, true};
    case BodyKind::length: {
      if (unread_.empty()) return std::nullopt;
      const std::uint64_t left = head_.body.length - decoded_;
      const std::string_view data = unread_.substr(
          0, static_cast<std::size_t>(std::min<std::uint64_t>(left, unread_.size())));
      unread_.remove_prefix(data.size());
      decoded_ += data.size();
      complete_ = decoded_ == head_.body.length;
      return BodyPiece{data, complete_};
    }
    case BodyKind::until_close: {
      if (unread_.empty()) return std::nullopt;
      return BodyPiece{std::exchange(unread_, {}), false};
    }
    case BodyKind::chunked:
      break;
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
        return BodyPiece{data, false};
      case ChunkedDecoder::Status::done:
        complete_ = true;
        return BodyPiece{{}, true};
      case ChunkedDecoder::Status::error:
        body_error_ = BodyError::malformed;
        return std::nullopt;
    }
  }
  return std::nullopt;
}

std::optional<BodyPiece> ClientConnection::poll() {
  if (complete_) return BodyPiece{{}, true};
  if (body_error_) return std::nullopt;
  std::optional<BodyPiece> piece = decode();
  note_end();
  return piece;
}

Task<Result<BodyPiece, BodyError>> ClientConnection::read() {
  for (;;) {
    if (auto piece = poll()) co_return *piece;
    if (body_error_) co_return err(*body_error_);
    if (!stream_.read_standing()) {
      // The head's bytes stay where they are: its fields are views into them.
      if (!body_buffer_) body_buffer_ = worker_.buffers().take(pool_.options().buffer);
      stream_.start_read(body_buffer_.data(), body_buffer_.size());
    }
    const IoResult r = co_await stream_.wait_read(worker_.now() + pool_.options().body_idle);
    if (r.error == IoError::none) {
      bytes_received_ += r.bytes;
      unread_ = {body_buffer_.data(), r.bytes};
      continue;
    }
    if (r.error == IoError::end && head_.body.kind == BodyKind::until_close) {
      complete_ = true;
      note_end();
      co_return BodyPiece{{}, true};
    }
    body_error_ = r.error == IoError::timeout  ? BodyError::timeout
                  : r.error == IoError::closed ? BodyError::aborted
                                               : BodyError::disconnected;
    note_end();
    co_return err(*body_error_);
  }
}

void ClientConnection::abort() noexcept {
  stream_.close();
}

void ClientConnection::release() noexcept {
  stop_watching();
  pool_.give(*this);
}

void ClientConnection::start_idle() {
  head_.clear();
  body_buffer_ = Buffer();
  if (buffer_.size() > kHeadBuffer) buffer_ = worker_.buffers().take(kHeadBuffer);
  begin_ = filled_ = 0;
  stream_.start_read(buffer_.data(), buffer_.size());
  stream_.on_read_ready([this](IoError) { pool_.remove_idle(*this); });
  worker_.timers().set(idle_timer_, worker_.now() + idle_timeout_);
}

ConnectionPool::ConnectionPool(Worker& worker, ClientOptions options)
    : worker_(worker), options_(options) {}

ConnectionPool::~ConnectionPool() {
  idle_.clear();
  count();
}

void ConnectionPool::count() noexcept {
  counters_->idle.store(idle_.size(), std::memory_order_relaxed);
  counters_->in_use.store(in_use_, std::memory_order_relaxed);
}

ClientConnection* ConnectionPool::take() {
  while (!idle_.empty()) {
    std::unique_ptr<ClientConnection> connection = std::move(idle_.back());
    idle_.pop_back();
    if (connection->stream_.is_open() && !connection->stream_.read_ready()) {
      ++in_use_;
      counters_->reused.store(counters_->reused.load(std::memory_order_relaxed) + 1,
                              std::memory_order_relaxed);
      count();
      return connection.release();
    }
  }
  count();
  return nullptr;
}

ClientConnection* ConnectionPool::create() {
  ++in_use_;
  counters_->created.store(counters_->created.load(std::memory_order_relaxed) + 1,
                           std::memory_order_relaxed);
  count();
  return new ClientConnection(worker_, *this);
}

void ConnectionPool::give(ClientConnection& connection) {
  std::unique_ptr<ClientConnection> owned(&connection);
  --in_use_;
  const bool reusable = connection.in_response_ && connection.complete_ && connection.keep_alive_ &&
                        !connection.spoiled_ && connection.unread_.empty() &&
                        connection.stream_.is_open() && !connection.stream_.read_standing();
  if (reusable && idle_.size() < options_.max_idle && connection.idle_timeout_ > Nanos(0)) {
    connection.start_idle();
    idle_.push_back(std::move(owned));
  }
  count();
}

void ConnectionPool::remove_idle(ClientConnection& connection) {
  const auto at = std::find_if(idle_.begin(), idle_.end(),
                               [&](const auto& idle) { return idle.get() == &connection; });
  if (at != idle_.end()) idle_.erase(at);
  count();
}

}  // namespace tyaprover::http
