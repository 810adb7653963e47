#include "tyaprover/filters/access_log_writer.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

namespace tyaprover::filters {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

class AccessLogWriterTest : public ::testing::Test {
 protected:
  AccessLogWriterTest() {
    std::string pattern = (fs::temp_directory_path() / "access_log_XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
  }

 public:
  ~AccessLogWriterTest() override {
    writer_.reset();
    fs::remove_all(folder_);
  }

 protected:
  [[nodiscard]] fs::path path(std::string_view name = "access.log") const { return folder_ / name; }
  void open(const fs::path& output) {
    writer_ = std::make_unique<AccessLogWriter>(AccessLogWriterOptions{
        .output = output.string(), .gather = 1ms, .on_trouble = [this](std::string_view message) {
          const std::lock_guard lock(mutex_);
          troubles_.emplace_back(message);
        }});
  }
  [[nodiscard]] std::string written(const fs::path& file) const {
    std::ifstream stream(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
  }
  [[nodiscard]] std::vector<std::string> troubles() {
    const std::lock_guard lock(mutex_);
    return troubles_;
  }

  fs::path folder_;
  std::mutex mutex_;
  std::vector<std::string> troubles_;
  std::unique_ptr<AccessLogWriter> writer_;
};

// The reading end of a named pipe, which the writer is given by its path.
class Pipe {
 public:
  explicit Pipe(const fs::path& path) : path_(path) {
    if (!fs::exists(path)) ::mkfifo(path.c_str(), 0600);
    fd_ = ::open(path.c_str(), O_RDONLY | O_NONBLOCK);
    ::fcntl(fd_, F_SETPIPE_SZ, 4096);
  }
  ~Pipe() { ::close(fd_); }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;

  // Waits until so many bytes stand in it.
  void wait_for(int size) const {
    for (int there = 0; there < size; std::this_thread::yield()) ::ioctl(fd_, FIONREAD, &there);
  }
  // Reads until `size` bytes are there, or ten seconds have passed.
  std::string read(std::size_t size) const {
    std::string all;
    const auto end = std::chrono::steady_clock::now() + 10s;
    while (all.size() < size && std::chrono::steady_clock::now() < end) {
      char buffer[4096];
      const ssize_t n = ::read(fd_, buffer, sizeof buffer);
      if (n > 0) all.append(buffer, static_cast<std::size_t>(n));
      if (n <= 0) std::this_thread::yield();
    }
    return all;
  }

 private:
  fs::path path_;
  int fd_;
};

TEST_F(AccessLogWriterTest, WritesLinesInOrder) {
  open(path());
  AccessLogWriter::Ring& ring = writer_->add_ring(4096);
  EXPECT_TRUE(ring.push("one\n"));
  EXPECT_TRUE(ring.push("two\n"));
  EXPECT_TRUE(writer_->flush(10s));
  EXPECT_EQ(written(path()), "one\ntwo\n");
  EXPECT_EQ(writer_->lines(), 2u);
  EXPECT_EQ(writer_->dropped(), 0u);
}

TEST_F(AccessLogWriterTest, AppendsToWhatIsThere) {
  std::ofstream(path()) << "before\n";
  open(path());
  writer_->add_ring(4096).push("after\n");
  EXPECT_TRUE(writer_->flush(10s));
  EXPECT_EQ(written(path()), "before\nafter\n");
}

TEST_F(AccessLogWriterTest, GoesRoundItsRing) {
  open(path());
  AccessLogWriter::Ring& ring = writer_->add_ring(4096);
  std::string expected;
  for (int i = 0; i < 2000; ++i) {
    const std::string line =
        std::to_string(i) + std::string(static_cast<std::size_t>(i % 97), '.') + "\n";
    while (!ring.push(line)) writer_->flush(10s);
    expected += line;
  }
  EXPECT_TRUE(writer_->flush(10s));
  EXPECT_EQ(written(path()), expected);
}

TEST_F(AccessLogWriterTest, WritesWhatIsLeftWhenItEnds) {
  open(path());
  writer_->add_ring(4096).push("last words\n");
  writer_.reset();
  EXPECT_EQ(written(path()), "last words\n");
}

TEST_F(AccessLogWriterTest, WakesUpWithoutAFlush) {
  const Pipe pipe(path());
  open(path());
  AccessLogWriter::Ring& ring = writer_->add_ring(4096);
  for (int i = 0; i < 20; ++i) {
    ring.push("line\n");
    EXPECT_EQ(pipe.read(5), "line\n");
  }
}

// Each worker's lines stay in their order and whole, and every line is either written or counted as
// dropped.
TEST_F(AccessLogWriterTest, TakesLinesFromManyWorkersAtOnce) {
  constexpr int kWorkers = 4;
  constexpr int kLines = 20'000;
  open(path());
  std::array<AccessLogWriter::Ring*, kWorkers> rings;
  for (auto& ring : rings) ring = &writer_->add_ring(16 * 1024);
  std::vector<std::thread> threads;
  for (int w = 0; w < kWorkers; ++w) {
    threads.emplace_back([w, ring = rings[static_cast<std::size_t>(w)]] {
      for (int i = 0; i < kLines; ++i) {
        ring->push(std::to_string(w) + " " + std::to_string(i) +
                   std::string(static_cast<std::size_t>(i % 211), '-') + "\n");
        if (i % 100 == 0) std::this_thread::yield();
      }
    });
  }
  for (auto& thread : threads) thread.join();
  ASSERT_TRUE(writer_->flush(30s));

  std::array<int, kWorkers> last;
  last.fill(-1);
  std::uint64_t lines = 0;
  std::ifstream file(path());
  for (std::string line; std::getline(file, line); ++lines) {
    int worker = -1;
    int number = -1;
    int used = 0;
    ASSERT_EQ(std::sscanf(line.c_str(), "%d %d%n", &worker, &number, &used), 2) << line;
    ASSERT_TRUE(worker >= 0 && worker < kWorkers);
    ASSERT_GT(number, last[static_cast<std::size_t>(worker)]);
    last[static_cast<std::size_t>(worker)] = number;
    ASSERT_EQ(line.substr(static_cast<std::size_t>(used)),
              std::string(static_cast<std::size_t>(number % 211), '-'));
  }
  EXPECT_EQ(lines, writer_->lines());
  EXPECT_EQ(lines + writer_->dropped(), static_cast<std::uint64_t>(kWorkers) * kLines);
}

TEST_F(AccessLogWriterTest, DropsAndCountsWhenTheReaderStalls) {
  const Pipe pipe(path());
  open(path());
  AccessLogWriter::Ring& ring = writer_->add_ring(4096);
  const std::string line(99, 's');
  std::uint64_t pushed = 0;
  std::uint64_t refused = 0;
  bool flushed = true;
  while (flushed) {  // until the pipe is full, too
    for (int i = 0; i < 100; ++i) ++(ring.push(line + "\n") ? pushed : refused);
    flushed = writer_->flush(50ms);
  }
  EXPECT_GT(refused, 0u);
  EXPECT_EQ(ring.dropped(), refused);
  EXPECT_EQ(writer_->dropped(), refused);

  const std::string all = pipe.read(pushed * 100);
  ASSERT_EQ(all.size(), pushed * 100);
  for (std::size_t i = 0; i < all.size(); i += 100) ASSERT_EQ(all.substr(i, 100), line + "\n");
  EXPECT_TRUE(troubles().empty()) << "slow is not broken";
}

TEST_F(AccessLogWriterTest, EndsThoughTheReaderStalls) {
  const Pipe pipe(path());
  open(path());
  AccessLogWriter::Ring& ring = writer_->add_ring(64 * 1024);
  while (ring.push(std::string(99, 's') + "\n")) {
  }
  const auto begin = std::chrono::steady_clock::now();
  writer_.reset();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 5s);
}

TEST_F(AccessLogWriterTest, ALineLongerThanTheRingIsDropped) {
  open(path());
  AccessLogWriter::Ring& ring = writer_->add_ring(4096);
  EXPECT_FALSE(ring.push(std::string(5000, 'x') + "\n"));
  EXPECT_TRUE(ring.push("short\n"));
  EXPECT_TRUE(writer_->flush(10s));
  EXPECT_EQ(written(path()), "short\n");
  EXPECT_EQ(writer_->dropped(), 1u);
}

TEST_F(AccessLogWriterTest, OutlivesAFullDiskAndSaysSoOnce) {
  open("/dev/full");
  AccessLogWriter::Ring& ring = writer_->add_ring(4096);
  ring.push("one\n");
  EXPECT_FALSE(writer_->flush(10s));
  ring.push("two\n");
  EXPECT_FALSE(writer_->flush(10s));
  EXPECT_EQ(troubles().size(), 1u);
  EXPECT_NE(troubles().front().find("No space left"), std::string::npos) << troubles().front();
  EXPECT_EQ(writer_->dropped(), 0u) << "they are still in the ring";
}

TEST_F(AccessLogWriterTest, OutlivesItsReaderAndGoesOnWithTheNext) {
  auto pipe = std::make_unique<Pipe>(path());
  open(path());
  AccessLogWriter::Ring& ring = writer_->add_ring(4096);
  ring.push("one\n");
  EXPECT_EQ(pipe->read(4), "one\n");
  pipe.reset();
  ring.push("two\n");
  EXPECT_FALSE(writer_->flush(10s));
  ASSERT_EQ(troubles().size(), 1u);

  const Pipe next(path());
  EXPECT_TRUE(writer_->flush(10s));
  EXPECT_EQ(next.read(4), "two\n");
  EXPECT_EQ(troubles().size(), 2u);
  EXPECT_NE(troubles().back().find("again"), std::string::npos);
}

TEST_F(AccessLogWriterTest, ReopensItsFile) {
  open(path());
  AccessLogWriter::Ring& ring = writer_->add_ring(4096);
  ring.push("old\n");
  ASSERT_TRUE(writer_->flush(10s));
  fs::rename(path(), path("access.log.1"));
  ring.push("still old\n");
  ASSERT_TRUE(writer_->flush(10s));
  writer_->reopen();
  ASSERT_TRUE(writer_->flush(10s));
  ring.push("new\n");
  ASSERT_TRUE(writer_->flush(10s));
  EXPECT_EQ(written(path("access.log.1")), "old\nstill old\n");
  EXPECT_EQ(written(path()), "new\n");
}

TEST_F(AccessLogWriterTest, KeepsItsFileWhenItCannotReopen) {
  fs::create_directory(path("logs"));
  open(path("logs") / "access.log");
  AccessLogWriter::Ring& ring = writer_->add_ring(4096);
  fs::rename(path("logs"), path("moved"));
  writer_->reopen();
  ring.push("kept\n");
  ASSERT_TRUE(writer_->flush(10s));
  EXPECT_EQ(written(path("moved") / "access.log"), "kept\n");
  ASSERT_EQ(troubles().size(), 1u);
  EXPECT_NE(troubles().front().find("No such file"), std::string::npos);
}

// A line cut by the rotation is not continued in the new file.
TEST_F(AccessLogWriterTest, BeginsANewFileWithAWholeLine) {
  const Pipe pipe(path());
  open(path());
  AccessLogWriter::Ring& ring = writer_->add_ring(64 * 1024);
  const std::string line = std::string(4999, 'c') + "\n";  // more than the pipe takes
  ring.push(line);
  ring.push("whole\n");
  pipe.wait_for(4096);
  fs::rename(path(), path("pipe"));
  writer_->reopen();
  ASSERT_TRUE(writer_->flush(10s));
  EXPECT_EQ(written(path()), "whole\n");
  EXPECT_EQ(writer_->dropped(), 1u);
}

TEST_F(AccessLogWriterTest, SaysWhatItCannotOpen) {
  try {
    open(path("missing") / "access.log");
    FAIL() << "it was opened";
  } catch (const std::system_error& e) {
    EXPECT_EQ(e.code(), std::errc::no_such_file_or_directory);
    EXPECT_NE(std::string(e.what()).find("missing/access.log"), std::string::npos);
  }
}

}  // namespace
}  // namespace tyaprover::filters
