// HeaderFields: a message's header section as the cache's rules see it: names and values in order.
//
// A borrowed view, cheap to copy and thread-safe to read; the array behind it and the bytes belong
// to the caller. It reads any array whose elements have `name` and `value` as std::string_view, so
// that a server hands over its own fields without copying them.
//
//   const HeaderField response[] = {{"Cache-Control", "max-age=60"}, {"ETag", "\"abc\""}};
//   HeaderFields fields(response);
//   if (const auto tag = fields.first("etag")) use(*tag);
#pragma once

#include <cstddef>
#include <initializer_list>
#include <optional>
#include <ranges>
#include <string_view>
#include <type_traits>

#include "tyaprover/base/text.h"

namespace tyaprover::cache {

struct HeaderField {
  std::string_view name;
  std::string_view value;

  bool operator==(const HeaderField&) const = default;
};

template <class T>
concept HeaderFieldLike = requires(const T& field) {
  requires std::is_same_v<std::remove_cvref_t<decltype(field.name)>, std::string_view>;
  requires std::is_same_v<std::remove_cvref_t<decltype(field.value)>, std::string_view>;
};

class HeaderFields {
 public:
  HeaderFields() = default;
  // Implicit on purpose: every rule takes HeaderFields, callers have arrays and vectors.
  // NOLINTBEGIN(google-explicit-constructor)
  template <std::ranges::contiguous_range R>
  requires(!std::is_same_v<std::remove_cvref_t<R>, HeaderFields> &&
           HeaderFieldLike<std::ranges::range_value_t<R>>) HeaderFields(const R& fields)
  noexcept
      : HeaderFields(
            std::to_address(std::ranges::begin(fields)),
            static_cast<std::size_t>(std::ranges::end(fields) - std::ranges::begin(fields))) {}
  // NOLINTEND(google-explicit-constructor)
  // For a call with literal fields; they live until the end of the full expression.
  HeaderFields(std::initializer_list<HeaderField> fields) noexcept
      : HeaderFields(fields.begin(), fields.size()) {}

  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
  // REQUIRES: i < size().
  [[nodiscard]] HeaderField operator[](std::size_t i) const noexcept {
    const std::byte* field = first_ + i * stride_;
    return {*reinterpret_cast<const std::string_view*>(field + name_offset_),
            *reinterpret_cast<const std::string_view*>(field + value_offset_)};
  }

  // Calls f(value) for each line of that name (ASCII case-insensitive), in order.
  template <class F>
  void for_each_line(std::string_view name, F&& f) const {
    for (std::size_t i = 0; i < size_; ++i) {
      const HeaderField field = (*this)[i];
      if (iequals(field.name, name)) f(field.value);
    }
  }
  // The first line of that name.
  [[nodiscard]] std::optional<std::string_view> first(std::string_view name) const noexcept {
    for (std::size_t i = 0; i < size_; ++i) {
      const HeaderField field = (*this)[i];
      if (iequals(field.name, name)) return field.value;
    }
    return std::nullopt;
  }
  // The line of that name if it is the only one.
  [[nodiscard]] std::optional<std::string_view> only(std::string_view name) const noexcept {
    std::optional<std::string_view> found;
    for (std::size_t i = 0; i < size_; ++i) {
      const HeaderField field = (*this)[i];
      if (!iequals(field.name, name)) continue;
      if (found) return std::nullopt;
      found = field.value;
    }
    return found;
  }
  [[nodiscard]] bool has(std::string_view name) const noexcept { return first(name).has_value(); }

 private:
  template <HeaderFieldLike T>
  HeaderFields(const T* first, std::size_t size) noexcept
      : first_(reinterpret_cast<const std::byte*>(first)), size_(size), stride_(sizeof(T)) {
    if (size == 0) return;
    name_offset_ = offset(first, &first->name);
    value_offset_ = offset(first, &first->value);
  }
  static std::size_t offset(const void* whole, const void* part) noexcept {
    return static_cast<std::size_t>(static_cast<const std::byte*>(part) -
                                    static_cast<const std::byte*>(whole));
  }

  const std::byte* first_ = nullptr;
  std::size_t size_ = 0;
  std::size_t stride_ = 0;
  std::size_t name_offset_ = 0;
  std::size_t value_offset_ = 0;
};

// for_each_list_member over all lines of a field, which are one list.
template <class F>
bool for_each_member(HeaderFields fields, std::string_view name, F&& f) {
  bool well_formed = true;
  fields.for_each_line(name, [&](std::string_view line) {
    well_formed = for_each_list_member(line, f) && well_formed;
  });
  return well_formed;
}

// True for the characters of a token (RFC 9110 §5.6.2).
[[nodiscard]] constexpr bool is_token_char(char c) noexcept {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}
[[nodiscard]] constexpr bool is_token(std::string_view text) noexcept {
  for (const char c : text) {
    if (!is_token_char(c)) return false;
  }
  return !text.empty();
}

}  // namespace tyaprover::cache
