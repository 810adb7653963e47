// What a collector answers: a partial success in protobuf or JSON, and Retry-After.
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string_view>

#include "fuzz/require.h"
#include "tyaprover/trace/encode_otlp.h"
#include "tyaprover/trace/http_exporter.h"

namespace tyaprover::trace {
namespace {

void check(std::string_view body) {
  if (const auto partial = decode_otlp_response_protobuf(body)) {
    require(partial->rejected_spans >> 63 == 0, "a count is not negative");
    require(partial->message.size() <= body.size(), "a message is part of the body");
  }
  require(scan_otlp_response_json(body).message.size() <= body.size(),
          "a message is part of the body");
  const std::chrono::system_clock::time_point now{std::chrono::seconds(784111777)};
  if (const auto wait = parse_retry_after(body, now)) {
    require(*wait >= Nanos(0) && *wait <= std::chrono::hours(24),
            "a wait is between none and a day");
  }
}

}  // namespace
}  // namespace tyaprover::trace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto copy = std::make_unique<char[]>(size);
  if (size > 0) std::memcpy(copy.get(), data, size);
  tyaprover::trace::check({copy.get(), size});
  return 0;
}
