// Balancing: which of several targets takes the next request (R36).
//
// Pure functions on what a worker knows of its targets, and the key of a request for consistent
// hashing. Confined to one worker, as the loads are. Targets that must not be used are no
// candidates: leaving them out is the caller's part (upstream.h).
//
//   Candidate candidates[] = {{&a.load, a.in_flight}, {&b.load, b.in_flight}};
//   std::size_t taken = pick_p2c(candidates, now);
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "tyaprover/base/clock.h"
#include "tyaprover/http/exchange.h"

namespace tyaprover::gateway {

// How long a target takes to answer, smoothed exponentially. A value that is not renewed fades, so
// that a target that was slow is asked again after some seconds.
class SmoothedLatency {
 public:
  void observe(Nanos latency, TimePoint now) noexcept;
  // Enough answers have come to judge by them.
  [[nodiscard]] bool known() const noexcept { return samples_ >= kEnough; }
  [[nodiscard]] Nanos at(TimePoint now) const noexcept;

 private:
  static constexpr unsigned kEnough = 8;

  double nanos_ = 0;
  TimePoint observed_{};
  unsigned samples_ = 0;
};

// What balancing keeps of a target.
struct TargetLoad {
  unsigned weight = 1;  // its share of the requests, relative to the others'; at least 1
  SmoothedLatency latency;
  std::int64_t turn = 0;  // of round robin: the highest is next
};

struct Candidate {
  TargetLoad* load;
  std::size_t in_flight;
};

// Each gives an index. REQUIRES: there are candidates.

// In turn; a target of weight 3 gets three of four turns beside one of weight 1, spread evenly
// between them.
[[nodiscard]] std::size_t pick_round_robin(std::span<const Candidate> candidates) noexcept;
[[nodiscard]] std::size_t pick_random(std::span<const Candidate> candidates) noexcept;
// Of two different random ones the one that will be done sooner: fewer in flight × answers faster.
// Nearly as even as asking all, without all workers running to the same one.
[[nodiscard]] std::size_t pick_p2c(std::span<const Candidate> candidates, TimePoint now) noexcept;

// By what consistent hashing keeps requests together: "client", "path", "header:NAME" or
// "cookie:NAME".
struct HashBy {
  enum class Kind : std::uint8_t { client, path, header, cookie };
  Kind kind = Kind::client;
  std::string name;

  [[nodiscard]] static std::optional<HashBy> parse(std::string_view text);
};

// Nothing when the request has no such field or cookie, or an empty one.
[[nodiscard]] std::optional<std::uint64_t> hash_of(const HashBy& by,
                                                   const http::Exchange& exchange) noexcept;

}  // namespace tyaprover::gateway
