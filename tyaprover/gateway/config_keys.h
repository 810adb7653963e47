// The table of all configuration keys: the one place that knows their names, types, limits and
// meaning.
//
// Reading a file, the environment and the command line, printing the effective configuration and
// the reference in docs/configuration.md all walk this table (R2.6). The defaults are those of
// config.h's structs: the table only says where each value lives. The table is constant; the
// functions on it are pure, but for the view they are given.
//
//   for (const ConfigKey& key : config_keys()) …
//   auto done = set_value(*find_key("timeouts.connect", KeyScope::gateway), {config}, {"1.5s"});
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "tyaprover/base/result.h"
#include "tyaprover/gateway/config.h"
#include "tyaprover/gateway/value_error.h"

namespace tyaprover::gateway {

// What a key's values live in: the gateway's settings, or one app's. Keys of scope app need an app.
struct ConfigView {
  Config& config;
  AppConfig* app = nullptr;
};

enum class KeyScope {
  gateway,  // at the top of the file only
  app,      // in an app only
  both,     // at the top as the default of every app, and in an app
};

enum class KeyType {
  boolean,
  integer,
  number,
  fraction,  // a number that is not 0
  duration,
  size,
  choice,
  header_value,
  endpoint,
  output,
  file,
  name,
  path,
  host_header,
  exporter,
  hash_by,
  secret,
  text,
  listeners,
  networks,
  hosts,
  encodings,
  paths,
  ways,
  propagators,
  statuses,
  targets,
  codes,
  tokens,
  parameters,
  skip_rules,
};

// For the reference: "duration", "list of networks" …
[[nodiscard]] std::string_view to_string(KeyType type) noexcept;

template <class T>
using FieldOf = T& (*)(ConfigView);
using Field =
    std::variant<FieldOf<bool>, FieldOf<int>, FieldOf<unsigned>, FieldOf<std::uint64_t>,
                 FieldOf<double>, FieldOf<std::optional<double>>, FieldOf<Nanos>,
                 FieldOf<std::optional<Nanos>>, FieldOf<std::string>,
                 FieldOf<std::optional<std::string>>, FieldOf<Environment>, FieldOf<Balance>,
                 FieldOf<HealthCheckType>, FieldOf<resilience::BreakerMode>, FieldOf<LogFormat>,
                 FieldOf<metrics::Naming>, FieldOf<ExporterProtocol>, FieldOf<filters::TraceTrust>,
                 FieldOf<filters::Semconv>, FieldOf<filters::CacheMode>, FieldOf<cache::OddAge>,
                 FieldOf<std::optional<cache::SetCookiePolicy>>, FieldOf<std::vector<std::string>>,
                 FieldOf<std::vector<std::uint64_t>>, FieldOf<std::vector<filters::SkipRule>>,
                 FieldOf<std::vector<Network>>, FieldOf<std::vector<StatusRange>>,
                 FieldOf<std::vector<Target>>>;

struct ConfigKey {
  std::string_view path;  // "timeouts.connect"; an app's keys without what stands before them
  KeyScope scope;
  KeyType type;
  Field field;
  std::string_view meaning;
  // Of integers, of sizes in bytes, of durations in nanoseconds.
  std::uint64_t min = 0;
  std::uint64_t max = 0;
  // The word that stands for a special value: for number types `word_value`, for optional ones "not
  // set", for texts the empty one.
  std::string_view word = {};
  std::uint64_t word_value = 0;
  // The environment variable that overrides it.
  std::string_view variable = {};

  [[nodiscard]] bool is_list() const noexcept { return type >= KeyType::listeners; }
};

[[nodiscard]] std::span<const ConfigKey> config_keys() noexcept;

// The key of that path which may stand at the top (gateway) or in an app (app); null if there is
// none.
[[nodiscard]] const ConfigKey* find_key(std::string_view path, KeyScope where) noexcept;

// The names that may follow `section` ("" = at the top), each once, in the table's order.
[[nodiscard]] std::vector<std::string_view> names_under(std::string_view section, KeyScope where);

// Our name of an option of the Node middleware, if we have one: "exporterEndpoint" →
// "tracing.exporter_endpoint".
[[nodiscard]] std::optional<std::string_view> seed_spelling(std::string_view name) noexcept;

// Why a value was refused, and which of a list's items it was.
struct ItemError {
  std::size_t item = 0;
  ValueError error;
};

// Reads the texts into the key's field. REQUIRES: one item unless the key is a list.
[[nodiscard]] Result<void, ItemError> set_value(const ConfigKey& key, ConfigView view,
                                                std::span<const std::string> items);

// A value as a file would spell it; set_value reads it back equal. A secret reads "***".
struct ValueText {
  std::vector<std::string> items;
  // A number or a boolean, as JSON knows them.
  bool literal = false;
  // The field holds nothing, and no text would say so.
  bool unset = false;
};
[[nodiscard]] ValueText value_text(const ConfigKey& key, ConfigView view);

// What may be written, for people: "1 … 1024 or auto".
[[nodiscard]] std::string allowed_values(const ConfigKey& key);

// A configuration as it is when nothing is said.
[[nodiscard]] Config default_config();

// Copies the settings at the top, which are every app's defaults, into an app.
void apply_defaults(const Config& config, AppConfig& app);

// The reference of all keys as Markdown.
[[nodiscard]] std::string key_reference();

}  // namespace tyaprover::gateway
