#include "tyaprover/cli/command_line.h"

#include <algorithm>

#include "tyaprover/base/text.h"
#include "tyaprover/gateway/config_error.h"

namespace tyaprover::cli {
namespace {

using gateway::in_quotes;

void add_start_options(CLI::App& app, StartArguments& arguments) {
  app.add_option("--listen", arguments.listen,
                 "Where to listen, e.g. :3000, 127.0.0.1:3000, unix:/path; repeatable")
      ->type_name("ADDRESS")
      ->allow_extra_args(false);
  app.add_option("--workers", arguments.workers, "Worker threads, or auto")->type_name("N");
  app.add_option("--set", arguments.settings,
                 "Set a key of the configuration, e.g. timeouts.connect=2s; repeatable")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
}

// For every command that talks to a running gateway.
void add_gateway_options(CLI::App& app, GatewayAddress& gateway) {
  app.add_option("--url", gateway.url,
                 "The gateway: http://host:port or unix:/path [http://127.0.0.1:3000]")
      ->type_name("URL");
  app.add_option("--key", gateway.key, "Key of its admin API; else ADMIN_API_KEY")
      ->type_name("KEY");
}

std::vector<std::string> option_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
    for (const std::string& name : option->get_snames()) names.push_back("-" + name);
  }
  return names;
}

std::optional<std::string> closest(const std::string& word, const std::vector<std::string>& names) {
  const std::vector<std::string_view> views(names.begin(), names.end());
  const auto found = closest_match(word, views);
  return found ? std::optional<std::string>(*found) : std::nullopt;
}

}  // namespace

std::vector<const CLI::App*> commands_of(const CLI::App& app) {
  return app.get_subcommands([](const CLI::App*) { return true; });
}

CommandLine::CommandLine()
    : app_(
          "An HTTP gateway that gives every service metrics, tracing, caching and circuit breaking",
          "tyaprover") {
  define_quick_start();
  define_run();
  define_check();
  define_breaker();
  define_cache();
  define_others();
  app_.require_subcommand(0, 1);
  // Set last, as commands inherit it.
  app_.footer("Without a command the gateway starts at once: tyaprover http://localhost:8080");
}

void CommandLine::define_quick_start() {
  app_.set_help_flag("-h,--help", "Print this help");
  app_.add_flag("--version", wants_version_, "Print the version");
  app_.add_option("URL", quick_start_.targets,
                  "Targets that all requests go to, e.g. http://localhost:8080")
      ->type_name("");
  app_.add_flag("--demo", quick_start_.demo, "Start with the built-in demo app as the target");
  add_start_options(app_, quick_start_);
  // Not a way to start, but a likely mistake that deserves a better answer than "unknown option".
  app_.add_option("-c,--config", quick_start_.file)->type_name("FILE")->group("");
}

void CommandLine::define_run() {
  CLI::App* run = app_.add_subcommand("run", "Start the gateway from a configuration file");
  run->add_option("-c,--config", run_.file,
                  "The file; else ./tyaprover.yaml or /etc/tyaprover/tyaprover.yaml")
      ->type_name("FILE");
  add_start_options(*run, run_);
}

void CommandLine::define_check() {
  CLI::App* check = app_.add_subcommand("check", "Validate the configuration");
  check
      ->add_option("-c,--config", check_.file,
                   "The file; else ./tyaprover.yaml or /etc/tyaprover/tyaprover.yaml")
      ->type_name("FILE");
  check->add_flag("--print", check_.print,
                  "Print the effective configuration and where each value came from");
  check->add_option("--format", check_.format, "Form of the output")
      ->check(CLI::IsMember({"text", "json"}));
  check->add_flag("--reference", check_.reference,
                  "Print the reference of all keys as Markdown and do nothing else");
}

void CommandLine::define_breaker() {
  CLI::App* breaker =
      app_.add_subcommand("breaker", "Show or move the circuit breakers of a running gateway");
  breaker->add_option("ACTION", breaker_.action, "What to do")
      ->required()
      ->check(CLI::IsMember({"list", "open", "close", "reset"}));
  breaker->add_option("NAME", breaker_.name, "The breaker, e.g. upstream:shop; not for list")
      ->type_name("");
  breaker->add_option("--format", breaker_.format, "Form of the output")
      ->check(CLI::IsMember({"text", "json"}));
  add_gateway_options(*breaker, breaker_.gateway);
}

void CommandLine::define_cache() {
  CLI::App* cache =
      app_.add_subcommand("cache", "Show or purge the response cache of a running gateway");
  cache->add_option("ACTION", cache_.action, "What to do")
      ->required()
      ->check(CLI::IsMember({"stats", "purge"}));
  cache->add_option("URL", cache_.url, "The URL to purge, e.g. http://shop.example.com/cart")
      ->type_name("");
  cache->add_option("--prefix", cache_.prefix, "Purge all URLs that begin so");
  cache->add_option("--pattern", cache_.pattern,
                    "Purge all URLs with this in them; with * or ?, that match it");
  cache->add_option("--tag", cache_.tag, "Purge all that Surrogate-Key or Cache-Tag named so");
  cache->add_flag("--all", cache_.all, "Purge everything");
  cache->add_flag("--soft", cache_.soft,
                  "Keep it, stale: to be revalidated, or sent while the origin fails");
  cache->add_option("--format", cache_.format, "Form of the output")
      ->check(CLI::IsMember({"text", "json"}));
  add_gateway_options(*cache, cache_.gateway);
}

std::optional<std::string> CommandLine::check_cache() const {
  int selectors = cache_.all ? 1 : 0;
  for (const std::string* text : {&cache_.url, &cache_.prefix, &cache_.pattern, &cache_.tag}) {
    if (!text->empty()) ++selectors;
  }
  if (cache_.action == "stats") {
    if (selectors == 0 && !cache_.soft) return std::nullopt;
    return "cache stats shows all: it takes nothing to purge";
  }
  if (selectors == 1) return std::nullopt;
  return "cache purge takes one of URL, --prefix, --pattern, --tag and --all";
}

void CommandLine::define_others() {
  app_.add_subcommand("version", "Print the version");
  CLI::App* completion = app_.add_subcommand(
      "completion", "Print a script that completes commands and options in a shell");
  completion->add_option("SHELL", shell_, "The shell")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));
  CLI::App* help = app_.add_subcommand("help", "Print the help of a command");
  help->add_option("COMMAND", help_topic_, "The command")->type_name("");
}

std::optional<std::string> CommandLine::parse(std::vector<std::string> arguments) {
  std::ranges::reverse(arguments);  // as the parser wants them
  try {
    app_.parse(arguments);
  } catch (const CLI::CallForHelp&) {
    wants_help_ = true;
    return std::nullopt;
  } catch (const CLI::ExtrasError&) {
    const std::vector<std::string> extras = app_.remaining(true);
    return explain_extra(extras.empty() ? "" : extras.front());
  } catch (const CLI::ParseError& failure) {
    std::string what = failure.what();
    std::ranges::replace(what, '\n', ' ');
    return what + ": see tyaprover help" + (command().empty() ? "" : " " + command());
  }
  return check_combinations();
}

std::string CommandLine::command() const {
  const std::vector<CLI::App*> parsed = app_.get_subcommands();
  return parsed.empty() ? "" : parsed.front()->get_name();
}

std::optional<std::string> CommandLine::help(const std::string& command) const {
  // Not App::help(), which turns to whatever command was parsed.
  const auto help_of = [](const CLI::App& app, const std::string& name) {
    return app.get_formatter()->make_help(&app, name, CLI::AppFormatMode::Normal);
  };
  if (command.empty()) return help_of(app_, "tyaprover");
  for (const CLI::App* sub : commands_of(app_)) {
    if (sub->get_name() == command) return help_of(*sub, "tyaprover " + command);
  }
  return std::nullopt;
}

std::optional<std::string> CommandLine::check_combinations() const {
  const StartArguments& start = quick_start_;
  const bool quick = !start.targets.empty() || start.demo;
  const bool options = !start.listen.empty() || !start.workers.empty() || !start.settings.empty();
  if (!command().empty() && (quick || options || !start.file.empty())) {
    return "options and URLs before the command " + in_quotes(command()) +
           " have no effect: write them behind it";
  }
  if (command() == "breaker" && (breaker_.action == "list") != breaker_.name.empty()) {
    return breaker_.name.empty()
               ? "breaker " + breaker_.action + " needs a name: tyaprover breaker list shows them"
               : "breaker list takes no name: it shows all";
  }
  if (command() == "cache") return check_cache();
  if (!command().empty()) return std::nullopt;
  for (const std::string& target : start.targets) {
    if (target.find_first_of(":/.") != std::string::npos) continue;
    std::vector<std::string> names;
    for (const CLI::App* sub : commands_of(app_)) names.push_back(sub->get_name());
    const auto meant = closest(target, names);
    return in_quotes(target) + " is neither a command nor a URL: " +
           (meant ? "did you mean " + in_quotes(*meant) + "?" : "see tyaprover help");
  }
  if (!start.file.empty()) {
    return quick ? "-c cannot be combined with URLs or --demo: name the targets in the file and "
                   "use tyaprover run -c FILE"
                 : "-c needs a command: write tyaprover run -c FILE or tyaprover check -c FILE";
  }
  if (start.demo && !start.targets.empty()) {
    return "--demo brings its own target: give either --demo or URLs";
  }
  if (options && !quick) return "nothing to start: add a URL, --demo, or the command run";
  return std::nullopt;
}

std::string CommandLine::explain_extra(const std::string& argument) const {
  const std::string name = command();
  const CLI::App* app = name.empty() ? &app_ : app_.get_subcommand(name);
  const std::string where = name.empty() ? "" : " of tyaprover " + name;
  const std::string see = "see tyaprover help" + (name.empty() ? "" : " " + name);
  if (argument.starts_with('-')) {
    const auto meant = closest(argument.substr(0, argument.find('=')), option_names(*app));
    return in_quotes(argument) + " is no option" + where + ": " +
           (meant ? "did you mean " + in_quotes(*meant) + "?" : see);
  }
  if (name == "run" && argument.find("://") != std::string::npos) {
    return "run takes no URL: write tyaprover " + argument + ", or name the targets in the file";
  }
  if (name == "run" || name == "check") {
    return in_quotes(argument) + " was not expected: name a file with -c FILE";
  }
  return in_quotes(argument) + " was not expected: " + see;
}

}  // namespace tyaprover::cli
