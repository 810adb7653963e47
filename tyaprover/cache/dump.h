// Dump: a cache's contents on a stream, to survive a restart.
//
// The format is versioned and every record and the whole carry a checksum; a stream that is damaged
// anywhere is refused with the position, and nothing of it is loaded. Lifetimes are kept by the
// wall clock: what expired in between is left out. Not for exchange: written and read by one
// machine's byte order.
//
//   std::ofstream out("cache.dump", std::ios::binary);
//   dump(cache, out, wall_now, [](const Blob& blob) { return blob.bytes; });
//   std::ifstream in("cache.dump", std::ios::binary);
//   auto loaded = load(cache, in, wall_now, [](std::string_view bytes) { return Blob(bytes); });
//   if (!loaded) complain(to_string(loaded.error().kind), loaded.error().position);
#pragma once

#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tyaprover/base/result.h"
#include "tyaprover/cache/cache.h"
#include "tyaprover/cache/freshness.h"

namespace tyaprover::cache {

struct DumpError {
  enum class Kind : std::uint8_t {
    not_a_dump,       // it does not begin like one
    unknown_version,  // of another release
    damaged,          // cut off, or a checksum is wrong
    refused_value,    // the decoder did not take a value
    write_failed,
  };
  Kind kind = Kind::damaged;
  std::uint64_t position = 0;  // bytes from the beginning
};
[[nodiscard]] std::string_view to_string(DumpError::Kind kind) noexcept;

// One entry as written.
struct DumpRecord {
  std::string key;
  std::string value;
  Nanos left = kForever;  // lifetime that was left at `written`
  std::vector<std::string> tags;
  std::uint64_t position = 0;  // where it began
};
struct DumpContents {
  WallTime written;
  std::vector<DumpRecord> records;
};

class DumpWriter {
 public:
  DumpWriter(std::ostream& out, WallTime now);
  void write(const DumpRecord& record);
  // The end, without which a dump is damaged. Number of records.
  Result<std::size_t, DumpError> finish();

 private:
  void put(std::string_view bytes);

  std::ostream& out_;
  std::uint64_t position_ = 0;
  std::uint64_t sum_ = 0;
  std::size_t records_ = 0;
};

// Reads a whole dump, checking everything before it returns anything.
[[nodiscard]] Result<DumpContents, DumpError> parse_dump(std::string_view bytes);
[[nodiscard]] std::string read_all(std::istream& in);

// Writes every fresh entry. `encode(value)` gives the bytes of a value. Number of entries.
template <class V, class E, class Encode>
Result<std::size_t, DumpError> dump(Cache<std::string, V, E>& cache, std::ostream& out,
                                    WallTime now, Encode&& encode) {
  DumpWriter writer(out, now);
  cache.for_each_fresh(
      [&](std::string_view key, const V& value, Nanos left, std::vector<std::string> tags) {
        writer.write({.key = std::string(key),
                      .value = std::string(encode(value)),
                      .left = left,
                      .tags = std::move(tags)});
      });
  return writer.finish();
}

// Sets what a dump holds and has not expired since. `decode(bytes)` gives std::optional<V>, or a V.
// Number of entries set.
template <class V, class E, class Decode>
Result<std::size_t, DumpError> load(Cache<std::string, V, E>& cache, std::istream& in, WallTime now,
                                    Decode&& decode) {
  auto contents = parse_dump(read_all(in));
  if (!contents) return err(contents.error());
  // A wall clock that went back does not make anything younger.
  const Nanos passed = std::max(Nanos(now - contents->written), Nanos(0));
  std::vector<std::pair<DumpRecord*, V>> decoded;
  for (DumpRecord& record : contents->records) {
    if (record.left != kForever && record.left <= passed) continue;
    std::optional<V> value = decode(std::string_view(record.value));
    if (!value) return err(DumpError{DumpError::Kind::refused_value, record.position});
    decoded.emplace_back(&record, *std::move(value));
  }
  for (auto& [record, value] : decoded) {
    const Nanos left = record->left == kForever ? kForever : record->left - passed;
    cache.set(record->key, std::move(value), {.ttl = left, .tags = std::move(record->tags)});
  }
  return decoded.size();
}

}  // namespace tyaprover::cache
