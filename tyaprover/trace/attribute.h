// Attributes: a key and a value of one of eight types, as callers give them and as finished spans
// hold them.
//
// Text, AttributeValue and Attribute are borrowed views for the length of one call. A string
// literal is known to live for ever and is kept as a pointer; all other text is copied into the
// span. AttributeData is what a span holds: 24 bytes, valid as long as the span's data.
//
//   span.set_attribute("http.request.method", method);     // key by pointer, value copied
//   span.set_attribute("rows", 42);
//   span.set_attribute(std::string_view(key), true);        // both copied
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <ranges>
#include <span>
#include <string_view>
#include <type_traits>

namespace tyaprover::trace {

namespace detail {

template <class T>
concept DynamicText = std::convertible_to<const T&, std::string_view> && !std::is_array_v<T>;

}  // namespace detail

// Text that knows whether it lives for ever. Conversions are implicit on purpose: callers write
// literals and strings.
// NOLINTBEGIN(google-explicit-constructor)
class Text {
 public:
  constexpr Text() noexcept = default;
  template <std::size_t N>
  consteval Text(const char (&literal)[N]) noexcept : data_(literal), size_(N - 1), forever_(true) {
    static_assert(N > 0);
  }
  template <detail::DynamicText T>
  requires(!std::same_as<T, Text>) constexpr Text(const T& text) noexcept
      : Text(std::string_view(text), false) {}
  constexpr Text(std::string_view text, bool lives_for_ever) noexcept
      : data_(text.data()),
        size_(static_cast<std::uint32_t>(text.size())),
        forever_(lives_for_ever || text.empty()) {}

  [[nodiscard]] constexpr std::string_view view() const noexcept { return {data_, size_}; }
  constexpr operator std::string_view() const noexcept { return view(); }
  [[nodiscard]] constexpr bool empty() const noexcept { return size_ == 0; }
  [[nodiscard]] constexpr bool lives_for_ever() const noexcept { return forever_; }

 private:
  const char* data_ = nullptr;
  std::uint32_t size_ = 0;
  bool forever_ = true;
};

enum class AttributeType : std::uint8_t {
  string,
  boolean,
  integer,
  real,
  strings,
  booleans,
  integers,
  reals,
};

[[nodiscard]] constexpr std::string_view to_string(AttributeType type) noexcept {
  switch (type) {
    case AttributeType::string:
      return "string";
    case AttributeType::boolean:
      return "bool";
    case AttributeType::integer:
      return "int64";
    case AttributeType::real:
      return "double";
    case AttributeType::strings:
      return "string[]";
    case AttributeType::booleans:
      return "bool[]";
    case AttributeType::integers:
      return "int64[]";
    case AttributeType::reals:
      return "double[]";
  }
  return "";
}

// A value as a caller gives it. An unsigned integer beyond the largest std::int64_t becomes that
// one.
class AttributeValue {
 public:
  template <std::size_t N>
  consteval AttributeValue(const char (&literal)[N]) noexcept
      : type_(AttributeType::string), text_(literal) {}
  template <detail::DynamicText T>
  requires(!std::same_as<T, Text>) constexpr AttributeValue(const T& text) noexcept
      : type_(AttributeType::string), text_(std::string_view(text), false) {}
  constexpr AttributeValue(Text text) noexcept : type_(AttributeType::string), text_(text) {}
  template <std::same_as<bool> T>
  constexpr AttributeValue(T value) noexcept : type_(AttributeType::boolean), boolean_(value) {}
  template <std::integral T>
  requires(!std::same_as<T, bool>) constexpr AttributeValue(T value) noexcept
      : type_(AttributeType::integer), integer_(clamp(value)) {}
  template <std::floating_point T>
  constexpr AttributeValue(T value) noexcept
      : type_(AttributeType::real), real_(static_cast<double>(value)) {}
  constexpr AttributeValue(std::span<const std::string_view> values) noexcept
      : type_(AttributeType::strings), strings_(values) {}
  constexpr AttributeValue(std::span<const bool> values) noexcept
      : type_(AttributeType::booleans), booleans_(values) {}
  constexpr AttributeValue(std::span<const std::int64_t> values) noexcept
      : type_(AttributeType::integers), integers_(values) {}
  constexpr AttributeValue(std::span<const double> values) noexcept
      : type_(AttributeType::reals), reals_(values) {}
  // Vectors and arrays of those element types.
  template <std::ranges::contiguous_range R>
  requires(!detail::DynamicText<R> && !std::is_array_v<R> &&
           !std::same_as<R, AttributeValue>) constexpr AttributeValue(const R& values) noexcept
      : AttributeValue(std::span<const std::ranges::range_value_t<R>>(values)) {}

  [[nodiscard]] constexpr AttributeType type() const noexcept { return type_; }
  // Each REQUIRES its type.
  [[nodiscard]] constexpr Text text() const noexcept { return text_; }
  [[nodiscard]] constexpr bool boolean() const noexcept { return boolean_; }
  [[nodiscard]] constexpr std::int64_t integer() const noexcept { return integer_; }
  [[nodiscard]] constexpr double real() const noexcept { return real_; }
  [[nodiscard]] constexpr std::span<const std::string_view> strings() const noexcept {
    return strings_;
  }
  [[nodiscard]] constexpr std::span<const bool> booleans() const noexcept { return booleans_; }
  [[nodiscard]] constexpr std::span<const std::int64_t> integers() const noexcept {
    return integers_;
  }
  [[nodiscard]] constexpr std::span<const double> reals() const noexcept { return reals_; }

 private:
  template <class T>
  static constexpr std::int64_t clamp(T value) noexcept {
    constexpr auto kLargest = std::numeric_limits<std::int64_t>::max();
    if constexpr (std::is_unsigned_v<T>) {
      return value > static_cast<std::uint64_t>(kLargest) ? kLargest
                                                          : static_cast<std::int64_t>(value);
    } else {
      return static_cast<std::int64_t>(value);
    }
  }

  AttributeType type_;
  union {
    Text text_;
    bool boolean_;
    std::int64_t integer_;
    double real_;
    std::span<const std::string_view> strings_;
    std::span<const bool> booleans_;
    std::span<const std::int64_t> integers_;
    std::span<const double> reals_;
  };
};
// NOLINTEND(google-explicit-constructor)

struct Attribute {
  Text key;
  AttributeValue value;
};

// One attribute of a finished span.
class AttributeData {
 public:
  AttributeData() noexcept = default;
  // Keeps the pointers it is given. REQUIRES: key.view().size() <= kMaxKeySize.
  AttributeData(Text key, const AttributeValue& value) noexcept;
  static constexpr std::size_t kMaxKeySize = 0xffff;

  [[nodiscard]] std::string_view key() const noexcept { return {key_, key_size_}; }
  [[nodiscard]] Text key_text() const noexcept { return {key(), (forever_ & kKey) != 0}; }
  [[nodiscard]] AttributeType type() const noexcept { return type_; }
  [[nodiscard]] AttributeValue value() const noexcept;

 private:
  static constexpr std::uint8_t kKey = 1;
  static constexpr std::uint8_t kValue = 2;

  const char* key_ = nullptr;
  union {
    const char* text_ = nullptr;
    bool boolean_;
    std::int64_t integer_;
    double real_;
    const std::string_view* strings_;
    const bool* booleans_;
    const std::int64_t* integers_;
    const double* reals_;
  };
  std::uint32_t value_size_ = 0;
  std::uint16_t key_size_ = 0;
  AttributeType type_ = AttributeType::boolean;
  std::uint8_t forever_ = 0;
};

inline AttributeData::AttributeData(Text key, const AttributeValue& value) noexcept
    : key_(key.view().data()),
      key_size_(static_cast<std::uint16_t>(key.view().size())),
      type_(value.type()),
      forever_(key.lives_for_ever() ? kKey : 0) {
  const auto keep = [this](auto& pointer, const auto& values) {
    pointer = values.data();
    value_size_ = static_cast<std::uint32_t>(values.size());
  };
  switch (type_) {
    case AttributeType::string:
      keep(text_, value.text().view());
      if (value.text().lives_for_ever()) forever_ |= kValue;
      break;
    case AttributeType::boolean:
      boolean_ = value.boolean();
      break;
    case AttributeType::integer:
      integer_ = value.integer();
      break;
    case AttributeType::real:
      real_ = value.real();
      break;
    case AttributeType::strings:
      keep(strings_, value.strings());
      break;
    case AttributeType::booleans:
      keep(booleans_, value.booleans());
      break;
    case AttributeType::integers:
      keep(integers_, value.integers());
      break;
    case AttributeType::reals:
      keep(reals_, value.reals());
      break;
  }
}

inline AttributeValue AttributeData::value() const noexcept {
  switch (type_) {
    case AttributeType::string:
      return Text(std::string_view(text_, value_size_), (forever_ & kValue) != 0);
    case AttributeType::boolean:
      return boolean_;
    case AttributeType::integer:
      return integer_;
    case AttributeType::real:
      return real_;
    case AttributeType::strings:
      return std::span(strings_, value_size_);
    case AttributeType::booleans:
      return std::span(booleans_, value_size_);
    case AttributeType::integers:
      return std::span(integers_, value_size_);
    case AttributeType::reals:
      return std::span(reals_, value_size_);
  }
  return false;
}

}  // namespace tyaprover::trace
