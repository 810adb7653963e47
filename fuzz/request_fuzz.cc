// Request heads: one reading whatever the pieces, views inside the buffer, limits kept, and a head
// that was accepted is accepted again, with the same meaning, when it is written out in the
// plainest form.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "fuzz/require.h"
#include "tyaprover/http/grammar.h"
#include "tyaprover/http/parser.h"
#include "tyaprover/http/parser_testing.h"
#include "tyaprover/http/target.h"

namespace tyaprover::http {
namespace {

using parser_testing::Outcome;
using parser_testing::parse_request;
using parser_testing::random_cuts;

std::string write_plainly(const RequestHead& head) {
  std::string text;
  text.append(head.method).append(" ").append(head.target);
  text.append(" HTTP/1.").append(std::to_string(head.minor_version)).append("\r\n");
  for (const Field& field : head.fields) {
    text.append(field.name).append(":").append(field.value).append("\r\n");
  }
  return text + "\r\n";
}

void check_accepted(std::string_view bytes, const RequestHead& head, HeadLimits limits) {
  require(bytes.size() <= limits.head, "the head is within its limit");
  require(bytes.ends_with("\r\n\r\n"), "the head ends with an empty line");
  require(head.fields.size() <= limits.fields, "the fields are within their limit");
  require(head.target.size() <= limits.target, "the target is within its limit");
  require(head.method.size() <= 32, "the method is within its limit");
  require(all_are(head.method, CharClass::token), "the method is a token");
  require(all_are(head.target, CharClass::target), "the target is visible ASCII");
  require(head.path == "*" || head.path.starts_with('/'), "the path begins with a slash");
  require(head.origin_form.starts_with(head.path) ||
              (head.path == "/" && head.origin_form.starts_with('?')),
          "the origin-form begins with the path, which may be left out before a query");
  for (std::size_t i = 1; i < bytes.size(); ++i) {
    if (bytes[i] == '\n') require(bytes[i - 1] == '\r', "every line ends with CRLF");
  }
  for (const Field& field : head.fields) {
    require(all_are(field.name, CharClass::token), "a name is a token");
    require(field.value == trim_blanks(field.value), "a value is trimmed");
    require(field.value.empty() || all_are(field.value, CharClass::field_value),
            "a value has no control");
  }

  const std::size_t hosts = head.fields.count(KnownField::host);
  require(hosts <= 1 && (hosts == 1 || head.minor_version == 0), "there is one Host");
  require(hosts == 0 || parse_authority(head.authority), "Host is a host");
  const std::size_t lengths = head.fields.count(KnownField::content_length);
  const std::size_t codings = head.fields.count(KnownField::transfer_encoding);
  require(lengths + codings <= 1, "there is one framing");
  require((head.body.kind == BodyKind::length) == (lengths == 1), "a length is a Content-Length");
  require((head.body.kind == BodyKind::chunked) == (codings == 1), "chunked is declared");
  require(head.body.length <= limits.body, "the body is within its limit");
  require(!head.upgrade || head.body.length == 0, "an upgrade has no body");

  require(
      parse_request(bytes.substr(0, bytes.size() - 1), {}, limits).status == ParseStatus::need_more,
      "no byte is too many");
}

void check(std::string_view input, HeadLimits limits) {
  const Outcome whole = parse_request(input, {}, limits);
  require(parse_request(input, random_cuts(input, 1 + input.size() / 512), limits) == whole,
          "pieces do not matter");
  require(parse_request(input, random_cuts(input, 50), limits) == whole, "pieces do not matter");
  require(whole.views_inside, "views lie in the buffer");
  require(whole.size <= input.size(), "the head lies in the buffer");
  require((whole.status == ParseStatus::error) == (whole.error.status != 0),
          "an error has a status");
  if (whole.status == ParseStatus::error) {
    require(parse_request(std::string(input) + "\r\n\r\n", {}, limits) == whole,
            "an error is final");
  }

  // A parser that was reset, wherever it stood, is a new one, and so is a head that was filled.
  RequestParser parser(limits);
  RequestHead head;
  for (const std::size_t before : {input.size() / 2, input.size()}) {
    static_cast<void>(parser.parse(input.substr(0, before), head));
    parser.reset();
    require(!parser.started(), "nothing has started after a reset");
    require(parser.parse(input, head) == whole.status, "a reset parser says the same");
    require(parser.error().detail == whole.error.detail, "a reset parser says the same");
    parser.reset();
  }
  if (whole.status != ParseStatus::complete) return;

  require(parser_testing::describe(head) == whole.head, "a used head means the same");
  check_accepted(input.substr(0, whole.size), head, limits);
  const std::string plain = write_plainly(head);
  const Outcome again = parse_request(plain, {}, limits);
  require(again.status == ParseStatus::complete, "the plainest form is accepted");
  require(again.head == whole.head, "the plainest form means the same");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view input(reinterpret_cast<const char*>(data), size);
  check(input, {});
  check(input, {.head = 160, .fields = 4, .target = 24, .body = 1000});
  // And the requests behind the first one.
  for (;;) {
    const Outcome outcome = parse_request(input, {});
    if (outcome.status != ParseStatus::complete) return 0;
    input.remove_prefix(outcome.size);
    check(input, {});
  }
}

}  // namespace tyaprover::http
