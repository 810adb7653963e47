// Durations as people read them in logs: milliseconds with three decimals.
//
// Pure, thread-safe, no allocation.
//
//   MillisText text(std::chrono::microseconds(12345));   // text.view() == "12.345"
#pragma once

#include <array>
#include <string_view>

#include "tyaprover/base/clock.h"

namespace tyaprover::filters {

class MillisText {
 public:
  // Cut off to whole microseconds; negative durations (a clock that was set by hand) read 0.000.
  explicit MillisText(Nanos duration) noexcept;
  [[nodiscard]] std::string_view view() const noexcept { return {text_.data(), size_}; }

 private:
  std::array<char, 24> text_;
  std::size_t size_;
};

}  // namespace tyaprover::filters
