#include "tyaprover/http/listen.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "tyaprover/http/address.h"

namespace tyaprover::http {
namespace {

constexpr int kBacklog = 4096;

std::string where(std::string_view host, std::uint16_t port) {
  const bool v6 = host.find(':') != std::string_view::npos;
  std::string text = v6 ? "[" + std::string(host) + "]" : std::string(host);
  return text + ":" + std::to_string(port);
}

std::string bind_problem(const std::string& place, int error) {
  switch (error) {
    case EADDRINUSE:
      return "cannot listen on " + place +
             ": the port is in use; stop the other program or choose another port with --listen";
    case EACCES:
      return "cannot listen on " + place +
             ": no permission; use a port from 1024 up, or give the program CAP_NET_BIND_SERVICE";
    case EADDRNOTAVAIL:
      return "cannot listen on " + place +
             ": this machine has no such address; see `ip addr`, or leave the address out for all";
    default:
      return "cannot listen on " + place + ": " + std::strerror(error);
  }
}

struct AddressInfoDelete {
  void operator()(addrinfo* info) const noexcept { ::freeaddrinfo(info); }
};

// A bound socket, not yet listening; -1 with errno.
int bind_tcp(const sockaddr* address, socklen_t size, bool reuse_port) {
  const int fd = ::socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  const int on = 1;
  const int off = 0;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (reuse_port) ::setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
  if (address->sa_family == AF_INET6) {
    ::setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
  }
  if (::bind(fd, address, size) == 0) return fd;
  const int error = errno;
  ::close(fd);
  errno = error;
  return -1;
}

void close_all(const std::vector<int>& sockets) {
  for (const int fd : sockets) ::close(fd);
}

}  // namespace

Result<std::vector<int>, std::string> listen_tcp(std::string_view host, std::uint16_t port,
                                                 unsigned count) {
  const std::string place = where(host, port);
  sockaddr_storage address{};
  socklen_t size = 0;
  if (host.empty()) {
    // One dual-stack socket; on a machine without IPv6, IPv4 alone.
    auto& v6 = reinterpret_cast<sockaddr_in6&>(address);
    v6.sin6_family = AF_INET6;
    v6.sin6_addr = in6addr_any;
    v6.sin6_port = htons(port);
    size = sizeof v6;
    const int probe = ::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (probe < 0) {
      address = {};
      auto& v4 = reinterpret_cast<sockaddr_in&>(address);
      v4.sin_family = AF_INET;
      v4.sin_port = htons(port);
      size = sizeof v4;
    } else {
      ::close(probe);
    }
  } else {
    addrinfo hints{};
    hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    const std::string name(host);
    const std::string service = std::to_string(port);
    if (const int failure = ::getaddrinfo(name.c_str(), service.c_str(), &hints, &found);
        failure != 0) {
      return err("cannot listen on " + place + ": " + ::gai_strerror(failure) +
                 "; give an address of this machine");
    }
    const std::unique_ptr<addrinfo, AddressInfoDelete> owner(found);
    std::memcpy(&address, found->ai_addr, found->ai_addrlen);
    size = found->ai_addrlen;
  }

  // Without SO_REUSEPORT the kernel says whether another program listens there; with it, a second
  // gateway would silently take half of the first one's connections.
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  const int probe = bind_tcp(generic, size, false);
  if (probe < 0) return err(bind_problem(place, errno));
  ::close(probe);

  std::vector<int> sockets;
  for (unsigned i = 0; i < count; ++i) {
    const int fd = bind_tcp(generic, size, true);
    if (fd < 0 || ::listen(fd, kBacklog) < 0) {
      const int error = errno;
      if (fd >= 0) ::close(fd);
      close_all(sockets);
      return err(bind_problem(place, error));
    }
    sockets.push_back(fd);
    if (i == 0) ::getsockname(fd, generic, &size);  // the port the kernel chose
  }
  return sockets;
}

Result<int, std::string> listen_unix(const std::string& path, unsigned mode) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path) {
    return err("cannot listen on unix:" + path + ": the path must have 1 to " +
               std::to_string(sizeof address.sun_path - 1) + " bytes");
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  const auto* const generic = reinterpret_cast<const sockaddr*>(&address);

  struct stat info {};
  if (::lstat(path.c_str(), &info) == 0) {
    if (!S_ISSOCK(info.st_mode)) {
      return err("cannot listen on unix:" + path +
                 ": a file that is no socket stands there; move it");
    }
    const int probe = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const bool answered = probe >= 0 && (::connect(probe, generic, sizeof address) == 0 ||
                                         errno == EAGAIN || errno == EINPROGRESS);
    if (probe >= 0) ::close(probe);
    if (answered) {
      return err("cannot listen on unix:" + path +
                 ": another program answers there; stop it or choose another path");
    }
    ::unlink(path.c_str());
  }

  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return err("cannot listen on unix:" + path + ": " + std::strerror(errno));
  // The file must never be there with wider rights than asked for.
  const mode_t before = ::umask(0777 & ~mode);
  const int bound = ::bind(fd, generic, sizeof address);
  const int bind_error = errno;
  ::umask(before);
  if (bound < 0 || ::chmod(path.c_str(), mode) < 0 || ::listen(fd, kBacklog) < 0) {
    const int error = bound < 0 ? bind_error : errno;
    ::close(fd);
    return err("cannot listen on unix:" + path + ": " + std::strerror(error) +
               "; its folder must exist and be writable");
  }
  return fd;
}

Result<int, std::string> listen_inherited(int fd) {
  int listening = 0;
  socklen_t size = sizeof listening;
  if (::getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) < 0 || listening == 0) {
    return err("cannot listen on fd:" + std::to_string(fd) +
               ": the descriptor is no listening socket; check what starts this program");
  }
  return fd;
}

std::string describe_listener(int fd) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) < 0) return "?";
  if (address.ss_family == AF_UNIX) {
    const auto& unix_address = reinterpret_cast<const sockaddr_un&>(address);
    return "unix:" + std::string(unix_address.sun_path);
  }
  const PeerAddress bound(reinterpret_cast<const sockaddr*>(&address), size);
  return where(bound.text(), bound.port());
}

}  // namespace tyaprover::http
