// HttpUrl: an http:// URL in the parts that a client needs.
//
// Pure, but for resolve(), which asks the system. Thread-safe.
//
//   const auto url = parse_http_url("http://collector:4318/v1/traces");
//   const auto endpoint = resolve(*url, problem);
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "tyaprover/http/stream.h"

namespace tyaprover::http {

struct HttpUrl {
  std::string host;       // without brackets
  std::string port;       // 80 when there is none
  std::string authority;  // for the field Host: as it stood, without credentials
  std::string target;     // path and query; "/" when there is none
};

// Nothing when it is no http:// URL with a host, or has a space or a control character, which would
// break the head of a request. Credentials are left out.
[[nodiscard]] std::optional<HttpUrl> parse_http_url(std::string_view text);

// Its first address; nothing with what is wrong in `problem`. Blocks while the name is looked up:
// not for a worker's thread.
[[nodiscard]] std::optional<Endpoint> resolve(const HttpUrl& url, std::string& problem);

}  // namespace tyaprover::http
