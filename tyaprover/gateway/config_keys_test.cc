#include "tyaprover/gateway/config_keys.h"

#include <gtest/gtest.h>

#include <set>

namespace tyaprover::gateway {
namespace {

TEST(ConfigKeys, EachNameStandsOncePerPlace) {
  std::set<std::string> at_the_top;
  std::set<std::string> in_apps;
  for (const ConfigKey& key : config_keys()) {
    const std::string path(key.path);
    const bool app_only = key.scope == KeyScope::app;
    EXPECT_TRUE(app_only || at_the_top.insert(path).second) << path;
    const bool app_too = app_only || key.scope == KeyScope::both;
    EXPECT_TRUE(!app_too || in_apps.insert(path).second) << path;
  }
}

TEST(ConfigKeys, EveryDefaultIsAllowedAndReadsBackEqual) {
  for (const ConfigKey& key : config_keys()) {
    Config config = default_config();
    AppConfig app;
    const ConfigView view{config, &app};
    const ValueText text = value_text(key, view);
    const bool required = key.path == "name" || key.path == "upstream.targets";
    if (text.unset || required) continue;
    const auto done = set_value(key, view, text.items);
    ASSERT_TRUE(done) << key.path << ": " << done.error().error.message;
    EXPECT_EQ(config, default_config()) << key.path;
    EXPECT_EQ(app, AppConfig{}) << key.path;
  }
}

TEST(ConfigKeys, EveryKeySaysWhatItMeansAndAllows) {
  for (const ConfigKey& key : config_keys()) {
    EXPECT_FALSE(key.meaning.empty()) << key.path;
    EXPECT_FALSE(allowed_values(key).empty()) << key.path;
    const bool ranged = key.type == KeyType::integer || key.type == KeyType::number ||
                        key.type == KeyType::duration || key.type == KeyType::size ||
                        key.type == KeyType::fraction || key.type == KeyType::codes;
    EXPECT_EQ(ranged, key.max > 0) << key.path;
  }
}

// Both ends of every range are values, and no app key writes into the gateway's settings.
TEST(ConfigKeys, EndsOfRangesAreAllowed) {
  for (const ConfigKey& key : config_keys()) {
    if (key.type != KeyType::integer) continue;
    for (const std::uint64_t value : {key.min, key.max}) {
      Config config = default_config();
      AppConfig app;
      const std::string text = std::to_string(value);
      EXPECT_TRUE(set_value(key, {config, &app}, {&text, 1})) << key.path << " " << text;
    }
    Config config = default_config();
    AppConfig app;
    const std::string beyond = std::to_string(key.max + 1);
    EXPECT_FALSE(set_value(key, {config, &app}, {&beyond, 1})) << key.path;
  }
}

TEST(ConfigKeys, AnAppsSettingStaysInTheApp) {
  Config config = default_config();
  AppConfig app;
  const std::string text = "2s";
  ASSERT_TRUE(set_value(*find_key("timeouts.connect", KeyScope::app), {config, &app}, {&text, 1}));
  EXPECT_EQ(app.timeouts.connect, 2s);
  EXPECT_EQ(config, default_config());
  ASSERT_TRUE(set_value(*find_key("timeouts.connect", KeyScope::gateway), {config}, {&text, 1}));
  EXPECT_EQ(config.timeouts.connect, 2s);
}

TEST(ConfigKeys, WordsStandForSpecialValues) {
  Config config = default_config();
  const auto set = [&](std::string_view path, const std::string& text) {
    return set_value(*find_key(path, KeyScope::gateway), {config}, {&text, 1}).has_value();
  };
  EXPECT_TRUE(set("workers", "auto"));
  EXPECT_EQ(config.workers, 0u);
  EXPECT_FALSE(set("workers", "0"));
  EXPECT_TRUE(set("limits.body", "unlimited"));
  EXPECT_EQ(config.limits.body, kUnlimited);
  EXPECT_TRUE(set("shutdown.delay", "0s"));
  EXPECT_EQ(config.shutdown.delay, 0s);
  EXPECT_TRUE(set("shutdown.delay", "auto"));
  EXPECT_EQ(config.shutdown.delay, std::nullopt);
  EXPECT_TRUE(set("security_headers.server", ""));
  EXPECT_EQ(config.security_headers.server, "");
  EXPECT_TRUE(set("security_headers.server", "keep"));
  EXPECT_EQ(config.security_headers.server, std::nullopt);
  EXPECT_TRUE(set("endpoints.health", "off"));
  EXPECT_EQ(config.endpoints.health, "");
}

TEST(ConfigKeys, NoSecretIsWritten) {
  Config config = default_config();
  config.metrics.api_key = "hunter2";
  config.tracing.exporter_endpoint = "http://me:hunter2@host/";
  for (const ConfigKey& key : config_keys()) {
    AppConfig app;
    for (const std::string& item : value_text(key, {config, &app}).items) {
      EXPECT_EQ(item.find("hunter2"), std::string::npos) << key.path;
    }
  }
}

TEST(ConfigKeys, TheReferenceNamesEveryKey) {
  const std::string reference = key_reference();
  for (const ConfigKey& key : config_keys()) {
    EXPECT_NE(reference.find("| `" + std::string(key.scope == KeyScope::app ? "apps[]." : "") +
                             std::string(key.path) + "` |"),
              std::string::npos)
        << key.path;
  }
}

}  // namespace
}  // namespace tyaprover::gateway
