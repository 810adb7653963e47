// Feeds a parser in pieces and writes down what it said, for the unit tests and the fuzz targets.
//
// Not part of the product. Every call of the parser sees a fresh copy of the bytes, of exactly
// their size, so that a view into an earlier buffer, or a look past the end, is an error under
// ASan.
//
//   const Outcome whole = parse_request(input, {});
//   EXPECT_EQ(parse_request(input, {3, 17}), whole);   // cut before bytes 3 and 17
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "tyaprover/http/parser.h"

namespace tyaprover::http::parser_testing {

// All that can be seen of a parser after its last call.
struct Outcome {
  ParseStatus status = ParseStatus::need_more;
  ParseError error;
  std::size_t size = 0;      // of the head; when complete
  std::string head;          // every member in words; when complete
  bool views_inside = true;  // each view of the head lies in the bytes given last

  bool operator==(const Outcome& other) const {
    return status == other.status && error.status == other.error.status &&
           error.reason == other.error.reason && error.detail == other.error.detail &&
           size == other.size && head == other.head && views_inside == other.views_inside;
  }
};

inline std::ostream& operator<<(std::ostream& out, const Outcome& outcome) {
  switch (outcome.status) {
    case ParseStatus::need_more:
      return out << "need_more";
    case ParseStatus::complete:
      return out << "complete, " << outcome.size << " bytes: " << outcome.head;
    case ParseStatus::error:
      return out << outcome.error.status << " (" << outcome.error.detail << ")";
  }
  return out;
}

inline std::string describe(const BodyFraming& body) {
  switch (body.kind) {
    case BodyKind::none:
      return "none";
    case BodyKind::length:
      return "length " + std::to_string(body.length);
    case BodyKind::chunked:
      return "chunked";
    case BodyKind::until_close:
      return "until close";
  }
  return "";
}

inline std::string describe(const Fields& fields) {
  std::string text;
  for (const Field& field : fields) {
    text.append(" [").append(field.name).append("=").append(field.value).append("]");
    if (field.id != classify_field(field.name)) text += " wrong id";
  }
  return text;
}

inline std::string describe(const RequestHead& head) {
  std::string text;
  text.append(head.method).append(" ").append(head.target);
  text.append(" path ").append(head.path);
  if (head.has_query) text.append(" query ").append(head.query);
  text.append(" form ").append(head.origin_form).append(" at ").append(head.authority);
  text.append(" 1.").append(std::to_string(head.minor_version));
  text.append(head.keep_alive ? " keep" : " close");
  if (head.expect_continue) text += " expect";
  if (head.upgrade) text += " upgrade";
  text.append(" body ").append(describe(head.body));
  if (head.method_id != classify_method(head.method)) text += " wrong method id";
  return text + describe(head.fields);
}

inline std::string describe(const ResponseHead& head) {
  std::string text = std::to_string(head.status);
  text.append(" ").append(head.phrase);
  text.append(" 1.").append(std::to_string(head.minor_version));
  text.append(head.keep_alive ? " keep" : " close");
  text.append(" body ").append(describe(head.body));
  return text + describe(head.fields);
}

inline bool is_inside(std::string_view view, std::string_view bytes) {
  return view.empty() ||
         (view.data() >= bytes.data() && view.data() + view.size() <= bytes.data() + bytes.size());
}

inline bool fields_inside(const Fields& fields, std::string_view bytes) {
  for (const Field& field : fields) {
    if (!is_inside(field.name, bytes) || !is_inside(field.value, bytes)) return false;
  }
  return true;
}

inline bool views_inside(const RequestHead& head, std::string_view bytes) {
  // The forms of an absolute target without path are static text.
  const bool no_path = head.origin_form == "/" || head.origin_form == "*";
  const bool path =
      head.origin_form.starts_with('?') ? head.path == "/" : is_inside(head.path, head.origin_form);
  const bool form = no_path || (is_inside(head.origin_form, head.target) && path &&
                                is_inside(head.query, head.origin_form));
  return is_inside(head.method, bytes) && is_inside(head.target, bytes) && form &&
         is_inside(head.authority, bytes) && fields_inside(head.fields, bytes);
}

inline bool views_inside(const ResponseHead& head, std::string_view bytes) {
  return is_inside(head.phrase, bytes) && fields_inside(head.fields, bytes);
}

// Calls parse(bytes, head) with the prefixes of `input` that end at `cuts` (ascending), then with
// all.
template <class Head, class Parser, class Parse>
Outcome parse_pieces(Parser& parser, std::string_view input, std::vector<std::size_t> cuts,
                     Parse&& parse) {
  cuts.push_back(input.size());
  Head head;
  Outcome outcome;
  for (const std::size_t end : cuts) {
    const auto copy = std::make_unique<char[]>(end);
    input.copy(copy.get(), end);
    const std::string_view bytes(copy.get(), end);
    outcome.status = parse(bytes, head);
    if (outcome.status == ParseStatus::need_more) continue;
    if (outcome.status == ParseStatus::error) {
      outcome.error = parser.error();
    } else {
      outcome.size = parser.size();
      outcome.head = describe(head);
      outcome.views_inside = views_inside(head, bytes.substr(0, outcome.size));
    }
    break;
  }
  return outcome;
}

inline Outcome parse_request(std::string_view input, std::vector<std::size_t> cuts,
                             HeadLimits limits = {}) {
  RequestParser parser(limits);
  return parse_pieces<RequestHead>(
      parser, input, std::move(cuts),
      [&](std::string_view bytes, RequestHead& head) { return parser.parse(bytes, head); });
}

inline Outcome parse_response(std::string_view input, std::vector<std::size_t> cuts,
                              Method to = Method::get, HeadLimits limits = {}) {
  ResponseParser parser(limits);
  return parse_pieces<ResponseHead>(
      parser, input, std::move(cuts),
      [&](std::string_view bytes, ResponseHead& head) { return parser.parse(bytes, to, head); });
}

// Every byte alone.
inline std::vector<std::size_t> every_byte(std::size_t size) {
  std::vector<std::size_t> cuts;
  for (std::size_t i = 0; i < size; ++i) cuts.push_back(i);
  return cuts;
}

// Cuts at distances of 1 to `largest`, drawn from the input itself: the same input, the same cuts.
inline std::vector<std::size_t> random_cuts(std::string_view input, std::size_t largest) {
  std::uint64_t state = 14695981039346656037U;  // FNV-1a
  for (const char c : input) state = (state ^ static_cast<unsigned char>(c)) * 1099511628211U;
  std::vector<std::size_t> cuts;
  for (std::size_t at = 0; at < input.size();) {
    state = state * 6364136223846793005U + 1442695040888963407U;
    at += 1 + static_cast<std::size_t>(state >> 33) % largest;
    if (at < input.size()) cuts.push_back(at);
  }
  return cuts;
}

}  // namespace tyaprover::http::parser_testing
