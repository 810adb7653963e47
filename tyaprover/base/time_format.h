// Wall-clock time as text: for log lines (RFC 3339) and for HTTP fields (RFC 9110 §5.6.7).
//
// Pure functions, thread-safe, free of locales and time zones: always UTC. The buffers get no
// terminator. Callers that format many times a second keep the text and rewrite it when the second
// changes.
//
//   char date[kImfFixdateSize];
//   write_imf_fixdate(date, std::chrono::system_clock::now());   // Sun, 06 Nov 1994 08:49:37 GMT
#pragma once

#include <chrono>
#include <cstddef>

namespace tyaprover {

inline constexpr std::size_t kRfc3339Size = 24;
inline constexpr std::size_t kImfFixdateSize = 29;

// 1994-11-06T08:49:37.123Z; the rest of the millisecond is cut off.
void write_rfc3339(char (&out)[kRfc3339Size], std::chrono::system_clock::time_point time) noexcept;

// Sun, 06 Nov 1994 08:49:37 GMT
void write_imf_fixdate(char (&out)[kImfFixdateSize],
                       std::chrono::system_clock::time_point time) noexcept;

}  // namespace tyaprover
