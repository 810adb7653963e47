#include "tyaprover/gateway/forwarding.h"

#include <arpa/inet.h>

#include <array>
#include <charconv>
#include <cstring>

#include "tyaprover/base/text.h"

namespace tyaprover::gateway {
namespace {

using http::Exchange;
using http::Field;
using http::Fields;
using http::KnownField;

constexpr std::string_view kPseudonym = "tyaprover";

// Hop-by-hop in both directions, whatever Connection says (RFC 9110 §7.6.1).
bool is_hop_by_hop(KnownField id) noexcept {
  switch (id) {
    case KnownField::connection:
    case KnownField::http2_settings:
    case KnownField::keep_alive:
    case KnownField::proxy_authenticate:
    case KnownField::proxy_authorization:
    case KnownField::proxy_connection:
    case KnownField::te:
    case KnownField::trailer:
    case KnownField::transfer_encoding:
    case KnownField::upgrade:
    case KnownField::content_length:  // written anew from the framing
      return true;
    default:
      return false;
  }
}

// Whether Connection names anything but its own options, so that most messages need no search per
// field.
bool connection_lists_fields(const Fields& fields) noexcept {
  for (const Field& field : fields) {
    if (field.id != KnownField::connection) continue;
    bool lists = false;
    for_each_list_member(field.value, [&](std::string_view member) {
      lists = !iequals(member, "close") && !iequals(member, "keep-alive") &&
              !iequals(member, "upgrade");
      return !lists;
    });
    if (lists) return true;
  }
  return false;
}

// Appends into arena memory whose size was computed first.
class Writer {
 public:
  Writer(char* begin, std::size_t size) noexcept : begin_(begin), at_(begin), end_(begin + size) {}
  Writer& operator<<(std::string_view text) noexcept {
    if (!text.empty() && text.size() <= static_cast<std::size_t>(end_ - at_)) {
      std::memcpy(at_, text.data(), text.size());
      at_ += text.size();
    }
    return *this;
  }
  Writer& operator<<(std::uint64_t number) noexcept {
    at_ = std::to_chars(at_, end_, number).ptr;
    return *this;
  }
  void field(std::string_view name, std::string_view value) noexcept {
    *this << name << ": " << value << "\r\n";
  }
  [[nodiscard]] std::string_view text() const noexcept {
    return {begin_, static_cast<std::size_t>(at_ - begin_)};
  }

 private:
  char* begin_;
  char* at_;
  char* end_;
};

// All values of a field as one list, in order.
std::string_view join_values(Exchange& e, KnownField id) {
  const std::size_t lines = e.request.fields.count(id);
  if (lines == 0) return {};
  if (lines == 1) return e.request.fields.value(id);
  std::string_view joined;
  for (const Field& field : e.request.fields) {
    if (field.id != id || field.value.empty()) continue;
    joined = joined.empty() ? field.value : e.arena.concat({joined, ", ", field.value});
  }
  return joined;
}

struct ParsedAddress {
  std::array<char, 16> bytes{};
  std::size_t size = 0;
};

// An X-Forwarded-For entry: an address, perhaps with brackets or a port.
ParsedAddress parse_address(std::string_view text) noexcept {
  ParsedAddress parsed;
  if (!text.empty() && text.front() == '[') {
    text.remove_prefix(1);
    text = text.substr(0, text.find(']'));
  } else if (const std::size_t colon = text.find(':');
             colon != std::string_view::npos &&
             text.find(':', colon + 1) == std::string_view::npos) {
    text = text.substr(0, colon);
  }
  char buffer[INET6_ADDRSTRLEN + 1] = {};
  if (text.empty() || text.size() > INET6_ADDRSTRLEN) return parsed;
  std::memcpy(buffer, text.data(), text.size());
  if (::inet_pton(AF_INET, buffer, parsed.bytes.data()) == 1) {
    parsed.size = 4;
  } else if (::inet_pton(AF_INET6, buffer, parsed.bytes.data()) == 1) {
    parsed.size = 16;
  }
  return parsed;
}

bool is_loopback_network(const Network& network) noexcept {
  return !network.v6 && network.bytes[0] == 127;
}

}  // namespace

bool contains(std::span<const Network> networks, std::string_view address) noexcept {
  for (const Network& network : networks) {
    if (address.size() != (network.v6 ? 16u : 4u)) continue;
    const unsigned whole = network.prefix / 8;
    const unsigned rest = network.prefix % 8;
    if (std::memcmp(address.data(), network.bytes, whole) != 0) continue;
    if (rest != 0) {
      const auto mask = static_cast<std::uint8_t>(0xff << (8 - rest));
      if ((static_cast<std::uint8_t>(address[whole]) & mask) != (network.bytes[whole] & mask)) {
        continue;
      }
    }
    return true;
  }
  return false;
}

bool is_trusted(std::span<const Network> trusted, const http::PeerAddress& peer) noexcept {
  if (peer.is_unix()) {
    for (const Network& network : trusted) {
      if (is_loopback_network(network)) return true;
    }
    return false;
  }
  return contains(trusted, peer.bytes());
}

void identify_client(Exchange& e, std::span<const Network> trusted) {
  e.peer_trusted = is_trusted(trusted, e.peer);
  e.client = e.peer.text();
  e.scheme = "http";
  if (!e.peer_trusted) return;
  const std::string_view protocols = join_values(e, KnownField::x_forwarded_proto);
  if (iequals(trim(protocols.substr(protocols.rfind(',') + 1)), "https")) e.scheme = "https";
  std::string_view list = join_values(e, KnownField::x_forwarded_for);
  while (!list.empty()) {
    const std::size_t comma = list.rfind(',');
    const std::string_view entry =
        trim(comma == std::string_view::npos ? list : list.substr(comma + 1));
    list = comma == std::string_view::npos ? std::string_view() : list.substr(0, comma);
    const ParsedAddress address = parse_address(entry);
    if (address.size == 0) break;  // not an address: nothing left of it can be believed
    e.client = entry;
    if (!contains(trusted, {address.bytes.data(), address.size})) break;
  }
}

unsigned count_own_hops(const Fields& fields) noexcept {
  unsigned hops = 0;
  for (const Field& field : fields) {
    if (field.id != KnownField::via) continue;
    for_each_list_member(field.value, [&](std::string_view member) {
      const std::size_t space = member.find(' ');
      if (space != std::string_view::npos && trim(member.substr(space)) == kPseudonym) ++hops;
      return true;
    });
  }
  return hops;
}

std::string_view write_request_head(Exchange& e, const RequestHeadOptions& options) {
  const http::RequestHead& request = e.request;
  const bool trusted = e.peer_trusted;
  const bool lists_fields = connection_lists_fields(request.fields);

  std::string_view host = request.authority;
  if (options.host_header == "target" || (options.host_header == "keep" && host.empty())) {
    host = options.target_authority;
  } else if (options.host_header != "keep") {
    host = options.host_header;
  }

  const auto inherited = [&](KnownField id) {
    return trusted ? join_values(e, id) : std::string_view();
  };
  const std::string_view forwarded_for = inherited(KnownField::x_forwarded_for);
  const std::string_view forwarded_proto = inherited(KnownField::x_forwarded_proto);
  const std::string_view forwarded_host = inherited(KnownField::x_forwarded_host);
  const std::string_view forwarded_port = inherited(KnownField::x_forwarded_port);
  const std::string_view forwarded = inherited(KnownField::forwarded);
  const std::string_view via = join_values(e, KnownField::via);

  std::size_t size = 1024 + request.method.size() + request.origin_form.size() + host.size() * 3 +
                     forwarded_for.size() + forwarded_proto.size() + forwarded_host.size() +
                     forwarded_port.size() + forwarded.size() + via.size() + e.request_id.size() +
                     request.authority.size() * 2;
  for (const Field& field : request.fields) size += field.name.size() + field.value.size() + 4;
  if (options.trace_fields != nullptr) {
    options.trace_fields->for_each([&](std::string_view name, std::string_view value) {
      size += name.size() + value.size() + 4;
    });
  }
  Writer out(e.arena.allocate(size), size);

  out << request.method << (request.origin_form.starts_with('?') ? " /" : " ")
      << request.origin_form << " HTTP/1.1\r\n";
  out.field("Host", host);
  for (const Field& field : request.fields) {
    switch (field.id) {
      case KnownField::host:
      case KnownField::x_forwarded_for:
      case KnownField::x_forwarded_proto:
      case KnownField::x_forwarded_host:
      case KnownField::x_forwarded_port:
      case KnownField::forwarded:
      case KnownField::via:
      case KnownField::x_request_id:
      case KnownField::expect:
        continue;  // written below
      case KnownField::traceparent:
      case KnownField::tracestate:
        if (options.trace_fields != nullptr) continue;
        break;
      case KnownField::other:
        if (options.trace_fields != nullptr && trace::is_trace_field(field.name)) continue;
        if (field.name.find('_') != std::string_view::npos) {
          if (options.underscore_drops != nullptr) ++*options.underscore_drops;
          continue;
        }
        break;
      default:
        if (is_hop_by_hop(field.id)) continue;
        break;
    }
    if (lists_fields && request.fields.list_contains(KnownField::connection, field.name)) continue;
    out.field(field.name, field.value);
  }

  if (options.trace_fields != nullptr) {
    options.trace_fields->for_each(
        [&](std::string_view name, std::string_view value) { out.field(name, value); });
  }
  if (forwarded_for.empty()) {
    out.field("X-Forwarded-For", e.peer.text());
  } else {
    out << "X-Forwarded-For: " << forwarded_for << ", " << e.peer.text() << "\r\n";
  }
  out.field("X-Forwarded-Proto", forwarded_proto.empty() ? e.scheme : forwarded_proto);
  if (!forwarded_host.empty() || !request.authority.empty()) {
    out.field("X-Forwarded-Host", forwarded_host.empty() ? request.authority : forwarded_host);
  }
  if (!forwarded_port.empty()) {
    out.field("X-Forwarded-Port", forwarded_port);
  } else if (e.local.port() != 0) {
    out << "X-Forwarded-Port: " << std::uint64_t{e.local.port()} << "\r\n";
  }
  if (options.forwarded) {
    out << "Forwarded: ";
    if (!forwarded.empty()) out << forwarded << ", ";
    // RFC 7239 §6: an IPv6 address is bracketed and quoted; a unix socket's peer has none.
    if (e.peer.is_unix()) {
      out << "for=unknown";
    } else if (e.peer.is_v6()) {
      out << "for=\"[" << e.peer.text() << "]\"";
    } else {
      out << "for=" << e.peer.text();
    }
    if (!request.authority.empty()) out << ";host=\"" << request.authority << "\"";
    out << ";proto=" << e.scheme << "\r\n";
  } else if (!forwarded.empty()) {
    out.field("Forwarded", forwarded);
  }
  out << "Via: ";
  if (!via.empty()) out << via << ", ";
  out << (request.minor_version == 0 ? "1.0 " : "1.1 ") << kPseudonym << "\r\n";
  if (!e.request_id.empty()) out.field("X-Request-ID", e.request_id);

  if (request.expect_continue) out << "Expect: 100-continue\r\n";
  switch (request.body.kind) {
    case http::BodyKind::none:
    case http::BodyKind::until_close:
      break;
    case http::BodyKind::length:
      out << "Content-Length: " << request.body.length << "\r\n";
      break;
    case http::BodyKind::chunked:
      out << "Transfer-Encoding: chunked\r\n";
      break;
  }
  const bool trailers = request.fields.list_contains(KnownField::te, "trailers");
  if (request.upgrade) {
    out.field("Upgrade", request.fields.value(KnownField::upgrade));
    out << "Connection: upgrade\r\n";
  } else if (trailers) {
    out << "TE: trailers\r\nConnection: TE\r\n";
  }
  out << "\r\n";
  return out.text();
}

void take_interim_fields(const Fields& from, Fields& to) {
  const bool lists_fields = connection_lists_fields(from);
  for (const Field& field : from) {
    if (is_hop_by_hop(field.id)) continue;
    if (lists_fields && from.list_contains(KnownField::connection, field.name)) continue;
    to.add(field);
  }
}

void take_response_head(const http::ResponseHead& head, Exchange& e) {
  http::Response& response = e.response;
  response.status = head.status;
  take_interim_fields(head.fields, response.fields);
  if (head.status == 101) {
    if (const Field* upgrade = head.fields.find(KnownField::upgrade)) response.fields.add(*upgrade);
    return;
  }
  // HEAD and 304 say how long the body would be (RFC 9110 §8.6); 204 has none to speak of.
  if (head.status == 304 || e.request.method_id == http::Method::head) {
    const std::string_view value = head.fields.value(KnownField::content_length);
    std::uint64_t length = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), length);
    if (!value.empty() && error == std::errc() && end == value.data() + value.size()) {
      response.described_length = length;
    }
  }
}

}  // namespace tyaprover::gateway
