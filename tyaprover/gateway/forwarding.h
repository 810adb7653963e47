// Forwarding: what of a message goes on to the next hop, and what is added (R6.1–R6.3, R4.9).
//
// Functions over one exchange, without I/O; text they make lives in the exchange's arena.
//
//   identify_client(exchange, config.trusted_proxies);
//   std::string_view head = write_request_head(exchange, target, options);
//   take_response_head(upstream_head, exchange);
#pragma once

#include <atomic>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "tyaprover/gateway/config.h"
#include "tyaprover/http/address.h"
#include "tyaprover/http/exchange.h"
#include "tyaprover/trace/propagation.h"

namespace tyaprover::gateway {

[[nodiscard]] bool contains(std::span<const Network> networks,
                            std::string_view address_bytes) noexcept;
// A unix socket's peer runs on this machine under our file permissions: it is trusted when loopback
// is.
[[nodiscard]] bool is_trusted(std::span<const Network> trusted,
                              const http::PeerAddress& peer) noexcept;

// Sets exchange.peer_trusted; exchange.client: the rightmost X-Forwarded-For entry that is no
// trusted proxy; and exchange.scheme: what the last X-Forwarded-Proto says. Both only when the peer
// itself is trusted (R6.3).
void identify_client(http::Exchange& exchange, std::span<const Network> trusted);

// Own hops in Via; above kMaxHops the request goes in circles (R6.2).
inline constexpr unsigned kMaxHops = 10;
[[nodiscard]] unsigned count_own_hops(const http::Fields& fields) noexcept;

struct RequestHeadOptions {
  std::string_view host_header = "keep";  // keep | target | a value
  std::string_view target_authority;
  bool forwarded = false;                     // also write Forwarded (RFC 7239)
  std::uint64_t* underscore_drops = nullptr;  // counts names with '_' left out (R4.9)
  // In place of whatever fields of a trace the request has; null: those go on as they are.
  const trace::InjectedFields* trace_fields = nullptr;
};

// The head for the upstream, with its empty line.
[[nodiscard]] std::string_view write_request_head(http::Exchange& exchange,
                                                  const RequestHeadOptions& options);

// Fills exchange.response with the status and the end-to-end fields; the views stay in the
// upstream's buffer.
void take_response_head(const http::ResponseHead& head, http::Exchange& exchange);
// The end-to-end fields of an interim (1xx) response.
void take_interim_fields(const http::Fields& from, http::Fields& to);

}  // namespace tyaprover::gateway
