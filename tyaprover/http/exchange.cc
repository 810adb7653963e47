#include "tyaprover/http/exchange.h"

namespace tyaprover::http {

void Response::clear() noexcept {
  status = 0;
  fields.clear();
  content = {};
  content_owner.reset();
  body.reset();
  described_length.reset();
  tunnel.reset();
  close = false;
}

void Exchange::reset() noexcept {
  request.clear();
  request_body = nullptr;
  body_reader_done.reset();
  path.clear();
  client = {};
  arena.reset();
  deadline = TimePoint::max();
  response.clear();
  reason = Reason::none;
  reason_detail = {};
  app = route = request_id = trace_id = span_id = upstream = cache = breaker = {};
  upstream_tries = 0;
  trace_sampled = false;
  quiet = false;
  unmeasured = false;
  untraced = false;
  forwarded_expect = false;
  timings = Timings{};
  outcome = Outcome::complete;
  bytes_in = bytes_out = 0;
}

std::string_view to_string(BodyError error) noexcept {
  switch (error) {
    case BodyError::disconnected:
      return "the sender closed the connection before the end of the body";
    case BodyError::timeout:
      return "no byte of the body came for too long";
    case BodyError::too_slow:
      return "the body came slower than the minimum rate";
    case BodyError::malformed:
      return "the body's chunk framing is wrong";
    case BodyError::too_large:
      return "the body is larger than the limit";
    case BodyError::aborted:
      return "the transfer was given up";
  }
  return "";
}

}  // namespace tyaprover::http
