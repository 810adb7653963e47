#include "tyaprover/cache/cache_status.h"

#include <charconv>

#include "tyaprover/cache/header_fields.h"

namespace tyaprover::cache {
namespace {

void append_number(std::string& out, std::int64_t number) {
  char digits[24];
  const auto end = std::to_chars(digits, digits + sizeof digits, number).ptr;
  out.append(digits, end);
}

// RFC 8941 §3.3.4.
bool is_structured_token(std::string_view text) noexcept {
  if (!is_token(text)) return false;
  const char c = to_lower(text[0]);
  return c == '*' || (c >= 'a' && c <= 'z');
}

void append_text(std::string& out, std::string_view text) {
  if (is_structured_token(text)) {
    out += text;
    return;
  }
  out += '"';
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (c >= ' ' && c <= '~') out += c;
  }
  out += '"';
}

}  // namespace

std::string_view to_string(ForwardReason reason) noexcept {
  switch (reason) {
    case ForwardReason::bypass:
      return "bypass";
    case ForwardReason::method:
      return "method";
    case ForwardReason::uri_miss:
      return "uri-miss";
    case ForwardReason::vary_miss:
      return "vary-miss";
    case ForwardReason::miss:
      return "miss";
    case ForwardReason::request:
      return "request";
    case ForwardReason::stale:
      return "stale";
    case ForwardReason::partial:
      return "partial";
  }
  return "unknown";
}

void append_cache_status(std::string& value, const CacheStatus& status) {
  if (!value.empty()) value += ", ";
  append_text(value, status.cache);
  if (status.hit) value += "; hit";
  if (status.forward) value.append("; fwd=").append(to_string(*status.forward));
  if (status.forward_status) {
    value += "; fwd-status=";
    append_number(value, *status.forward_status);
  }
  if (status.ttl) {
    value += "; ttl=";
    append_number(value, status.ttl->count());
  }
  if (status.stored) value += "; stored";
  if (status.collapsed) value += "; collapsed";
  if (!status.key.empty()) {
    value += "; key=";
    append_text(value, status.key);
  }
  if (!status.detail.empty()) {
    value += "; detail=";
    append_text(value, status.detail);
  }
}

}  // namespace tyaprover::cache
