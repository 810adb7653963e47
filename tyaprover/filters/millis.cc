#include "tyaprover/filters/millis.h"

#include <algorithm>
#include <charconv>

namespace tyaprover::filters {

MillisText::MillisText(Nanos duration) noexcept {
  const auto micros = std::max<Nanos::rep>(duration.count() / 1000, 0);
  char* end = std::to_chars(text_.data(), text_.data() + text_.size(), micros / 1000).ptr;
  const auto fraction = static_cast<unsigned>(micros % 1000);
  *end++ = '.';
  *end++ = static_cast<char>('0' + fraction / 100);
  *end++ = static_cast<char>('0' + fraction / 10 % 10);
  *end++ = static_cast<char>('0' + fraction % 10);
  size_ = static_cast<std::size_t>(end - text_.data());
}

}  // namespace tyaprover::filters
