// Negotiation: what a client accepts, with its weights (RFC 9110 §12.4.2, §12.5.1, §12.5.3).
//
// Pure functions, thread-safe, linear in the input, no allocation. Members of a list that cannot be
// understood are skipped: a client must not lose its page over a typo, and identity and JSON are
// always there to fall back to.
//
//   AcceptEncoding accept;
//   accept.add("gzip;q=0.8, zstd");
//   accept.choose(preference);          // Coding::zstd
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "tyaprover/base/parse.h"
#include "tyaprover/http/field.h"

namespace tyaprover::filters {

enum class Coding : std::uint8_t { identity, gzip, br, zstd };
inline constexpr std::size_t kCodings = 4;

// The name in Content-Encoding; "identity" never stands there.
[[nodiscard]] std::string_view to_string(Coding coding) noexcept;
// Case-insensitive; "x-gzip" is gzip (RFC 9110 §8.4.1.3).
[[nodiscard]] std::optional<Coding> parse_coding(std::string_view name) noexcept;

// The weights of an Accept-Encoding, gathered over all its field lines.
class AcceptEncoding {
 public:
  // One field value. A coding named twice keeps its smaller weight.
  void add(std::string_view value) noexcept;

  // The coding with the largest weight; the earlier of `offered` where weights are equal; identity
  // only where the client says that it likes it better than all of them, or accepts none. Identity
  // is the answer even when it is refused (`identity;q=0`): RFC 9110 §12.5.3 lets a server ignore
  // what it cannot meet, and a body one must decode by hand beats a 406 without any.
  [[nodiscard]] Coding choose(std::span<const Coding> offered) const noexcept;

  // 0 when not accepted, also when there was no field at all: not asking is the usual way of old
  // clients to say that they can only read plain bodies. For identity: 0 also when it is merely
  // tolerated.
  [[nodiscard]] Weight weight(Coding coding) const noexcept;

 private:
  std::array<std::optional<Weight>, kCodings> named_;
  std::optional<Weight> any_;  // of "*"
};

// True when Accept gives text/html a larger weight than JSON, where the most specific matching
// range counts.
[[nodiscard]] bool prefers_html(const http::Fields& request) noexcept;

}  // namespace tyaprover::filters
