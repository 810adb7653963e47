#include "tyaprover/cache/dump.h"

#include <cstring>
#include <istream>
#include <iterator>
#include <limits>
#include <ostream>

// dump    = magic version written record* end
// magic   = "TYACACHE", version = u32 1, written = i64 nanoseconds since 1970
// record  = u32 body length (not 2^32 - 1), body, u64 checksum of the body
// body    = i64 lifetime left, text key, text value, u32 number of tags, text…
// text    = u32 length, bytes
// end     = u32 2^32 - 1, u64 number of records, u64 checksum over all checksums and `written`

namespace tyaprover::cache {
namespace {

constexpr std::string_view kMagic = "TYACACHE";
constexpr std::uint32_t kVersion = 1;
constexpr std::uint32_t kEnd = std::numeric_limits<std::uint32_t>::max();
constexpr std::uint64_t kChecksumSeed = 0x7479617072766572;

template <class T>
void append(std::string& out, T number) {
  char bytes[sizeof number];
  std::memcpy(bytes, &number, sizeof number);
  out.append(bytes, sizeof number);
}
void append_text(std::string& out, std::string_view text) {
  append(out, static_cast<std::uint32_t>(text.size()));
  out += text;
}

// Takes pieces from the front. After the first that is not there nothing is.
class Reader {
 public:
  explicit Reader(std::string_view bytes) noexcept : bytes_(bytes) {}

  [[nodiscard]] std::size_t position() const noexcept { return at_; }
  [[nodiscard]] bool ok() const noexcept { return ok_; }
  [[nodiscard]] bool at_end() const noexcept { return ok_ && at_ == bytes_.size(); }

  std::string_view take(std::size_t size) noexcept {
    ok_ = ok_ && size <= bytes_.size() - at_;
    if (!ok_) return {};
    at_ += size;
    return bytes_.substr(at_ - size, size);
  }
  template <class T>
  T number() noexcept {
    const std::string_view bytes = take(sizeof(T));
    return ok_ ? detail::load<T>(bytes.data()) : T{};
  }
  std::string_view text() noexcept { return take(number<std::uint32_t>()); }

 private:
  std::string_view bytes_;
  std::size_t at_ = 0;
  bool ok_ = true;
};

bool parse_body(std::string_view body, DumpRecord& record) {
  Reader reader(body);
  record.left = Nanos(reader.number<std::int64_t>());
  record.key = reader.text();
  record.value = reader.text();
  const auto tags = reader.number<std::uint32_t>();
  for (std::uint32_t i = 0; i < tags && reader.ok(); ++i) record.tags.emplace_back(reader.text());
  return reader.at_end() && record.left > Nanos(0);
}

std::uint64_t add(std::uint64_t sum, std::uint64_t checksum) noexcept {
  return detail::fold_multiply(sum ^ detail::kMix1, checksum ^ detail::kMix2);
}

}  // namespace

std::string_view to_string(DumpError::Kind kind) noexcept {
  switch (kind) {
    case DumpError::Kind::not_a_dump:
      return "is not a cache dump";
    case DumpError::Kind::unknown_version:
      return "is a cache dump of another version";
    case DumpError::Kind::damaged:
      return "is damaged";
    case DumpError::Kind::refused_value:
      return "holds a value that cannot be read";
    case DumpError::Kind::write_failed:
      return "could not be written";
  }
  return "is wrong";
}

DumpWriter::DumpWriter(std::ostream& out, WallTime now) : out_(out) {
  std::string head(kMagic);
  append(head, kVersion);
  append(head, static_cast<std::int64_t>(now.time_since_epoch().count()));
  put(head);
  sum_ = add(sum_, static_cast<std::uint64_t>(now.time_since_epoch().count()));
}

void DumpWriter::put(std::string_view bytes) {
  out_.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  position_ += bytes.size();
}

void DumpWriter::write(const DumpRecord& record) {
  constexpr std::size_t kMost = std::size_t{1} << 31;
  if (record.key.size() + record.value.size() > kMost) return;  // its lengths do not fit
  std::string body;
  append(body, static_cast<std::int64_t>(record.left.count()));
  append_text(body, record.key);
  append_text(body, record.value);
  append(body, static_cast<std::uint32_t>(record.tags.size()));
  for (const std::string& tag : record.tags) append_text(body, tag);
  const std::uint64_t checksum = hash_bytes(body, kChecksumSeed);
  std::string whole;
  append_text(whole, body);
  append(whole, checksum);
  put(whole);
  sum_ = add(sum_, checksum);
  ++records_;
}

Result<std::size_t, DumpError> DumpWriter::finish() {
  std::string end;
  append(end, kEnd);
  append(end, static_cast<std::uint64_t>(records_));
  append(end, sum_);
  put(end);
  out_.flush();
  if (!out_) return err(DumpError{DumpError::Kind::write_failed, position_});
  return records_;
}

Result<DumpContents, DumpError> parse_dump(std::string_view bytes) {
  using Kind = DumpError::Kind;
  Reader reader(bytes);
  if (reader.take(kMagic.size()) != kMagic) return err(DumpError{Kind::not_a_dump, 0});
  if (reader.number<std::uint32_t>() != kVersion) {
    return err(DumpError{reader.ok() ? Kind::unknown_version : Kind::damaged, kMagic.size()});
  }
  DumpContents contents;
  const auto written = reader.number<std::int64_t>();
  contents.written = WallTime(Nanos(written));
  std::uint64_t sum = add(0, static_cast<std::uint64_t>(written));
  while (true) {
    const std::uint64_t position = reader.position();
    const auto length = reader.number<std::uint32_t>();
    if (!reader.ok()) return err(DumpError{Kind::damaged, position});
    if (length == kEnd) {
      const auto records = reader.number<std::uint64_t>();
      const auto expected = reader.number<std::uint64_t>();
      if (!reader.at_end() || records != contents.records.size() || expected != sum) {
        return err(DumpError{Kind::damaged, position});
      }
      return contents;
    }
    const std::string_view body = reader.take(length);
    const auto checksum = reader.number<std::uint64_t>();
    DumpRecord record;
    record.position = position;
    if (!reader.ok() || checksum != hash_bytes(body, kChecksumSeed) || !parse_body(body, record)) {
      return err(DumpError{Kind::damaged, position});
    }
    sum = add(sum, checksum);
    contents.records.push_back(std::move(record));
  }
}

std::string read_all(std::istream& in) {
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

}  // namespace tyaprover::cache
