#include <algorithm>
#include <iterator>

#include "tyaprover/http/grammar.h"
#include "tyaprover/http/parser.h"

// The decoder walks the grammar of RFC 9112 §7.1 byte by byte where the bytes are few (size lines)
// and in spans where they are many (data, trailers):
//
//   size [ extensions ] CRLF data CRLF … "0" [ extensions ] CRLF { trailer CRLF } CRLF
//
// Where the RFC lets a recipient be lenient (bare LF, blanks after the size) we are not: each of
// these is read differently by some peer, and then one body ends in two places.

namespace tyaprover::http {
namespace {

constexpr unsigned kMaxSizeDigits = 16;

// Trailers that would reframe, reroute, authenticate or make cacheable a message that was judged by
// its head (RFC 9110 §6.5.1, R4.13). A name known to the gateway means something to it in a head;
// of those, ETag alone is defined for trailers too. Names unknown to it pass, but for these.
bool is_forbidden_trailer(const Field& field) noexcept {
  if (field.id != KnownField::other) return field.id != KnownField::etag;
  constexpr std::string_view kNames[] = {
      "authentication-info", "cdn-cache-control", "max-forwards", "set-cookie2",
      "surrogate-control",   "warning",           "x-real-ip",    "www-authenticate",
  };
  constexpr std::string_view kPrefixes[] = {"if-", "proxy-", "x-forwarded-"};
  const auto is_name = [&](std::string_view name) {
    return equals_ignoring_case(field.name, name);
  };
  const auto is_prefix = [&](std::string_view prefix) {
    return equals_ignoring_case(field.name.substr(0, prefix.size()), prefix);
  };
  return std::any_of(std::begin(kNames), std::end(kNames), is_name) ||
         std::any_of(std::begin(kPrefixes), std::end(kPrefixes), is_prefix);
}

}  // namespace

ChunkedDecoder::Status ChunkedDecoder::step(std::string_view input, std::size_t& consumed,
                                            std::string_view& data) {
  std::size_t& at = consumed;
  at = 0;
  data = {};
  while (at < input.size()) {
    switch (state_) {
      case State::size:
        take_size(input[at++]);
        break;
      case State::before_semicolon:
      case State::name_start:
      case State::name:
      case State::after_name:
      case State::value_start:
      case State::value:
      case State::quoted:
      case State::escaped:
      case State::quoted_end:
        take_extension(input[at++]);
        break;
      case State::size_lf:
        take_size_end(input[at++]);
        break;
      case State::data: {
        const std::uint64_t size = std::min<std::uint64_t>(remaining_, input.size() - at);
        data = input.substr(at, static_cast<std::size_t>(size));
        at += data.size();
        remaining_ -= size;
        if (remaining_ == 0) state_ = State::data_cr;
        return Status::data;
      }
      case State::data_cr:
      case State::data_lf:
        take_data_end(input[at++]);
        break;
      case State::trailers:
        take_trailers(input, at);
        break;
      case State::done:
        return Status::done;
      case State::failed:
        return Status::error;
    }
  }
  if (state_ == State::done) return Status::done;
  if (state_ == State::failed) return Status::error;
  return Status::need_more;
}

void ChunkedDecoder::reset() noexcept {
  state_ = State::size;
  digits_ = 0;
  remaining_ = 0;
  extension_ = 0;
  extensions_ = 0;
  trailer_bytes_.clear();
  trailers_.clear();
  error_ = {};
}

void ChunkedDecoder::take_size(char c) {
  if (is(c, CharClass::hex)) {
    if (++digits_ > kMaxSizeDigits || remaining_ >> 59 != 0) {
      return fail("a chunk size is too large");  // R4.12: below 2^63
    }
    remaining_ = remaining_ << 4 | hex_value(c);
    return;
  }
  if (digits_ == 0) return fail("a chunk size is not a hexadecimal number");
  if (c == '\r') {
    state_ = State::size_lf;
  } else if (c == ';' || is_blank(c)) {
    state_ = State::before_semicolon;
    take_extension(c);
  } else {
    fail("a chunk size is not a hexadecimal number");
  }
}

// chunk-ext = *( BWS ";" BWS name [ BWS "=" BWS ( token / quoted-string ) ] )
void ChunkedDecoder::take_extension(char c) {
  const bool may_end =
      state_ == State::name || state_ == State::value || state_ == State::quoted_end;
  if (c == '\r' && may_end) {
    state_ = State::size_lf;
    return;
  }
  if (++extension_ > limits_.extension || ++extensions_ > limits_.extensions) {
    return fail("chunk extensions are too long");
  }
  const std::optional<State> next = after_extension_byte(c);
  if (!next) return fail("a chunk extension is malformed");
  state_ = *next;
}

std::optional<ChunkedDecoder::State> ChunkedDecoder::after_extension_byte(char c) const noexcept {
  const bool token = is(c, CharClass::token);
  switch (state_) {
    case State::before_semicolon:
      if (is_blank(c)) return State::before_semicolon;
      if (c == ';') return State::name_start;
      return std::nullopt;
    case State::name_start:
      if (is_blank(c)) return State::name_start;
      if (token) return State::name;
      return std::nullopt;
    case State::name:
      if (token) return State::name;
      [[fallthrough]];
    case State::after_name:
      if (is_blank(c)) return State::after_name;
      if (c == '=') return State::value_start;
      if (c == ';') return State::name_start;
      return std::nullopt;
    case State::value_start:
      if (is_blank(c)) return State::value_start;
      if (c == '"') return State::quoted;
      if (token) return State::value;
      return std::nullopt;
    case State::quoted:
      if (c == '"') return State::quoted_end;
      if (c == '\\') return State::escaped;
      if (is(c, CharClass::field_value)) return State::quoted;
      return std::nullopt;
    case State::escaped:
      if (is(c, CharClass::field_value)) return State::quoted;
      return std::nullopt;
    case State::value:
      if (token) return State::value;
      [[fallthrough]];
    case State::quoted_end:
      if (is_blank(c)) return State::before_semicolon;
      if (c == ';') return State::name_start;
      return std::nullopt;
    case State::size:
    case State::size_lf:
    case State::data:
    case State::data_cr:
    case State::data_lf:
    case State::trailers:
    case State::done:
    case State::failed:
      break;
  }
  return std::nullopt;
}

void ChunkedDecoder::take_size_end(char c) {
  if (c != '\n') return fail("a chunk size line does not end with CRLF");
  if (remaining_ > 0) {
    state_ = State::data;
  } else {
    state_ = State::trailers;
    trailer_reader_.start(0);
  }
  digits_ = 0;
  extension_ = 0;
}

void ChunkedDecoder::take_data_end(char c) {
  const bool cr = state_ == State::data_cr;
  if (c != (cr ? '\r' : '\n')) return fail("a chunk's data is not followed by CRLF");
  state_ = cr ? State::data_lf : State::size;
}

// Whole lines are read as they come; the copy is what lets `trailers()` outlive the receive buffer.
void ChunkedDecoder::take_trailers(std::string_view input, std::size_t& at) {
  const std::string_view rest = input.substr(at);
  const std::size_t lf = rest.find('\n');
  const std::string_view piece = lf == std::string_view::npos ? rest : rest.substr(0, lf + 1);
  if (piece.size() > limits_.trailers - trailer_bytes_.size()) {
    return fail("the trailer section is too large");
  }
  trailer_bytes_ += piece;
  at += piece.size();
  if (lf == std::string_view::npos) return;

  switch (trailer_reader_.read(trailer_bytes_, limits_.trailer_fields)) {
    case ParseStatus::need_more:
      return;
    case ParseStatus::error:
      return fail(trailer_reader_.error().detail);
    case ParseStatus::complete:
      break;
  }
  trailer_reader_.views(trailer_bytes_, trailers_);
  trailers_.remove_if(is_forbidden_trailer);
  state_ = State::done;
}

void ChunkedDecoder::fail(std::string_view detail) noexcept {
  state_ = State::failed;
  error_ = {400, Reason::bad_request, detail};
}

}  // namespace tyaprover::http
