#include "tyaprover/cli/commands.h"

#include <ostream>

#include "tyaprover/cli/breaker_command.h"
#include "tyaprover/cli/cache_command.h"
#include "tyaprover/cli/check_command.h"
#include "tyaprover/cli/command_line.h"
#include "tyaprover/cli/completion_command.h"
#include "tyaprover/cli/start_command.h"
#include "tyaprover/gateway/config_error.h"

namespace tyaprover::cli {
namespace {

int print_version(const Surroundings& surroundings) {
  surroundings.out << "tyaprover " TYAPROVER_VERSION "\n";
  return kSuccess;
}

int print_help(const CommandLine& line, const std::string& topic,
               const Surroundings& surroundings) {
  const std::optional<std::string> help = line.help(topic);
  if (!help) {
    surroundings.err << "tyaprover: there is no command " << gateway::in_quotes(topic)
                     << ": see tyaprover help\n";
    return kBadUsage;
  }
  surroundings.out << *help;
  return kSuccess;
}

}  // namespace

int run_command_line(const std::vector<std::string>& arguments, const Surroundings& surroundings) {
  CommandLine line;
  if (const std::optional<std::string> problem = line.parse(arguments)) {
    surroundings.err << "tyaprover: " << *problem << '\n';
    return kBadUsage;
  }
  const std::string command = line.command();
  if (line.wants_help()) return print_help(line, command, surroundings);
  if (line.wants_version() || command == "version") return print_version(surroundings);
  if (command == "run") return run_from_file(line.run(), surroundings);
  if (command == "check") return check(line.check(), surroundings);
  if (command == "breaker") return breaker(line.breaker(), surroundings);
  if (command == "cache") return cache(line.cache(), surroundings);
  if (command == "help") return print_help(line, line.help_topic(), surroundings);
  if (command == "completion") {
    surroundings.out << completion_script(line.definition(), line.shell());
    return kSuccess;
  }
  if (arguments.empty()) {
    surroundings.err << *line.help("");
    return kBadUsage;
  }
  return quick_start(line.quick_start(), surroundings);
}

}  // namespace tyaprover::cli
