#include "tyaprover/gateway/secrets.h"

#include <algorithm>
#include <array>
#include <optional>

#include "tyaprover/base/text.h"

namespace tyaprover::gateway {
namespace {

// A stretch of the text that must not be shown.
struct Secret {
  std::size_t at;
  std::size_t length;
};

constexpr std::string_view kUrlEnd = "/?#\"'`<> \t,]}";

std::optional<Secret> find_url_secret(std::string_view text, std::size_t from) {
  while ((from = text.find("://", from)) != std::string_view::npos) {
    from += 3;
    // A password may hold any byte but these; up to the last `@` of the authority.
    const std::string_view authority = text.substr(from, text.find_first_of(kUrlEnd, from) - from);
    const std::size_t at_sign = authority.rfind('@');
    if (at_sign == std::string_view::npos) continue;
    const std::size_t colon = authority.substr(0, at_sign).find(':');
    const std::size_t start = colon == std::string_view::npos ? 0 : colon + 1;
    return Secret{from + start, at_sign - start};
  }
  return std::nullopt;
}

bool is_key_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '-';
}

// The value behind `key:` up to the end of the line, or of the flow collection or the comment.
std::optional<Secret> find_keyed_secret(std::string_view text, std::size_t from) {
  while ((from = text.find(':', from)) != std::string_view::npos) {
    std::size_t key_end = from;
    while (key_end > 0 && (text[key_end - 1] == '"' || text[key_end - 1] == '\'')) --key_end;
    std::size_t key = key_end;
    while (key > 0 && is_key_char(text[key - 1])) --key;
    const std::size_t value = text.find_first_not_of(" \t\"'", ++from);
    if (value == std::string_view::npos || !is_secret_key(text.substr(key, key_end - key)))
      continue;
    const char quote = text[value - 1];
    const bool quoted = quote == '"' || quote == '\'';
    std::size_t end = quoted ? text.find(quote, value) : text.find_first_of(",}", value);
    if (end == std::string_view::npos) end = text.size();
    if (end > value) return Secret{value, end - value};
  }
  return std::nullopt;
}

template <class Find>
std::string replace_secrets(std::string text, const Find& find, std::size_t* position) {
  std::size_t from = 0;
  while (const std::optional<Secret> secret = find(std::string_view(text), from)) {
    text.replace(secret->at, secret->length, kMask);
    if (position != nullptr && *position > secret->at) {
      *position = *position >= secret->at + secret->length
                      ? *position - secret->length + kMask.size()
                      : secret->at;
    }
    from = secret->at + kMask.size();
  }
  return text;
}

}  // namespace

std::string mask_urls(std::string_view text) {
  return replace_secrets(std::string(text), find_url_secret, nullptr);
}

std::string mask_secrets(std::string_view line, std::size_t* position) {
  std::string masked = replace_secrets(std::string(line), find_url_secret, position);
  return replace_secrets(std::move(masked), find_keyed_secret, position);
}

bool is_secret_key(std::string_view key) {
  constexpr std::array<std::string_view, 6> kWords = {"apikey", "secret",     "password",
                                                      "token",  "privatekey", "credential"};
  std::string plain = to_lower(key);
  std::erase_if(plain, [](char c) { return c == '_' || c == '-'; });
  return std::ranges::any_of(
      kWords, [&](std::string_view word) { return plain.find(word) != std::string::npos; });
}

bool equal_in_constant_time(std::string_view a, std::string_view b) noexcept {
  if (a.size() != b.size()) return false;
  // Volatile: the compiler must not end the loop at the first difference.
  volatile unsigned char difference = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    difference = static_cast<unsigned char>(difference | (a[i] ^ b[i]));
  }
  return difference == 0;
}

}  // namespace tyaprover::gateway
