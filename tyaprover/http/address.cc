#include "tyaprover/http/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstring>

namespace tyaprover::http {

PeerAddress::PeerAddress(const sockaddr* address, unsigned size) noexcept {
  const auto write_text = [this](int family, const void* bytes) {
    if (inet_ntop(family, bytes, text_.data(), text_.size()) != nullptr) {
      text_size_ = static_cast<std::uint8_t>(std::strlen(text_.data()));
    }
  };
  if (address->sa_family == AF_INET && size >= sizeof(sockaddr_in)) {
    sockaddr_in v4;
    std::memcpy(&v4, address, sizeof v4);
    family_ = Family::v4;
    port_ = ntohs(v4.sin_port);
    std::memcpy(bytes_.data(), &v4.sin_addr, 4);
    write_text(AF_INET, bytes_.data());
  } else if (address->sa_family == AF_INET6 && size >= sizeof(sockaddr_in6)) {
    sockaddr_in6 v6;
    std::memcpy(&v6, address, sizeof v6);
    port_ = ntohs(v6.sin6_port);
    if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) {
      family_ = Family::v4;
      std::memcpy(bytes_.data(), v6.sin6_addr.s6_addr + 12, 4);
      write_text(AF_INET, bytes_.data());
    } else {
      family_ = Family::v6;
      std::memcpy(bytes_.data(), v6.sin6_addr.s6_addr, 16);
      write_text(AF_INET6, bytes_.data());
    }
  } else if (address->sa_family == AF_UNIX) {
    family_ = Family::unix_socket;
    std::memcpy(text_.data(), "unix", 4);
    text_size_ = 4;
  }
}

}  // namespace tyaprover::http
