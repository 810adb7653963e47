// HTTP dates: what is read is the same time after it was written anew, in any case, and only the
// exact forms are read.
#include "tyaprover/cache/http_date.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "fuzz/require.h"
#include "tyaprover/base/text.h"
#include "tyaprover/base/time_format.h"

namespace tyaprover::cache {

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  for (const std::int64_t now : {std::int64_t{0}, std::int64_t{1'795'521'600}}) {
    const WallSeconds at{std::chrono::seconds(now)};
    const auto date = parse_http_date(input, at);
    require(parse_http_date(to_lower(input), at) == date, "case does not matter");
    if (!date) continue;
    require(input.size() >= 24, "no form is shorter");
    require(!parse_http_date(input.substr(1), at) || input.size() > 30, "no byte is too many");
    require(!parse_http_date(std::string(input) + " ", at), "nothing may follow");
    // What the system's clock can hold: 292 years around 1970.
    if (std::chrono::abs(date->time_since_epoch()) < std::chrono::years(292)) {
      char text[kImfFixdateSize];
      write_imf_fixdate(text, *date);
      const auto again = parse_http_date({text, sizeof text}, at);
      require(again == date, "writing and reading agree");
    }
    const auto ahead = *date - at;
    if (input.find('-') != std::string_view::npos) {
      require(ahead <= std::chrono::hours(24 * 365 * 50 + 24 * 13), "two digits lie near now");
    }
  }
  return 0;
}

}  // namespace tyaprover::cache
