#include "tyaprover/gateway/router.h"

#include <gtest/gtest.h>

namespace tyaprover::gateway {
namespace {

AppConfig app(std::string name, std::vector<std::string> hosts, std::string path) {
  AppConfig a;
  a.name = std::move(name);
  a.hosts = std::move(hosts);
  a.path = std::move(path);
  return a;
}

TEST(Router, TheMostSpecificHostAndThenTheLongestPathWins) {
  const std::vector<AppConfig> apps = {
      app("any", {}, "/"),
      app("any-api", {}, "/api"),
      app("wild", {"*.example.com"}, "/"),
      app("wild-deep", {"*.shop.example.com"}, "/"),
      app("exact", {"shop.example.com", "Other.example.com"}, "/"),
      app("exact-cart", {"shop.example.com"}, "/cart/"),
  };
  const Router router(apps);
  struct Case {
    const char* host;
    const char* path;
    const char* app;
  };
  for (const Case& c : {
           Case{"nowhere", "/", "any"},
           Case{"nowhere", "/api", "any-api"},
           Case{"nowhere", "/api/v1", "any-api"},
           Case{"nowhere", "/apis", "any"},  // segments match whole
           Case{"a.example.com", "/api", "wild"},
           Case{"example.com", "/", "any"},  // the wildcard stands for at least one label
           Case{"x.shop.example.com", "/", "wild-deep"},
           Case{"shop.example.com", "/", "exact"},
           Case{"SHOP.example.COM", "/", "exact"},
           Case{"other.example.com", "/cart/", "exact"},
           Case{"shop.example.com", "/cart/1", "exact-cart"},
           Case{"shop.example.com", "/cart", "exact"},
           Case{"", "/", "any"},
       }) {
    const Route* const route = router.find(c.host, c.path);
    ASSERT_NE(route, nullptr) << c.host << c.path;
    EXPECT_EQ(route->app->name, c.app) << c.host << c.path;
  }
}

TEST(Router, NothingMatchesWhatNoAppServes) {
  const std::vector<AppConfig> apps = {app("one", {"one.example"}, "/x")};
  const Router router(apps);
  EXPECT_EQ(router.find("two.example", "/x"), nullptr);
  EXPECT_EQ(router.find("one.example", "/"), nullptr);
  EXPECT_EQ(router.find("one.example", "*"), nullptr);
}

}  // namespace
}  // namespace tyaprover::gateway
