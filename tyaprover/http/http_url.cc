#include "tyaprover/http/http_url.h"

#include <netdb.h>

#include <algorithm>
#include <cstring>

namespace tyaprover::http {

std::optional<HttpUrl> parse_http_url(std::string_view text) {
  constexpr std::string_view kScheme = "http://";
  if (!text.starts_with(kScheme)) return std::nullopt;
  const auto breaks_a_head = [](unsigned char c) { return c <= ' ' || c == 0x7f; };
  if (std::any_of(text.begin(), text.end(), breaks_a_head)) return std::nullopt;
  text.remove_prefix(kScheme.size());
  HttpUrl url;
  const std::size_t path = std::min(text.find('/'), text.size());
  url.target = path == text.size() ? "/" : std::string(text.substr(path));
  std::string_view authority = text.substr(0, path);
  authority.remove_prefix(authority.rfind('@') + 1);
  url.authority = authority;
  const std::size_t bracket = authority.find(']');
  const std::size_t colon = authority.find(':', bracket == std::string_view::npos ? 0 : bracket);
  std::string_view host = authority.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  url.host = host;
  url.port = colon == std::string_view::npos ? "80" : std::string(authority.substr(colon + 1));
  if (url.host.empty()) return std::nullopt;
  return url;
}

std::optional<Endpoint> resolve(const HttpUrl& url, std::string& problem) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int failure = ::getaddrinfo(url.host.c_str(), url.port.c_str(), &hints, &found);
  if (failure != 0) {
    problem = "cannot resolve " + url.host + ": " + ::gai_strerror(failure);
    return std::nullopt;
  }
  Endpoint endpoint;
  std::memcpy(&endpoint.address, found->ai_addr, found->ai_addrlen);
  endpoint.size = found->ai_addrlen;
  ::freeaddrinfo(found);
  return endpoint;
}

}  // namespace tyaprover::http
