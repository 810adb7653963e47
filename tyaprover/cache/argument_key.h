// ArgumentKey: one text for the arguments of a call, that no other call has.
//
// Pure functions, thread-safe. The type of each argument is part of the key (1 and "1" differ), and
// texts carry their length.
//
//   argument_key(1, "a")   // i1;s1:a
#pragma once

#include <array>
#include <charconv>
#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace tyaprover::cache {

namespace detail {

template <class T>
concept RangeOfKeys = requires(const T& range) {
  range.begin();
  range.end();
};

template <class T>
void append_argument(std::string& key, const T& value) {
  const auto number = [&](char type, auto n) {
    char digits[64];
    key += type;
    key.append(digits, std::to_chars(digits, digits + sizeof digits, n).ptr);
    key += ';';
  };
  if constexpr (std::is_same_v<T, bool>) {
    key += value ? "b1;" : "b0;";
  } else if constexpr (std::is_same_v<T, char>) {
    number('c', static_cast<int>(value));
  } else if constexpr (std::is_enum_v<T>) {
    number('e', static_cast<std::underlying_type_t<T>>(value));
  } else if constexpr (std::unsigned_integral<T>) {
    number('u', value);
  } else if constexpr (std::signed_integral<T>) {
    number('i', value);
  } else if constexpr (std::floating_point<T>) {
    number('f', value);
  } else if constexpr (std::convertible_to<const T&, std::string_view>) {
    const std::string_view text = value;
    key += 's';
    key.append(std::to_string(text.size())).append(":").append(text);
  } else if constexpr (requires {
                         value.has_value();
                         *value;
                       }) {
    key += value.has_value() ? 'o' : 'n';
    if (value.has_value()) append_argument(key, *value);
  } else if constexpr (requires {
                         value.first;
                         value.second;
                       }) {
    key += 'p';
    append_argument(key, value.first);
    append_argument(key, value.second);
  } else if constexpr (RangeOfKeys<T>) {
    key += '[';
    for (const auto& item : value) append_argument(key, item);
    key += ']';
  } else {
    static_assert(!sizeof(T), "no key can be made of this argument: give a key_generator");
  }
}

}  // namespace detail

template <class... Args>
[[nodiscard]] std::string argument_key(const Args&... arguments) {
  std::string key;
  (detail::append_argument(key, arguments), ...);
  return key;
}

}  // namespace tyaprover::cache
