// Small text operations on ASCII: what HTTP and configuration need, free of locales.
//
// Pure functions, thread-safe. Bytes beyond ASCII compare as they are. Views returned point into
// the argument.
//
//   if (iequals(name, "content-length")) …
//   for (std::string_view element : split(value, ',')) use(trim(element));
#pragma once

#include <iterator>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

namespace tyaprover {

[[nodiscard]] constexpr char to_lower(char c) noexcept {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
}
[[nodiscard]] std::string to_lower(std::string_view text);

[[nodiscard]] constexpr bool iequals(std::string_view a, std::string_view b) noexcept {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (to_lower(a[i]) != to_lower(b[i])) return false;
  }
  return true;
}

// Without spaces and tabs at both ends (RFC 9110's OWS).
[[nodiscard]] constexpr std::string_view trim(std::string_view text) noexcept {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// The pieces of a text between separators, as a range that allocates nothing. An empty text has one
// empty piece, as has the end of a text that ends with a separator.
class SplitRange {
 public:
  class Iterator {
   public:
    using value_type = std::string_view;
    using difference_type = std::ptrdiff_t;

    constexpr Iterator() = default;
    constexpr Iterator(std::string_view rest, char separator) noexcept
        : rest_(rest), separator_(separator), done_(false) {
      take();
    }
    constexpr std::string_view operator*() const noexcept { return piece_; }
    constexpr Iterator& operator++() noexcept {
      if (last_) {
        done_ = true;
      } else {
        take();
      }
      return *this;
    }
    constexpr void operator++(int) noexcept { ++*this; }
    friend constexpr bool operator==(const Iterator& it, std::default_sentinel_t) noexcept {
      return it.done_;
    }

   private:
    constexpr void take() noexcept {
      const std::size_t at = rest_.find(separator_);
      last_ = at == std::string_view::npos;
      piece_ = rest_.substr(0, at);
      rest_ = last_ ? std::string_view() : rest_.substr(at + 1);
    }

    std::string_view rest_;
    std::string_view piece_;
    char separator_ = ',';
    bool last_ = true;
    bool done_ = true;
  };

  constexpr SplitRange(std::string_view text, char separator) noexcept
      : text_(text), separator_(separator) {}
  [[nodiscard]] constexpr Iterator begin() const noexcept { return {text_, separator_}; }
  [[nodiscard]] constexpr std::default_sentinel_t end() const noexcept { return {}; }

 private:
  std::string_view text_;
  char separator_;
};

[[nodiscard]] constexpr SplitRange split(std::string_view text, char separator) noexcept {
  return {text, separator};
}

// Calls f(member) for each non-empty, trimmed member of a comma-separated list (RFC 9110 §5.6.1);
// commas inside quoted strings do not separate. An f that returns bool returns false to stop. The
// result is false when a quoted string did not end: then all that follows its quote is one member.
template <class F>
bool for_each_list_member(std::string_view list, F&& f) {
  std::size_t begin = 0;
  bool quoted = false;
  for (std::size_t i = 0; i <= list.size(); ++i) {
    if (i < list.size()) {
      const char c = list[i];
      if (quoted) {
        if (c == '\\' && i + 1 < list.size()) {
          ++i;
        } else if (c == '"') {
          quoted = false;
        }
        continue;
      }
      if (c == '"') quoted = true;
      if (c != ',') continue;
    }
    const std::string_view member = trim(list.substr(begin, i - begin));
    if constexpr (std::is_same_v<std::invoke_result_t<F&, std::string_view>, bool>) {
      if (!member.empty() && !f(member)) return true;
    } else {
      if (!member.empty()) f(member);
    }
    begin = i + 1;
  }
  return !quoted;
}

// Insertions, deletions, replacements and swaps of neighbours that turn `a` into `b`.
[[nodiscard]] std::size_t edit_distance(std::string_view a, std::string_view b);

// The candidate that `word` was probably meant to be: the nearest one (the first of equals), if it
// takes at most one edit per three letters. Words beyond 64 bytes match nothing, so that hostile
// ones cost nothing.
[[nodiscard]] std::optional<std::string_view> closest_match(
    std::string_view word, std::span<const std::string_view> candidates);

}  // namespace tyaprover
