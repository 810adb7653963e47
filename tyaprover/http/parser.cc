#include "tyaprover/http/parser.h"

#include <algorithm>
#include <cassert>
#include <cstdint>

#include "tyaprover/http/framing.h"
#include "tyaprover/http/grammar.h"
#include "tyaprover/http/target.h"

// One message has one reading.
//
// A gateway is broken into where it and its upstream read one byte sequence as two different
// messages. So every parser here is a function of the bytes received, not of the pieces they came
// in: the request line is scanned once, left to right, and fails at the first byte that cannot
// stand where it stands; fields are taken as whole lines. What cursor_, position_ and scanned_ have
// passed is never looked at again: the time is linear even if every byte comes alone.
//
// The limits hold before a head is complete. Nothing after limits.head bytes is looked at, and a
// target is refused at its first byte too many: no peer makes us keep or scan more than that.

namespace tyaprover::http {
namespace {

using detail::Codings;
using detail::Control;

constexpr std::size_t kMaxMethod = 32;        // R4.2
constexpr std::size_t kMaxHead = UINT32_MAX;  // spans are 32-bit offsets

constexpr ParseError bad_request(std::string_view detail) {
  return {400, Reason::bad_request, detail};
}

// True if only bytes stand in `value` that a field value may hold (R4.7). Eight at a time: a value
// is most of what a head consists of, and a control in it is rare (parser_bench).
bool is_field_value(std::string_view value) noexcept {
  const auto all_valid = [](std::string_view bytes) {
    return std::all_of(bytes.begin(), bytes.end(),
                       [](char c) { return is(c, CharClass::field_value); });
  };
  if (value.size() < 8) return all_valid(value);
  const auto eight_valid = [&](std::size_t i) {
    using detail::kEveryByte;
    const std::uint64_t word = detail::load64(value.data() + i);
    const std::uint64_t no_del = word ^ 0x7f * kEveryByte;
    const std::uint64_t below_space = (word - 0x20 * kEveryByte) & ~word;
    const std::uint64_t is_del = (no_del - kEveryByte) & ~no_del;
    if (((below_space | is_del) & detail::kHighBits) == 0) return true;
    return all_valid(value.substr(i, 8));  // it may be a tab
  };
  for (std::size_t i = 0; i + 8 <= value.size(); i += 8) {
    if (!eight_valid(i)) return false;
  }
  return eight_valid(value.size() - 8);
}

// True if `text` can be the beginning of `pattern`, in which # stands for a digit.
// REQUIRES: text.size() <= pattern.size().
bool begins_pattern(std::string_view text, std::string_view pattern) noexcept {
  return std::equal(text.begin(), text.end(), pattern.begin(), [](char c, char expected) {
    return expected == '#' ? is(c, CharClass::digit) : c == expected;
  });
}

// Why the byte at `at`, the first that is no token character, is not the colon of a name (R4.6).
std::string_view name_problem(std::string_view line, std::size_t at, bool first_line) noexcept {
  if (at == line.size()) return "a header line has no colon";
  if (at == 0 && is_blank(line[0])) {
    return first_line ? "the first header line begins with a space" : "a header line is folded";
  }
  if (at == 0 && line[0] == ':') return "a header name is empty";
  if (is_blank(line[at])) return "a header name is followed by a space";
  return "a header name has a character that is not allowed";
}

std::uint16_t port_or(const Authority& authority, std::uint16_t otherwise) noexcept {
  return authority.port.value_or(otherwise);
}

bool is_same_authority(const Authority& a, const Authority& b,
                       std::uint16_t default_port) noexcept {
  return equals_ignoring_case(a.host, b.host) &&
         port_or(a, default_port) == port_or(b, default_port);
}

// Splits an origin-form into path and query.
void set_origin_form(RequestHead& head, std::string_view form) noexcept {
  head.origin_form = form;
  const std::size_t mark = form.find('?');
  head.path = mark == 0 ? std::string_view("/") : form.substr(0, mark);
  head.has_query = mark != std::string_view::npos;
  if (head.has_query) head.query = form.substr(mark + 1);
}

// An absolute-form target after "http://", and its scheme's port; nothing for other targets.
std::optional<std::string_view> strip_scheme(std::string_view target,
                                             std::uint16_t& port) noexcept {
  const auto begins_with = [target](std::string_view scheme) {
    return equals_ignoring_case(target.substr(0, scheme.size()), scheme);
  };
  if (begins_with("http://")) {
    port = 80;
    return target.substr(7);
  }
  if (begins_with("https://")) {
    port = 443;
    return target.substr(8);
  }
  return std::nullopt;
}

// Absolute-form (R4.4): the authority must be the one in Host, and what follows is the origin-form.
// Empty: no problem.
std::string_view read_absolute_form(RequestHead& head,
                                    const std::optional<Authority>& host) noexcept {
  std::uint16_t port = 0;
  const auto rest = strip_scheme(head.target, port);
  if (!rest) return "the request target is neither a path nor an http URL";
  const std::size_t path = std::min(rest->find_first_of("/?"), rest->size());
  const auto authority = parse_authority(rest->substr(0, path));
  if (!authority) return "the request target has no valid host";
  if (!host || !is_same_authority(*authority, *host, port)) {
    return "the request target's host is not the one in Host";
  }
  const std::string_view form = rest->substr(path);
  // RFC 9112 §3.2.4: an OPTIONS without path asks about the server.
  if (form.empty()) {
    set_origin_form(head, head.method_id == Method::options ? "*" : "/");
  } else {
    set_origin_form(head, form);
  }
  return {};
}

std::string_view read_target_form(RequestHead& head,
                                  const std::optional<Authority>& host) noexcept {
  if (head.target.front() == '/') {
    set_origin_form(head, head.target);
    return {};
  }
  if (head.target == "*") {
    if (head.method_id != Method::options) return "the request target * is only for OPTIONS";
    set_origin_form(head, head.target);
    return {};
  }
  return read_absolute_form(head, host);
}

ParseError coding_error(const Codings& codings) noexcept {
  if (codings.chunked_last)
    return {501, Reason::bad_request, "only the transfer coding chunked is known"};
  return bad_request("Transfer-Encoding does not end in chunked");
}

}  // namespace

Method classify_method(std::string_view method) noexcept {
  switch (method.size()) {
    case 3:
      if (method == "GET") return Method::get;
      if (method == "PUT") return Method::put;
      break;
    case 4:
      if (method == "POST") return Method::post;
      if (method == "HEAD") return Method::head;
      break;
    case 5:
      if (method == "PATCH") return Method::patch;
      if (method == "TRACE") return Method::trace;
      break;
    case 6:
      if (method == "DELETE") return Method::delete_;
      break;
    case 7:
      if (method == "OPTIONS") return Method::options;
      if (method == "CONNECT") return Method::connect;
      break;
    default:
      break;
  }
  return Method::other;
}

std::string_view to_string(Method method) noexcept {
  switch (method) {
    case Method::get:
      return "GET";
    case Method::head:
      return "HEAD";
    case Method::post:
      return "POST";
    case Method::put:
      return "PUT";
    case Method::delete_:
      return "DELETE";
    case Method::options:
      return "OPTIONS";
    case Method::trace:
      return "TRACE";
    case Method::patch:
      return "PATCH";
    case Method::connect:
      return "CONNECT";
    case Method::other:
      break;
  }
  return {};
}

bool is_idempotent(Method method) noexcept {
  switch (method) {
    case Method::get:
    case Method::head:
    case Method::put:
    case Method::delete_:
    case Method::options:
    case Method::trace:
      return true;
    case Method::post:
    case Method::patch:
    case Method::connect:
    case Method::other:
      return false;
  }
  return false;
}

namespace detail {

void FieldReader::start(std::size_t position) noexcept {
  position_ = position;
  scanned_ = position;
  spans_.clear();
  error_ = {};
}

ParseStatus FieldReader::next_line(std::string_view received, std::string_view& line) {
  assert(received.size() >= scanned_);
  const std::size_t lf = received.find('\n', scanned_);
  if (lf == std::string_view::npos) {
    scanned_ = received.size();
    return ParseStatus::need_more;
  }
  if (lf == position_ || received[lf - 1] != '\r') {
    return fail(bad_request("a line does not end with CRLF"));  // R4.1
  }
  line = received.substr(position_, lf - 1 - position_);
  position_ = lf + 1;
  scanned_ = position_;
  return ParseStatus::complete;
}

ParseStatus FieldReader::read(std::string_view received, std::size_t max_fields) {
  for (;;) {
    std::string_view line;
    const ParseStatus status = next_line(received, line);
    if (status != ParseStatus::complete) return status;
    if (line.empty()) return ParseStatus::complete;
    if (spans_.size() >= max_fields) {
      return fail({431, Reason::head_too_large, "too many header fields"});
    }
    if (add(received, line) == ParseStatus::error) return ParseStatus::error;
  }
}

ParseStatus FieldReader::add(std::string_view received, std::string_view line) {
  std::size_t colon = 0;
  while (colon < line.size() && is(line[colon], CharClass::token)) ++colon;
  if (colon == 0 || colon == line.size() || line[colon] != ':') {
    return fail(bad_request(name_problem(line, colon, spans_.empty())));  // R4.6
  }
  const std::string_view value = trim_blanks(line.substr(colon + 1));
  if (!is_field_value(value)) {
    return fail(bad_request("a header value has a control character"));  // R4.7
  }
  const auto offset = [received](std::string_view part) {
    return static_cast<std::uint32_t>(part.data() - received.data());
  };
  spans_.push_back({.name = offset(line),
                    .name_size = static_cast<std::uint32_t>(colon),
                    .value = offset(value),
                    .value_size = static_cast<std::uint32_t>(value.size()),
                    .id = classify_field(line.substr(0, colon))});
  return ParseStatus::complete;
}

void FieldReader::views(std::string_view received, Fields& fields) const {
  fields.clear();
  for (const Span& span : spans_) {
    fields.add({received.substr(span.name, span.name_size),
                received.substr(span.value, span.value_size), span.id});
  }
}

ParseStatus FieldReader::fail(const ParseError& error) noexcept {
  error_ = error;
  return ParseStatus::error;
}

}  // namespace detail

void RequestHead::clear() noexcept {
  Fields kept = std::move(fields);
  kept.clear();
  *this = {};
  fields = std::move(kept);
}

void ResponseHead::clear() noexcept {
  Fields kept = std::move(fields);
  kept.clear();
  *this = {};
  fields = std::move(kept);
}

ParseStatus RequestParser::parse(std::string_view received, RequestHead& head) {
  if (error_.status != 0) return ParseStatus::error;
  const std::size_t limit = std::min(limits_.head, kMaxHead);
  const ParseStatus status = parse_head(received.substr(0, limit), head);
  if (status == ParseStatus::need_more && received.size() > limit) {
    return fail({431, Reason::head_too_large, "the request head is too large"});
  }
  return status;
}

void RequestParser::reset() noexcept {
  part_ = Part::empty_line;
  started_ = false;
  cursor_ = 0;
  fields_.start(0);
  error_ = {};
}

// Falls from part to part for as long as each completes.
ParseStatus RequestParser::parse_head(std::string_view received, RequestHead& head) {
  ParseStatus status = ParseStatus::complete;
  switch (part_) {
    case Part::empty_line:
      status = skip_empty_line(received);
      if (status != ParseStatus::complete) return status;
      [[fallthrough]];
    case Part::method:
      status = read_method(received);
      if (status != ParseStatus::complete) return status;
      [[fallthrough]];
    case Part::target:
      status = read_target(received);
      if (status != ParseStatus::complete) return status;
      [[fallthrough]];
    case Part::version:
      status = read_version(received);
      if (status != ParseStatus::complete) return status;
      [[fallthrough]];
    case Part::fields:
      status = read_fields(received);
      if (status != ParseStatus::complete) return status;
  }
  return finish(received, head);
}

ParseStatus RequestParser::skip_empty_line(std::string_view received) {
  if (received.empty()) return ParseStatus::need_more;
  if (received[0] == '\r') {
    if (received.size() == 1) return ParseStatus::need_more;
    if (received[1] != '\n') return fail(bad_request("a line does not end with CRLF"));  // R4.1
    cursor_ = 2;
  }
  method_ = cursor_;
  part_ = Part::method;
  return ParseStatus::complete;
}

ParseStatus RequestParser::read_method(std::string_view received) {
  started_ = started_ || received.size() > method_;
  const std::size_t end = std::min(received.size(), method_ + kMaxMethod + 1);
  while (cursor_ < end && is(received[cursor_], CharClass::token)) ++cursor_;
  method_size_ = cursor_ - method_;
  if (method_size_ > kMaxMethod) return fail(bad_request("the method is too long"));  // R4.2
  if (cursor_ == received.size()) return ParseStatus::need_more;
  if (received[cursor_] != ' ' || method_size_ == 0) {
    return fail(bad_request("the request does not begin with a method and a space"));  // R4.2
  }
  target_ = ++cursor_;
  part_ = Part::target;
  return ParseStatus::complete;
}

ParseStatus RequestParser::read_target(std::string_view received) {
  const std::size_t rest = received.size() - target_;
  const std::size_t end = rest > limits_.target ? target_ + limits_.target + 1 : received.size();
  while (cursor_ < end && is(received[cursor_], CharClass::target)) ++cursor_;
  target_size_ = cursor_ - target_;
  if (target_size_ > limits_.target) {
    return fail({414, Reason::target_too_long, "the request target is too long"});
  }
  if (cursor_ == received.size()) return ParseStatus::need_more;
  const char c = received[cursor_];
  if (c == '\r' || c == '\n') return fail(bad_request("the request line has no HTTP version"));
  if (c != ' ') return fail(bad_request("the request target has a character that is not allowed"));
  if (target_size_ == 0) {
    return fail(bad_request("the request line has more than one space in a row"));  // R4.2
  }
  ++cursor_;
  part_ = Part::version;
  return ParseStatus::complete;
}

ParseStatus RequestParser::read_version(std::string_view received) {
  constexpr std::string_view kPattern = "HTTP/#.#\r\n";
  const std::string_view version = received.substr(cursor_, kPattern.size());
  if (!begins_pattern(version, kPattern)) {
    return fail(bad_request("the request line does not end in an HTTP version and CRLF"));  // R4.3
  }
  if (version.size() < kPattern.size()) return ParseStatus::need_more;
  if (version[5] != '1') return fail({505, Reason::bad_request, "only HTTP/1.x is spoken here"});
  minor_ = version[7] == '0' ? 0 : 1;  // R4.3: a higher minor is handled as 1.1
  fields_.start(cursor_ + kPattern.size());
  part_ = Part::fields;
  return ParseStatus::complete;
}

ParseStatus RequestParser::read_fields(std::string_view received) {
  const ParseStatus status = fields_.read(received, limits_.fields);
  return status == ParseStatus::error ? fail(fields_.error()) : status;
}

// The rules that need the whole head.
ParseStatus RequestParser::finish(std::string_view received, RequestHead& head) {
  head.clear();
  head.method = received.substr(method_, method_size_);
  head.method_id = classify_method(head.method);
  head.target = received.substr(target_, target_size_);
  head.minor_version = minor_;
  fields_.views(received, head.fields);
  const Control control(head.fields);

  if (const auto problem = detail::framing_problem(control, minor_); !problem.empty()) {
    return fail(bad_request(problem));
  }
  if (control.has_codings) {
    if (control.codings.others > 0) return fail(coding_error(control.codings));
    head.body.kind = BodyKind::chunked;
  } else if (control.lengths > 0) {
    head.body = {BodyKind::length, *detail::parse_content_length(control.length)};
    if (head.body.length > limits_.body) {
      return fail({413, Reason::body_too_large, "the request body is too large"});
    }
  }

  if (control.hosts > 1) return fail(bad_request("Host appears more than once"));     // R4.8
  if (control.hosts == 0 && minor_ > 0) return fail(bad_request("Host is missing"));  // R4.8
  std::optional<Authority> host;
  if (control.hosts > 0) {
    host = parse_authority(control.host);
    if (!host) return fail(bad_request("Host is not a host with an optional port"));  // R4.8
    head.authority = control.host;
  }
  if (head.method_id == Method::connect) {
    return fail({405, Reason::method_not_allowed, "CONNECT is not served here"});  // R4.4
  }
  if (const auto problem = read_target_form(head, host); !problem.empty()) {
    return fail(bad_request(problem));
  }

  head.keep_alive = detail::persists(control, minor_);
  if (control.expects_other) {
    return fail({417, Reason::expectation_failed, "only 100-continue can be expected"});  // R4.15
  }
  head.expect_continue = control.expects_continue && minor_ > 0;  // RFC 9110 §10.1.1
  head.upgrade = control.upgrade && control.has_protocols && !control.h2c && minor_ > 0;
  const bool has_body = head.body.kind == BodyKind::chunked || head.body.length > 0;
  if (head.upgrade && has_body) return fail(bad_request("an upgrade with a body"));  // R4.20
  return ParseStatus::complete;
}

ParseStatus RequestParser::fail(const ParseError& error) noexcept {
  error_ = error;
  return ParseStatus::error;
}

ParseStatus ResponseParser::parse(std::string_view received, Method to, ResponseHead& head) {
  if (error_.status != 0) return ParseStatus::error;
  const std::size_t limit = std::min(limits_.head, kMaxHead);
  const ParseStatus status = parse_head(received.substr(0, limit), to, head);
  if (status == ParseStatus::need_more && received.size() > limit) {
    return fail("the response head is too large");
  }
  return status;
}

void ResponseParser::reset() noexcept {
  have_status_line_ = false;
  fields_.start(0);
  error_ = {};
}

ParseStatus ResponseParser::parse_head(std::string_view received, Method to, ResponseHead& head) {
  if (!have_status_line_) {
    const ParseStatus status = read_status_line(received);
    if (status != ParseStatus::complete) return status;
    have_status_line_ = true;
  }
  const ParseStatus status = fields_.read(received, limits_.fields);
  if (status == ParseStatus::error) return fail(fields_.error().detail);
  if (status == ParseStatus::need_more) return status;
  return finish(received, to, head);
}

// "HTTP/1." digit SP 3digit, then the end of the line or SP and a phrase (RFC 9112 §4). The phrase
// and the space before it may be missing: servers in the field send both forms.
ParseStatus ResponseParser::read_status_line(std::string_view received) {
  constexpr std::string_view kPattern = "HTTP/1.# ###";
  const std::string_view start = received.substr(0, kPattern.size());
  if (!begins_pattern(start, kPattern)) {
    return fail("the response does not begin with an HTTP/1 status line");
  }
  std::string_view line;
  const ParseStatus status = fields_.next_line(received, line);
  if (status == ParseStatus::error) return fail(fields_.error().detail);
  if (status == ParseStatus::need_more) return status;

  const std::string_view rest = line.substr(kPattern.size());
  if (!rest.empty() && rest.front() != ' ') return fail("the status is not followed by a space");
  if (!is_field_value(rest)) return fail("the status phrase has a control character");
  minor_ = start[7] == '0' ? 0 : 1;
  status_ = (start[9] - '0') * 100 + (start[10] - '0') * 10 + (start[11] - '0');
  if (status_ < 100) return fail("the status is below 100");
  phrase_ = kPattern.size() + (rest.empty() ? 0 : 1);
  phrase_size_ = line.size() - phrase_;
  return ParseStatus::complete;
}

ParseStatus ResponseParser::finish(std::string_view received, Method to, ResponseHead& head) {
  head.clear();
  head.status = status_;
  head.phrase = received.substr(phrase_, phrase_size_);
  head.minor_version = minor_;
  fields_.views(received, head.fields);
  const Control control(head.fields);

  // Also for responses without body: their fields go on to a reader who may trust them.
  const std::string_view problem = detail::framing_problem(control, minor_);
  if (!problem.empty()) return fail(problem);
  if (control.codings.chunked_last && control.codings.others > 0) {
    // Legal (RFC 9112 §6.1), but the inner coding is declared only in the hop-by-hop field that we
    // must replace by our own. Forwarded, the client would take coded bytes for the content.
    return fail("a transfer coding other than chunked");
  }

  const bool bodiless = to == Method::head || status_ < 200 || status_ == 204 || status_ == 304 ||
                        (to == Method::connect && status_ < 300);
  if (bodiless) {
    head.body.kind = BodyKind::none;
  } else if (control.codings.chunked_last) {
    head.body.kind = BodyKind::chunked;
  } else if (control.lengths > 0) {
    head.body = {BodyKind::length, *detail::parse_content_length(control.length)};
  } else {
    head.body.kind = BodyKind::until_close;  // R4.17
  }
  head.keep_alive = detail::persists(control, minor_) && head.body.kind != BodyKind::until_close;
  return ParseStatus::complete;
}

ParseStatus ResponseParser::fail(std::string_view detail) noexcept {
  error_ = {502, Reason::upstream_protocol_error, detail};
  return ParseStatus::error;
}

}  // namespace tyaprover::http
