// What a message's fields say about the message itself: its framing, its host, its connection.
//
// Gathered in one pass over the fields, once per head, for the rules that requests and responses
// share. Internal to the codec; a value, confined to one worker, views into the fields' bytes.
//
//   const Control control(head.fields);
//   if (auto problem = framing_problem(control, minor_version); !problem.empty()) return
//   fail(problem); head.keep_alive = persists(control, minor_version);
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "tyaprover/http/field.h"

namespace tyaprover::http::detail {

// The transfer codings of a message, over all its Transfer-Encoding lines.
struct Codings {
  bool well_formed = true;  // each is a token: no parameter, no empty element
  unsigned chunked = 0;
  unsigned others = 0;
  bool chunked_last = false;

  void add(std::string_view value) noexcept;
};

struct Control {
  unsigned hosts = 0;  // how many Host fields, and the last one's value
  std::string_view host;
  unsigned lengths = 0;  // Content-Length likewise
  std::string_view length;
  bool has_codings = false;  // a Transfer-Encoding field, even an empty one
  Codings codings;
  bool close = false;  // Connection options (RFC 9110 §7.6.1)
  bool keep_alive = false;
  bool upgrade = false;
  bool has_protocols = false;  // an Upgrade field names one
  bool h2c = false;            // and this is among them
  bool expects_continue = false;
  bool expects_other = false;

  explicit Control(const Fields& fields) noexcept;

 private:
  void add(const Field& field) noexcept;
};

// Digits only, below 2^63 (R4.10).
[[nodiscard]] std::optional<std::uint64_t> parse_content_length(std::string_view text) noexcept;

// What makes the end of the body ambiguous in any message (R4.10, R4.11), static text; empty:
// nothing. Afterwards a single Content-Length is a number, and Transfer-Encoding is a list of
// tokens with chunked at most once.
[[nodiscard]] std::string_view framing_problem(const Control& control, int minor_version) noexcept;

// True if the connection may serve another message after this one (RFC 9112 §9.3).
[[nodiscard]] bool persists(const Control& control, int minor_version) noexcept;

}  // namespace tyaprover::http::detail
