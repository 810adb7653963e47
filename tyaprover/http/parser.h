// The strict HTTP/1 codec: request and response heads, chunked bodies (RFC 9112).
//
// Push parsers over bytes the caller holds; no I/O, no clock, no Asio. Confined to one worker.
// Strict by default: an ambiguous message is an error with the status to answer, never repaired
// (rules R4.* are cited at each error). Linear time, whatever pieces the bytes come in.
//
//   RequestParser parser(limits);
//   switch (parser.parse(received, head)) {   // all bytes since the message began
//     case ParseStatus::need_more: …          // call again with more appended; the buffer may move
//     case ParseStatus::complete: …           // head's views point into `received`
//     case ParseStatus::error: reply(parser.error());
//   }
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tyaprover/http/field.h"
#include "tyaprover/http/reason.h"

namespace tyaprover::http {

enum class ParseStatus : std::uint8_t { need_more, complete, error };

// What is wrong with a message: what to answer, and one sentence for the person who sent it.
struct ParseError {
  int status = 0;  // 400, 405, 413, 414, 417, 431, 501, 505; 502 for responses
  Reason reason = Reason::none;
  std::string_view detail;  // static text: "Content-Length appears twice"
};

struct HeadLimits {
  std::size_t head = 64 * 1024;     // start line and fields, in bytes
  std::size_t fields = 100;         // number of field lines
  std::size_t target = 8 * 1024;    // request target, in bytes
  std::uint64_t body = UINT64_MAX;  // largest Content-Length
};

enum class Method : std::uint8_t {
  get,
  head,
  post,
  put,
  delete_,
  options,
  trace,
  patch,
  connect,
  other
};
[[nodiscard]] Method classify_method(std::string_view method) noexcept;
// The registered name, static text; empty for other.
[[nodiscard]] std::string_view to_string(Method method) noexcept;
// Idempotent methods may be sent again when nothing was answered (RFC 9110 §9.2.2).
[[nodiscard]] bool is_idempotent(Method method) noexcept;

enum class BodyKind : std::uint8_t { none, length, chunked, until_close };

// How many bytes follow the head, and how their end is known (RFC 9112 §6).
struct BodyFraming {
  BodyKind kind = BodyKind::none;
  std::uint64_t length = 0;  // for BodyKind::length
};

struct RequestHead {
  std::string_view method;
  Method method_id = Method::other;
  std::string_view target;  // as sent
  std::string_view path;    // of the target, as sent, without query; "*" for OPTIONS *
  std::string_view query;   // after '?', without it; has_query tells "" from none
  bool has_query = false;
  // What goes upstream: the origin-form of the target. Differs from it only for absolute-form.
  // Begins with '?' if the target is "http://host?query": whoever writes it puts "/" before it.
  std::string_view origin_form;
  std::string_view authority;  // Host's value; empty only for HTTP/1.0 without Host
  int minor_version = 1;       // of HTTP/1
  bool keep_alive = true;      // RFC 9112 §9.3
  bool expect_continue = false;
  bool upgrade = false;  // Upgrade with Connection: upgrade, HTTP/1.1; never h2c
  BodyFraming body;
  Fields fields;

  void clear() noexcept;
};

namespace detail {

// Reads field lines up to the empty line that ends them (RFC 9112 §5): the one implementation
// behind request heads, response heads and trailers. Fields are kept as offsets, because the
// buffer may move.
//
// Invariant: all before position() was read and is valid; [position(), scanned_) holds no LF.
class FieldReader {
 public:
  // From now on lines begin at `position`.
  void start(std::size_t position) noexcept;

  // Takes the next line, without its CRLF. Fails for a bare LF (R4.1).
  [[nodiscard]] ParseStatus next_line(std::string_view received, std::string_view& line);
  // Takes field lines until the empty one. Fails for a broken line, or for more than `max_fields`.
  [[nodiscard]] ParseStatus read(std::string_view received, std::size_t max_fields);

  // After `complete`: replaces `fields` by views into `received`.
  void views(std::string_view received, Fields& fields) const;

  [[nodiscard]] std::size_t position() const noexcept { return position_; }
  [[nodiscard]] const ParseError& error() const noexcept { return error_; }

 private:
  struct Span {
    std::uint32_t name, name_size, value, value_size;
    KnownField id;
  };

  [[nodiscard]] ParseStatus add(std::string_view received, std::string_view line);
  [[nodiscard]] ParseStatus fail(const ParseError& error) noexcept;

  std::size_t position_ = 0;
  std::size_t scanned_ = 0;
  std::vector<Span> spans_;  // keeps its capacity over start(): no allocation after warm-up
  ParseError error_;
};

}  // namespace detail

class RequestParser {
 public:
  explicit RequestParser(HeadLimits limits) noexcept : limits_(limits) {}

  // `received`: every byte since the message began; at most one empty line before it is skipped
  // (R4.1). Bytes after the head are ignored. On error the connection must be closed after the
  // reply, and what `head` holds is unspecified. The result depends on the bytes alone, not on the
  // pieces they came in.
  // REQUIRES: reset() since the last `complete`.
  [[nodiscard]] ParseStatus parse(std::string_view received, RequestHead& head);

  // Length of the head, with its empty line; after `complete`.
  [[nodiscard]] std::size_t size() const noexcept { return fields_.position(); }
  [[nodiscard]] const ParseError& error() const noexcept { return error_; }
  // True once a byte of the message (other than a skipped empty line) was seen.
  [[nodiscard]] bool started() const noexcept { return started_; }
  void reset() noexcept;

 private:
  // What cursor_ stands in.
  enum class Part : std::uint8_t { empty_line, method, target, version, fields };

  [[nodiscard]] ParseStatus parse_head(std::string_view received, RequestHead& head);
  // One per Part. Each moves cursor_ on and either completes its part, runs out of bytes or fails.
  [[nodiscard]] ParseStatus skip_empty_line(std::string_view received);
  [[nodiscard]] ParseStatus read_method(std::string_view received);
  [[nodiscard]] ParseStatus read_target(std::string_view received);
  [[nodiscard]] ParseStatus read_version(std::string_view received);
  [[nodiscard]] ParseStatus read_fields(std::string_view received);
  [[nodiscard]] ParseStatus finish(std::string_view received, RequestHead& head);
  [[nodiscard]] ParseStatus fail(const ParseError& error) noexcept;

  HeadLimits limits_;
  Part part_ = Part::empty_line;
  bool started_ = false;
  int minor_ = 1;
  std::size_t cursor_ = 0;  // of the request line: all before it is checked
  std::size_t method_ = 0, method_size_ = 0, target_ = 0, target_size_ = 0;
  detail::FieldReader fields_;
  ParseError error_;
};

struct ResponseHead {
  int status = 0;
  std::string_view phrase;
  int minor_version = 1;
  bool keep_alive = true;
  BodyFraming body;  // already right for the request's method and the status (R4.17)
  Fields fields;

  void clear() noexcept;
};

class ResponseParser {
 public:
  explicit ResponseParser(HeadLimits limits) noexcept : limits_(limits) {}

  // `to` is the method of the request this answers: HEAD responses have no body, 2xx to CONNECT
  // neither. Interim (1xx) heads come out one by one as complete; the caller counts them (R4.17:
  // at most 10).
  // REQUIRES: reset() since the last `complete`.
  [[nodiscard]] ParseStatus parse(std::string_view received, Method to, ResponseHead& head);
  [[nodiscard]] std::size_t size() const noexcept { return fields_.position(); }
  [[nodiscard]] const ParseError& error() const noexcept { return error_; }
  void reset() noexcept;

 private:
  [[nodiscard]] ParseStatus parse_head(std::string_view received, Method to, ResponseHead& head);
  [[nodiscard]] ParseStatus read_status_line(std::string_view received);
  [[nodiscard]] ParseStatus finish(std::string_view received, Method to, ResponseHead& head);
  [[nodiscard]] ParseStatus fail(std::string_view detail) noexcept;

  HeadLimits limits_;
  bool have_status_line_ = false;
  int status_ = 0;
  int minor_ = 1;
  std::size_t phrase_ = 0, phrase_size_ = 0;
  detail::FieldReader fields_;
  ParseError error_;
};

// Decodes a chunked body (RFC 9112 §7.1) piece by piece, without copying data.
class ChunkedDecoder {
 public:
  enum class Status : std::uint8_t {
    need_more,  // everything given was consumed; no data
    data,       // `data` is a piece of the body; call again with the rest
    done,       // the last chunk and the trailers are read; the rest belongs to the next message
    error,
  };
  struct Limits {
    std::size_t extension = 256;         // bytes of one chunk's extensions
    std::size_t extensions = 16 * 1024;  // of a message
    std::size_t trailers = 8 * 1024;     // bytes of the trailer section
    std::size_t trailer_fields = 100;
  };

  ChunkedDecoder() = default;
  explicit ChunkedDecoder(Limits limits) : limits_(limits) {}

  // Consumes a prefix of `input`: `consumed` bytes. `data` points into `input`.
  [[nodiscard]] Status step(std::string_view input, std::size_t& consumed, std::string_view& data);

  // After `done`; views into the decoder's own storage, valid until reset() or a move. Framing,
  // routing, authentication and cache-control fields have been dropped (R4.13).
  [[nodiscard]] const Fields& trailers() const noexcept { return trailers_; }
  [[nodiscard]] const ParseError& error() const noexcept { return error_; }
  void reset() noexcept;

 private:
  // What the next byte belongs to.
  enum class State : std::uint8_t {
    size,              // hexadecimal digits
    before_semicolon,  // blanks after the size or after an extension
    name_start,        // blanks and first character of an extension's name
    name,              // more of it
    after_name,        // blanks between a name and '=' or ';'
    value_start,       // blanks and first character of an extension's value
    value,             // more of it
    quoted,            // a quoted value
    escaped,           // after '\\' in a quoted value
    quoted_end,        // after the closing quote
    size_lf,           // the LF of the size line
    data,              // remaining_ bytes
    data_cr,           // the CRLF after the data
    data_lf,
    trailers,
    done,
    failed,
  };

  void take_size(char c);
  void take_extension(char c);
  [[nodiscard]] std::optional<State> after_extension_byte(char c) const noexcept;
  void take_size_end(char c);
  void take_data_end(char c);
  void take_trailers(std::string_view input, std::size_t& at);
  void fail(std::string_view detail) noexcept;

  Limits limits_;
  State state_ = State::size;
  unsigned digits_ = 0;          // of this chunk's size
  std::uint64_t remaining_ = 0;  // this chunk's size, then how much of its data is to come
  std::size_t extension_ = 0;    // bytes of this chunk's extensions
  std::size_t extensions_ = 0;   // of all chunks' so far
  std::string trailer_bytes_;    // the trailer section so far, whole lines but for the last
  detail::FieldReader trailer_reader_;
  Fields trailers_;
  ParseError error_;
};

}  // namespace tyaprover::http
