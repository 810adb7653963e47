#include "tyaprover/gateway/config_error.h"

#include <algorithm>

#include "tyaprover/base/json_writer.h"
#include "tyaprover/base/utf8.h"
#include "tyaprover/gateway/secrets.h"

namespace tyaprover::gateway {
namespace {

constexpr std::size_t kShownCharacters = 120;
constexpr std::string_view kEllipsis = "…";

std::string_view line_of(std::string_view text, int line) {
  constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  for (; line > 0; --line) {
    const std::size_t end = text.find('\n');
    if (end == std::string_view::npos) return {};
    text.remove_prefix(end + 1);
  }
  text = text.substr(0, text.find('\n'));
  if (text.ends_with('\r')) text.remove_suffix(1);
  return text;
}

// The offsets at which characters begin, and the size.
std::vector<std::size_t> character_starts(std::string_view text) {
  std::vector<std::size_t> starts;
  for (std::size_t at = 0; at < text.size(); at += decode_utf8(text, at).length)
    starts.push_back(at);
  starts.push_back(text.size());
  return starts;
}

// Index of the character that holds byte `offset`.
std::size_t character_at(const std::vector<std::size_t>& starts, std::size_t offset) {
  const auto after = std::ranges::upper_bound(starts, offset);
  return static_cast<std::size_t>(after - starts.begin()) - 1;
}

// Controls and broken bytes as U+FFFD, so that no file can steer the reader's terminal.
std::string printable(std::string_view text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Sequence sequence = decode_utf8(text, at);
    const std::string_view piece = text.substr(at, sequence.length);
    const bool control = sequence.code < 0x20 || (sequence.code >= 0x7f && sequence.code < 0xa0);
    if (sequence.valid && (!control || sequence.code == '\t')) {
      out += piece;
    } else {
      out += "\xef\xbf\xbd";
    }
    at += sequence.length;
  }
  return out;
}

// Spaces up to the caret, with the tabs of the source so that both lines are equally wide.
std::string caret_line(std::string_view source, int caret) {
  std::string out;
  std::size_t at = 0;
  for (int i = 0; i < caret && at < source.size(); ++i) {
    out += source[at] == '\t' ? '\t' : ' ';
    at += decode_utf8(source, at).length;
  }
  return out + "^";
}

}  // namespace

ConfigError error_at(std::string_view file, std::string_view text, YamlPlace place,
                     std::string_view message, std::string_view hint) {
  ConfigError error = error_of(file, message, hint);
  const std::string_view source = line_of(text, place.line);
  std::size_t offset = std::min<std::size_t>(static_cast<std::size_t>(place.column), source.size());
  error.line = place.line + 1;
  error.column = static_cast<int>(character_at(character_starts(source), offset)) + 1;

  const std::string masked = printable(mask_secrets(source, &offset));
  const std::vector<std::size_t> starts = character_starts(masked);
  const std::size_t characters = starts.size() - 1;
  const std::size_t caret = character_at(starts, std::min(offset, masked.size()));
  if (characters <= kShownCharacters) {
    error.source_line = masked;
    error.caret = static_cast<int>(caret);
    return error;
  }
  const std::size_t first = caret < kShownCharacters / 2 ? 0 : caret - kShownCharacters / 2;
  const std::size_t last = std::min(characters, first + kShownCharacters);
  error.caret = static_cast<int>(caret - first) + (first > 0 ? 1 : 0);
  if (first > 0) error.source_line += kEllipsis;
  error.source_line.append(masked, starts[first], starts[last] - starts[first]);
  if (last < characters) error.source_line += kEllipsis;
  return error;
}

ConfigError error_of(std::string_view origin, std::string_view message, std::string_view hint) {
  return {.file = printable(mask_urls(origin)),
          .message = printable(mask_urls(message)),
          .source_line = "",
          .hint = printable(mask_urls(hint))};
}

std::string errors_as_text(std::span<const ConfigError> errors, bool colour) {
  const std::string_view bold = colour ? "\x1b[1m" : "";
  const std::string_view red = colour ? "\x1b[31m" : "";
  const std::string_view cyan = colour ? "\x1b[36m" : "";
  const std::string_view plain = colour ? "\x1b[0m" : "";
  std::string out;
  for (const ConfigError& error : errors) {
    out.append(bold).append(error.file);
    if (error.line > 0) {
      out += ':' + std::to_string(error.line) + ':' + std::to_string(error.column);
    }
    out.append(": ").append(plain).append(error.message) += '\n';
    if (!error.source_line.empty()) {
      out.append(error.source_line) += '\n';
      out.append(red).append(caret_line(error.source_line, error.caret)).append(plain) += '\n';
    }
    if (!error.hint.empty()) {
      out.append(cyan).append("hint: ").append(plain).append(error.hint) += '\n';
    }
  }
  return out;
}

std::string errors_as_json(std::span<const ConfigError> errors) {
  std::string out;
  JsonWriter json(out);
  json.begin_array();
  for (const ConfigError& error : errors) {
    json.begin_object().key("file").string(error.file);
    if (error.line > 0) {
      json.key("line").integer(error.line).key("column").integer(error.column);
      json.key("source_line").string(error.source_line);
    }
    json.key("message").string(error.message);
    if (!error.hint.empty()) json.key("hint").string(error.hint);
    json.end_object();
  }
  json.end_array();
  return out;
}

std::string in_quotes(std::string_view text) {
  constexpr std::size_t kLongest = 80;
  const std::string masked = mask_urls(text);
  const std::vector<std::size_t> starts = character_starts(masked);
  std::string out = "\"";
  if (starts.size() - 1 <= kLongest) {
    append_json_escaped(out, masked);
  } else {
    append_json_escaped(out, std::string_view(masked).substr(0, starts[kLongest]));
    out += kEllipsis;
  }
  return out + "\"";
}

}  // namespace tyaprover::gateway
