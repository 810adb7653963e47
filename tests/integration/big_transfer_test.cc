// Memory stays flat: 1 GiB in either direction, a reader that stops, and ten thousand idle
// connections (R5.1, R6.5). Bytes are made on the fly from a pattern whose length shares no factor
// with any buffer size, so that a lost, repeated or swapped block cannot go unnoticed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cstring>

#include "tests/integration/support.h"

namespace tyaprover::test {
namespace {

constexpr std::size_t kMiB = 1024 * 1024;
// Under a sanitizer the program keeps freed memory in quarantine or shadows and runs many times
// slower: there the transfer is 64 MiB and only its content counts. The release build shows the
// memory.
constexpr std::uint64_t kTransfer = kSanitized ? 64 * kMiB : 1024 * kMiB;
constexpr std::size_t kAllowedGrowth = kSanitized ? 512 * kMiB : 32 * kMiB;
constexpr Millis kTransferDeadline = 120s;

// The endless stream of bytes that both ends know.
class Pattern {
 public:
  static constexpr std::size_t kPeriod = 1'000'003;  // prime
  static constexpr std::size_t kLongest = 256 * 1024;

  Pattern() : bytes_(kPeriod + kLongest, '\0') {
    std::uint64_t state = 0x9e3779b97f4a7c15u;
    for (std::size_t i = 0; i < kPeriod; ++i) {
      state ^= state << 13;
      state ^= state >> 7;
      state ^= state << 17;
      bytes_[i] = static_cast<char>(state >> 56);
    }
    std::memcpy(bytes_.data() + kPeriod, bytes_.data(), kLongest);
  }
  // `length` bytes from this offset of the stream; at most kLongest.
  std::string_view at(std::uint64_t offset, std::size_t length) const {
    return std::string_view(bytes_).substr(offset % kPeriod, length);
  }

 private:
  std::string bytes_;
};

const Pattern& pattern() {
  static const Pattern instance;
  return instance;
}

// Sends the first `size` bytes of the pattern; stops early when the peer is gone.
template <typename Sender>
std::uint64_t send_pattern(const Sender& send, std::uint64_t size,
                           std::atomic<std::uint64_t>* progress = nullptr) {
  std::uint64_t sent = 0;
  while (sent < size) {
    const auto length =
        static_cast<std::size_t>(std::min<std::uint64_t>(Pattern::kLongest, size - sent));
    if (!send(pattern().at(sent, length))) break;
    sent += length;
    if (progress) *progress = sent;
  }
  return sent;
}

// Bytes that arrived as the pattern says, up to the end of the stream, `size` or the first wrong
// one.
class PatternReader {
 public:
  bool take(std::string_view bytes) {
    while (!bytes.empty() && good_) {
      const std::size_t length = std::min(bytes.size(), Pattern::kLongest);
      good_ = bytes.substr(0, length) == pattern().at(received_, length);
      received_ += length;
      bytes.remove_prefix(length);
    }
    return good_;
  }
  std::uint64_t received() const { return received_; }
  bool good() const { return good_; }

 private:
  std::uint64_t received_ = 0;
  bool good_ = true;
};

// Reads from the client until this many bytes of the body have come.
void read_pattern(RawClient& client, PatternReader& reader, std::uint64_t until) {
  reader.take(client.unread());
  client.unread().clear();
  std::string buffer(Pattern::kLongest, '\0');
  while (reader.good() && reader.received() < until) {
    const auto count = client.socket().receive_into(buffer);
    if (count <= 0) return;
    reader.take(std::string_view(buffer.data(), static_cast<std::size_t>(count)));
  }
}

// The most memory the gateway had while this object lived, above what it had at the beginning.
class GrowthWatch {
 public:
  explicit GrowthWatch(const Gateway& gateway)
      : gateway_(gateway), before_(gateway.resident_bytes()), watcher_([this] {
          while (!done_) {
            most_ = std::max(most_.load(), gateway_.resident_bytes());
            std::this_thread::sleep_for(10ms);
          }
        }) {}
  ~GrowthWatch() { stop(); }
  std::size_t growth() {
    stop();
    return most_ > before_ ? most_ - before_ : 0;
  }

 private:
  void stop() {
    done_ = true;
    if (watcher_.joinable()) watcher_.join();
  }
  const Gateway& gateway_;
  std::size_t before_;
  std::atomic<std::size_t> most_{0};
  std::atomic<bool> done_{false};
  std::thread watcher_;
};

std::string length_head(std::uint64_t size) {
  return "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: " +
         std::to_string(size) + "\r\n\r\n";
}

// Answers a GET with the pattern and checks the pattern of a POST.
class PatternUpstream {
 public:
  PatternUpstream()
      : upstream_([this](UpstreamExchange& exchange) {
          if (exchange.request.method() == "GET") {
            exchange.send(length_head(kTransfer));
            send_pattern(
                [&](std::string_view bytes) { return exchange.send(bytes, kTransferDeadline); },
                kTransfer, &sent);
            return;
          }
          static_cast<void>(wait_until([this] { return reads.load(); }, 60s));
          PatternReader reader;
          while (reader.received() < kTransfer && reader.good()) {
            const auto bytes = exchange.receive();
            if (!bytes || bytes->empty()) break;
            reader.take(*bytes);
          }
          exchange.send(
              ok(std::to_string(reader.received()) + (reader.good() ? " good" : " wrong")));
          exchange.close();
        }) {}
  const Upstream& get() const { return upstream_; }

  std::atomic<std::uint64_t> sent{0};
  std::atomic<bool> reads{true};  // false: an upload's bytes stay in the socket

 private:
  Upstream upstream_;
};

// Progress has stopped: the same number for a while.
bool stalls(const std::atomic<std::uint64_t>& progress) {
  std::uint64_t last = progress;
  TimePoint since = std::chrono::steady_clock::now();
  return wait_until([&] {
    if (const std::uint64_t now = progress; now != last) {
      last = now;
      since = std::chrono::steady_clock::now();
    }
    return last > 0 && std::chrono::steady_clock::now() - since > 300ms;
  });
}

constexpr std::string_view kGet = "GET /big HTTP/1.1\r\nHost: a\r\n\r\n";
std::string post_head() {
  return "POST /big HTTP/1.1\r\nHost: a\r\nContent-Length: " + std::to_string(kTransfer) +
         "\r\n\r\n";
}
std::string settings() {
  return "limits: {body: unlimited}";
}
void warm_up(const Gateway& gateway) {
  ASSERT_EQ(get(gateway.port(), "/health/live").status, 200);
}

TEST(BigTransfer, Download) {
  PatternUpstream upstream;
  Gateway gateway(proxy_to(upstream.get(), settings()));
  warm_up(gateway);
  GrowthWatch watch(gateway);
  RawClient client(gateway.port());
  client.send(kGet);
  ASSERT_EQ(client.read_head().status, 200);
  PatternReader reader;
  read_pattern(client, reader, kTransfer);
  EXPECT_TRUE(reader.good());
  EXPECT_EQ(reader.received(), kTransfer);
  EXPECT_LT(watch.growth(), kAllowedGrowth);
}

TEST(BigTransfer, Upload) {
  PatternUpstream upstream;
  Gateway gateway(proxy_to(upstream.get(), settings()));
  warm_up(gateway);
  GrowthWatch watch(gateway);
  RawClient client(gateway.port());
  client.send(post_head());
  EXPECT_EQ(
      send_pattern([&](std::string_view bytes) { return client.send(bytes, kTransferDeadline); },
                   kTransfer),
      kTransfer);
  const Response response = client.read_response(kTransferDeadline);
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.body, std::to_string(kTransfer) + " good");
  EXPECT_LT(watch.growth(), kAllowedGrowth);
}

TEST(BigTransfer, ToAReaderThatStopsForAWhile) {
  PatternUpstream upstream;
  Gateway gateway(proxy_to(upstream.get(), settings()));
  warm_up(gateway);
  GrowthWatch watch(gateway);
  RawClient client(gateway.port());
  client.send(kGet);
  ASSERT_EQ(client.read_head().status, 200);
  ASSERT_TRUE(stalls(upstream.sent)) << "the upstream is never slowed down";
  // What is on the way: the kernel's buffers of two connections and 128 KiB of ours.
  EXPECT_LT(upstream.sent, kTransfer / 2);
  PatternReader reader;
  for (std::uint64_t part = 1; part <= 3; ++part) {  // slow, in bursts
    read_pattern(client, reader, part * kMiB);
    std::this_thread::sleep_for(50ms);
  }
  read_pattern(client, reader, kTransfer);
  EXPECT_TRUE(reader.good());
  EXPECT_EQ(reader.received(), kTransfer);
  EXPECT_LT(watch.growth(), kAllowedGrowth);
}

TEST(BigTransfer, ToAnUpstreamThatStopsForAWhile) {
  PatternUpstream upstream;
  upstream.reads = false;
  Gateway gateway(proxy_to(upstream.get(), settings()));
  warm_up(gateway);
  GrowthWatch watch(gateway);
  RawClient client(gateway.port());
  client.send(post_head());
  std::atomic<std::uint64_t> sent{0};
  std::thread sender([&] {
    send_pattern([&](std::string_view bytes) { return client.send(bytes, kTransferDeadline); },
                 kTransfer, &sent);
  });
  EXPECT_TRUE(stalls(sent)) << "the client is never slowed down";
  EXPECT_LT(sent, kTransfer / 2);
  upstream.reads = true;
  const Response response = client.read_response(kTransferDeadline);
  sender.join();
  EXPECT_EQ(response.body, std::to_string(kTransfer) + " good");
  EXPECT_LT(watch.growth(), kAllowedGrowth);
}

TEST(BigTransfer, ManyStoppedReadersCostOnlyTheirBuffers) {
  constexpr int kReaders = 40;
  PatternUpstream upstream;
  Gateway gateway(proxy_to(upstream.get(), settings()));
  warm_up(gateway);
  GrowthWatch watch(gateway);
  std::vector<RawClient> readers;
  for (int i = 0; i < kReaders; ++i) {
    readers.emplace_back(gateway.port());
    readers.back().send(kGet);
  }
  for (auto& reader : readers) ASSERT_EQ(reader.read_head().status, 200);
  ASSERT_TRUE(stalls(upstream.sent));
  // Section 5: at most 128 KiB per direction and stream; a little more for the streams themselves.
  EXPECT_LT(watch.growth(), (kSanitized ? 8 : 1) * kReaders * (2 * 128 + 64) * 1024);
}

TEST(BigTransfer, ChunkedKeepsItsBytes) {
  constexpr std::uint64_t kSize = 64 * kMiB;
  Upstream upstream([](UpstreamExchange& exchange) {
    exchange.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    std::size_t turn = 0;
    for (std::uint64_t sent = 0; sent < kSize;) {
      const std::size_t wanted =
          1 + (turn++ * 7919) % 100'000;  // sizes that never line up with a buffer
      const auto length = static_cast<std::size_t>(std::min<std::uint64_t>(wanted, kSize - sent));
      char size[16];
      std::snprintf(size, sizeof(size), "%zx\r\n", length);
      if (!exchange.send(size + std::string(pattern().at(sent, length)) + "\r\n"))
        return exchange.close();
      sent += length;
    }
    exchange.send("0\r\n\r\n");
  });
  Gateway gateway(proxy_to(upstream));
  const Response response = fetch(gateway.port(), kGet, kTransferDeadline);
  EXPECT_TRUE(response.complete);
  PatternReader reader;
  EXPECT_TRUE(reader.take(response.body));
  EXPECT_EQ(reader.received(), kSize);
}

TEST(IdleConnections, TenThousandFitIn64MiBR5_1) {
  // Sanitizers surround every allocation with shadow memory; there fewer connections show that they
  // work at all.
  constexpr std::size_t kConnections = kSanitized ? 1000 : 10'000;
  rlimit limit{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &limit), 0);
  ASSERT_GE(limit.rlim_max, kConnections + 1500)
      << "the hard limit of open files is too low for this test: raise it with `ulimit -Hn` or "
         "LimitNOFILE=";
  limit.rlim_cur = limit.rlim_max;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &limit), 0);

  Upstream upstream;
  Gateway gateway(proxy_to(upstream, "timeouts: {first_head: 10m, keep_alive: 10m}"));
  warm_up(gateway);
  const std::size_t before = gateway.resident_bytes();
  std::vector<RawClient> clients;
  clients.reserve(kConnections);
  // Half of them have never spoken, half wait for their next request.
  for (std::size_t i = 0; i < kConnections; ++i) {
    clients.emplace_back(gateway.port());
    if (i % 2 == 0) continue;
    clients.back().send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    ASSERT_EQ(clients.back().read_response().status, 200) << i;
  }
  ASSERT_TRUE(wait_until([&] { return gateway.descriptor_count() > kConnections; }));
  const std::size_t after = gateway.resident_bytes();
  const std::size_t growth = after > before ? after - before : 0;
  RecordProperty("bytes_per_connection", static_cast<int>(growth / kConnections));
  EXPECT_LT(growth, 64 * kMiB);
  if (!kSanitized) {
    EXPECT_LE(growth / kConnections, 4096u) << "bytes per idle connection";
  }
  EXPECT_EQ(get(gateway.port(), "/").status, 200) << "and the next client is still served";
  clients[kConnections / 2 + 1].send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(clients[kConnections / 2 + 1].read_response().status, 200);
}

}  // namespace
}  // namespace tyaprover::test
