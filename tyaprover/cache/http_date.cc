#include "tyaprover/cache/http_date.h"

#include <array>

#include "tyaprover/base/text.h"

namespace tyaprover::cache {
namespace {

constexpr std::array<std::string_view, 7> kDays = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                                   "Thursday", "Friday", "Saturday"};
constexpr std::array<std::string_view, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                      "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

// Eats a text from the front; after the first thing that is not there, everything fails.
class Reader {
 public:
  explicit Reader(std::string_view text) noexcept : rest_(text) {}

  [[nodiscard]] bool ok() const noexcept { return ok_; }
  [[nodiscard]] bool at_end() const noexcept { return ok_ && rest_.empty(); }
  [[nodiscard]] char next() const noexcept { return rest_.empty() ? '\0' : rest_.front(); }

  void literal(std::string_view text) noexcept {
    ok_ = ok_ && rest_.size() >= text.size() && iequals(rest_.substr(0, text.size()), text);
    if (ok_) rest_.remove_prefix(text.size());
  }
  int number(std::size_t digits) noexcept {
    ok_ = ok_ && rest_.size() >= digits;
    int value = 0;
    for (std::size_t i = 0; ok_ && i < digits; ++i) {
      const char c = rest_[i];
      ok_ = c >= '0' && c <= '9';
      value = value * 10 + (c - '0');
    }
    if (ok_) rest_.remove_prefix(digits);
    return value;
  }
  // The number, from 1, of the name that stands here.
  template <std::size_t N>
  unsigned name(const std::array<std::string_view, N>& names, std::size_t length) noexcept {
    for (unsigned i = 0; i < N; ++i) {
      const std::string_view wanted = names[i].substr(0, length);
      if (rest_.size() < wanted.size() || !iequals(rest_.substr(0, wanted.size()), wanted)) {
        continue;
      }
      if (ok_) rest_.remove_prefix(wanted.size());
      return i + 1;
    }
    ok_ = false;
    return 0;
  }

 private:
  std::string_view rest_;
  bool ok_ = true;
};

struct Parts {
  int year = 0;
  unsigned month = 0;
  int day = 0;
  int hour = 0;
  int minute = 0;
  int second = 0;
};

void read_time(Reader& reader, Parts& parts) noexcept {
  parts.hour = reader.number(2);
  reader.literal(":");
  parts.minute = reader.number(2);
  reader.literal(":");
  parts.second = reader.number(2);
}

// Sun, 06 Nov 1994 08:49:37 GMT
bool read_imf_fixdate(std::string_view text, Parts& parts) noexcept {
  Reader reader(text);
  reader.name(kDays, 3);
  reader.literal(", ");
  parts.day = reader.number(2);
  reader.literal(" ");
  parts.month = reader.name(kMonths, 3);
  reader.literal(" ");
  parts.year = reader.number(4);
  reader.literal(" ");
  read_time(reader, parts);
  reader.literal(" GMT");
  return reader.at_end();
}

// Sunday, 06-Nov-94 08:49:37 GMT; the year is its last two digits.
bool read_rfc850(std::string_view text, Parts& parts) noexcept {
  Reader reader(text);
  reader.name(kDays, std::string_view::npos);
  reader.literal(", ");
  parts.day = reader.number(2);
  reader.literal("-");
  parts.month = reader.name(kMonths, 3);
  reader.literal("-");
  parts.year = reader.number(2);
  reader.literal(" ");
  read_time(reader, parts);
  reader.literal(" GMT");
  return reader.at_end();
}

// Sun Nov  6 08:49:37 1994
bool read_asctime(std::string_view text, Parts& parts) noexcept {
  Reader reader(text);
  reader.name(kDays, 3);
  reader.literal(" ");
  parts.month = reader.name(kMonths, 3);
  reader.literal(" ");
  if (reader.next() == ' ') {
    reader.literal(" ");
    parts.day = reader.number(1);
  } else {
    parts.day = reader.number(2);
  }
  reader.literal(" ");
  read_time(reader, parts);
  reader.literal(" ");
  parts.year = reader.number(4);
  return reader.at_end();
}

std::optional<WallSeconds> time_of(const Parts& parts) noexcept {
  using namespace std::chrono;  // NOLINT(google-build-using-namespace): calendar types
  const year_month_day date{year(parts.year), month(parts.month),
                            day(static_cast<unsigned>(parts.day))};
  if (!date.ok() || parts.hour > 23 || parts.minute > 59 || parts.second > 60) return std::nullopt;
  return sys_days(date) + hours(parts.hour) + minutes(parts.minute) + seconds(parts.second);
}

}  // namespace

std::optional<WallSeconds> parse_http_date(std::string_view text, WallSeconds now) noexcept {
  Parts parts;
  if (read_imf_fixdate(text, parts) || read_asctime(text, parts)) return time_of(parts);
  if (!read_rfc850(text, parts)) return std::nullopt;
  using std::chrono::floor;
  using std::chrono::years;
  const std::chrono::year_month_day today(floor<std::chrono::days>(now));
  parts.year += static_cast<int>(today.year()) / 100 * 100;
  // The date in the century of now, or the one after, that is not more than 50 years ahead.
  std::optional<WallSeconds> best;
  const int year = parts.year;
  for (const int candidate : {year - 100, year, year + 100}) {
    parts.year = candidate;
    const auto time = time_of(parts);
    const std::chrono::year_month_day limit_day = today + years(50);
    const auto limit = std::chrono::sys_days(limit_day.year() / limit_day.month() / 1) +
                       std::chrono::days(static_cast<unsigned>(today.day()) - 1) +
                       (now - floor<std::chrono::days>(now));
    if (time && *time <= limit) best = time;
  }
  return best;
}

}  // namespace tyaprover::cache
