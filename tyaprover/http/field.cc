#include "tyaprover/http/field.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

#include "tyaprover/base/text.h"
#include "tyaprover/http/grammar.h"

// Recognising a field name.
//
// Every field of every message is classified, so this must cost a few nanoseconds. Four characters
// that differ enough between the names (the length counts as one) are mixed into a slot of a small
// table, which names the only candidate; one comparison decides. The mix is found by the compiler:
// it tries multipliers until no two known names share a slot, so that a new KnownField needs its
// line in the table below and no more. A peer gains nothing by colliding names: the cost is one
// comparison whatever the name.

namespace tyaprover::http {
namespace {

constexpr std::size_t kKnownFields = static_cast<std::size_t>(KnownField::count_);

// In the order of KnownField.
constexpr std::array<std::string_view, kKnownFields> kNames = {
    "",
    "Accept",
    "Accept-Encoding",
    "Accept-Ranges",
    "Age",
    "Authorization",
    "Cache-Control",
    "Connection",
    "Content-Encoding",
    "Content-Length",
    "Content-Range",
    "Content-Security-Policy",
    "Content-Type",
    "Cookie",
    "Date",
    "ETag",
    "Expect",
    "Expires",
    "Forwarded",
    "Host",
    "HTTP2-Settings",
    "If-Match",
    "If-Modified-Since",
    "If-None-Match",
    "If-Range",
    "If-Unmodified-Since",
    "Keep-Alive",
    "Last-Modified",
    "Location",
    "Origin",
    "Permissions-Policy",
    "Pragma",
    "Proxy-Authenticate",
    "Proxy-Authorization",
    "Proxy-Connection",
    "Range",
    "Referer",
    "Referrer-Policy",
    "Retry-After",
    "Server",
    "Set-Cookie",
    "Strict-Transport-Security",
    "TE",
    "Trailer",
    "traceparent",
    "tracestate",
    "Transfer-Encoding",
    "Upgrade",
    "User-Agent",
    "Vary",
    "Via",
    "X-Content-Type-Options",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Port",
    "X-Forwarded-Proto",
    "X-Frame-Options",
    "X-Powered-By",
    "X-Request-ID",
    "X-Response-Time",
};

constexpr std::size_t kSlots = 512;
constexpr std::size_t kShortest = 2;

struct Mix {
  unsigned size = 0;
  unsigned first = 0;
  unsigned last = 0;

  // REQUIRES: name.size() >= kShortest.
  [[nodiscard]] constexpr std::size_t slot(std::string_view name) const noexcept {
    // Setting bit 5 joins 'A' and 'a'; that it joins other pairs too costs nothing, see above.
    const auto at = [name](std::size_t i) {
      return static_cast<unsigned>(static_cast<unsigned char>(name[i])) | 0x20U;
    };
    const std::size_t n = name.size();
    return (static_cast<unsigned>(n) * size + at(0) * first + at(n - 2) + at(n - 1) * last) %
           kSlots;
  }
};

constexpr bool separates_all_names(Mix mix) {
  std::array<std::uint64_t, kSlots / 64> taken{};
  for (std::size_t i = 1; i < kKnownFields; ++i) {
    const std::size_t slot = mix.slot(kNames[i]);
    const std::uint64_t bit = std::uint64_t{1} << (slot % 64);
    if ((taken[slot / 64] & bit) != 0) return false;
    taken[slot / 64] |= bit;
  }
  return true;
}

constexpr Mix find_mix() {
  Mix mix;
  unsigned state = 1;
  const auto next = [&state] {
    state = state * 1103515245U + 12345U;
    return (state >> 16) % 128U;
  };
  do {
    mix = {.size = next(), .first = next(), .last = next()};
  } while (!separates_all_names(mix));
  return mix;
}

constexpr Mix kMix = find_mix();

constexpr std::array<KnownField, kSlots> kFieldInSlot = [] {
  std::array<KnownField, kSlots> table{};
  for (std::size_t i = 1; i < kKnownFields; ++i) {
    table[kMix.slot(kNames[i])] = static_cast<KnownField>(i);
  }
  return table;
}();

}  // namespace

KnownField classify_field(std::string_view name) noexcept {
  if (name.size() < kShortest) return KnownField::other;
  const KnownField candidate = kFieldInSlot[kMix.slot(name)];
  return equals_ignoring_case(name, field_name(candidate)) ? candidate : KnownField::other;
}

std::string_view field_name(KnownField id) noexcept {
  const auto index = static_cast<std::size_t>(id);
  return index < kKnownFields ? kNames[index] : std::string_view{};
}

void Fields::set(KnownField id, std::string_view value) {
  Field* first = find(id);
  if (first == nullptr) {
    add(id, value);
    return;
  }
  *first = {field_name(id), value, id};
  const auto after = list_.begin() + (first - list_.data()) + 1;
  list_.erase(std::remove_if(after, list_.end(), [id](const Field& f) { return f.id == id; }),
              list_.end());
}

std::size_t Fields::remove(KnownField id) noexcept {
  return std::erase_if(list_, [id](const Field& f) { return f.id == id; });
}

std::size_t Fields::remove(std::string_view name) noexcept {
  return std::erase_if(list_,
                       [name](const Field& f) { return equals_ignoring_case(f.name, name); });
}

const Field* Fields::find(KnownField id) const noexcept {
  for (const Field& field : list_) {
    if (field.id == id) return &field;
  }
  return nullptr;
}

Field* Fields::find(KnownField id) noexcept {
  return const_cast<Field*>(std::as_const(*this).find(id));
}

const Field* Fields::find(std::string_view name) const noexcept {
  for (const Field& field : list_) {
    if (equals_ignoring_case(field.name, name)) return &field;
  }
  return nullptr;
}

std::string_view Fields::value(KnownField id) const noexcept {
  const Field* field = find(id);
  return field != nullptr ? field->value : std::string_view{};
}

std::size_t Fields::count(KnownField id) const noexcept {
  return static_cast<std::size_t>(
      std::count_if(list_.begin(), list_.end(), [id](const Field& f) { return f.id == id; }));
}

bool Fields::list_contains(KnownField id, std::string_view token) const noexcept {
  bool found = false;
  for (const Field& field : list_) {
    if (field.id != id) continue;
    for_each_list_member(field.value, [&](std::string_view member) {
      const std::string_view name = trim_blanks(member.substr(0, member.find(';')));
      found = equals_ignoring_case(name, token);
      return !found;
    });
    if (found) return true;
  }
  return false;
}

}  // namespace tyaprover::http
