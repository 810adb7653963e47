#include "tyaprover/gateway/banner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace tyaprover::gateway {
namespace {

using testing::HasSubstr;
using testing::Not;

Config two_apps() {
  Config config;
  config.apps.resize(2);
  config.apps[0].name = "shop";
  config.apps[0].hosts = {"shop.example"};
  config.apps[0].targets = {{.host = "a", .port = 1, .path = {}, .url = "http://a:1"}};
  config.apps[1].name = "rest";
  config.apps[1].targets = {{.host = "b", .port = 2, .path = {}, .url = "http://b:2"}};
  return config;
}

TEST(Banner, TextNamesListenersAppsFiltersAndOwnPaths) {
  const std::string text = banner_text(two_apps(), {"127.0.0.1:3000", "unix:/run/t.sock"}, 2);
  EXPECT_THAT(text, HasSubstr("2 workers"));
  EXPECT_THAT(text, HasSubstr("http://127.0.0.1:3000\n"));
  EXPECT_THAT(text, HasSubstr("unix:/run/t.sock\n"));
  EXPECT_THAT(text, HasSubstr("shop (shop.example, /) -> http://a:1\n"));
  EXPECT_THAT(text, HasSubstr("rest (every host, /) -> http://b:2\n"));
  EXPECT_THAT(text, HasSubstr("access-log"));
  EXPECT_THAT(text, HasSubstr("/health/ready"));
  EXPECT_THAT(text, HasSubstr("/api/v1/breakers"));
  EXPECT_THAT(text, HasSubstr("/test/failing-endpoint"));
}

TEST(Banner, JsonIsOneLineAndSaysTheSame) {
  Config config = two_apps();
  config.compression.enabled = false;
  config.endpoints.health = "";
  config.endpoints.metrics = "";
  config.endpoints.admin = "";
  config.environment = Environment::production;  // no test routes
  const std::string line = banner_json(config, {"127.0.0.1:3000"}, 1);
  EXPECT_EQ(line.find('\n'), line.size() - 1);
  const auto json = nlohmann::json::parse(line);
  EXPECT_EQ(json["msg"], "started");
  EXPECT_EQ(json["listeners"][0], "http://127.0.0.1:3000");
  EXPECT_EQ(json["apps"][0]["targets"][0], "http://a:1");
  EXPECT_THAT(json["filters"].dump(), Not(HasSubstr("compression")));
  EXPECT_TRUE(json["answers"].empty());
}

}  // namespace
}  // namespace tyaprover::gateway
