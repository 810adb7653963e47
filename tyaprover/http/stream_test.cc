#include "tyaprover/http/stream.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "tyaprover/http/listen.h"
#include "tyaprover/http/loop_testing.h"

namespace tyaprover::http {
namespace {

using namespace std::chrono_literals;

class StreamTest : public LoopFixture {
 public:
  StreamTest() {
    auto [ours, theirs] = socket_pair();
    stream_.adopt(ours);
    peer_.emplace(theirs);
  }

  Task<void> read(IoResult& out, Nanos limit) {
    out = co_await stream_.read(buffer_, sizeof buffer_, worker_.now() + limit);
  }
  Task<void> wait_read(IoResult& out, Nanos limit) {
    out = co_await stream_.wait_read(worker_.now() + limit);
  }
  Task<void> write(std::string_view text, Nanos stall, std::optional<IoError>& out) {
    out = co_await stream_.write(stall, text);
  }

 protected:
  Stream stream_{worker_};
  std::optional<Peer> peer_;
  char buffer_[1024];
};

TEST_F(StreamTest, ReadsWhatThePeerSends) {
  IoResult result;
  peer_->send("hello");
  run(read(result, 5s));
  EXPECT_EQ(result.error, IoError::none);
  EXPECT_EQ(std::string_view(buffer_, result.bytes), "hello");
}

TEST_F(StreamTest, ReadAfterThePeersCloseGivesEnd) {
  IoResult result;
  peer_->close();
  run(read(result, 5s));
  EXPECT_EQ(result.error, IoError::end);
}

TEST_F(StreamTest, ReadStillStandsAfterItsDeadline) {
  IoResult result;
  run(read(result, 20ms));
  EXPECT_EQ(result.error, IoError::timeout);
  EXPECT_TRUE(stream_.read_standing());
  peer_->send("late");
  run(wait_read(result, 5s));
  EXPECT_EQ(result.error, IoError::none);
  EXPECT_EQ(std::string_view(buffer_, result.bytes), "late");
  EXPECT_FALSE(stream_.read_standing());
}

TEST_F(StreamTest, CloseEndsTheWaits) {
  IoResult result;
  bool done = false;
  const auto reader = [](StreamTest& t, IoResult& out, bool& flag) -> Task<void> {
    co_await t.read(out, 10s);
    flag = true;
  };
  spawn(reader(*this, result, done));
  stream_.close();
  run_until([&] { return done; });
  EXPECT_EQ(result.error, IoError::closed);
}

TEST_F(StreamTest, StandingReadTellsOfThePeersCloseWhileNobodyWaits) {
  std::optional<IoError> seen;
  stream_.start_read(buffer_, sizeof buffer_);
  stream_.on_read_ready([&](IoError error) { seen = error; });
  peer_->close();
  run_until([&] { return seen.has_value(); });
  EXPECT_EQ(*seen, IoError::end);
  EXPECT_TRUE(stream_.read_ready());
}

TEST_F(StreamTest, WritesMoreThanTheSocketHolds) {
  const std::string large(4 * 1024 * 1024, 'x');
  std::optional<IoError> result;
  spawn(write(large, 5s, result));
  EXPECT_FALSE(result);  // the peer has not read yet
  std::size_t received = 0;
  run_until([&] {
    received += peer_->received().size();
    peer_->clear();
    return result.has_value() && received == large.size();
  });
  EXPECT_EQ(*result, IoError::none);
  EXPECT_EQ(stream_.bytes_written(), large.size());
}

TEST_F(StreamTest, WriteTimesOutWhenThePeerTakesNothing) {
  const std::string large(4 * 1024 * 1024, 'x');
  std::optional<IoError> result;
  spawn(write(large, 30ms, result));
  run_until([&] { return result.has_value(); });
  EXPECT_EQ(*result, IoError::timeout);
}

TEST_F(StreamTest, WriteToAClosedPeerIsAReset) {
  peer_->close();
  std::optional<IoError> result;
  run(write("x", 1s, result));
  EXPECT_EQ(*result, IoError::reset);
}

TEST_F(StreamTest, DestroyedWithAReadStandingIsSafe) {
  char buffer[16];
  {
    auto [ours, theirs] = socket_pair();
    Stream other(worker_);
    other.adopt(ours);
    other.start_read(buffer, sizeof buffer);
    ::close(theirs);
  }
  bool turned = false;
  worker_.post([&] { turned = true; });
  run_until([&] { return turned; });
}

Task<void> connect(Stream& stream, Endpoint endpoint, TimePoint deadline, IoError& out) {
  out = co_await stream.connect(endpoint, deadline);
}

TEST_F(StreamTest, ConnectToAClosedPortIsRefused) {
  auto sockets = listen_tcp("127.0.0.1", 0, 1);
  ASSERT_TRUE(sockets) << sockets.error();
  Endpoint endpoint;
  endpoint.size = sizeof endpoint.address;
  ::getsockname(sockets->front(), reinterpret_cast<sockaddr*>(&endpoint.address), &endpoint.size);

  Stream good(worker_);
  IoError result = IoError::closed;
  run(connect(good, endpoint, worker_.now() + 5s, result));
  EXPECT_EQ(result, IoError::none);

  ::close(sockets->front());
  Stream bad(worker_);
  run(connect(bad, endpoint, worker_.now() + 5s, result));
  EXPECT_EQ(result, IoError::refused);
}

TEST_F(StreamTest, ConnectToAUnixPathThatIsNotThereIsRefused) {
  Stream stream(worker_);
  IoError result = IoError::none;
  run(connect(stream, Endpoint::unix_path("/nonexistent/socket"), worker_.now() + 5s, result));
  EXPECT_EQ(result, IoError::refused);
}

}  // namespace
}  // namespace tyaprover::http
