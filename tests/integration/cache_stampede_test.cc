// Many clients, one cold object: who asks the origin, who waits, and what they get when that goes
// wrong (the cache specification, F2 and F3).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "tests/integration/support.h"

namespace tyaprover::test {
namespace {

constexpr std::string_view kFresh = "Cache-Control: max-age=600\r\n";

// Waits of the gateway are longer than any test, so that the clock decides nothing.
std::string cached(const Upstream& upstream, std::string_view more = "") {
  return proxy_to(upstream,
                  "timeouts: {request: 5m, response_head: 5m}\ncache: {mode: rfc9111, "
                  "lock_timeout: 5m" +
                      std::string(more) + "}\n");
}

// Clients that ask for one address at once, each on a connection of its own.
class Crowd {
 public:
  Crowd(const Gateway& gateway, std::size_t size, std::string_view target = "/slow") {
    clients_.reserve(size);
    for (std::size_t i = 0; i < size; ++i) {
      clients_.emplace_back(gateway.port());
      clients_.back().send("GET " + std::string(target) + " HTTP/1.1\r\nHost: a\r\n\r\n");
    }
  }
  RawClient& operator[](std::size_t index) { return clients_[index]; }
  std::vector<Response> responses() {
    std::vector<Response> all;
    for (RawClient& client : clients_) {
      if (client.socket().is_open()) all.push_back(client.read_response(4 * kDeadline));
    }
    return all;
  }

 private:
  std::vector<RawClient> clients_;
};

// That many clients are in the gateway, besides the one that asks. There is one worker, which has
// read what they sent before they were counted.
[[nodiscard]] bool arrived_all(const Gateway& gateway, std::size_t clients) {
  return wait_until(
      [&] {
        const std::string open =
            sample_text(get(gateway.port(), "/metrics").body, "http_connections_active");
        return !open.empty() && std::stoul(open) > clients;
      },
      4 * kDeadline);
}

TEST(CacheStampede, TwoHundredClientsOfAColdObjectAskTheOriginOnce) {
  constexpr std::size_t kClients = 200;
  Gate gate;
  const Upstream upstream([&](UpstreamExchange& exchange) {
    exchange.read_body();
    if (gate.pass()) exchange.send(ok("slow", kFresh));
  });
  const Gateway gateway(cached(upstream));
  Crowd crowd(gateway, kClients);
  ASSERT_TRUE(arrived_all(gateway, kClients));
  gate.open();
  for (const Response& response : crowd.responses()) {
    EXPECT_EQ(response.status, 200);
    EXPECT_EQ(response.body, "slow");
  }
  EXPECT_EQ(upstream.request_count(), 1u);
}

TEST(CacheStampede, WaitersOfWhatMustNotBeStoredGoToTheOriginTogether) {
  constexpr std::size_t kClients = 20;
  std::atomic<std::size_t> arrived{0};
  Gate first;
  Gate all;
  const Upstream upstream([&](UpstreamExchange& exchange) {
    exchange.read_body();
    const std::size_t number = ++arrived;
    if (number == kClients) all.open();
    // One after another they would never all be here.
    if (number == 1 ? first.pass() : all.pass()) {
      exchange.send(ok("own " + std::to_string(number), "Cache-Control: no-store\r\n"));
    }
  });
  const Gateway gateway(cached(upstream));
  Crowd crowd(gateway, kClients);
  ASSERT_TRUE(arrived_all(gateway, kClients));
  EXPECT_EQ(arrived, 1u);
  first.open();
  std::set<std::string> bodies;
  for (const Response& response : crowd.responses()) {
    EXPECT_EQ(response.status, 200);
    bodies.insert(response.body);
  }
  EXPECT_EQ(bodies.size(), kClients) << "each has an answer of its own";
}

// Ann asks, and Bob while she waits; the origin answers by cookie.
class AnnAndBob {
 public:
  AnnAndBob(const Gateway& gateway, const Upstream& upstream, Gate& gate)
      : ann_(gateway.port()), bob_(gateway.port()) {
    const std::size_t before = upstream.request_count();
    ann_.send("GET /home HTTP/1.1\r\nHost: a\r\nCookie: user=ann\r\n\r\n");
    EXPECT_TRUE(wait_until([&] { return upstream.request_count() > before; }));
    bob_.send("GET /home HTTP/1.1\r\nHost: a\r\nCookie: user=bob\r\n\r\n");
    EXPECT_TRUE(arrived_all(gateway, 2));
    gate.open();
    ann = ann_.read_response(4 * kDeadline);
    bob = bob_.read_response(4 * kDeadline);
  }
  Response ann;
  Response bob;

 private:
  RawClient ann_;
  RawClient bob_;
};

// RFC 9111 §4: it may be stored, and may not answer another without being validated.
TEST(CacheStampede, WaitersGetTheirOwnOfWhatMustBeValidated) {
  for (const std::string fields : {"ETag: \"1\"\r\n", "Cache-Control: no-cache\r\nETag: \"1\"\r\n",
                                   "Cache-Control: max-age=0, must-revalidate\r\nETag: \"1\"\r\n",
                                   "Cache-Control: max-age=0\r\n"}) {
    SCOPED_TRACE(fields);
    Gate gate;
    const Upstream upstream([&](UpstreamExchange& e) {
      if (gate.pass()) e.send(ok("page of " + e.request.header("Cookie"), fields));
    });
    const Gateway gateway(cached(upstream));
    const AnnAndBob got(gateway, upstream, gate);
    EXPECT_EQ(got.ann.body, "page of user=ann");
    EXPECT_EQ(got.bob.body, "page of user=bob");
  }
}

TEST(CacheStampede, WaitersGetNoFieldThatMustBeValidated) {
  Gate gate;
  const Upstream upstream([&](UpstreamExchange& e) {
    if (gate.pass()) {
      e.send(ok("for all",
                "Cache-Control: public, max-age=60, no-cache=\"set-cookie\"\r\nSet-Cookie: id=" +
                    e.request.header("Cookie") + "\r\n"));
    }
  });
  const Gateway gateway(cached(upstream));
  const AnnAndBob got(gateway, upstream, gate);
  EXPECT_EQ(got.ann.header("Set-Cookie"), "id=user=ann");
  EXPECT_EQ(got.bob.body, "for all");
  EXPECT_EQ(got.bob.header("Set-Cookie"), "");
}

TEST(CacheStampede, A304ThatIsPrivateIsForOneOnly) {
  Gate gate;
  const Upstream upstream([&](UpstreamExchange& e) {
    if (e.request.header("If-None-Match").empty()) {
      e.send(ok("page", "Cache-Control: max-age=60\r\nETag: \"1\"\r\n"));
    } else if (gate.pass()) {
      e.send("HTTP/1.1 304 Not Modified\r\nETag: \"1\"\r\nCache-Control: private\r\nX-Account: " +
             e.request.header("Cookie") + "\r\n\r\n");
    }
  });
  const Gateway gateway(cached(upstream));
  EXPECT_EQ(get(gateway.port(), "/home").body, "page");
  EXPECT_EQ(fetch(gateway.port(),
                  "DELETE /api/v1/cache?key=http://a/home&soft=true HTTP/1.1\r\nHost: a\r\n\r\n")
                .status,
            200);
  const AnnAndBob got(gateway, upstream, gate);
  EXPECT_EQ(got.ann.header("X-Account"), "user=ann");
  EXPECT_EQ(got.bob.header("X-Account").find("ann"), std::string::npos);
}

TEST(CacheStampede, WaitersAreServedWhenTheFirstClientLeaves) {
  Gate gate;
  const Upstream upstream([&](UpstreamExchange& exchange) {
    exchange.read_body();
    if (gate.pass()) exchange.send(ok("slow", kFresh));
  });
  const Gateway gateway(cached(upstream));
  Crowd first(gateway, 1);
  ASSERT_TRUE(wait_until([&] { return upstream.request_count() == 1; }));
  Crowd crowd(gateway, 10);
  ASSERT_TRUE(arrived_all(gateway, 11));
  first[0].reset();
  ASSERT_FALSE(gateway.wait_for_path("/slow").is_null()) << "the gateway has noticed";
  gate.open();
  for (const Response& response : crowd.responses()) EXPECT_EQ(response.body, "slow");
  EXPECT_EQ(upstream.request_count(), 1u);
}

TEST(CacheStampede, TheFillGoesOnWhenItsOnlyClientLeaves) {
  Gate gate;
  const Upstream upstream([&](UpstreamExchange& exchange) {
    exchange.read_body();
    exchange.send("HTTP/1.1 200 OK\r\n" + std::string(kFresh) + "Content-Length: 8\r\n\r\nfour");
    if (gate.pass()) exchange.send("more");
  });
  const Gateway gateway(cached(upstream));
  Crowd crowd(gateway, 1);
  EXPECT_EQ(crowd[0].read_head().status, 200);
  crowd[0].reset();
  ASSERT_FALSE(gateway.wait_for_path("/slow").is_null()) << "the gateway has noticed";
  gate.open();
  EXPECT_EQ(get(gateway.port(), "/slow").body, "fourmore");
  EXPECT_EQ(upstream.request_count(), 1u);
}

TEST(CacheStampede, WaitersReadWhatIsThereWhileTheRestIsComing) {
  Gate gate;
  const Upstream upstream([&](UpstreamExchange& exchange) {
    exchange.read_body();
    exchange.send("HTTP/1.1 200 OK\r\n" + std::string(kFresh) + "Content-Length: 8\r\n\r\nfour");
    if (gate.pass()) exchange.send("more");
  });
  const Gateway gateway(cached(upstream));
  Crowd crowd(gateway, 3);
  std::vector<Response> heads;
  for (std::size_t i = 0; i < 3; ++i) {
    heads.push_back(crowd[i].read_head());
    EXPECT_EQ(heads[i].status, 200);
    EXPECT_TRUE(crowd[i].read_until("four")) << "before the origin is done";
  }
  gate.open();
  for (std::size_t i = 0; i < 3; ++i) EXPECT_TRUE(crowd[i].read_until("more"));
  EXPECT_EQ(upstream.request_count(), 1u);
}

struct BrokenAnswer {
  const char* description;
  const char* bytes;  // then the connection ends
};

class CacheStampedeOfBroken : public ::testing::TestWithParam<BrokenAnswer> {};

TEST_P(CacheStampedeOfBroken, NobodyTakesItForWholeAndItIsNotStored) {
  Gate gate;
  std::atomic<int> asked{0};
  const Upstream upstream([&](UpstreamExchange& exchange) {
    exchange.read_body();
    if (++asked > 1) {
      exchange.send(ok("whole answer", kFresh));
      return;
    }
    if (gate.pass()) exchange.send(GetParam().bytes);
    exchange.close();
  });
  const Gateway gateway(cached(upstream));
  Crowd crowd(gateway, 10);
  ASSERT_TRUE(arrived_all(gateway, 10));
  gate.open();
  for (const Response& response : crowd.responses()) {
    const bool failed = !response.complete || response.status >= 500;
    EXPECT_TRUE(failed || response.body == "whole answer")
        << response.status << " " << escaped(response.body);
  }
  const Response later = get(gateway.port(), "/slow");
  EXPECT_EQ(later.status, 200);
  EXPECT_EQ(later.body, "whole answer");
}

constexpr BrokenAnswer kBroken[] = {
    {"NoAnswer", ""},
    {"HalfAHead", "HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nContent-Le"},
    {"NoBody", "HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nContent-Length: 12\r\n\r\n"},
    {"HalfALength",
     "HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nContent-Length: 12\r\n\r\nwhole "},
    {"NoLastChunk",
     "HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nTransfer-Encoding: "
     "chunked\r\n\r\n6\r\nwhole \r\n"},
    {"BadChunk",
     "HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nTransfer-Encoding: "
     "chunked\r\n\r\n6\r\nwhole \r\nxyz\r\n"},
};
INSTANTIATE_TEST_SUITE_P(Origins, CacheStampedeOfBroken, ::testing::ValuesIn(kBroken),
                         [](const auto& given) { return given.param.description; });

}  // namespace
}  // namespace tyaprover::test
