#include "tyaprover/cache/byte_range.h"

#include <algorithm>

#include "tyaprover/cache/validation.h"

namespace tyaprover::cache {
namespace {

constexpr std::uint64_t kMaxPosition = std::uint64_t{1} << 63;
constexpr std::size_t kMaxRanges = 64;
constexpr std::size_t kMaxOverlaps = 2;

// Digits only, at least one; saturates at kMaxPosition.
std::optional<std::uint64_t> parse_position(std::string_view text) noexcept {
  if (text.empty()) return std::nullopt;
  std::uint64_t value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    const auto digit = static_cast<std::uint64_t>(c - '0');
    value = value >= kMaxPosition / 10 ? kMaxPosition : value * 10 + digit;
  }
  return value;
}

std::optional<RangeSpec> parse_spec(std::string_view text) noexcept {
  const std::size_t dash = text.find('-');
  if (dash == std::string_view::npos) return std::nullopt;
  const std::string_view first = text.substr(0, dash);
  const std::string_view last = text.substr(dash + 1);
  RangeSpec spec;
  spec.first = parse_position(first);
  spec.last = parse_position(last);
  if (!spec.first && !first.empty()) return std::nullopt;
  if (!spec.last && !last.empty()) return std::nullopt;
  if (!spec.first && !spec.last) return std::nullopt;
  if (spec.first && spec.last && *spec.first > *spec.last) return std::nullopt;
  return spec;
}

std::optional<ByteSpan> satisfy(const RangeSpec& spec, std::uint64_t size) noexcept {
  if (size == 0) return std::nullopt;
  if (!spec.first) {
    const std::uint64_t suffix = std::min(*spec.last, size);
    if (suffix == 0) return std::nullopt;
    return ByteSpan{size - suffix, size - 1};
  }
  if (*spec.first >= size) return std::nullopt;
  return ByteSpan{*spec.first, std::min(spec.last.value_or(size - 1), size - 1)};
}

bool touches(const ByteSpan& a, const ByteSpan& b) noexcept {
  return a.first <= b.last + 1 && b.first <= a.last + 1;
}
bool overlaps(const ByteSpan& a, const ByteSpan& b) noexcept {
  return a.first <= b.last && b.first <= a.last;
}
ByteSpan join(const ByteSpan& a, const ByteSpan& b) noexcept {
  return {std::min(a.first, b.first), std::max(a.last, b.last)};
}

}  // namespace

std::string_view to_string(RangeError error) noexcept {
  switch (error) {
    case RangeError::other_unit:
      return "other unit";
    case RangeError::malformed:
      return "malformed";
    case RangeError::too_many:
      return "too many";
  }
  return "unknown";
}

Result<std::vector<RangeSpec>, RangeError> parse_range(std::string_view value) {
  value = trim(value);
  const std::size_t equals = value.find('=');
  if (equals == std::string_view::npos) return err(RangeError::malformed);
  if (!iequals(value.substr(0, equals), "bytes")) return err(RangeError::other_unit);
  std::vector<RangeSpec> ranges;
  for (const std::string_view piece : split(value.substr(equals + 1), ',')) {
    const std::string_view member = trim(piece);
    if (member.empty()) continue;
    const auto spec = parse_spec(member);
    if (!spec) return err(RangeError::malformed);
    if (ranges.size() == kMaxRanges) return err(RangeError::too_many);
    ranges.push_back(*spec);
  }
  if (ranges.empty()) return err(RangeError::malformed);
  return ranges;
}

RangeAnswer answer_range(const std::vector<RangeSpec>& ranges, std::uint64_t size) {
  RangeAnswer answer;
  std::size_t overlapping = 0;
  for (const RangeSpec& spec : ranges) {
    auto span = satisfy(spec, size);
    if (!span) continue;
    // Joining can bridge two parts: look again until nothing touches.
    for (std::size_t i = 0; i < answer.parts.size();) {
      if (!touches(answer.parts[i], *span)) {
        ++i;
        continue;
      }
      if (overlaps(answer.parts[i], *span)) ++overlapping;
      *span = join(answer.parts[i], *span);
      answer.parts.erase(answer.parts.begin() + static_cast<std::ptrdiff_t>(i));
      i = 0;
    }
    answer.parts.push_back(*span);
  }
  if (answer.parts.empty()) {
    answer.kind = RangeAnswer::Kind::unsatisfiable;
    return answer;
  }
  std::uint64_t total = 0;
  for (const ByteSpan& part : answer.parts) total += part.size();
  const bool wasteful = answer.parts.size() > 1 && total >= size;
  answer.kind = overlapping > kMaxOverlaps || wasteful ? RangeAnswer::Kind::whole
                                                       : RangeAnswer::Kind::partial;
  if (answer.kind == RangeAnswer::Kind::whole) answer.parts.clear();
  return answer;
}

bool range_applies(HeaderFields request, HeaderFields stored) noexcept {
  if (!request.has("if-range")) return true;
  const auto condition = request.only("if-range");
  if (!condition) return false;
  const std::string_view wanted = trim(*condition);
  if (const auto tag = parse_entity_tag(wanted)) {
    const auto own = parse_entity_tag(stored_validators(stored).etag);
    return own && strong_match(*tag, *own);
  }
  const auto modified = stored.only("last-modified");
  const auto date = stored.only("date");
  if (!modified || !date) return false;
  const auto wanted_time = parse_http_date(wanted, WallSeconds());
  const auto modified_time = parse_http_date(trim(*modified), WallSeconds());
  const auto date_time = parse_http_date(trim(*date), WallSeconds());
  return wanted_time && modified_time && date_time && *wanted_time == *modified_time &&
         *modified_time + std::chrono::seconds(1) <= *date_time;
}

bool may_combine(HeaderFields stored, HeaderFields partial) noexcept {
  if (!has_strong_validator(stored) || !has_strong_validator(partial)) return false;
  const Validators a = stored_validators(stored);
  const Validators b = stored_validators(partial);
  // Strong tags are compared byte by byte; dates only when neither has a tag.
  return a.etag == b.etag && (!a.etag.empty() || a.last_modified == b.last_modified);
}

std::optional<ContentRange> parse_content_range(std::string_view value) noexcept {
  value = trim(value);
  const std::size_t space = value.find(' ');
  if (space == std::string_view::npos || !iequals(value.substr(0, space), "bytes")) {
    return std::nullopt;
  }
  value = value.substr(space + 1);
  const std::size_t slash = value.find('/');
  const std::size_t dash = value.find('-');
  if (slash == std::string_view::npos || dash == std::string_view::npos || dash > slash) {
    return std::nullopt;
  }
  const auto first = parse_position(value.substr(0, dash));
  const auto last = parse_position(value.substr(dash + 1, slash - dash - 1));
  const std::string_view size = value.substr(slash + 1);
  ContentRange range;
  if (!first || !last || *first > *last || *last >= kMaxPosition) return std::nullopt;
  range.span = {*first, *last};
  if (size == "*") return range;
  range.size = parse_position(size);
  if (!range.size || *last >= *range.size) return std::nullopt;
  return range;
}

std::string format_content_range(const ByteSpan& span, std::uint64_t size) {
  return "bytes " + std::to_string(span.first) + "-" + std::to_string(span.last) + "/" +
         std::to_string(size);
}

std::string format_unsatisfied_range(std::uint64_t size) {
  return "bytes */" + std::to_string(size);
}

std::string multipart_part_head(std::string_view boundary, std::string_view content_type,
                                const ByteSpan& span, std::uint64_t size) {
  std::string head = "\r\n--";
  head.append(boundary).append("\r\n");
  if (!content_type.empty()) head.append("Content-Type: ").append(content_type).append("\r\n");
  head.append("Content-Range: ").append(format_content_range(span, size)).append("\r\n\r\n");
  return head;
}

std::string multipart_end(std::string_view boundary) {
  std::string end = "\r\n--";
  return end.append(boundary).append("--\r\n");
}

void StoredSpans::add(ByteSpan span) {
  const auto first = std::find_if(spans_.begin(), spans_.end(),
                                  [&](const ByteSpan& own) { return own.last + 1 >= span.first; });
  auto last = first;
  for (; last != spans_.end() && touches(*last, span); ++last) span = join(*last, span);
  const auto at = spans_.erase(first, last);
  spans_.insert(at, span);
}

bool StoredSpans::covers(const ByteSpan& span) const noexcept {
  return std::any_of(spans_.begin(), spans_.end(), [&](const ByteSpan& own) {
    return own.first <= span.first && span.last <= own.last;
  });
}

std::vector<ByteSpan> StoredSpans::missing(const ByteSpan& span) const {
  std::vector<ByteSpan> gaps;
  std::uint64_t at = span.first;
  for (const ByteSpan& own : spans_) {
    if (own.last < at) continue;
    if (own.first > span.last) break;
    if (own.first > at) gaps.push_back({at, own.first - 1});
    at = own.last + 1;
    if (at > span.last) return gaps;
  }
  if (at <= span.last) gaps.push_back({at, span.last});
  return gaps;
}

std::string format_range(const std::vector<ByteSpan>& spans, std::uint64_t size) {
  std::string value = "bytes=";
  for (const ByteSpan& span : spans) {
    if (value.back() != '=') value += ',';
    value.append(std::to_string(span.first)).append("-");
    if (span.last + 1 != size) value += std::to_string(span.last);
  }
  return value;
}

}  // namespace tyaprover::cache
