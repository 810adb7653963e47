// PeerAddress: one end of a connection, ready to be logged, forwarded and matched.
//
// A value without allocation. `text()` is made once per connection.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

struct sockaddr;

namespace tyaprover::http {

class PeerAddress {
 public:
  PeerAddress() = default;
  // From what accept4/getsockname gave. IPv4-mapped IPv6 addresses become IPv4.
  PeerAddress(const sockaddr* address, unsigned size) noexcept;

  [[nodiscard]] bool is_unix() const noexcept { return family_ == Family::unix_socket; }
  [[nodiscard]] bool is_v6() const noexcept { return family_ == Family::v6; }
  // 4 or 16 bytes in network order; empty for a unix socket.
  [[nodiscard]] std::string_view bytes() const noexcept {
    return {reinterpret_cast<const char*>(bytes_.data()), family_ == Family::v4   ? 4u
                                                          : family_ == Family::v6 ? 16u
                                                                                  : 0u};
  }
  [[nodiscard]] std::uint16_t port() const noexcept { return port_; }
  // "192.0.2.1", "2001:db8::1", "unix"; without port.
  [[nodiscard]] std::string_view text() const noexcept { return {text_.data(), text_size_}; }

 private:
  enum class Family : std::uint8_t { none, v4, v6, unix_socket };
  Family family_ = Family::none;
  std::uint8_t text_size_ = 0;
  std::uint16_t port_ = 0;
  std::array<std::uint8_t, 16> bytes_{};
  std::array<char, 46> text_{};
};

}  // namespace tyaprover::http
