#include "tyaprover/base/time_format.h"

#include <cstring>

namespace tyaprover {
namespace {

using std::chrono::days;
using std::chrono::floor;
using std::chrono::milliseconds;

constexpr char kWeekdays[] = "SunMonTueWedThuFriSat";
constexpr char kMonths[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

struct Fields {
  unsigned year, month, day, weekday, hour, minute, second, millisecond;
};

Fields fields_of(std::chrono::system_clock::time_point time) noexcept {
  const auto at = floor<milliseconds>(time);
  const auto day = floor<days>(at);
  const std::chrono::year_month_day date(day);
  const auto in_day = static_cast<unsigned>((at - day).count());
  return {.year = static_cast<unsigned>(static_cast<int>(date.year())),
          .month = static_cast<unsigned>(date.month()),
          .day = static_cast<unsigned>(date.day()),
          .weekday = std::chrono::weekday(day).c_encoding(),
          .hour = in_day / 3'600'000,
          .minute = in_day / 60'000 % 60,
          .second = in_day / 1'000 % 60,
          .millisecond = in_day % 1'000};
}

void put2(char* out, unsigned value) noexcept {
  out[0] = static_cast<char>('0' + value / 10 % 10);
  out[1] = static_cast<char>('0' + value % 10);
}

}  // namespace

void write_rfc3339(char (&out)[kRfc3339Size], std::chrono::system_clock::time_point time) noexcept {
  const Fields f = fields_of(time);
  std::memcpy(out, "0000-00-00T00:00:00.000Z", kRfc3339Size);
  put2(out, f.year / 100);
  put2(out + 2, f.year);
  put2(out + 5, f.month);
  put2(out + 8, f.day);
  put2(out + 11, f.hour);
  put2(out + 14, f.minute);
  put2(out + 17, f.second);
  put2(out + 20, f.millisecond / 10);
  out[22] = static_cast<char>('0' + f.millisecond % 10);
}

void write_imf_fixdate(char (&out)[kImfFixdateSize],
                       std::chrono::system_clock::time_point time) noexcept {
  const Fields f = fields_of(time);
  std::memcpy(out, "Sun, 00 Jan 0000 00:00:00 GMT", kImfFixdateSize);
  std::memcpy(out, kWeekdays + f.weekday * 3, 3);
  put2(out + 5, f.day);
  std::memcpy(out + 8, kMonths + (f.month - 1) * 3, 3);
  put2(out + 12, f.year / 100);
  put2(out + 14, f.year);
  put2(out + 17, f.hour);
  put2(out + 20, f.minute);
  put2(out + 23, f.second);
}

}  // namespace tyaprover
