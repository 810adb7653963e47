// load_config: builds the configuration from its four sources and remembers where each value came
// from.
//
// From weakest to strongest: the defaults, the file with what it includes, the environment, the
// command line (R2.5). All that is wrong is reported, not only the first (R2.2). Nothing is read
// twice and nothing is kept open. File system and environment can be replaced, so that tests and
// the fuzzer touch neither.
//
//   auto loaded = load_config({.file = "tyaprover.yaml"});
//   if (!loaded) std::cerr << errors_as_text(loaded.error());
//   loaded->config.workers;
//   to_string(loaded->origin_of("workers"));   // "tyaprover.yaml:3"
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tyaprover/base/result.h"
#include "tyaprover/gateway/config.h"
#include "tyaprover/gateway/config_error.h"

namespace tyaprover::gateway {

// Where a value came from.
struct Origin {
  enum class Kind { built_in, file, environment, flag };
  Kind kind = Kind::built_in;
  std::string name = {};  // the file, the variable or the flag
  int line = 0;           // in the file, from 1
  bool operator==(const Origin&) const = default;
};

// "default", "tyaprover.yaml:3", "environment PORT", "flag --listen"
[[nodiscard]] std::string to_string(const Origin& origin);

struct LoadedConfig {
  Config config;
  // By the key's path: "timeouts.connect", "apps[0].upstream.targets". Values that nobody set have
  // no entry.
  std::map<std::string, Origin, std::less<>> origins = {};
  // The files that were read, the main one first.
  std::vector<std::string> files = {};

  // Of an app's inherited value, the origin of the value at the top.
  [[nodiscard]] Origin origin_of(std::string_view path) const;
  // Whether the app itself has set the value.
  [[nodiscard]] bool is_set(std::string_view path) const { return origins.contains(path); }
};

// The files that a configuration consists of. Thread-safe if the implementation is; the system's
// is.
class ConfigFiles {
 public:
  virtual ~ConfigFiles() = default;
  // The bytes, at most one more than a configuration may have; or why not, completing "the file …".
  [[nodiscard]] virtual Result<std::string, std::string> read(const std::string& path) const = 0;
  // The files that match a pattern of glob(7), sorted by their bytes.
  [[nodiscard]] virtual std::vector<std::string> matching(const std::string& pattern) const = 0;

  [[nodiscard]] static const ConfigFiles& system();
};

// The value of an environment variable, if it is set.
using EnvironmentLookup = std::function<std::optional<std::string>(const std::string&)>;
[[nodiscard]] std::optional<std::string> process_environment(const std::string& name);

struct LoadOptions {
  std::optional<std::string> file = std::nullopt;  // unset: no file, only the other sources
  std::vector<std::string> targets = {};  // quick start: one app for every host with these targets
  std::vector<std::string> listen = {};   // --listen; none = not given
  std::optional<std::string> workers = std::nullopt;  // --workers
  // --set: "key=value", a list's items separated by commas. Keys of the top of the file only.
  std::vector<std::string> settings = {};
  bool apps_required = true;  // false: the demo brings its own
  EnvironmentLookup environment = process_environment;
  const ConfigFiles* files = &ConfigFiles::system();
};

// Errors come in the order of the files and their lines, at most 100 of them.
[[nodiscard]] Result<LoadedConfig, std::vector<ConfigError>> load_config(
    const LoadOptions& options);

}  // namespace tyaprover::gateway
