// CommandLine: the one definition of all commands and options; parsing, help and completion come
// from it.
//
// Not thread-safe; not movable, as the parser writes into the argument structs beside it.
//
//   CommandLine line;
//   if (auto problem = line.parse({"check", "--print"})) …
//   line.command();   // "check"
#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>
#include <vector>

#include "tyaprover/cli/admin_client.h"

namespace tyaprover::cli {

// What starts a gateway: `run`, target URLs, or --demo.
struct StartArguments {
  std::string file;  // empty: the default places
  std::vector<std::string> targets;
  bool demo = false;
  std::vector<std::string> listen;
  std::string workers;
  std::vector<std::string> settings;
};

struct CheckArguments {
  std::string file;
  bool print = false;
  bool reference = false;
  std::string format = "text";
};

struct BreakerArguments {
  std::string action;
  std::string name;
  GatewayAddress gateway;
  std::string format = "text";
};

struct CacheArguments {
  std::string action;
  // What to purge: one of these.
  std::string url;
  std::string prefix;
  std::string pattern;
  std::string tag;
  bool all = false;
  bool soft = false;
  GatewayAddress gateway;
  std::string format = "text";
};

class CommandLine {
 public:
  CommandLine();
  CommandLine(const CommandLine&) = delete;
  CommandLine& operator=(const CommandLine&) = delete;

  // Null if all is well, else one line that says what is wrong and what to do.
  [[nodiscard]] std::optional<std::string> parse(std::vector<std::string> arguments);

  // "run", "check" … or "" for a quick start.
  [[nodiscard]] std::string command() const;
  [[nodiscard]] bool wants_help() const { return wants_help_; }
  [[nodiscard]] bool wants_version() const { return wants_version_; }
  // Null if there is no such command; "" is the whole program.
  [[nodiscard]] std::optional<std::string> help(const std::string& command) const;
  [[nodiscard]] const CLI::App& definition() const { return app_; }

  [[nodiscard]] const StartArguments& quick_start() const { return quick_start_; }
  [[nodiscard]] const StartArguments& run() const { return run_; }
  [[nodiscard]] const CheckArguments& check() const { return check_; }
  [[nodiscard]] const BreakerArguments& breaker() const { return breaker_; }
  [[nodiscard]] const CacheArguments& cache() const { return cache_; }
  [[nodiscard]] const std::string& shell() const { return shell_; }
  [[nodiscard]] const std::string& help_topic() const { return help_topic_; }

 private:
  void define_quick_start();
  void define_run();
  void define_check();
  void define_breaker();
  void define_cache();
  void define_others();
  [[nodiscard]] std::optional<std::string> check_combinations() const;
  [[nodiscard]] std::optional<std::string> check_cache() const;
  [[nodiscard]] std::string explain_extra(const std::string& argument) const;

  CLI::App app_;
  StartArguments quick_start_;
  StartArguments run_;
  CheckArguments check_;
  BreakerArguments breaker_;
  CacheArguments cache_;
  std::string shell_;
  std::string help_topic_;
  bool wants_help_ = false;
  bool wants_version_ = false;
};

// Commands that can be typed, in the order of the help.
[[nodiscard]] std::vector<const CLI::App*> commands_of(const CLI::App& app);

}  // namespace tyaprover::cli
