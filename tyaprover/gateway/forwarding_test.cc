#include "tyaprover/gateway/forwarding.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>

#include <string>
#include <vector>

#include "tyaprover/gateway/network.h"
#include "tyaprover/http/worker.h"

namespace tyaprover::gateway {
namespace {

using http::KnownField;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

http::PeerAddress address(const char* text, std::uint16_t port) {
  sockaddr_in v4{};
  v4.sin_family = AF_INET;
  v4.sin_port = htons(port);
  if (::inet_pton(AF_INET, text, &v4.sin_addr) == 1) {
    return {reinterpret_cast<sockaddr*>(&v4), sizeof v4};
  }
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(port);
  ::inet_pton(AF_INET6, text, &v6.sin6_addr);
  return {reinterpret_cast<sockaddr*>(&v6), sizeof v6};
}

class ForwardingTest : public testing::Test {
 protected:
  // A request as it was received from `peer`.
  void receive(std::string text, const char* peer = "192.0.2.9") {
    text_ = std::move(text);
    http::RequestParser parser({});
    e_.reset();
    ASSERT_EQ(parser.parse(text_, e_.request), http::ParseStatus::complete)
        << parser.error().detail;
    e_.peer = address(peer, 40000);
    e_.local = address("192.0.2.1", 3000);
    identify_client(e_, trusted_);
  }
  std::string forwarded(RequestHeadOptions options = {}) {
    if (options.target_authority.empty()) options.target_authority = "app:8080";
    options.underscore_drops = &drops_;
    return std::string(write_request_head(e_, options));
  }

  http::Worker worker_{0};
  http::Exchange e_{worker_};
  std::string text_;
  std::vector<Network> trusted_ = {*parse_network("10.0.0.0/8"), *parse_network("2001:db8::/32")};
  std::uint64_t drops_ = 0;
};

TEST_F(ForwardingTest, PassesEndToEndFieldsAndTheOriginalTarget) {
  receive("GET /a%2Fb/../c?x=1&y HTTP/1.1\r\nHost: shop\r\nAccept: */*\r\nX-Thing: v\r\n\r\n");
  const std::string head = forwarded();
  EXPECT_THAT(head, StartsWith("GET /a%2Fb/../c?x=1&y HTTP/1.1\r\nHost: shop\r\n"));
  EXPECT_THAT(head, HasSubstr("Accept: */*\r\n"));
  EXPECT_THAT(head, HasSubstr("X-Thing: v\r\n"));
  EXPECT_TRUE(head.ends_with("\r\n\r\n"));
}

TEST_F(ForwardingTest, AbsoluteFormBecomesOriginForm) {
  receive("GET http://shop/a?b HTTP/1.1\r\nHost: shop\r\n\r\n");
  EXPECT_THAT(forwarded(), StartsWith("GET /a?b HTTP/1.1\r\n"));
  receive("GET http://shop?q=2 HTTP/1.1\r\nHost: shop\r\n\r\n");
  EXPECT_THAT(forwarded(), StartsWith("GET /?q=2 HTTP/1.1\r\n"));
}

TEST_F(ForwardingTest, HostIsKeptOrTheTargetsOrAValue) {
  receive("GET / HTTP/1.1\r\nHost: shop\r\n\r\n");
  EXPECT_THAT(forwarded({.host_header = "target"}), HasSubstr("Host: app:8080\r\n"));
  EXPECT_THAT(forwarded({.host_header = "fixed.example"}), HasSubstr("Host: fixed.example\r\n"));
  receive("GET / HTTP/1.0\r\n\r\n");
  EXPECT_THAT(forwarded(), HasSubstr("Host: app:8080\r\n"));
}

// R6.1: each of these goes no further, and neither does what Connection lists.
TEST_F(ForwardingTest, HopByHopFieldsStay) {
  for (const char* field : {"Connection: close", "Keep-Alive: timeout=5", "Proxy-Connection: x",
                            "Proxy-Authenticate: x", "Proxy-Authorization: Basic x", "TE: gzip",
                            "Trailer: X", "Upgrade: websocket", "HTTP2-Settings: x"}) {
    receive("GET / HTTP/1.1\r\nHost: h\r\n" + std::string(field) + "\r\n\r\n");
    EXPECT_THAT(forwarded(), Not(HasSubstr(field)));
  }
  receive(
      "GET / HTTP/1.1\r\nHost: h\r\nConnection: close, X-A,x-b\r\nX-A: 1\r\nX-B: 2\r\nX-C: "
      "3\r\n\r\n");
  const std::string head = forwarded();
  EXPECT_THAT(head, Not(HasSubstr("X-A:")));
  EXPECT_THAT(head, Not(HasSubstr("X-B:")));
  EXPECT_THAT(head, HasSubstr("X-C: 3\r\n"));
}

TEST_F(ForwardingTest, ConnectionCannotRemoveWhatTheGatewayAdds) {
  receive(
      "GET / HTTP/1.1\r\nHost: h\r\nConnection: X-Forwarded-For, X-Request-ID, Via, Host\r\n\r\n");
  e_.request_id = "id-1";
  const std::string head = forwarded();
  EXPECT_THAT(head, HasSubstr("Host: h\r\n"));
  EXPECT_THAT(head, HasSubstr("X-Forwarded-For: 192.0.2.9\r\n"));
  EXPECT_THAT(head, HasSubstr("X-Request-ID: id-1\r\n"));
  EXPECT_THAT(head, HasSubstr("Via: 1.1 tyaprover\r\n"));
}

TEST_F(ForwardingTest, TeTrailersIsForwardedAlone) {
  receive("GET / HTTP/1.1\r\nHost: h\r\nTE: deflate, trailers;q=0.5\r\nConnection: TE\r\n\r\n");
  EXPECT_THAT(forwarded(), HasSubstr("TE: trailers\r\nConnection: TE\r\n"));
}

TEST_F(ForwardingTest, UpgradeIsForwardedAsAnUpgrade) {
  receive(
      "GET /ws HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, Upgrade\r\nUpgrade: "
      "websocket\r\n\r\n");
  EXPECT_THAT(forwarded(), HasSubstr("Upgrade: websocket\r\nConnection: upgrade\r\n"));
}

TEST_F(ForwardingTest, FramingIsWrittenAnew) {
  receive("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n");
  EXPECT_THAT(forwarded(), HasSubstr("Content-Length: 3\r\n"));
  receive("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: Chunked\r\n\r\n");
  EXPECT_THAT(forwarded(), HasSubstr("Transfer-Encoding: chunked\r\n"));
}

TEST_F(ForwardingTest, NamesWithUnderscoreAreDroppedAndCounted) {
  receive("GET / HTTP/1.1\r\nHost: h\r\nX_Real: 1\r\nContent_Length: 5\r\nX-Real: 2\r\n\r\n");
  const std::string head = forwarded();
  EXPECT_THAT(head, Not(HasSubstr("_")));
  EXPECT_THAT(head, HasSubstr("X-Real: 2\r\n"));
  EXPECT_EQ(drops_, 2u);
}

TEST_F(ForwardingTest, StrangersForwardedFieldsAreReplaced) {
  receive(
      "GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\n"
      "X-Forwarded-Host: evil\r\nX-Forwarded-Port: 1\r\nForwarded: for=1.2.3.4\r\n\r\n");
  const std::string head = forwarded();
  EXPECT_THAT(head, HasSubstr("X-Forwarded-For: 192.0.2.9\r\n"));
  EXPECT_THAT(head, HasSubstr("X-Forwarded-Proto: http\r\n"));
  EXPECT_THAT(head, HasSubstr("X-Forwarded-Host: h\r\n"));
  EXPECT_THAT(head, HasSubstr("X-Forwarded-Port: 3000\r\n"));
  EXPECT_THAT(head, Not(HasSubstr("1.2.3.4")));
  EXPECT_EQ(e_.client, "192.0.2.9");
}

TEST_F(ForwardingTest, TrustedPeersForwardedFieldsAreContinued) {
  receive(
      "GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 1.2.3.4\r\nX-Forwarded-For: 5.6.7.8\r\n"
      "X-Forwarded-Proto: https\r\nX-Forwarded-Host: shop\r\nX-Forwarded-Port: 443\r\n\r\n",
      "10.1.1.1");
  const std::string head = forwarded();
  EXPECT_THAT(head, HasSubstr("X-Forwarded-For: 1.2.3.4, 5.6.7.8, 10.1.1.1\r\n"));
  EXPECT_THAT(head, HasSubstr("X-Forwarded-Proto: https\r\n"));
  EXPECT_THAT(head, HasSubstr("X-Forwarded-Host: shop\r\n"));
  EXPECT_THAT(head, HasSubstr("X-Forwarded-Port: 443\r\n"));
}

TEST_F(ForwardingTest, ForwardedFieldIsWrittenWhenAsked) {
  receive("GET / HTTP/1.1\r\nHost: h\r\nForwarded: for=1.2.3.4\r\n\r\n", "10.1.1.1");
  EXPECT_THAT(forwarded({.forwarded = true}),
              HasSubstr("Forwarded: for=1.2.3.4, for=10.1.1.1;host=\"h\";proto=http\r\n"));
  receive("GET / HTTP/1.1\r\nHost: h\r\n\r\n", "2001:db9::7");
  EXPECT_THAT(forwarded({.forwarded = true}), HasSubstr("for=\"[2001:db9::7]\""));
}

TEST_F(ForwardingTest, ViaIsContinuedAndOwnHopsCounted) {
  receive("GET / HTTP/1.1\r\nHost: h\r\nVia: 1.1 a, 1.1 tyaprover\r\nVia: 1.0 tyaprover\r\n\r\n");
  EXPECT_THAT(forwarded(),
              HasSubstr("Via: 1.1 a, 1.1 tyaprover, 1.0 tyaprover, 1.1 tyaprover\r\n"));
  EXPECT_EQ(count_own_hops(e_.request.fields), 2u);
}

// R6.3
TEST_F(ForwardingTest, ClientIsTheRightmostStranger) {
  struct Case {
    const char* peer;
    const char* list;
    const char* client;
  };
  for (const Case& c : {
           Case{"192.0.2.9", "1.2.3.4", "192.0.2.9"},
           Case{"10.1.1.1", "1.2.3.4", "1.2.3.4"},
           Case{"10.1.1.1", "6.6.6.6, 1.2.3.4, 10.2.2.2", "1.2.3.4"},
           Case{"10.1.1.1", "6.6.6.6, unknown, 10.2.2.2", "10.2.2.2"},
           Case{"10.1.1.1", "1.2.3.4:5555", "1.2.3.4:5555"},
           Case{"10.1.1.1", "[2001:db9::1]:80, 2001:db8::5", "[2001:db9::1]:80"},
           Case{"10.1.1.1", "10.3.3.3, 10.2.2.2", "10.3.3.3"},
       }) {
    receive("GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: " + std::string(c.list) + "\r\n\r\n",
            c.peer);
    EXPECT_EQ(e_.client, c.client) << c.peer << " / " << c.list;
  }
}

TEST_F(ForwardingTest, TheSchemeIsWhatATrustedPeerSays) {
  struct Case {
    const char* peer;
    const char* protocol;
    const char* scheme;
  };
  for (const Case& c : {
           Case{"10.1.1.1", "https", "https"},
           Case{"10.1.1.1", "HTTPS", "https"},
           Case{"10.1.1.1", "http, https", "https"},
           Case{"10.1.1.1", "https, http", "http"},
           Case{"10.1.1.1", "wss", "http"},
           Case{"192.0.2.9", "https", "http"},
       }) {
    receive(
        "GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-Proto: " + std::string(c.protocol) + "\r\n\r\n",
        c.peer);
    EXPECT_EQ(e_.scheme, c.scheme) << c.peer << " / " << c.protocol;
  }
}

TEST(Contains, ComparesWholeAndPartialBytesOfThePrefix) {
  const std::vector<Network> networks = {*parse_network("172.16.0.0/12"), *parse_network("::1")};
  const auto in = [&](const char* text) { return contains(networks, address(text, 1).bytes()); };
  EXPECT_TRUE(in("172.16.0.1"));
  EXPECT_TRUE(in("172.31.255.255"));
  EXPECT_FALSE(in("172.32.0.0"));
  EXPECT_FALSE(in("172.15.255.255"));
  EXPECT_TRUE(in("::1"));
  EXPECT_FALSE(in("::2"));
}

TEST_F(ForwardingTest, ResponseKeepsEndToEndFieldsAndTheDescribedLength) {
  receive("HEAD / HTTP/1.1\r\nHost: h\r\n\r\n");
  const std::string response =
      "HTTP/1.1 200 OK\r\nContent-Length: 77\r\nConnection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: "
      "timeout=5\r\n"
      "ETag: \"a\"\r\n\r\n";
  http::ResponseParser parser({});
  http::ResponseHead head;
  ASSERT_EQ(parser.parse(response, http::Method::head, head), http::ParseStatus::complete);
  take_response_head(head, e_);
  EXPECT_EQ(e_.response.status, 200);
  EXPECT_EQ(e_.response.described_length, 77u);
  EXPECT_EQ(e_.response.fields.size(), 1u);
  EXPECT_EQ(e_.response.fields.value(KnownField::etag), "\"a\"");
}

}  // namespace
}  // namespace tyaprover::gateway
