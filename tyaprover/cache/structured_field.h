// Structured fields (RFC 8941): the dictionary, strictly, as targeted cache control needs it.
//
// Pure function, thread-safe. Views point into the text given. A text that is not a dictionary to
// the last byte is an error: the standard allows no guessing (§4.2).
//
//   const auto dictionary = parse_dictionary("max-age=60, no-store=?0");
//   for (const StructuredMember& member : *dictionary) use(member.key, member.integer);
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "tyaprover/base/result.h"

namespace tyaprover::cache {

enum class StructuredType : std::uint8_t {
  boolean,
  integer,
  decimal,
  string,
  token,
  byte_sequence,
  inner_list,
};
[[nodiscard]] std::string_view to_string(StructuredType type) noexcept;

// A member of a dictionary. Parameters are checked and dropped.
struct StructuredMember {
  std::string_view key;
  StructuredType type = StructuredType::boolean;
  std::int64_t integer = 0;  // of a boolean 0 or 1, of a decimal its thousandths
  std::string_view text;     // as written: of a string what is between its quotes, escapes and all
};

// Where a text stopped being a dictionary.
struct StructuredFieldError {
  std::size_t position = 0;
};

// RFC 8941 §4.2.2, with the bytes of several lines joined by ", ". Of a repeated key the last
// value counts, in the first one's place. An empty text is an empty dictionary.
[[nodiscard]] Result<std::vector<StructuredMember>, StructuredFieldError> parse_dictionary(
    std::string_view text);

}  // namespace tyaprover::cache
