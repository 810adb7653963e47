#include "tyaprover/resilience/option_check.h"

#include <charconv>
#include <cmath>
#include <stdexcept>

#include "tyaprover/base/parse.h"

namespace tyaprover::resilience {
namespace {

std::string text_of(double value) {
  if (std::isnan(value)) return "NaN";
  char digits[32];
  return {digits, std::to_chars(digits, digits + sizeof digits, value).ptr};
}

}  // namespace

OptionCheck& OptionCheck::rule(bool holds, std::string_view field, std::string_view value,
                               std::string_view must) {
  if (!holds && !problem_) {
    problem_.emplace(field).append(" is ").append(value).append(": it must be ").append(must);
  }
  return *this;
}

OptionCheck& OptionCheck::positive(std::string_view field, Nanos value) {
  return rule(value > Nanos(0), field, format_duration(value), "more than 0");
}

OptionCheck& OptionCheck::not_negative(std::string_view field, Nanos value) {
  return rule(value >= Nanos(0), field, format_duration(value), "0 or more");
}

OptionCheck& OptionCheck::at_least(std::string_view field, Nanos value, Nanos least) {
  return rule(value >= least, field, format_duration(value), format_duration(least) + " or more");
}

OptionCheck& OptionCheck::at_most(std::string_view field, Nanos value, Nanos most) {
  return rule(value <= most, field, format_duration(value), format_duration(most) + " or less");
}

OptionCheck& OptionCheck::at_least(std::string_view field, double value, double least) {
  return rule(std::isfinite(value) && value >= least, field, text_of(value),
              text_of(least) + " or more");
}

OptionCheck& OptionCheck::between(std::string_view field, double value, double least, double most) {
  return rule(value >= least && value <= most, field, text_of(value),
              "between " + text_of(least) + " and " + text_of(most));
}

OptionCheck& OptionCheck::fraction(std::string_view field, double value) {
  return rule(value > 0 && value <= 1, field, text_of(value), "more than 0 and at most 1");
}

OptionCheck& OptionCheck::not_empty(std::string_view field, std::string_view value) {
  return rule(!value.empty(), field, "empty", "a name");
}

OptionCheck& OptionCheck::part(std::string_view field, const std::optional<std::string>& problem) {
  if (problem && !problem_) problem_.emplace(field).append(".").append(*problem);
  return *this;
}

void OptionCheck::require(std::string_view what, const std::optional<std::string>& problem) {
  if (problem) throw std::invalid_argument(std::string(what) + ": " + *problem);
}

}  // namespace tyaprover::resilience
