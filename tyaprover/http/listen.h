// Listening sockets: opened once at start, one per worker for TCP (SO_REUSEPORT), shared for unix
// sockets and for sockets that were handed over.
//
// Thread-safe functions; the caller owns the descriptors returned. Errors are one sentence that
// says what, where and what to do.
//
//   auto sockets = listen_tcp("127.0.0.1", 3000, workers);
//   if (!sockets) fail(sockets.error());
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tyaprover/base/result.h"

namespace tyaprover::http {

// `count` sockets bound to the same address. Empty host: every address, IPv4 and IPv6. Port 0: the
// kernel chooses one, the same for all.
[[nodiscard]] Result<std::vector<int>, std::string> listen_tcp(std::string_view host,
                                                               std::uint16_t port, unsigned count);
// A stale socket file is replaced only when nothing answers on it (R3.4).
[[nodiscard]] Result<int, std::string> listen_unix(const std::string& path, unsigned mode);
// A listening socket inherited as descriptor `fd` (socket activation).
[[nodiscard]] Result<int, std::string> listen_inherited(int fd);

// "127.0.0.1:3000", "[::1]:3000", "unix:/path".
[[nodiscard]] std::string describe_listener(int fd);

}  // namespace tyaprover::http
