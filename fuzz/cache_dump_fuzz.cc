// Cache dumps: what is read is the same after it was written anew, and an error lies in the text.
//
// Checksums keep a fuzzer out of the records, so the input is also taken as a list of records: it
// must survive being written and read.
#include <cstddef>
#include <cstdint>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "fuzz/require.h"
#include "tyaprover/base/text.h"
#include "tyaprover/cache/dump.h"

namespace tyaprover::cache {
namespace {

std::string written(const DumpContents& contents) {
  std::ostringstream out;
  DumpWriter writer(out, contents.written);
  for (const DumpRecord& record : contents.records) writer.write(record);
  require(*writer.finish() == contents.records.size(), "every record is counted");
  return out.str();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  if (const auto read = parse_dump(input)) {
    require(written(*read) == input, "a dump is written as it was read");
  } else {
    require(read.error().position <= size, "an error lies in the text");
  }

  DumpContents contents;
  contents.written = WallTime(Nanos(size));
  for (const std::string_view line : split(input, '\n')) {
    DumpRecord record;
    const std::size_t half = line.size() / 2;
    record.key = line.substr(0, half);
    record.value = line.substr(half);
    record.left = line.empty() ? kForever : Nanos(line.size());
    if (line.size() % 3 == 0) record.tags = {record.key, record.value};
    contents.records.push_back(std::move(record));
  }
  const std::string bytes = written(contents);
  const auto again = parse_dump(bytes);
  require(again.has_value(), "what was written is a dump");
  require(again->written == contents.written, "its time is kept");
  require(again->records.size() == contents.records.size(), "it has as many records");
  for (std::size_t i = 0; i < contents.records.size(); ++i) {
    const DumpRecord& a = contents.records[i];
    const DumpRecord& b = again->records[i];
    require(a.key == b.key && a.value == b.value && a.left == b.left && a.tags == b.tags,
            "a record is kept");
  }
  require(!parse_dump(std::string_view(bytes).substr(0, bytes.size() - 1)), "a cut is noticed");
  return 0;
}

}  // namespace tyaprover::cache
