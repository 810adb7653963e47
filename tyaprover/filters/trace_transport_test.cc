#include "tyaprover/filters/trace_transport.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <string>
#include <thread>

#include "tyaprover/filters/test_decode.h"
#include "tyaprover/trace/trace_testing.h"

namespace tyaprover::filters {
namespace {

using namespace std::chrono_literals;

// A server of one connection after the other on 127.0.0.1; `answer` is called for each request,
// head and body, and returns the bytes to send: empty closes without a word.
class Collector {
 public:
  template <class Answer>
  explicit Collector(Answer answer) : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(at);
    EXPECT_EQ(::bind(listener_, reinterpret_cast<sockaddr*>(&at), size), 0);
    EXPECT_EQ(::listen(listener_, 16), 0);
    EXPECT_EQ(::getsockname(listener_, reinterpret_cast<sockaddr*>(&at), &size), 0);
    url_ = "http://127.0.0.1:" + std::to_string(ntohs(at.sin_port)) + "/v1/traces";
    thread_ = std::thread([this, answer] {
      for (;;) {
        const int connection = ::accept(listener_, nullptr, nullptr);
        if (connection < 0) return;
        ++connections_;
        serve(connection, answer);
        ::close(connection);
      }
    });
  }
  ~Collector() {
    ::shutdown(listener_, SHUT_RDWR);
    thread_.join();
    ::close(listener_);
  }
  Collector(const Collector&) = delete;
  Collector& operator=(const Collector&) = delete;

  [[nodiscard]] const std::string& url() const { return url_; }
  [[nodiscard]] int connections() const { return connections_; }

 private:
  template <class Answer>
  static void serve(int connection, const Answer& answer) {
    std::string bytes;
    char piece[4096];
    for (;;) {
      std::size_t end = bytes.find("\r\n\r\n");
      if (end != std::string::npos) {
        const std::size_t at = bytes.find("Content-Length: ");
        end += 4 + std::stoul(bytes.substr(at + 16));
        if (bytes.size() >= end) {
          const std::string reply = answer(bytes.substr(0, end));
          bytes.erase(0, end);
          if (reply.empty()) return;
          if (::send(connection, reply.data(), reply.size(), MSG_NOSIGNAL) < 0) return;
          continue;
        }
      }
      const ssize_t got = ::recv(connection, piece, sizeof(piece), 0);
      if (got <= 0) return;
      bytes.append(piece, static_cast<std::size_t>(got));
    }
  }

  const int listener_;
  std::string url_;
  std::atomic<int> connections_{0};
  std::thread thread_;
};

std::string ok(const std::string& body, const std::string& fields = "") {
  return "HTTP/1.1 200 OK\r\n" + fields + "Content-Length: " + std::to_string(body.size()) +
         "\r\n\r\n" + body;
}

trace::HttpReply post(TraceTransport& transport, const std::string& url,
                      const std::string& body = "spans", Nanos time = 30s) {
  const trace::HttpHeaders headers = {{"Content-Type", "text/x-spans"}, {"X-Key", "a"}};
  return transport.post({.url = url, .headers = headers, .body = body},
                        std::chrono::steady_clock::now() + time);
}

TEST(TraceTransport, PostsWithItsFieldsAndBringsTheReply) {
  std::string request;
  Collector collector([&](const std::string& bytes) {
    request = bytes;
    return ok("done", "Content-Type: text/plain\r\nRetry-After: 7\r\n");
  });
  TraceTransport transport;
  const trace::HttpReply reply = post(transport, collector.url());
  EXPECT_EQ(reply.status, 200) << reply.error;
  EXPECT_EQ(reply.body, "done");
  EXPECT_EQ(reply.content_type, "text/plain");
  EXPECT_EQ(reply.retry_after, "7");
  EXPECT_TRUE(request.starts_with("POST /v1/traces HTTP/1.1\r\nHost: 127.0.0.1:")) << request;
  EXPECT_NE(request.find("\r\nContent-Type: text/x-spans\r\nX-Key: a\r\n"), std::string::npos);
  EXPECT_TRUE(request.ends_with("\r\n\r\nspans"));
}

TEST(TraceTransport, KeepsItsConnectionAndReplacesADeadOne) {
  std::atomic<int> count{0};
  Collector collector([&](const std::string&) {
    // The third request finds a connection that closes instead of answering.
    return ++count == 3 ? std::string() : ok("");
  });
  TraceTransport transport;
  for (int i = 0; i < 3; ++i) {
    const trace::HttpReply reply = post(transport, collector.url());
    EXPECT_EQ(reply.status, 200) << i << ": " << reply.error;
  }
  EXPECT_EQ(collector.connections(), 2);
  EXPECT_EQ(count, 4);
}

TEST(TraceTransport, ReadsAReplyNoFurtherThanItMay) {
  const std::string large(trace::HttpTransport::kMaxReplyBody + 100'000, 'x');
  Collector collector([&](const std::string&) { return ok(large); });
  TraceTransport transport;
  const trace::HttpReply reply = post(transport, collector.url());
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(reply.body.size(), trace::HttpTransport::kMaxReplyBody);
}

TEST(TraceTransport, SaysWhyThereIsNoAnswer) {
  Collector garbled([](const std::string&) { return std::string("SMTP ready\r\n\r\n"); });
  Collector silent([](const std::string&) { return std::string(); });
  const int reserved = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);  // bound, not listening
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(at);
  ASSERT_EQ(::bind(reserved, reinterpret_cast<sockaddr*>(&at), size), 0);
  ASSERT_EQ(::getsockname(reserved, reinterpret_cast<sockaddr*>(&at), &size), 0);
  const std::string refused = "http://127.0.0.1:" + std::to_string(ntohs(at.sin_port)) + "/";
  const struct {
    std::string url, part;
  } cases[] = {
      {"https://127.0.0.1/", "only http:// is supported"},
      {"http:///v1/traces", "only http:// is supported"},
      {"http://no.such.host.invalid/", "cannot resolve no.such.host.invalid"},
      {refused, "cannot connect to 127.0.0.1"},
      {garbled.url(), "the answer is no HTTP"},
      {silent.url(), "closed without an answer"},
  };
  TraceTransport transport;
  for (const auto& c : cases) {
    const trace::HttpReply reply = post(transport, c.url);
    EXPECT_EQ(reply.status, 0) << c.url;
    EXPECT_NE(reply.error.find(c.part), std::string::npos) << c.url << ": " << reply.error;
  }
  ::close(reserved);
}

// Lets its requests wait until it is told to go on.
class Hanging {
 public:
  Hanging()
      : collector([this](const std::string&) {
          asked = true;
          asked.notify_all();
          go_on.wait(false);
          return ok("");
        }) {}
  ~Hanging() { release(); }
  void release() {
    go_on = true;
    go_on.notify_all();
  }
  std::atomic<bool> asked{false};
  std::atomic<bool> go_on{false};
  Collector collector;
};

TEST(TraceTransport, GivesUpAtTheDeadline) {
  Hanging hanging;
  TraceTransport transport;
  const auto begin = std::chrono::steady_clock::now();
  const trace::HttpReply reply = post(transport, hanging.collector.url(), "spans", 100ms);
  EXPECT_EQ(reply.status, 0);
  EXPECT_FALSE(reply.error.empty());
  EXPECT_GE(std::chrono::steady_clock::now() - begin, 100ms);
  hanging.release();
}

TEST(TraceTransport, CancelEndsARunningPostAndLaterOnes) {
  Hanging hanging;
  TraceTransport transport;
  std::thread canceller([&] {
    hanging.asked.wait(false);
    transport.cancel();
  });
  EXPECT_EQ(post(transport, hanging.collector.url()).error, "cancelled");
  canceller.join();
  EXPECT_EQ(post(transport, hanging.collector.url()).error, "cancelled");
  hanging.release();
}

#if TYAPROVER_TEST_FORK
TEST(TraceTransport, WorksInTheChildOfAFork) {
  Collector collector([](const std::string& request) {
    return ok(request.substr(request.rfind('\n') + 1), "Connection: close\r\n");
  });
  TraceTransport transport;
  EXPECT_EQ(post(transport, collector.url(), "parent").body, "parent");
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const bool answered = post(transport, collector.url(), "child").body == "child" &&
                          post(transport, collector.url(), "again").body == "again";
    ::_exit(answered ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(post(transport, collector.url(), "parent").body, "parent");
}
#endif

TEST(TraceTransport, GzipTextGivesAGzipStream) {
  const std::string text(10'000, 'a');
  std::string packed = "what stood there";
  ASSERT_TRUE(gzip_text(text, packed));
  EXPECT_LT(packed.size(), 200u);
  EXPECT_EQ(decode_gzip(packed).bytes, text);
}

TEST(TraceTransport, GzipTextHasRoomForWhatCannotBePacked) {
  std::string noise;
  for (const std::size_t size : {0, 1, 100, 65'535, 65'536, 1'000'000}) {
    while (noise.size() < size) noise += static_cast<char>(random_u64());
    std::string packed;
    ASSERT_TRUE(gzip_text(std::string_view(noise).substr(0, size), packed)) << size;
    EXPECT_EQ(decode_gzip(packed).bytes, noise.substr(0, size)) << size;
  }
}

}  // namespace
}  // namespace tyaprover::filters
