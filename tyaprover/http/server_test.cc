// The server on one worker, with a small application and raw bytes on the other side.
#include "tyaprover/http/server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tyaprover/http/listen.h"
#include "tyaprover/http/loop_testing.h"
#include "tyaprover/http/sleep.h"

namespace tyaprover::http {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

// Echoes what it was asked; notes how each exchange ended.
class EchoApp final : public Application {
 public:
  struct Finished {
    std::string path;
    int status;
    Outcome outcome;
  };

  std::unique_ptr<Exchange> new_exchange(Worker& worker) override {
    return std::make_unique<Exchange>(worker);
  }
  Task<void> handle(Exchange& e) override {
    e.response.status = 200;
    if (e.request.path == "/wait") {
      e.connection->watch_client([this] { client_left = true; });
      while (!client_left && !release) co_await Sleep(e.worker, 10ms);
    }
    std::string text(e.request.method);
    text.append(" ").append(e.request.target).append("\n");
    if (e.request_body != nullptr && e.request.path != "/ignore") {
      for (;;) {
        const auto piece = co_await e.request_body->read();
        if (!piece) {
          body_error = piece.error();
          e.response.status = 408;
          break;
        }
        text.append(piece->data);
        if (piece->last) break;
      }
    }
    e.response.content = e.arena.store(text);
  }
  void refuse(Exchange& e, const ParseError& error) override {
    e.response.status = error.status;
    e.response.content = error.detail;
  }
  void finish(Exchange& e) noexcept override {
    finished.push_back({std::string(e.request.path), e.response.status, e.outcome});
  }

  std::vector<Finished> finished;
  std::optional<BodyError> body_error;
  bool client_left = false;
  bool release = false;
};

class ServerTest : public LoopFixture {
 public:
  ~ServerTest() override {
    peers_.clear();
    if (server_) {
      server_->close_all();
      run_until([&] { return server_->connections() == 0; });
    }
  }

 protected:
  Peer& connect(ServerOptions options = {}) {
    if (!server_) {
      server_ = std::make_unique<Server>(worker_, app_, options, counters_);
      auto sockets = listen_tcp("127.0.0.1", 0, 1);
      EXPECT_TRUE(sockets);
      listening_ = sockets->front();
      server_->listen(listening_);
    }
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    ::getsockname(listening_, reinterpret_cast<sockaddr*>(&address), &size);
    const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
    EXPECT_EQ(::connect(fd, reinterpret_cast<sockaddr*>(&address), size), 0);
    peers_.push_back(std::make_unique<Peer>(fd));
    return *peers_.back();
  }

  // Sends, and turns the loop until the answer holds `text`.
  std::string ask(Peer& peer, std::string_view request, std::string_view text) {
    peer.clear();
    peer.send(request);
    run_until([&] { return peer.received().find(text) != std::string::npos; });
    return peer.received();
  }

  ServerCounters counters_;
  EchoApp app_;
  std::unique_ptr<Server> server_;
  std::vector<std::unique_ptr<Peer>> peers_;
  int listening_ = -1;
};

TEST_F(ServerTest, AnswersAndKeepsTheConnection) {
  Peer& peer = connect();
  const std::string first = ask(peer, "GET /a HTTP/1.1\r\nHost: h\r\n\r\n", "GET /a\n");
  EXPECT_THAT(first, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(first, HasSubstr("Content-Length: 7\r\n"));
  EXPECT_THAT(first, HasSubstr("Date: "));
  EXPECT_THAT(first, Not(HasSubstr("Connection:")));
  ask(peer, "GET /b HTTP/1.1\r\nHost: h\r\n\r\n", "GET /b\n");
  EXPECT_EQ(app_.finished.size(), 2u);
}

TEST_F(ServerTest, AnswersPipelinedRequestsInOrder) {
  Peer& peer = connect();
  std::string requests;
  for (int i = 0; i < 100; ++i) {
    requests += "GET /" + std::to_string(i) + " HTTP/1.1\r\nHost: h\r\n\r\n";
  }
  const std::string answer = ask(peer, requests, "GET /99\n");
  std::size_t at = 0;
  for (int i = 0; i < 100; ++i) {
    at = answer.find("GET /" + std::to_string(i) + "\n", at);
    ASSERT_NE(at, std::string::npos) << i;
  }
}

TEST_F(ServerTest, ReadsTheBodyAndThePipelinedRequestBehindIt) {
  for (const std::string_view body :
       {std::string_view("POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello"),
        std::string_view("POST /p HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
                         "2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n")}) {
    Peer& peer = connect();
    const std::string answer =
        ask(peer, std::string(body) + "GET /next HTTP/1.1\r\nHost: h\r\n\r\n", "GET /next\n");
    EXPECT_THAT(answer, HasSubstr("POST /p\nhello"));
  }
}

TEST_F(ServerTest, ABodyInManyPiecesIsReadWhole) {
  Peer& peer = connect();
  peer.send("POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n");
  std::string body;
  for (int i = 0; i < 10; ++i) {
    const std::string piece(10'000, static_cast<char>('a' + i));
    peer.send(piece);
    body += piece;
    worker_.context().poll();
  }
  run_until([&] { return peer.received().find(body) != std::string::npos; });
}

TEST_F(ServerTest, UnreadShortBodyIsDrainedAndTheConnectionServesOn) {
  Peer& peer = connect();
  ask(peer, "POST /ignore HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n", "POST /ignore\n");
  ask(peer, "helloGET /after HTTP/1.1\r\nHost: h\r\n\r\n", "GET /after\n");
}

TEST_F(ServerTest, UnreadLongBodyClosesTheConnection) {
  Peer& peer = connect();
  const std::string answer =
      ask(peer, "POST /ignore HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n",
          "POST /ignore\n");
  EXPECT_THAT(answer, HasSubstr("Connection: close\r\n"));
  run_until([&] { return peer.ended(); });
}

TEST_F(ServerTest, RefusedHeadIsAnsweredAndTheConnectionCloses) {
  Peer& peer = connect();
  const std::string answer = ask(peer, "GET  / HTTP/1.1\r\nHost: h\r\n\r\n", "\r\n\r\n");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 400 "));
  EXPECT_THAT(answer, HasSubstr("Connection: close\r\n"));
  run_until([&] { return peer.ended(); });
  ASSERT_EQ(app_.finished.size(), 1u);
}

TEST_F(ServerTest, LateHeadGets408AndASilentClientNothing) {
  const ServerOptions options{.first_head = 40ms};
  Peer& slow = connect(options);
  Peer& silent = connect(options);
  slow.send("GET / HTT");
  run_until([&] { return slow.ended() && silent.ended(); });
  EXPECT_THAT(slow.received(), StartsWith("HTTP/1.1 408 "));
  EXPECT_EQ(silent.received(), "");
}

TEST_F(ServerTest, IdleConnectionClosesAfterKeepAlive) {
  Peer& peer = connect({.keep_alive = 40ms});
  ask(peer, "GET / HTTP/1.1\r\nHost: h\r\n\r\n", "GET /\n");
  run_until([&] { return peer.ended(); });
}

TEST_F(ServerTest, BodyThatStopsComingIsATimeout) {
  Peer& peer = connect({.body_idle = 40ms});
  peer.send("POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nhalf");
  run_until([&] { return app_.body_error.has_value(); });
  EXPECT_EQ(*app_.body_error, BodyError::timeout);
  run_until([&] { return peer.ended(); });
  EXPECT_THAT(peer.received(), StartsWith("HTTP/1.1 408 "));
}

TEST_F(ServerTest, ExpectContinueIsAnsweredWhenTheBodyIsRead) {
  Peer& peer = connect();
  ask(peer, "POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n",
      "HTTP/1.1 100 Continue\r\n\r\n");
  ask(peer, "ok", "POST /p\nok");
}

TEST_F(ServerTest, ExpectContinueOfAnIgnoredBodyClosesWithoutInviting) {
  Peer& peer = connect();
  const std::string answer = ask(
      peer, "POST /ignore HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n",
      "POST /ignore\n");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(answer, HasSubstr("Connection: close\r\n"));
}

TEST_F(ServerTest, HeadHasTheLengthAndNoBody) {
  Peer& peer = connect();
  const std::string answer = ask(peer, "HEAD /a HTTP/1.1\r\nHost: h\r\n\r\n", "\r\n\r\n");
  EXPECT_THAT(answer, HasSubstr("Content-Length: 8\r\n"));
  EXPECT_THAT(answer, Not(HasSubstr("HEAD /a\n")));
}

TEST_F(ServerTest, Http10IsAnsweredAndClosedUnlessAskedToStay) {
  Peer& closing = connect();
  ask(closing, "GET / HTTP/1.0\r\n\r\n", "GET /\n");
  run_until([&] { return closing.ended(); });
  Peer& staying = connect();
  const std::string answer =
      ask(staying, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "GET /\n");
  EXPECT_THAT(answer, HasSubstr("Connection: keep-alive\r\n"));
  ask(staying, "GET /2 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "GET /2\n");
}

TEST_F(ServerTest, LeavingClientIsNoticedWhileTheHandlerWaits) {
  Peer& peer = connect();
  peer.send("GET /wait HTTP/1.1\r\nHost: h\r\n\r\n");
  run_until([&] { return server_->connections() == 1; });
  peer.close();
  run_until([&] { return app_.finished.size() == 1; });
  EXPECT_TRUE(app_.client_left);
  EXPECT_EQ(app_.finished[0].outcome, Outcome::client_disconnected);
}

TEST_F(ServerTest, PipelinedBytesDuringAWaitAreNoLeaving) {
  Peer& peer = connect();
  peer.send("GET /wait HTTP/1.1\r\nHost: h\r\n\r\n");
  run_until([&] { return server_->connections() == 1; });
  peer.send("GET /second HTTP/1.1\r\nHost: h\r\n\r\n");
  worker_.context().poll();
  app_.release = true;
  run_until([&] { return peer.received().find("GET /second\n") != std::string::npos; });
  EXPECT_FALSE(app_.client_left);
}

TEST_F(ServerTest, ConnectionEndsAfterItsShareOfRequests) {
  Peer& peer = connect({.requests_per_connection = 2});
  EXPECT_THAT(ask(peer, "GET /1 HTTP/1.1\r\nHost: h\r\n\r\n", "GET /1\n"),
              Not(HasSubstr("Connection: close")));
  EXPECT_THAT(ask(peer, "GET /2 HTTP/1.1\r\nHost: h\r\n\r\n", "GET /2\n"),
              HasSubstr("Connection: close"));
  run_until([&] { return peer.ended(); });
}

TEST_F(ServerTest, ConnectionsOverTheLimitGet503) {
  Peer& first = connect({.max_connections = 1});
  ask(first, "GET / HTTP/1.1\r\nHost: h\r\n\r\n", "GET /\n");
  Peer& second = connect();
  const std::string answer = ask(second, "GET / HTTP/1.1\r\nHost: h\r\n\r\n", "\r\n\r\n");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 503 "));
  run_until([&] { return second.ended(); });
  EXPECT_EQ(counters_.rejected, 1u);
}

TEST_F(ServerTest, DrainServesTheRunningRequestAndClosesIdleOnes) {
  Peer& busy = connect();
  Peer& idle = connect();
  ask(idle, "GET / HTTP/1.1\r\nHost: h\r\n\r\n", "GET /\n");
  busy.send("GET /wait HTTP/1.1\r\nHost: h\r\n\r\n");
  run_until([&] { return server_->connections() == 2; });
  worker_.context().poll();
  bool empty = false;
  server_->drain([&] { empty = true; });
  run_until([&] { return idle.ended(); });
  EXPECT_FALSE(empty);
  app_.release = true;
  run_until([&] { return empty; });
  EXPECT_THAT(busy.received(), HasSubstr("Connection: close\r\n"));
}

// The kernel may hold accepted connections when the listener closes: they are served all the same.
TEST_F(ServerTest, StopListeningServesWhoIsAlreadyInTheQueue) {
  connect();
  std::vector<Peer*> queued;
  for (int i = 0; i < 20; ++i) queued.push_back(&connect());
  bool stopped = false;
  server_->stop_listening([&] { stopped = true; });
  run_until([&] { return stopped; });
  for (Peer* peer : queued) ask(*peer, "GET / HTTP/1.1\r\nHost: h\r\n\r\n", "GET /\n");
}

}  // namespace
}  // namespace tyaprover::http
