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

// Out of the size and three letters: the keys of the HTTP conventions have few collisions.
constexpr std::uint8_t key_hash(std::string_view key) noexcept {
  if (key.empty()) return 0;
  const auto letter = [&](std::size_t at) -> unsigned {
    return static_cast<unsigned char>(key[at]);
  };
  const std::size_t size = key.size();
  const unsigned mixed = letter(size - 1) + letter(size / 2) * 31 + letter(size / 4) * 131;
  return static_cast<std::uint8_t>(mixed + static_cast<unsigned>(size) * 89);
}

}  // namespace detail

// Text that knows whether it lives for ever. Conversions are implicit on purpose: callers write
// literals and strings.
// NOLINTBEGIN(google-explicit-constructor)
class Text {
 public:
  constexpr Text() noexcept = default;
  template <std::size_t N>
  consteval Text(const char (&literal)[N]) noexcept : Text({literal, N - 1}, true) {
    static_assert(N > 0);
    word_ |= kHashed | std::uint64_t{detail::key_hash({literal, N - 1})} << kHashShift;
  }
  template <detail::DynamicText T>
  requires(!std::same_as<T, Text>) constexpr Text(const T& text) noexcept
      : Text(std::string_view(text), false) {}
  constexpr Text(std::string_view text, bool lives_for_ever) noexcept
      : data_(text.data()),
        word_((text.size() & kSizeMask) | (lives_for_ever || text.empty() ? kForever : 0)) {}

  [[nodiscard]] constexpr std::string_view view() const noexcept {
    return {data_, static_cast<std::size_t>(word_ & kSizeMask)};
  }
  constexpr operator std::string_view() const noexcept { return view(); }
  [[nodiscard]] constexpr bool empty() const noexcept { return (word_ & kSizeMask) == 0; }
  [[nodiscard]] constexpr bool lives_for_ever() const noexcept { return (word_ & kForever) != 0; }
  // detail::key_hash() of it, which a literal brings along.
  [[nodiscard]] constexpr std::uint8_t hash() const noexcept {
    return (word_ & kHashed) != 0 ? static_cast<std::uint8_t>(word_ >> kHashShift)
                                  : detail::key_hash(view());
  }

 private:
  static constexpr std::uint64_t kSizeMask = (std::uint64_t{1} << 48) - 1;
  static constexpr std::uint64_t kForever = std::uint64_t{1} << 48;
  static constexpr std::uint64_t kHashed = std::uint64_t{1} << 49;
  static constexpr unsigned kHashShift = 56;

  const char* data_ = nullptr;
  // The size, marks and a hash in one word, so that it is written at once: a processor cannot hand
  // a word to a reader while its parts are still on their way to the cache.
  std::uint64_t word_ = kForever;
};
// NOLINTEND(google-explicit-constructor)

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

namespace detail {

union AttributePayload {
  const char* text = nullptr;
  bool boolean;
  std::int64_t integer;
  double real;
  const std::string_view* strings;
  const bool* booleans;
  const std::int64_t* integers;
  const double* reals;
};

// All else that there is to know of an attribute, in one word for the reason given at Text: the
// value's size (32 bits), the key's size (16), the type (8), and whether key and value need no copy
// (texts that live for ever, numbers).
class AttributeMeta {
 public:
  static constexpr std::uint64_t kKeyForever = std::uint64_t{1} << 56;
  static constexpr std::uint64_t kValueForever = std::uint64_t{1} << 57;
  static constexpr std::size_t kMaxValueSize = 0xffff'ffff;

  constexpr AttributeMeta(AttributeType type, std::size_t value_size, bool value_forever) noexcept
      : bits_((value_size < kMaxValueSize ? value_size : kMaxValueSize) |
              static_cast<std::uint64_t>(type) << kTypeShift |
              (value_forever ? kValueForever : 0)) {}
  // REQUIRES: there is no key yet.
  [[nodiscard]] constexpr AttributeMeta with_key(Text key) const noexcept {
    AttributeMeta meta = *this;
    meta.bits_ |= key.view().size() << kKeySizeShift | (key.lives_for_ever() ? kKeyForever : 0);
    return meta;
  }
  constexpr void remove_key() noexcept {
    bits_ &= ~(std::uint64_t{0xffff} << kKeySizeShift | kKeyForever);
  }

  [[nodiscard]] constexpr AttributeType type() const noexcept {
    return static_cast<AttributeType>(bits_ >> kTypeShift & 0xff);
  }
  [[nodiscard]] constexpr std::size_t value_size() const noexcept { return bits_ & kMaxValueSize; }
  [[nodiscard]] constexpr std::size_t key_size() const noexcept {
    return bits_ >> kKeySizeShift & 0xffff;
  }
  [[nodiscard]] constexpr bool has(std::uint64_t marks) const noexcept {
    return (bits_ & marks) == marks;
  }

 private:
  static constexpr unsigned kKeySizeShift = 32;
  static constexpr unsigned kTypeShift = 48;

  std::uint64_t bits_;
};

}  // namespace detail

// A value as a caller gives it: two words, which go in registers. An unsigned integer beyond the
// largest std::int64_t becomes that one. Conversions are implicit on purpose.
// NOLINTBEGIN(google-explicit-constructor)
class AttributeValue {
 public:
  template <std::size_t N>
  consteval AttributeValue(const char (&literal)[N]) noexcept : AttributeValue(Text(literal)) {}
  template <detail::DynamicText T>
  requires(!std::same_as<T, Text>) constexpr AttributeValue(const T& text) noexcept
      : AttributeValue(Text(std::string_view(text), false)) {}
  constexpr AttributeValue(Text text) noexcept
      : payload_{.text = text.view().data()},
        meta_(AttributeType::string, text.view().size(), text.lives_for_ever()) {}
  template <std::same_as<bool> T>
  constexpr AttributeValue(T value) noexcept
      : payload_{.boolean = value}, meta_(AttributeType::boolean, 0, true) {}
  template <std::integral T>
  requires(!std::same_as<T, bool>) constexpr AttributeValue(T value) noexcept
      : payload_{.integer = clamp(value)}, meta_(AttributeType::integer, 0, true) {}
  template <std::floating_point T>
  constexpr AttributeValue(T value) noexcept
      : payload_{.real = static_cast<double>(value)}, meta_(AttributeType::real, 0, true) {}
  constexpr AttributeValue(std::span<const std::string_view> values) noexcept
      : payload_{.strings = values.data()},
        meta_(AttributeType::strings, values.size(), values.empty()) {}
  constexpr AttributeValue(std::span<const bool> values) noexcept
      : payload_{.booleans = values.data()},
        meta_(AttributeType::booleans, values.size(), values.empty()) {}
  constexpr AttributeValue(std::span<const std::int64_t> values) noexcept
      : payload_{.integers = values.data()},
        meta_(AttributeType::integers, values.size(), values.empty()) {}
  constexpr AttributeValue(std::span<const double> values) noexcept
      : payload_{.reals = values.data()},
        meta_(AttributeType::reals, values.size(), values.empty()) {}
  // Vectors and arrays of those element types.
  template <std::ranges::contiguous_range R>
  requires(!detail::DynamicText<R> && !std::is_array_v<R> &&
           !std::same_as<R, AttributeValue>) constexpr AttributeValue(const R& values) noexcept
      : AttributeValue(std::span<const std::ranges::range_value_t<R>>(values)) {}

  [[nodiscard]] constexpr AttributeType type() const noexcept { return meta_.type(); }
  // Each REQUIRES its type.
  [[nodiscard]] constexpr Text text() const noexcept {
    return {{payload_.text, meta_.value_size()}, meta_.has(detail::AttributeMeta::kValueForever)};
  }
  [[nodiscard]] constexpr bool boolean() const noexcept { return payload_.boolean; }
  [[nodiscard]] constexpr std::int64_t integer() const noexcept { return payload_.integer; }
  [[nodiscard]] constexpr double real() const noexcept { return payload_.real; }
  [[nodiscard]] constexpr std::span<const std::string_view> strings() const noexcept {
    return {payload_.strings, meta_.value_size()};
  }
  [[nodiscard]] constexpr std::span<const bool> booleans() const noexcept {
    return {payload_.booleans, meta_.value_size()};
  }
  [[nodiscard]] constexpr std::span<const std::int64_t> integers() const noexcept {
    return {payload_.integers, meta_.value_size()};
  }
  [[nodiscard]] constexpr std::span<const double> reals() const noexcept {
    return {payload_.reals, meta_.value_size()};
  }

 private:
  friend class AttributeData;
  constexpr AttributeValue(detail::AttributePayload payload, detail::AttributeMeta meta) noexcept
      : payload_(payload), meta_(meta) {}

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

  detail::AttributePayload payload_;
  detail::AttributeMeta meta_;
};
// NOLINTEND(google-explicit-constructor)

struct Attribute {
  Text key;
  AttributeValue value;
};

namespace detail {
class AttributeMover;
}

// One attribute of a finished span.
class AttributeData {
 public:
  static constexpr std::size_t kMaxKeySize = 0xffff;

  AttributeData() noexcept : AttributeData(Text(), false) {}
  // Keeps the pointers it is given. REQUIRES: key.view().size() <= kMaxKeySize.
  AttributeData(Text key, AttributeValue value) noexcept
      : key_(key.view().data()), payload_(value.payload_), meta_(value.meta_.with_key(key)) {}

  [[nodiscard]] std::string_view key() const noexcept { return {key_, meta_.key_size()}; }
  [[nodiscard]] Text key_text() const noexcept {
    return {key(), meta_.has(detail::AttributeMeta::kKeyForever)};
  }
  [[nodiscard]] AttributeType type() const noexcept { return meta_.type(); }
  [[nodiscard]] AttributeValue value() const noexcept {
    detail::AttributeMeta meta = meta_;
    meta.remove_key();
    return {payload_, meta};
  }

 private:
  friend class detail::AttributeMover;

  const char* key_;
  detail::AttributePayload payload_;
  detail::AttributeMeta meta_;
};

namespace detail {

// Moves what an attribute points to into a store that offers text(std::string_view), which returns
// the copy, and array(std::span<const T>), which returns a std::span<T>. In place, because an
// attribute that is built and then copied costs more than all the rest.
class AttributeMover {
 public:
  [[nodiscard]] static bool needs_no_copy(const AttributeData& attribute) noexcept {
    return attribute.meta_.has(AttributeMeta::kKeyForever | AttributeMeta::kValueForever);
  }
  template <class Store>
  static void move(AttributeData& attribute, Store& store) {
    if (needs_no_copy(attribute)) return;
    const AttributeMeta meta = attribute.meta_;
    if (!meta.has(AttributeMeta::kKeyForever)) attribute.key_ = store.text(attribute.key()).data();
    if (meta.has(AttributeMeta::kValueForever)) return;
    AttributePayload& payload = attribute.payload_;
    if (meta.type() == AttributeType::string) [[likely]] {
      payload.text = store.text({payload.text, meta.value_size()}).data();
    } else {
      payload = move_array(attribute.value(), store);
    }
  }

  // Bytes that move() would copy: arrays, each rounded up to 8, and text.
  struct Size {
    std::size_t arrays = 0;
    std::size_t texts = 0;
  };
  static void measure(const AttributeData& attribute, Size& sum) noexcept {
    const AttributeMeta meta = attribute.meta_;
    if (!meta.has(AttributeMeta::kKeyForever)) sum.texts += meta.key_size();
    if (meta.has(AttributeMeta::kValueForever)) return;
    if (meta.type() == AttributeType::string) [[likely]] {
      sum.texts += meta.value_size();
    } else {
      measure_array(attribute.value(), sum);
    }
  }

 private:
  template <class Store>
  [[gnu::noinline]] static AttributePayload move_array(AttributeValue value, Store& store) {
    switch (value.type()) {
      case AttributeType::string:
      case AttributeType::boolean:
      case AttributeType::integer:
      case AttributeType::real:
        break;
      case AttributeType::strings: {
        const std::span<std::string_view> copies = store.array(value.strings());
        for (std::string_view& string : copies) string = store.text(string);
        return {.strings = copies.data()};
      }
      case AttributeType::booleans:
        return {.booleans = store.array(value.booleans()).data()};
      case AttributeType::integers:
        return {.integers = store.array(value.integers()).data()};
      case AttributeType::reals:
        return {.reals = store.array(value.reals()).data()};
    }
    return {};
  }

  [[gnu::noinline]] static void measure_array(AttributeValue value, Size& sum) noexcept {
    switch (value.type()) {
      case AttributeType::string:
      case AttributeType::boolean:
      case AttributeType::integer:
      case AttributeType::real:
        break;
      case AttributeType::strings:
        sum.arrays += value.strings().size_bytes();
        for (const std::string_view text : value.strings()) sum.texts += text.size();
        break;
      case AttributeType::booleans:
        sum.arrays += (value.booleans().size_bytes() + 7) & ~std::size_t{7};
        break;
      case AttributeType::integers:
        sum.arrays += value.integers().size_bytes();
        break;
      case AttributeType::reals:
        sum.arrays += value.reals().size_bytes();
        break;
    }
  }
};

}  // namespace detail

}  // namespace tyaprover::trace
