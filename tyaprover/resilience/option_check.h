// OptionCheck: the rules that options must keep, each named with its field and the value it has.
//
// Confined to one thread. It remembers the first rule that is broken. For the authors of options
// structs in this room.
//
//   return OptionCheck().positive("rolling_window", rolling_window).problem();
//   // "rolling_window is 0s: it must be more than 0"
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "tyaprover/base/clock.h"

namespace tyaprover::resilience {

class OptionCheck {
 public:
  OptionCheck& positive(std::string_view field, Nanos value);
  OptionCheck& not_negative(std::string_view field, Nanos value);
  OptionCheck& at_least(std::string_view field, Nanos value, Nanos least);
  OptionCheck& at_most(std::string_view field, Nanos value, Nanos most);
  // A NaN or an infinity breaks these.
  OptionCheck& at_least(std::string_view field, double value, double least);
  OptionCheck& between(std::string_view field, double value, double least, double most);
  // 0 < value ≤ 1.
  OptionCheck& fraction(std::string_view field, double value);
  OptionCheck& not_empty(std::string_view field, std::string_view value);
  // A problem of a part, as its own validate() words it.
  OptionCheck& part(std::string_view field, const std::optional<std::string>& problem);

  // Any other rule: whether it holds, and what it asks for.
  OptionCheck& rule(bool holds, std::string_view field, std::string_view value,
                    std::string_view must);

  // The first broken rule: field, value and what it must be.
  [[nodiscard]] std::optional<std::string> problem() const { return problem_; }
  // Throws std::invalid_argument with `what` before the problem, if there is one.
  static void require(std::string_view what, const std::optional<std::string>& problem);

 private:
  std::optional<std::string> problem_;
};

}  // namespace tyaprover::resilience
