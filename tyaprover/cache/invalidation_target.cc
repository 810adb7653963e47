#include "tyaprover/cache/invalidation_target.h"

namespace tyaprover::cache {
namespace {

// Remembers the last * and comes back to it, so that it is never slower than text times pattern.
bool matches_glob(std::string_view text, std::string_view pattern) noexcept {
  constexpr std::size_t kNone = std::string_view::npos;
  std::size_t t = 0;
  std::size_t p = 0;
  std::size_t star = kNone;
  std::size_t star_text = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      star_text = t;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == text[t])) {
      ++p;
      ++t;
    } else if (star != kNone) {
      p = star + 1;
      t = ++star_text;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

}  // namespace

std::string_view to_string(PatternKind kind) noexcept {
  switch (kind) {
    case PatternKind::substring:
      return "substring";
    case PatternKind::glob:
      return "glob";
  }
  return "unknown";
}

bool matches_pattern(std::string_view key, std::string_view pattern, PatternKind kind) noexcept {
  switch (kind) {
    case PatternKind::substring:
      return key.find(pattern) != std::string_view::npos;
    case PatternKind::glob:
      return matches_glob(key, pattern);
  }
  return false;
}

}  // namespace tyaprover::cache
