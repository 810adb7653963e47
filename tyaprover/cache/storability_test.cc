// Storability: what a shared cache may keep, and which fields of it.
#include "tyaprover/cache/storability.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace tyaprover::cache {
namespace {

using namespace std::chrono_literals;
using Fields = std::vector<HeaderField>;

const WallTime kNow = std::chrono::sys_days(std::chrono::year(2026) / 11 / 24) + 12h;

struct Message {
  std::string_view method = "GET";
  Fields request;
  int status = 200;
  Fields response;
};

StoreDecision decide(const Message& m, const StorePolicy& policy = {},
                     const FreshnessOptions& options = {}) {
  const ResponseControl control = response_control(m.response);
  const Freshness freshness = evaluate_freshness(m.status, m.response, control,
                                                 {.request = kNow, .response = kNow}, options);
  return decide_store({.method = m.method, .target = "http://Example.com/a?b", .fields = m.request},
                      {.status = m.status, .fields = m.response}, control, freshness, policy);
}

const HeaderField kFresh = {"Cache-Control", "max-age=60"};

TEST(Storability, FollowsTheRules) {
  struct Case {
    const char* about;
    Message message;
    StoreDecision expected;
  };
  const Case cases[] = {
      {"explicit lifetime", {.response = {kFresh}}, StoreDecision::store},
      {"nothing said", {}, StoreDecision::never_reusable},
      {"a validator alone", {.response = {{"ETag", "\"a\""}}}, StoreDecision::store},
      {"an ETag that is none", {.response = {{"ETag", "a"}}}, StoreDecision::never_reusable},
      {"no-cache with a validator",
       {.response = {{"Cache-Control", "no-cache"}, {"ETag", "\"a\""}}},
       StoreDecision::store},
      {"no-cache without",
       {.response = {{"Cache-Control", "no-cache, max-age=60, stale-if-error=60"}}},
       StoreDecision::store},  // fresh lifetime: kept, though each use needs the origin
      {"stale from the start",
       {.response = {{"Cache-Control", "max-age=0"}}},
       StoreDecision::never_reusable},
      {"stale but for errors",
       {.response = {{"Cache-Control", "max-age=0, stale-if-error=60"}}},
       StoreDecision::store},
      // H2: methods
      {"HEAD", {.method = "HEAD", .response = {kFresh}}, StoreDecision::method},
      {"PUT", {.method = "PUT", .response = {kFresh}}, StoreDecision::method},
      {"lower case", {.method = "get", .response = {kFresh}}, StoreDecision::method},
      {"POST", {.method = "POST", .response = {kFresh}}, StoreDecision::method},
      {"POST that names its URI",
       {.method = "POST", .response = {kFresh, {"Content-Location", "/a?b"}}},
       StoreDecision::store},
      {"POST that names its URI in full",
       {.method = "POST", .response = {kFresh, {"Content-Location", "http://example.com/a?b"}}},
       StoreDecision::store},
      {"POST that names another",
       {.method = "POST", .response = {kFresh, {"Content-Location", "/b"}}},
       StoreDecision::method},
      {"POST without explicit lifetime",
       {.method = "POST", .response = {{"Content-Location", "/a?b"}, {"ETag", "\"a\""}}},
       StoreDecision::method},
      // H2: statuses
      {"100", {.status = 100, .response = {kFresh}}, StoreDecision::status},
      {"103", {.status = 103, .response = {kFresh}}, StoreDecision::status},
      {"304", {.status = 304, .response = {kFresh}}, StoreDecision::status},
      {"999", {.status = 999, .response = {kFresh}}, StoreDecision::status},
      {"299", {.status = 299, .response = {kFresh}}, StoreDecision::store},
      {"302", {.status = 302, .response = {kFresh}}, StoreDecision::store},
      {"404", {.status = 404, .response = {kFresh}}, StoreDecision::store},
      {"499", {.status = 499, .response = {kFresh}}, StoreDecision::store},
      {"503", {.status = 503, .response = {kFresh}}, StoreDecision::store},
      {"599", {.status = 599, .response = {kFresh}}, StoreDecision::store},
      {"201 with a validator alone",
       {.status = 201, .response = {{"ETag", "\"a\""}}},
       StoreDecision::not_cacheable},
      {"599 with public and a validator",
       {.status = 599, .response = {{"Cache-Control", "public"}, {"ETag", "\"a\""}}},
       StoreDecision::store},
      {"206 of a known range",
       {.status = 206, .response = {kFresh, {"Content-Range", "bytes 0-4/10"}}},
       StoreDecision::store},
      {"206 in several parts",
       {.status = 206, .response = {kFresh, {"Content-Type", "multipart/byteranges"}}},
       StoreDecision::status},
      {"must-understand, understood",
       {.response = {{"Cache-Control", "must-understand, no-store, max-age=60"}}},
       StoreDecision::store},
      {"must-understand, not understood",
       {.status = 599, .response = {{"Cache-Control", "must-understand, max-age=60"}}},
       StoreDecision::not_understood},
      // H3
      {"no-store",
       {.response = {{"Cache-Control", "max-age=60, no-store"}}},
       StoreDecision::no_store},
      {"private",
       {.response = {{"Cache-Control", "private, max-age=60"}}},
       StoreDecision::is_private},
      {"private of one field",
       {.response = {{"Cache-Control", "private=\"a\", max-age=60"}}},
       StoreDecision::is_private},
      {"no-store for CDNs",
       {.response = {kFresh, {"CDN-Cache-Control", "no-store"}}},
       StoreDecision::no_store},
      {"no-store for others",
       {.response = {{"Cache-Control", "no-store"}, {"CDN-Cache-Control", "max-age=60"}}},
       StoreDecision::store},
      {"no-store of the request",
       {.request = {{"Cache-Control", "no-store"}}, .response = {kFresh}},
       StoreDecision::request_no_store},
      {"Vary: *", {.response = {kFresh, {"Vary", "*"}}}, StoreDecision::vary_all},
      {"Vary: * in a list", {.response = {kFresh, {"Vary", "a, *"}}}, StoreDecision::vary_all},
      {"Vary: * on its own line",
       {.response = {kFresh, {"Vary", ""}, {"Vary", "*"}}},
       StoreDecision::vary_all},
      {"what may hide a directive",
       {.response = {{"Cache-Control", "max-age=60, a=\"no-store"}}},
       StoreDecision::malformed},
  };
  for (const Case& c : cases) {
    const StoreDecision decision = decide(c.message);
    EXPECT_EQ(decision, c.expected) << c.about << ": " << to_string(decision);
  }
}

// RFC 9111 §3.5
TEST(Storability, AuthorizationNeedsPermission) {
  const auto with = [](std::string_view value) {
    return decide(
        {.request = {{"Authorization", "Basic YTpi"}}, .response = {{"Cache-Control", value}}});
  };
  EXPECT_EQ(with("max-age=60"), StoreDecision::authorization);
  EXPECT_EQ(with("max-age=60, proxy-revalidate"), StoreDecision::authorization);
  EXPECT_EQ(with("max-age=60, s-maxage=x"), StoreDecision::authorization);
  EXPECT_EQ(with("max-age=60, public"), StoreDecision::store);
  EXPECT_EQ(with("s-maxage=60"), StoreDecision::store);
  EXPECT_EQ(with("max-age=60, must-revalidate"), StoreDecision::store);
}

// H10
TEST(Storability, SetCookieFollowsItsPolicy) {
  const HeaderField cookie = {"Set-Cookie", "a=b"};
  const auto with = [&](Fields fields, SetCookiePolicy policy) {
    fields.push_back(cookie);
    return decide({.response = fields}, {.set_cookie = policy}) == StoreDecision::store;
  };
  const std::string expires = "Wed, 25 Nov 2026 12:00:00 GMT";
  struct Case {
    Fields fields;
    bool shared, rfc9111;
  };
  const Case cases[] = {
      {{{"Cache-Control", "max-age=60"}}, false, true},
      {{{"Cache-Control", "max-age=60, public"}}, true, true},
      {{{"Cache-Control", "s-maxage=60"}}, true, true},
      {{{"CDN-Cache-Control", "max-age=60"}}, true, true},
      {{{"Expires", expires}}, false, true},
      {{{"Cache-Control", "public"}, {"ETag", "\"a\""}}, false, false},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(with(c.fields, SetCookiePolicy::shared), c.shared) << c.fields[0].value;
    EXPECT_EQ(with(c.fields, SetCookiePolicy::rfc9111), c.rfc9111) << c.fields[0].value;
    EXPECT_FALSE(with(c.fields, SetCookiePolicy::never)) << c.fields[0].value;
    EXPECT_TRUE(with(c.fields, SetCookiePolicy::strip)) << c.fields[0].value;
  }
}

TEST(Storability, ForcedLifetimeStillRespectsTheOriginUnlessOverridden) {
  const FreshnessOptions forced{.forced_lifetime = 5min};
  const Message no_store{.response = {{"Cache-Control", "no-store"}}};
  const Message personal{.response = {{"Cache-Control", "private"}}};
  EXPECT_EQ(decide({}, {}, forced), StoreDecision::store);
  EXPECT_EQ(decide(no_store, {}, forced), StoreDecision::no_store);
  EXPECT_EQ(decide(personal, {}, forced), StoreDecision::is_private);
  EXPECT_EQ(decide(no_store, {.override_origin = true}, forced), StoreDecision::store);
  EXPECT_EQ(decide(personal, {.override_origin = true}, forced), StoreDecision::store);
}

TEST(Storability, RequestDirectivesCanBeIgnored) {
  const Message message{.request = {{"Cache-Control", "no-store"}}, .response = {kFresh}};
  EXPECT_EQ(decide(message, {.honour_request_directives = false}), StoreDecision::store);
}

std::string show(const Fields& fields) {
  std::string text;
  for (const HeaderField& field : fields) text.append(field.name).append(" ");
  return text;
}

// RFC 9111 §3.1
TEST(Storability, LeavesOutFieldsOfTheConnection) {
  const Fields response = {{"Connection", "a, B"},
                           {"a", "1"},
                           {"b", "2"},
                           {"c", "3"},
                           {"Keep-Alive", "timeout=5"},
                           {"Proxy-Authenticate", "x"},
                           {"Proxy-Authentication-Info", "x"},
                           {"Proxy-Authorization", "x"},
                           {"Proxy-Connection", "x"},
                           {"TE", "x"},
                           {"Trailer", "x"},
                           {"Transfer-Encoding", "chunked"},
                           {"Upgrade", "x"},
                           {"Age", "5"},
                           {"Content-Type", "text/plain"},
                           {"Set-Cookie", "a=b"}};
  EXPECT_EQ(show(storable_fields(response)), "c Content-Type Set-Cookie ");
  EXPECT_EQ(show(storable_fields(response, {.strip_set_cookie = true})), "c Content-Type ");
}

// §5.2.2.4
TEST(Storability, WithholdsWhatNoCacheNames) {
  const Fields stored = {
      {"Cache-Control", "no-cache=\"a, B\", max-age=60"}, {"A", "1"}, {"b", "2"}, {"c", "3"}};
  EXPECT_EQ(show(reusable_without_validation(stored)), "Cache-Control c ");
}

TEST(Storability, ReadsFieldsOfAnyShape) {
  struct Wide {
    int id;
    std::string_view name;
    std::string_view value;
    int more;
  };
  const std::vector<Wide> fields = {{1, "A", "x", 2}, {3, "B", "y", 4}};
  const HeaderFields view(fields);
  ASSERT_EQ(view.size(), 2u);
  EXPECT_EQ(view[1], (HeaderField{"B", "y"}));
  EXPECT_EQ(view.first("a"), "x");
  EXPECT_TRUE(HeaderFields(std::vector<Wide>{}).empty());
}

}  // namespace
}  // namespace tyaprover::cache
