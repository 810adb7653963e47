// What the cache must never give to a second client, and what no client can make it give to another
// (the cache specification, H3, H9, H10, H17).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <optional>

#include "tests/integration/support.h"

namespace tyaprover::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr std::string_view kCached = "cache: {mode: rfc9111}\n";

// No two answers of it are alike, so that a body tells which request it was made for.
class NumberedOrigin {
 public:
  explicit NumberedOrigin(std::string field_lines)
      : upstream_([this, field_lines = std::move(field_lines)](UpstreamExchange& exchange) {
          exchange.read_body();
          exchange.send(ok("answer " + std::to_string(++answers_), field_lines));
        }) {}
  const Upstream& upstream() const { return upstream_; }

 private:
  std::atomic<int> answers_{0};
  Upstream upstream_;
};

Response request(const Gateway& gateway, std::string_view method, std::string_view target,
                 std::string_view host = "a", std::string_view rest = "\r\n") {
  return fetch(gateway.port(), std::string(method) + " " + std::string(target) +
                                   " HTTP/1.1\r\nHost: " + std::string(host) +
                                   "\r\nConnection: close\r\n" + std::string(rest));
}

// --- what is private (issue 7, line 2)

struct PrivateCase {
  const char* description;
  const char* response_fields;
  const char* request_fields;  // of both clients
  bool shared;
};

class CachePrivacy : public ::testing::TestWithParam<PrivateCase> {};

TEST_P(CachePrivacy, NothingPrivateReachesASecondClient) {
  const PrivateCase& given = GetParam();
  const NumberedOrigin origin(given.response_fields);
  const Gateway gateway(proxy_to(origin.upstream(), kCached));
  const Response first = get(gateway.port(), "/account", given.request_fields);
  const Response second = get(gateway.port(), "/account", given.request_fields);
  EXPECT_EQ(first.body, "answer 1");
  EXPECT_EQ(second.body, given.shared ? "answer 1" : "answer 2");
  EXPECT_EQ(origin.upstream().request_count(), given.shared ? 1u : 2u);
  if (!given.shared) {
    EXPECT_THAT(second.head, Not(HasSubstr("; hit")));
  }
}

constexpr PrivateCase kPrivateCases[] = {
    {"ordinary", "Cache-Control: max-age=60\r\n", "", true},
    {"private", "Cache-Control: private, max-age=60\r\n", "", false},
    {"private in capitals", "Cache-Control: max-age=60, PRIVATE\r\n", "", false},
    {"private on a second line", "Cache-Control: max-age=60\r\nCache-Control: private\r\n", "",
     false},
    {"private field", "Cache-Control: private=\"X-User\", max-age=60\r\nX-User: ann\r\n", "",
     false},
    {"no-store", "Cache-Control: no-store, max-age=60\r\n", "", false},
    {"no-store asked for", "Cache-Control: max-age=60\r\n", "Cache-Control: no-store\r\n", false},
    {"Set-Cookie", "Cache-Control: max-age=60\r\nSet-Cookie: session=1\r\n", "", false},
    {"Set-Cookie and Expires",
     "Expires: Fri, 01 Jan 2100 00:00:00 GMT\r\nSet-Cookie: session=1\r\n", "", false},
    {"Set-Cookie for all", "Cache-Control: public, max-age=60\r\nSet-Cookie: theme=dark\r\n", "",
     true},
    {"Authorization", "Cache-Control: max-age=60\r\n", "Authorization: Basic YTpi\r\n", false},
    {"Authorization with leave", "Cache-Control: public, max-age=60\r\n",
     "Authorization: Basic YTpi\r\n", true},
    {"Vary: *", "Cache-Control: max-age=60\r\nVary: Accept, *\r\n", "", false},
};
INSTANTIATE_TEST_SUITE_P(Rules, CachePrivacy, ::testing::ValuesIn(kPrivateCases),
                         [](const auto& given) {
                           std::string name;
                           for (const char c : std::string(given.param.description)) {
                             if (std::isalnum(static_cast<unsigned char>(c)) != 0) name += c;
                           }
                           return name + std::to_string(given.index);
                         });

TEST(CachePrivacy, AnswersToAStrangerAreNotGivenToWhoAuthenticates) {
  const NumberedOrigin origin("Cache-Control: max-age=60\r\n");
  const Gateway gateway(proxy_to(origin.upstream(), kCached));
  EXPECT_EQ(get(gateway.port(), "/").body, "answer 1");
  EXPECT_EQ(get(gateway.port(), "/", "Authorization: Basic YTpi\r\n").body, "answer 2");
  EXPECT_EQ(get(gateway.port(), "/").body, "answer 1") << "and the other way round";
}

// Nobody said that it may ever answer a second request; with the origin away there is no answer.
TEST(CachePrivacy, WhatHasNoLifetimeIsNotSentStale) {
  std::optional<Upstream> origin(std::in_place, ok("page of ann", "ETag: \"1\"\r\n"));
  const Gateway gateway(proxy_to(*origin, kCached));
  EXPECT_EQ(get(gateway.port(), "/").body, "page of ann");
  origin.reset();
  EXPECT_EQ(get(gateway.port(), "/").status, 502);
}

TEST(CachePrivacy, AnUnsafeRequestInvalidatesThoughItWouldUpgrade) {
  const NumberedOrigin origin("Cache-Control: max-age=60\r\n");
  const Gateway gateway(proxy_to(origin.upstream(), kCached));
  EXPECT_EQ(get(gateway.port(), "/").body, "answer 1");
  EXPECT_EQ(get(gateway.port(), "/").body, "answer 1");
  EXPECT_EQ(fetch(gateway.port(),
                  "DELETE / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\n")
                .status,
            200);
  EXPECT_EQ(get(gateway.port(), "/").body, "answer 3");
}

// Behind a proxy that ends TLS: what redirects to https must not answer requests that came by it.
TEST(CachePrivacy, RequestsByTlsAndWithoutShareNothing) {
  const Upstream origin([](UpstreamExchange& e) {
    const std::string fields = "Cache-Control: max-age=60\r\n";
    e.send(e.request.header("X-Forwarded-Proto") == "https"
               ? ok("page", fields)
               : "HTTP/1.1 301 Moved Permanently\r\nLocation: https://a/\r\n" + fields +
                     "Content-Length: 0\r\n\r\n");
  });
  const Gateway gateway(proxy_to(origin, kCached));
  EXPECT_EQ(get(gateway.port(), "/", "X-Forwarded-Proto: http\r\n").status, 301);
  EXPECT_EQ(get(gateway.port(), "/", "X-Forwarded-Proto: https\r\n").body, "page");
  EXPECT_EQ(get(gateway.port(), "/", "X-Forwarded-Proto: https\r\n").header("X-Cache"), "HIT");
  EXPECT_EQ(get(gateway.port(), "/", "X-Forwarded-Proto: http\r\n").header("X-Cache"), "HIT");
}

TEST(CachePrivacy, NoSpellingHidesAPageFromAPurge) {
  const NumberedOrigin origin("Cache-Control: max-age=60\r\n");
  const Gateway gateway(
      proxy_to(origin.upstream(), "cache: {mode: rfc9111, query_drop: [\"utm_*\"]}\n"));
  EXPECT_EQ(get(gateway.port(), "/page?utm_source=x&id=1").body, "answer 1");
  EXPECT_EQ(get(gateway.port(), "/page?id=1").body, "answer 1");
  const Response purged = fetch(
      gateway.port(), "DELETE /api/v1/cache?prefix=http://a/page%3Fid HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(purged.json()["removed"], 1);
  EXPECT_EQ(get(gateway.port(), "/page?id=1").body, "answer 2");
}

TEST(CachePrivacy, AUrlIsPurgedByAnyOfItsSpellings) {
  const NumberedOrigin origin("Cache-Control: max-age=60\r\n");
  const Gateway gateway(
      proxy_to(origin.upstream(), "cache: {mode: rfc9111, query_drop: [\"utm_*\"]}\n"));
  EXPECT_EQ(get(gateway.port(), "/page").body, "answer 1");
  EXPECT_EQ(get(gateway.port(), "/page?utm_source=x").body, "answer 1");
  const Response purged = fetch(gateway.port(),
                                "DELETE /api/v1/cache?key=http://a/page%3Futm_source=y "
                                "HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(purged.json()["removed"], 1);
  EXPECT_EQ(get(gateway.port(), "/page").body, "answer 2");
}

TEST(CachePrivacy, VariantsGoToThoseWhomTheyWereMadeFor) {
  const NumberedOrigin origin("Cache-Control: max-age=60\r\nVary: Cookie, Accept-Language\r\n");
  const Gateway gateway(proxy_to(origin.upstream(), kCached));
  EXPECT_EQ(get(gateway.port(), "/", "Cookie: user=ann\r\n").body, "answer 1");
  EXPECT_EQ(get(gateway.port(), "/", "Cookie: user=bob\r\n").body, "answer 2");
  EXPECT_EQ(get(gateway.port(), "/").body, "answer 3") << "no cookie is not every cookie";
  EXPECT_EQ(get(gateway.port(), "/", "Cookie: user=ann, Accept-Language: de\r\n").body, "answer 4")
      << "a value cannot be written that reads as two fields";
  EXPECT_EQ(get(gateway.port(), "/", "Cookie: user=ann\r\n").body, "answer 1");
}

// --- keys that a client would like to forge

struct Address {
  const char* host;
  const char* target;
};

// Each a resource of its own. Some are written to read as another's key where parts of keys are
// only joined.
constexpr Address kAddresses[] = {
    {"a", "/"},
    {"a", "//"},
    {"a", "/?"},
    {"a", "/?x"},
    {"a", "/?x="},
    {"a", "/?X"},
    {"a", "/%3Fx"},
    {"a", "/?x=1&y=2"},
    {"a", "/?y=2&x=1"},
    {"a", "/?x=1%26y=2"},
    {"a", "/?x=1;y=2"},
    {"a", "/x=1&y=2"},
    {"a", "/A"},
    {"a", "/a"},
    {"a", "/%61"},
    {"a", "/a/"},
    {"a", "/a%2F"},
    {"a", "/a;v=1"},
    {"a", "/a,/b"},
    {"a", "/a:1"},
    {"a", "/a-"},
    {"a", "/a1:/"},
    {"a", "/-4:http1:b1:/-"},
    {"a", "/1:G4:http1:b2:/a-"},
    {"a", "/?-1:G4:http1:a2:/a-"},
    {"a", "/http://b/"},
    {"a", "/?Host:%20b"},
    {"a", "/%0d%0aHost:%20b"},
    {"a", "/a%20HTTP/1.1%0d%0aX:%20y"},
    {"b", "/"},
    {"a.b", "/"},
    {"a1", "/"},
    {"a:81", "/"},
    {"a-", "/"},
    {"[::1]", "/"},
    {"[::1]:81", "/"},
};

TEST(CacheKeys, HostileAddressesShareNothing) {
  const NumberedOrigin origin("Cache-Control: max-age=600\r\n");
  const Gateway gateway(proxy_to(origin.upstream(), kCached));
  for (int round = 0; round < 2; ++round) {
    int number = 0;
    for (const Address& address : kAddresses) {
      EXPECT_EQ(request(gateway, "GET", address.target, address.host).body,
                "answer " + std::to_string(++number))
          << address.host << " " << address.target << (round == 0 ? "" : " from the cache");
    }
  }
  EXPECT_EQ(origin.upstream().request_count(), std::size(kAddresses));
}

TEST(CacheKeys, OneResourceHasOneKey) {
  const NumberedOrigin origin("Cache-Control: max-age=600\r\n");
  const Gateway gateway(proxy_to(origin.upstream(), kCached));
  EXPECT_EQ(request(gateway, "GET", "/a", "shop.example").body, "answer 1");
  EXPECT_EQ(request(gateway, "GET", "/a", "SHOP.example").body, "answer 1");
  EXPECT_EQ(request(gateway, "GET", "/a", "shop.example:80").body, "answer 1");
  EXPECT_EQ(request(gateway, "GET", "http://shop.example/a", "shop.example").body, "answer 1");
}

// --- poisoning through what is not part of the key

// Answers with what an application would build links and redirects from.
class ReflectingOrigin {
 public:
  ReflectingOrigin()
      : upstream_([](UpstreamExchange& exchange) {
          exchange.read_body();
          std::string body = "host " + exchange.request.header("Host");
          for (const char* name : {"X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Port",
                                   "X-Forwarded-For", "Forwarded", "X-Forwarded-Prefix"}) {
            body += "; " + exchange.request.header(name);
          }
          exchange.send(ok(body + "; body " + exchange.request.body,
                           "Cache-Control: max-age=600\r\nETag: \"1\"\r\n"));
        }) {}
  const Upstream& upstream() const { return upstream_; }

 private:
  Upstream upstream_;
};

TEST(CachePoisoning, ForwardingFieldsOfAStrangerDoNotReachAnAnswer) {
  const ReflectingOrigin origin;
  const Gateway gateway(
      proxy_to(origin.upstream(), std::string(kCached) + "trusted_proxies: []\n"));
  const Response poisoned = get(gateway.port(), "/",
                                "X-Forwarded-Host: evil\r\nX-Forwarded-Proto: evil\r\n"
                                "X-Forwarded-Port: evil\r\nX-Forwarded-For: evil\r\n");
  const Response innocent = get(gateway.port(), "/");
  EXPECT_THAT(poisoned.body, Not(HasSubstr("evil")));
  EXPECT_EQ(innocent.body, poisoned.body) << "and is served from the cache";
  EXPECT_EQ(origin.upstream().request_count(), 1u);
}

TEST(CachePoisoning, ARequestThatAsksForLessLeavesNothingLessForOthers) {
  for (const char* field : {"Range: bytes=0-3\r\n", "If-None-Match: \"1\"\r\n",
                            "If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT\r\n",
                            "If-Match: \"2\"\r\n", "Expect: 100-continue\r\n"}) {
    // Obeys what it is asked.
    const Upstream upstream([](UpstreamExchange& exchange) {
      exchange.read_body();
      const std::string fields = "Cache-Control: max-age=600\r\nETag: \"1\"\r\n";
      if (exchange.request.has("Range")) {
        exchange.send(
            "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-3/11\r\n"
            "Content-Length: 4\r\n" +
            fields + "\r\nthe ");
      } else if (exchange.request.has("If-None-Match") ||
                 exchange.request.has("If-Modified-Since")) {
        exchange.send("HTTP/1.1 304 Not Modified\r\n" + fields + "\r\n");
      } else if (exchange.request.has("If-Match")) {
        exchange.send("HTTP/1.1 412 Precondition Failed\r\nContent-Length: 0\r\n\r\n");
      } else {
        exchange.send(ok("the answers", fields));
      }
    });
    const Gateway gateway(proxy_to(upstream, kCached));
    get(gateway.port(), "/", field);
    const Response innocent = get(gateway.port(), "/");
    EXPECT_EQ(innocent.status, 200) << field;
    EXPECT_EQ(innocent.body, "the answers") << field;
  }
}

TEST(CachePoisoning, HeadLeavesNoEmptyAnswer) {
  const NumberedOrigin origin("Cache-Control: max-age=600\r\n");
  const Gateway gateway(proxy_to(origin.upstream(), kCached));
  RawClient client(gateway.port());
  client.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(client.read_response(kDeadline, true).status, 200);
  EXPECT_THAT(get(gateway.port(), "/").body, HasSubstr("answer"));
}

TEST(CachePoisoning, TheBodyOfAGetDoesNotShapeTheAnswerOfOthers) {
  const ReflectingOrigin origin;
  const Gateway gateway(proxy_to(origin.upstream(), kCached));
  request(gateway, "GET", "/", "a", "Content-Length: 4\r\n\r\nevil");
  EXPECT_THAT(get(gateway.port(), "/").body, Not(HasSubstr("evil")));
}

TEST(CachePoisoning, AnErrorThatOneClientProvokedIsNotStored) {
  const Upstream upstream([](UpstreamExchange& exchange) {
    exchange.read_body();
    exchange.send(exchange.request.has("X-Broken")
                      ? "HTTP/1.1 400 Bad Request\r\nContent-Length: 3\r\n\r\nbad"
                      : ok("good", "Cache-Control: max-age=600\r\n"));
  });
  const Gateway gateway(proxy_to(upstream, kCached));
  EXPECT_EQ(get(gateway.port(), "/", "X-Broken: 1\r\n").status, 400);
  EXPECT_EQ(get(gateway.port(), "/").body, "good");
}

TEST(CachePoisoning, MethodsShareNothing) {
  const NumberedOrigin origin("Cache-Control: max-age=600\r\n");
  const Gateway gateway(proxy_to(origin.upstream(), kCached));
  EXPECT_EQ(request(gateway, "POST", "/", "a", "Content-Length: 0\r\n\r\n").body, "answer 1");
  EXPECT_EQ(request(gateway, "OPTIONS", "/").body, "answer 2");
  EXPECT_EQ(request(gateway, "get", "/").body, "answer 3") << "methods have a case";
  EXPECT_EQ(get(gateway.port(), "/").body, "answer 4");
}

}  // namespace
}  // namespace tyaprover::test
