// HTTP dates (RFC 9110 §5.6.7): reads all three forms.
//
// Pure function, thread-safe, no allocation, no locale. base/time_format.h writes the preferred
// one.
//
//   if (const auto date = parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT", now)) use(*date);
#pragma once

#include <chrono>
#include <optional>
#include <string_view>

namespace tyaprover::cache {

using WallSeconds = std::chrono::sys_seconds;

// IMF-fixdate, RFC 850 or asctime; nothing else, and no other zone than GMT. Names of days, months
// and the zone in any case (RFC 9111 §4.2); the day of the week is not compared with the date. A
// two-digit year that would lie more than 50 years after `now` is of the century before. A leap
// second counts as the second after it.
[[nodiscard]] std::optional<WallSeconds> parse_http_date(std::string_view text,
                                                         WallSeconds now) noexcept;

}  // namespace tyaprover::cache
