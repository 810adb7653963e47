#include "tyaprover/gateway/config_load.h"

#include <algorithm>
#include <deque>
#include <set>
#include <tuple>
#include <utility>

#include "tyaprover/base/parse.h"
#include "tyaprover/base/text.h"
#include "tyaprover/gateway/config_keys.h"
#include "tyaprover/gateway/listen_address.h"
#include "tyaprover/gateway/secrets.h"

namespace tyaprover::gateway {
namespace {

constexpr std::size_t kMaxErrors = 100;
constexpr std::size_t kMaxFiles = 1000;
// Of all ${…} together: a small file must not become a large one.
constexpr std::size_t kMaxExpandedBytes = kMaxYamlBytes;

struct Source {
  std::string file;
  std::string text;
  YamlTree tree;
};

// A place that an error can point at.
struct Spot {
  const Source* source = nullptr;
  YamlPlace place = {};
};

std::string file_and_line(const Spot& spot) {
  return spot.source->file + ":" + std::to_string(spot.place.line + 1);
}

std::string joined(std::string_view section, std::string_view name) {
  return section.empty() ? std::string(name) : std::string(section) + "." + std::string(name);
}

// "responseHead" → "response_head"
std::string snake_case(std::string_view name) {
  std::string out;
  for (const char c : name) {
    if (c >= 'A' && c <= 'Z' && !out.empty()) out += '_';
    out += to_lower(c);
  }
  std::ranges::replace(out, '-', '_');
  return out;
}

std::string_view kind_name(YamlNode::Kind kind) {
  switch (kind) {
    case YamlNode::Kind::null:
      return "nothing";
    case YamlNode::Kind::scalar:
      return "a single value";
    case YamlNode::Kind::sequence:
      return "a list";
    case YamlNode::Kind::map:
      return "a map";
  }
  return "something else";
}

// One load_config call: reads the sources one after the other into loaded_ and collects what is
// wrong.
class Loader {
 public:
  explicit Loader(const LoadOptions& options) : options_(options) {
    loaded_.config = default_config();
  }

  Result<LoadedConfig, std::vector<ConfigError>> load() {
    if (options_.file) read_main_file(*options_.file);
    read_environment();
    read_command_line();
    read_apps();
    if (errors_.empty() && options_.apps_required && loaded_.config.apps.empty()) {
      add({}, "no app is configured",
          "add apps: with a name and upstream.targets, or name a target's URL");
    }
    if (errors_.empty()) return std::move(loaded_);
    return err(sorted_errors());
  }

 private:
  struct Located {
    std::size_t file_index;
    ConfigError error;
  };

  // An app as it stands in a file.
  struct AppSource {
    const Source* source;
    const YamlNode* node;
  };

  // Errors.

  [[nodiscard]] bool full() const { return errors_.size() >= kMaxErrors; }

  void add(const Spot& spot, std::string_view message, std::string_view hint = {}) {
    if (full()) return;
    if (spot.source == nullptr) {
      add_from(options_.file ? *options_.file : "tyaprover", message, hint);
      return;
    }
    std::size_t index = 0;
    while (index < sources_.size() && &sources_[index] != spot.source) ++index;
    errors_.push_back(
        {index, error_at(spot.source->file, spot.source->text, spot.place, message, hint)});
  }

  // Of something that is not a place in a file; these come last.
  void add_from(std::string_view origin, std::string_view message, std::string_view hint = {}) {
    if (!full()) errors_.push_back({kMaxFiles + 1, error_of(origin, message, hint)});
  }

  std::vector<ConfigError> sorted_errors() {
    std::ranges::stable_sort(errors_, [](const Located& a, const Located& b) {
      return std::tie(a.file_index, a.error.line, a.error.column) <
             std::tie(b.file_index, b.error.line, b.error.column);
    });
    std::vector<ConfigError> errors;
    for (Located& located : errors_) errors.push_back(std::move(located.error));
    return errors;
  }

  // Files.

  // Null if the file cannot be read or is no YAML.
  const Source* read_file(const std::string& path, const Spot& included_at) {
    Result<std::string, std::string> text = options_.files->read(path);
    if (!text) {
      if (included_at.source != nullptr) {
        add(included_at, "the file " + in_quotes(path) + " " + text.error());
      } else {
        // One line, hint included (R1.3): there is no source line to show.
        add_from(path, "the file " + text.error() + "; name a readable file with -c", "");
      }
      return nullptr;
    }
    Source& source = sources_.emplace_back();
    source.file = path;
    source.text = std::move(*text);
    source.tree = read_yaml(source.text);
    loaded_.files.push_back(path);
    for (const YamlProblem& problem : source.tree.problems) {
      add({&source, problem.place}, problem.message, problem.hint);
    }
    return source.tree.root == nullptr ? nullptr : &source;
  }

  void read_main_file(const std::string& path) {
    const Source* source = read_file(path, {});
    if (source == nullptr) return;
    const YamlNode& root = *source->tree.root;
    if (!is_map_or_nothing(*source, root, "the file")) return;
    read_section(*source, root, "", {loaded_.config}, "");
    if (const YamlNode::Entry* apps = entry_of(root, "apps")) collect_apps(*source, *apps->value);
    if (const YamlNode::Entry* include = entry_of(root, "include"))
      read_includes(*source, *include->value);
  }

  void read_includes(const Source& source, const YamlNode& node) {
    std::vector<const YamlNode*> patterns = node.items;
    if (node.kind == YamlNode::Kind::scalar) patterns = {&node};
    if (node.kind == YamlNode::Kind::map || node.kind == YamlNode::Kind::null) {
      add({&source, node.place}, "include must be a pattern of files or a list of them",
          "write for example \"conf.d/*.yaml\"");
      return;
    }
    for (const YamlNode* pattern : patterns) {
      if (pattern->kind != YamlNode::Kind::scalar) {
        add({&source, pattern->place}, "include must be a pattern of files or a list of them");
        continue;
      }
      if (const std::optional<std::string> text = expanded(source, *pattern)) {
        read_include(source, {&source, pattern->place}, *text);
      }
    }
  }

  void read_include(const Source& source, const Spot& spot, std::string pattern) {
    const std::size_t slash = source.file.rfind('/');
    if (!pattern.starts_with('/') && slash != std::string::npos) {
      pattern = source.file.substr(0, slash + 1) + pattern;
    }
    std::vector<std::string> paths = {pattern};
    if (pattern.find_first_of("*?[") != std::string::npos)
      paths = options_.files->matching(pattern);
    for (const std::string& path : paths) {
      if (std::ranges::find(loaded_.files, path) != loaded_.files.end()) {
        add(spot, "the file " + in_quotes(path) + " is included twice, or includes itself",
            "make the pattern narrower");
        continue;
      }
      if (loaded_.files.size() == kMaxFiles) {
        add(spot, "more than " + std::to_string(kMaxFiles) + " files are included");
        return;
      }
      if (const Source* included = read_file(path, spot)) read_included_file(*included);
    }
  }

  void read_included_file(const Source& source) {
    const YamlNode& root = *source.tree.root;
    if (!is_map_or_nothing(source, root, "the file")) return;
    for (const YamlNode::Entry& entry : root.entries) {
      if (entry.key == "apps") {
        collect_apps(source, *entry.value);
      } else {
        add({&source, entry.place}, in_quotes(entry.key) + " may not stand in an included file",
            "included files hold apps: only; the rest belongs in " +
                in_quotes(sources_.front().file));
      }
    }
  }

  // Sections and values.

  // An empty section is one whose settings are all commented out.
  bool is_map_or_nothing(const Source& source, const YamlNode& node, std::string_view what) {
    if (node.kind == YamlNode::Kind::map || node.kind == YamlNode::Kind::null) return true;
    add({&source, node.place},
        std::string(what) + " must be a map of settings, not " + std::string(kind_name(node.kind)),
        "write \"key: value\" lines");
    return false;
  }

  // `prefix` is what stands before the paths in origins and messages: "" or "apps[0].".
  void read_section(const Source& source, const YamlNode& node, std::string_view section,
                    ConfigView view, std::string_view prefix) {
    const KeyScope where = view.app != nullptr ? KeyScope::app : KeyScope::gateway;
    for (const YamlNode::Entry& entry : node.entries) {
      const std::string path = joined(section, entry.key);
      if (where == KeyScope::gateway && (path == "apps" || path == "include")) continue;
      if (const ConfigKey* key = find_key(path, where)) {
        read_value(source, *entry.value, *key, view, prefix);
      } else if (!names_under(path, where).empty()) {
        if (is_map_or_nothing(source, *entry.value, path)) {
          read_section(source, *entry.value, path, view, prefix);
        }
      } else {
        refuse_key(source, entry, section, where);
      }
    }
  }

  static std::string our_name(std::string_view theirs) {
    const std::optional<std::string_view> ours = seed_spelling(theirs);
    if (!ours) return "it is written " + in_quotes(snake_case(theirs)) + " here";
    return "it is written " + in_quotes(*ours) + " here";
  }

  void refuse_key(const Source& source, const YamlNode::Entry& entry, std::string_view section,
                  KeyScope where) {
    if (full()) return;
    const Spot spot{&source, entry.place};
    const std::string path = joined(section, entry.key);
    if (where == KeyScope::app && find_key(path, KeyScope::gateway) != nullptr) {
      add(spot, in_quotes(path) + " cannot be set for a single app",
          "set it at the top of the file");
      return;
    }
    std::string message = "unknown key " + in_quotes(entry.key);
    if (!section.empty()) message += " in " + in_quotes(section);
    add(spot, message, hint_for_key(entry.key, section, where));
  }

  static std::string hint_for_key(std::string_view key, std::string_view section, KeyScope where) {
    const std::vector<std::string_view> names = names_under(section, where);
    if (key == "<<") return "merge keys are not supported: write the settings out";
    const std::string snake = snake_case(key);
    if (std::ranges::find(names, snake) != names.end())
      return "it is written " + in_quotes(snake) + " here";
    if (seed_spelling(key)) return our_name(key);
    if (const auto close = closest_match(key, names))
      return "did you mean " + in_quotes(*close) + "?";
    // The right word in the wrong place.
    for (const ConfigKey& known : config_keys()) {
      const bool in_app = known.scope == KeyScope::app;
      if (known.path.substr(known.path.rfind('.') + 1) != snake) continue;
      if (in_app && where == KeyScope::gateway)
        return in_quotes(known.path) + " is a setting of an app";
      return "did you mean " + in_quotes(known.path) + "?";
    }
    std::string known;
    for (const std::string_view name : names)
      known += (known.empty() ? "" : ", ") + std::string(name);
    return "known here: " + known;
  }

  void read_value(const Source& source, const YamlNode& node, const ConfigKey& key, ConfigView view,
                  std::string_view prefix) {
    // Also of a value that turns out wrong: it is not missing.
    const std::string path = std::string(prefix) + std::string(key.path);
    loaded_.origins[path] = {Origin::Kind::file, source.file, node.place.line + 1};
    spots_[path] = {&source, node.place};
    const YamlNode::Kind expected =
        key.is_list() ? YamlNode::Kind::sequence : YamlNode::Kind::scalar;
    if (node.kind != expected) {
      refuse_kind(source, node, key);
      return;
    }
    std::vector<const YamlNode*> nodes = node.items;
    if (!key.is_list()) nodes = {&node};
    std::vector<std::string> items;
    bool complete = true;
    std::vector<const YamlNode*> item_nodes;
    for (const YamlNode* item : nodes) {
      if (key.type == KeyType::skip_rules && item->kind == YamlNode::Kind::map) {
        if (std::optional<std::string> text = rule_of(source, *item)) {
          items.push_back(std::move(*text));
          item_nodes.push_back(item);
        } else {
          complete = false;
        }
      } else if (item->kind != YamlNode::Kind::scalar) {
        add({&source, item->place}, std::string(key.path) +
                                        ": each item must be a single value, not " +
                                        std::string(kind_name(item->kind)));
        complete = false;
      } else if (std::optional<std::string> text = expanded(source, *item)) {
        items.push_back(std::move(*text));
        item_nodes.push_back(item);
      } else {
        complete = false;
      }
    }
    // After an error the rest of the list is read again without the bad item, so that every one is
    // reported.
    while (complete || !items.empty()) {
      const Result<void, ItemError> done = set_value(key, view, items);
      if (done) break;
      const ItemError& error = done.error();
      if (items.empty()) {
        add({&source, node.place}, std::string(key.path) + ": the list " + error.error.message,
            error.error.hint);
        break;
      }
      const YamlNode& bad = *item_nodes[error.item];
      const std::string& shown = is_secret_reference(bad.text) ? bad.text : items[error.item];
      add({&source, bad.place}, complaint(key, shown, error.error.message), error.error.hint);
      if (full()) break;
      complete = false;
      items.erase(items.begin() + static_cast<std::ptrdiff_t>(error.item));
      item_nodes.erase(item_nodes.begin() + static_cast<std::ptrdiff_t>(error.item));
    }
  }

  // A rule that is written as a map: {query: {nocache: "true"}}, {cookie: session}.
  std::optional<std::string> rule_of(const Source& source, const YamlNode& node) {
    if (node.entries.size() == 1) {
      const YamlNode::Entry& kind = node.entries.front();
      if (kind.value->kind == YamlNode::Kind::scalar) {
        const auto text = expanded(source, *kind.value);
        return text ? std::optional(kind.key + ":" + *text) : std::nullopt;
      }
      if (kind.value->kind == YamlNode::Kind::map && kind.value->entries.size() == 1) {
        const YamlNode::Entry& entry = kind.value->entries.front();
        if (entry.value->kind == YamlNode::Kind::scalar) {
          const auto text = expanded(source, *entry.value);
          return text ? std::optional(kind.key + ":" + entry.key + "=" + *text) : std::nullopt;
        }
      }
    }
    add({&source, node.place}, "cache.skip: this is not a rule",
        "write for example {query: {nocache: \"true\"}} or {cookie: session}");
    return std::nullopt;
  }

  // Whether a text takes its value from a variable whose name says that it is secret.
  static bool is_secret_reference(std::string_view text) {
    return text.find("${") != std::string_view::npos && is_secret_key(text);
  }

  static std::string complaint(const ConfigKey& key, std::string_view text,
                               std::string_view message) {
    const std::string shown = key.type == KeyType::secret ? "the value" : in_quotes(text);
    return std::string(key.path) + ": " + shown + " " + std::string(message);
  }

  void refuse_kind(const Source& source, const YamlNode& node, const ConfigKey& key) {
    std::string hint = "allowed: " + allowed_values(key);
    if (key.is_list() && node.kind == YamlNode::Kind::scalar)
      hint = "write [" + in_quotes(node.text) + "]";
    add({&source, node.place},
        std::string(key.path) + " must be " + (key.is_list() ? "a list" : "a single value") +
            ", not " + std::string(kind_name(node.kind)),
        hint);
  }

  // Variables.

  // The scalar's text with ${NAME} and ${NAME:-default} replaced; $${ stands for ${ itself.
  std::optional<std::string> expanded(const Source& source, const YamlNode& node) {
    const std::string_view text = node.text;
    if (text.find("${") == std::string_view::npos) return node.text;
    if (expanded_bytes_ > kMaxExpandedBytes) return std::nullopt;  // has been reported
    std::string out;
    std::size_t at = 0;
    bool good = true;
    while (true) {
      const std::size_t dollar = text.find("${", at);
      if (dollar == std::string_view::npos) break;
      if (dollar > at && text[dollar - 1] == '$') {
        out.append(text.substr(at, dollar - 1 - at)).append("${");
        at = dollar + 2;
        continue;
      }
      out.append(text.substr(at, dollar - at));
      const std::size_t end = text.find('}', dollar);
      const std::string_view reference =
          text.substr(dollar, end == std::string_view::npos ? end : end + 1 - dollar);
      if (const std::optional<std::string> value =
              value_of(reference, spot_of(source, node, reference))) {
        out += *value;
      } else {
        good = false;
      }
      if (end == std::string_view::npos) {
        at = text.size();
        break;
      }
      at = end + 1;
    }
    out.append(text.substr(at));
    expanded_bytes_ += out.size();
    if (good && expanded_bytes_ > kMaxExpandedBytes) {
      add({&source, node.place}, "all ${…} together become longer than 1 MiB");
      good = false;
    }
    return good ? std::optional(std::move(out)) : std::nullopt;
  }

  // `reference` is ${…} up to and with its brace, which may be missing.
  std::optional<std::string> value_of(std::string_view reference, const Spot& spot) {
    constexpr std::string_view kForms =
        "write ${NAME} or ${NAME:-default}; $${ stands for ${ itself";
    const bool closed = reference.ends_with('}');
    std::string_view name = reference.substr(2, reference.size() - (closed ? 3 : 2));
    std::optional<std::string_view> preset;
    if (const std::size_t colon = name.find(":-"); colon != std::string_view::npos) {
      preset = name.substr(colon + 2);
      name = name.substr(0, colon);
    }
    const auto is_name_char = [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
    };
    const bool is_name = !name.empty() && !(name[0] >= '0' && name[0] <= '9') &&
                         std::ranges::all_of(name, is_name_char);
    if (!closed || !is_name) {
      add(spot, in_quotes(reference) + " is no reference to an environment variable", kForms);
      return std::nullopt;
    }
    std::optional<std::string> value = options_.environment(std::string(name));
    if (preset && (!value || value->empty())) return std::string(*preset);
    if (!value) {
      add(spot, "the environment variable " + in_quotes(name) + " is not set",
          "set it, or write ${" + std::string(name) + ":-default}");
    }
    return value;
  }

  // Where the reference stands within the scalar, if that is on the scalar's first line.
  static Spot spot_of(const Source& source, const YamlNode& node, std::string_view reference) {
    std::string_view line = source.text;
    for (int i = 0; i < node.place.line && !line.empty(); ++i)
      line.remove_prefix(std::min(line.find('\n'), line.size() - 1) + 1);
    line = line.substr(0, line.find('\n'));
    const std::size_t column = line.find(reference, static_cast<std::size_t>(node.place.column));
    if (column == std::string_view::npos) return {&source, node.place};
    return {&source, {.line = node.place.line, .column = static_cast<int>(column)}};
  }

  // Environment. An empty variable counts as not set, as in ${NAME:-default}.

  void read_environment() {
    std::vector<std::string_view> done;
    for (const ConfigKey& key : config_keys()) {
      if (key.variable.empty() || std::ranges::find(done, key.variable) != done.end()) continue;
      done.push_back(key.variable);
      const std::optional<std::string> value = options_.environment(std::string(key.variable));
      if (value && !value->empty()) read_variable(key, *value);
    }
  }

  void read_variable(const ConfigKey& key, const std::string& value) {
    if (key.variable == "PORT") {
      read_port(value);
    } else if (key.variable == "CACHE_MAX_SIZE") {
      const std::string_view path = parse_u64(value) ? "cache.max_entries" : "cache.max_bytes";
      override_with(*find_key(path, KeyScope::gateway), value, value);
    } else if (key.variable == "CACHE_TTL" && parse_u64(value)) {
      override_with(key, value + "ms", value);
    } else {
      override_with(key, value, value);
    }
  }

  // `shown` is the text as the variable holds it.
  void override_with(const ConfigKey& key, const std::string& value, const std::string& shown) {
    const Result<void, ItemError> done = set_value(key, {loaded_.config}, {&value, 1});
    if (!done) {
      const std::string what = key.type == KeyType::secret ? "the value" : in_quotes(shown);
      add_from("environment variable " + std::string(key.variable),
               what + " " + done.error().error.message, done.error().error.hint);
      return;
    }
    set_origin(key.path, {Origin::Kind::environment, std::string(key.variable)});
  }

  // Only the port changes: who listens on one address does not want to be reached on all of them.
  void read_port(const std::string& value) {
    const auto port = parse_u64(value);
    if (!port || *port > 65535) {
      add_from("environment variable PORT", in_quotes(value) + " is not a port",
               "a number between 0 and 65535");
      return;
    }
    std::vector<std::string>& listen = loaded_.config.listen;
    auto first_tcp = std::ranges::find_if(listen, [](const std::string& text) {
      const auto address = parse_listen_address(text);
      return address && address->kind == ListenAddress::Kind::tcp;
    });
    if (first_tcp == listen.end()) first_tcp = listen.insert(listen.end(), ":");
    *first_tcp = first_tcp->substr(0, first_tcp->rfind(':') + 1) + value;
    if (std::ranges::count(listen, *first_tcp) > 1) {
      add_from("environment variable PORT", in_quotes(value) + " makes two listeners the same",
               "change the port of the other " + in_quotes(*first_tcp));
    }
    set_origin("listen", {Origin::Kind::environment, "PORT"});
  }

  void set_origin(std::string_view path, Origin origin) {
    loaded_.origins[std::string(path)] = std::move(origin);
    spots_.erase(std::string(path));
  }

  // Command line.

  void read_command_line() {
    for (const std::string& setting : options_.settings) read_setting(setting);
    if (!options_.listen.empty()) set_from_flag("--listen", "listen", options_.listen);
    if (options_.workers) set_from_flag("--workers", "workers", {*options_.workers});
    if (options_.targets.empty()) return;
    AppConfig& app = loaded_.config.apps.emplace_back();
    app.name = "default";
    apply_defaults(loaded_.config, app);
    read_items("argument", *find_key("upstream.targets", KeyScope::app), options_.targets,
               {loaded_.config, &app});
    loaded_.origins["apps[0].name"] = {Origin::Kind::flag, "URL"};
    loaded_.origins["apps[0].upstream.targets"] = {Origin::Kind::flag, "URL"};
  }

  void set_from_flag(const std::string& flag, std::string_view path,
                     const std::vector<std::string>& items) {
    if (read_items(flag, *find_key(path, KeyScope::gateway), items, {loaded_.config})) {
      set_origin(path, {Origin::Kind::flag, flag});
    }
  }

  bool read_items(const std::string& flag, const ConfigKey& key, std::vector<std::string> items,
                  ConfigView view) {
    bool good = true;
    while (true) {
      const Result<void, ItemError> done = set_value(key, view, items);
      if (done) return good;
      const ItemError& error = done.error();
      if (items.empty()) {
        if (good) add_from(flag, "the list " + error.error.message, error.error.hint);
        return false;
      }
      add_from(flag, in_quotes(items[error.item]) + " " + error.error.message, error.error.hint);
      good = false;
      items.erase(items.begin() + static_cast<std::ptrdiff_t>(error.item));
      if (items.empty()) return false;
    }
  }

  void read_setting(const std::string& setting) {
    const std::size_t equals = setting.find('=');
    const std::string path = setting.substr(0, equals);
    if (equals == std::string::npos) {
      add_from("--set", in_quotes(setting) + " has no \"=\"",
               "write for example --set timeouts.connect=2s");
      return;
    }
    const ConfigKey* key = find_key(path, KeyScope::gateway);
    if (key == nullptr) {
      refuse_setting(path);
      return;
    }
    std::vector<std::string> items = {setting.substr(equals + 1)};
    if (key->is_list()) {
      const std::string list = std::move(items.front());
      items.clear();
      if (!list.empty()) {
        for (const std::string_view item : split(list, ',')) items.emplace_back(trim(item));
      }
    }
    if (read_items("--set " + path, *key, items, {loaded_.config})) {
      set_origin(path, {Origin::Kind::flag, "--set"});
    }
  }

  void refuse_setting(const std::string& path) {
    if (path.starts_with("apps") || (find_key(path, KeyScope::app) != nullptr)) {
      add_from("--set", in_quotes(path) + " is a setting of an app", "set it in the file");
      return;
    }
    std::vector<std::string_view> paths;
    for (const ConfigKey& key : config_keys()) {
      if (key.scope == KeyScope::gateway || key.scope == KeyScope::both) paths.push_back(key.path);
    }
    const auto close = closest_match(path, paths);
    add_from("--set", "unknown key " + in_quotes(path),
             close ? "did you mean " + in_quotes(*close) + "?"
                   : "tyaprover check --reference lists all keys");
  }

  // Apps. They come last, as they inherit what all sources said about the top.

  void collect_apps(const Source& source, const YamlNode& node) {
    if (node.kind == YamlNode::Kind::null) return;
    if (node.kind != YamlNode::Kind::sequence) {
      add({&source, node.place}, "apps must be a list, not " + std::string(kind_name(node.kind)),
          "begin every app with \"- name: …\"");
      return;
    }
    for (const YamlNode* item : node.items) app_sources_.push_back({&source, item});
  }

  void read_apps() {
    for (const AppSource& app : app_sources_) {
      if (full()) return;
      read_app(*app.source, *app.node);
    }
    // Also of the app that target URLs make.
    const std::vector<AppConfig>& apps = loaded_.config.apps;
    for (std::size_t i = 0; i < apps.size(); ++i) {
      check_breaker(apps[i], "apps[" + std::to_string(i) + "].");
    }
  }

  // Where the value of an app's key stands: in the app, at the top, or in no file.
  Spot spot_of_value(const std::string& prefix, std::string_view path) const {
    auto spot = spots_.find(prefix + std::string(path));
    if (spot == spots_.end()) spot = spots_.find(std::string(path));
    return spot == spots_.end() ? Spot{} : spot->second;
  }

  // The rules between keys; those of single values are the table's. What apps inherit is reported
  // once.
  void check_breaker(const AppConfig& app, const std::string& prefix) {
    const auto refuse = [&](std::string_view path, const std::string& message,
                            const std::string& hint) {
      const Spot spot = spot_of_value(prefix, path);
      const std::string told = message + std::to_string(spot.place.line);
      if (told_.insert(told).second) add(spot, message, hint);
    };
    const auto refuse_shorter = [&](std::string_view path, Nanos value, std::string_view least_path,
                                    Nanos least) {
      if (value >= least) return;
      refuse(path,
             std::string(path) + " " + in_quotes(format_duration(value)) + " is shorter than " +
                 std::string(least_path) + " " + in_quotes(format_duration(least)),
             "the time grows from the one to the other");
    };
    const BreakerConfig& breaker = app.breaker;
    if (breaker.backoff_factor) {
      refuse_shorter("breaker.backoff_max", breaker.backoff_max, "breaker.reset_timeout",
                     breaker.reset_timeout);
    }
    refuse_shorter("ejection.max", app.ejection.max, "ejection.base", app.ejection.base);
    if (breaker.fallback_app.empty()) return;
    std::vector<std::string_view> others;
    for (const AppConfig& other : loaded_.config.apps) {
      if (other.name != app.name) others.push_back(other.name);
    }
    if (std::ranges::find(others, breaker.fallback_app) != others.end()) return;
    const auto close = closest_match(breaker.fallback_app, others);
    refuse("breaker.fallback_app",
           "breaker.fallback_app: there is no other app " + in_quotes(breaker.fallback_app),
           close ? "did you mean " + in_quotes(*close) + "?" : "name an app of this file");
  }

  void read_app(const Source& source, const YamlNode& node) {
    const Spot spot{&source, node.place};
    if (node.kind != YamlNode::Kind::map) {
      add(spot, "an app must be a map of settings, not " + std::string(kind_name(node.kind)),
          "begin it with \"- name: …\"");
      return;
    }
    const std::string prefix = "apps[" + std::to_string(loaded_.config.apps.size()) + "].";
    AppConfig& app = loaded_.config.apps.emplace_back();
    apply_defaults(loaded_.config, app);
    const std::size_t errors_before = errors_.size();
    read_section(source, node, "", {loaded_.config, &app}, prefix);
    const bool readable = errors_.size() == errors_before;
    require(spot, prefix, "name", "this app has no name", "add for example name: shop");
    require(spot, prefix, "upstream.targets", "this app has no upstream targets",
            "add upstream: {targets: [\"http://127.0.0.1:8080\"]}");
    check_name_is_new(app, prefix);
    if (readable) check_place_is_new(app, spot, prefix);
  }

  void require(const Spot& app, const std::string& prefix, std::string_view path,
               std::string_view message, std::string_view hint) {
    if (!loaded_.is_set(prefix + std::string(path))) add(app, message, hint);
  }

  void check_name_is_new(const AppConfig& app, const std::string& prefix) {
    const auto spot = spots_.find(prefix + "name");
    if (app.name.empty() || spot == spots_.end()) return;
    const auto [first, is_new] = names_.emplace(app.name, spot->second);
    if (!is_new) {
      add(spot->second, "the app " + in_quotes(app.name) + " is defined twice",
          "first in " + file_and_line(first->second) + "; give one of them another name");
    }
  }

  void check_place_is_new(const AppConfig& app, const Spot& app_spot, const std::string& prefix) {
    std::vector<std::string> hosts = app.hosts;
    if (hosts.empty()) hosts.emplace_back();
    bool reported = false;
    for (const std::string& host : hosts) {
      const auto [first, is_new] =
          places_.emplace(std::pair(host, app.path), std::pair(app.name, app_spot));
      if (is_new || reported) continue;
      reported = true;
      const auto path_spot = spots_.find(prefix + "path");
      const auto host_spot = spots_.find(prefix + "hosts");
      const Spot spot = path_spot != spots_.end()   ? path_spot->second
                        : host_spot != spots_.end() ? host_spot->second
                                                    : app_spot;
      const auto& [other_name, other_spot] = first->second;
      add(spot,
          "the app " + in_quotes(app.name) + " serves the same as the app " +
              in_quotes(other_name) + ": " + (host.empty() ? "every host" : host) + ", path " +
              app.path,
          "the other one is in " + file_and_line(other_spot) +
              "; give one of them another host or path");
    }
  }

  const LoadOptions& options_;
  LoadedConfig loaded_;
  std::vector<Located> errors_;
  // Stable addresses: spots point into it.
  std::deque<Source> sources_;
  std::vector<AppSource> app_sources_;
  // By the same paths as loaded_.origins: where the values that came from files stand.
  std::map<std::string, Spot> spots_;
  std::map<std::string, Spot> names_;
  // By host ("" = every one) and path: the app that serves it.
  std::map<std::pair<std::string, std::string>, std::pair<std::string, Spot>> places_;
  std::set<std::string> told_;  // of the rules between keys
  std::size_t expanded_bytes_ = 0;
};

}  // namespace

std::string to_string(const Origin& origin) {
  switch (origin.kind) {
    case Origin::Kind::built_in:
      return "default";
    case Origin::Kind::file:
      return origin.name + ":" + std::to_string(origin.line);
    case Origin::Kind::environment:
      return "environment " + origin.name;
    case Origin::Kind::flag:
      return "flag " + origin.name;
  }
  return "unknown";
}

Origin LoadedConfig::origin_of(std::string_view path) const {
  if (const auto found = origins.find(path); found != origins.end()) return found->second;
  const std::size_t end_of_app = path.find("].");
  if (!path.starts_with("apps[") || end_of_app == std::string_view::npos) return {};
  const std::string_view key = path.substr(end_of_app + 2);
  if (find_key(key, KeyScope::gateway) == nullptr) return {};
  return origin_of(key);
}

Result<LoadedConfig, std::vector<ConfigError>> load_config(const LoadOptions& options) {
  return Loader(options).load();
}

}  // namespace tyaprover::gateway
