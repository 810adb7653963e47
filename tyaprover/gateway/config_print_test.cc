#include "tyaprover/gateway/config_print.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tyaprover/gateway/config_test_files.h"

namespace tyaprover::gateway {
namespace {

using testing::HasSubstr;

LoadedConfig load(const std::string& yaml, std::map<std::string, std::string> environment = {}) {
  const MemoryFiles files({{"t.yaml", yaml}});
  auto loaded = load_config(
      {.file = "t.yaml", .environment = lookup_in(std::move(environment)), .files = &files});
  EXPECT_TRUE(loaded) << errors_as_text(loaded.error());
  return loaded ? *loaded : LoadedConfig{};
}

constexpr const char* kYaml = R"(
listen: ["127.0.0.1:3000"]
apps:
  - name: shop
    hosts: ["*.example.com"]
    upstream: {targets: ["http://a:1"]}
    timeouts: {connect: 2s}
    security_headers: {server: "", content_security_policy: "default-src 'self'; x-$${y}"}
timeouts: {request: 1.5s}
)";

TEST(ConfigPrint, YamlReadsBackAsTheSameConfiguration) {
  const LoadedConfig loaded = load(kYaml);
  const std::string printed = config_as_yaml(loaded);
  EXPECT_EQ(load(printed).config, loaded.config) << printed;
}

TEST(ConfigPrint, EveryValueSaysWhereItIsFrom) {
  const std::string yaml = config_as_yaml(load(kYaml, {{"PORT", "8080"}}));
  EXPECT_THAT(yaml, HasSubstr("listen: [\"127.0.0.1:8080\"]                  # environment PORT"));
  EXPECT_THAT(yaml, HasSubstr("workers: auto                               # default"));
  EXPECT_THAT(yaml, HasSubstr("      connect: 2s                           # t.yaml:7"));
}

TEST(ConfigPrint, JsonHoldsValuesAndOrigins) {
  const auto json = nlohmann::json::parse(
      config_as_json(load(kYaml, {{"METRICS_API_KEY", "hunter2"}, {"CACHE_TTL", "1000"}})));
  EXPECT_EQ(json["files"], nlohmann::json({"t.yaml"}));
  const auto& config = json["config"];
  EXPECT_EQ(config["listen"], nlohmann::json({"127.0.0.1:3000"}));
  EXPECT_EQ(config["forwarded_header"], false);
  EXPECT_EQ(config["limits"]["fields"], 100);
  EXPECT_EQ(config["limits"]["body"], "100MiB");
  EXPECT_EQ(config["cache"]["ttl"], "1s");
  EXPECT_EQ(config["metrics"]["api_key"], "***");
  const auto& app = config["apps"][0];
  EXPECT_EQ(app["name"], "shop");
  EXPECT_EQ(app["upstream"]["targets"][0], "http://a:1");
  EXPECT_EQ(app["timeouts"]["connect"], "2s");
  EXPECT_EQ(app["timeouts"]["request"], "1.5s");
  EXPECT_EQ(json["origins"]["apps[0].timeouts.connect"], "t.yaml:7");
  EXPECT_EQ(json["origins"]["apps[0].timeouts.request"], "t.yaml:9");
  EXPECT_EQ(json["origins"]["cache.ttl"], "environment CACHE_TTL");
}

TEST(ConfigPrint, NoSecretIsShown) {
  const LoadedConfig loaded = load(
      kYaml,
      {{"METRICS_API_KEY", "hunter2"}, {"TRACE_EXPORTER_ENDPOINT", "http://me:hunter2@jaeger/"}});
  for (const std::string& text : {config_as_yaml(loaded), config_as_json(loaded)}) {
    EXPECT_EQ(text.find("hunter2"), std::string::npos) << text;
    EXPECT_THAT(text, HasSubstr("***"));
  }
}

}  // namespace
}  // namespace tyaprover::gateway
