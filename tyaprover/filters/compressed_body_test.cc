#include "tyaprover/filters/compressed_body.h"

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <climits>
#include <deque>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "tyaprover/filters/test_clock.h"
#include "tyaprover/filters/test_decode.h"
#include "tyaprover/http/task.h"
#include "tyaprover/http/worker.h"

namespace tyaprover::filters {
namespace {

using namespace std::chrono_literals;
using http::BodyError;
using http::BodyPiece;
using http::BodyPtr;
using http::BodySource;
using http::Task;

// A source that has what the test gives it. Checks the rules of its use: one read at a time, no
// poll during a read, no end before the read has ended, and pieces die at the next call.
class FedSource final : public BodySource {
 public:
  struct Shared {
    std::deque<BodyPiece> pieces;
    std::deque<std::string> bytes;
    std::optional<BodyError> error;
    http::Event fed;
    bool released = false;
    unsigned cancelled = 0;
    bool stubborn = false;  // does not heed cancel_read()
    http::Fields trailers;

    void give(std::string data, bool last = false) {
      bytes.push_back(std::move(data));
      pieces.push_back({bytes.back(), last});
      fed.set();
    }
    void fail(BodyError e) {
      error = e;
      fed.set();
    }
  };

  explicit FedSource(std::shared_ptr<Shared> shared) : shared_(std::move(shared)) {}
  ~FedSource() override {
    EXPECT_FALSE(reading_) << "destroyed while it is read";
    shared_->released = true;
  }

  std::optional<BodyPiece> poll() override {
    EXPECT_FALSE(reading_) << "polled while it is read";
    if (shared_->pieces.empty()) return std::nullopt;
    return take();
  }
  Task<Result<BodyPiece, BodyError>> read() override {
    EXPECT_FALSE(reading_) << "read twice";
    reading_ = true;
    while (shared_->pieces.empty() && !shared_->error) {
      http::Event& fed = shared_->fed;
      fed.clear();
      co_await fed;
    }
    reading_ = false;
    if (!shared_->pieces.empty()) co_return take();
    co_return err(*shared_->error);
  }
  void cancel_read() override {
    ++shared_->cancelled;
    if (!shared_->stubborn) shared_->fail(BodyError::aborted);
  }
  const http::Fields* trailers() const noexcept override { return &shared_->trailers; }

 private:
  BodyPiece take() {
    current_ = std::make_unique<std::string>(std::move(shared_->bytes.front()));
    const bool last = shared_->pieces.front().last;
    shared_->bytes.pop_front();
    shared_->pieces.pop_front();
    return {*current_, last};
  }

  std::shared_ptr<Shared> shared_;
  std::unique_ptr<std::string> current_;
  bool reading_ = false;
};

// What a connection got out of a body; it leaves after so many pieces.
struct Received {
  unsigned limit = UINT_MAX;
  unsigned pieces = 0;
  std::string bytes;
  bool ended = false;
  std::optional<BodyError> error;
  unsigned reads = 0;
};

Task<void> receive(BodySource& body, Received& received) {
  for (;;) {
    std::optional<BodyPiece> piece = body.poll();
    if (!piece) {
      ++received.reads;
      Task<Result<BodyPiece, BodyError>> reading = body.read();
      auto next = co_await reading;
      if (!next) {
        received.error = next.error();
        co_return;
      }
      piece = *next;
    }
    EXPECT_LE(piece->data.size(), 16 * 1024u);
    received.bytes += piece->data;
    received.ended = piece->last;
    if (piece->last || ++received.pieces == received.limit) co_return;
  }
}

class CompressedBodyTest : public ::testing::TestWithParam<Coding> {
 protected:
  CompressedBodyTest() : pool_(std::make_shared<CompressionPool>(worker_)) {}

  BodyPtr wrap(Nanos flush_after = 50ms) {
    return pool_->wrap(BodyPtr(new FedSource(source_)), encoder(), flush_after);
  }
  CompressorPtr encoder() { return pool_->compressors().acquire(GetParam(), 3); }
  void start(BodySource& body) { http::spawn(receive(body, received_)); }
  void turn() { worker_.context().poll(); }
  void pass(Nanos time) {
    clock_.advance(time);
    worker_.timers().run(clock_.now());
    turn();
  }
  [[nodiscard]] std::string readable() const { return decode(GetParam(), received_.bytes).bytes; }

  TestClock clock_;
  http::Worker worker_{0, clock_};
  std::shared_ptr<CompressionPool> pool_;
  std::shared_ptr<FedSource::Shared> source_ = std::make_shared<FedSource::Shared>();
  Received received_;
};

INSTANTIATE_TEST_SUITE_P(Codings, CompressedBodyTest,
                         ::testing::Values(Coding::gzip, Coding::br, Coding::zstd),
                         [](const auto& test) { return std::string(to_string(test.param)); });

TEST_P(CompressedBodyTest, EncodesWhatTheSourceGivesWhateverThePieces) {
  std::mt19937 random(1);
  for (int round = 0; round < 40; ++round) {
    source_ = std::make_shared<FedSource::Shared>();
    received_ = {};
    const BodyPtr body = wrap();
    std::string expected;
    const unsigned pieces = random() % 20;
    bool started = false;
    for (unsigned i = 0; i <= pieces; ++i) {
      // Some pieces are there before anybody reads, some come while it is waited for them.
      if (!started && random() % 4 == 0) {
        started = true;
        start(*body);
      }
      std::string piece;
      const std::size_t size = random() % 3 == 0 ? random() % 70'000 : random() % 100;
      while (piece.size() < size) piece += std::to_string(random() % 1000);
      piece.resize(size);
      expected += piece;
      source_->give(std::move(piece), i == pieces);
      if (random() % 3 == 0) pass(Nanos(60ms));
    }
    if (!started) start(*body);
    turn();
    ASSERT_TRUE(received_.ended) << "round " << round;
    EXPECT_EQ(decode_all(GetParam(), received_.bytes), expected) << "round " << round;
  }
}

TEST_P(CompressedBodyTest, NeedsNoWaitingWhenTheSourceNeedsNone) {
  source_->give("all of it", true);
  const BodyPtr body = wrap();
  EXPECT_EQ(body->length(), std::nullopt);
  start(*body);
  EXPECT_TRUE(received_.ended);
  EXPECT_EQ(received_.reads, 0u);
}

TEST_P(CompressedBodyTest, FlushesWhatHasWaitedFor50Milliseconds) {
  const BodyPtr body = wrap();
  start(*body);
  source_->give("hello");
  pass(49ms);
  EXPECT_EQ(readable(), "");
  pass(11ms);
  EXPECT_EQ(readable(), "hello");
  source_->give(" again");
  pass(30ms);
  source_->give(" and again");
  EXPECT_EQ(readable(), "hello");
  pass(30ms);
  EXPECT_EQ(readable(), "hello again and again");
  source_->give("", true);
  EXPECT_TRUE(received_.ended);
}

TEST_P(CompressedBodyTest, FlushesATrickleThatNeverStops) {
  const BodyPtr body = wrap();
  start(*body);
  std::string given;
  for (int i = 0; i < 20; ++i) {
    source_->give("x");
    given += 'x';
    pass(10ms);
    EXPECT_GE(readable().size() + 8, given.size());
  }
  source_->give("", true);
  EXPECT_EQ(decode_all(GetParam(), received_.bytes), given);
}

TEST_P(CompressedBodyTest, FlushesEveryPieceOfAnEventStream) {
  const BodyPtr body = wrap(Nanos(0));
  start(*body);
  std::string given;
  for (const std::string_view event : {"data: 1\n\n", "data: 2\n\n", "data: 3\n\n"}) {
    source_->give(std::string(event));
    given += event;
    EXPECT_EQ(readable(), given);
  }
  source_->give("", true);
  EXPECT_TRUE(received_.ended);
}

TEST_P(CompressedBodyTest, DoesNotFlushAnEmptyEncoder) {
  const BodyPtr body = wrap();
  start(*body);
  source_->give("hello");
  pass(60ms);
  const std::size_t size = received_.bytes.size();
  pass(1s);
  EXPECT_EQ(received_.bytes.size(), size);
  source_->give("", true);
}

TEST_P(CompressedBodyTest, PassesTheSourcesErrorOnBehindWhatCameBefore) {
  const BodyPtr body = wrap();
  start(*body);
  source_->give("hello");
  pass(60ms);
  source_->fail(BodyError::disconnected);
  EXPECT_EQ(received_.error, BodyError::disconnected);
  EXPECT_FALSE(received_.ended);
  const Decoded decoded = decode(GetParam(), received_.bytes);
  EXPECT_EQ(decoded.bytes, "hello");
  EXPECT_FALSE(decoded.complete) << "the truncation must be visible";
}

TEST_P(CompressedBodyTest, PassesTrailersOn) {
  source_->trailers.add("X-Checksum", "1");
  source_->give("", true);
  const BodyPtr body = wrap();
  start(*body);
  EXPECT_NE(body->trailers()->find("x-checksum"), nullptr);
}

TEST_P(CompressedBodyTest, ReleasesItsSourceAtOnceWhenNothingIsUnderWay) {
  BodyPtr body = wrap();
  source_->give("hello");
  body->poll();
  body.reset();
  EXPECT_TRUE(source_->released);
}

TEST_P(CompressedBodyTest, GivenUpWhileItsSourceIsReadCancelsTheRead) {
  BodyPtr body = wrap();
  received_.limit = 1;
  start(*body);
  source_->give("hello");
  pass(60ms);  // the reader has its piece and leaves; the source is being read for the next
  ASSERT_EQ(readable(), "hello");
  EXPECT_FALSE(source_->released);
  body.reset();
  EXPECT_EQ(source_->cancelled, 1u);
  EXPECT_TRUE(source_->released);
}

TEST_P(CompressedBodyTest, GivenUpWhileItsSourceIsReadOutlivesTheRead) {
  source_->stubborn = true;
  BodyPtr body = wrap();
  received_.limit = 1;
  start(*body);
  source_->give("hello");
  pass(60ms);
  body.reset();
  pass(1s);
  EXPECT_FALSE(source_->released);

  // Its place in the pool is not taken by another body meanwhile.
  auto second_source = std::make_shared<FedSource::Shared>();
  Received second;
  const BodyPtr other = pool_->wrap(BodyPtr(new FedSource(second_source)), encoder(), Nanos(50ms));
  http::spawn(receive(*other, second));
  source_->give("too late", true);
  EXPECT_TRUE(source_->released);
  second_source->give("other", true);
  EXPECT_EQ(decode_all(GetParam(), second.bytes), "other");
}

TEST_P(CompressedBodyTest, MayBeGivenUpAfterItsFilter) {
  source_->stubborn = true;
  BodyPtr body = wrap();
  received_.limit = 1;
  start(*body);
  source_->give("hello");
  pass(60ms);
  pool_.reset();
  body.reset();
  source_->give("too late", true);
  EXPECT_TRUE(source_->released);
}

TEST_P(CompressedBodyTest, ACancelledReadLosesNothing) {
  const BodyPtr body = wrap();
  start(*body);
  source_->give("one ");
  body->cancel_read();
  EXPECT_EQ(received_.error, BodyError::aborted);
  source_->give("two", true);
  start(*body);
  EXPECT_EQ(decode_all(GetParam(), received_.bytes), "one two");
}

TEST_P(CompressedBodyTest, EncodesBytesInMemory) {
  auto owner = std::make_shared<std::string>(100'000, 'm');
  const std::weak_ptr<std::string> watch = owner;
  const std::string expected = *owner;
  const std::string_view content = *owner;
  BodyPtr body = pool_->wrap(content, std::move(owner), encoder());
  start(*body);
  turn();
  EXPECT_EQ(decode_all(GetParam(), received_.bytes), expected);
  EXPECT_EQ(body->trailers(), nullptr);
  body.reset();
  EXPECT_TRUE(watch.expired());
}

TEST_P(CompressedBodyTest, CountsBytes) {
  const BodyPtr body = wrap();
  source_->give(std::string(5000, 'c'), true);
  start(*body);
  EXPECT_EQ(pool_->stats().responses, 1u);
  EXPECT_EQ(pool_->stats().bytes_in, 5000u);
  EXPECT_EQ(pool_->stats().bytes_out, received_.bytes.size());
}

// On this clock everything takes time.
class TickingClock final : public Clock {
 public:
  [[nodiscard]] TimePoint now() const noexcept override {
    now_ += 200us;
    return now_;
  }

 private:
  mutable TimePoint now_ = SteadyClock::instance().now() + 24h;
};

TEST(CompressedBodyTurnTest, LetsTheEventLoopTurnDuringALongBody) {
  TickingClock clock;
  http::Worker worker(0, clock);
  const auto pool = std::make_shared<CompressionPool>(worker);
  const std::string content(2 << 20, 't');
  const BodyPtr body = pool->wrap(content, nullptr, pool->compressors().acquire(Coding::gzip, 1));
  Received received;
  http::spawn(receive(*body, received));
  unsigned turns = 0;
  while (!received.ended && worker.context().poll_one() > 0) ++turns;
  // 128 slices of 16 KiB, each 200 µs on this clock: a turn after every third.
  EXPECT_GE(turns, 128u / 3);
  EXPECT_EQ(decode_all(Coding::gzip, received.bytes), content);
}

}  // namespace
}  // namespace tyaprover::filters
