#include "tyaprover/gateway/balancing.h"

#include <algorithm>
#include <cmath>

#include "tyaprover/base/ids.h"
#include "tyaprover/cache/cache_key.h"
#include "tyaprover/http/grammar.h"
#include "tyaprover/resilience/consistent_hash.h"

namespace tyaprover::gateway {
namespace {

constexpr double kFadesIn = 3e9;  // nanoseconds until a value has fallen to 1/e
constexpr double kSmoothing = 0.125;
constexpr double kForgotten = 0.1;  // of a value that has faded to less, nothing stays
// Added to every latency: below about a millisecond differences are the machine's, not the
// target's.
constexpr double kIndifferent = 1e6;
// The other of two is taken only if it is better by so much: nearly equal targets share evenly,
// however small their difference.
constexpr double kClearly = 0.8;

// A random one in proportion to the weights, except `without`.
std::size_t pick_by_weight(std::span<const Candidate> candidates, std::size_t without) noexcept {
  std::uint64_t total = 0;
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    if (i != without) total += candidates[i].load->weight;
  }
  std::uint64_t at = random_u64() % total;
  for (std::size_t i = 0;; ++i) {
    if (i == without) continue;
    if (at < candidates[i].load->weight) return i;
    at -= candidates[i].load->weight;
  }
}

// How long a request would take there, in an arbitrary unit.
double cost(const Candidate& candidate, bool by_latency, TimePoint now) noexcept {
  // The weight says what is normal for it; it does not make an idle target better.
  const double queue =
      1 + static_cast<double>(candidate.in_flight) / static_cast<double>(candidate.load->weight);
  if (!by_latency) return queue;
  return queue * (static_cast<double>(candidate.load->latency.at(now).count()) + kIndifferent);
}

}  // namespace

void SmoothedLatency::observe(Nanos latency, TimePoint now) noexcept {
  const auto sample = static_cast<double>(latency.count());
  if (samples_ < kEnough) {
    nanos_ += (sample - nanos_) / ++samples_;
  } else {
    // The older the value, the less of it stays; in the end nothing.
    const auto age = static_cast<double>((now - observed_).count());
    const double left = std::exp(-age / kFadesIn);
    nanos_ += (sample - nanos_) * (left < kForgotten ? 1 : std::max(kSmoothing, 1 - left));
  }
  observed_ = now;
}

Nanos SmoothedLatency::at(TimePoint now) const noexcept {
  const auto age = static_cast<double>((now - observed_).count());
  return Nanos(static_cast<Nanos::rep>(nanos_ * std::exp(-age / kFadesIn)));
}

// Smooth weighted round robin: everybody's turn comes nearer by his weight, and who is taken goes
// back by the sum of all.
std::size_t pick_round_robin(std::span<const Candidate> candidates) noexcept {
  std::int64_t total = 0;
  std::size_t next = 0;
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    TargetLoad& load = *candidates[i].load;
    load.turn += load.weight;
    total += load.weight;
    if (load.turn > candidates[next].load->turn) next = i;
  }
  candidates[next].load->turn -= total;
  return next;
}

std::size_t pick_random(std::span<const Candidate> candidates) noexcept {
  return pick_by_weight(candidates, candidates.size());
}

std::size_t pick_p2c(std::span<const Candidate> candidates, TimePoint now) noexcept {
  if (candidates.size() == 1) return 0;
  const std::size_t first = pick_random(candidates);
  const std::size_t second = pick_by_weight(candidates, first);
  const bool by_latency =
      candidates[first].load->latency.known() && candidates[second].load->latency.known();
  return cost(candidates[second], by_latency, now) <
                 kClearly * cost(candidates[first], by_latency, now)
             ? second
             : first;
}

std::optional<HashBy> HashBy::parse(std::string_view text) {
  if (text == "client") return HashBy{Kind::client, {}};
  if (text == "path") return HashBy{Kind::path, {}};
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos) return std::nullopt;
  const std::string_view kind = text.substr(0, colon);
  const std::string_view name = text.substr(colon + 1);
  if (!http::all_are(name, http::CharClass::token)) return std::nullopt;
  if (kind == "header") return HashBy{Kind::header, std::string(name)};
  if (kind == "cookie") return HashBy{Kind::cookie, std::string(name)};
  return std::nullopt;
}

std::optional<std::uint64_t> hash_of(const HashBy& by, const http::Exchange& exchange) noexcept {
  std::string_view key;
  switch (by.kind) {
    case HashBy::Kind::client:
      key = exchange.client;
      break;
    case HashBy::Kind::path:
      key = exchange.path;
      break;
    case HashBy::Kind::header:
      if (const http::Field* const field = exchange.request.fields.find(by.name)) {
        key = field->value;
      }
      break;
    case HashBy::Kind::cookie:
      key = cache::cookie_value(exchange.request.fields, by.name);
      break;
  }
  if (key.empty()) return std::nullopt;
  return resilience::hash_key(key);
}

}  // namespace tyaprover::gateway
