// Numbers as the expositions write them.
//
// Pure functions, thread-safe.
#pragma once

#include <cstdint>
#include <string>

namespace tyaprover::metrics::detail {

void append_integer(std::string& out, std::uint64_t value);
// The shortest text that reads back equal; whole numbers below 10^18 without exponent; `+Inf`,
// `-Inf`, `NaN`.
void append_number(std::string& out, double value);
// The same with `.0` behind whole numbers: how OpenMetrics writes bounds and quantiles, which are
// compared as text.
void append_canonical(std::string& out, double value);

}  // namespace tyaprover::metrics::detail
