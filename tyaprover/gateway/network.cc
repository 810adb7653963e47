#include "tyaprover/gateway/network.h"

#include <arpa/inet.h>

#include <algorithm>
#include <iterator>

#include "tyaprover/base/parse.h"

namespace tyaprover::gateway {
namespace {

unsigned width_of(const Network& network) noexcept {
  return network.v6 ? 128 : 32;
}

void clear_host_bits(Network& network) noexcept {
  for (unsigned bit = network.prefix; bit < 128; ++bit) {
    network.bytes[bit / 8] &= static_cast<std::uint8_t>(~(0x80u >> (bit % 8)));
  }
}

}  // namespace

Result<Network, ValueError> parse_network(std::string_view text) {
  const std::size_t slash = text.find('/');
  const std::string address(text.substr(0, slash));
  Network network;
  network.v6 = address.find(':') != std::string::npos;
  if (address.find('\0') != std::string::npos ||
      inet_pton(network.v6 ? AF_INET6 : AF_INET, address.c_str(), network.bytes) != 1) {
    return err(ValueError{"is not a network",
                          "write for example \"10.0.0.0/8\", \"fd00::/8\" or an address"});
  }
  network.prefix = width_of(network);
  if (slash == std::string_view::npos) return network;
  const auto prefix = parse_u64(text.substr(slash + 1));
  if (!prefix || *prefix > width_of(network)) {
    return err(
        ValueError{"has no prefix length between 0 and " + std::to_string(width_of(network)), ""});
  }
  network.prefix = static_cast<unsigned>(*prefix);
  Network cleared = network;
  clear_host_bits(cleared);
  if (cleared != network) {
    return err(ValueError{"has address bits behind its prefix",
                          "write \"" + format_network(cleared) + "\", or the address alone"});
  }
  return network;
}

std::string format_network(const Network& network) {
  char text[INET6_ADDRSTRLEN] = "";
  inet_ntop(network.v6 ? AF_INET6 : AF_INET, network.bytes, text, sizeof(text));
  return std::string(text) + "/" + std::to_string(network.prefix);
}

bool is_loopback(std::string_view address) noexcept {
  return address.starts_with("127.") || address == "::1" || address == "unix";
}

}  // namespace tyaprover::gateway
