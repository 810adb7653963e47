#include "tyaprover/gateway/listen_address.h"

#include <arpa/inet.h>
#include <sys/un.h>

#include <charconv>
#include <limits>

#include "tyaprover/base/parse.h"

namespace tyaprover::gateway {
namespace {

constexpr std::string_view kForms =
    "\":3000\", \"127.0.0.1:3000\", \"[::1]:3000\", \"unix:/path\" or \"fd:3\"";

bool is_numeric(int family, std::string_view host) {
  unsigned char bytes[16];
  return inet_pton(family, std::string(host).c_str(), bytes) == 1;
}

Err<ValueError> no_address() {
  return err(ValueError{"is not an address to listen on", "write " + std::string(kForms)});
}

Result<ListenAddress, ValueError> parse_tcp(std::string_view text) {
  ListenAddress address{.text = std::string(text)};
  std::string_view host;
  std::string_view rest = text;
  if (text.starts_with('[')) {
    const std::size_t end = text.find(']');
    if (end == std::string_view::npos) return no_address();
    host = text.substr(1, end - 1);
    rest = text.substr(end + 1);
    if (!is_numeric(AF_INET6, host)) {
      return err(ValueError{"has no IPv6 address between its brackets",
                            "write for example \"[::1]:3000\""});
    }
  } else {
    const std::size_t colon = text.find(':');
    if (colon == std::string_view::npos) {
      const auto port = parse_u64(text);
      if (port && *port <= 65535) {
        return err(
            ValueError{"has no colon before the port", "write \":" + std::string(text) + "\""});
      }
      return no_address();
    }
    if (text.find(':', colon + 1) != std::string_view::npos) {
      return err(ValueError{"has more than one colon",
                            "an IPv6 address stands in brackets: \"[::1]:3000\""});
    }
    host = text.substr(0, colon);
    rest = text.substr(colon);
    if (host == "*") {
      return err(ValueError{"has a host that is no address",
                            "write \"" + std::string(rest) + "\" to listen on every address"});
    }
    if (!host.empty() && !is_numeric(AF_INET, host)) {
      return err(ValueError{
          "has a host that is no address",
          host == "localhost"
              ? "write \"127.0.0.1" + std::string(rest) + "\" or \"[::1]" + std::string(rest) + "\""
              : "names are not resolved here; write " + std::string(kForms)});
    }
  }
  if (!rest.starts_with(':')) return no_address();
  const auto port = parse_u64(rest.substr(1));
  if (!port || *port > 65535) {
    return err(ValueError{"has no port between 0 and 65535", "write for example \":3000\""});
  }
  address.host = host;
  address.port = static_cast<std::uint16_t>(*port);
  return address;
}

Result<ListenAddress, ValueError> parse_unix(std::string_view text) {
  ListenAddress address{.kind = ListenAddress::Kind::unix_socket, .text = std::string(text)};
  std::string_view path = text.substr(text.find(':') + 1);
  if (const std::size_t query = path.find('?'); query != std::string_view::npos) {
    std::string_view option = path.substr(query + 1);
    path = path.substr(0, query);
    if (!option.starts_with("mode=")) {
      return err(
          ValueError{"has an unknown option behind \"?\"", "the only one is \"?mode=0666\""});
    }
    option.remove_prefix(5);
    unsigned mode = 0;
    const auto [end, code] = std::from_chars(option.data(), option.data() + option.size(), mode, 8);
    if (code != std::errc{} || end != option.data() + option.size() || option.size() > 4 ||
        mode > 0777) {
      return err(ValueError{"has no octal mode between 0000 and 0777",
                            "write for example \"?mode=0666\""});
    }
    address.mode = mode;
  }
  if (!path.starts_with('/')) {
    return err(
        ValueError{"needs an absolute path", "write for example \"unix:/run/tyaprover.sock\""});
  }
  if (path.size() >= sizeof(sockaddr_un::sun_path)) {
    return err(ValueError{"has a path longer than the 107 bytes that a unix socket can have", ""});
  }
  address.path = path;
  return address;
}

Result<ListenAddress, ValueError> parse_fd(std::string_view text) {
  ListenAddress address{.kind = ListenAddress::Kind::fd, .text = std::string(text)};
  const auto fd = parse_u64(text.substr(3));
  if (!fd || *fd < 3 || *fd > std::numeric_limits<int>::max()) {
    return err(ValueError{"has no descriptor from 3 on", "write for example \"fd:3\""});
  }
  address.fd = static_cast<int>(*fd);
  return address;
}

}  // namespace

Result<ListenAddress, ValueError> parse_listen_address(std::string_view text) {
  if (text.find('\0') != std::string_view::npos) return no_address();
  if (text.starts_with("unix:")) return parse_unix(text);
  if (text.starts_with("fd:")) return parse_fd(text);
  return parse_tcp(text);
}

}  // namespace tyaprover::gateway
