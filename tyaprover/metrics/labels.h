// Label names and values: what is allowed, and how they are written on a page.
//
// Pure functions, thread-safe.
//
//   if (auto problem = label_name_problem("le", Kind::histogram)) …
//   append_label(text, "path", "a\"b");   // path="a\"b"
#pragma once

#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace tyaprover::metrics {

// The type of a family of metrics, as the expositions know it.
enum class Kind { counter, gauge, histogram, summary, info, state_set };
[[nodiscard]] std::string_view to_string(Kind kind) noexcept;

// A label and its value. Views: the caller keeps the text.
using Label = std::pair<std::string_view, std::string_view>;

namespace detail {

// Why a text is no metric name ([a-zA-Z_:][a-zA-Z0-9_:]*), or nothing.
[[nodiscard]] std::optional<std::string> metric_name_problem(std::string_view name);

// Why a text is no label name of a family of this kind ([a-zA-Z_][a-zA-Z0-9_]*, no leading `__`;
// `le` belongs to histograms and `quantile` to summaries), or nothing.
[[nodiscard]] std::optional<std::string> label_name_problem(std::string_view name, Kind kind);

// Whether a value can stand on a page as it is: valid UTF-8 without `\`, `"` and line feed.
[[nodiscard]] bool is_plain(std::string_view value) noexcept;
[[nodiscard]] bool is_utf8(std::string_view value) noexcept;
// Whether another value may be the same once repaired: this one is not UTF-8, or holds U+FFFD.
[[nodiscard]] bool has_lookalikes(std::string_view value) noexcept;

// Invalid bytes replaced by U+FFFD, one for each maximal subpart (Unicode 15 §3.9).
[[nodiscard]] std::string repaired(std::string_view text);

// Appends name="value", preceded by a comma unless `text` is empty. The value is repaired, and `\`,
// `"` and line feed in it are escaped.
void append_label(std::string& text, std::string_view name, std::string_view value);

// Appends a text as it is, after its length.
void pack(std::string& out, std::string_view text);
// Reads such a text and moves behind it.
[[nodiscard]] inline std::string_view unpack(const char*& at) noexcept;

// The labels of a series as they are kept. A view.
struct PackedLabels {
  std::span<const std::string> names;  // of the values; empty: each name stands before its value
  std::string_view bytes;              // packed texts
  bool plain = true;                   // is_plain holds for each value
  bool lookalikes = false;             // has_lookalikes holds for a value

  // visit(name, value) for each value that is not empty.
  template <class Visit>
  void for_each(Visit&& visit) const {
    const char* at = bytes.data();
    const char* const end = at + bytes.size();
    for (std::size_t i = 0; at != end; ++i) {
      const std::string_view name = names.empty() ? unpack(at) : std::string_view(names[i]);
      const std::string_view value = unpack(at);
      if (!value.empty()) visit(name, value);
    }
  }
};

// Why these cannot be the upper bounds of buckets (they ascend, and none is NaN or +Inf, which is
// always there), or nothing.
[[nodiscard]] std::optional<std::string> bounds_problem(std::span<const double> bounds);

// Appends the text of a HELP line: repaired, with `\` and line feed escaped and, for OpenMetrics,
// `"` too.
void append_help(std::string& text, std::string_view help, bool escape_quotes);

// A length is one byte, or kLongText and four bytes.
constexpr unsigned char kLongText = 255;

inline std::string_view unpack(const char*& at) noexcept {
  std::uint32_t size = static_cast<unsigned char>(*at++);
  if (size == kLongText) [[unlikely]] {
    std::memcpy(&size, at, sizeof(size));
    at += sizeof(size);
  }
  const std::string_view text(at, size);
  at += size;
  return text;
}

}  // namespace detail
}  // namespace tyaprover::metrics
