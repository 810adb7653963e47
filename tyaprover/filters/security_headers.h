// SecurityHeaders: fields that tell browsers to be careful, where the app did not say (R7.2).
//
// Confined to one worker. Options come per route; their strings outlive the exchange.
#pragma once

#include <optional>
#include <string>

#include "tyaprover/filters/pipeline.h"

namespace tyaprover::filters {

// Every value: empty = not sent. A field that the app sent is never touched.
struct SecurityHeadersOptions {
  bool enabled = true;
  std::string frame_options = "SAMEORIGIN";
  std::string content_type_options = "nosniff";
  std::string referrer_policy = "strict-origin-when-cross-origin";
  std::string permissions_policy = "geolocation=(), microphone=(), camera=()";
  std::string content_security_policy;
  std::string strict_transport_security;  // sent over TLS only
  bool remove_powered_by = true;
  std::optional<std::string> server;  // unset: the app's Server passes; "": removed; else replaced
  bool operator==(const SecurityHeadersOptions&) const = default;
};

class SecurityHeaders {
 public:
  struct State {};
  void on_response(Exchange& exchange, State& state) noexcept;
};

}  // namespace tyaprover::filters
