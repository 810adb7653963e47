// How the two sides meet.
//
// A ring is a byte queue with one producer and one consumer: each side owns one index and reads the
// other's, so that pushing a line is a copy and a store. The writer sleeps only after it has said
// so in asleep_ and has then looked at every ring once more; a producer stores its index and then
// looks at asleep_. Both orders go through sequentially consistent operations, so one of the two
// sees the other and no line waits for ever. Once awake the writer lets lines gather for a few
// milliseconds before it writes: a busy gateway wakes it at most 1/gather times a second, whatever
// the number of lines.
//
// Pipes, sockets and terminals can stall. Changing them to non-blocking would change them for every
// process that shares them (the shell, the container's runtime), so the writer polls and then
// writes at most PIPE_BUF bytes, which a pipe that polled writable takes without blocking
// (pipe(7)).
//
// Nothing is taken out of a ring before the kernel has taken it. A sink that fails therefore loses
// nothing until the rings are full, and a line half written before an error is completed after it.
#include "tyaprover/filters/access_log_writer.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

namespace tyaprover::filters {

using namespace std::chrono_literals;

namespace {

constexpr std::size_t kSmallestRing = 4096;
constexpr std::size_t kMaxWrite = 1
                                  << 20;  // so that one busy worker cannot keep the others waiting
constexpr int kStallPoll = 100;  // milliseconds until the writer looks up from a stalled sink
constexpr Nanos kRetry = 1s;     // between attempts on a sink that refuses

}  // namespace

AccessLogWriter::Ring::Ring(AccessLogWriter& writer, std::size_t bytes)
    : writer_(writer),
      mask_(std::bit_ceil(std::max(bytes, kSmallestRing)) - 1),
      bytes_(std::make_unique_for_overwrite<char[]>(mask_ + 1)) {}

bool AccessLogWriter::Ring::push(std::string_view line) noexcept {
  const std::uint64_t head = head_.load(std::memory_order_relaxed);  // our own
  const std::size_t size = mask_ + 1;
  if (head + line.size() - known_tail_ > size) {
    // Acquire: the writer has read these bytes before we write over them.
    known_tail_ = tail_.load(std::memory_order_acquire);
    if (head + line.size() - known_tail_ > size) {
      dropped_.store(dropped_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
      return false;
    }
  }
  const std::size_t at = head & mask_;
  const std::size_t first = std::min(line.size(), size - at);
  std::memcpy(bytes_.get() + at, line.data(), first);
  std::memcpy(bytes_.get(), line.data() + first, line.size() - first);
  lines_.store(lines_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  // Publishes the bytes, and is ordered before the look at asleep_ (see above).
  head_.store(head + line.size(), std::memory_order_seq_cst);
  if (writer_.asleep_.load(std::memory_order_seq_cst)) writer_.wake();
  return true;
}

// The part of `ring` between its indices, in two pieces where it wraps.
struct AccessLogWriter::Readable {
  std::string_view first;
  std::string_view second;

  explicit Readable(const Ring& ring) {
    const std::uint64_t tail = ring.tail_.load(std::memory_order_relaxed);  // the writer's own
    const std::uint64_t head = ring.head_.load(std::memory_order_seq_cst);
    const std::size_t at = tail & ring.mask_;
    const std::size_t size = head - tail;
    const std::size_t contiguous = std::min(size, ring.mask_ + 1 - at);
    first = {ring.bytes_.get() + at, contiguous};
    second = {ring.bytes_.get(), size - contiguous};
  }
  [[nodiscard]] bool empty() const noexcept { return first.empty(); }
  void limit(std::size_t bytes) noexcept {
    first = first.substr(0, bytes);
    second = second.substr(0, bytes - first.size());
  }
  // REQUIRES: size is not beyond both pieces, nor 0.
  [[nodiscard]] char at_end(std::size_t size) const noexcept {
    return size <= first.size() ? first[size - 1] : second[size - first.size() - 1];
  }
};

AccessLogWriter::AccessLogWriter(AccessLogWriterOptions options) : options_(std::move(options)) {
  if (const int error = open_output(); error != 0) {
    throw std::system_error(error, std::generic_category(),
                            "cannot open the access log " + options_.output);
  }
  // Signals are the main thread's business; SIGPIPE becomes EPIPE.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([this] { run(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

AccessLogWriter::~AccessLogWriter() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wakeup_.notify_one();
  thread_.join();
  close_output();
}

AccessLogWriter::Ring& AccessLogWriter::add_ring(std::size_t bytes) {
  auto ring = std::make_unique<Ring>(*this, bytes);
  const std::lock_guard lock(mutex_);
  rings_.push_back(std::move(ring));
  return *rings_.back();
}

void AccessLogWriter::reopen() {
  {
    const std::lock_guard lock(mutex_);
    reopen_ = true;
  }
  wakeup_.notify_one();
}

bool AccessLogWriter::flush(Nanos limit) {
  std::unique_lock lock(mutex_);
  // A drain that is under way may have passed a ring already: the one after it counts.
  const std::uint64_t wanted = drains_begun_ + 1;
  drains_wanted_ = std::max(drains_wanted_, wanted);
  wakeup_.notify_one();
  const bool ended = progress_.wait_for(
      lock, limit, [&] { return drains_ended_ >= wanted && last_drain_ != Drained::blocked; });
  return ended && last_drain_ == Drained::all;
}

std::uint64_t AccessLogWriter::lines() const {
  const std::lock_guard lock(mutex_);
  std::uint64_t sum = 0;
  for (const auto& ring : rings_) sum += ring->lines();
  return sum;
}

std::uint64_t AccessLogWriter::dropped() const {
  const std::lock_guard lock(mutex_);
  std::uint64_t sum = 0;
  for (const auto& ring : rings_) sum += ring->dropped();
  return sum + cut_;
}

// Called by producers that saw the writer asleep; the first one is enough. Taking the lock makes
// sure that it waits already.
void AccessLogWriter::wake() noexcept {
  if (!asleep_.exchange(false, std::memory_order_seq_cst)) return;
  { const std::lock_guard lock(mutex_); }
  wakeup_.notify_one();
}

void AccessLogWriter::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    ++drains_begun_;
    const bool stopping = stop_;
    const bool reopening = std::exchange(reopen_, false);
    draining_.clear();
    for (const auto& ring : rings_) draining_.push_back(ring.get());
    lock.unlock();
    if (reopening) reopen_output();
    const Drained drained = drain();
    lock.lock();
    drains_ended_ = drains_begun_;
    last_drain_ = drained;
    progress_.notify_all();
    if (stopping) return;
    if (drained == Drained::failed) {
      wakeup_.wait_for(lock, kRetry, [this] { return called(); });
    } else if (drained == Drained::all) {
      sleep_until_pushed(lock);
      wakeup_.wait_for(lock, options_.gather, [this] { return called(); });
    }
  }
}

// Waits without a time limit until there is a line, or somebody calls.
void AccessLogWriter::sleep_until_pushed(std::unique_lock<std::mutex>& lock) {
  wakeup_.wait(lock, [this] {
    asleep_.store(true, std::memory_order_seq_cst);
    return called() || std::any_of(rings_.begin(), rings_.end(),
                                   [](const auto& ring) { return !Readable(*ring).empty(); });
  });
  asleep_.store(false, std::memory_order_relaxed);
}

AccessLogWriter::Drained AccessLogWriter::drain() {
  if (unfinished_ != nullptr) {
    if (const Drained result = drain_ring(*unfinished_); result != Drained::all) return result;
  }
  for (Ring* const ring : draining_) {
    if (const Drained result = drain_ring(*ring); result != Drained::all) return result;
  }
  return Drained::all;
}

// Writes what is in the ring now, but not what comes in the meantime: the others wait.
AccessLogWriter::Drained AccessLogWriter::drain_ring(Ring& ring) {
  const std::uint64_t end = ring.head_.load(std::memory_order_seq_cst);
  for (;;) {
    const std::uint64_t tail = ring.tail_.load(std::memory_order_relaxed);
    if (tail == end) return Drained::all;
    Readable readable(ring);
    readable.limit(std::min<std::size_t>(end - tail, kMaxWrite));
    const ssize_t n = write_some(readable);
    if (n <= 0) {
      const int error = n < 0 ? errno : EIO;
      if (error == EINTR) continue;
      if (error == EAGAIN) return Drained::blocked;
      report(error);
      return Drained::failed;
    }
    report(0);
    const auto written = static_cast<std::size_t>(n);
    unfinished_ = readable.at_end(written) == '\n' ? nullptr : &ring;
    // Release: we are done with these bytes.
    ring.tail_.store(tail + written, std::memory_order_release);
  }
}

// As writev(2), without ever blocking for longer than kStallPoll; then EAGAIN.
ssize_t AccessLogWriter::write_some(Readable& readable) noexcept {
  if (sink_ != Sink::file) {
    pollfd writable{fd_, POLLOUT, 0};
    const int ready = poll(&writable, 1, kStallPoll);
    if (ready < 0) return -1;
    if (ready == 0) {
      errno = EAGAIN;
      return -1;
    }
    if (sink_ == Sink::stream) readable.limit(PIPE_BUF);
  }
  iovec parts[2];
  parts[0] = {const_cast<char*>(readable.first.data()), readable.first.size()};
  parts[1] = {const_cast<char*>(readable.second.data()), readable.second.size()};
  const int count = readable.second.empty() ? 1 : 2;
  if (sink_ == Sink::socket) {
    msghdr message{};
    message.msg_iov = parts;
    message.msg_iovlen = static_cast<std::size_t>(count);
    return sendmsg(fd_, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
  }
  return writev(fd_, parts, count);
}

// Returns errno, 0 when it is open.
int AccessLogWriter::open_output() noexcept {
  int fd = -1;
  if (options_.output == "stdout") {
    fd = STDOUT_FILENO;
  } else if (options_.output == "stderr") {
    fd = STDERR_FILENO;
  } else {
    // Non-blocking for the open itself: a named pipe without a reader must not hold us.
    fd =
        open(options_.output.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK, 0640);
    if (fd < 0) return errno;
  }
  struct stat status {};
  if (fstat(fd, &status) != 0) return errno;
  close_output();
  fd_ = fd;
  owns_fd_ = fd > STDERR_FILENO;
  sink_ = S_ISREG(status.st_mode)    ? Sink::file
          : S_ISSOCK(status.st_mode) ? Sink::socket
                                     : Sink::stream;
  return 0;
}

void AccessLogWriter::close_output() noexcept {
  if (owns_fd_) close(fd_);
  owns_fd_ = false;
}

void AccessLogWriter::reopen_output() {
  // A line that is half in the old file is finished there; if that cannot be, its rest is given up.
  if (unfinished_ != nullptr) drain_ring(*unfinished_);
  if (const int error = open_output(); error != 0) {
    if (options_.on_trouble) {
      options_.on_trouble(
          "cannot open the access log " + options_.output +
          " again, its old file stays in use: " + std::generic_category().message(error));
    }
    return;
  }
  if (unfinished_ == nullptr) return;
  skip_line(*unfinished_);
  const std::lock_guard lock(mutex_);
  ++cut_;
}

void AccessLogWriter::skip_line(Ring& ring) noexcept {
  const Readable rest(ring);
  std::size_t end = rest.first.find('\n');
  if (end == std::string_view::npos) end = rest.first.size() + rest.second.find('\n');
  const std::uint64_t tail = ring.tail_.load(std::memory_order_relaxed);
  ring.tail_.store(tail + end + 1, std::memory_order_release);
  unfinished_ = nullptr;
}

void AccessLogWriter::report(int error) {
  if (error == trouble_) return;
  const int before = std::exchange(trouble_, error);
  if (!options_.on_trouble || (before != 0 && error != 0)) return;
  if (error == 0) {
    options_.on_trouble("the access log " + options_.output + " is being written again");
  } else {
    options_.on_trouble("cannot write the access log " + options_.output + ": " +
                        std::generic_category().message(error) +
                        "; lines will be lost when their buffer is full");
  }
}

}  // namespace tyaprover::filters
