#include "tyaprover/http/reason.h"

namespace tyaprover::http {

std::string_view to_string(Reason reason) noexcept {
  switch (reason) {
    case Reason::none:
      return "";
    case Reason::no_route:
      return "no_route";
    case Reason::bad_request:
      return "bad_request";
    case Reason::request_timeout:
      return "request_timeout";
    case Reason::body_too_large:
      return "body_too_large";
    case Reason::target_too_long:
      return "target_too_long";
    case Reason::head_too_large:
      return "head_too_large";
    case Reason::rate_limited:
      return "rate_limited";
    case Reason::unauthorized:
      return "unauthorized";
    case Reason::forbidden:
      return "forbidden";
    case Reason::method_not_allowed:
      return "method_not_allowed";
    case Reason::expectation_failed:
      return "expectation_failed";
    case Reason::upstream_connect_failed:
      return "upstream_connect_failed";
    case Reason::upstream_reset:
      return "upstream_reset";
    case Reason::upstream_protocol_error:
      return "upstream_protocol_error";
    case Reason::upstream_connect_timeout:
      return "upstream_connect_timeout";
    case Reason::upstream_response_timeout:
      return "upstream_response_timeout";
    case Reason::circuit_open:
      return "circuit_open";
    case Reason::no_healthy_upstream:
      return "no_healthy_upstream";
    case Reason::overloaded:
      return "overloaded";
    case Reason::shutting_down:
      return "shutting_down";
    case Reason::loop_detected:
      return "loop_detected";
    case Reason::client_disconnected:
      return "client_disconnected";
    case Reason::internal_error:
      return "internal_error";
  }
  return "";
}

int status_of(Reason reason) noexcept {
  switch (reason) {
    case Reason::none:
      return 200;
    case Reason::no_route:
      return 404;
    case Reason::bad_request:
      return 400;
    case Reason::request_timeout:
      return 408;
    case Reason::body_too_large:
      return 413;
    case Reason::target_too_long:
      return 414;
    case Reason::head_too_large:
      return 431;
    case Reason::rate_limited:
      return 429;
    case Reason::unauthorized:
      return 401;
    case Reason::forbidden:
      return 403;
    case Reason::method_not_allowed:
      return 405;
    case Reason::expectation_failed:
      return 417;
    case Reason::upstream_connect_failed:
    case Reason::upstream_reset:
    case Reason::upstream_protocol_error:
      return 502;
    case Reason::upstream_connect_timeout:
    case Reason::upstream_response_timeout:
      return 504;
    case Reason::circuit_open:
    case Reason::no_healthy_upstream:
    case Reason::overloaded:
    case Reason::shutting_down:
      return 503;
    case Reason::loop_detected:
      return 508;
    case Reason::client_disconnected:
      return 499;
    case Reason::internal_error:
      return 500;
  }
  return 500;
}

std::string_view status_phrase(int status) noexcept {
  switch (status) {
    case 100:
      return "Continue";
    case 101:
      return "Switching Protocols";
    case 102:
      return "Processing";
    case 103:
      return "Early Hints";
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 202:
      return "Accepted";
    case 203:
      return "Non-Authoritative Information";
    case 204:
      return "No Content";
    case 205:
      return "Reset Content";
    case 206:
      return "Partial Content";
    case 207:
      return "Multi-Status";
    case 208:
      return "Already Reported";
    case 226:
      return "IM Used";
    case 300:
      return "Multiple Choices";
    case 301:
      return "Moved Permanently";
    case 302:
      return "Found";
    case 303:
      return "See Other";
    case 304:
      return "Not Modified";
    case 305:
      return "Use Proxy";
    case 307:
      return "Temporary Redirect";
    case 308:
      return "Permanent Redirect";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 402:
      return "Payment Required";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 406:
      return "Not Acceptable";
    case 407:
      return "Proxy Authentication Required";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 410:
      return "Gone";
    case 411:
      return "Length Required";
    case 412:
      return "Precondition Failed";
    case 413:
      return "Content Too Large";
    case 414:
      return "URI Too Long";
    case 415:
      return "Unsupported Media Type";
    case 416:
      return "Range Not Satisfiable";
    case 417:
      return "Expectation Failed";
    case 421:
      return "Misdirected Request";
    case 422:
      return "Unprocessable Content";
    case 423:
      return "Locked";
    case 424:
      return "Failed Dependency";
    case 425:
      return "Too Early";
    case 426:
      return "Upgrade Required";
    case 428:
      return "Precondition Required";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 451:
      return "Unavailable For Legal Reasons";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    case 505:
      return "HTTP Version Not Supported";
    case 506:
      return "Variant Also Negotiates";
    case 507:
      return "Insufficient Storage";
    case 508:
      return "Loop Detected";
    case 511:
      return "Network Authentication Required";
    default:
      return "Unknown";
  }
}

}  // namespace tyaprover::http
