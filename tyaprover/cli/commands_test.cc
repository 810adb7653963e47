#include "tyaprover/cli/commands.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tyaprover/cli/command_line.h"
#include "tyaprover/gateway/config_keys.h"
#include "tyaprover/gateway/config_test_files.h"

namespace tyaprover::cli {
namespace {

using gateway::LoadedConfig;
using gateway::RunOptions;
using testing::HasSubstr;
using testing::StartsWith;

constexpr const char* kGood = "apps: [{name: shop, upstream: {targets: ['http://a']}}]\n";

class Commands : public testing::Test {
 protected:
  int run(const std::vector<std::string>& arguments) {
    out_.str("");
    err_.str("");
    started_.reset();
    return run_command_line(arguments,
                            {.out = out_,
                             .err = err_,
                             .environment = gateway::lookup_in(environment_),
                             .files = &files_,
                             .run = [this](LoadedConfig loaded, const RunOptions& options) {
                               started_ = std::move(loaded);
                               demo_ = options.demo;
                               return 0;
                             }});
  }
  // Bad usage is one line, and nothing starts.
  std::string bad_usage(const std::vector<std::string>& arguments) {
    EXPECT_EQ(run(arguments), kBadUsage);
    EXPECT_EQ(out_.str(), "");
    EXPECT_FALSE(started_);
    std::string text = err_.str();
    EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1) << text;
    EXPECT_THAT(text, StartsWith("tyaprover: "));
    return text;
  }

  gateway::MemoryFiles files_;
  std::map<std::string, std::string> environment_;
  std::ostringstream out_;
  std::ostringstream err_;
  std::optional<LoadedConfig> started_;
  bool demo_ = false;
};

TEST_F(Commands, VersionIsPrinted) {
  EXPECT_EQ(run({"version"}), kSuccess);
  EXPECT_EQ(out_.str(), "tyaprover " TYAPROVER_VERSION "\n");
  EXPECT_EQ(run({"--version"}), kSuccess);
  EXPECT_EQ(out_.str(), "tyaprover " TYAPROVER_VERSION "\n");
}

TEST_F(Commands, WithoutArgumentsTheHelpIsBadUsage) {
  EXPECT_EQ(run({}), kBadUsage);
  EXPECT_THAT(err_.str(), HasSubstr("Usage: tyaprover"));
}

TEST_F(Commands, HelpIsThereInEveryForm) {
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"help"}, {"--help"}, {"-h"}}) {
    EXPECT_EQ(run(arguments), kSuccess);
    for (const char* word : {"run", "check", "completion", "--demo", "URL"})
      EXPECT_THAT(out_.str(), HasSubstr(word));
  }
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"help", "check"}, {"check", "--help"}}) {
    EXPECT_EQ(run(arguments), kSuccess);
    EXPECT_THAT(out_.str(), HasSubstr("--print"));
    EXPECT_THAT(out_.str(), HasSubstr("tyaprover check"));
  }
  EXPECT_THAT(bad_usage({"help", "fly"}), HasSubstr("there is no command \"fly\""));
}

TEST_F(Commands, UrlsStartAtOnce) {
  EXPECT_EQ(run({"http://localhost:8080", "http://localhost:8081", "--listen", ":4000", "--workers",
                 "2", "--set", "timeouts.connect=2s"}),
            kSuccess);
  ASSERT_TRUE(started_) << err_.str();
  EXPECT_EQ(started_->config.apps.at(0).targets.size(), 2u);
  EXPECT_EQ(started_->config.listen, std::vector<std::string>{":4000"});
  EXPECT_EQ(started_->config.workers, 2u);
  EXPECT_EQ(started_->config.apps.at(0).timeouts.connect, std::chrono::seconds(2));
  EXPECT_FALSE(demo_);
}

TEST_F(Commands, OptionsMayStandBeforeUrls) {
  EXPECT_EQ(run({"--listen", ":4000", "--listen", "[::1]:4001", "http://localhost:8080"}),
            kSuccess);
  ASSERT_TRUE(started_) << err_.str();
  EXPECT_EQ(started_->config.listen.size(), 2u);
}

TEST_F(Commands, DemoNeedsNoApp) {
  EXPECT_EQ(run({"--demo", "--listen", "127.0.0.1:0"}), kSuccess);
  ASSERT_TRUE(started_) << err_.str();
  EXPECT_TRUE(demo_);
  EXPECT_TRUE(started_->config.apps.empty());
}

TEST_F(Commands, RunTakesTheNamedFileOrTheDefaultPlaces) {
  files_.files = {
      {"my.yaml", kGood}, {"./tyaprover.yaml", kGood}, {"/etc/tyaprover/tyaprover.yaml", kGood}};
  EXPECT_EQ(run({"run", "-c", "my.yaml", "--listen", ":1"}), kSuccess);
  ASSERT_TRUE(started_) << err_.str();
  EXPECT_EQ(started_->files, std::vector<std::string>{"my.yaml"});
  EXPECT_EQ(run({"run"}), kSuccess);
  EXPECT_EQ(started_->files, std::vector<std::string>{"./tyaprover.yaml"});
  files_.files.erase("./tyaprover.yaml");
  EXPECT_EQ(run({"run"}), kSuccess);
  EXPECT_EQ(started_->files, std::vector<std::string>{"/etc/tyaprover/tyaprover.yaml"});
}

TEST_F(Commands, WithoutAnyFileRunSaysWhereItLooked) {
  EXPECT_EQ(run({"run"}), kWrong);
  EXPECT_FALSE(started_);
  EXPECT_EQ(err_.str(),
            "tyaprover: no configuration, looked for ./tyaprover.yaml and "
            "/etc/tyaprover/tyaprover.yaml: name one "
            "with -c FILE, or start without one: tyaprover http://localhost:8080\n");
}

TEST_F(Commands, ABadConfigurationDoesNotStart) {
  files_.files = {{"bad.yaml", "lisen: 1\n"}};
  EXPECT_EQ(run({"run", "-c", "bad.yaml"}), kWrong);
  EXPECT_FALSE(started_);
  EXPECT_THAT(
      err_.str(),
      StartsWith(
          "bad.yaml:1:1: unknown key \"lisen\"\nlisen: 1\n^\nhint: did you mean \"listen\"?\n"));
  environment_ = {{"PORT", "x"}};
  EXPECT_EQ(run({"http://a"}), kWrong);
  EXPECT_THAT(err_.str(), StartsWith("environment variable PORT: \"x\" is not a port"));
}

TEST_F(Commands, BadUsageIsOneLineThatSaysWhatToDo) {
  files_.files = {{"t.yaml", kGood}};
  const struct {
    std::vector<std::string> arguments;
    std::string_view part;
  } cases[] = {
      {{"chekc"}, "\"chekc\" is neither a command nor a URL: did you mean \"check\"?"},
      {{"localhost:8080"}, "\"localhost:8080\" is not a URL: write \"http://localhost:8080\""},
      {{"https://a"}, "TLS"},
      {{"http://a", "-c", "t.yaml"}, "-c cannot be combined with URLs"},
      {{"--demo", "-c", "t.yaml"}, "-c cannot be combined with URLs or --demo"},
      {{"-c", "t.yaml"}, "write tyaprover run -c FILE"},
      {{"--demo", "http://a"}, "either --demo or URLs"},
      {{"--listen", ":1"}, "nothing to start"},
      {{"--listen", ":1", "run"}, "write them behind it"},
      {{"http://a", "--listen", "3000"}, "--listen: \"3000\" has no colon before the port"},
      {{"http://a", "--workers", "0"}, "--workers: \"0\" is out of range"},
      {{"http://a", "--set", "timeouts.conect=1s"}, "did you mean \"timeouts.connect\"?"},
      {{"http://a", "--lisen", ":1"}, "\"--lisen\" is no option: did you mean \"--listen\"?"},
      {{"run", "--confg=t.yaml"}, "did you mean \"--config\"?"},
      {{"run", "http://a"}, "run takes no URL"},
      {{"run", "t.yaml"}, "-c FILE"},
      {{"check", "t.yaml"}, "-c FILE"},
      {{"check", "--format", "xml"}, "xml"},
      {{"run", "-c"}, "tyaprover help run"},
      {{"completion"}, "SHELL"},
      {{"completion", "tcsh"}, "tcsh"},
      {{"version", "extra"}, "\"extra\" was not expected"},
  };
  for (const auto& c : cases) EXPECT_THAT(bad_usage(c.arguments), HasSubstr(c.part));
}

TEST_F(Commands, CheckSaysValid) {
  files_.files = {{"t.yaml", kGood}};
  EXPECT_EQ(run({"check", "-c", "t.yaml"}), kSuccess);
  EXPECT_EQ(out_.str(), "t.yaml: valid, 1 app, 1 target\n");
  EXPECT_EQ(err_.str(), "");
  EXPECT_EQ(run({"check", "-c", "t.yaml", "--format", "json"}), kSuccess);
  EXPECT_EQ(out_.str(), "{\"valid\":true}\n");
}

TEST_F(Commands, CheckListsErrors) {
  files_.files = {{"t.yaml", "lisen: 1\nworkers: 0\n"}};
  EXPECT_EQ(run({"check", "-c", "t.yaml"}), kWrong);
  EXPECT_EQ(out_.str(), "");
  EXPECT_THAT(err_.str(), HasSubstr("t.yaml:1:1: unknown key"));
  EXPECT_THAT(err_.str(), HasSubstr("t.yaml:2:10: workers: \"0\" is out of range"));
  EXPECT_THAT(err_.str(), testing::EndsWith("t.yaml: 2 errors\n"));

  EXPECT_EQ(run({"check", "-c", "t.yaml", "--format", "json"}), kWrong);
  const auto json = nlohmann::json::parse(out_.str());
  EXPECT_EQ(json["valid"], false);
  EXPECT_EQ(json["errors"].size(), 2u);
  EXPECT_EQ(json["errors"][1]["line"], 2);
}

TEST_F(Commands, CheckPrintsWhatIsInEffect) {
  files_.files = {{"t.yaml", kGood}};
  environment_ = {{"PORT", "8080"}};
  EXPECT_EQ(run({"check", "-c", "t.yaml", "--print"}), kSuccess);
  EXPECT_THAT(out_.str(),
              HasSubstr("listen: [\":8080\"]                           # environment PORT\n"));
  EXPECT_EQ(run({"check", "-c", "t.yaml", "--print", "--format", "json"}), kSuccess);
  const auto json = nlohmann::json::parse(out_.str());
  EXPECT_EQ(json["effective"]["config"]["listen"][0], ":8080");
  EXPECT_EQ(json["effective"]["origins"]["listen"], "environment PORT");
}

TEST_F(Commands, ColourOnlyWhenAsked) {
  files_.files = {{"t.yaml", "lisen: 1\n"}};
  EXPECT_EQ(run({"check", "-c", "t.yaml"}), kWrong);
  EXPECT_EQ(err_.str().find('\x1b'), std::string::npos);
}

TEST_F(Commands, CompletionKnowsEveryCommandAndOption) {
  const CommandLine line;
  for (const std::string shell : {"bash", "zsh", "fish"}) {
    EXPECT_EQ(run({"completion", shell}), kSuccess);
    const std::string script = out_.str();
    for (const CLI::App* command : commands_of(line.definition())) {
      EXPECT_THAT(script, HasSubstr(command->get_name())) << shell;
      for (const CLI::Option* option : command->get_options()) {
        for (const std::string& name : option->get_lnames()) {
          EXPECT_THAT(script, HasSubstr((shell == "fish" ? "-l " : "--") + name)) << shell;
        }
      }
    }
    EXPECT_THAT(script, HasSubstr("bash zsh fish")) << shell;
  }
}

TEST_F(Commands, BashCompletesWithTheScript) {
  EXPECT_EQ(run({"completion", "bash"}), kSuccess);
  const std::filesystem::path script = std::filesystem::path(testing::TempDir()) /
                                       ("tyaprover-completion-" + std::to_string(getpid()));
  std::ofstream(script) << out_.str();
  const auto complete = [&](const std::string& words) {
    const std::string command =
        "bash -c 'source " + script.string() + "; COMP_WORDS=(" + words +
        "); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _tyaprover; echo \"${COMPREPLY[*]}\"'";
    std::string result;
    FILE* pipe = popen(command.c_str(), "r");
    for (int c = 0; pipe != nullptr && (c = std::fgetc(pipe)) != EOF;)
      result += static_cast<char>(c);
    EXPECT_EQ(pclose(pipe), 0);
    return result;
  };
  EXPECT_EQ(complete("tyaprover che"), "check\n");
  EXPECT_EQ(complete("tyaprover check --pr"), "--print\n");
  EXPECT_EQ(complete("tyaprover check --format j"), "json\n");
  EXPECT_EQ(complete("tyaprover completion z"), "zsh\n");
  EXPECT_EQ(complete("tyaprover --de"), "--demo\n");
  std::filesystem::remove(script);
}

TEST_F(Commands, TheDocumentedReferenceIsTheGeneratedOne) {
  EXPECT_EQ(run({"check", "--reference"}), kSuccess);
  EXPECT_EQ(out_.str(), gateway::key_reference());

  const auto path = std::filesystem::path(TYAPROVER_SOURCE_DIR) / "docs/configuration.md";
  std::ifstream file(path, std::ios::binary);
  const std::string document{std::istreambuf_iterator<char>(file),
                             std::istreambuf_iterator<char>()};
  EXPECT_THAT(document, HasSubstr(gateway::key_reference()))
      << "put the output of `tyaprover check --reference` between the markers in "
         "docs/configuration.md";
}

// What the document shows as an example must be valid.
TEST_F(Commands, TheDocumentedExampleIsValid) {
  const auto path = std::filesystem::path(TYAPROVER_SOURCE_DIR) / "docs/configuration.md";
  std::ifstream file(path, std::ios::binary);
  const std::string document{std::istreambuf_iterator<char>(file),
                             std::istreambuf_iterator<char>()};
  const std::size_t start = document.find("```yaml\n") + 8;
  ASSERT_LT(start, document.size());
  files_.files = {{"t.yaml", document.substr(start, document.find("```", start) - start)}};
  EXPECT_EQ(run({"check", "-c", "t.yaml"}), kSuccess) << err_.str();
}

}  // namespace
}  // namespace tyaprover::cli
