#include "tyaprover/filters/trace_transport.h"

#include <isa-l/igzip_lib.h>
#include <unistd.h>

#include <condition_variable>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "tyaprover/http/client.h"
#include "tyaprover/http/http_url.h"
#include "tyaprover/http/worker.h"

namespace tyaprover::filters {
namespace {

using http::ClientConnection;
using http::IoError;
using http::ReadHead;

std::string request_head(const http::HttpUrl& url, const trace::HttpPost& request) {
  std::string head = "POST " + url.target + " HTTP/1.1\r\nHost: " + url.authority + "\r\n";
  for (const auto& [name, value] : request.headers) {
    head.append(name).append(": ").append(value).append("\r\n");
  }
  return head + "Content-Length: " + std::to_string(request.body.size()) + "\r\n\r\n";
}

}  // namespace

// The event loop and its connections. post() and cancel() come from other threads, all else runs on
// the loop's.
class TraceTransport::Loop {
 public:
  Loop() : thread_([this] { worker_.run(); }) {}
  ~Loop() {
    cancel();
    worker_.stop();
    thread_.join();
  }
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  trace::HttpReply post(const http::HttpUrl& url, const http::Endpoint& endpoint,
                        const std::string& head, std::string_view body, TimePoint deadline) {
    Exchange exchange{.authority = url.authority,
                      .endpoint = endpoint,
                      .head = head,
                      .body = body,
                      .deadline = deadline,
                      .reply = {},
                      .done = false};
    worker_.post([this, &exchange] { http::spawn(run(exchange)); });
    std::unique_lock lock(mutex_);
    finished_.wait(lock, [&] { return exchange.done; });
    return std::move(exchange.reply);
  }

  void cancel() noexcept {
    worker_.post([this] {
      for (ClientConnection* connection : running_) connection->abort();
    });
  }

 private:
  struct Exchange {
    const std::string& authority;
    const http::Endpoint& endpoint;
    const std::string& head;
    std::string_view body;
    TimePoint deadline;
    trace::HttpReply reply;
    bool done;  // guarded by mutex_
  };

  http::ConnectionPool& pool_of(const std::string& authority) {
    auto& pool = pools_[authority];
    // Collectors close idle connections early, and a batch comes every five seconds.
    if (pool == nullptr) {
      pool = std::make_unique<http::ConnectionPool>(
          worker_, http::ClientOptions{.idle = std::chrono::seconds(15), .max_idle = 2});
    }
    return *pool;
  }

  http::Task<void> run(Exchange& exchange) {
    http::ConnectionPool& pool = pool_of(exchange.authority);
    ClientConnection* connection = pool.take();
    if (connection != nullptr) {
      const bool died = co_await ask(*connection, exchange, true);
      // An idle connection that dies before one byte of an answer was dying before it was asked.
      if (died) {
        connection = pool.create();
        co_await connect_and_ask(*connection, exchange);
      }
    } else {
      connection = pool.create();
      co_await connect_and_ask(*connection, exchange);
    }
    const std::lock_guard lock(mutex_);
    exchange.done = true;
    finished_.notify_all();
  }

  http::Task<void> connect_and_ask(ClientConnection& connection, Exchange& exchange) {
    running_.push_back(&connection);
    const IoError error = co_await connection.connect(exchange.endpoint, exchange.deadline);
    std::erase(running_, &connection);
    if (error != IoError::none) {
      exchange.reply.error =
          "cannot connect to " + exchange.authority + ": " + std::string(to_string(error));
      connection.release();
      co_return;
    }
    static_cast<void>(co_await ask(connection, exchange, false));
  }

  // True when nothing came back on a reused connection. Releases the connection.
  http::Task<bool> ask(ClientConnection& connection, Exchange& exchange, bool reused) {
    running_.push_back(&connection);
    http::Timer time_is_up([&connection] { connection.abort(); });
    worker_.timers().set(time_is_up, exchange.deadline);
    connection.begin(http::Method::post);
    bool died = false;
    const IoError error = co_await connection.write(exchange.head, exchange.body);
    if (error != IoError::none) connection.spoil();
    ReadHead result = ReadHead::complete;
    do {
      result = co_await connection.read_head(exchange.deadline);
    } while (result == ReadHead::complete && connection.head().status < 200);
    if (result == ReadHead::complete) {
      co_await take_reply(connection, exchange);
    } else {
      died = reused && result == ReadHead::closed && connection.bytes_received() == 0;
      exchange.reply.error = problem(result, connection);
    }
    time_is_up.cancel();
    std::erase(running_, &connection);
    connection.release();
    co_return died;
  }

  static std::string problem(ReadHead result, ClientConnection& connection) {
    switch (result) {
      case ReadHead::timeout:
        return "no answer in time";
      case ReadHead::closed:
        return "the connection was closed without an answer";
      case ReadHead::protocol:
        return "the answer is no HTTP: " + std::string(connection.error().detail);
      case ReadHead::aborted:
        return "cancelled";
      case ReadHead::complete:
        break;
    }
    return {};
  }

  static http::Task<void> take_reply(ClientConnection& connection, Exchange& exchange) {
    trace::HttpReply& reply = exchange.reply;
    const auto field = [&](std::string_view name) {
      const http::Field* const found = connection.head().fields.find(name);
      return found == nullptr ? std::string() : std::string(found->value);
    };
    reply.error.clear();
    reply.retry_after = field("Retry-After");
    reply.content_type = field("Content-Type");
    const int status = connection.head().status;
    for (;;) {
      std::optional<http::BodyPiece> piece = connection.poll();
      if (!piece) {
        auto next = co_await connection.read();
        if (!next) break;  // a status without its whole body is an answer all the same
        piece = *next;
      }
      reply.body.append(
          piece->data.substr(0, trace::HttpTransport::kMaxReplyBody - reply.body.size()));
      if (piece->last) break;
      if (reply.body.size() == trace::HttpTransport::kMaxReplyBody) {
        connection.spoil();
        break;
      }
    }
    reply.status = status;
  }

  http::Worker worker_{0};
  std::map<std::string, std::unique_ptr<http::ConnectionPool>> pools_;
  std::vector<ClientConnection*> running_;
  std::mutex mutex_;
  std::condition_variable finished_;
  std::thread thread_;
};

TraceTransport::TraceTransport() = default;
TraceTransport::~TraceTransport() = default;

trace::HttpReply TraceTransport::post(const trace::HttpPost& request, TimePoint deadline) {
  trace::HttpReply failed;
  const auto url = http::parse_http_url(request.url);
  if (!url) {
    failed.error = "only http:// is supported in this version";
    return failed;
  }
  const auto endpoint = http::resolve(*url, failed.error);
  if (!endpoint) return failed;
  Loop* loop = nullptr;
  {
    const std::lock_guard lock(mutex_);
    if (cancelled_) {
      failed.error = "cancelled";
      return failed;
    }
    // The thread of the parent's loop is not here, and what it held cannot be trusted: left alone.
    if (loop_ != nullptr && process_ != ::getpid()) static_cast<void>(loop_.release());
    if (loop_ == nullptr) {
      loop_ = std::make_unique<Loop>();
      process_ = ::getpid();
    }
    loop = loop_.get();
  }
  return loop->post(*url, *endpoint, request_head(*url, request), request.body, deadline);
}

void TraceTransport::cancel() noexcept {
  const std::lock_guard lock(mutex_);
  cancelled_ = true;
  if (loop_ != nullptr && process_ == ::getpid()) loop_->cancel();
}

bool gzip_text(std::string_view in, std::string& out) {
  // Spans resemble each other so much that higher levels gain little, and ISA-L makes of them what
  // zlib makes in a quarter of the time.
  constexpr std::uint32_t kLevel = 1;
  // What a header, a trailer and the frames of stored blocks take, where nothing can be saved.
  constexpr std::size_t kMostAdded = 64;
  constexpr std::size_t kBytesPerFrame = 4096;
  static thread_local std::vector<std::uint8_t> memory(ISAL_DEF_LVL1_DEFAULT);

  out.resize(in.size() + in.size() / kBytesPerFrame + kMostAdded);
  if (out.size() > std::numeric_limits<std::uint32_t>::max()) return false;
  isal_zstream stream;
  isal_deflate_stateless_init(&stream);
  stream.gzip_flag = IGZIP_GZIP;
  stream.level = kLevel;
  stream.level_buf = memory.data();
  stream.level_buf_size = static_cast<std::uint32_t>(memory.size());
  // It reads only.
  stream.next_in = const_cast<std::uint8_t*>(reinterpret_cast<const std::uint8_t*>(in.data()));
  stream.avail_in = static_cast<std::uint32_t>(in.size());
  stream.next_out = reinterpret_cast<std::uint8_t*>(out.data());
  stream.avail_out = static_cast<std::uint32_t>(out.size());
  stream.end_of_stream = 1;
  if (isal_deflate_stateless(&stream) != COMP_OK) return false;
  out.resize(stream.total_out);
  return true;
}

}  // namespace tyaprover::filters
