#include "tyaprover/http/server_connection.h"

#include <sys/socket.h>

#include <algorithm>
#include <cassert>
#include <charconv>
#include <cstring>
#include <utility>

#include "tyaprover/http/worker.h"

namespace tyaprover::http {
namespace {

// Room for a request head over the limit plus what is pipelined behind it.
constexpr std::size_t kPipelined = 16 * 1024;

void append_number(std::string& out, std::uint64_t value) {
  char digits[20];
  out.append(digits, static_cast<std::size_t>(
                         std::to_chars(digits, digits + sizeof digits, value).ptr - digits));
}

void append_field(std::string& out, std::string_view name, std::string_view value) {
  out.append(name).append(": ", 2).append(value).append("\r\n", 2);
}

void append_status_line(std::string& out, int status) {
  const std::string_view phrase = status_phrase(status);
  out.append("HTTP/1.1 ", 9);
  append_number(out, static_cast<std::uint64_t>(status));
  out.append(" ", 1).append(phrase).append("\r\n", 2);
}

}  // namespace

ServerConnection::ServerConnection(Server& server, int fd, const PeerAddress& peer, bool overloaded)
    : server_(server),
      worker_(server.worker()),
      stream_(worker_),
      peer_(peer),
      accepted_(worker_.now()),
      parser_(server.options().head),
      body_(worker_, stream_, server.options().buffer, server.options().trailers),
      overloaded_(overloaded) {
  stream_.adopt(fd);
  body_.invite = [this]() -> Task<bool> {
    // Behind the head of the final response it would be read as part of the body.
    const bool answered = exchange_->timings.response_head != TimePoint{};
    if (!invitation_owed_ || answered || exchange_->forwarded_expect) co_return true;
    co_return co_await send_interim(100, Fields());
  };
}

ServerConnection::~ServerConnection() {
  server_.remove(*this);
}

Task<void> ServerConnection::run(std::unique_ptr<ServerConnection> connection) {
  co_await connection->serve();
}

Task<void> ServerConnection::serve() {
  for (;;) {
    const Head head = co_await read_head();
    if (head == Head::closed) break;
    const bool more = co_await serve_request(head);
    if (!more) break;
  }
  if (lingering_) co_await linger();
  stream_.close();
  body_.end();
  if (exchange_) server_.give_exchange(std::move(exchange_));
}

void ServerConnection::compact() {
  if (stream_.read_standing()) return;  // the kernel may be writing behind what we have
  const std::size_t n = filled_ - begin_;
  if (large_ && n <= small_.size() / 2) {
    std::memcpy(small_.data(), large_.data() + begin_, n);
    large_ = Buffer();
  } else if (begin_ > 0) {
    std::memmove(data(), data() + begin_, n);
  }
  begin_ = 0;
  filled_ = n;
}

void ServerConnection::make_room() {
  if (begin_ > 0) compact();
  if (filled_ < capacity()) return;
  const std::size_t most = server_.options().head.head + kPipelined;
  Buffer larger =
      worker_.buffers().take(std::min(std::max<std::size_t>(capacity() * 4, 4096), most));
  std::memcpy(larger.data(), data(), filled_);
  large_ = std::move(larger);
}

void ServerConnection::begin_exchange() {
  if (!exchange_) exchange_ = server_.take_exchange();
  Exchange& e = *exchange_;
  e.reset();
  e.connection = this;
  e.peer = peer_;
  e.local = local_;
  e.timings.accepted = accepted_;
  const ServerOptions& options = server_.options();
  e.body_idle_timeout = options.body_idle;
  e.body_rate = options.body_rate;
  e.body_limit = options.body_limit;
  e.write_timeout = options.write;
}

Task<ServerConnection::Head> ServerConnection::read_head() {
  const ServerOptions& options = server_.options();
  const bool first = requests_ == 0;
  compact();
  parser_.reset();
  idle_ = true;
  TimePoint deadline = first ? accepted_ + options.first_head : worker_.now() + options.keep_alive;
  if (draining_) deadline = std::min(deadline, worker_.now() + kDrainTime);
  for (;;) {
    if (filled_ > begin_) {
      if (idle_) begin_exchange();
      const ParseStatus status = parser_.parse(received(), exchange_->request);
      if (idle_ && (parser_.started() || status != ParseStatus::need_more)) {
        idle_ = false;
        const TimePoint now = worker_.now();
        exchange_->timings.head_begun = now;
        if (!first) deadline = now + options.request_head;
      }
      if (status == ParseStatus::complete) co_return Head::parsed;
      if (status == ParseStatus::error) co_return Head::refused;
    } else if (exchange_) {
      server_.give_exchange(std::move(exchange_));
    }
    if (!stream_.read_standing()) {
      make_room();
      stream_.start_read(data() + filled_, capacity() - filled_);
    }
    const IoResult r = co_await stream_.wait_read(deadline);
    if (r.error == IoError::timeout) {
      if (idle_) co_return Head::closed;
      co_return Head::refused;  // the parser has no error: it is late
    }
    if (r.error != IoError::none) co_return Head::closed;
    filled_ += r.bytes;
  }
}

Task<bool> ServerConnection::serve_request(Head head) {
  Exchange& e = *exchange_;
  ++requests_;
  client_gone_ = false;
  invitation_owed_ = false;
  e.timings.head_parsed = worker_.now();
  if (head == Head::refused) {
    const bool late = parser_.error().status == 0;
    e.bytes_in = filled_ - begin_;
    body_.begin(e, {});
    server_.application().refuse(
        e, late ? ParseError{408, Reason::request_timeout, "the request head did not come in time"}
                : parser_.error());
    e.response.close = true;
    co_await send_response();
    finish_exchange();
    lingering_ = true;
    co_return false;
  }

  const std::size_t head_size = parser_.size();
  e.bytes_in = head_size;
  invitation_owed_ = e.request.expect_continue && e.request.body.kind != BodyKind::none;
  begin_ += head_size;
  body_.begin(e, received());
  const std::size_t in_buffer = received().size();
  if (e.request.body.kind != BodyKind::none) {
    e.request_body = &body_;
    // All that was received belongs to the body until it has said where it ends.
    begin_ = filled_;
    e.bytes_in += in_buffer;
  }

  if (overloaded_) {
    server_.application().refuse(
        e, {503, Reason::overloaded, "the server has no room for another connection"});
    e.response.close = true;
  } else {
    co_await server_.application().handle(e);
  }

  bool more = false;
  if (client_gone_ || body_.error() == BodyError::disconnected ||
      e.outcome == Outcome::client_disconnected) {
    e.outcome = Outcome::client_disconnected;
  } else if (!stream_.is_open()) {
    e.outcome = Outcome::shutdown;
  } else {
    more = co_await send_response();
  }
  watch_client(nullptr);
  if (e.request.body.kind != BodyKind::none)
    e.bytes_in -= std::min(e.bytes_in, body_.rest().size());
  finish_exchange();
  if (e.body_reader_done) co_await *e.body_reader_done;

  if (e.request.body.kind == BodyKind::none) co_return more;
  if (more && !body_.complete()) {
    more = co_await body_.drain(kDrainBytes, worker_.now() + kDrainTime);
  }
  if (!more) {
    lingering_ = lingering_ || !body_.complete();
    co_return false;
  }
  // The pipelined rest becomes the beginning of the next message.
  const std::string_view rest = body_.rest();
  if (rest.empty()) {
    begin_ = filled_;
  } else if (rest.data() >= data() && rest.data() < data() + filled_) {
    begin_ = filled_ - rest.size();
  } else {
    begin_ = filled_ = 0;
    if (rest.size() > capacity()) large_ = worker_.buffers().take(rest.size() + 1);
    std::memcpy(data(), rest.data(), rest.size());
    filled_ = rest.size();
  }
  body_.end();
  co_return true;
}

bool ServerConnection::may_keep_alive() const noexcept {
  const Exchange& e = *exchange_;
  if (!e.request.keep_alive || e.response.close || draining_ || server_.closing()) return false;
  if (requests_ >= server_.options().requests_per_connection) return false;
  if (e.request.body.kind == BodyKind::none || body_.complete()) return true;
  // The body is not read yet. A client that still waits for 100 may send it or not: that cannot be
  // told apart, so the connection ends. A short rest can be drained.
  if (invitation_owed_ || body_.error()) return false;
  const auto left = body_.remaining();
  return left && *left <= kDrainBytes;
}

void ServerConnection::write_head(bool keep_alive, bool chunked,
                                  std::optional<std::uint64_t> length) {
  const Exchange& e = *exchange_;
  const Response& response = e.response;
  head_.clear();
  append_status_line(head_, response.status);
  for (const Field& field : response.fields) append_field(head_, field.name, field.value);
  if (!response.fields.has(KnownField::date)) append_field(head_, "Date", worker_.date());
  if (chunked) {
    append_field(head_, "Transfer-Encoding", "chunked");
  } else if (length) {
    head_.append("Content-Length: ", 16);
    append_number(head_, *length);
    head_.append("\r\n", 2);
  }
  if (response.status == 101) {
    append_field(head_, "Connection", "upgrade");
  } else if (!keep_alive) {
    append_field(head_, "Connection", "close");
  } else if (e.request.minor_version == 0) {
    append_field(head_, "Connection", "keep-alive");
  }
  head_.append("\r\n", 2);
}

Task<bool> ServerConnection::send_response() {
  Exchange& e = *exchange_;
  Response& response = e.response;
  e.deadline = TimePoint::max();
  const std::uint64_t written_before = stream_.bytes_written();
  const bool bodiless = e.request.method_id == Method::head || response.status == 204 ||
                        response.status == 304 || response.status < 200;
  std::optional<std::uint64_t> length;
  bool chunked = false;
  if (bodiless) {
    length = response.described_length;
    if (!length && e.request.method_id == Method::head && response.status >= 200 &&
        response.status != 204 && response.status != 304) {
      // A proxied HEAD has no body; what its length would be is said by described_length or not
      // known.
      length = response.body ? response.body->length()
                             : std::optional<std::uint64_t>(response.content.size());
      if (response.body && length == 0) length.reset();
    }
  } else if (response.body) {
    length = response.body->length();
    chunked = !length && e.request.minor_version >= 1;
  } else {
    length = response.content.size();
  }
  const bool until_close = !bodiless && !length && !chunked;
  const bool keep_alive = !until_close && may_keep_alive();
  write_head(keep_alive, chunked, length);
  e.timings.response_head = worker_.now();

  Outcome outcome = Outcome::complete;
  if (bodiless || !response.body) {
    const IoError error = co_await stream_.write(e.write_timeout, head_,
                                                 bodiless ? std::string_view() : response.content);
    if (error == IoError::timeout) {
      outcome = Outcome::client_timeout;
    } else if (error == IoError::closed) {
      outcome = Outcome::shutdown;
    } else if (error != IoError::none) {
      outcome = Outcome::client_disconnected;
    }
  } else {
    outcome = co_await send_body(*response.body, chunked);
  }
  e.timings.last_byte = worker_.now();
  e.bytes_out += stream_.bytes_written() - written_before;
  e.outcome = outcome;

  if (outcome != Outcome::complete) {
    // A truncation must be visible: a chunked or counted body is visibly short, one that ends with
    // the connection is not, unless the connection is reset (R4.19).
    if (until_close || outcome == Outcome::client_timeout) {
      stream_.close_with_reset();
    } else {
      stream_.close();
    }
    if (outcome == Outcome::truncated && e.reason == Reason::none)
      e.reason = Reason::upstream_reset;
    co_return false;
  }
  if (response.status == 101 && response.tunnel) {
    const std::size_t n = filled_ - begin_;
    const std::string early(data() + begin_, n);
    begin_ = filled_ = 0;
    co_await response.tunnel->run(stream_, early, e.bytes_in, e.bytes_out);
    e.timings.last_byte = worker_.now();
    co_return false;
  }
  if (!keep_alive) lingering_ = true;
  co_return keep_alive;
}

Task<Outcome> ServerConnection::send_body(BodySource& body, bool chunked) {
  Exchange& e = *exchange_;
  bool head_sent = false;
  char size_line[20];
  for (;;) {
    std::optional<BodyPiece> piece = body.poll();
    if (!piece) {
      if (!head_sent) {
        // What the app said already must not wait for what it has not said yet.
        head_sent = true;
        const IoError error = co_await stream_.write(e.write_timeout, head_);
        if (error != IoError::none) {
          co_return error == IoError::timeout ? Outcome::client_timeout
                                              : Outcome::client_disconnected;
        }
      }
      auto next = co_await body.read();
      if (client_gone_) co_return Outcome::client_disconnected;
      if (!next) {
        if (!stream_.is_open()) co_return Outcome::shutdown;
        co_return Outcome::truncated;
      }
      piece = *next;
    }

    IoError error = IoError::none;
    const std::string_view head = head_sent ? std::string_view() : std::string_view(head_);
    head_sent = true;
    if (!chunked) {
      error = co_await stream_.write(e.write_timeout, head, piece->data);
    } else {
      std::string_view size;
      if (!piece->data.empty()) {
        const auto end = std::to_chars(size_line, size_line + 16, piece->data.size(), 16).ptr;
        end[0] = '\r';
        end[1] = '\n';
        size = {size_line, static_cast<std::size_t>(end - size_line) + 2};
      }
      std::string_view tail = piece->data.empty() ? std::string_view() : std::string_view("\r\n");
      if (piece->last) {
        const Fields* const trailers =
            e.request.fields.list_contains(KnownField::te, "trailers") ? body.trailers() : nullptr;
        if (trailers == nullptr) {
          tail = piece->data.empty() ? "0\r\n\r\n" : "\r\n0\r\n\r\n";
        } else {
          // The head went out, or goes out in this very write: its string serves the trailers no
          // more.
          std::string end = piece->data.empty() ? "0\r\n" : "\r\n0\r\n";
          for (const Field& field : *trailers) append_field(end, field.name, field.value);
          end += "\r\n";
          tail = e.arena.store(end);
        }
      }
      error = co_await stream_.write(e.write_timeout, head, size, piece->data, tail);
    }
    if (error == IoError::timeout) co_return Outcome::client_timeout;
    if (error == IoError::closed) co_return Outcome::shutdown;
    if (error != IoError::none) co_return Outcome::client_disconnected;
    if (piece->last) co_return Outcome::complete;
  }
}

void ServerConnection::finish_exchange() noexcept {
  Exchange& e = *exchange_;
  // What it holds beyond its own memory goes now, not when the next request resets it.
  e.response.body.reset();
  e.response.tunnel.reset();
  server_.application().finish(e);
  e.response.content_owner.reset();
}

Task<bool> ServerConnection::send_interim(int status, const Fields& fields) {
  if (exchange_->request.minor_version == 0) co_return true;
  std::string head;
  append_status_line(head, status);
  for (const Field& field : fields) append_field(head, field.name, field.value);
  head += "\r\n";
  if (status == 100) invitation_owed_ = false;
  const std::uint64_t before = stream_.bytes_written();
  const IoError error = co_await stream_.write(exchange_->write_timeout, head);
  exchange_->bytes_out += stream_.bytes_written() - before;
  co_return error == IoError::none;
}

void ServerConnection::watch_client(std::function<void()> gone) {
  gone_ = std::move(gone);
  if (!gone_) {
    stream_.on_read_ready(nullptr);
    return;
  }
  if (!body_.complete()) return;  // whoever reads the body will see it
  if (!stream_.read_standing()) {
    if (filled_ == capacity()) return;  // pipelined requests are waiting: it is there
    // Behind a body that was read into its own buffer may stand the next request: keep the order.
    if (exchange_->request.body.kind != BodyKind::none && !body_.rest().empty()) return;
    stream_.start_read(data() + filled_, capacity() - filled_);
  }
  stream_.on_read_ready([this](IoError error) {
    if (error == IoError::none) return;
    client_gone_ = true;
    if (gone_) std::exchange(gone_, nullptr)();
  });
}

void ServerConnection::drain(Nanos grace) {
  draining_ = true;
  if (idle_) stream_.set_read_deadline(worker_.now() + grace);
}

bool ServerConnection::cut() {
  const bool busy = !idle_;
  stream_.close();
  if (gone_) std::exchange(gone_, nullptr)();  // ends what waits for the upstream
  return busy;
}

Task<void> ServerConnection::linger() {
  if (!stream_.is_open()) co_return;
  stream_.shutdown_send();
  const TimePoint deadline = worker_.now() + kDrainTime;
  std::uint64_t drained = 0;
  Buffer buffer;
  while (drained < kDrainBytes) {
    if (!stream_.read_standing()) {
      if (!buffer) buffer = worker_.buffers().take(4096);
      stream_.start_read(buffer.data(), buffer.size());
    }
    const IoResult r = co_await stream_.wait_read(deadline);
    if (r.error != IoError::none) break;
    drained += r.bytes;
  }
  stream_.close();
}

}  // namespace tyaprover::http
