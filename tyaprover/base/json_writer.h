// JsonWriter: writes JSON to the end of a string that the caller owns.
//
// Not thread-safe; borrows the string, which must outlive it. Allocates only when the string has to
// grow, so a reused string makes it allocation-free (watched by the access log's benchmark). Commas
// are its business; balance and key-before-value are the caller's.
//
//   std::string out;
//   JsonWriter json(out);
//   json.begin_object().key("status").integer(200).key("path").string(path).end_object();
#pragma once

#include <charconv>
#include <concepts>
#include <string>
#include <string_view>

namespace tyaprover {

// Appends `text` as the inside of a JSON string. Control characters (C0, DEL, C1) and the line
// separators U+2028 and U+2029 are escaped, so that what was one line stays one line for every
// reader; bytes that are not UTF-8 become U+FFFD, one per maximal subpart (Unicode 15 §3.9).
void append_json_escaped(std::string& out, std::string_view text);

class JsonWriter {
 public:
  explicit JsonWriter(std::string& out) noexcept : out_(out) {}

  JsonWriter& begin_object() { return open('{'); }
  JsonWriter& end_object() { return close('}'); }
  JsonWriter& begin_array() { return open('['); }
  JsonWriter& end_array() { return close(']'); }

  JsonWriter& key(std::string_view name);
  JsonWriter& string(std::string_view text);
  // Shortest text that reads back equal; null for what JSON cannot say (NaN, infinities).
  JsonWriter& number(double value);
  JsonWriter& boolean(bool value) { return raw(value ? "true" : "false"); }
  JsonWriter& null() { return raw("null"); }
  // REQUIRES: `json` is one complete JSON value.
  JsonWriter& raw(std::string_view json);

  template <std::integral T>
  requires(!std::same_as<T, bool>) JsonWriter& integer(T value) {
    char digits[24];
    const auto end = std::to_chars(digits, digits + sizeof(digits), value).ptr;
    return raw(std::string_view(digits, static_cast<std::size_t>(end - digits)));
  }

 private:
  void separate() {
    if (comma_) out_ += ',';
  }
  JsonWriter& open(char bracket) {
    separate();
    out_ += bracket;
    comma_ = false;
    return *this;
  }
  JsonWriter& close(char bracket) {
    out_ += bracket;
    comma_ = true;
    return *this;
  }

  std::string& out_;
  // Whether the next value or key follows a sibling. One flag serves all levels: every bracket that
  // closes makes its own level's sibling.
  bool comma_ = false;
};

}  // namespace tyaprover
