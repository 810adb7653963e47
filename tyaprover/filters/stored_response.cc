#include "tyaprover/filters/stored_response.h"

#include <algorithm>
#include <array>

#include "tyaprover/cache/storability.h"

namespace tyaprover::filters {
namespace {

// What an allocation costs beside its bytes.
constexpr std::size_t kBlock = 32;

}  // namespace

const std::string& coding_key(Coding coding) noexcept {
  static const std::array<std::string, kCodings> names = {"identity", "gzip", "br", "zstd"};
  return names[static_cast<std::size_t>(coding)];
}

StoredHead::StoredHead(int status_code, cache::HeaderFields from) : status(status_code) {
  std::size_t size = 0;
  for (std::size_t i = 0; i < from.size(); ++i) size += from[i].name.size() + from[i].value.size();
  text_.reserve(size);
  fields.reserve(from.size());
  const auto keep = [this](std::string_view text) {
    const std::size_t begin = text_.size();
    text_ += text;
    return std::string_view(text_).substr(begin);
  };
  for (const bool withheld : {false, true}) {
    for (std::size_t i = 0; i < from.size(); ++i) {
      if (cache::is_withheld(from, from[i].name) != withheld) continue;
      const std::string_view name = keep(from[i].name);
      const std::string_view value = keep(from[i].value);
      fields.push_back({name, value, http::classify_field(name)});
    }
    if (!withheld) reusable = fields.size();
  }
}

cache::Freshness StoredHead::freshness_now() const noexcept {
  cache::Freshness now = freshness;
  if (expired_by_hand.load(std::memory_order_relaxed)) {
    now.lifetime = std::min(now.lifetime, now.initial_age);
  }
  return now;
}

bool StoredHead::matches(cache::HeaderFields request, Coding by) const {
  if (variant.names().empty()) return true;
  // The usual Vary: nothing else, and no text has to be made.
  const std::vector<std::string>& names = variant.names().names();
  if (by_coding && names.size() == 1 && names[0] == "accept-encoding") return coding == by;
  const cache::VariantOptions options{by_coding ? &coding_key(by) : nullptr};
  return variant.matches(request, options);
}

std::size_t StoredHead::memory() const noexcept {
  std::size_t bytes = sizeof(StoredHead) + kBlock * 3 + text_.capacity() +
                      fields.capacity() * sizeof(http::Field) + variant.text().size() * 2;
  for (const std::string& tag : tags) bytes += sizeof(std::string) + tag.capacity();
  return bytes;
}

std::size_t StoredResponse::memory() const noexcept {
  return sizeof(StoredResponse) + head->memory() + (bytes ? size + kBlock : 0);
}

std::size_t StoredVariants::memory() const noexcept {
  std::size_t bytes = sizeof(StoredVariants) + kBlock * 2 + url.capacity();
  for (const StoredResponse& variant : variants) bytes += variant.memory();
  return bytes;
}

const StoredResponse* find_variant(const StoredVariants& stored, cache::HeaderFields request,
                                   Coding coding) {
  for (const StoredResponse& variant : stored.variants) {
    if (variant.head->matches(request, coding)) return &variant;
  }
  return nullptr;
}

}  // namespace tyaprover::filters
