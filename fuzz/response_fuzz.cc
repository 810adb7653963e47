// Response heads: one reading whatever the pieces, views inside the buffer, a body only where there
// can be one, and a head that was accepted means the same when it is written out in the plainest
// form.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "fuzz/require.h"
#include "tyaprover/http/grammar.h"
#include "tyaprover/http/parser.h"
#include "tyaprover/http/parser_testing.h"

namespace tyaprover::http {
namespace {

using parser_testing::Outcome;
using parser_testing::parse_response;
using parser_testing::random_cuts;

std::string write_plainly(const ResponseHead& head) {
  std::string text = "HTTP/1.";
  text.append(std::to_string(head.minor_version)).append(" ");
  text.append(std::to_string(head.status)).append(" ").append(head.phrase).append("\r\n");
  for (const Field& field : head.fields) {
    text.append(field.name).append(":").append(field.value).append("\r\n");
  }
  return text + "\r\n";
}

void check_accepted(const ResponseHead& head, Method to) {
  require(head.status >= 100 && head.status <= 999, "the status has three digits");
  require(head.phrase.empty() || all_are(head.phrase, CharClass::field_value),
          "the phrase has no control");
  for (const Field& field : head.fields) {
    require(all_are(field.name, CharClass::token), "a name is a token");
    require(field.value.empty() || all_are(field.value, CharClass::field_value),
            "a value has no control");
  }
  const std::size_t lengths = head.fields.count(KnownField::content_length);
  const bool coded = head.fields.has(KnownField::transfer_encoding);
  require(lengths <= 1 && !(lengths == 1 && coded), "there is one framing");
  require(head.body.kind != BodyKind::chunked || coded, "chunked is declared");
  require(head.body.kind != BodyKind::until_close || !head.keep_alive,
          "a connection is not kept after a body until close");
  const bool bodiless = to == Method::head || head.status < 200 || head.status == 204 ||
                        head.status == 304 || (to == Method::connect && head.status < 300);
  require((head.body.kind == BodyKind::none) == bodiless, "some responses have no body");
}

void check(std::string_view input, Method to, HeadLimits limits) {
  const Outcome whole = parse_response(input, {}, to, limits);
  require(parse_response(input, random_cuts(input, 1 + input.size() / 512), to, limits) == whole,
          "pieces do not matter");
  require(parse_response(input, random_cuts(input, 50), to, limits) == whole,
          "pieces do not matter");
  require(whole.views_inside, "views lie in the buffer");
  require(whole.size <= input.size() && whole.size <= limits.head, "the head lies in the buffer");
  if (whole.status == ParseStatus::error) {
    require(whole.error.status == 502, "an error is a 502");
    require(parse_response(std::string(input) + "\r\n\r\n", {}, to, limits) == whole,
            "an error is final");
  }

  // A parser that was reset, wherever it stood, is a new one, and so is a head that was filled.
  ResponseParser parser(limits);
  ResponseHead head;
  for (const std::size_t before : {input.size() / 2, input.size()}) {
    static_cast<void>(parser.parse(input.substr(0, before), to, head));
    parser.reset();
    require(parser.parse(input, to, head) == whole.status, "a reset parser says the same");
    require(parser.error().detail == whole.error.detail, "a reset parser says the same");
    parser.reset();
  }
  if (whole.status != ParseStatus::complete) return;

  require(parser_testing::describe(head) == whole.head, "a used head means the same");
  check_accepted(head, to);
  const std::string plain = write_plainly(head);
  limits.head = plain.size();  // a phrase that was missing costs a space now
  const Outcome again = parse_response(plain, {}, to, limits);
  require(again.status == ParseStatus::complete, "the plainest form is accepted");
  require(again.head == whole.head, "the plainest form means the same");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  for (const Method to : {Method::get, Method::head, Method::connect}) check(input, to, {});
  check(input, Method::get, {.head = 160, .fields = 4});
  return 0;
}

}  // namespace tyaprover::http
