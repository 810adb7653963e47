#include "tyaprover/filters/response_store.h"

#include <algorithm>
#include <utility>

#include "tyaprover/filters/cache_url.h"
#include "tyaprover/filters/stored_bytes.h"

namespace tyaprover::filters {
namespace {

cache::CacheOptions<std::string, ResponseStore::Entry> table_options(
    const ResponseStoreOptions& options) {
  return {.max_entries = options.max_entries,
          .max_bytes = options.max_bytes,
          .weigher = [](const ResponseStore::Entry& entry) { return entry->memory(); },
          .clock = options.clock};
}

cache::WallTime system_wall_time() {
  return std::chrono::time_point_cast<Nanos>(std::chrono::system_clock::now());
}

// The same requests select both.
bool same_selection(const StoredHead& a, const StoredHead& b) {
  return a.variant.names() == b.variant.names() && a.variant.text() == b.variant.text() &&
         a.by_coding == b.by_coding;
}

}  // namespace

std::string_view to_string(CacheResult result) noexcept {
  switch (result) {
    case CacheResult::hit:
      return "HIT";
    case CacheResult::miss:
      return "MISS";
    case CacheResult::stale:
      return "STALE";
    case CacheResult::revalidated:
      return "REVALIDATED";
    case CacheResult::bypass:
      return "BYPASS";
  }
  return "";
}

std::string_view log_word(CacheResult result) noexcept {
  switch (result) {
    case CacheResult::hit:
      return "hit";
    case CacheResult::miss:
      return "miss";
    case CacheResult::stale:
      return "stale";
    case CacheResult::revalidated:
      return "revalidated";
    case CacheResult::bypass:
      return "bypass";
  }
  return "";
}

std::uint64_t ResponseStoreStats::hits() const noexcept {
  return results[static_cast<std::size_t>(CacheResult::hit)] +
         results[static_cast<std::size_t>(CacheResult::stale)] +
         results[static_cast<std::size_t>(CacheResult::revalidated)];
}

std::uint64_t ResponseStoreStats::misses() const noexcept {
  return results[static_cast<std::size_t>(CacheResult::miss)];
}

ResponseStore::ResponseStore(ResponseStoreOptions options, std::size_t apps)
    : max_bytes_(options.max_bytes),
      clock_(options.clock != nullptr ? *options.clock : SteadyClock::instance()),
      wall_clock_(options.wall_clock ? options.wall_clock : system_wall_time),
      apps_(apps),
      keys_have_additions_(options.keys_have_additions),
      seed_(cache::random_hash_seed()),
      responses_(table_options(options)) {}

CacheCounters& ResponseStore::add_worker() {
  const std::lock_guard lock(workers_mutex_);
  return workers_.emplace_back(apps_);
}

// Seeded, so that nobody outside can choose which keys share a place.
std::uint64_t ResponseStore::hash(std::string_view key) const noexcept {
  return cache::hash_bytes(key, seed_);
}

std::uint64_t ResponseStore::erasures(std::string_view key) const noexcept {
  return erasures_[hash(key) % kErasures].load(std::memory_order_acquire) +
         all_erasures_.load(std::memory_order_acquire);
}

bool ResponseStore::put(const std::string& key, std::string_view url, StoredResponse response,
                        std::uint64_t erasures_before) {
  const std::lock_guard lock(mutex_of(key));
  if (erasures(key) != erasures_before) return false;
  StoredVariants stored;
  stored.url = url;
  const StoredHead& head = *response.head;
  if (const auto old = responses_.peek(key)) {
    for (const StoredResponse& variant : (*old)->variants) {
      if (stored.variants.size() + 1 == kMaxVariants) break;
      if (!same_selection(*variant.head, head)) stored.variants.push_back(variant);
    }
  }
  stored.variants.insert(stored.variants.begin(), std::move(response));
  stored.variants.shrink_to_fit();
  return set_locked(key, std::move(stored));
}

void ResponseStore::drop(const std::string& key, const std::shared_ptr<const StoredHead>& head) {
  const std::lock_guard lock(mutex_of(key));
  const auto old = responses_.peek(key);
  if (!old) return;
  StoredVariants stored;
  stored.url = (*old)->url;
  for (const StoredResponse& variant : (*old)->variants) {
    if (variant.head != head) stored.variants.push_back(variant);
  }
  if (stored.variants.size() == (*old)->variants.size()) return;
  if (stored.variants.empty()) {
    responses_.erase(key);
  } else {
    set_locked(key, std::move(stored));
  }
}

bool ResponseStore::set_locked(const std::string& key, StoredVariants variants) {
  const TimePoint now = clock_.now();
  Nanos keep{};
  std::vector<std::string> tags;
  for (const StoredResponse& variant : variants.variants) {
    const cache::Freshness& f = variant.head->freshness;
    const Nanos left = f.lifetime - cache::current_age(f, variant.head->stored, now);
    const Nanos window =
        std::max(f.stale_while_revalidate.value_or(Nanos(0)), f.stale_if_error.value_or(Nanos(0)));
    keep = std::max(keep, std::max(left, Nanos(0)) + std::max(window, kKeepStale));
    for (const std::string& tag : variant.head->tags) {
      if (std::find(tags.begin(), tags.end(), tag) == tags.end()) tags.push_back(tag);
    }
  }
  const cache::SetResult result =
      responses_.set(key, std::make_shared<const StoredVariants>(std::move(variants)),
                     {.ttl = keep, .tags = std::move(tags)});
  return result == cache::SetResult::stored || result == cache::SetResult::replaced;
}

// Those that begin now must not get what was asked for before.
void ResponseStore::forget_fills(std::string_view key) {
  FillStripe& stripe = fill_stripe(key);
  const std::lock_guard lock(stripe.mutex);
  std::erase_if(stripe.fills, [&](const auto& fill) { return fill.first.starts_with(key); });
}

void ResponseStore::forget_all() {
  all_erasures_.fetch_add(1, std::memory_order_acq_rel);
  for (FillStripe& stripe : fills_) {
    const std::lock_guard lock(stripe.mutex);
    stripe.fills.clear();
  }
}

void ResponseStore::expire(const StoredVariants& stored) noexcept {
  for (const StoredResponse& variant : stored.variants) {
    variant.head->expired_by_hand.store(true, std::memory_order_relaxed);
  }
}

std::size_t ResponseStore::erase_key(const std::string& key, Purge purge) {
  forget_fills(key);
  const std::lock_guard lock(mutex_of(key));
  erasures_[hash(key) % kErasures].fetch_add(1, std::memory_order_acq_rel);
  if (purge == Purge::hard) return responses_.erase(key) ? 1 : 0;
  const auto stored = responses_.peek(key);
  if (!stored) return 0;
  expire(**stored);
  return 1;
}

std::size_t ResponseStore::erase(std::string_view url, Purge purge,
                                 const cache::QueryRules& rules) {
  const auto key = key_of_url(url, rules);
  if (!key) return 0;
  if (!keys_have_additions_) return erase_key(*key, purge);
  return erase_where(purge, [&](std::string_view found, const StoredVariants&) {
    return found.starts_with(*key);
  });
}

template <class F>
std::size_t ResponseStore::erase_where(Purge purge, F&& matches) {
  forget_all();
  if (purge == Purge::hard) {
    return responses_.invalidate_if(
        [&](std::string_view key, const Entry& entry) { return matches(key, *entry); });
  }
  std::size_t expired = 0;
  responses_.for_each([&](std::string_view key, const Entry& entry) {
    if (!matches(key, *entry)) return;
    expire(*entry);
    ++expired;
  });
  return expired;
}

std::size_t ResponseStore::erase_prefix(std::string_view url_prefix, Purge purge) {
  return erase_where(purge, [&](std::string_view, const StoredVariants& s) {
    return s.url.starts_with(url_prefix);
  });
}

std::size_t ResponseStore::erase_pattern(std::string_view pattern, Purge purge) {
  const auto kind = pattern.find_first_of("*?") == std::string_view::npos
                        ? cache::PatternKind::substring
                        : cache::PatternKind::glob;
  return erase_where(purge, [&](std::string_view, const StoredVariants& s) {
    return cache::matches_pattern(s.url, pattern, kind);
  });
}

std::size_t ResponseStore::erase_tag(std::string_view tag, Purge purge) {
  if (purge == Purge::hard) {
    forget_all();
    return responses_.invalidate_tag(tag);
  }
  return erase_where(purge, [&](std::string_view, const StoredVariants& s) {
    return std::any_of(s.variants.begin(), s.variants.end(), [&](const StoredResponse& variant) {
      const auto& tags = variant.head->tags;
      return std::find(tags.begin(), tags.end(), tag) != tags.end();
    });
  });
}

std::size_t ResponseStore::clear(Purge purge) {
  if (purge == Purge::soft)
    return erase_where(purge, [](std::string_view, const StoredVariants&) { return true; });
  forget_all();
  return responses_.clear();
}

ResponseStoreStats ResponseStore::stats() {
  ResponseStoreStats out;
  const cache::CacheStats table = responses_.stats();
  out.entries = table.keys;
  out.bytes = table.bytes;
  out.max_bytes = max_bytes_;
  out.removals = table.removals;
  out.app_results.resize(apps_);
  const auto read = [](const auto& counter) { return counter.load(std::memory_order_relaxed); };
  const std::lock_guard lock(workers_mutex_);
  for (const CacheCounters& worker : workers_) {
    for (std::size_t app = 0; app < apps_; ++app) {
      for (std::size_t i = 0; i < kCacheResults; ++i) {
        const std::uint64_t n = read(worker.results[app][i]);
        out.app_results[app][i] += n;
        out.results[i] += n;
      }
    }
    out.collapsed += read(worker.collapsed);
    out.refreshes_ok += read(worker.refreshes_ok);
    out.refreshes_failed += read(worker.refreshes_failed);
  }
  return out;
}

Result<std::size_t, cache::DumpError> ResponseStore::save(std::ostream& out) {
  const cache::WallTime wall = wall_now();
  return cache::dump(responses_, out, wall,
                     [&](const Entry& entry) { return encode(*entry, clock_.now(), wall); });
}

Result<std::size_t, cache::DumpError> ResponseStore::load(std::istream& in) {
  const cache::WallTime wall = wall_now();
  return cache::load(responses_, in, wall, [&](std::string_view bytes) -> std::optional<Entry> {
    auto stored = decode(bytes, clock_.now(), wall);
    if (!stored) return std::nullopt;
    return std::make_shared<const StoredVariants>(std::move(*stored));
  });
}

ResponseStore::Joined ResponseStore::join(std::string_view key, const std::string& name,
                                          bool only_lead) {
  FillStripe& stripe = fill_stripe(key);
  const std::lock_guard lock(stripe.mutex);
  auto [at, is_new] = stripe.fills.try_emplace(name);
  if (is_new) at->second = std::make_shared<CacheFill>();
  if (!is_new && only_lead) return {};
  return {at->second, is_new};
}

void ResponseStore::leave(std::string_view key, const std::string& name,
                          const std::shared_ptr<CacheFill>& fill) {
  FillStripe& stripe = fill_stripe(key);
  const std::lock_guard lock(stripe.mutex);
  const auto at = stripe.fills.find(name);
  if (at != stripe.fills.end() && at->second == fill) stripe.fills.erase(at);
}

namespace {
std::uint64_t upper_half(std::uint64_t hash) noexcept {
  return hash & 0xffffffff00000000u;
}
std::uint64_t whole_seconds(TimePoint time) noexcept {
  return static_cast<std::uint64_t>(
             std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count()) &
         0xffffffffu;
}
}  // namespace

bool ResponseStore::is_uncacheable(std::string_view key, TimePoint now) const noexcept {
  const std::uint64_t h = hash(key);
  const std::uint64_t note = uncacheable_[h % kUncacheable].load(std::memory_order_relaxed);
  return note != 0 && upper_half(note) == upper_half(h) &&
         whole_seconds(now) < (note & 0xffffffffu);
}

void ResponseStore::note_uncacheable(std::string_view key, TimePoint until) noexcept {
  const std::uint64_t h = hash(key);
  uncacheable_[h % kUncacheable].store(upper_half(h) | whole_seconds(until),
                                       std::memory_order_relaxed);
}

bool ResponseStore::reserve(std::size_t bytes) noexcept {
  // Relaxed: a sum to compare with a bound, nothing is published by it.
  if (filling_.fetch_add(bytes, std::memory_order_relaxed) + bytes <= max_bytes_) return true;
  unreserve(bytes);
  return false;
}

}  // namespace tyaprover::filters
