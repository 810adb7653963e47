// LoopFixture: a Worker driven by the test's own thread, so that network code is tested without
// sleeping and without other threads.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "tyaprover/http/task.h"
#include "tyaprover/http/worker.h"

namespace tyaprover::http {

class LoopFixture : public testing::Test {
 protected:
  // Turns the loop until `done`; fails the test after 10 s.
  void run_until(const std::function<bool()>& done) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!done()) {
      if (std::chrono::steady_clock::now() > deadline) {
        ADD_FAILURE() << "the condition did not come true";
        return;
      }
      worker_.context().run_one_for(std::chrono::milliseconds(20));
    }
  }

  // Runs a task to its end.
  void run(Task<void> task) {
    bool done = false;
    spawn(mark_end(std::move(task), done));
    run_until([&] { return done; });
  }

  static std::pair<int, int> socket_pair() {
    int fds[2] = {-1, -1};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    return {fds[0], fds[1]};
  }

  // The peer's side of a connection, read and written by the test.
  class Peer {
   public:
    explicit Peer(int fd) : fd_(fd) {}
    ~Peer() { close(); }
    Peer(const Peer&) = delete;
    Peer& operator=(const Peer&) = delete;

    void send(std::string_view text) const {
      ASSERT_EQ(::send(fd_, text.data(), text.size(), MSG_NOSIGNAL),
                static_cast<ssize_t>(text.size()));
    }
    // What has come so far.
    const std::string& received() {
      char buffer[4096];
      for (;;) {
        const ssize_t n = ::recv(fd_, buffer, sizeof buffer, MSG_DONTWAIT);
        if (n == 0) ended_ = true;
        if (n <= 0) break;
        received_.append(buffer, static_cast<std::size_t>(n));
      }
      return received_;
    }
    [[nodiscard]] bool ended() {
      received();
      return ended_;
    }
    void clear() { received_.clear(); }
    void shutdown_send() const { ::shutdown(fd_, SHUT_WR); }
    void close() {
      if (fd_ >= 0) ::close(fd_);
      fd_ = -1;
    }
    [[nodiscard]] int fd() const { return fd_; }

   private:
    int fd_;
    std::string received_;
    bool ended_ = false;
  };

  Worker worker_{0};

 private:
  static Task<void> mark_end(Task<void> task, bool& done) {
    co_await task;
    done = true;
  }
};

}  // namespace tyaprover::http
