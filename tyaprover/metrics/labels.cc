#include "tyaprover/metrics/labels.h"

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include "tyaprover/base/utf8.h"

namespace tyaprover::metrics {

std::string_view to_string(Kind kind) noexcept {
  switch (kind) {
    case Kind::counter:
      return "counter";
    case Kind::gauge:
      return "gauge";
    case Kind::histogram:
      return "histogram";
    case Kind::summary:
      return "summary";
    case Kind::info:
      return "info";
    case Kind::state_set:
      return "stateset";
  }
  return "unknown";
}

namespace detail {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

constexpr bool is_letter(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}
constexpr bool is_digit(char c) noexcept {
  return c >= '0' && c <= '9';
}

void append_escaped(std::string& text, std::string_view value, bool escape_quotes) {
  for (std::size_t at = 0; at < value.size();) {
    const char c = value[at];
    if (static_cast<unsigned char>(c) < 0x80) {
      if (c == '\n') {
        text += "\\n";
      } else if (c == '\\' || (c == '"' && escape_quotes)) {
        text += '\\';
        text += c;
      } else {
        text += c;
      }
      ++at;
      continue;
    }
    const Utf8Sequence sequence = decode_utf8(value, at);
    text += sequence.valid ? value.substr(at, sequence.length) : kReplacement;
    at += sequence.length;
  }
}

}  // namespace

std::optional<std::string> metric_name_problem(std::string_view name) {
  if (name.empty()) return "a metric needs a name";
  for (std::size_t i = 0; i < name.size(); ++i) {
    const char c = name[i];
    if (is_letter(c) || c == ':' || (i > 0 && is_digit(c))) continue;
    return "the name \"" + repaired(name) +
           "\" must consist of letters, digits, `_` and `:` and not begin with a digit";
  }
  return std::nullopt;
}

std::optional<std::string> label_name_problem(std::string_view name, Kind kind) {
  const std::string quoted = "the label \"" + repaired(name) + "\" ";
  if (name.empty()) return "a label needs a name";
  for (std::size_t i = 0; i < name.size(); ++i) {
    if (is_letter(name[i]) || (i > 0 && is_digit(name[i]))) continue;
    return quoted + "must consist of letters, digits and `_` and not begin with a digit";
  }
  if (name.starts_with("__")) {
    return quoted + "begins with `__`, which is reserved for Prometheus itself";
  }
  if (name == "le" && kind == Kind::histogram) {
    return quoted + "is the one that a histogram's buckets use";
  }
  if (name == "quantile" && kind == Kind::summary) {
    return quoted + "is the one that a summary's quantiles use";
  }
  return std::nullopt;
}

bool is_plain(std::string_view value) noexcept {
  for (std::size_t at = 0; at < value.size();) {
    const char c = value[at];
    if (static_cast<unsigned char>(c) < 0x80) {
      if (c == '\\' || c == '"' || c == '\n') return false;
      ++at;
      continue;
    }
    const Utf8Sequence sequence = decode_utf8(value, at);
    if (!sequence.valid) return false;
    at += sequence.length;
  }
  return true;
}

bool is_utf8(std::string_view value) noexcept {
  for (std::size_t at = 0; at < value.size();) {
    const Utf8Sequence sequence = decode_utf8(value, at);
    if (!sequence.valid) return false;
    at += sequence.length;
  }
  return true;
}

bool has_lookalikes(std::string_view value) noexcept {
  return value.find(kReplacement) != std::string_view::npos || !is_utf8(value);
}

std::string repaired(std::string_view text) {
  std::string out;
  append_repaired(out, text);
  return out;
}

void append_label(std::string& text, std::string_view name, std::string_view value) {
  if (!text.empty()) text += ',';
  text += name;
  text += "=\"";
  append_escaped(text, value, true);
  text += '"';
}

void pack(std::string& out, std::string_view text) {
  if (text.size() < kLongText) {
    out += static_cast<char>(text.size());
  } else {
    const auto size = static_cast<std::uint32_t>(text.size());
    char bytes[sizeof(size)];
    std::memcpy(bytes, &size, sizeof(size));
    out += static_cast<char>(kLongText);
    out.append(bytes, sizeof(size));
  }
  out += text;
}

std::optional<std::string> bounds_problem(std::span<const double> bounds) {
  for (std::size_t i = 0; i < bounds.size(); ++i) {
    if (std::isnan(bounds[i])) return "a bucket's bound must be a number, not NaN";
    if (bounds[i] == std::numeric_limits<double>::infinity()) {
      return "the bucket with the bound +Inf is always there and must not be given";
    }
    if (i > 0 && !(bounds[i - 1] < bounds[i])) {
      return "the bounds of buckets must ascend, and " + std::to_string(bounds[i]) +
             " comes after " + std::to_string(bounds[i - 1]);
    }
  }
  return std::nullopt;
}

void append_help(std::string& text, std::string_view help, bool escape_quotes) {
  append_escaped(text, help, escape_quotes);
}

}  // namespace detail
}  // namespace tyaprover::metrics
