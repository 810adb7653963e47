#include "tyaprover/filters/stored_bytes.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

namespace tyaprover::filters {
namespace {

// Numbers in the machine's own order, texts behind their length.
class Packer {
 public:
  void number(std::int64_t value) {
    char raw[sizeof value];
    std::memcpy(raw, &value, sizeof value);
    bytes_.append(raw, sizeof raw);
  }
  void text(std::string_view value) {
    number(static_cast<std::int64_t>(value.size()));
    bytes_ += value;
  }
  void window(const std::optional<Nanos>& value) { number(value ? value->count() : -1); }
  [[nodiscard]] std::string take() { return std::move(bytes_); }

 private:
  std::string bytes_;
};

// After the first thing that is missing everything reads as empty, and good() is false.
class Unpacker {
 public:
  explicit Unpacker(std::string_view bytes) : rest_(bytes) {}

  std::int64_t number() {
    std::int64_t value = 0;
    const std::string_view raw = take(sizeof value);
    if (!raw.empty()) std::memcpy(&value, raw.data(), sizeof value);
    return value;
  }
  // Of things that take a byte at least.
  std::size_t count() {
    const std::int64_t value = number();
    if (value < 0 || static_cast<std::uint64_t>(value) > rest_.size()) good_ = false;
    return good_ ? static_cast<std::size_t>(value) : 0;
  }
  std::string_view text() { return take(count()); }
  bool flag() { return number() != 0; }
  std::optional<Nanos> window() {
    const std::int64_t value = number();
    return value < 0 ? std::nullopt : std::optional(Nanos(value));
  }
  [[nodiscard]] bool good() const noexcept { return good_; }
  [[nodiscard]] bool ended() const noexcept { return good_ && rest_.empty(); }

 private:
  std::string_view take(std::size_t size) {
    if (!good_ || size > rest_.size()) {
      good_ = false;
      return {};
    }
    const std::string_view taken = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return taken;
  }

  std::string_view rest_;
  bool good_ = true;
};

void pack(Packer& out, const StoredResponse& stored, TimePoint now, cache::WallTime wall) {
  const StoredHead& head = *stored.head;
  const cache::Freshness& f = head.freshness;
  out.number(head.status);
  out.number(static_cast<std::int64_t>(head.fields.size()));
  for (const http::Field& field : head.fields) {
    out.text(field.name);
    out.text(field.value);
  }
  out.text(head.variant.text());
  out.text(head.variant.content_language());
  out.number(head.by_coding ? 1 : 0);
  out.number(static_cast<std::int64_t>(head.coding));
  out.number(static_cast<std::int64_t>(f.source));
  out.number(f.lifetime.count());
  // When it would have been made if it had always been stored.
  out.number((wall - cache::current_age(f, head.stored, now)).time_since_epoch().count());
  out.window(f.stale_while_revalidate);
  out.window(f.stale_if_error);
  out.number(f.always_validate ? 1 : 0);
  out.number(f.never_stale ? 1 : 0);
  out.number(head.received.time_since_epoch().count());
  out.number(head.for_authorized ? 1 : 0);
  out.number(head.expired_by_hand.load(std::memory_order_relaxed) ? 1 : 0);
  out.number(static_cast<std::int64_t>(head.tags.size()));
  for (const std::string& tag : head.tags) out.text(tag);
  out.text(stored.body());
}

StoredResponse unpack(Unpacker& in, TimePoint now, cache::WallTime wall) {
  const auto status = static_cast<int>(in.number());
  std::vector<cache::HeaderField> fields(in.count());
  for (cache::HeaderField& field : fields) {
    field.name = in.text();
    field.value = in.text();
  }
  auto head = std::make_shared<StoredHead>(status, fields);
  std::string text(in.text());
  std::string language(in.text());
  head->variant =
      cache::VariantKey::restore(cache::VaryNames(fields), std::move(text), std::move(language));
  head->by_coding = in.flag();
  head->coding = static_cast<Coding>(std::clamp<std::int64_t>(in.number(), 0, kCodings - 1));
  cache::Freshness& f = head->freshness;
  f.source = static_cast<cache::LifetimeSource>(
      std::clamp<std::int64_t>(in.number(), 0, static_cast<int>(cache::LifetimeSource::none)));
  f.lifetime = Nanos(in.number());
  const cache::WallTime made{Nanos(in.number())};
  f.initial_age = std::max(Nanos(wall - made), Nanos(0));
  f.stale_while_revalidate = in.window();
  f.stale_if_error = in.window();
  f.always_validate = in.flag();
  f.never_stale = in.flag();
  head->received = cache::WallTime(Nanos(in.number()));
  head->stored = now;
  head->for_authorized = in.flag();
  head->expired_by_hand.store(in.flag(), std::memory_order_relaxed);
  head->tags.resize(in.count());
  for (std::string& tag : head->tags) tag = in.text();
  const std::string_view body = in.text();
  StoredBytes bytes;
  if (!body.empty()) {
    auto copy = std::make_shared_for_overwrite<char[]>(body.size());
    std::memcpy(copy.get(), body.data(), body.size());
    bytes = std::move(copy);
  }
  return {std::move(head), std::move(bytes), body.size()};
}

}  // namespace

std::string encode(const StoredVariants& stored, TimePoint now, cache::WallTime wall) {
  Packer out;
  out.text(stored.url);
  out.number(static_cast<std::int64_t>(stored.variants.size()));
  for (const StoredResponse& variant : stored.variants) pack(out, variant, now, wall);
  return out.take();
}

std::optional<StoredVariants> decode(std::string_view bytes, TimePoint now, cache::WallTime wall) {
  Unpacker in(bytes);
  StoredVariants stored;
  stored.url = in.text();
  const std::size_t variants = in.count();
  for (std::size_t i = 0; i < variants && in.good(); ++i) {
    stored.variants.push_back(unpack(in, now, wall));
  }
  if (!in.ended() || stored.variants.empty()) return std::nullopt;
  return stored;
}

}  // namespace tyaprover::filters
