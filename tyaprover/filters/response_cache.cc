// A request's way through the cache.
//
//   look_up ─► answered: a fresh hit, or only-if-cached
//           ─► past:     not for us: the origin is called with the client's own exchange
//           ─► fetch:    a fill is joined or begun, and followed
//
// A fill is a Job: a coroutine that calls the origin with an exchange of its own and feeds a
// CacheFill. Who began it, the leader, is a follower like any other, but for one thing: an answer
// that cannot be shared stays in the job's exchange, and the leader, on the same worker, takes it
// over from there, connection and all.

#include "tyaprover/filters/response_cache.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "tyaprover/base/text.h"
#include "tyaprover/base/time_format.h"
#include "tyaprover/cache/byte_range.h"
#include "tyaprover/cache/cache_control.h"
#include "tyaprover/cache/cache_status.h"
#include "tyaprover/cache/invalidation_target.h"
#include "tyaprover/cache/reuse.h"
#include "tyaprover/cache/storability.h"
#include "tyaprover/cache/target_uri.h"
#include "tyaprover/cache/validation.h"
#include "tyaprover/filters/route_settings.h"
#include "tyaprover/http/worker.h"
#include "tyaprover/resilience/breaker_stats.h"

namespace tyaprover::filters {

using cache::CacheStatus;
using cache::ForwardReason;
using cache::HeaderField;
using cache::HeaderFields;
using cache::Reuse;
using http::BodyPiece;
using http::KnownField;
using http::Method;
using http::Reason;
using http::Task;

namespace {

constexpr std::string_view kName = "tyaprover";
// How far a fill that is not stored runs ahead of its slowest follower.
constexpr std::uint64_t kAhead = 1024 * 1024;
constexpr std::size_t kMaxTags = 64;
constexpr std::size_t kMaxTag = 256;

// A client that is not there.
class NoClient final : public http::ConnectionControl {
 public:
  // An interim response is not stored, and nobody else could be given it.
  Task<bool> send_interim(int, const http::Fields&) override { co_return true; }
  void watch_client(std::function<void()> gone) override { gone_ = std::move(gone); }
  [[nodiscard]] bool body_invited() const noexcept override { return true; }

  // As if the client had left.
  void leave() {
    if (gone_) std::exchange(gone_, nullptr)();
  }

 private:
  std::function<void()> gone_;
};

bool is_tag_field(std::string_view name) noexcept {
  return iequals(name, "surrogate-key") || iequals(name, "cache-tag");
}

// What an origin says to caches, or a cache before it of itself: it ends here.
bool ends_here(std::string_view name, const ResponseCacheOptions& options) noexcept {
  return iequals(name, "x-cache") || (!options.tag_fields && is_tag_field(name));
}

void remove_what_ends_here(http::Fields& fields, const ResponseCacheOptions& options) {
  fields.remove_if([&](const http::Field& field) { return ends_here(field.name, options); });
}

std::vector<std::string> tags_of(HeaderFields response) {
  std::vector<std::string> tags;
  const auto add = [&](std::string_view tag) {
    if (!tag.empty() && tag.size() <= kMaxTag && tags.size() < kMaxTags) tags.emplace_back(tag);
  };
  response.for_each_line("surrogate-key", [&](std::string_view line) {
    for (const std::string_view tag : split(line, ' ')) add(trim(tag));
  });
  response.for_each_line("cache-tag", [&](std::string_view line) {
    for (const std::string_view tag : split(line, ',')) add(trim(tag));
  });
  return tags;
}

bool has_query_parameter(std::string_view query, const SkipRule& rule) noexcept {
  for (const std::string_view pair : split(query, '&')) {
    const std::size_t equals = pair.find('=');
    if (pair.substr(0, equals) != rule.name) continue;
    if (rule.value.empty()) return true;
    if (equals != std::string_view::npos && pair.substr(equals + 1) == rule.value) return true;
  }
  return false;
}

bool has_cookie(HeaderFields request, std::string_view name) noexcept {
  bool found = false;
  request.for_each_line("cookie", [&](std::string_view line) {
    for (const std::string_view piece : split(line, ';')) {
      const std::string_view cookie = trim(piece);
      found = found || cookie.substr(0, cookie.find('=')) == name;
    }
  });
  return found;
}

cache::QueryRules query_rules(const ResponseCacheOptions& options) {
  return {options.query_drop, options.query_sort};
}

// `query` holds what the rules leave of it.
cache::CacheKeyParts key_parts(const http::Exchange& e, const ResponseCacheOptions& options,
                               std::string& query) {
  const http::RequestHead& request = e.request;
  cache::CacheKeyParts parts{.scheme = e.scheme,
                             .host = request.authority,
                             .path = request.path.empty() ? std::string_view("/") : request.path,
                             .query = request.query,
                             .has_query = request.has_query,
                             .additions = {}};
  cache::apply_query_rules(parts, query_rules(options), query);
  return parts;
}

// The URL of a client's exchange, as the rules leave it, in the form in which we keep URLs.
std::string url_of(const http::Exchange& e, const ResponseCacheOptions& options) {
  std::string query;
  const cache::CacheKeyParts parts = key_parts(e, options, query);
  std::string url = to_lower(parts.scheme);
  url.append("://").append(to_lower(cache::without_default_port(parts.host, parts.scheme)));
  url.append(parts.path);
  if (parts.has_query) url.append("?").append(parts.query);
  return url;
}

// Already when it comes.
bool needs_validation(const cache::Freshness& freshness) noexcept {
  return cache::decide_reuse({}, freshness, freshness.initial_age).reuse == Reuse::validate;
}

std::chrono::seconds whole_seconds(Nanos time) noexcept {
  return std::chrono::floor<std::chrono::seconds>(time);
}

// The origin's answer had come from a cache.
bool is_aged(const StoredHead& head) noexcept {
  return head.freshness.initial_age >= std::chrono::seconds(1);
}

cache::Freshness freshness_of(const ResponseCacheOptions& options, int status, HeaderFields fields,
                              const cache::ResponseControl& control,
                              const cache::ExchangeTimes& times) {
  cache::FreshnessOptions how{.heuristic = options.heuristic, .odd_age = options.odd_age};
  if (options.mode == CacheMode::forced) how.forced_lifetime = options.ttl;
  cache::Freshness f = cache::evaluate_freshness(status, fields, control, times, how);
  if (options.mode == CacheMode::forced && options.override_origin) {
    f.always_validate = f.never_stale = false;
  }
  if (!f.stale_while_revalidate && options.stale_while_revalidate > Nanos(0)) {
    f.stale_while_revalidate = options.stale_while_revalidate;
  }
  return f;
}

cache::StorePolicy store_policy(const ResponseCacheOptions& options) {
  return {.set_cookie = options.set_cookie_policy(),
          .honour_request_directives = !options.ignore_client_directives,
          .override_origin = options.mode == CacheMode::forced && options.override_origin};
}

template <class Counter>
void count(Counter& counter) noexcept {
  // One writer: no read-modify-write is needed.
  counter.store(counter.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

}  // namespace

// What is known of a request once it was looked up.
struct ResponseCache::Request {
  Request(const Exchange& e, std::size_t index)
      : options(e.settings->response_cache),
        app(index),
        fields(e.request.fields),
        client(cache::client_control(fields, !options.ignore_client_directives)),
        head(e.request.method_id == Method::head),
        ranged(!head && e.request.fields.has(KnownField::range)),
        conditional(e.request.fields.has(KnownField::if_none_match) ||
                    e.request.fields.has(KnownField::if_modified_since)),
        authorized(e.request.fields.has(KnownField::authorization)),
        // What we encoded has no ranges that a client could know.
        coding(ranged ? Coding::identity : negotiated_coding(e.request, e.settings->compression)) {}

  const ResponseCacheOptions& options;
  const std::size_t app;
  const HeaderFields fields;
  const cache::ClientControl client;
  const bool head;
  const bool ranged;
  const bool conditional;
  const bool authorized;
  const Coding coding;

  std::string key;                          // filled when the request goes on to the origin
  ResponseStore::Entry entry;               // what is stored under it
  const StoredResponse* variant = nullptr;  // of `entry`, for this request
  cache::Freshness freshness;
  Nanos age{};
  CacheStatus why;      // it goes to the origin
  bool shares = false;  // the answer to another's request
  CacheResult passed_as = CacheResult::miss;
};

class ResponseCache::FillExchange final : public Exchange {
 public:
  explicit FillExchange(http::Worker& w) : Exchange(w) { connection = &no_client; }

  NoClient no_client;
  Compression::State compression;
  bool leader_waits = true;
};

struct ResponseCache::Job {
  std::shared_ptr<CacheFill> fill;
  std::shared_ptr<FillExchange> exchange;
  const ResponseCacheOptions& options;
  Coding coding;
  std::string key;
  std::string name;  // of the fill; empty: nobody else can join it
  std::string url;
  StoredResponse stale;        // what is being revalidated
  std::uint64_t erasures = 0;  // seen before the origin was asked
  std::size_t reserved = 0;
  bool is_refresh = false;
  bool given_up = false;
  std::shared_ptr<Wakeup> filler = nullptr;  // waits until followers have read on
  Job* previous = nullptr;
  Job* next = nullptr;
};

ResponseCache::ResponseCache(http::Worker& worker, ResponseStore& store, Compression& compression,
                             const ReplyOptions& reply)
    : worker_(worker),
      store_(store),
      reply_(reply),
      counters_(store.add_worker()),
      compression_(compression) {}

ResponseCache::~ResponseCache() = default;

Task<void> ResponseCache::handle(Exchange& e, Origin& origin, std::size_t app) {
  const ResponseCacheOptions& options = e.settings->response_cache;
  if (options.mode == CacheMode::off) {
    co_await origin.call(e);
    co_return;
  }
  Request r(e, app);
  switch (look_up(e, r)) {
    case Way::answered:
      break;
    case Way::past:
      co_await pass(e, origin, r);
      break;
    case Way::fetch:
      if (r.variant != nullptr && e.response.status != 0) {
        refresh(e, origin, r);  // it was sent stale
      } else {
        co_await fetch(e, origin, r);
      }
      break;
  }
}

// --- before the origin
// ----------------------------------------------------------------------------------

bool ResponseCache::is_skipped(const Exchange& e, const Request& r) const {
  for (const std::string& cookie : r.options.bypass_on_cookie) {
    if (has_cookie(r.fields, cookie)) return true;
  }
  for (const SkipRule& rule : r.options.skip) {
    switch (rule.kind) {
      case SkipRule::Kind::query:
        if (has_query_parameter(e.request.query, rule)) return true;
        break;
      case SkipRule::Kind::header: {
        bool found = false;
        r.fields.for_each_line(rule.name, [&](std::string_view value) {
          found = found || rule.value.empty() || value == rule.value;
        });
        if (found) return true;
        break;
      }
      case SkipRule::Kind::cookie:
        if (has_cookie(r.fields, rule.name)) return true;
        break;
      case SkipRule::Kind::path:
        if (cache::matches_pattern(e.request.path, rule.name, cache::PatternKind::glob))
          return true;
        break;
    }
  }
  return false;
}

void ResponseCache::build_key(const Exchange& e, Request& r) {
  const ResponseCacheOptions& options = r.options;
  std::string query;
  cache::CacheKeyParts parts = key_parts(e, options, query);
  std::vector<HeaderField> additions;
  for (const std::string& name : options.key_headers) {
    additions.push_back({name, r.fields.first(name).value_or("")});
  }
  for (const std::string& name : options.key_cookies) {
    additions.push_back({name, cache::cookie_value(r.fields, name)});
  }
  parts.additions = additions;
  key_.clear();
  cache::append_cache_key(key_, parts);
}

ResponseCache::Way ResponseCache::look_up(Exchange& e, Request& r) {
  const Method method = e.request.method_id;
  const ResponseCacheOptions& options = r.options;
  if ((method != Method::get && method != Method::head) || e.request.upgrade) {
    r.passed_as = CacheResult::bypass;
    r.why.forward = ForwardReason::method;
    if (e.request.method == "PURGE" && options.purge_method) {
      const std::size_t removed =
          store_.erase(url_of(e, options), Purge::hard, query_rules(options));
      e.response.status = 200;
      e.response.fields.add(KnownField::content_type, "application/json");
      e.response.content = e.arena.concat(
          {"{\"removed\":", e.arena.store_number(static_cast<std::int64_t>(removed)), "}\n"});
      return Way::answered;
    }
    return Way::past;
  }
  const bool forced_off =
      options.mode == CacheMode::forced && std::find(options.methods.begin(), options.methods.end(),
                                                     e.request.method) == options.methods.end();
  if (forced_off || e.request.body.kind != http::BodyKind::none || is_skipped(e, r)) {
    r.passed_as = CacheResult::bypass;
    r.why.forward = forced_off ? ForwardReason::method : ForwardReason::bypass;
    return Way::past;
  }
  if (e.request.fields.has(KnownField::if_match) ||
      e.request.fields.has(KnownField::if_unmodified_since)) {
    r.why.forward = ForwardReason::request;
    return Way::past;
  }
  build_key(e, r);
  r.entry = store_.find(key_);
  if (r.entry) r.variant = find_variant(*r.entry, r.fields, r.coding);
  if (r.variant != nullptr && r.authorized && !r.variant->head->for_authorized) {
    r.variant = nullptr;
  }
  const Way way = decide(e, r);
  if (way == Way::fetch) r.key = key_;
  return way;
}

ResponseCache::Way ResponseCache::decide(Exchange& e, Request& r) {
  Reuse reuse = Reuse::validate;
  if (r.variant == nullptr) {
    reuse = cache::decide_miss(r.client);
    r.why.forward = r.entry ? ForwardReason::vary_miss : ForwardReason::uri_miss;
  } else {
    const StoredHead& head = *r.variant->head;
    r.freshness = head.freshness_now();
    r.age = cache::current_age(head.freshness, head.stored, worker_.now());
    const cache::ReuseDecision decision = cache::decide_reuse(r.client, r.freshness, r.age);
    reuse = decision.reuse;
    r.why.forward = decision.by_request ? ForwardReason::request : ForwardReason::stale;
    const bool fresh = reuse == Reuse::fresh;
    if (fresh || reuse == Reuse::stale || reuse == Reuse::stale_and_refresh) {
      CacheStatus status{.hit = true, .ttl = whole_seconds(decision.ttl)};
      if (!fresh) status.detail = reuse == Reuse::stale ? "max-stale" : "stale-while-revalidate";
      answer(e, r, *r.variant, r.entry, fresh ? CacheResult::hit : CacheResult::stale, status);
      return reuse == Reuse::stale_and_refresh ? Way::fetch : Way::answered;
    }
  }
  switch (reuse) {
    case Reuse::gateway_timeout:
      reply(e, 504, Reason::none, "only-if-cached, and nothing that may be sent is stored", reply_);
      note(e, r, CacheResult::miss, {.detail = "only-if-cached"});
      return Way::answered;
    case Reuse::unusable:
      r.passed_as = CacheResult::bypass;
      r.why.forward = ForwardReason::request;
      return Way::past;
    default:
      break;
  }
  // A part of what is not here, and a HEAD that is to stay one, go to the origin as they are.
  if (r.variant == nullptr && r.ranged) return Way::past;
  if (r.head && !r.options.convert_head) {
    return Way::past;
  }
  return Way::fetch;
}

// --- past the store
// -------------------------------------------------------------------------------------

Task<void> ResponseCache::pass(Exchange& e, Origin& origin, Request& r) {
  co_await origin.call(e);
  if (e.response.status == 0 || e.response.tunnel) co_return;
  if (e.reason == Reason::none) {
    invalidate(e, r);
    if (r.head) learn_from_head(e, r);
  }
  remove_what_ends_here(e.response.fields, r.options);
  r.why.forward_status = e.response.status;
  note(e, r, r.passed_as, r.why);
}

// RFC 9111 §4.4.
void ResponseCache::invalidate(const Exchange& e, const Request& r) {
  if (!cache::is_unsafe_method(e.request.method)) return;
  const HeaderFields response(e.response.fields);
  for (const std::string& url : cache::invalidated_uris(e.request.method, url_of(e, r.options),
                                                        e.response.status, response)) {
    store_.erase(url, Purge::hard, query_rules(r.options));
  }
}

// RFC 9111 §4.3.5: what a HEAD tells of a stored response to GET.
void ResponseCache::learn_from_head(const Exchange& e, const Request& r) {
  if (r.variant == nullptr || e.response.status != 200) return;
  const StoredHead& head = *r.variant->head;
  const HeaderFields told(e.response.fields);
  const bool other_length =
      e.response.described_length && *e.response.described_length != r.variant->size;
  if (other_length || cache::head_effect(head.fields, told) == cache::HeadEffect::invalidate) {
    head.expired_by_hand.store(true, std::memory_order_relaxed);
  }
}

// --- answers
// --------------------------------------------------------------------------------------------

void ResponseCache::note(Exchange& e, const Request& r, CacheResult result,
                         const CacheStatus& status) {
  count(counters_.results[r.app][static_cast<std::size_t>(result)]);
  e.cache = log_word(result);
  if (r.options.x_cache) e.response.fields.add("X-Cache", to_string(result));
  if (!r.options.cache_status) return;
  status_.clear();
  CacheStatus named = status;
  named.cache = kName;
  cache::append_cache_status(status_, named);
  e.response.fields.add("Cache-Status", e.arena.store(status_));
}

void ResponseCache::add_age(Exchange& e, const StoredHead& head) {
  const Nanos age = cache::current_age(head.freshness, head.stored, worker_.now());
  e.response.fields.add(KnownField::age, e.arena.store_number(cache::age_seconds(age)));
}

void ResponseCache::write_head(Exchange& e, const Request& r, const StoredHead& head,
                               CacheResult result) {
  const bool unvalidated = r.shares || result == CacheResult::hit || result == CacheResult::stale;
  const std::size_t fields = unvalidated ? head.reusable : head.fields.size();
  e.response.status = head.status;
  for (std::size_t i = 0; i < fields; ++i) e.response.fields.add(head.fields[i]);
}

void ResponseCache::answer(Exchange& e, const Request& r, const StoredResponse& stored,
                           std::shared_ptr<const void> owner, CacheResult result,
                           const CacheStatus& status) {
  const StoredHead& head = *stored.head;
  e.response.content_owner = std::move(owner);
  const bool is_success = head.status >= 200 && head.status < 300;
  if (r.conditional && is_success &&
      cache::evaluate_precondition(r.fields, head.fields, head.received) ==
          cache::Precondition::not_modified) {
    e.response.status = 304;
    for (const HeaderField& field : cache::not_modified_fields(head.fields)) {
      e.response.fields.add(field.name, field.value);
    }
  } else {
    write_head(e, r, head, result);
    if (r.ranged && head.status == 200 && cache::range_applies(r.fields, head.fields)) {
      answer_range(e, r, stored);
    } else if (r.head) {
      e.response.described_length = stored.size;
    } else {
      e.response.content = stored.body();
    }
  }
  if (result != CacheResult::miss || status.collapsed || is_aged(head)) add_age(e, head);
  note(e, r, result, status);
}

void ResponseCache::answer_range(Exchange& e, const Request& r, const StoredResponse& stored) {
  e.response.content = stored.body();
  const auto range = r.fields.only("range");
  if (!range) return;
  const auto ranges = cache::parse_range(trim(*range));
  if (!ranges) return;
  const cache::RangeAnswer parts = cache::answer_range(*ranges, stored.size);
  using Kind = cache::RangeAnswer::Kind;
  if (parts.kind == Kind::whole) return;
  if (parts.kind == Kind::unsatisfiable) {
    e.response.status = 416;
    e.response.content = {};
    e.response.fields.add(KnownField::content_range,
                          e.arena.store(cache::format_unsatisfied_range(stored.size)));
    return;
  }
  const auto bytes_of = [&](const cache::ByteSpan& span) {
    return stored.body().substr(static_cast<std::size_t>(span.first),
                                static_cast<std::size_t>(span.size()));
  };
  e.response.status = 206;
  if (parts.parts.size() == 1) {
    e.response.content = bytes_of(parts.parts.front());
    e.response.fields.add(KnownField::content_range, e.arena.store(cache::format_content_range(
                                                         parts.parts.front(), stored.size)));
    return;
  }
  // RFC 2046 §5.1.1: a line that no part may contain. Nobody outside can guess it.
  static thread_local std::uint64_t last = cache::random_hash_seed();
  const std::string boundary =
      "tyaprover-" + std::to_string(last = cache::hash_bytes("boundary", last));
  const std::string type(e.response.fields.value(KnownField::content_type));
  auto body = std::make_shared<std::string>();
  for (const cache::ByteSpan& span : parts.parts) {
    body->append(cache::multipart_part_head(boundary, type, span, stored.size));
    body->append(bytes_of(span));
  }
  body->append(cache::multipart_end(boundary));
  e.response.fields.set(KnownField::content_type,
                        e.arena.concat({"multipart/byteranges; boundary=", boundary}));
  e.response.content = *body;
  // The fields still lie in the head.
  e.response.content_owner =
      std::make_shared<std::pair<std::shared_ptr<std::string>, std::shared_ptr<const StoredHead>>>(
          body, stored.head);
}

// --- the side that follows
// ------------------------------------------------------------------------------

Task<void> ResponseCache::fetch(Exchange& e, Origin& origin, Request& r) {
  const auto wakeup = std::make_shared<Wakeup>(worker_);
  e.connection->watch_client([wakeup] { wakeup->give_up(); });
  http::Timer patience([wakeup] { wakeup->notify_here(); });
  const TimePoint limit = std::min(worker_.now() + r.options.lock_timeout, e.deadline);
  // Others could not use what was asked under these conditions, or for this user.
  const bool asks_conditions = r.conditional && r.variant == nullptr;
  bool alone = r.authorized || asks_conditions || store_.is_uncacheable(r.key, worker_.now());
  bool waited = false;

  for (;;) {
    std::string name;
    ResponseStore::Joined joined;
    if (alone) {
      joined = {std::make_shared<CacheFill>(), true};
    } else {
      name = fill_name(r);
      joined = store_.join(r.key, name);
    }
    const std::shared_ptr<CacheFill> fill = joined.fill;
    const bool leads = joined.leads;
    fill->watch(wakeup);
    std::shared_ptr<FillExchange> own;
    if (leads) {
      auto job = new_job(e, r, fill, std::move(name));
      own = job->exchange;
      spawn(run(std::move(job), origin));
    } else {
      waited = true;
      worker_.timers().set(patience, limit);
    }
    bool late = false;
    CacheFill::State state = fill->state();
    while (state == CacheFill::State::pending && !wakeup->given_up() && !late) {
      co_await wakeup->wait();
      state = fill->state();
      late = !leads && worker_.now() >= limit;
    }
    patience.cancel();
    r.shares = !leads;
    if (own) {
      e.upstream = e.arena.store(own->upstream);
      e.breaker = e.arena.store(own->breaker);
      e.upstream_tries += own->upstream_tries;
      e.timings.upstream_acquired = own->timings.upstream_acquired;
      e.timings.upstream_connected = own->timings.upstream_connected;
      e.timings.upstream_first_byte = own->timings.upstream_first_byte;
    }
    if (wakeup->given_up()) {
      if (own) own->leader_waits = false;
      fill->unwatch(wakeup);
      e.outcome = http::Outcome::client_disconnected;
      e.reason = Reason::client_disconnected;
      co_return;
    }

    CacheStatus status = r.why;
    status.collapsed = waited;
    bool again = false;
    switch (state) {
      case CacheFill::State::pending:  // for too long
        again = true;
        break;
      case CacheFill::State::complete: {
        const StoredResponse stored = fill->stored();
        if (!stored) {  // too large to be stored, and all there already
          again = !leads;
          if (leads) follow(e, r, fill, wakeup, status);
          break;
        }
        if (!leads && !may_share(*stored.head, r)) {
          again = true;
          break;
        }
        status.forward_status = fill->revalidated() ? 304 : stored.head->status;
        status.stored = true;
        auto owner = std::make_shared<const StoredResponse>(stored);
        answer(e, r, *owner, owner,
               fill->revalidated() ? CacheResult::revalidated : CacheResult::miss, status);
        break;
      }
      case CacheFill::State::streaming:
      case CacheFill::State::broken: {
        const CacheFill::Head head = fill->head();
        if (!leads && (!may_share(*head.head, r) || !fill->can_be_followed())) {
          again = true;
          break;
        }
        follow(e, r, fill, wakeup, status);
        break;
      }
      case CacheFill::State::failed: {
        const CacheFill::Failure failure = fill->failure();
        const Nanos age =
            r.variant == nullptr
                ? Nanos(0)
                : cache::current_age(r.freshness, r.variant->head->stored, worker_.now());
        if (r.variant != nullptr &&
            cache::may_serve_on_error(r.client, r.freshness, age, failure.kind,
                                      {.window = r.options.error_window()})) {
          status.hit = true;
          status.ttl = whole_seconds(r.freshness.lifetime - age);
          status.forward.reset();
          status.detail = failure.kind == cache::OriginFailure::circuit_open ? "circuit-open"
                                                                             : "stale-if-error";
          answer(e, r, *r.variant, r.entry, CacheResult::stale, status);
        } else if (leads) {
          take_over(e, r, own);
        } else if (failure.kind == cache::OriginFailure::error_status) {
          again = true;
        } else {
          reply(e, failure.status, failure.reason, e.arena.store(failure.detail), reply_);
          note(e, r, CacheResult::miss, status);
        }
        break;
      }
      case CacheFill::State::released:
        if (leads) {
          take_over(e, r, own);
        } else {
          again = true;
        }
        break;
    }
    fill->unwatch(wakeup);
    if (!again) break;
    alone = true;
  }
  if (waited) count(counters_.collapsed);
}

// The answer is still coming.
void ResponseCache::follow(Exchange& e, const Request& r, const std::shared_ptr<CacheFill>& fill,
                           const std::shared_ptr<Wakeup>& wakeup, CacheStatus status) {
  const CacheFill::Head head = fill->head();
  status.forward_status = head.head->status;
  status.stored = true;
  e.response.content_owner = head.head;
  write_head(e, r, *head.head, CacheResult::miss);
  if (r.head && head.length) {
    e.response.described_length = head.length;
  } else {
    e.response.body = http::BodyPtr(new FollowingBody(fill, wakeup, head.length));
  }
  if (r.shares || is_aged(*head.head)) add_age(e, *head.head);
  note(e, r, CacheResult::miss, status);
}

void ResponseCache::take_over(Exchange& e, const Request& r,
                              const std::shared_ptr<FillExchange>& from) {
  using Kept = std::pair<std::shared_ptr<FillExchange>, std::shared_ptr<const void>>;
  auto kept = std::make_shared<Kept>(from, std::move(from->response.content_owner));
  e.response = std::move(from->response);
  e.response.content_owner = std::move(kept);
  e.upstream_span = std::move(from->upstream_span);
  e.reason = from->reason;
  e.reason_detail = from->reason_detail;
  e.connection->watch_client([from] { from->no_client.leave(); });
  if (r.head) {
    if (!e.response.described_length) {
      e.response.described_length = e.response.body
                                        ? e.response.body->length()
                                        : std::optional<std::uint64_t>(e.response.content.size());
    }
    e.response.content = {};
  }
  remove_what_ends_here(e.response.fields, r.options);
  CacheStatus status = r.why;
  status.forward_status = e.response.status;
  note(e, r, CacheResult::miss, status);
}

void ResponseCache::refresh(const Exchange& e, Origin& origin, const Request& r) {
  std::string name = fill_name(r);
  const ResponseStore::Joined joined = store_.join(r.key, name, true);
  if (!joined.leads) return;
  auto job = new_job(e, r, joined.fill, std::move(name));
  job->exchange->leader_waits = false;
  job->is_refresh = true;
  if (const Nanos time = e.settings->request_timeout.timeout; time > Nanos(0)) {
    job->exchange->deadline = worker_.now() + time;
  }
  spawn(run(std::move(job), origin));
}

// --- the side that fills
// --------------------------------------------------------------------------------

// Requests that select different variants do not wait for each other.
std::string ResponseCache::fill_name(const Request& r) {
  std::string name = r.key + coding_key(r.coding);
  if (r.entry && !r.entry->variants.empty()) {
    const cache::VaryNames& names = r.entry->variants.front().head->variant.names();
    const cache::VariantOptions options{&coding_key(r.coding)};
    name += cache::VariantKey(names, r.fields, options).text();
  }
  return name;
}

std::unique_ptr<ResponseCache::Job> ResponseCache::new_job(const Exchange& e, const Request& r,
                                                           std::shared_ptr<CacheFill> fill,
                                                           std::string name) {
  return std::make_unique<Job>(Job{.fill = std::move(fill),
                                   .exchange = new_fill_exchange(e, r),
                                   .options = r.options,
                                   .coding = r.coding,
                                   .key = r.key,
                                   .name = std::move(name),
                                   .url = url_of(e, r.options),
                                   .stale = r.variant != nullptr ? *r.variant : StoredResponse(),
                                   .erasures = store_.erasures(r.key)});
}

// All that the origin's call looks at, in memory of its own.
std::shared_ptr<ResponseCache::FillExchange> ResponseCache::new_fill_exchange(const Exchange& e,
                                                                              const Request& r) {
  auto made = std::make_shared<FillExchange>(worker_);
  FillExchange& x = *made;
  const auto own = [&x](std::string_view text) { return x.arena.store(text); };
  x.settings = e.settings;
  x.request.method = "GET";
  x.request.method_id = Method::get;
  x.request.target = own(e.request.target);
  x.request.path = own(e.request.path);
  x.request.query = own(e.request.query);
  x.request.has_query = e.request.has_query;
  x.request.origin_form = own(e.request.origin_form);
  x.request.authority = own(e.request.authority);
  x.request.minor_version = e.request.minor_version;
  const bool replaces_conditions = r.variant != nullptr;
  for (const http::Field& field : e.request.fields) {
    if (field.id == KnownField::range || field.id == KnownField::if_range) continue;
    if (replaces_conditions && cache::is_replaced_by_conditions(field.name)) continue;
    x.request.fields.add({own(field.name), own(field.value), field.id});
  }
  if (replaces_conditions) {
    for (const HeaderField& field :
         cache::conditions(cache::stored_validators(r.variant->head->fields))) {
      x.request.fields.add(own(field.name), own(field.value));
    }
  }
  // What lets an origin address us in Surrogate-Control.
  x.request.fields.add("Surrogate-Capability", cache::kSurrogateCapability);
  x.path = e.path;
  x.peer = e.peer;
  x.local = e.local;
  x.client = own(e.client);
  x.peer_trusted = e.peer_trusted;
  x.stale_when_open =
      r.variant != nullptr &&
      cache::may_serve_on_error(r.client, r.freshness, r.age, cache::OriginFailure::circuit_open,
                                {.window = r.options.error_window()});
  x.scheme = own(e.scheme);
  x.body_idle_timeout = e.body_idle_timeout;
  x.write_timeout = e.write_timeout;
  x.deadline = e.deadline;
  x.app = e.app;
  x.route = e.route;
  x.request_id = own(e.request_id);
  x.trace_id = own(e.trace_id);
  x.span_id = own(e.span_id);
  x.trace_sampled = e.trace_sampled;
  x.span = trace::Span::stand_in(e.span.context());
  x.timings.accepted = x.timings.head_begun = x.timings.head_parsed = worker_.now();
  return made;
}

Task<void> ResponseCache::run(std::unique_ptr<Job> job, Origin& origin) {
  Job& j = *job;
  j.next = first_job_;
  if (first_job_ != nullptr) first_job_->previous = &j;
  first_job_ = &j;
  try {
    co_await run_job(j, origin);
  } catch (const std::exception& problem) {
    j.fill->fail({.kind = cache::OriginFailure::unreachable,
                  .status = http::status_of(Reason::internal_error),
                  .reason = Reason::internal_error,
                  .detail = problem.what()});
    j.exchange->response.clear();
    reply(*j.exchange, Reason::internal_error, "the handler failed", reply_);
  }
  leave(j);
  store_.unreserve(j.reserved);
  if (!j.exchange->leader_waits) {
    let_go(j, false);
    j.exchange->response.clear();
  }
  (j.previous != nullptr ? j.previous->next : first_job_) = j.next;
  if (j.next != nullptr) j.next->previous = j.previous;
}

void ResponseCache::abort_fills() {
  // Ending one may end others: begin anew after each.
  Job* job = first_job_;
  while (job != nullptr) {
    if (job->given_up) {
      job = job->next;
      continue;
    }
    job->given_up = true;
    if (const auto filler = job->filler) {
      filler->notify_here();
    } else {
      job->exchange->no_client.leave();
    }
    job = first_job_;
  }
}

Task<void> ResponseCache::run_job(Job& j, Origin& origin) {
  FillExchange& x = *j.exchange;
  cache::ExchangeTimes times;
  for (;;) {
    times.request = store_.wall_now();
    co_await origin.call(x);
    times.response = store_.wall_now();
    // A 304 for another response than ours: once more, without conditions.
    if (!j.stale || x.reason != Reason::none || x.response.status != 304 || confirm(j)) break;
    let_go(j, false);
    x.response.clear();
    x.request.fields.remove_if(
        [](const http::Field& field) { return cache::is_replaced_by_conditions(field.name); });
    j.stale = {};
  }
  if (j.given_up || x.response.status == 0) {
    j.fill->fail({.detail = "the request was given up"});
    co_return;
  }
  if (x.reason != Reason::none) {
    j.fill->fail({.kind = x.reason == Reason::circuit_open ? cache::OriginFailure::circuit_open
                                                           : cache::OriginFailure::unreachable,
                  .status = x.response.status,
                  .reason = x.reason,
                  .detail = std::string(x.reason_detail)});
    if (j.is_refresh) count(counters_.refreshes_failed);
    co_return;
  }
  if (j.stale && cache::is_error_status(x.response.status)) {
    j.fill->fail({.kind = cache::OriginFailure::error_status,
                  .status = x.response.status,
                  .reason = Reason::none,
                  .detail = {}});
    if (j.is_refresh) count(counters_.refreshes_failed);
    co_return;
  }
  if (j.is_refresh) count(counters_.refreshes_ok);
  if (j.stale && x.response.status == 304) {
    renew(j, times);
    co_return;
  }
  cache::Freshness freshness;
  if (!may_store(j, times, freshness)) {
    // What is stored is not what the origin says any more.
    if (j.stale) store_.drop(j.key, j.stale.head);
    release(j);
    co_return;
  }
  const bool encoded_by_origin = x.response.fields.has(KnownField::content_encoding);
  compression_.on_response(x, x.compression);
  auto head = make_head(j, x.response.status, x.response.fields, freshness, !encoded_by_origin);
  if (needs_validation(freshness)) stop_sharing(j);
  co_await read_body(j, std::move(head));
}

bool ResponseCache::confirm(Job& j) {
  FillExchange& x = *j.exchange;
  // Takes our own weakening of its ETag into account.
  compression_.on_response(x, x.compression);
  const HeaderFields stored(j.stale.head->fields);
  const HeaderFields told(x.response.fields);
  if (cache::confirm(stored, told) == cache::Confirmation::confirmed) return true;
  // We asked with one ETag only: the origin knew it, by whatever name it calls it now.
  return !cache::stored_validators(stored).etag.empty() &&
         !cache::stored_validators(told).etag.empty();
}

void ResponseCache::renew(Job& j, const cache::ExchangeTimes& times) {
  FillExchange& x = *j.exchange;
  const StoredHead& old = *j.stale.head;
  const bool takes_cookies = j.options.set_cookie_policy() == cache::SetCookiePolicy::rfc9111;
  auto fields = cache::updated_fields(old.fields, x.response.fields, {takes_cookies});
  // What comes without Date was made when it came (RFC 9110 §6.6.1).
  if (!x.response.fields.has(KnownField::date)) {
    std::erase_if(fields, [](const HeaderField& field) { return iequals(field.name, "date"); });
  }
  cache::Freshness freshness;
  const bool stays = is_storable(j, old.status, fields, times, freshness);
  if (!stays) freshness.always_validate = true;  // it is for nobody else
  StoredResponse renewed = j.stale;
  auto head = make_head(j, old.status, fields, freshness, old.by_coding);
  if (head->tags.empty()) head->tags = old.tags;  // they are not among the stored fields
  renewed.head = std::move(head);
  let_go(j, false);
  if (needs_validation(freshness)) stop_sharing(j);
  if (stays) {
    store_.put(j.key, j.url, renewed, j.erasures);
  } else {
    store_.drop(j.key, j.stale.head);
  }
  leave(j);
  j.fill->complete(std::move(renewed), true);
}

bool ResponseCache::is_storable(const Job& j, int status, HeaderFields fields,
                                const cache::ExchangeTimes& times, cache::Freshness& freshness) {
  const cache::ResponseControl control = cache::response_control(fields);
  freshness = freshness_of(j.options, status, fields, control, times);
  return cache::decide_store(
             {.method = "GET", .target = j.url, .fields = j.exchange->request.fields},
             {.status = status, .fields = fields}, control, freshness,
             store_policy(j.options)) == cache::StoreDecision::store;
}

bool ResponseCache::may_store(Job& j, const cache::ExchangeTimes& times,
                              cache::Freshness& freshness) {
  FillExchange& x = *j.exchange;
  const ResponseCacheOptions& options = j.options;
  if (x.response.tunnel || x.response.status == 206) return false;
  // Another app stood in for this one.
  if (x.breaker == resilience::to_string(resilience::BreakerState::open)) return false;
  if (options.mode == CacheMode::forced &&
      std::find(options.status_codes.begin(), options.status_codes.end(),
                static_cast<std::uint64_t>(x.response.status)) == options.status_codes.end()) {
    return false;
  }
  if (!is_storable(j, x.response.status, x.response.fields, times, freshness)) return false;
  const auto length = x.response.body ? x.response.body->length()
                                      : std::optional<std::uint64_t>(x.response.content.size());
  if (!length) return true;
  if (*length > options.max_object) return false;
  if (!store_.reserve(static_cast<std::size_t>(*length))) return false;
  j.reserved = static_cast<std::size_t>(*length);
  return true;
}

std::shared_ptr<StoredHead> ResponseCache::make_head(const Job& j, int status, HeaderFields from,
                                                     const cache::Freshness& freshness,
                                                     bool by_coding) {
  const FillExchange& x = *j.exchange;
  const bool strip = j.options.set_cookie_policy() == cache::SetCookiePolicy::strip;
  std::vector<HeaderField> fields = cache::storable_fields(from, {.strip_set_cookie = strip});
  std::vector<std::string> tags = tags_of(from);
  std::erase_if(fields, [&](const HeaderField& field) { return ends_here(field.name, j.options); });
  char date[kImfFixdateSize];
  if (!HeaderFields(fields).has("date")) {
    write_imf_fixdate(
        date, std::chrono::time_point_cast<std::chrono::system_clock::duration>(store_.wall_now()));
    fields.push_back({"Date", {date, sizeof date}});
  }
  auto head = std::make_shared<StoredHead>(status, fields);
  head->by_coding = by_coding;
  head->coding = j.coding;
  const cache::VariantOptions options{by_coding ? &coding_key(j.coding) : nullptr};
  head->variant =
      cache::VariantKey(cache::VaryNames(fields), x.request.fields,
                        HeaderFields(fields).only("content-language").value_or(""), options);
  head->freshness = freshness;
  head->stored = worker_.now();
  head->received = store_.wall_now();
  head->for_authorized = cache::allows_authorization(cache::response_control(from).control);
  head->tags = std::move(tags);
  return head;
}

Task<void> ResponseCache::read_body(Job& j, std::shared_ptr<StoredHead> head) {
  FillExchange& x = *j.exchange;
  http::BodySource* const body = x.response.body.get();
  const auto length =
      body != nullptr ? body->length() : std::optional<std::uint64_t>(x.response.content.size());
  CacheFill& fill = *j.fill;
  if (length) fill.expect(*length);
  bool stored = true;  // so far
  bool streaming = false;
  std::uint64_t size = 0;

  bool last = body == nullptr;
  if (last) fill.append(x.response.content);
  while (!last) {
    std::optional<BodyPiece> piece = body->poll();
    if (!piece) {
      if (!streaming) {
        streaming = true;
        fill.stream({head, length});
      }
      auto next = co_await body->read();
      if (!next) {
        break_off(j);
        co_return;
      }
      piece = *next;
    }
    last = piece->last;
    size += piece->data.size();
    if (stored &&
        (size > j.options.max_object ||
         (size > j.reserved && !store_.reserve(static_cast<std::size_t>(size) - j.reserved)))) {
      // Larger than it may be: those who are here get the rest, those who come ask for themselves.
      stored = false;
      j.filler = std::make_shared<Wakeup>(worker_);
      fill.set_filler(j.filler);
      leave(j);
      if (!streaming) {
        streaming = true;
        fill.stream({head, length});
      }
    } else if (stored) {
      j.reserved = std::max(j.reserved, static_cast<std::size_t>(size));
    }
    fill.append(piece->data);
    const bool unwanted = !fill.is_followed() &&
                          (!stored || std::max(size, length.value_or(0)) > j.options.finish_fill);
    if (unwanted || j.given_up) {
      break_off(j);
      co_return;
    }
    if (!stored) {
      // The leader of a moment ago may not have begun to read.
      fill.forget_what_was_read();
      while (!j.given_up && fill.is_followed() &&
             fill.slowest_lag() > j.options.max_object + kAhead) {
        co_await j.filler->wait();
      }
    }
  }
  let_go(j, false);
  StoredResponse response;
  if (stored) {
    response = {head, fill.join(), static_cast<std::size_t>(fill.size())};
    store_.put(j.key, j.url, response, j.erasures);
    leave(j);
  }
  fill.complete(std::move(response), false);
}

// RFC 9111 §4: what must be validated before it is used again was not meant for those who waited
// either; and it may differ from one to the next.
bool ResponseCache::may_share(const StoredHead& head, const Request& r) const {
  const cache::Freshness freshness = head.freshness_now();
  const Nanos age = cache::current_age(freshness, head.stored, worker_.now());
  return head.matches(r.fields, r.coding) && (!r.authorized || head.for_authorized) &&
         cache::decide_reuse({}, freshness, age).reuse != Reuse::validate;
}

// Nobody joins it from now on.
void ResponseCache::leave(Job& j) {
  if (j.name.empty()) return;
  store_.leave(j.key, j.name, j.fill);
  j.name.clear();
}

void ResponseCache::break_off(Job& j) {
  leave(j);
  let_go(j, true);
  j.fill->break_off();
}

// Nobody waits in vain for the next ones.
void ResponseCache::stop_sharing(Job& j) {
  if (j.name.empty()) return;
  store_.note_uncacheable(j.key, worker_.now() + j.options.uncacheable_memory);
  leave(j);
}

// The answer cannot be shared.
void ResponseCache::release(Job& j) {
  stop_sharing(j);
  j.fill->release();
}

// The connection goes back, and nobody may end what it does from now on.
void ResponseCache::let_go(Job& j, bool truncated) {
  FillExchange& x = *j.exchange;
  x.no_client.watch_client(nullptr);
  x.response.body.reset();
  if (truncated && x.upstream_span.is_recording()) {
    x.upstream_span.set_attribute("error.type", "truncated");
    x.upstream_span.set_status(trace::SpanStatus::error);
  }
  x.upstream_span.end();
}

}  // namespace tyaprover::filters
