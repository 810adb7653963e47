#include "tyaprover/cache/cache_stats.h"

#include <cmath>

#include "tyaprover/base/json_writer.h"

namespace tyaprover::cache {

std::string_view to_string(RemovalCause cause) noexcept {
  switch (cause) {
    case RemovalCause::replaced:
      return "replaced";
    case RemovalCause::erased:
      return "erased";
    case RemovalCause::expired:
      return "expired";
    case RemovalCause::evicted:
      return "evicted";
    case RemovalCause::cleared:
      return "cleared";
  }
  return "unknown";
}

double CacheStats::hit_rate() const noexcept {
  const std::uint64_t lookups = hits + misses;
  if (lookups == 0) return 0;
  return std::round(static_cast<double>(hits) / static_cast<double>(lookups) * 1e4) / 1e2;
}

std::string CacheStats::to_json() const {
  std::string out;
  JsonWriter json(out);
  json.begin_object();
  json.key("hits").integer(hits).key("misses").integer(misses);
  json.key("keys").integer(keys).key("size").integer(bytes);
  json.key("hitRate").number(hit_rate());
  json.key("staleHits").integer(stale_hits).key("negativeHits").integer(negative_hits);
  json.key("loads").begin_object();
  json.key("ok").integer(loads_ok).key("failed").integer(loads_failed);
  json.key("collapsed").integer(collapsed).key("refreshes").integer(refreshes);
  json.key("seconds").number(std::chrono::duration<double>(load_time).count());
  json.end_object();
  json.key("refused").integer(refused);
  json.key("removals").begin_object();
  for (std::size_t i = 0; i < kRemovalCauses; ++i) {
    json.key(to_string(static_cast<RemovalCause>(i))).integer(removals[i]);
  }
  json.end_object().end_object();
  return out;
}

CacheStats& CacheStats::operator+=(const CacheStats& other) noexcept {
  hits += other.hits;
  misses += other.misses;
  stale_hits += other.stale_hits;
  negative_hits += other.negative_hits;
  keys += other.keys;
  bytes += other.bytes;
  loads_ok += other.loads_ok;
  loads_failed += other.loads_failed;
  load_time += other.load_time;
  collapsed += other.collapsed;
  refreshes += other.refreshes;
  refused += other.refused;
  for (std::size_t i = 0; i < kRemovalCauses; ++i) removals[i] += other.removals[i];
  return *this;
}

}  // namespace tyaprover::cache
