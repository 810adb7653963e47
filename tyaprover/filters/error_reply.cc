#include "tyaprover/filters/error_reply.h"

#include <string>

#include "tyaprover/base/json_writer.h"
#include "tyaprover/filters/negotiation.h"

namespace tyaprover::filters {

using http::KnownField;
using http::Reason;

namespace {

// What the client is told in production instead of the detail; empty: the detail is about his own
// request.
std::string_view public_detail(Reason reason) noexcept {
  switch (reason) {
    case Reason::upstream_connect_failed:
    case Reason::upstream_connect_timeout:
    case Reason::no_healthy_upstream:
      return "The service cannot be reached.";
    case Reason::upstream_reset:
    case Reason::upstream_protocol_error:
      return "The service did not give a complete answer.";
    case Reason::upstream_response_timeout:
      return "The service did not answer in time.";
    case Reason::circuit_open:
      return "The service is resting after failures.";
    case Reason::internal_error:
      return "The gateway could not handle this request.";
    case Reason::none:
    case Reason::no_route:
    case Reason::bad_request:
    case Reason::request_timeout:
    case Reason::body_too_large:
    case Reason::target_too_long:
    case Reason::head_too_large:
    case Reason::rate_limited:
    case Reason::unauthorized:
    case Reason::forbidden:
    case Reason::method_not_allowed:
    case Reason::expectation_failed:
    case Reason::overloaded:
    case Reason::shutting_down:
    case Reason::loop_detected:
    case Reason::client_disconnected:
      return {};
  }
  return {};
}

struct Problem {
  std::string_view type;
  std::string_view status_text;
  std::string_view title;
  std::string_view detail;
  std::string_view reason;
  std::string_view request_id;
  std::string_view trace_id;
};

void append_member(std::string& out, std::string_view name, std::string_view value) {
  if (value.empty()) return;
  out.append(",\"").append(name).append("\":\"");
  append_json_escaped(out, value);
  out += '"';
}

void write_json(std::string& out, const Problem& problem) {
  out += R"({"status":)";
  out += problem.status_text;
  append_member(out, "type", problem.type);
  append_member(out, "title", problem.title);
  append_member(out, "detail", problem.detail);
  append_member(out, "reason", problem.reason);
  append_member(out, "request_id", problem.request_id);
  append_member(out, "trace_id", problem.trace_id);
  out += "}\n";
}

void append_html_escaped(std::string& out, std::string_view text) {
  for (const char c : text) {
    switch (c) {
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '&':
        out += "&amp;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
}

void write_html(std::string& out, const Problem& problem) {
  out += "<!doctype html>\n<meta charset=\"utf-8\">\n<title>";
  out.append(problem.status_text).append(" ").append(problem.title);
  out += "</title>\n<h1>";
  out.append(problem.status_text).append(" ").append(problem.title);
  out += "</h1>\n";
  if (!problem.detail.empty()) {
    out += "<p>";
    append_html_escaped(out, problem.detail);
    out += "</p>\n";
  }
  if (!problem.request_id.empty()) {
    out += "<p><small>Request ";
    append_html_escaped(out, problem.request_id);
    out += "</small></p>\n";
  }
}

}  // namespace

void reply(http::Exchange& exchange, Reason reason, std::string_view detail,
           const ReplyOptions& options) {
  reply(exchange, status_of(reason), reason, detail, options);
}

void reply(http::Exchange& exchange, int status, Reason reason, std::string_view detail,
           const ReplyOptions& options) {
  // Kept from reply to reply, so that writing one allocates nothing; its result moves into the
  // arena.
  static thread_local std::string scratch;

  exchange.reason = reason;
  exchange.reason_detail = detail;
  if (const auto instead = public_detail(reason); options.production && !instead.empty()) {
    detail = instead;
  }
  const std::string_view word = to_string(reason);
  const Problem problem{
      .type = word.empty() ? "about:blank" : exchange.arena.concat({"urn:tyaprover:reason:", word}),
      .status_text = exchange.arena.store_number(status),
      .title = http::status_phrase(status),
      .detail = detail,
      .reason = word,
      .request_id = exchange.request_id,
      .trace_id = exchange.trace_id,
  };
  const bool html = prefers_html(exchange.request.fields);
  scratch.clear();
  if (html) {
    write_html(scratch, problem);
  } else {
    write_json(scratch, problem);
  }

  http::Response& response = exchange.response;
  const bool close = response.close;
  response.clear();
  response.close = close;
  response.status = status;
  response.fields.add(KnownField::content_type,
                      html ? "text/html; charset=utf-8" : "application/problem+json");
  response.fields.add(KnownField::cache_control, "no-store");
  if (options.retry_after) {
    response.fields.add(KnownField::retry_after,
                        exchange.arena.store_number(options.retry_after->count()));
  }
  response.content = exchange.arena.store(scratch);
}

}  // namespace tyaprover::filters
