#include "tyaprover/base/parse.h"

#include <charconv>
#include <cmath>
#include <limits>
#include <optional>
#include <span>
#include <system_error>

namespace tyaprover {
namespace {

// A fraction times a scale needs up to 107 bits.
__extension__ using Wide = unsigned __int128;

struct Unit {
  std::string_view name;
  std::uint64_t scale;
};

// Smallest first: of two equally good texts the formatters take the one with the larger unit.
constexpr Unit kDurationUnits[] = {
    {"ns", 1},
    {"us", 1'000},
    {"ms", 1'000'000},
    {"s", 1'000'000'000},
    {"m", 60'000'000'000},
    {"h", 3'600'000'000'000},
    {"d", 86'400'000'000'000},
};
constexpr Unit kSizeUnits[] = {
    {"B", 1},
    {"KB", 1'000},
    {"KiB", 1ull << 10},
    {"MB", 1'000'000},
    {"MiB", 1ull << 20},
    {"GB", 1'000'000'000},
    {"GiB", 1ull << 30},
};

constexpr std::size_t kMaxFractionDigits = 18;

constexpr bool is_digit(char c) noexcept {
  return c >= '0' && c <= '9';
}
constexpr bool is_letter(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

template <class T>
Result<T, ParseError> parse_integer(std::string_view text) noexcept {
  if (text.empty()) return err(ParseError::empty);
  if (text[0] == '-' && !std::is_signed_v<T>) {
    return err(text.size() > 1 && is_digit(text[1]) ? ParseError::negative
                                                    : ParseError::not_a_number);
  }
  T value{};
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code == std::errc::invalid_argument) return err(ParseError::not_a_number);
  if (end != text.data() + text.size()) return err(ParseError::trailing_text);
  if (code == std::errc::result_out_of_range) return err(ParseError::out_of_range);
  return value;
}

// `digits (. digits)? unit` as a whole number of the smallest unit, at most `max`.
Result<std::uint64_t, ParseError> parse_quantity(std::string_view text, std::span<const Unit> units,
                                                 std::uint64_t max, bool plain_zero) noexcept {
  if (text.empty()) return err(ParseError::empty);
  if (text[0] == '-') {
    return err(text.size() > 1 && is_digit(text[1]) ? ParseError::negative
                                                    : ParseError::not_a_number);
  }
  if (!is_digit(text[0])) return err(ParseError::not_a_number);
  if (plain_zero && text == "0") return std::uint64_t{0};

  std::size_t at = 0;
  Wide whole = 0;
  bool non_zero = false;
  bool overflow = false;
  for (; at < text.size() && is_digit(text[at]); ++at) {
    const unsigned digit = static_cast<unsigned>(text[at] - '0');
    whole = whole * 10 + digit;
    non_zero = non_zero || digit != 0;
    if (whole > std::numeric_limits<std::uint64_t>::max()) {
      overflow = true;
      whole = 0;
    }
  }
  Wide fraction = 0;
  Wide denominator = 1;
  if (at < text.size() && text[at] == '.') {
    const std::size_t first = ++at;
    for (; at < text.size() && is_digit(text[at]); ++at) {
      const unsigned digit = static_cast<unsigned>(text[at] - '0');
      non_zero = non_zero || digit != 0;
      if (at - first >= kMaxFractionDigits) continue;  // below any unit's resolution
      fraction = fraction * 10 + digit;
      denominator *= 10;
    }
    if (at == first) return err(ParseError::not_a_number);
  }

  std::size_t end = at;
  while (end < text.size() && is_letter(text[end])) ++end;
  const std::string_view name = text.substr(at, end - at);
  if (name.empty()) {
    return err(at == text.size() ? ParseError::missing_unit : ParseError::trailing_text);
  }
  const Unit* unit = nullptr;
  for (const Unit& candidate : units) {
    if (candidate.name == name) unit = &candidate;
  }
  if (unit == nullptr) return err(ParseError::unknown_unit);
  if (end != text.size()) return err(ParseError::trailing_text);
  if (overflow) return err(ParseError::out_of_range);

  const Wide total =
      whole * unit->scale + (fraction * unit->scale * 2 + denominator) / (denominator * 2);
  if (total > max) return err(ParseError::out_of_range);
  if (total == 0 && non_zero) return err(ParseError::too_small);
  return static_cast<std::uint64_t>(total);
}

// The value in this unit, if its decimal fraction ends and it is at least one unit.
std::optional<std::string> in_unit(std::uint64_t value, const Unit& unit) {
  const std::uint64_t whole = value / unit.scale;
  if (whole == 0 && value != 0) return std::nullopt;
  std::string text = std::to_string(whole);
  std::uint64_t rest = value % unit.scale;
  if (rest != 0) text += '.';
  for (std::size_t digits = 0; rest != 0; ++digits) {
    if (digits == kMaxFractionDigits) return std::nullopt;
    rest *= 10;  // below 8.64e14
    text += static_cast<char>('0' + rest / unit.scale);
    rest %= unit.scale;
  }
  return text.append(unit.name);
}

std::string format_quantity(std::uint64_t value, std::span<const Unit> units) {
  std::string best;
  for (const Unit& unit : units) {
    const std::optional<std::string> text = in_unit(value, unit);
    if (!text) continue;
    const bool whole = text->find('.') == std::string::npos;
    if (best.empty() || text->size() < best.size() || (text->size() == best.size() && whole)) {
      best = *text;
    }
  }
  return best;
}

}  // namespace

std::string_view to_string(ParseError error) noexcept {
  switch (error) {
    case ParseError::empty:
      return "is empty";
    case ParseError::not_a_number:
      return "is not a number";
    case ParseError::negative:
      return "must not be negative";
    case ParseError::missing_unit:
      return "needs a unit";
    case ParseError::unknown_unit:
      return "has an unknown unit";
    case ParseError::out_of_range:
      return "is out of range";
    case ParseError::too_small:
      return "is not zero but too small to be told from it";
    case ParseError::trailing_text:
      return "has other text behind the value";
  }
  return "is wrong";
}

Result<std::uint64_t, ParseError> parse_u64(std::string_view text) noexcept {
  return parse_integer<std::uint64_t>(text);
}

Result<std::int64_t, ParseError> parse_i64(std::string_view text) noexcept {
  return parse_integer<std::int64_t>(text);
}

Result<double, ParseError> parse_double(std::string_view text) noexcept {
  if (text.empty()) return err(ParseError::empty);
  // from_chars takes `inf`, `nan`, `.5` and `5.` too, which are typing errors here.
  std::size_t at = text[0] == '-' ? 1 : 0;
  if (at == text.size() || !is_digit(text[at])) return err(ParseError::not_a_number);
  while (at < text.size() && is_digit(text[at])) ++at;
  if (at < text.size() && text[at] == '.' && (at + 1 == text.size() || !is_digit(text[at + 1]))) {
    return err(ParseError::not_a_number);
  }
  double value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (end != text.data() + text.size()) return err(ParseError::trailing_text);
  if (code != std::errc{} || !std::isfinite(value)) return err(ParseError::out_of_range);
  return value;
}

Result<Nanos, ParseError> parse_duration(std::string_view text) noexcept {
  const auto value =
      parse_quantity(text, kDurationUnits, std::numeric_limits<std::int64_t>::max(), false);
  if (!value) return err(value.error());
  return Nanos(static_cast<std::int64_t>(*value));
}

Result<std::uint64_t, ParseError> parse_size(std::string_view text) noexcept {
  return parse_quantity(text, kSizeUnits, std::numeric_limits<std::uint64_t>::max(), true);
}

std::string format_duration(Nanos duration) {
  if (duration == Nanos::zero()) return "0s";
  const bool negative = duration < Nanos::zero();
  // Negated as unsigned, so that the smallest value is not undefined.
  const std::uint64_t count = static_cast<std::uint64_t>(duration.count());
  std::string text = format_quantity(negative ? 0 - count : count, kDurationUnits);
  return negative ? "-" + text : text;
}

std::string format_size(std::uint64_t bytes) {
  return bytes == 0 ? "0B" : format_quantity(bytes, kSizeUnits);
}

std::optional<Weight> parse_weight(std::string_view text) noexcept {
  constexpr unsigned kFull = 1000;
  if (text.empty() || text.size() > 5 || (text[0] != '0' && text[0] != '1')) return std::nullopt;
  if (text.size() > 1 && text[1] != '.') return std::nullopt;
  unsigned weight = text[0] == '1' ? kFull : 0;
  unsigned scale = 100;
  for (const char c : text.substr(std::min<std::size_t>(2, text.size()))) {
    if (c < '0' || c > '9') return std::nullopt;
    weight += static_cast<unsigned>(c - '0') * scale;
    scale /= 10;
  }
  if (weight > kFull) return std::nullopt;
  return static_cast<Weight>(weight);
}

std::string format_double(double value) {
  char digits[32];
  return {digits, std::to_chars(digits, digits + sizeof(digits), value).ptr};
}

}  // namespace tyaprover
