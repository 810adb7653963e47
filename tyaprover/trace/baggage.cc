#include "tyaprover/trace/baggage.h"

#include <algorithm>

#include "tyaprover/base/text.h"
#include "tyaprover/base/utf8.h"
#include "tyaprover/trace/hex.h"

namespace tyaprover::trace {
namespace {

bool is_token_char(char c) noexcept {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

bool is_token(std::string_view text) noexcept {
  return !text.empty() && std::all_of(text.begin(), text.end(), is_token_char);
}

// baggage-octet: visible ASCII without `"`, `,`, `;` and `\` (§3.3.1).
bool is_baggage_octet(char c) noexcept {
  return c > ' ' && c < 0x7f && c != '"' && c != ',' && c != ';' && c != '\\';
}

bool is_value(std::string_view text) noexcept {
  return std::all_of(text.begin(), text.end(), is_baggage_octet);
}

// property = key [ OWS "=" OWS value ], several with `;` between.
bool are_properties(std::string_view text) noexcept {
  for (const std::string_view piece : split(text, ';')) {
    const std::string_view property = trim(piece);
    const std::size_t equals = property.find('=');
    if (!is_token(trim(property.substr(0, equals)))) return false;
    if (equals != std::string_view::npos && !is_value(trim(property.substr(equals + 1))))
      return false;
  }
  return true;
}

std::string decode(std::string_view text) {
  std::string bytes;
  bytes.reserve(text.size());
  for (std::size_t at = 0; at < text.size(); ++at) {
    const auto octet = text[at] == '%' && at + 2 < text.size()
                           ? detail::parse_hex(text.substr(at + 1, 2), detail::HexCase::any)
                           : std::nullopt;
    bytes += octet ? static_cast<char>(*octet) : text[at];
    if (octet) at += 2;
  }
  std::string valid;
  append_repaired(valid, bytes);
  return valid;
}

void append_encoded(std::string& out, std::string_view value) {
  constexpr char kDigits[] = "0123456789ABCDEF";
  for (const char c : value) {
    if (is_baggage_octet(c) && c != '%') {
      out += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      out += '%';
      out += kDigits[byte >> 4];
      out += kDigits[byte & 0xf];
    }
  }
}

// Of the member as it is written, and a comma.
std::size_t member_size(const Baggage::Member& member) noexcept {
  std::size_t size = member.key.size() + 2;
  for (const char c : member.value) size += is_baggage_octet(c) && c != '%' ? 1 : 3;
  return size + (member.properties.empty() ? 0 : member.properties.size() + 1);
}

void append_member(std::string& out, const Baggage::Member& member) {
  out += member.key;
  out += '=';
  append_encoded(out, member.value);
  if (!member.properties.empty()) {
    out += ';';
    out += member.properties;
  }
}

}  // namespace

Baggage Baggage::parse(std::string_view text) {
  Baggage baggage;
  for (const std::string_view piece : split(text, ',')) {
    const std::size_t semicolon = piece.find(';');
    const std::string_view pair = piece.substr(0, semicolon);
    const std::size_t equals = pair.find('=');
    if (equals == std::string_view::npos) continue;
    const std::string_view value = trim(pair.substr(equals + 1));
    const std::string_view properties = semicolon == std::string_view::npos
                                            ? std::string_view()
                                            : trim(piece.substr(semicolon + 1));
    if (!is_value(value)) continue;
    if (semicolon != std::string_view::npos && !are_properties(properties)) continue;
    baggage.set(trim(pair.substr(0, equals)), decode(value), properties);
  }
  return baggage;
}

std::optional<std::string_view> Baggage::get(std::string_view key) const noexcept {
  for (const Member& member : members_) {
    if (member.key == key) return member.value;
  }
  return std::nullopt;
}

bool Baggage::set(std::string_view key, std::string_view value, std::string_view properties) {
  if (!is_token(key) || (!properties.empty() && !are_properties(properties))) return false;
  Member member{std::string(key), std::string(value), std::string(properties)};
  const auto known = find(key);
  const bool is_new = known == members_.end();
  const std::size_t size = size_ + member_size(member) - (is_new ? 0 : member_size(*known));
  if (size > kMaxBytes + 1 || (is_new && members_.size() == kMaxMembers)) return false;
  size_ = size;
  if (is_new) {
    members_.push_back(std::move(member));
  } else {
    *known = std::move(member);
  }
  return true;
}

void Baggage::remove(std::string_view key) noexcept {
  const auto known = find(key);
  if (known == members_.end()) return;
  size_ -= member_size(*known);
  members_.erase(known);
}

std::vector<Baggage::Member>::iterator Baggage::find(std::string_view key) noexcept {
  return std::find_if(members_.begin(), members_.end(),
                      [&](const Member& member) { return member.key == key; });
}

std::string Baggage::format() const {
  std::string out;
  for (const Member& member : members_) {
    if (!out.empty()) out += ',';
    append_member(out, member);
  }
  return out;
}

}  // namespace tyaprover::trace
