#include "tyaprover/gateway/admin.h"

#include <algorithm>
#include <charconv>

#include "tyaprover/base/json_writer.h"
#include "tyaprover/base/parse.h"
#include "tyaprover/base/time_format.h"
#include "tyaprover/gateway/access.h"
#include "tyaprover/gateway/json_reply.h"
#include "tyaprover/gateway/log.h"
#include "tyaprover/http/target.h"
#include "tyaprover/trace/value_text.h"

namespace tyaprover::gateway {
namespace {

using http::Method;
using http::Reason;

constexpr std::size_t kMostTraces = 1000;

double millis(Nanos time) {
  return std::chrono::duration<double, std::milli>(time).count();
}

std::string time_text(std::int64_t unix_nanos) {
  char text[kRfc3339Size];
  write_rfc3339(
      text,
      std::chrono::system_clock::time_point(
          std::chrono::duration_cast<std::chrono::system_clock::duration>(Nanos(unix_nanos))));
  return {text, sizeof(text)};
}

std::string hex(trace::TraceId id) {
  const auto text = id.to_hex();
  return {text.data(), text.size()};
}
std::string hex(trace::SpanId id) {
  const auto text = id.to_hex();
  return {text.data(), text.size()};
}

// 32 hex digits in any case.
std::optional<trace::TraceId> parse_trace_id(std::string_view text) {
  constexpr std::size_t kDigits = 32;
  if (text.size() != kDigits) return std::nullopt;
  const auto half = [](std::string_view digits, std::uint64_t& out) {
    const auto end = std::from_chars(digits.data(), digits.data() + digits.size(), out, 16);
    return end.ec == std::errc() && end.ptr == digits.data() + digits.size();
  };
  trace::TraceId id;
  if (!half(text.substr(0, kDigits / 2), id.high) || !half(text.substr(kDigits / 2), id.low)) {
    return std::nullopt;
  }
  return id;
}

// The query of a list of traces; otherwise what is wrong with it.
Result<trace::TraceQuery, std::string> read_query(std::string_view query, std::string& route) {
  trace::TraceQuery wanted;
  for (const std::string& value : http::query_values(query, "limit")) {
    const auto limit = parse_u64(value);
    if (!limit || *limit == 0 || *limit > kMostTraces) {
      return err("limit: a number from 1 to " + std::to_string(kMostTraces));
    }
    wanted.limit = *limit;
  }
  for (const std::string& value : http::query_values(query, "min_duration")) {
    const auto duration = parse_duration(value);
    if (!duration) return err("min_duration " + std::string(to_string(duration.error())));
    wanted.min_duration = *duration;
  }
  for (const std::string& value : http::query_values(query, "status")) {
    if (value != "error") return err(std::string("status: only \"error\" can be asked for"));
    wanted.failed_only = true;
  }
  for (std::string& value : http::query_values(query, "route")) route = std::move(value);
  wanted.route = route;
  return wanted;
}

void write_attributes(JsonWriter& json, std::span<const trace::AttributeData> attributes) {
  json.key("attributes").begin_object();
  for (const trace::AttributeData& attribute : attributes) {
    json.key(attribute.key());
    trace::detail::write_json_value(json, attribute.value());
  }
  json.end_object();
}

void write_span(JsonWriter& json, const trace::TraceNode& node) {
  const trace::SpanData& span = *node.span;
  json.begin_object();
  json.key("span_id").string(hex(span.span_id));
  json.key("parent_span_id");
  span.parent_span_id.is_valid() ? json.string(hex(span.parent_span_id)) : json.null();
  json.key("name").string(span.name.view()).key("kind").string(to_string(span.kind));
  json.key("depth").integer(node.depth).key("offset_ms").number(millis(node.offset));
  json.key("duration_ms").number(millis(Nanos(span.end_unix_nanos - span.start_unix_nanos)));
  json.key("status").string(to_string(span.status));
  write_attributes(json, span.attributes);
  json.key("events").begin_array();
  for (const trace::EventData& event : span.events) {
    json.begin_object().key("name").string(event.name.view());
    json.key("time").string(time_text(event.unix_nanos));
    write_attributes(json, event.attributes);
    json.end_object();
  }
  json.end_array().end_object();
}

}  // namespace

AdminApi::AdminApi(const Config& config, const GatewayTracing& tracing, const CacheAdmin& cache,
                   Breakers& breakers)
    : config_(config.admin),
      environment_(config.environment),
      tracing_(tracing),
      cache_(cache),
      breakers_(breakers),
      traces_(config.endpoints.admin.empty() || tracing.recent() == nullptr
                  ? ""
                  : config.endpoints.admin + "/traces"),
      trace_(traces_.empty() ? "" : traces_ + "/{id}"),
      all_breakers_(config.endpoints.admin.empty() ? "" : config.endpoints.admin + "/breakers"),
      one_breaker_(all_breakers_ + "/{name}/{action}") {}

std::string_view AdminApi::route_of(std::string_view path) const noexcept {
  if (path == cache_.admin_path()) return cache_.admin_path();
  if (!all_breakers_.empty() && path.starts_with(all_breakers_)) {
    const std::string_view rest = path.substr(all_breakers_.size());
    if (rest.empty()) return all_breakers_;
    const std::size_t slash = rest.find('/', 1);
    const bool two = rest[0] == '/' && slash != std::string_view::npos && slash > 1 &&
                     slash + 1 < rest.size() && rest.find('/', slash + 1) == std::string_view::npos;
    return two ? std::string_view(one_breaker_) : std::string_view();
  }
  if (traces_.empty() || !path.starts_with(traces_)) return {};
  const std::string_view rest = path.substr(traces_.size());
  if (rest.empty()) return traces_;
  const bool one = rest.size() > 1 && rest[0] == '/' && rest.find('/', 1) == std::string_view::npos;
  return one ? std::string_view(trace_) : std::string_view();
}

void AdminApi::answer(filters::Exchange& e, const filters::ReplyOptions& reply) {
  if (!may_enter({.ways = config_.access, .api_key = config_.api_key}, e)) {
    filters::reply(e, Reason::forbidden, "the admin API needs a key or a trusted place", reply);
    return;
  }
  const std::string_view path = e.path;
  const bool of_cache = path == cache_.admin_path();
  if (of_cache && e.request.method_id == Method::delete_) {
    if (!may_change(e, reply)) return;
    return cache_.purge(e, reply);
  }
  const bool moves_breaker = route_of(path) == one_breaker_;
  const bool reads = e.request.method_id == Method::get || e.request.method_id == Method::head;
  if (moves_breaker ? e.request.method_id != Method::post : !reads) {
    filters::reply(e, Reason::method_not_allowed, "this path cannot do that", reply);
    e.response.fields.add("Allow", moves_breaker ? "POST"
                                   : of_cache    ? "GET, HEAD, DELETE"
                                                 : "GET, HEAD");
    return;
  }
  if (of_cache) return cache_.show_stats(e);
  if (moves_breaker) {
    if (!may_change(e, reply)) return;
    return change_breaker(e, path.substr(all_breakers_.size()), reply);
  }
  if (path == all_breakers_) return list_breakers(e);
  if (e.path == traces_) return list_traces(e, reply);
  show_trace(e, std::string_view(e.path).substr(traces_.size() + 1), reply);
}

namespace {

// `localhost`, or an address.
bool names_this_machine(std::string_view authority) noexcept {
  if (authority.starts_with('[')) return true;
  const std::string_view host = authority.substr(0, authority.find(':'));
  return host == "localhost" || host.find_first_not_of("0123456789.") == std::string_view::npos;
}

}  // namespace

bool AdminApi::may_change(http::Exchange& e, const filters::ReplyOptions& reply) const {
  if (has_key(config_.api_key, e)) return true;
  if (environment_ == Environment::production) {
    filters::reply(e, Reason::forbidden, "in production a change needs the key of the admin API",
                   reply);
    return false;
  }
  // A web page that is open on this machine must not act through its browser.
  const http::Field* const origin = e.request.fields.find("origin");
  if (origin != nullptr) {
    const std::size_t host = origin->value.find("://");
    // A name that is not this machine's own may be made to point here by whoever has it.
    const bool own = host != std::string_view::npos &&
                     origin->value.substr(host + 3) == e.request.authority &&
                     names_this_machine(e.request.authority);
    if (!own) {
      filters::reply(e, Reason::forbidden, "a web page of another place may not change anything",
                     reply);
      return false;
    }
  }
  return true;
}

void AdminApi::list_breakers(http::Exchange& e) const {
  reply_json(e, to_json(breakers_.registry().all_stats()));
}

void AdminApi::change_breaker(filters::Exchange& e, std::string_view rest,
                              const filters::ReplyOptions& reply) {
  const std::size_t slash = rest.find('/', 1);
  std::string name(rest.substr(1, slash - 1));
  // The one sign in names that some clients escape; escapes are in upper case here.
  if (const std::size_t colon = name.find("%3A"); colon != std::string::npos) {
    name.replace(colon, 3, ":");
  }
  const std::string_view action = rest.substr(slash + 1);
  const auto breaker = breakers_.registry().find(name);
  if (breaker == nullptr) {
    filters::reply(e, Reason::no_route, "there is no circuit breaker of that name", reply);
    return;
  }
  const CausedBy cause(&e);  // nobody isolates a breaker here, so no change is refused
  if (action == "open" && breaker->options().mode != resilience::BreakerMode::normal) {
    filters::reply(e, Reason::bad_request,
                   "the breaker's mode lets everything pass, and nothing would close it again",
                   reply);
    return;
  }
  if (!move_by_hand(*breaker, action)) {
    filters::reply(e, Reason::no_route, "a circuit breaker can be opened, closed and reset", reply);
    return;
  }
  log_event(LogLevel::info, "a circuit breaker was changed by hand",
            {{"breaker", name},
             {"action", action},
             {"client", e.client},
             {"by", has_key(config_.api_key, e) ? "key" : "loopback"},
             {"request_id", e.request_id}});
  reply_json(e, to_json(breaker->stats()));
}

void AdminApi::list_traces(http::Exchange& e, const filters::ReplyOptions& reply) const {
  std::string route;
  const auto wanted = read_query(e.request.query, route);
  if (!wanted) {
    filters::reply(e, Reason::bad_request, e.arena.store(wanted.error()), reply);
    return;
  }
  std::string body;
  JsonWriter json(body);
  json.begin_object().key("traces").begin_array();
  for (const trace::TraceSummary& trace : tracing_.recent()->find(*wanted)) {
    json.begin_object().key("trace_id").string(hex(trace.trace_id));
    json.key("name").string(trace.name).key("route").string(trace.route);
    json.key("service")
        .string(trace.service)
        .key("start")
        .string(time_text(trace.start_unix_nanos));
    json.key("duration_ms").number(millis(trace.duration)).key("spans").integer(trace.spans);
    json.key("failed_spans").integer(trace.failed_spans).end_object();
  }
  json.end_array().end_object();
  reply_json(e, body);
}

void AdminApi::show_trace(http::Exchange& e, std::string_view id,
                          const filters::ReplyOptions& reply) const {
  const auto trace_id = parse_trace_id(id);
  if (!trace_id) {
    filters::reply(e, Reason::bad_request, "a trace id has 32 hex digits", reply);
    return;
  }
  const std::vector<trace::TraceNode> tree = tracing_.recent()->tree(*trace_id);
  if (tree.empty()) {
    filters::reply(e, Reason::no_route, "no such trace is in memory", reply);
    return;
  }
  std::string body;
  JsonWriter json(body);
  json.begin_object().key("trace_id").string(hex(*trace_id));
  json.key("start").string(time_text(tree.front().span->start_unix_nanos));
  json.key("spans").begin_array();
  for (const trace::TraceNode& node : tree) write_span(json, node);
  json.end_array().end_object();
  reply_json(e, body);
}

}  // namespace tyaprover::gateway
