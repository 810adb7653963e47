#include "tyaprover/http/target.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "tyaprover/base/text.h"
#include "tyaprover/http/grammar.h"

namespace tyaprover::http {
namespace {

// Longest text of an IPv6 address, "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255".
constexpr std::size_t kLongestIPv6 = 45;

bool is_ipv6(std::string_view text) noexcept {
  if (text.size() > kLongestIPv6 || text.find('\0') != std::string_view::npos) return false;
  char terminated[kLongestIPv6 + 1] = {};
  std::memcpy(terminated, text.data(), text.size());
  in6_addr address;
  return inet_pton(AF_INET6, terminated, &address) == 1;
}

// reg-name of RFC 3986 §3.2.2, which includes IPv4 addresses; never empty (RFC 9110 §4.2.1).
bool is_reg_name(std::string_view text) noexcept {
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (is(text[i], CharClass::reg_name)) continue;
    if (text[i] != '%' || text.size() - i < 3) return false;
    if (!is(text[i + 1], CharClass::hex) || !is(text[i + 2], CharClass::hex)) return false;
    i += 2;
  }
  return !text.empty();
}

// One to five digits. RFC 3986 allows none ("host:"), but one host needs no second spelling.
std::optional<std::uint16_t> parse_port(std::string_view text) noexcept {
  if (text.size() > 5 || !all_are(text, CharClass::digit)) return std::nullopt;
  unsigned port = 0;
  for (const char c : text) port = port * 10 + static_cast<unsigned>(c - '0');
  if (port > UINT16_MAX) return std::nullopt;
  return static_cast<std::uint16_t>(port);
}

constexpr char upper_hex(unsigned nibble) noexcept {
  return "0123456789ABCDEF"[nibble];
}

// Appends `segment` (no '/') with unreserved bytes decoded and other escapes in upper case.
// Returns what is wrong, or nothing. `escaped_dot` becomes true if a dot was spelled %2e.
std::optional<std::string_view> append_segment(std::string_view segment, std::string& out,
                                               bool& escaped_dot) {
  for (std::size_t i = 0; i < segment.size(); ++i) {
    const char c = segment[i];
    if (c == '\\') return "the path has a backslash";
    if (c != '%') {
      out += c;
      continue;
    }
    if (segment.size() - i < 3 || !is(segment[i + 1], CharClass::hex) ||
        !is(segment[i + 2], CharClass::hex)) {
      return "the path has a broken percent escape";
    }
    const unsigned high = hex_value(segment[i + 1]);
    const unsigned low = hex_value(segment[i + 2]);
    const char decoded = static_cast<char>(high << 4 | low);
    i += 2;
    if (decoded == '\0') return "the path has an encoded NUL";
    if (decoded == '\\') return "the path has an encoded backslash";
    if (decoded == '.') escaped_dot = true;
    if (is(decoded, CharClass::unreserved)) {
      out += decoded;
    } else {
      out += {'%', upper_hex(high), upper_hex(low)};
    }
  }
  return std::nullopt;
}

}  // namespace

std::optional<Authority> parse_authority(std::string_view text) noexcept {
  std::string_view host;
  std::string_view rest;
  if (!text.empty() && text.front() == '[') {
    const std::size_t close = text.find(']');
    if (close == std::string_view::npos) return std::nullopt;
    host = text.substr(1, close - 1);
    rest = text.substr(close + 1);
    if (!is_ipv6(host)) return std::nullopt;
  } else {
    const std::size_t colon = text.find(':');
    host = text.substr(0, colon);
    if (colon != std::string_view::npos) rest = text.substr(colon);
    if (!is_reg_name(host)) return std::nullopt;
  }
  if (rest.empty()) return Authority{host, std::nullopt};
  if (rest.front() != ':') return std::nullopt;
  const auto port = parse_port(rest.substr(1));
  if (!port) return std::nullopt;
  return Authority{host, port};
}

// One pass over the segments. At the start of each, `out` ends with the '/' before it, so that
// removing a segment is cutting back to the '/' before that one (RFC 3986 §5.2.4).
std::optional<std::string_view> normalise_path(std::string_view path, std::string& out) {
  out.clear();
  if (path == "*") {  // OPTIONS *
    out = path;
    return std::nullopt;
  }
  if (path.empty() || path.front() != '/') return "the path does not begin with '/'";
  out += '/';
  for (std::size_t begin = 1;;) {
    std::size_t end = path.find('/', begin);
    const bool last = end == std::string_view::npos;
    if (last) end = path.size();

    const std::size_t segment = out.size();
    bool escaped_dot = false;
    if (auto problem = append_segment(path.substr(begin, end - begin), out, escaped_dot)) {
      return problem;
    }
    const std::string_view decoded = std::string_view(out).substr(segment);
    const bool stay = decoded == ".";
    const bool up = decoded == "..";
    if ((stay || up) && escaped_dot) return "the path has a dot segment spelled with %2e";
    if (stay || up) {
      out.resize(segment);
      if (up) {
        if (segment == 1) return "the path climbs above the root";
        out.resize(out.rfind('/', segment - 2) + 1);
      }
    } else if (!last) {
      out += '/';
    }
    if (last) return std::nullopt;
    begin = end + 1;
  }
}

namespace {

std::string decode_form(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    const std::string_view digits = text.substr(i + 1).substr(0, 2);
    if (text[i] == '+') {
      out += ' ';
    } else if (text[i] == '%' && digits.size() == 2 && all_are(digits, CharClass::hex)) {
      unsigned value = 0;
      std::from_chars(digits.data(), digits.data() + 2, value, 16);
      out += static_cast<char>(value);
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

}  // namespace

std::vector<std::string> query_values(std::string_view query, std::string_view name) {
  std::vector<std::string> values;
  for (const std::string_view pair : split(query, '&')) {
    const std::size_t equals = std::min(pair.find('='), pair.size());
    if (decode_form(pair.substr(0, equals)) != name) continue;
    values.push_back(decode_form(pair.substr(std::min(equals + 1, pair.size()))));
  }
  return values;
}

}  // namespace tyaprover::http
