// The strict HTTP/1 codec: request and response heads, chunked bodies (RFC 9112).
//
// Push parsers over bytes the caller holds; no I/O, no clock, no Asio. Confined to one worker.
// Strict by default: an ambiguous message is an error with the status to answer, never repaired
// (spec rules R4.1–R4.13 and R4.17 are cited at each error). Linear time, whatever the pieces bytes come in.
//
//   RequestParser parser(limits);
//   switch (parser.parse(received, head)) {     // `received` starts with the message and grows between calls
//     case ParseStatus::need_more: …            // call again with more bytes appended (the buffer may have moved)
//     case ParseStatus::complete: …             // head's views point into `received`; parser.size() bytes used
//     case ParseStatus::error: reply(parser.error());
//   }
#pragma once

#include <cstddef>
#include <cstdint>
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
  std::size_t head = 64 * 1024;    // start line and fields, in bytes
  std::size_t fields = 100;        // number of field lines
  std::size_t target = 8 * 1024;   // request target, in bytes
  std::uint64_t body = UINT64_MAX; // largest Content-Length
};

enum class Method : std::uint8_t { get, head, post, put, delete_, options, trace, patch, connect, other };
[[nodiscard]] Method classify_method(std::string_view method) noexcept;
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
  std::string_view target;     // as sent
  std::string_view path;       // of the target, as sent, without query; "*" for OPTIONS *
  std::string_view query;      // after '?', without it; has_query tells "" from none
  bool has_query = false;
  // What goes upstream: the origin-form of the target. Equals target, but for absolute-form targets.
  std::string_view origin_form;
  std::string_view authority;  // Host's value; empty only for HTTP/1.0 without Host
  int minor_version = 1;       // of HTTP/1
  bool keep_alive = true;      // RFC 9112 §9.3
  bool expect_continue = false;
  bool upgrade = false;        // Upgrade with Connection: upgrade, HTTP/1.1; never h2c
  BodyFraming body;
  Fields fields;

  void clear() noexcept;
};

class RequestParser {
 public:
  explicit RequestParser(HeadLimits limits) noexcept : limits_(limits) {}

  // `received`: every byte since the message began; at most one empty line before it is skipped (R4.1).
  // Bytes after the head are ignored. On error the connection must be closed after the reply.
  [[nodiscard]] ParseStatus parse(std::string_view received, RequestHead& head);

  // Length of the head, with its empty line; after `complete`.
  [[nodiscard]] std::size_t size() const noexcept { return pos_; }
  [[nodiscard]] const ParseError& error() const noexcept { return error_; }
  // True once a byte of the message (other than a skipped empty line) was seen.
  [[nodiscard]] bool started() const noexcept { return started_; }
  void reset() noexcept;

 private:
  struct FieldSpan {
    std::uint32_t name = 0, name_size = 0, value = 0, value_size = 0;
    KnownField id = KnownField::other;
  };

  HeadLimits limits_;
  std::size_t pos_ = 0;      // end of the last complete line
  std::size_t scanned_ = 0;  // up to here there is no LF after pos_
  bool skipped_empty_line_ = false;
  bool started_ = false;
  bool have_start_line_ = false;
  std::uint32_t method_size_ = 0, start_ = 0, target_ = 0, target_size_ = 0;
  int minor_ = 1;
  std::vector<FieldSpan> fields_;
  ParseError error_;

  // Implemented in parser.cc; the codec's author may add private members here.
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

  // `to` is the method of the request this answers: HEAD responses have no body, 2xx to CONNECT neither.
  // Interim (1xx) heads come out one by one as complete; the caller counts them (R4.17: at most 10).
  [[nodiscard]] ParseStatus parse(std::string_view received, Method to, ResponseHead& head);
  [[nodiscard]] std::size_t size() const noexcept { return pos_; }
  [[nodiscard]] const ParseError& error() const noexcept { return error_; }
  void reset() noexcept;

 private:
  HeadLimits limits_;
  std::size_t pos_ = 0;
  std::size_t scanned_ = 0;
  bool have_start_line_ = false;
  int status_ = 0;
  int minor_ = 1;
  std::uint32_t phrase_ = 0, phrase_size_ = 0;
  std::vector<std::uint32_t> field_spans_;  // layout is the codec author's choice
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
    std::size_t extension = 256;              // bytes of one chunk's extensions
    std::size_t extensions = 16 * 1024;       // of a message
    std::size_t trailers = 8 * 1024;          // bytes of the trailer section
    std::size_t trailer_fields = 100;
  };

  ChunkedDecoder() = default;
  explicit ChunkedDecoder(Limits limits) : limits_(limits) {}

  // Consumes a prefix of `input`: `consumed` bytes. `data` points into `input`.
  [[nodiscard]] Status step(std::string_view input, std::size_t& consumed, std::string_view& data);

  // After `done`; views into the decoder's own storage, valid until reset(). Framing, routing,
  // authentication and cache-control fields have been dropped (R4.13).
  [[nodiscard]] const Fields& trailers() const noexcept { return trailers_; }
  [[nodiscard]] const ParseError& error() const noexcept { return error_; }
  void reset() noexcept;

 private:
  Limits limits_;
  std::uint64_t remaining_ = 0;
  std::string trailer_bytes_;
  Fields trailers_;
  ParseError error_;
  // Implemented in chunked.cc; the codec's author may add private members here.
};

}  // namespace tyaprover::http
