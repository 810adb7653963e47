// The command line as a person or a script meets it: exit codes (R1.1) and one clear line for what
// is wrong (R1.3). How each mistake in a file is reported is config_test's subject beside the code.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/integration/support.h"

namespace tyaprover::test {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::Not;
using ::testing::StartsWith;

constexpr std::string_view kGood =
    "listen: [\"127.0.0.1:0\"]\n"
    "apps:\n"
    "  - name: shop\n"
    "    upstream: {targets: [\"http://127.0.0.1:8080\"]}\n";

std::ptrdiff_t lines_in(const std::string& text) {
  return std::count(text.begin(), text.end(), '\n');
}

// What R1.3 forbids in any message.
void expect_for_people(const std::string& text) {
  EXPECT_NE(text, "");
  for (const auto* word :
       {"terminate called", "what():", "errno", "std::", "boost", "Aborted", "exception"}) {
    EXPECT_THAT(text, Not(HasSubstr(word)));
  }
}

TEST(Cli, Version) {
  const CommandResult result = tyaprover_command({"version"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_THAT(result.out, HasSubstr(TYAPROVER_VERSION));
  EXPECT_THAT(result.out, StartsWith("tyaprover"));
  EXPECT_EQ(result.err, "");
}

TEST(Cli, HelpNamesTheCommands) {
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"help"}, {"--help"}, {"-h"}}) {
    const CommandResult result = tyaprover_command(arguments);
    EXPECT_EQ(result.exit_code, 0);
    for (const auto* word : {"run", "check", "version", "completion", "--demo"})
      EXPECT_THAT(result.out, HasSubstr(word));
  }
  const CommandResult of_check = tyaprover_command({"help", "check"});
  EXPECT_EQ(of_check.exit_code, 0);
  EXPECT_THAT(of_check.out, HasSubstr("--print"));
}

TEST(Cli, Completion) {
  for (const auto* shell : {"bash", "zsh", "fish"}) {
    SCOPED_TRACE(shell);
    const CommandResult result = tyaprover_command({"completion", shell});
    EXPECT_EQ(result.exit_code, 0);
    EXPECT_THAT(result.out, HasSubstr("tyaprover"));
    EXPECT_THAT(result.out, HasSubstr("check"));
  }
  const CommandResult bash = tyaprover_command({"completion", "bash"});
  TempDir directory;
  const std::string script = directory.write("completion.bash", bash.out);
  EXPECT_EQ(run_command({.arguments = {"bash", "-n", script},
                         .environment = {},
                         .descriptors = {},
                         .directory = {}})
                .exit_code,
            0);
  EXPECT_EQ(tyaprover_command({"completion", "tcsh"}).exit_code, 2);
}

TEST(Cli, BadUsageIs2) {
  for (const std::vector<std::string>& arguments : {std::vector<std::string>{"frobnicate"},
                                                    {"--no-such-flag"},
                                                    {"run", "--no-such-flag"},
                                                    {"check", "--format", "xml"},
                                                    {"run", "-c"}}) {
    SCOPED_TRACE(arguments.back());
    const CommandResult result = tyaprover_command(arguments);
    EXPECT_EQ(result.exit_code, 2);
    expect_for_people(result.err);
    EXPECT_EQ(result.out, "");
  }
}

TEST(Cli, CheckAcceptsAGoodFile) {
  TempDir directory;
  const std::string file = directory.write("good.yaml", kGood);
  const CommandResult result = tyaprover_command({"check", "-c", file});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.err, "");
}

TEST(Cli, CheckFindsTheDefaultFileInTheWorkingDirectory) {
  TempDir directory;
  directory.write("tyaprover.yaml", kGood);
  EXPECT_EQ(run_command({.arguments = {tyaprover_binary(), "check"},
                         .environment = {},
                         .descriptors = {},
                         .directory = directory.path()})
                .exit_code,
            0);
  TempDir empty;
  const CommandResult missing = run_command({.arguments = {tyaprover_binary(), "check"},
                                             .environment = {},
                                             .descriptors = {},
                                             .directory = empty.path()});
  EXPECT_EQ(missing.exit_code, 1);
  EXPECT_THAT(missing.err, HasSubstr("tyaprover.yaml"));
}

TEST(Cli, CheckPointsAtEveryMistakeR2_2) {
  TempDir directory;
  const std::string file =
      directory.write("bad.yaml",
                      "listen: [\"127.0.0.1:0\"]\n"
                      "timeouts: {connect: 5}\n"
                      "apps:\n"
                      "  - name: shop\n"
                      "    upstream: {tragets: [\"http://127.0.0.1:8080\"]}\n");
  const CommandResult result = tyaprover_command({"check", "-c", file});
  EXPECT_EQ(result.exit_code, 1);
  const std::string text = result.out + result.err;
  EXPECT_THAT(text, HasSubstr("bad.yaml:2:"));
  EXPECT_THAT(text, HasSubstr("bad.yaml:5:"));
  EXPECT_THAT(text, HasSubstr("did you mean \"targets\"?"));
  EXPECT_THAT(text, HasSubstr("^"));
  expect_for_people(text);
  EXPECT_THAT(text, Not(HasSubstr("\x1b["))) << "no colour when not on a terminal";
}

TEST(Cli, CheckSpeaksJson) {
  TempDir directory;
  const CommandResult good =
      tyaprover_command({"check", "-c", directory.write("good.yaml", kGood), "--format", "json"});
  EXPECT_EQ(good.exit_code, 0);
  EXPECT_FALSE(Json::parse(good.out, nullptr, false).is_discarded()) << good.out;
  const CommandResult bad = tyaprover_command(
      {"check", "-c", directory.write("bad.yaml", "listen: 7\nnonsense: 1\n"), "--format", "json"});
  EXPECT_EQ(bad.exit_code, 1);
  EXPECT_FALSE(Json::parse(bad.out, nullptr, false).is_discarded()) << bad.out;
}

TEST(Cli, PrintShowsTheEffectiveConfigurationAndItsOriginsR2_5) {
  TempDir directory;
  const std::string file =
      directory.write("good.yaml", std::string(kGood) + "timeouts: {connect: 1500ms}\n");
  const CommandResult result =
      tyaprover_command({"check", "--print", "-c", file},
                        {{"TRACE_SAMPLE_RATE", "0.25"}, {"METRICS_API_KEY", "hunter2"}});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("shop"));
  EXPECT_THAT(result.out, HasSubstr("request_head"));
  EXPECT_THAT(result.out, HasSubstr("good.yaml:5"));
  EXPECT_THAT(result.out, HasSubstr("default"));
  EXPECT_THAT(result.out, HasSubstr("TRACE_SAMPLE_RATE"));
  EXPECT_THAT(result.out + result.err, Not(HasSubstr("hunter2"))) << "R2.7";
}

TEST(Cli, WhatPrintPrintsIsAConfiguration) {
  TempDir directory;
  const CommandResult printed =
      tyaprover_command({"check", "--print", "-c", directory.write("good.yaml", kGood)});
  ASSERT_EQ(printed.exit_code, 0);
  const CommandResult again =
      tyaprover_command({"check", "-c", directory.write("again.yaml", printed.out)});
  EXPECT_EQ(again.exit_code, 0) << again.err << printed.out;
}

TEST(Cli, ABadEnvironmentVariableIsNamedR2_5) {
  TempDir directory;
  const std::string file = directory.write("good.yaml", kGood);
  for (const auto& [name, value] : std::map<std::string, std::string>{
           {"PORT", "http"}, {"TRACE_SAMPLE_RATE", "2"}, {"CACHE_TTL", "-1"}}) {
    const CommandResult result = tyaprover_command({"check", "-c", file}, {{name, value}});
    EXPECT_EQ(result.exit_code, 1) << name;
    EXPECT_THAT(result.err, HasSubstr(name));
    expect_for_people(result.err);
  }
}

TEST(Cli, APortInUseIsOneLineR1_3) {
  const Socket taken = Socket::listen_tcp();
  const std::string address = "127.0.0.1:" + std::to_string(taken.local_port());
  const CommandResult result = tyaprover_command({"http://127.0.0.1:8080", "--listen", address});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, HasSubstr(address));
  EXPECT_THAT(result.err, HasSubstr("in use"));
  EXPECT_EQ(lines_in(result.err), 1) << result.err;
  EXPECT_EQ(result.out, "") << "no banner";
  expect_for_people(result.err);
}

TEST(Cli, AFileThatCannotBeReadIsOneLineR1_3) {
  TempDir directory;
  for (const auto& path : {directory.path() + "/missing.yaml", directory.path()}) {
    for (const auto* command : {"run", "check"}) {
      SCOPED_TRACE(command + " "s + path);
      const CommandResult result = tyaprover_command({command, "-c", path});
      EXPECT_EQ(result.exit_code, 1);
      EXPECT_THAT(result.err, HasSubstr(path));
      EXPECT_EQ(lines_in(result.err), 1) << result.err;
      expect_for_people(result.err);
    }
  }
}

TEST(Cli, ABadTargetIsOneLineR1_3) {
  for (const std::string target :
       {"http://", "http://host:99999", "ftp://host", "http://host/path?q"}) {
    SCOPED_TRACE(target);
    const CommandResult result = tyaprover_command({target, "--listen", "127.0.0.1:0"});
    EXPECT_THAT(result.exit_code, ::testing::AnyOf(1, 2));
    EXPECT_THAT(result.err, HasSubstr(target));
    EXPECT_LE(lines_in(result.err), 3) << result.err;
    EXPECT_EQ(result.out, "");
    expect_for_people(result.err);
  }
}

TEST(Cli, ATargetWithAPasswordIsRefusedWithoutPrintingItR2_7) {
  const CommandResult result =
      tyaprover_command({"http://user:hunter2@host", "--listen", "127.0.0.1:0"});
  EXPECT_THAT(result.exit_code, ::testing::AnyOf(1, 2));
  EXPECT_THAT(result.err, HasSubstr("***"));
  EXPECT_THAT(result.err, Not(HasSubstr("hunter2")));
  expect_for_people(result.err);
}

TEST(Cli, ABadListenAddressIsOneLineR1_3) {
  for (const std::string address :
       {"nonsense", "127.0.0.1:99999", "1.2.3.4.5:80", "fd:77", "unix:/no/such/directory/s.sock"}) {
    SCOPED_TRACE(address);
    const CommandResult result = tyaprover_command({"http://127.0.0.1:8080", "--listen", address});
    EXPECT_THAT(result.exit_code, ::testing::AnyOf(1, 2));
    EXPECT_THAT(result.err, HasSubstr(address));
    EXPECT_LE(lines_in(result.err), 3) << result.err;
    EXPECT_EQ(result.out, "") << "no banner";
    expect_for_people(result.err);
  }
}

TEST(Cli, PortSetsTheListenPortR2_5) {
  Upstream upstream;
  const std::uint16_t port = unused_port();
  Gateway gateway(GatewayOptions{
      .yaml = "apps:\n  - {name: a, upstream: {targets: [\"" + upstream.url() + "\"]}}\n",
      .arguments = {},
      .environment = {{"PORT", std::to_string(port)}},
      .descriptors = {}});
  EXPECT_EQ(get(port, "/").status, 200);
}

TEST(Cli, TheBannerIsOneJsonLineR1_2) {
  Upstream upstream;
  Gateway gateway(proxy_to(upstream));
  const Json& banner = gateway.banner();
  EXPECT_EQ(banner["level"], "info");
  EXPECT_EQ(banner["msg"], "started");
  EXPECT_TRUE(banner.contains("time"));
  ASSERT_EQ(banner["listeners"].size(), 1u);
  EXPECT_THAT(banner["listeners"][0].get<std::string>(),
              MatchesRegex("http://127\\.0\\.0\\.1:[0-9]+"));
  ASSERT_EQ(banner["apps"].size(), 1u);
  EXPECT_EQ(banner["apps"][0]["name"], "app");
  EXPECT_EQ(banner["apps"][0]["targets"], Json{upstream.url()});
}

}  // namespace
}  // namespace tyaprover::test
