#include "tyaprover/http/framing.h"

#include <algorithm>

#include "tyaprover/base/text.h"
#include "tyaprover/http/grammar.h"

namespace tyaprover::http::detail {

void Codings::add(std::string_view value) noexcept {
  for (std::size_t begin = 0; begin <= value.size();) {
    const std::size_t comma = std::min(value.find(',', begin), value.size());
    const std::string_view coding = trim_blanks(value.substr(begin, comma - begin));
    chunked_last = equals_ignoring_case(coding, "chunked");
    if (chunked_last) {
      ++chunked;
    } else {
      ++others;
      well_formed = well_formed && all_are(coding, CharClass::token);
    }
    begin = comma + 1;
  }
}

Control::Control(const Fields& fields) noexcept {
  for (const Field& field : fields) add(field);
}

void Control::add(const Field& field) noexcept {
  if (field.id == KnownField::host) {
    ++hosts;
    host = field.value;
  } else if (field.id == KnownField::content_length) {
    ++lengths;
    length = field.value;
  } else if (field.id == KnownField::transfer_encoding) {
    has_codings = true;
    codings.add(field.value);
  } else if (field.id == KnownField::connection) {
    for_each_list_member(field.value, [this](std::string_view option) {
      close = close || equals_ignoring_case(option, "close");
      keep_alive = keep_alive || equals_ignoring_case(option, "keep-alive");
      upgrade = upgrade || equals_ignoring_case(option, "upgrade");
      return true;
    });
  } else if (field.id == KnownField::upgrade) {
    for_each_list_member(field.value, [this](std::string_view protocol) {
      has_protocols = true;
      h2c = h2c || equals_ignoring_case(protocol.substr(0, protocol.find('/')), "h2c");
      return true;
    });
  } else if (field.id == KnownField::expect) {
    const bool is_continue = equals_ignoring_case(field.value, "100-continue");
    expects_continue = expects_continue || is_continue;
    expects_other = expects_other || !is_continue;
  }
}

std::optional<std::uint64_t> parse_content_length(std::string_view text) noexcept {
  if (!all_are(text, CharClass::digit)) return std::nullopt;
  std::uint64_t length = 0;
  for (const char c : text) {
    const auto digit = static_cast<std::uint64_t>(c - '0');
    if (length > (INT64_MAX - digit) / 10) return std::nullopt;
    length = length * 10 + digit;
  }
  return length;
}

std::string_view framing_problem(const Control& control, int minor_version) noexcept {
  if (control.lengths > 1) return "Content-Length appears more than once";  // R4.10
  if (control.lengths == 1 && !parse_content_length(control.length)) {
    return "Content-Length is not a number below 2^63";  // R4.10
  }
  if (!control.has_codings) return {};
  if (control.lengths > 0) return "Content-Length and Transfer-Encoding are both present";  // R4.11
  if (minor_version == 0) return "Transfer-Encoding in an HTTP/1.0 message";                // R4.11
  if (!control.codings.well_formed) return "Transfer-Encoding is malformed";                // R4.11
  if (control.codings.chunked > 1) return "Transfer-Encoding has chunked more than once";   // R4.11
  return {};
}

bool persists(const Control& control, int minor_version) noexcept {
  return !control.close && (minor_version >= 1 || control.keep_alive);
}

}  // namespace tyaprover::http::detail
