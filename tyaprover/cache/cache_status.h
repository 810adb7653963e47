// Cache-Status (RFC 9211): how a cache handled a request, for the people who look for the reason.
//
// Pure functions, thread-safe; appends to strings that the caller owns, so that a reused one makes
// it allocation-free.
//
//   std::string value;
//   append_cache_status(value, {.cache = "tyaprover", .hit = true, .ttl = 42s});
//   // tyaprover; hit; ttl=42
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tyaprover::cache {

// Why a request went to the origin (RFC 9211 §2.2).
enum class ForwardReason : std::uint8_t {
  bypass,
  method,
  uri_miss,
  vary_miss,
  miss,
  request,
  stale,
  partial,
};
[[nodiscard]] std::string_view to_string(ForwardReason reason) noexcept;

struct CacheStatus {
  std::string_view cache;  // this cache's name
  bool hit = false;        // else `forward` says why not
  std::optional<ForwardReason> forward;
  std::optional<int> forward_status;
  bool stored = false;
  bool collapsed = false;
  std::optional<std::chrono::seconds> ttl;  // lifetime left, negative when stale
  std::string_view key;
  std::string_view detail;
};
// Appends one member; behind a member that is there already with ", " (§2: the cache nearest to the
// origin comes first). Text that is no token is written as a string, without what a string cannot
// hold.
void append_cache_status(std::string& value, const CacheStatus& status);

}  // namespace tyaprover::cache
