#include "tyaprover/http/client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "tyaprover/http/loop_testing.h"

namespace tyaprover::http {
namespace {

using namespace std::chrono_literals;

class ClientTest : public LoopFixture {
 public:
  ClientTest() { connect(); }
  ~ClientTest() override {
    if (connection_ != nullptr) connection_->release();
  }

  void connect() {
    auto [ours, theirs] = socket_pair();
    connection_ = pool_.create();
    connection_->stream().adopt(ours);
    peer_.emplace(theirs);
  }

  Task<void> read_head(ReadHead& out, Nanos limit = 5s) {
    out = co_await connection_->read_head(worker_.now() + limit);
  }
  Task<void> read_body(std::string& out, std::optional<BodyError>& error) {
    for (;;) {
      const auto piece = co_await connection_->read();
      if (!piece) {
        error = piece.error();
        co_return;
      }
      out.append(piece->data);
      if (piece->last) co_return;
    }
  }

  // One response to a GET, read to its end.
  std::string exchange(std::string_view response, Method method = Method::get) {
    connection_->begin(method);
    peer_->send(response);
    ReadHead head = ReadHead::aborted;
    run(read_head(head));
    EXPECT_EQ(head, ReadHead::complete);
    std::string body;
    error_.reset();
    run(read_body(body, error_));
    return body;
  }
  void release() { std::exchange(connection_, nullptr)->release(); }

 protected:
  ConnectionPool pool_{worker_, {.body_idle = 40ms, .max_idle = 2}};
  ClientConnection* connection_ = nullptr;
  std::optional<Peer> peer_;
  std::optional<BodyError> error_;
};

TEST_F(ClientTest, ReadsBodiesOfEveryFraming) {
  EXPECT_EQ(exchange("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"), "hello");
  EXPECT_EQ(
      exchange("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
      "hello");
  EXPECT_EQ(exchange("HTTP/1.1 204 No Content\r\n\r\n"), "");
  EXPECT_EQ(exchange("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", Method::head), "");
}

TEST_F(ClientTest, BodyUntilCloseEndsWithTheConnection) {
  connection_->begin(Method::get);
  peer_->send("HTTP/1.1 200 OK\r\n\r\nall there is");
  peer_->close();
  ReadHead head = ReadHead::aborted;
  run(read_head(head));
  std::string body;
  run(read_body(body, error_));
  EXPECT_EQ(body, "all there is");
  EXPECT_FALSE(error_);
  release();
  EXPECT_EQ(pool_.idle(), 0u);
}

TEST_F(ClientTest, FinishedConnectionGoesBackAndIsTakenAgain) {
  exchange("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
  ClientConnection* const before = connection_;
  release();
  EXPECT_EQ(pool_.idle(), 1u);
  EXPECT_EQ(pool_.in_use(), 0u);
  connection_ = pool_.take();
  EXPECT_EQ(connection_, before);
  EXPECT_EQ(exchange("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nagain"), "again");
  EXPECT_TRUE(connection_->reused());
}

TEST_F(ClientTest, ConnectionWithAnUnreadBodyIsClosed) {
  connection_->begin(Method::get);
  peer_->send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe");
  ReadHead head = ReadHead::aborted;
  run(read_head(head));
  release();
  EXPECT_EQ(pool_.idle(), 0u);
  run_until([&] { return peer_->ended(); });
}

TEST_F(ClientTest, ConnectionWithStrayBytesIsClosed) {
  exchange("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n");
  release();
  EXPECT_EQ(pool_.idle(), 0u);
}

TEST_F(ClientTest, IdleConnectionLeavesThePoolWhenItsPeerClosesOrSpeaks) {
  for (const bool speaks : {false, true}) {
    if (connection_ == nullptr) connect();
    exchange("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    release();
    ASSERT_EQ(pool_.idle(), 1u);
    if (speaks) {
      peer_->send("HTTP/1.1 408 Request Timeout\r\n\r\n");
    } else {
      peer_->close();
    }
    run_until([&] { return pool_.idle() == 0; });
  }
}

TEST_F(ClientTest, KeepAliveTimeoutOfTheUpstreamIsObeyed) {
  exchange("HTTP/1.1 200 OK\r\nKeep-Alive: timeout=1\r\nContent-Length: 2\r\n\r\nok");
  release();
  EXPECT_EQ(pool_.idle(), 0u);  // one second less one leaves nothing
  connect();
  exchange("HTTP/1.1 200 OK\r\nKeep-Alive: max=5, timeout=30\r\nContent-Length: 2\r\n\r\nok");
  release();
  EXPECT_EQ(pool_.idle(), 1u);
}

TEST_F(ClientTest, ThePoolKeepsOnlyItsShare) {
  std::vector<ClientConnection*> connections;
  std::vector<std::unique_ptr<Peer>> peers;
  for (int i = 0; i < 3; ++i) {
    if (i > 0) connect();
    exchange("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    connections.push_back(std::exchange(connection_, nullptr));
    peers.push_back(std::make_unique<Peer>(::dup(peer_->fd())));
  }
  for (ClientConnection* c : connections) c->release();
  EXPECT_EQ(pool_.idle(), 2u);
}

TEST_F(ClientTest, TruncatedSlowAndMalformedBodiesAreErrors) {
  connection_->begin(Method::get);
  peer_->send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe");
  ReadHead head = ReadHead::aborted;
  run(read_head(head));
  std::string body;
  run(read_body(body, error_));
  EXPECT_EQ(error_, BodyError::timeout);  // body_idle
  release();

  connect();
  connection_->begin(Method::get);
  peer_->send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe");
  peer_->close();
  run(read_head(head));
  run(read_body(body, error_));
  EXPECT_EQ(error_, BodyError::disconnected);
  release();

  connect();
  exchange("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n");
  EXPECT_EQ(error_, BodyError::malformed);
}

// Notes what it is told.
class Watcher final : public ResponseWatcher {
 public:
  void response_ended(std::optional<BodyError> error) noexcept override {
    ++times;
    last = error;
  }
  int times = 0;
  std::optional<BodyError> last;
};

TEST_F(ClientTest, AWatcherIsToldOnceHowTheBodyEnded) {
  const auto begin = [&](std::string_view response) {
    connection_->begin(Method::get);
    peer_->send(response);
    ReadHead head = ReadHead::aborted;
    run(read_head(head));
    EXPECT_EQ(head, ReadHead::complete);
  };
  const auto body = [&] {
    std::string text;
    error_.reset();
    run(read_body(text, error_));
  };
  Watcher whole;
  begin("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
  connection_->watch_response(whole);
  EXPECT_EQ(whole.times, 0);
  body();
  EXPECT_EQ(whole.times, 1);
  EXPECT_EQ(whole.last, std::nullopt);

  Watcher broken;
  begin("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n");
  connection_->watch_response(broken);
  body();
  EXPECT_EQ(broken.times, 1);
  EXPECT_EQ(broken.last, BodyError::malformed);
  release();
  EXPECT_EQ(broken.times, 1);

  connect();
  Watcher given_up;
  begin("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
  connection_->watch_response(given_up);
  release();
  EXPECT_EQ(given_up.times, 1);
  EXPECT_EQ(given_up.last, BodyError::aborted);
  EXPECT_EQ(whole.times, 1);
}

TEST_F(ClientTest, HeadFailuresAreTold) {
  ReadHead head = ReadHead::complete;
  connection_->begin(Method::get);
  run(read_head(head, 20ms));
  EXPECT_EQ(head, ReadHead::timeout);
  peer_->send("SSH-2.0-OpenSSH\r\n");
  run(read_head(head));
  EXPECT_EQ(head, ReadHead::protocol);
  release();

  connect();
  connection_->begin(Method::get);
  peer_->close();
  run(read_head(head));
  EXPECT_EQ(head, ReadHead::closed);
}

TEST_F(ClientTest, InterimResponsesComeOneByOne) {
  connection_->begin(Method::get);
  peer_->send(
      "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"
      "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  ReadHead head = ReadHead::aborted;
  for (const int status : {103, 100, 200}) {
    run(read_head(head));
    ASSERT_EQ(head, ReadHead::complete);
    EXPECT_EQ(connection_->head().status, status);
  }
}

TEST_F(ClientTest, StillUsableSeesACloseTheLoopHasNotSeenYet) {
  exchange("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
  release();
  connection_ = pool_.take();
  ASSERT_NE(connection_, nullptr);
  EXPECT_TRUE(connection_->still_usable());
  peer_->close();
  EXPECT_FALSE(connection_->still_usable());
}

}  // namespace
}  // namespace tyaprover::http
