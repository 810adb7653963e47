#include "tyaprover/cli/completion_command.h"

#include <string_view>
#include <vector>

#include "tyaprover/base/text.h"
#include "tyaprover/cli/command_line.h"

namespace tyaprover::cli {
namespace {

// What a shell needs to know of an option or a positional argument.
struct Word {
  std::vector<std::string> names;  // with their dashes; none for a positional
  std::string description;
  bool takes_value = false;
  bool is_file = false;
  std::vector<std::string> values;
};

// From the type that the parser shows for a set of words: "TEXT:{text,json}".
std::vector<std::string> values_of(const CLI::Option& option) {
  const std::string type = option.get_type_name();
  const std::size_t open = type.find('{');
  const std::size_t close = type.find('}');
  std::vector<std::string> values;
  if (open == std::string::npos || close == std::string::npos) return values;
  for (const std::string_view value :
       split(std::string_view(type).substr(open + 1, close - open - 1), ',')) {
    values.emplace_back(value);
  }
  return values;
}

std::vector<Word> words_of(const CLI::App& app) {
  std::vector<Word> words;
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_group().empty()) continue;  // hidden
    Word word;
    for (const std::string& name : option->get_snames()) word.names.push_back("-" + name);
    for (const std::string& name : option->get_lnames()) word.names.push_back("--" + name);
    word.description = option->get_description();
    word.takes_value = option->get_items_expected_max() > 0;
    word.is_file = option->get_type_name() == "FILE";
    word.values = values_of(*option);
    if (app.get_name() == "help" && word.names.empty()) {
      for (const CLI::App* command : commands_of(*app.get_parent()))
        word.values.push_back(command->get_name());
    }
    words.push_back(std::move(word));
  }
  return words;
}

std::string joined(const std::vector<std::string>& words, std::string_view separator) {
  std::string out;
  for (const std::string& word : words) {
    if (!out.empty()) out += separator;
    out += word;
  }
  return out;
}

// What may follow the command when no value is expected.
std::vector<std::string> next_words(const CLI::App& app) {
  std::vector<std::string> words;
  for (const CLI::App* command : commands_of(app)) words.push_back(command->get_name());
  for (const Word& word : words_of(app)) {
    const std::vector<std::string>& more = word.names.empty() ? word.values : word.names;
    words.insert(words.end(), more.begin(), more.end());
  }
  return words;
}

std::vector<std::string> command_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* command : commands_of(app)) names.push_back(command->get_name());
  return names;
}

// The program itself, then its commands.
std::vector<const CLI::App*> all_levels(const CLI::App& app) {
  std::vector<const CLI::App*> levels = commands_of(app);
  levels.insert(levels.begin(), &app);
  return levels;
}

std::string bash_script(const CLI::App& app) {
  std::string values;
  std::string words;
  for (const CLI::App* level : all_levels(app)) {
    const std::string command = level == &app ? "" : level->get_name();
    for (const Word& word : words_of(*level)) {
      if (!word.takes_value || word.names.empty()) continue;
      std::string patterns;
      for (const std::string& name : word.names)
        patterns += (patterns.empty() ? "" : "|") + command + "," + name;
      const std::string action = word.is_file ? "-f" : "-W '" + joined(word.values, " ") + "'";
      values +=
          "    " + patterns + ") COMPREPLY=($(compgen " + action + " -- \"$cur\")); return ;;\n";
    }
    words += "    '" + command + "') COMPREPLY=($(compgen -W '" + joined(next_words(*level), " ") +
             "' -- \"$cur\")) ;;\n";
  }
  return "_tyaprover() {\n"
         "  local cur=\"${COMP_WORDS[COMP_CWORD]}\" prev=\"${COMP_WORDS[COMP_CWORD-1]}\" "
         "command='' word\n"
         "  for word in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n"
         "    case \"$word\" in\n"
         "      " +
         joined(command_names(app), "|") +
         ") command=\"$word\"; break ;;\n"
         "    esac\n"
         "  done\n"
         "  case \"$command,$prev\" in\n" +
         values +
         "  esac\n"
         "  case \"$command\" in\n" +
         words +
         "  esac\n"
         "}\n"
         "complete -F _tyaprover tyaprover\n";
}

// A text inside single quotes of zsh and fish; zsh's specs also give brackets and colons a meaning.
std::string zsh_text(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\'') {
      out += "'\\''";
      continue;
    }
    if (c == '[' || c == ']' || c == ':' || c == '\\') out += '\\';
    out += c;
  }
  return out;
}

std::string zsh_value(const Word& word) {
  if (!word.takes_value) return "";
  if (word.is_file) return ":file:_files";
  return word.values.empty() ? ":value: " : ":value:(" + joined(word.values, " ") + ")";
}

std::string zsh_arguments(const CLI::App& app, std::string_view indent) {
  std::string out;
  for (const Word& word : words_of(app)) {
    if (word.names.empty() && !word.values.empty()) {
      out += std::string(indent) + "'1" + zsh_value(word) + "' \\\n";
    }
    for (const std::string& name : word.names) {
      out += std::string(indent) + "'*" + name + "[" + zsh_text(word.description) + "]" +
             zsh_value(word) + "' \\\n";
    }
  }
  return out;
}

std::string zsh_script(const CLI::App& app) {
  std::string commands;
  std::string cases;
  for (const CLI::App* command : commands_of(app)) {
    commands += "    '" + command->get_name() + ":" + zsh_text(command->get_description()) + "'\n";
    cases += "        " + command->get_name() + ")\n          _arguments \\\n" +
             zsh_arguments(*command, "            ") + "            && return ;;\n";
  }
  return "#compdef tyaprover\n"
         "_tyaprover() {\n"
         "  local state line\n"
         "  local -a commands=(\n" +
         commands +
         "  )\n"
         "  _arguments -C \\\n" +
         zsh_arguments(app, "    ") +
         "    '1:command:->command' '*::argument:->rest' && return\n"
         "  case $state in\n"
         "    command) _describe command commands ;;\n"
         "    rest)\n"
         "      case $words[1] in\n" +
         cases +
         "      esac ;;\n"
         "  esac\n"
         "}\n"
         "if [ \"${funcstack[1]}\" = _tyaprover ]; then _tyaprover \"$@\"; else compdef _tyaprover "
         "tyaprover; fi\n";
}

std::string fish_text(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\'' || c == '\\') out += '\\';
    out += c;
  }
  return out;
}

std::string fish_script(const CLI::App& app) {
  std::string out = "complete -c tyaprover -f\n";
  for (const CLI::App* command : commands_of(app)) {
    out += "complete -c tyaprover -n __fish_use_subcommand -a " + command->get_name() + " -d '" +
           fish_text(command->get_description()) + "'\n";
  }
  for (const CLI::App* level : all_levels(app)) {
    const std::string condition = level == &app
                                      ? "__fish_use_subcommand"
                                      : "'__fish_seen_subcommand_from " + level->get_name() + "'";
    for (const Word& word : words_of(*level)) {
      std::string line = "complete -c tyaprover -n " + condition;
      for (const std::string& name : word.names) {
        line += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
      }
      if (word.names.empty() && word.values.empty()) continue;
      if (word.takes_value && !word.names.empty()) line += " -r";
      if (word.is_file) line += " -F";
      if (!word.values.empty()) line += " -a '" + joined(word.values, " ") + "'";
      out += line + " -d '" + fish_text(word.description) + "'\n";
    }
  }
  return out;
}

}  // namespace

std::string completion_script(const CLI::App& app, const std::string& shell) {
  if (shell == "bash") return bash_script(app);
  if (shell == "zsh") return zsh_script(app);
  if (shell == "fish") return fish_script(app);
  return "";
}

}  // namespace tyaprover::cli
