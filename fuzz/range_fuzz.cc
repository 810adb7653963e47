// Range and Content-Range: parts lie in the representation, apart from each other, and are exactly
// the bytes asked for; what is written reads back.
#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>

#include "fuzz/require.h"
#include "tyaprover/cache/byte_range.h"

namespace tyaprover::cache {
namespace {

std::set<std::uint64_t> naive_bytes(const std::vector<RangeSpec>& ranges, std::uint64_t size) {
  std::set<std::uint64_t> bytes;
  for (const RangeSpec& spec : ranges) {
    for (std::uint64_t at = 0; at < size; ++at) {
      const bool in = spec.first ? at >= *spec.first && (!spec.last || at <= *spec.last)
                                 : size - at <= *spec.last;
      if (in) bytes.insert(at);
    }
  }
  return bytes;
}

void check(const std::vector<RangeSpec>& ranges, std::uint64_t size) {
  const RangeAnswer answer = answer_range(ranges, size);
  const std::set<std::uint64_t> wanted = naive_bytes(ranges, size);
  require((answer.kind == RangeAnswer::Kind::unsatisfiable) == wanted.empty(),
          "it is unsatisfiable when no byte is asked for");
  require((answer.kind == RangeAnswer::Kind::partial) == !answer.parts.empty(),
          "parts come with a partial answer");
  if (answer.kind != RangeAnswer::Kind::partial) return;
  std::set<std::uint64_t> bytes;
  StoredSpans spans;
  for (const ByteSpan& part : answer.parts) {
    require(part.first <= part.last && part.last < size, "a part lies in the representation");
    spans.add(part);
    for (std::uint64_t at = part.first; at <= part.last; ++at) {
      require(bytes.insert(at).second, "parts do not overlap");
    }
  }
  require(bytes == wanted, "the parts are the bytes asked for");
  require(spans.spans().size() == answer.parts.size(), "parts do not touch");
  const auto again = parse_range(format_range(answer.parts, size));
  require(again.has_value(), "what was written is a range");
  require(answer_range(*again, size).parts == answer.parts, "and means the same");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  if (const auto ranges = parse_range(input)) {
    for (const std::uint64_t length : {0, 1, 10, 100}) check(*ranges, length);
    for (const ByteSpan& part : answer_range(*ranges, ~std::uint64_t{0} >> 1).parts) {
      require(part.last < ~std::uint64_t{0} >> 1, "a part lies in a huge representation");
    }
  }
  if (const auto range = parse_content_range(input)) {
    require(range->span.first <= range->span.last, "a span is in order");
    if (range->size) {
      require(range->span.last < *range->size, "a span lies in its representation");
      require(parse_content_range(format_content_range(range->span, *range->size)) == range,
              "what is written reads back");
    }
  }
  return 0;
}

}  // namespace tyaprover::cache
