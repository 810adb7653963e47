#include "tyaprover/gateway/target_url.h"

#include <arpa/inet.h>
#include <sys/un.h>

#include <algorithm>

#include "tyaprover/base/parse.h"
#include "tyaprover/base/text.h"

namespace tyaprover::gateway {
namespace {

constexpr std::string_view kExample = "write for example \"http://127.0.0.1:8080\"";

Err<ValueError> wrong(std::string message, std::string_view hint = kExample) {
  return err(ValueError{std::move(message), std::string(hint)});
}

Result<Target, ValueError> parse_unix_target(std::string_view url, std::string_view rest) {
  constexpr std::string_view kUnixExample = "write for example \"http+unix:///run/app.sock\"";
  if (!rest.starts_with('/')) return wrong("needs an absolute path and no host", kUnixExample);
  if (rest.find_first_of("?#") != std::string_view::npos) {
    return wrong("must end with the socket's path", kUnixExample);
  }
  if (rest.size() >= sizeof(sockaddr_un::sun_path)) {
    return wrong("has a path longer than the 107 bytes that a unix socket can have", "");
  }
  Target target;
  target.unix_socket = true;
  target.path = rest;
  target.url = url;
  return target;
}

Result<Target, ValueError> parse_http_target(std::string_view url, std::string_view rest) {
  const std::size_t end = rest.find_first_of("/?#");
  const std::string_view authority = rest.substr(0, end);
  if (authority.find('@') != std::string_view::npos) {
    return wrong("must not hold a user or password", "remove what stands before \"@\"");
  }
  if (end != std::string_view::npos) {
    return wrong("must end after the host and port", "write \"http://" + std::string(authority) +
                                                         "\": the request's own path is forwarded");
  }

  Target target;
  target.url = url;
  std::string_view host = authority;
  std::string_view port;
  if (authority.starts_with('[')) {
    const std::size_t close = authority.find(']');
    unsigned char bytes[16];
    host = authority.substr(1, close == std::string_view::npos ? close : close - 1);
    if (close == std::string_view::npos ||
        inet_pton(AF_INET6, std::string(host).c_str(), bytes) != 1) {
      return wrong("has no IPv6 address between its brackets",
                   "write for example \"http://[::1]:8080\"");
    }
    port = authority.substr(close + 1);
  } else {
    const std::size_t colon = authority.find(':');
    if (colon != std::string_view::npos) {
      host = authority.substr(0, colon);
      port = authority.substr(colon);
      if (port.find(':', 1) != std::string_view::npos) {
        return wrong("has more than one colon in its host",
                     "an IPv6 address stands in brackets: \"http://[::1]:8080\"");
      }
    }
    if (host.empty()) return wrong("has no host");
    if (!is_host_name(host)) return wrong("has a host that is neither a name nor an address");
  }
  if (!port.empty()) {
    const auto number = port.starts_with(':') ? parse_u64(port.substr(1)) : parse_u64("");
    if (!number || *number == 0 || *number > 65535) return wrong("has no port between 1 and 65535");
    target.port = static_cast<std::uint16_t>(*number);
  }
  target.host = to_lower(host);
  return target;
}

bool is_label_char(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '_';
}

}  // namespace

bool is_host_name(std::string_view host) noexcept {
  if (host.empty() || host.size() > 253) return false;
  return std::ranges::all_of(split(host, '.'), [](std::string_view label) {
    return !label.empty() && label.size() <= 63 && std::ranges::all_of(label, is_label_char);
  });
}

Result<Target, ValueError> parse_target(std::string_view url) {
  if (std::ranges::any_of(url, [](unsigned char c) { return c <= 0x20 || c >= 0x7f; })) {
    return wrong("is not a URL: it has a space or a byte that is not visible ASCII");
  }
  const std::size_t colon = url.find("://");
  if (colon == std::string_view::npos) {
    return wrong("is not a URL",
                 "write \"http://" + std::string(url) + "\" or \"http+unix:///path\"");
  }
  const std::string scheme = to_lower(url.substr(0, colon));
  const std::string_view rest = url.substr(colon + 3);
  if (scheme == "http") return parse_http_target(url, rest);
  if (scheme == "http+unix") return parse_unix_target(url, rest);
  if (scheme == "https") {
    return wrong(
        "asks for TLS to the upstream, which is not supported in this version yet",
        "write \"http://" + std::string(rest) + "\" if the upstream also speaks plain HTTP");
  }
  return wrong("has an unknown scheme", "the schemes are http:// and http+unix://");
}

}  // namespace tyaprover::gateway
