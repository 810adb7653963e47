#include "tyaprover/cache/structured_field.h"

#include <algorithm>

#include "tyaprover/cache/header_fields.h"

// A recursive-descent parser whose functions carry the names of RFC 8941 §4.2. Each returns false
// where the grammar does not go on, and leaves at_ there.

namespace tyaprover::cache {
namespace {

constexpr bool is_digit(char c) noexcept {
  return c >= '0' && c <= '9';
}
constexpr bool is_lower(char c) noexcept {
  return c >= 'a' && c <= 'z';
}
constexpr bool is_alpha(char c) noexcept {
  return is_lower(c) || (c >= 'A' && c <= 'Z');
}

class Parser {
 public:
  explicit Parser(std::string_view text) noexcept : text_(text) {}

  [[nodiscard]] std::size_t position() const noexcept { return at_; }

  bool dictionary(std::vector<StructuredMember>& members) {
    skip_sp();
    while (!at_end()) {
      StructuredMember member;
      if (!key(member.key)) return false;
      if (next('=')) {
        if (!item_or_inner_list(member)) return false;
      } else {
        member.type = StructuredType::boolean;
        member.integer = 1;
      }
      if (!parameters() || !put(members, member)) return false;
      skip_ows();
      if (at_end()) return true;
      if (!next(',')) return false;
      skip_ows();
      if (at_end()) return false;  // a trailing comma
    }
    return true;
  }

 private:
  // What a parser must at least take (§3.2). Looking for a repeated key is slow beyond it.
  static constexpr std::size_t kMaxMembers = 1024;

  static bool put(std::vector<StructuredMember>& members, const StructuredMember& member) {
    const auto same = std::find_if(members.begin(), members.end(),
                                   [&](const auto& other) { return other.key == member.key; });
    if (same != members.end()) {
      *same = member;
      return true;
    }
    if (members.size() == kMaxMembers) return false;
    members.push_back(member);
    return true;
  }

  [[nodiscard]] bool at_end() const noexcept { return at_ == text_.size(); }
  [[nodiscard]] char peek() const noexcept { return at_end() ? '\0' : text_[at_]; }
  bool next(char c) noexcept {
    if (at_end() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  void skip_sp() noexcept {
    while (peek() == ' ' && !at_end()) ++at_;
  }
  void skip_ows() noexcept {
    while (!at_end() && (peek() == ' ' || peek() == '\t')) ++at_;
  }

  bool key(std::string_view& out) noexcept {
    const std::size_t begin = at_;
    if (!is_lower(peek()) && peek() != '*') return false;
    while (!at_end() && (is_lower(peek()) || is_digit(peek()) ||
                         std::string_view("_-.*").find(peek()) != std::string_view::npos)) {
      ++at_;
    }
    out = text_.substr(begin, at_ - begin);
    return true;
  }

  bool parameters() noexcept {
    while (next(';')) {
      skip_sp();
      std::string_view name;
      if (!key(name)) return false;
      StructuredMember value;
      if (next('=') && !bare_item(value)) return false;
    }
    return true;
  }

  bool item_or_inner_list(StructuredMember& member) noexcept {
    if (!next('(')) return bare_item(member);
    const std::size_t begin = at_;
    member.type = StructuredType::inner_list;
    while (!at_end()) {
      skip_sp();
      if (next(')')) {
        member.text = text_.substr(begin, at_ - 1 - begin);
        return true;
      }
      StructuredMember item;
      if (!bare_item(item) || !parameters()) return false;
      if (peek() != ' ' && peek() != ')') return false;
    }
    return false;
  }

  bool bare_item(StructuredMember& member) noexcept {
    const char c = peek();
    if (is_digit(c) || c == '-') return number(member);
    if (c == '"') return string(member);
    if (c == '*' || is_alpha(c)) return token(member);
    if (c == ':') return byte_sequence(member);
    if (c == '?') return boolean(member);
    return false;
  }

  bool number(StructuredMember& member) noexcept {
    const bool negative = next('-');
    const std::size_t begin = at_;
    std::int64_t value = 0;
    while (is_digit(peek())) value = take_digit(value, begin, 15);
    const std::size_t digits = at_ - begin;
    if (digits == 0 || digits > 15) return false;
    member.type = StructuredType::integer;
    if (next('.')) {
      if (digits > 12) return false;
      const std::size_t point = at_;
      while (is_digit(peek())) value = take_digit(value, point, 3);
      const std::size_t fraction = at_ - point;
      if (fraction == 0 || fraction > 3) return false;
      for (std::size_t i = fraction; i < 3; ++i) value *= 10;
      member.type = StructuredType::decimal;
    }
    member.integer = negative ? -value : value;
    member.text = text_.substr(begin, at_ - begin);
    return true;
  }
  // Digits beyond the limit are only counted.
  std::int64_t take_digit(std::int64_t value, std::size_t begin, std::size_t limit) noexcept {
    const std::int64_t digit = text_[at_] - '0';
    return at_++ - begin < limit ? value * 10 + digit : value;
  }

  bool string(StructuredMember& member) noexcept {
    const std::size_t begin = ++at_;
    while (!at_end()) {
      const char c = text_[at_++];
      if (c == '"') {
        member.type = StructuredType::string;
        member.text = text_.substr(begin, at_ - 1 - begin);
        return true;
      }
      if (c == '\\') {
        if (peek() != '"' && peek() != '\\') return false;
        ++at_;
      } else if (c < ' ' || c > '~') {
        return false;
      }
    }
    return false;
  }

  bool token(StructuredMember& member) noexcept {
    const std::size_t begin = at_++;
    while (!at_end() && (is_token_char(peek()) || peek() == ':' || peek() == '/')) ++at_;
    member.type = StructuredType::token;
    member.text = text_.substr(begin, at_ - begin);
    return true;
  }

  bool byte_sequence(StructuredMember& member) noexcept {
    const std::size_t begin = ++at_;
    while (!at_end() && (is_alpha(peek()) || is_digit(peek()) ||
                         std::string_view("+/=").find(peek()) != std::string_view::npos)) {
      ++at_;
    }
    member.type = StructuredType::byte_sequence;
    member.text = text_.substr(begin, at_ - begin);
    return next(':');
  }

  bool boolean(StructuredMember& member) noexcept {
    ++at_;
    if (peek() != '0' && peek() != '1') return false;
    member.type = StructuredType::boolean;
    member.integer = text_[at_++] - '0';
    return true;
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

}  // namespace

std::string_view to_string(StructuredType type) noexcept {
  switch (type) {
    case StructuredType::boolean:
      return "boolean";
    case StructuredType::integer:
      return "integer";
    case StructuredType::decimal:
      return "decimal";
    case StructuredType::string:
      return "string";
    case StructuredType::token:
      return "token";
    case StructuredType::byte_sequence:
      return "byte sequence";
    case StructuredType::inner_list:
      return "inner list";
  }
  return "unknown";
}

Result<std::vector<StructuredMember>, StructuredFieldError> parse_dictionary(
    std::string_view text) {
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  std::vector<StructuredMember> members;
  Parser parser(text);
  if (!parser.dictionary(members)) return err(StructuredFieldError{parser.position()});
  return members;
}

}  // namespace tyaprover::cache
