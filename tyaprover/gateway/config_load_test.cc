// What the golden files cannot show well: sources' precedence in values, hostile input, the real
// file system.
#include "tyaprover/gateway/config_load.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "tyaprover/gateway/config_print.h"
#include "tyaprover/gateway/config_test_files.h"

namespace tyaprover::gateway {
namespace {

using testing::HasSubstr;

class ConfigLoad : public testing::Test {
 protected:
  Result<LoadedConfig, std::vector<ConfigError>> load(const std::string& yaml) {
    files_.files["tyaprover.yaml"] = yaml;
    options_.file = "tyaprover.yaml";
    return load_without_file();
  }
  Result<LoadedConfig, std::vector<ConfigError>> load_without_file() {
    options_.files = &files_;
    options_.environment = lookup_in(environment_);
    return load_config(options_);
  }
  std::string errors_of(const std::string& yaml) {
    const auto loaded = load(yaml);
    return loaded ? "" : errors_as_text(loaded.error());
  }

  static constexpr std::string_view kApp = "apps: [{name: a, upstream: {targets: ['http://a']}}]\n";
  MemoryFiles files_;
  std::map<std::string, std::string> environment_;
  LoadOptions options_;
};

TEST_F(ConfigLoad, WithoutAnySourceTheDefaultsStand) {
  options_.apps_required = false;
  const auto loaded = load_without_file();
  ASSERT_TRUE(loaded);
  EXPECT_EQ(loaded->config.listen, std::vector<std::string>{":3000"});
  EXPECT_EQ(loaded->config.trusted_proxies.size(), 2u);
  EXPECT_TRUE(loaded->config.apps.empty());
  EXPECT_EQ(to_string(loaded->origin_of("listen")), "default");
}

TEST_F(ConfigLoad, TargetsAloneMakeOneAppForEveryHost) {
  options_.targets = {"http://localhost:8080", "http://localhost:8081"};
  const auto loaded = load_without_file();
  ASSERT_TRUE(loaded) << errors_as_text(loaded.error());
  ASSERT_EQ(loaded->config.apps.size(), 1u);
  const AppConfig& app = loaded->config.apps[0];
  EXPECT_EQ(app.name, "default");
  EXPECT_TRUE(app.hosts.empty());
  EXPECT_EQ(app.path, "/");
  ASSERT_EQ(app.targets.size(), 2u);
  EXPECT_EQ(app.targets[1].port, 8081);
  EXPECT_EQ(to_string(loaded->origin_of("apps[0].upstream.targets")), "flag URL");
}

TEST_F(ConfigLoad, ABadTargetIsNamed) {
  options_.targets = {"localhost:8080", "ftp://x"};
  const auto loaded = load_without_file();
  ASSERT_FALSE(loaded);
  EXPECT_THAT(errors_as_text(loaded.error()),
              HasSubstr("argument: \"localhost:8080\" is not a URL"));
  EXPECT_THAT(errors_as_text(loaded.error()), HasSubstr("\"ftp://x\" has an unknown scheme"));
}

TEST_F(ConfigLoad, TheCommandLineBeatsTheEnvironmentBeatsTheFile) {
  const std::string yaml =
      "listen: [':1']\nenvironment: development\nworkers: 1\n" + std::string(kApp);
  auto loaded = load(yaml);
  ASSERT_TRUE(loaded);
  EXPECT_EQ(loaded->config.listen[0], ":1");
  EXPECT_EQ(to_string(loaded->origin_of("listen")), "tyaprover.yaml:1");

  environment_ = {{"PORT", "2"}, {"NODE_ENV", "production"}};
  loaded = load(yaml);
  ASSERT_TRUE(loaded);
  EXPECT_EQ(loaded->config.listen[0], ":2");
  EXPECT_EQ(loaded->config.environment, Environment::production);
  EXPECT_EQ(to_string(loaded->origin_of("environment")), "environment NODE_ENV");

  options_.listen = {":3"};
  options_.workers = "3";
  loaded = load(yaml);
  ASSERT_TRUE(loaded);
  EXPECT_EQ(loaded->config.listen, std::vector<std::string>{":3"});
  EXPECT_EQ(loaded->config.workers, 3u);
  EXPECT_EQ(to_string(loaded->origin_of("listen")), "flag --listen");
}

// R2.1
TEST_F(ConfigLoad, TheTopIsEveryAppsDefault) {
  const auto loaded = load(R"(
timeouts: {connect: 1s}
limits: {body: 1MiB}
compression: {gzip_level: 1}
security_headers: {frame_options: DENY}
apps:
  - {name: a, path: /a, upstream: {targets: ["http://a"]}}
  - {name: b, path: /b, upstream: {targets: ["http://a"]}, timeouts: {connect: 9s}, limits: {body: 9MiB}}
)");
  ASSERT_TRUE(loaded) << errors_as_text(loaded.error());
  const AppConfig& a = loaded->config.apps[0];
  const AppConfig& b = loaded->config.apps[1];
  EXPECT_EQ(a.timeouts.connect, 1s);
  EXPECT_EQ(a.body_limit, 1u << 20);
  EXPECT_EQ(b.timeouts.connect, 9s);
  EXPECT_EQ(b.body_limit, 9u << 20);
  EXPECT_EQ(b.compression.gzip_level, 1);
  EXPECT_EQ(b.security_headers.frame_options, "DENY");
  EXPECT_EQ(to_string(loaded->origin_of("apps[0].timeouts.connect")), "tyaprover.yaml:2");
  EXPECT_EQ(to_string(loaded->origin_of("apps[1].timeouts.connect")), "tyaprover.yaml:8");
  EXPECT_EQ(to_string(loaded->origin_of("apps[1].timeouts.request")), "default");
}

TEST_F(ConfigLoad, AnEmptyVariableCountsAsNotSet) {
  environment_ = {{"PORT", ""}, {"NODE_ENV", ""}, {"CACHE_TTL", ""}};
  const auto loaded = load(std::string(kApp));
  ASSERT_TRUE(loaded);
  EXPECT_EQ(loaded->config.listen[0], ":3000");
}

TEST_F(ConfigLoad, SeedVariablesKeepTheirUnits) {
  environment_ = {
      {"CACHE_MAX_SIZE", "1000"}, {"CACHE_TTL", "300000"}, {"TRACE_SAMPLE_RATE", "0.1"}};
  auto loaded = load(std::string(kApp));
  ASSERT_TRUE(loaded);
  EXPECT_EQ(loaded->config.cache.max_entries, 1000u);
  EXPECT_EQ(loaded->config.cache.max_bytes, 64u << 20);
  EXPECT_EQ(loaded->config.app_cache.ttl, 5min);
  EXPECT_EQ(loaded->config.tracing.sample_rate, 0.1);

  environment_ = {{"CACHE_MAX_SIZE", "8MiB"}, {"CACHE_TTL", "1.5m"}};
  loaded = load(std::string(kApp));
  ASSERT_TRUE(loaded);
  EXPECT_EQ(loaded->config.cache.max_entries, 0u);
  EXPECT_EQ(loaded->config.cache.max_bytes, 8u << 20);
  EXPECT_EQ(loaded->config.apps[0].cache.ttl, 90s);
}

TEST_F(ConfigLoad, NoErrorHidesAnother) {
  environment_ = {{"PORT", "x"}};
  options_.settings = {"nothing=1"};
  const std::string text =
      errors_of("lisen: 1\ntimeouts: {connect: 5}\napps: [{name: a, upstream: {targets: [x]}}]\n");
  EXPECT_THAT(text, HasSubstr("tyaprover.yaml:1:1: unknown key \"lisen\""));
  EXPECT_THAT(text, HasSubstr("tyaprover.yaml:2:21: timeouts.connect: \"5\" needs a unit"));
  EXPECT_THAT(text, HasSubstr("tyaprover.yaml:3:39: upstream.targets: \"x\" is not a URL"));
  EXPECT_THAT(text, HasSubstr("environment variable PORT"));
  EXPECT_THAT(text, HasSubstr("--set: unknown key \"nothing\""));
}

TEST_F(ConfigLoad, ErrorsAreInTheOrderOfTheFile) {
  const auto loaded = load("apps: [{name: 1 2}]\nworkers: 0\nb: 1\nworkers: 3\n");
  ASSERT_FALSE(loaded);
  for (std::size_t i = 1; i < loaded.error().size(); ++i) {
    EXPECT_LE(loaded.error()[i - 1].line, loaded.error()[i].line);
  }
}

TEST_F(ConfigLoad, NoErrorShowsASecret) {
  environment_ = {{"METRICS_API_KEY", "hunter2\x01"},
                  {"DB_PASSWORD", "hunter2"},
                  {"TRACE_EXPORTER_ENDPOINT", "http//x:hunter2@y"}};
  environment_["TRACE_EXPORTER_ENDPOINT"] = "ftp://x:hunter2@y";
  const std::string text = errors_of(
      "workers: ${DB_PASSWORD}\nmetrics: {api_key: hunter2}\napps: [{name: a, upstream: {targets: "
      "['http://a:hunter2@b']}}]\n");
  EXPECT_THAT(text, HasSubstr("METRICS_API_KEY"));
  EXPECT_EQ(text.find("hunter2"), std::string::npos) << text;
}

TEST_F(ConfigLoad, MissingFilesSayWhatToDo) {
  options_.file = "nowhere.yaml";
  const auto loaded = load_without_file();
  ASSERT_FALSE(loaded);
  EXPECT_EQ(errors_as_text(loaded.error()),
            "nowhere.yaml: the file does not exist; name a readable file with -c\n");
}

TEST_F(ConfigLoad, AtMostAHundredErrorsAreListed) {
  std::string yaml;
  for (int i = 0; i < 5'000; ++i) yaml += "unknown" + std::to_string(i) + ": 1\n";
  const auto loaded = load(yaml);
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().size(), 100u);
}

TEST_F(ConfigLoad, LongListsAreReadInReasonableTime) {
  std::string yaml = "apps:\n  - name: a\n    upstream: {targets: ['http://a']}\n    hosts:\n";
  for (int i = 0; i < 50'000; ++i) yaml += "      - h" + std::to_string(i) + "\n";
  const auto loaded = load(yaml);
  ASSERT_TRUE(loaded) << errors_as_text(loaded.error());
  EXPECT_EQ(loaded->config.apps[0].hosts.size(), 50'000u);
}

TEST_F(ConfigLoad, AListOfAliasesOfOneAppIsOnlyDuplicates) {
  std::string yaml = "apps:\n  - &a {name: a, upstream: {targets: ['http://a']}}\n";
  for (int i = 0; i < 10'000; ++i) yaml += "  - *a\n";
  EXPECT_THAT(errors_of(yaml), HasSubstr("is defined twice"));
}

TEST_F(ConfigLoad, VariablesCannotMakeASmallFileLarge) {
  environment_ = {{"BIG", std::string(60'000, 'x')}};
  std::string yaml = "trusted_proxies: [";
  for (int i = 0; i < 20'000; ++i) yaml += "'${BIG}',";
  EXPECT_THAT(errors_of(yaml + "]\n" + std::string(kApp)), HasSubstr("longer than 1 MiB"));
}

TEST_F(ConfigLoad, TheRealFileSystemIsRead) {
  namespace fs = std::filesystem;
  char name[] = "/tmp/tyaprover-config-XXXXXX";
  ASSERT_NE(mkdtemp(name), nullptr);
  const fs::path folder = name;
  fs::create_directory(folder / "conf.d");
  std::ofstream(folder / "main.yaml") << "include: conf.d/*.yaml\n" << kApp;
  std::ofstream(folder / "conf.d/b.yaml")
      << "apps: [{name: b, path: /b, upstream: {targets: ['http://b']}}]\n";
  std::ofstream(folder / "conf.d/c.yaml")
      << "apps: [{name: c, path: /c, upstream: {targets: ['http://c']}}]\n";

  options_.file = folder / "main.yaml";
  const auto loaded = load_config(options_);
  ASSERT_TRUE(loaded) << errors_as_text(loaded.error());
  EXPECT_EQ(loaded->config.apps.size(), 3u);
  EXPECT_EQ(loaded->config.apps[2].name, "c");
  EXPECT_EQ(loaded->files.size(), 3u);

  options_.file = folder;
  const auto directory = load_config(options_);
  ASSERT_FALSE(directory);
  EXPECT_THAT(errors_as_text(directory.error()), HasSubstr("is a directory"));
  fs::remove_all(folder);
}

}  // namespace
}  // namespace tyaprover::gateway
