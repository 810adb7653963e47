#include "tyaprover/trace/propagation.h"

#include <algorithm>
#include <span>

#include "tyaprover/base/text.h"
#include "tyaprover/trace/hex.h"
#include "tyaprover/trace/trace_context.h"

namespace tyaprover::trace {
namespace {

using detail::HexCase;
using detail::parse_hex;

constexpr std::string_view kUberBaggage = "uberctx-";

// 1 to 32 hex digits, padded with zeros at the left.
std::optional<TraceId> parse_trace_id(std::string_view text) noexcept {
  if (text.empty() || text.size() > 32) return std::nullopt;
  const std::size_t low_digits = std::min<std::size_t>(16, text.size());
  const std::string_view high_text = text.substr(0, text.size() - low_digits);
  const auto high = high_text.empty() ? 0 : parse_hex(high_text, HexCase::any);
  const auto low = parse_hex(text.substr(high_text.size()), HexCase::any);
  if (!high || !low) return std::nullopt;
  const TraceId id{*high, *low};
  return id.is_valid() ? std::optional(id) : std::nullopt;
}

// B3 knows 64 and 128 bits, nothing between.
std::optional<TraceId> parse_b3_trace_id(std::string_view text) noexcept {
  return text.size() == 16 || text.size() == 32 ? parse_trace_id(text) : std::nullopt;
}

std::optional<SpanId> parse_span_id(std::string_view text) noexcept {
  const auto value = parse_hex(text, HexCase::any);
  return value && *value != 0 ? std::optional(SpanId{*value}) : std::nullopt;
}

SpanContext remote(TraceId trace_id, SpanId span_id, bool sampled) {
  return {trace_id, span_id, {static_cast<std::uint8_t>(sampled ? TraceFlags::kSampled : 0)}, true};
}

// B3's sampling state; `d` is debug, which is sampled and more.
std::optional<bool> parse_b3_state(std::string_view text) noexcept {
  if (text == "1" || text == "d" || iequals(text, "true")) return true;
  if (text == "0" || iequals(text, "false")) return false;
  return std::nullopt;
}

}  // namespace

std::string_view to_string(Propagator propagator) noexcept {
  switch (propagator) {
    case Propagator::tracecontext:
      return "tracecontext";
    case Propagator::baggage:
      return "baggage";
    case Propagator::b3:
      return "b3";
    case Propagator::b3multi:
      return "b3multi";
    case Propagator::jaeger:
      return "jaeger";
    case Propagator::xray:
      return "xray";
  }
  return "";
}

void Extractor::field(std::string_view name, std::string_view value) noexcept {
  const auto is = [&](std::string_view known) { return iequals(name, known); };
  switch (name.size()) {
    case 2:
      if (is("b3")) return b3_.set(value);
      break;
    case 7:
      if (is("baggage")) add_baggage({{}, value});
      break;
    case 10:
      if (is("tracestate")) {
        if (trim(value).empty()) return;
        if (!tracestate_) tracestate_.emplace();
        (*tracestate_)[std::min(tracestate_count_++, tracestate_->size() - 1)] = value;
        return;
      }
      if (is("x-b3-flags")) return b3_flags_.set(value);
      break;
    case 11:
      if (is("traceparent")) return traceparent_.set(value);
      if (is("x-b3-spanid")) return b3_span_id_.set(value);
      break;
    case 12:
      if (is("x-b3-traceid")) return b3_trace_id_.set(value);
      if (is("x-b3-sampled")) return b3_sampled_.set(value);
      break;
    case 13:
      if (is("uber-trace-id")) return uber_trace_id_.set(value);
      break;
    case 15:
      if (is("x-amzn-trace-id")) return xray_.set(value);
      break;
    default:
      break;
  }
  if (name.size() > kUberBaggage.size() &&
      iequals(name.substr(0, kUberBaggage.size()), kUberBaggage)) {
    add_baggage({name.substr(kUberBaggage.size()), value});
  }
}

void Extractor::add_baggage(const BaggageField& field) noexcept {
  if (!baggage_) baggage_.emplace();
  if (baggage_count_ < baggage_->size()) (*baggage_)[baggage_count_++] = field;
}

Extracted Extractor::finish() const {
  Extracted extracted;
  for (const Propagator propagator : propagators_) {
    std::optional<SpanContext> context;
    switch (propagator) {
      case Propagator::tracecontext:
        context = trace_context();
        break;
      case Propagator::baggage:
        break;
      // Who speaks one form of B3 understands both; the single field is the newer one.
      case Propagator::b3:
      case Propagator::b3multi:
        context = b3_single(extracted.sampled);
        if (!context) context = b3_multi(extracted.sampled);
        break;
      case Propagator::jaeger:
        context = jaeger();
        break;
      case Propagator::xray:
        context = xray();
        break;
    }
    if (context) return {.context = std::move(*context), .sampled = std::nullopt};
  }
  return extracted;
}

std::optional<SpanContext> Extractor::trace_context() const {
  auto context = TraceContext::parse(traceparent_.get());
  if (!context || tracestate_count_ == 0 || tracestate_count_ > TraceState::kMaxMembers) {
    return context;
  }
  std::string buffer;
  const auto state = TraceState::join(std::span(*tracestate_).first(tracestate_count_), buffer);
  return state && !state->empty() ? context->with_trace_state(*state) : context;
}

// {trace id}-{span id}[-{sampling state}[-{parent span id}]], or the sampling state alone.
std::optional<SpanContext> Extractor::b3_single(std::optional<bool>& sampled) const {
  const std::string_view text = trim(b3_.get());
  if (text.size() == 1) {
    sampled = parse_b3_state(text);
    return std::nullopt;
  }
  std::array<std::string_view, 4> parts;
  std::size_t count = 0;
  for (const std::string_view part : split(text, '-')) {
    if (count == parts.size()) return std::nullopt;
    parts[count++] = part;
  }
  if (count < 2) return std::nullopt;
  const auto trace_id = parse_b3_trace_id(parts[0]);
  const auto span_id = parts[1].size() == 16 ? parse_span_id(parts[1]) : std::nullopt;
  if (!trace_id || !span_id) return std::nullopt;
  const auto state = count == 2             ? false
                     : parts[2].size() == 1 ? parse_b3_state(parts[2])
                                            : std::nullopt;
  if (!state) return std::nullopt;
  if (count == 4 && (parts[3].size() != 16 || !parse_hex(parts[3], HexCase::any))) {
    return std::nullopt;
  }
  return remote(*trace_id, *span_id, *state);
}

std::optional<SpanContext> Extractor::b3_multi(std::optional<bool>& sampled) const {
  std::optional<bool> state = parse_b3_state(trim(b3_sampled_.get()));
  if (trim(b3_flags_.get()) == "1") state = true;
  const std::string_view span_text = trim(b3_span_id_.get());
  const auto trace_id = parse_b3_trace_id(trim(b3_trace_id_.get()));
  const auto span_id = span_text.size() == 16 ? parse_span_id(span_text) : std::nullopt;
  if (trace_id && span_id) return remote(*trace_id, *span_id, state.value_or(false));
  if (state && b3_trace_id_.count == 0 && b3_span_id_.count == 0) sampled = state;
  return std::nullopt;
}

// {trace id}:{span id}:{parent span id}:{flags}; some clients encode the colons.
std::optional<SpanContext> Extractor::jaeger() const {
  std::string_view text = trim(uber_trace_id_.get());
  std::string decoded;
  if (text.find('%') != std::string_view::npos) {
    if (text.size() > 128) return std::nullopt;
    decoded = text;
    for (std::size_t at = 0; (at = decoded.find('%', at)) != std::string::npos;) {
      if (!iequals(std::string_view(decoded).substr(at, 3), "%3a")) return std::nullopt;
      decoded.replace(at, 3, ":");
    }
    text = decoded;
  }
  std::array<std::string_view, 4> parts;
  std::size_t count = 0;
  for (const std::string_view part : split(text, ':')) {
    if (count == parts.size()) return std::nullopt;
    parts[count++] = part;
  }
  if (count != parts.size()) return std::nullopt;
  const auto trace_id = parse_trace_id(parts[0]);
  const auto span_id = parse_span_id(parts[1]);
  const auto flags = parts[3].size() <= 2 ? parse_hex(parts[3], HexCase::any) : std::nullopt;
  if (!trace_id || !span_id || !flags) return std::nullopt;
  return remote(*trace_id, *span_id, (*flags & 1) != 0);
}

// Root=1-{8 hex}-{24 hex};Parent={16 hex};Sampled={0|1}, in any order, others ignored.
std::optional<SpanContext> Extractor::xray() const {
  std::optional<TraceId> trace_id;
  std::optional<SpanId> span_id;
  bool sampled = false;
  for (const std::string_view piece : split(xray_.get(), ';')) {
    const std::string_view part = trim(piece);
    const std::size_t equals = part.find('=');
    if (equals == std::string_view::npos) continue;
    const std::string_view key = part.substr(0, equals);
    const std::string_view value = part.substr(equals + 1);
    if (key == "Root") {
      if (value.size() != 35 || !value.starts_with("1-") || value[10] != '-') return std::nullopt;
      const auto time = parse_hex(value.substr(2, 8), HexCase::any);
      const auto middle = parse_hex(value.substr(11, 8), HexCase::any);
      const auto low = parse_hex(value.substr(19, 16), HexCase::any);
      if (!time || !middle || !low) return std::nullopt;
      trace_id = TraceId{*time << 32 | *middle, *low};
    } else if (key == "Parent") {
      if (value.size() != 16) return std::nullopt;
      span_id = parse_span_id(value);
    } else if (key == "Sampled") {
      sampled = value == "1";
    }
  }
  if (!trace_id || !trace_id->is_valid() || !span_id) return std::nullopt;
  return remote(*trace_id, *span_id, sampled);
}

Baggage Extractor::baggage() const {
  Baggage baggage;
  if (!baggage_) return baggage;
  for (const BaggageField& field : std::span(*baggage_).first(baggage_count_)) {
    const Propagator format = field.key.empty() ? Propagator::baggage : Propagator::jaeger;
    if (!propagators_.has(format)) continue;
    // An uberctx- value is encoded as a baggage member's is.
    const Baggage parsed =
        Baggage::parse(field.key.empty() ? std::string(field.value)
                                         : std::string(field.key).append("=").append(field.value));
    for (const Baggage::Member& member : parsed.members()) {
      baggage.set(member.key, member.value, member.properties);
    }
  }
  return baggage;
}

bool is_trace_field(std::string_view name) noexcept {
  constexpr std::array<std::string_view, 10> kNames = {
      "traceparent",  "tracestate",        "b3",         "x-b3-traceid",  "x-b3-spanid",
      "x-b3-sampled", "x-b3-parentspanid", "x-b3-flags", "uber-trace-id", "x-amzn-trace-id"};
  return std::any_of(kNames.begin(), kNames.end(),
                     [&](std::string_view known) { return iequals(name, known); });
}

InjectedFields::InjectedFields(const Context& context, const Propagators& propagators) {
  const SpanContext& span = context.span_context();
  if (span.is_valid()) {
    for (const Propagator propagator : propagators) add_trace(span, propagator);
  }
  const Baggage* const baggage = context.baggage().get();
  if (baggage == nullptr || baggage->empty()) return;
  if (propagators.has(Propagator::baggage)) baggage_.emplace_back("baggage", baggage->format());
  if (!propagators.has(Propagator::jaeger)) return;
  for (const Baggage::Member& member : baggage->members()) {
    Baggage one;
    one.set(member.key, member.value);
    baggage_.emplace_back(std::string(kUberBaggage).append(member.key),
                          one.format().substr(member.key.size() + 1));
  }
}

std::string_view InjectedFields::write(std::initializer_list<std::string_view> pieces) noexcept {
  char* const begin = buffer_.data() + used_;
  char* at = begin;
  for (const std::string_view piece : pieces) at = std::copy(piece.begin(), piece.end(), at);
  used_ += static_cast<std::size_t>(at - begin);
  return {begin, at};
}

void InjectedFields::add_trace(const SpanContext& context, Propagator propagator) noexcept {
  if (propagator == Propagator::baggage) return;
  if (propagator == Propagator::tracecontext) {
    char text[TraceContext::kSize];
    TraceContext::write(text, context);
    add("traceparent", write({{text, sizeof(text)}}));
    if (!context.trace_state().empty()) add("tracestate", context.trace_state());
    return;
  }
  const auto trace_hex = context.trace_id().to_hex();
  const auto span_hex = context.span_id().to_hex();
  const std::string_view trace_id(trace_hex.data(), trace_hex.size());
  const std::string_view span_id(span_hex.data(), span_hex.size());
  const std::string_view sampled = context.is_sampled() ? "1" : "0";
  switch (propagator) {
    case Propagator::tracecontext:
    case Propagator::baggage:
      return;
    case Propagator::b3:
      return add("b3", write({trace_id, "-", span_id, "-", sampled}));
    case Propagator::b3multi:
      add("X-B3-TraceId", write({trace_id}));
      add("X-B3-SpanId", write({span_id}));
      return add("X-B3-Sampled", sampled);
    case Propagator::jaeger:
      return add("uber-trace-id", write({trace_id, ":", span_id, ":0:", sampled}));
    case Propagator::xray:
      return add("X-Amzn-Trace-Id",
                 write({"Root=1-", trace_id.substr(0, 8), "-", trace_id.substr(8),
                        ";Parent=", span_id, ";Sampled=", sampled}));
  }
}

}  // namespace tyaprover::trace
