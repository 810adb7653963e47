// Strict readers of numbers, durations and sizes, and the writers that match them.
//
// Pure functions, thread-safe. The whole text must be the value: no spaces, no sign `+`, nothing
// behind it. Configuration and headers are read by these, so a text that people could understand in
// two ways is an error and never a guess.
//
//   Result<Nanos, ParseError> timeout = parse_duration("1.5s");
//   if (!timeout) complain(to_string(timeout.error()));   // "needs a unit: …"
//   format_duration(*timeout);                            // "1.5s"
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "tyaprover/base/clock.h"
#include "tyaprover/base/result.h"

namespace tyaprover {

enum class ParseError {
  empty,
  not_a_number,
  negative,
  missing_unit,
  unknown_unit,
  out_of_range,
  too_small,
  trailing_text,
};

// One clause that completes "this value …", without a full stop.
[[nodiscard]] std::string_view to_string(ParseError error) noexcept;

// Decimal digits only.
[[nodiscard]] Result<std::uint64_t, ParseError> parse_u64(std::string_view text) noexcept;
// Decimal digits with an optional `-`.
[[nodiscard]] Result<std::int64_t, ParseError> parse_i64(std::string_view text) noexcept;
// `-`? digits (`.` digits)? (e digits)?; always finite.
[[nodiscard]] Result<double, ParseError> parse_double(std::string_view text) noexcept;

// digits (`.` digits)? unit, unit = ns us ms s m h d. Rounded to the nearest nanosecond; what is
// not zero but would become zero is an error (too_small), as is what does not fit (out_of_range).
[[nodiscard]] Result<Nanos, ParseError> parse_duration(std::string_view text) noexcept;
// digits (`.` digits)? unit, unit = B KB MB GB (powers of 1000) KiB MiB GiB (powers of 1024), or a
// plain 0. Rounded to the nearest byte, with the same errors.
[[nodiscard]] Result<std::uint64_t, ParseError> parse_size(std::string_view text) noexcept;

// A weight of a list that negotiates (RFC 9110 §12.4.2) in thousandths, 0 to 1000: "1", "0.5",
// "0.123", "1.000"; nothing for anything else.
using Weight = std::uint16_t;
[[nodiscard]] std::optional<Weight> parse_weight(std::string_view text) noexcept;

// The shortest text without a leading `0.` that its parser reads back as the same value; a whole
// number before a fraction of the same length. A negative duration (which no parser takes) is
// written with a `-`.
[[nodiscard]] std::string format_duration(Nanos duration);
[[nodiscard]] std::string format_size(std::uint64_t bytes);
[[nodiscard]] std::string format_double(double value);

}  // namespace tyaprover
