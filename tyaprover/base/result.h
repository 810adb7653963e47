// Result<T, E>: a value or an error, for every path on which failure is normal.
//
// A value type: copyable and movable as T and E are, no thread-safety of its own, owns what it
// holds. Reading the side that is not there is a programming error (asserted in debug builds).
//
//   Result<Duration, ParseError> timeout = parse_duration("10s");
//   if (!timeout) return err(timeout.error());
//   use(*timeout);
#pragma once

#include <cassert>
#include <type_traits>
#include <utility>
#include <variant>

namespace tyaprover {

// Wraps an error so that it converts to any Result with that error type, also when T and E are
// alike.
template <class E>
struct Err {
  E error;
};

template <class E>
[[nodiscard]] constexpr Err<std::decay_t<E>> err(E&& error) {
  return {std::forward<E>(error)};
}

template <class T, class E>
class [[nodiscard]] Result {
 public:
  using value_type = T;
  using error_type = E;

  // Implicit on purpose: `return value;` and `return err(error);` are how a Result is made.
  // NOLINTBEGIN(google-explicit-constructor, bugprone-forwarding-reference-overload)
  template <class U = T>
  requires(std::is_constructible_v<T, U&&> &&
           !std::is_same_v<std::remove_cvref_t<U>, Result>) constexpr Result(U&& value)
      : data_(std::in_place_index<0>, std::forward<U>(value)) {}

  template <class G>
  requires std::is_constructible_v<E, G&&>
  constexpr Result(Err<G> e) : data_(std::in_place_index<1>, std::move(e.error)) {}
  // NOLINTEND(google-explicit-constructor, bugprone-forwarding-reference-overload)

  [[nodiscard]] constexpr bool has_value() const noexcept { return data_.index() == 0; }
  constexpr explicit operator bool() const noexcept { return has_value(); }

  constexpr T& value() & {
    assert(has_value());
    return *std::get_if<0>(&data_);
  }
  constexpr const T& value() const& {
    assert(has_value());
    return *std::get_if<0>(&data_);
  }
  constexpr T&& value() && {
    assert(has_value());
    return std::move(*std::get_if<0>(&data_));
  }
  constexpr T& operator*() & { return value(); }
  constexpr const T& operator*() const& { return value(); }
  constexpr T&& operator*() && { return std::move(*this).value(); }
  constexpr T* operator->() { return &value(); }
  constexpr const T* operator->() const { return &value(); }

  constexpr E& error() & {
    assert(!has_value());
    return *std::get_if<1>(&data_);
  }
  constexpr const E& error() const& {
    assert(!has_value());
    return *std::get_if<1>(&data_);
  }
  constexpr E&& error() && {
    assert(!has_value());
    return std::move(*std::get_if<1>(&data_));
  }

  template <class U>
  [[nodiscard]] constexpr T value_or(U&& fallback) const& {
    return has_value() ? value() : static_cast<T>(std::forward<U>(fallback));
  }

 private:
  std::variant<T, E> data_;
};

// Success without a value, or an error.
template <class E>
class [[nodiscard]] Result<void, E> {
 public:
  using value_type = void;
  using error_type = E;

  constexpr Result() = default;
  template <class G>
  requires std::is_constructible_v<E, G&&>
  constexpr Result(Err<G> e) : data_(std::in_place_index<1>, std::move(e.error)) {}  // NOLINT

  [[nodiscard]] constexpr bool has_value() const noexcept { return data_.index() == 0; }
  constexpr explicit operator bool() const noexcept { return has_value(); }
  constexpr E& error() & {
    assert(!has_value());
    return *std::get_if<1>(&data_);
  }
  constexpr const E& error() const& {
    assert(!has_value());
    return *std::get_if<1>(&data_);
  }

 private:
  std::variant<std::monostate, E> data_;
};

}  // namespace tyaprover
