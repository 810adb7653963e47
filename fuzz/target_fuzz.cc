// Paths and authorities. The path's normal form is compared with one computed in the plainest way,
// over a list of segments; an authority is put together again from its parts.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "fuzz/require.h"
#include "tyaprover/http/grammar.h"
#include "tyaprover/http/target.h"

namespace tyaprover::http {
namespace {

// R4.5 for one segment, as it reads; nothing if the segment is to be refused.
std::optional<std::string> normal_segment(std::string_view segment) {
  std::string out;
  for (std::size_t i = 0; i < segment.size(); ++i) {
    if (segment[i] == '\\') return std::nullopt;
    if (segment[i] != '%') {
      out += segment[i];
      continue;
    }
    const std::string_view digits = segment.substr(i + 1, 2);
    if (digits.size() < 2 || !all_are(digits, CharClass::hex)) return std::nullopt;
    const char c = static_cast<char>(std::stoi(std::string(digits), nullptr, 16));
    if (c == '\0' || c == '\\') return std::nullopt;
    if (is(c, CharClass::unreserved)) {
      out += c;
    } else {
      out += '%';
      for (const char digit : digits) {
        out += digit >= 'a' ? static_cast<char>(digit - 'a' + 'A') : digit;
      }
    }
    i += 2;
  }
  if ((out == "." || out == "..") && out != segment) return std::nullopt;
  return out;
}

std::optional<std::string> normal_path(std::string_view path) {
  if (path == "*") return "*";
  if (!path.starts_with('/')) return std::nullopt;
  std::vector<std::string> segments;
  bool open = false;  // the path ends with a slash
  for (std::size_t begin = 1; begin <= path.size();) {
    const std::size_t end = std::min(path.find('/', begin), path.size());
    const auto segment = normal_segment(path.substr(begin, end - begin));
    if (!segment) return std::nullopt;
    open = *segment == "." || *segment == "..";
    if (*segment == "..") {
      if (segments.empty()) return std::nullopt;
      segments.pop_back();
    } else if (*segment != ".") {
      segments.push_back(*segment);
    }
    begin = end + 1;
  }
  std::string out;
  for (const auto& segment : segments) out += '/' + segment;
  return open || out.empty() ? out + '/' : out;
}

void check_path(std::string_view input) {
  std::string once = "old";
  const auto problem = normalise_path(input, once);
  const auto expected = normal_path(input);
  require(!problem == expected.has_value(), "both ways accept the same paths");
  if (problem) {
    require(!problem->empty(), "a problem is named");
    return;
  }
  require(once == *expected, "both ways give the same normal form");
  require(once.size() <= input.size(), "a path does not grow");
  std::string twice;
  require(!normalise_path(once, twice) && twice == once, "a normal form is its own");
}

void check_authority(std::string_view input) {
  const auto authority = parse_authority(input);
  if (!authority) return;
  require(!authority->host.empty(), "a host is not empty");
  require(authority->host.find_first_of("@,/?# ") == std::string_view::npos, "a host is a host");
  const bool v6 = input.starts_with('[');
  std::string again = v6 ? '[' + std::string(authority->host) + ']' : std::string(authority->host);
  require(input.starts_with(again), "the host is where it stood");
  require(authority->port.has_value() == (input.size() > again.size()), "the rest is the port");
  if (authority->port) again += ':' + std::to_string(*authority->port);
  const auto same = parse_authority(again);
  require(same && same->host == authority->host && same->port == authority->port,
          "an authority survives being written anew");
}

// Every parameter is found under its own decoded name, and a query that was written from values
// reads back as those values.
void check_query(std::string_view query) {
  static_cast<void>(query_values(query, "name[]"));
  constexpr char kDigits[] = "0123456789abcdef";
  std::string written = "x=1&v=";
  for (const char c : query) {
    const auto byte = static_cast<unsigned char>(c);
    written += {'%', kDigits[byte / 16], kDigits[byte % 16]};
  }
  require(query_values(written, "v") == std::vector<std::string>{std::string(query)},
          "a query written from a value reads back as that value");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  check_path(input);
  check_path(std::string("/").append(input));
  check_authority(input);
  check_query(input);
  return 0;
}

}  // namespace tyaprover::http
