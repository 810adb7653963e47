#include "tyaprover/trace/trace_context.h"

#include <algorithm>
#include <array>
#include <vector>

#include "tyaprover/base/text.h"
#include "tyaprover/trace/hex.h"

namespace tyaprover::trace {
namespace {

using detail::HexCase;
using detail::parse_hex;

bool is_lower(char c) noexcept {
  return c >= 'a' && c <= 'z';
}
bool is_digit(char c) noexcept {
  return c >= '0' && c <= '9';
}
bool is_key_char(char c) noexcept {
  return is_lower(c) || is_digit(c) || c == '_' || c == '-' || c == '*' || c == '/';
}
bool are_key_chars(std::string_view text) noexcept {
  return std::all_of(text.begin(), text.end(), is_key_char);
}

// §3.3.1.3.1: simple-key = lcalpha 0*255keychar; or tenant-id "@" system-id with
// tenant-id = (lcalpha / DIGIT) 0*240keychar and system-id = lcalpha 0*13keychar.
bool is_key(std::string_view key) noexcept {
  const std::size_t at = key.find('@');
  if (at == std::string_view::npos) {
    return !key.empty() && key.size() <= 256 && is_lower(key.front()) && are_key_chars(key);
  }
  const std::string_view tenant = key.substr(0, at);
  const std::string_view system = key.substr(at + 1);
  return !tenant.empty() && tenant.size() <= 241 && (is_lower(tenant[0]) || is_digit(tenant[0])) &&
         are_key_chars(tenant) && !system.empty() && system.size() <= 14 && is_lower(system[0]) &&
         are_key_chars(system);
}

// §3.3.1.3.2: value = 0*255(chr) nblk-chr, printable ASCII without "," and "=".
bool is_value(std::string_view value) noexcept {
  return !value.empty() && value.size() <= 256 && value.back() != ' ' &&
         std::all_of(value.begin(), value.end(),
                     [](char c) { return c >= ' ' && c <= '~' && c != ',' && c != '='; });
}

std::string_view key_of(std::string_view member) noexcept {
  return member.substr(0, member.find('='));
}

// Members without blanks, in order; every state has at most 32.
struct Members {
  std::array<std::string_view, TraceState::kMaxMembers> list;
  std::size_t count = 0;

  [[nodiscard]] bool add(std::string_view member) noexcept {
    const std::size_t equals = member.find('=');
    if (equals == std::string_view::npos || count == list.size()) return false;
    const std::string_view key = member.substr(0, equals);
    if (!is_key(key) || !is_value(member.substr(equals + 1))) return false;
    for (std::size_t i = 0; i < count; ++i) {
      if (key_of(list[i]) == key) return false;
    }
    list[count++] = member;
    return true;
  }
};

}  // namespace

std::string TraceContext::format(const SpanContext& context) {
  char text[kSize];
  write(text, context);
  return {text, kSize};
}

void TraceContext::write(char (&out)[kSize], const SpanContext& context) noexcept {
  char* at = out;
  *at++ = '0';
  *at++ = '0';
  *at++ = '-';
  at = detail::write_hex(at, context.trace_id().high);
  at = detail::write_hex(at, context.trace_id().low);
  *at++ = '-';
  at = detail::write_hex(at, context.span_id().value);
  *at++ = '-';
  detail::write_hex_byte(at, context.flags().bits);
}

std::optional<SpanContext> TraceContext::parse(std::string_view traceparent,
                                               std::string_view tracestate) {
  // version "-" trace-id "-" parent-id "-" trace-flags
  constexpr std::size_t kTraceId = 3;
  constexpr std::size_t kSpanId = 36;
  constexpr std::size_t kFlags = 53;
  const std::string_view text = trim(traceparent);
  if (text.size() < kSize || text[kTraceId - 1] != '-' || text[kSpanId - 1] != '-' ||
      text[kFlags - 1] != '-') {
    return std::nullopt;
  }
  const auto version = parse_hex(text.substr(0, 2), HexCase::lower);
  const auto high = parse_hex(text.substr(kTraceId, 16), HexCase::lower);
  const auto low = parse_hex(text.substr(kTraceId + 16, 16), HexCase::lower);
  const auto span_id = parse_hex(text.substr(kSpanId, 16), HexCase::lower);
  const auto flags = parse_hex(text.substr(kFlags, 2), HexCase::lower);
  if (!version || *version == 0xff || !high || !low || !span_id || !flags) return std::nullopt;
  // Version 00 ends here; a higher one may go on after a dash (§3.2.4).
  if (text.size() > kSize && (*version == 0 || text[kSize] != '-')) return std::nullopt;

  const TraceId trace_id{*high, *low};
  if (!trace_id.is_valid() || *span_id == 0) return std::nullopt;
  const auto known =
      static_cast<std::uint8_t>(*flags & (TraceFlags::kSampled | TraceFlags::kRandom));
  std::string buffer;
  const auto state = TraceState::join(std::span(&tracestate, 1), buffer);
  return SpanContext(trace_id, {*span_id}, {known}, true, state.value_or(std::string_view()));
}

std::optional<std::string_view> TraceState::join(std::span<const std::string_view> lines,
                                                 std::string& buffer) {
  Members members;
  for (const std::string_view line : lines) {
    for (const std::string_view piece : split(line, ',')) {
      const std::string_view member = trim(piece);
      if (!member.empty() && !members.add(member)) return std::nullopt;
    }
  }
  if (members.count == 0) return std::string_view();
  std::size_t size = members.count - 1;
  for (std::size_t i = 0; i < members.count; ++i) size += members.list[i].size();
  const std::string_view first = members.list[0];
  const std::string_view last = members.list[members.count - 1];
  // One line without blanks or empty members: the members lie side by side.
  if (lines.size() == 1 && first.data() + size == last.data() + last.size()) {
    return std::string_view(first.data(), size);
  }
  buffer.clear();
  for (std::size_t i = 0; i < members.count; ++i) {
    if (i > 0) buffer += ',';
    buffer += members.list[i];
  }
  return buffer;
}

std::optional<std::string_view> TraceState::get(std::string_view state,
                                                std::string_view key) noexcept {
  for (const std::string_view member : split(state, ',')) {
    if (key_of(member) == key && member.size() > key.size()) return member.substr(key.size() + 1);
  }
  return std::nullopt;
}

std::string TraceState::without(std::string_view state, std::string_view key) {
  std::string rest;
  for (const std::string_view member : split(state, ',')) {
    if (member.empty() || key_of(member) == key) continue;
    if (!rest.empty()) rest += ',';
    rest += member;
  }
  return rest;
}

std::string TraceState::with(std::string_view state, std::string_view key, std::string_view value) {
  constexpr std::size_t kLongMember = 128;
  if (!is_key(key) || !is_value(value)) return std::string(state);
  std::string text = std::string(key).append("=").append(value);
  const std::string others = without(state, key);
  std::vector<std::string_view> members = {text};
  if (!others.empty()) {
    for (const std::string_view member : split(others, ',')) members.push_back(member);
  }
  std::size_t size = text.size() + (others.empty() ? 0 : others.size() + 1);
  // Ours stays, whatever its length.
  for (std::size_t i = members.size(); i-- > 1 && size > kMaxWritten;) {
    if (members[i].size() <= kLongMember) continue;
    size -= members[i].size() + 1;
    members.erase(members.begin() + static_cast<std::ptrdiff_t>(i));
  }
  while (members.size() > 1 && (size > kMaxWritten || members.size() > kMaxMembers)) {
    size -= members.back().size() + 1;
    members.pop_back();
  }
  std::string result;
  for (const std::string_view member : members) {
    if (!result.empty()) result += ',';
    result += member;
  }
  return result;
}

}  // namespace tyaprover::trace
