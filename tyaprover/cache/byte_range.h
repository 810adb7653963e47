// Byte ranges (RFC 9110 §14): what a client asks for, what a stored response can answer, and what
// is missing of one that is stored in parts.
//
// Pure functions and values, thread-safe to read.
//
//   const auto ranges = parse_range("bytes=0-99, -100");
//   const RangeAnswer answer = answer_range(*ranges, content.size());
//   if (answer.kind == RangeAnswer::Kind::partial) send_206(answer.parts);
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tyaprover/base/result.h"
#include "tyaprover/cache/header_fields.h"

namespace tyaprover::cache {

// Bytes first … last, both included.
struct ByteSpan {
  std::uint64_t first = 0;
  std::uint64_t last = 0;

  // REQUIRES: it is not the whole of 2^64 bytes.
  [[nodiscard]] std::uint64_t size() const noexcept { return last - first + 1; }
  bool operator==(const ByteSpan&) const = default;
};

// One member of a Range field: first-last, first- or -suffix.
struct RangeSpec {
  std::optional<std::uint64_t> first;  // absent: the last `last` bytes
  std::optional<std::uint64_t> last;   // absent: to the end

  bool operator==(const RangeSpec&) const = default;
};

enum class RangeError : std::uint8_t {
  other_unit,  // not bytes
  malformed,
  too_many,  // more ranges than anybody needs
};
[[nodiscard]] std::string_view to_string(RangeError error) noexcept;

// The value of a Range field. A Range that is an error is to be ignored (§14.2), that is, answered
// with the whole response. Numbers beyond 2^63 count as 2^63.
[[nodiscard]] Result<std::vector<RangeSpec>, RangeError> parse_range(std::string_view value);

struct RangeAnswer {
  enum class Kind : std::uint8_t {
    whole,          // 200: the ranges are too wasteful to answer one by one
    partial,        // 206 with `parts`
    unsatisfiable,  // 416 with Content-Range: bytes */size
  };
  Kind kind = Kind::whole;
  std::vector<ByteSpan> parts;  // in the order asked; overlapping and touching ones joined
};
// What a representation of `size` bytes answers. Ranges that begin behind its end are left out; if
// none is left, it is unsatisfiable. More than two overlapping ranges, or parts that together are
// not shorter than the whole, are answered with the whole (§14.2, §17.15).
[[nodiscard]] RangeAnswer answer_range(const std::vector<RangeSpec>& ranges, std::uint64_t size);

// Whether a request's Range counts: there is no If-Range, or it names exactly the stored response,
// by a strong ETag, or by a Last-Modified that is a strong validator (§13.1.5).
[[nodiscard]] bool range_applies(HeaderFields request, HeaderFields stored) noexcept;

// Whether the bytes of two responses, of which one at least is a 206, may be joined: they carry the
// same strong validator (§15.3.7.3).
[[nodiscard]] bool may_combine(HeaderFields stored, HeaderFields partial) noexcept;

// Content-Range: bytes first-last/size, or with `*` for an unknown size.
struct ContentRange {
  ByteSpan span;
  std::optional<std::uint64_t> size;

  bool operator==(const ContentRange&) const = default;
};
// Nothing for another unit, an unsatisfied range, or one that contradicts itself (§14.4).
[[nodiscard]] std::optional<ContentRange> parse_content_range(std::string_view value) noexcept;
// "bytes 0-99/1234"
[[nodiscard]] std::string format_content_range(const ByteSpan& span, std::uint64_t size);
// "bytes */1234"
[[nodiscard]] std::string format_unsatisfied_range(std::uint64_t size);

// What stands before a part's bytes in multipart/byteranges, and behind the last one (§14.6). An
// empty content type is left out.
[[nodiscard]] std::string multipart_part_head(std::string_view boundary,
                                              std::string_view content_type, const ByteSpan& span,
                                              std::uint64_t size);
[[nodiscard]] std::string multipart_end(std::string_view boundary);

// Which bytes of a response are stored: spans in order, none touching the next.
class StoredSpans {
 public:
  void add(ByteSpan span);
  [[nodiscard]] bool covers(const ByteSpan& span) const noexcept;
  // What of `span` is not stored, in order.
  [[nodiscard]] std::vector<ByteSpan> missing(const ByteSpan& span) const;
  [[nodiscard]] const std::vector<ByteSpan>& spans() const noexcept { return spans_; }

 private:
  std::vector<ByteSpan> spans_;
};

// The value of a Range field that asks for these spans of `size` bytes; one that ends at the end is
// left open: "bytes=5-". REQUIRES: not empty.
[[nodiscard]] std::string format_range(const std::vector<ByteSpan>& spans, std::uint64_t size);

}  // namespace tyaprover::cache
