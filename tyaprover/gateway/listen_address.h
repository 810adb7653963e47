// ListenAddress: where a listener binds, from its text in the configuration.
//
// A value type; parsing is a pure function, touches no socket and resolves no name.
//
//   :3000                       every address of the host, IPv4 and IPv6 (one dual-stack socket)
//   127.0.0.1:3000  [::1]:3000  one address
//   unix:/run/app.sock?mode=0666
//   fd:3                        an open listening socket, inherited (socket activation)
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "tyaprover/base/result.h"
#include "tyaprover/gateway/value_error.h"

namespace tyaprover::gateway {

struct ListenAddress {
  enum class Kind { tcp, unix_socket, fd };

  Kind kind = Kind::tcp;
  std::string host = {};   // tcp: numeric, without brackets; empty = every address, dual-stack
  std::uint16_t port = 0;  // tcp; 0 = the kernel chooses
  std::string path = {};   // unix_socket: absolute, fits in sockaddr_un
  mode_t mode = 0660;      // unix_socket
  int fd = -1;             // fd: at least 3
  std::string text = {};   // as written

  bool operator==(const ListenAddress&) const = default;
};

[[nodiscard]] Result<ListenAddress, ValueError> parse_listen_address(std::string_view text);

}  // namespace tyaprover::gateway
