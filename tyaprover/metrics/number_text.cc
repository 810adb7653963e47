#include "tyaprover/metrics/number_text.h"

#include <charconv>
#include <cmath>

namespace tyaprover::metrics::detail {
namespace {

constexpr std::size_t kLongest = 32;  // of a 64-bit integer or the shortest text of a double

template <class Number>
void append(std::string& out, Number value) {
  char text[kLongest];
  const auto end = std::to_chars(text, text + kLongest, value);
  out.append(text, end.ptr);
}

}  // namespace

void append_integer(std::string& out, std::uint64_t value) {
  append(out, value);
}

void append_number(std::string& out, double value) {
  if (std::isnan(value)) {
    out += "NaN";
  } else if (std::isinf(value)) {
    out += value > 0 ? "+Inf" : "-Inf";
  } else if (value == std::trunc(value) && std::fabs(value) < 1e18 &&
             !(value == 0 && std::signbit(value))) {
    append(out, static_cast<std::int64_t>(value));
  } else {
    append(out, value);
  }
}

void append_canonical(std::string& out, double value) {
  const std::size_t begin = out.size();
  append_number(out, value);
  if (out.find_first_of(".eIN", begin) == std::string::npos) out += ".0";
}

}  // namespace tyaprover::metrics::detail
