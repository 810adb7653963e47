// What the cache tells of itself, and how it is told to forget (the cache specification, F8, F9).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/integration/support.h"

namespace tyaprover::test {
namespace {

using ::testing::HasSubstr;

class CacheAdmin : public ::testing::Test {
 protected:
  // "HIT", "MISS", …
  std::string ask(std::string_view target, std::string_view fields = "") {
    return get(gateway.port(), target, fields).header("X-Cache");
  }
  Json stats() { return get(gateway.port(), "/cache/stats").json(); }
  Response remove(const std::string& query, const std::string& fields = "") {
    return fetch(gateway.port(), "DELETE /api/v1/cache?" + query +
                                     " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" + fields +
                                     "\r\n");
  }
  Json removed(const std::string& query) { return remove(query).json()["removed"]; }
  std::string metrics() { return get(gateway.port(), "/metrics").body; }

  Upstream upstream{[](UpstreamExchange& exchange) {
    exchange.read_body();
    const std::string target = exchange.request.target();
    if (target == "/none") {
      exchange.send(ok("none", "Cache-Control: no-store\r\n"));
    } else {
      exchange.send(ok("body", "Cache-Control: max-age=600\r\nETag: \"1\"\r\nCache-Tag: all, " +
                                   target.substr(1, 1) + "\r\n"));
    }
  }};
  Gateway gateway{proxy_to(upstream, "cache: {mode: rfc9111}\nadmin: {api_key: k}\n")};
};

TEST_F(CacheAdmin, StatsHaveTheSeedsFieldsAndMore) {
  Json json = stats();
  EXPECT_EQ(json["hits"], 0);
  EXPECT_EQ(json["hitRate"], 0);
  ask("/a");
  ask("/a");
  ask("/a");
  ask("/b");
  json = stats();
  EXPECT_EQ(json["hits"], 2);
  EXPECT_EQ(json["misses"], 2);
  EXPECT_EQ(json["keys"], 2);
  EXPECT_GT(json["size"], 2 * 4);
  EXPECT_EQ(json["hitRate"], 50);
  EXPECT_EQ(json["entries"], json["keys"]);
  EXPECT_EQ(json["bytes"], json["size"]);
  EXPECT_EQ(json["maxBytes"], 64 * 1024 * 1024);
  EXPECT_EQ(json["results"]["hit"], 2);
  EXPECT_EQ(json["apps"].front()["miss"], 2);
}

TEST_F(CacheAdmin, StatsAreForReadingOnly) {
  const Response answer =
      fetch(gateway.port(), "POST /cache/stats HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(answer.status, 405);
  EXPECT_EQ(answer.header("Allow"), "GET, HEAD");
}

TEST_F(CacheAdmin, PurgesByKey) {
  ask("/a?x=1");
  ask("/a?x=2");
  EXPECT_EQ(removed("key=http://a/a%3Fx=1"), 1);
  EXPECT_EQ(ask("/a?x=1"), "MISS");
  EXPECT_EQ(ask("/a?x=2"), "HIT");
  EXPECT_EQ(removed("key=http://a/other"), 0);
}

TEST_F(CacheAdmin, PurgesByPrefixPatternAndTag) {
  for (const char* target : {"/a/1", "/a/2", "/b/1"}) ask(target);
  EXPECT_EQ(removed("prefix=http://a/a/"), 2);
  EXPECT_EQ(ask("/b/1"), "HIT");
  EXPECT_EQ(ask("/a/1"), "MISS");
  EXPECT_EQ(removed("pattern=*/1"), 2);
  EXPECT_EQ(ask("/a/1"), "MISS");
  EXPECT_EQ(removed("pattern=/a/"), 1) << "without * and ? a part of the URL";
  ask("/a/1");
  ask("/b/1");
  EXPECT_EQ(removed("tag=b"), 1);
  EXPECT_EQ(ask("/b/1"), "MISS");
  EXPECT_EQ(ask("/a/1"), "HIT");
}

TEST(CacheAdminTags, OutliveARevalidationThatDoesNotRepeatThem) {
  const Upstream upstream([](UpstreamExchange& exchange) {
    exchange.read_body();
    const std::string fields = "Cache-Control: max-age=600\r\nETag: \"1\"\r\n";
    exchange.send(exchange.request.has("If-None-Match")
                      ? "HTTP/1.1 304 Not Modified\r\n" + fields + "\r\n"
                      : ok("body", fields + "Surrogate-Key: product-7 red\r\n"));
  });
  const Gateway gateway(proxy_to(upstream, "cache: {mode: rfc9111}\n"));
  const auto purge = [&](const std::string& query) {
    return fetch(gateway.port(), "DELETE /api/v1/cache?" + query +
                                     " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .json()["removed"];
  };
  get(gateway.port(), "/");
  EXPECT_EQ(purge("tag=red&soft=true"), 1);
  EXPECT_EQ(get(gateway.port(), "/").header("X-Cache"), "REVALIDATED");
  EXPECT_EQ(purge("tag=red"), 1);
}

TEST_F(CacheAdmin, PurgesAll) {
  for (const char* target : {"/a", "/b", "/c"}) ask(target);
  EXPECT_EQ(removed("all=true"), 3);
  EXPECT_EQ(stats()["keys"], 0);
  EXPECT_EQ(stats()["size"], 0);
  EXPECT_EQ(stats()["evictions"]["cleared"], 3);
}

TEST_F(CacheAdmin, ASoftPurgeKeepsWhatCanBeRevalidated) {
  ask("/a");
  EXPECT_EQ(removed("key=http://a/a&soft=true"), 1);
  EXPECT_EQ(stats()["keys"], 1);
  EXPECT_NE(ask("/a"), "HIT");
  EXPECT_EQ(upstream.requests().back().header("If-None-Match"), "\"1\"");
  EXPECT_EQ(ask("/a"), "HIT");
}

TEST_F(CacheAdmin, APurgeThatIsNotClearRemovesNothing) {
  ask("/a");
  for (const char* query :
       {"", "all=false", "all", "key=", "key=/a", "key=http://a/a&tag=b",
        "key=http://a/a&sfot=true", "all=true&soft=1", "everything=true", "tag=a&tag=b"}) {
    const Response refused = remove(query);
    EXPECT_EQ(refused.status, 400) << query;
    EXPECT_EQ(refused.reason(), "bad_request") << query;
  }
  EXPECT_EQ(ask("/a"), "HIT");
}

TEST_F(CacheAdmin, APurgeIsLogged) {
  ask("/a");
  remove("prefix=http://a/");
  ASSERT_TRUE(wait_until([&] { return gateway.log().find("cache purged") != std::string::npos; }));
  const std::string log = gateway.log();
  EXPECT_THAT(log, HasSubstr("\"by\":\"prefix\""));
  EXPECT_THAT(log, HasSubstr("\"value\":\"http://a/\""));
  EXPECT_THAT(log, HasSubstr("\"removed\":\"1\""));
}

TEST_F(CacheAdmin, ReadingTheAdminPathShowsTheStats) {
  ask("/a");
  EXPECT_EQ(get(gateway.port(), "/api/v1/cache?all=true").json(), stats());
  EXPECT_EQ(ask("/a"), "HIT") << "and removes nothing";
  const Response other =
      fetch(gateway.port(), "POST /api/v1/cache HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(other.status, 405);
  EXPECT_EQ(other.header("Allow"), "GET, HEAD, DELETE");
}

TEST(CacheAdminAccess, AStrangerNeedsTheKey) {
  const Upstream upstream(ok("body", "Cache-Control: max-age=600\r\n"));
  const Gateway gateway(
      proxy_to(upstream, "cache: {mode: rfc9111}\nadmin: {access: [key], api_key: k}\n"));
  get(gateway.port(), "/a");
  const auto purge = [&](const std::string& fields) {
    return fetch(gateway.port(),
                 "DELETE /api/v1/cache?all=true HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n")
        .status;
  };
  EXPECT_EQ(purge(""), 403);
  EXPECT_EQ(get(gateway.port(), "/a").header("X-Cache"), "HIT");
  EXPECT_EQ(purge("x-api-key: k\r\n"), 200);
  EXPECT_EQ(get(gateway.port(), "/a").header("X-Cache"), "MISS");
}

TEST_F(CacheAdmin, TheCommandLineShowsAndPurges) {
  const std::string url = "http://127.0.0.1:" + std::to_string(gateway.port());
  const auto command = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "cache");
    arguments.insert(arguments.end(), {"--url", url});
    return tyaprover_command(std::move(arguments));
  };
  ask("/a?x=1&y=2");
  ask("/b");
  const CommandResult shown = command({"stats"});
  EXPECT_EQ(shown.exit_code, 0) << shown.err;
  EXPECT_THAT(shown.out, HasSubstr("misses: 2\nkeys: 2\n"));
  EXPECT_EQ(Json::parse(command({"stats", "--format", "json"}).out), stats());

  EXPECT_EQ(command({"purge", "http://a/a?x=1&y=2", "--soft"}).out, "removed: 1\n");
  EXPECT_NE(ask("/a?x=1&y=2"), "HIT");
  EXPECT_EQ(command({"purge", "http://a/a?x=1&y=2"}).out, "removed: 1\n");
  EXPECT_EQ(command({"purge", "--tag", "b"}).out, "removed: 1\n");
  EXPECT_EQ(command({"purge", "--all"}).out, "removed: 0\n");

  for (const std::vector<std::string>& wrong : {std::vector<std::string>{"purge"},
                                                {"purge", "--all", "--tag", "b"},
                                                {"stats", "--all"},
                                                {"forget"}}) {
    EXPECT_EQ(command(wrong).exit_code, 2) << wrong.back();
  }
  const CommandResult refused = command({"purge", "/not/a/url"});
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_THAT(refused.err, HasSubstr("key: a URL"));
}

TEST_F(CacheAdmin, AWebPageOfAnotherPlaceMayNotPurge) {
  ask("/a");
  EXPECT_EQ(remove("all=true", "Origin: http://evil.example\r\n").status, 403);
  EXPECT_EQ(ask("/a"), "HIT");
  // A name that the page's owner may have made to point here.
  EXPECT_EQ(remove("all=true", "Origin: http://a\r\n").status, 403);
  EXPECT_EQ(ask("/a"), "HIT");
}

TEST_F(CacheAdmin, MetricsTellTheSame) {
  ask("/a");
  ask("/a");
  ask("/none");
  removed("all=true");
  const std::string page = metrics();
  const std::string app = "app=\"" + stats()["apps"].begin().key() + "\"";
  EXPECT_THAT(page, HasSubstr("http_cache_requests_total{" + app + ",result=\"hit\"} 1\n"));
  EXPECT_THAT(page, HasSubstr("http_cache_requests_total{" + app + ",result=\"miss\"} 2\n"));
  EXPECT_THAT(page, HasSubstr("http_cache_bytes 0\n"));
  EXPECT_THAT(page, HasSubstr("http_cache_entries 0\n"));
  EXPECT_THAT(page, HasSubstr("http_cache_evictions_total{cause=\"cleared\"} 1\n"));
  EXPECT_THAT(page, HasSubstr("http_cache_collapsed_total 0\n"));
  EXPECT_THAT(page, HasSubstr("http_cache_refreshes_total{result=\"ok\"} 0\n"));
}

}  // namespace
}  // namespace tyaprover::test
