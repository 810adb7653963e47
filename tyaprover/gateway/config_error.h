// ConfigError: one thing that is wrong with the configuration, where it stands and what to do.
//
// A value type. Secrets are masked when the error is made, so every rendering is safe to show.
//
//   shop.yaml:4:5: unknown key "taregts"
//       taregts: [http://127.0.0.1:8080]
//       ^
//   hint: did you mean "targets"?
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "tyaprover/gateway/yaml_tree.h"

namespace tyaprover::gateway {

struct ConfigError {
  // A file's name, or what else the value came from: "environment variable PORT", "--listen".
  std::string file;
  int line = 0;    // from 1; 0 = not in a file
  int column = 0;  // from 1, in characters
  std::string message;
  std::string source_line;  // of a long line the part around the column
  int caret = 0;            // index into source_line, in characters
  std::string hint;         // may be empty
};

// An error at a place of a file whose text is at hand.
[[nodiscard]] ConfigError error_at(std::string_view file, std::string_view text, YamlPlace place,
                                   std::string_view message, std::string_view hint = {});

// An error of something that is not a file.
[[nodiscard]] ConfigError error_of(std::string_view origin, std::string_view message,
                                   std::string_view hint = {});

// For people, one error after the other, with a newline at the end of each.
[[nodiscard]] std::string errors_as_text(std::span<const ConfigError> errors, bool colour = false);

// For machines: an array of objects with the fields' names. Absent places are left out.
[[nodiscard]] std::string errors_as_json(std::span<const ConfigError> errors);

// `text` as it may stand in a message: in double quotes, controls escaped, cut at 80 characters,
// masked.
[[nodiscard]] std::string in_quotes(std::string_view text);

}  // namespace tyaprover::gateway
