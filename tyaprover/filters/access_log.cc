#include "tyaprover/filters/access_log.h"

#include <charconv>
#include <cmath>
#include <concepts>
#include <utility>

#include "tyaprover/base/json_writer.h"
#include "tyaprover/base/time_format.h"
#include "tyaprover/filters/millis.h"
#include "tyaprover/http/worker.h"

namespace tyaprover::filters {

using http::KnownField;
using http::Outcome;

namespace {

constexpr std::string_view kHiddenQuery = "***";

// What both kinds of lines say, worked out once.
struct Entry {
  Entry(const http::Exchange& e, const AccessLogOptions& options, TimePoint end)
      : status(e.logged_status()),
        client(e.client.empty() ? e.peer.text() : e.client),
        path(e.request.path),
        has_query(e.request.has_query),
        query(options.query || !has_query ? e.request.query : kHiddenQuery),
        protocol(e.request.minor_version == 0 ? "HTTP/1.0" : "HTTP/1.1"),
        finished(e.timings.last_byte != TimePoint() ? e.timings.last_byte : end),
        duration(finished - began(e.timings)) {}

  // A refused head was never parsed; its time runs from its first byte.
  static TimePoint began(const http::Timings& timings) noexcept {
    if (timings.head_parsed != TimePoint()) return timings.head_parsed;
    return timings.head_begun != TimePoint() ? timings.head_begun : timings.accepted;
  }

  int status;
  std::string_view client;
  std::string_view path;
  bool has_query;
  std::string_view query;
  std::string_view protocol;
  TimePoint finished;
  Nanos duration;
};

// The gateway's or the app's fault, the client's fault or broken transfers, everything else.
std::string_view level_of(const http::Exchange& exchange, int status) noexcept {
  if (status >= 500) return "error";
  if (status >= 400 || exchange.outcome == Outcome::truncated ||
      exchange.outcome == Outcome::client_timeout) {
    return "warn";
  }
  return "info";
}

void append_number(std::string& out, std::integral auto value) {
  char digits[24];
  const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
  out.append(digits, static_cast<std::size_t>(end - digits));
}

// `key` is written as it is: `,"name":`.
void append_text(std::string& out, std::string_view key, std::string_view value) {
  out.append(key);
  out += '"';
  append_json_escaped(out, value);
  out += '"';
}

// From the acquired connection to the response head; when that never came, to the end.
void append_upstream_duration(std::string& out, const http::Timings& timings, TimePoint finished) {
  if (timings.upstream_acquired == TimePoint()) {
    out += "null";
    return;
  }
  const bool answered = timings.upstream_first_byte >= timings.upstream_acquired;
  const TimePoint end = answered ? timings.upstream_first_byte : finished;
  out.append(MillisText(end - timings.upstream_acquired).view());
}

void append_json_line(std::string& out, const http::Exchange& e, const Entry& entry,
                      std::chrono::system_clock::time_point wall_end) {
  char time[kRfc3339Size];
  write_rfc3339(time, wall_end);
  out += R"({"time":")";
  out.append(time, sizeof time);
  out += R"(","level":")";
  out.append(level_of(e, entry.status));
  out += R"(","msg":"request")";
  append_text(out, R"(,"request_id":)", e.request_id);
  append_text(out, R"(,"trace_id":)", e.trace_id);
  append_text(out, R"(,"span_id":)", e.span_id);
  append_text(out, R"(,"method":)", e.request.method);
  append_text(out, R"(,"path":)", entry.path);
  append_text(out, R"(,"query":)", entry.query);
  append_text(out, R"(,"host":)", e.request.authority);
  append_text(out, R"(,"route":)", e.route);
  append_text(out, R"(,"app":)", e.app);
  out += R"(,"status":)";
  append_number(out, entry.status);
  append_text(out, R"(,"reason":)", to_string(e.logged_reason()));
  out += R"(,"duration_ms":)";
  out.append(MillisText(entry.duration).view());
  append_text(out, R"(,"upstream":)", e.upstream);
  out += R"(,"upstream_duration_ms":)";
  append_upstream_duration(out, e.timings, entry.finished);
  out += R"(,"upstream_tries":)";
  append_number(out, e.upstream_tries);
  out += R"(,"bytes_in":)";
  append_number(out, e.bytes_in);
  out += R"(,"bytes_out":)";
  append_number(out, e.bytes_out);
  append_text(out, R"(,"client":)", entry.client);
  append_text(out, R"(,"user_agent":)", e.request.fields.value(KnownField::user_agent));
  append_text(out, R"(,"referer":)", e.request.fields.value(KnownField::referer));
  append_text(out, R"(,"protocol":)", entry.protocol);
  append_text(out, R"(,"cache":)", e.cache);
  append_text(out, R"(,"breaker":)", e.breaker);
  out += "}\n";
}

// Printable ASCII without the two bytes that end or escape a quoted text; the rest as \xHH.
void append_hex_escaped(std::string& out, std::string_view text) {
  constexpr char kHex[] = "0123456789ABCDEF";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7f && c != '"' && c != '\\') {
      out += c;
      continue;
    }
    const char escape[4] = {'\\', 'x', kHex[byte >> 4], kHex[byte & 0xf]};
    out.append(escape, sizeof escape);
  }
}

void append_or_dash(std::string& out, std::string_view text) {
  if (text.empty()) {
    out += '-';
  } else {
    append_hex_escaped(out, text);
  }
}

// [06/Nov/1994:08:49:37 +0000]
void append_clf_time(std::string& out, std::chrono::system_clock::time_point time) {
  char date[kImfFixdateSize];  // Sun, 06 Nov 1994 08:49:37 GMT
  write_imf_fixdate(date, time);
  const std::string_view text(date, sizeof date);
  out += '[';
  out.append(text.substr(5, 2)).append("/").append(text.substr(8, 3)).append("/");
  out.append(text.substr(12, 4)).append(":").append(text.substr(17, 8)).append(" +0000]");
}

// Apache's common log format; the client's identity is never known.
void append_clf(std::string& out, const http::Exchange& e, const Entry& entry,
                std::chrono::system_clock::time_point wall_end) {
  append_or_dash(out, entry.client);
  out += " - - ";
  append_clf_time(out, wall_end);
  out += " \"";
  append_hex_escaped(out, e.request.method);
  out += ' ';
  append_hex_escaped(out, entry.path);
  if (entry.has_query) {
    out += '?';
    append_hex_escaped(out, entry.query);
  }
  out += ' ';
  out.append(entry.protocol);
  out += "\" ";
  append_number(out, entry.status);
  out += ' ';
  append_number(out, e.bytes_out);
}

void append_agents(std::string& out, const http::Exchange& e) {
  out += " \"";
  append_or_dash(out, e.request.fields.value(KnownField::referer));
  out += "\" \"";
  append_or_dash(out, e.request.fields.value(KnownField::user_agent));
  out += '"';
}

}  // namespace

void append_log_line(std::string& out, const http::Exchange& exchange,
                     const AccessLogOptions& options, TimePoint end,
                     std::chrono::system_clock::time_point wall_end) {
  const Entry entry(exchange, options, end);
  switch (options.format) {
    case LogFormat::json:
      append_json_line(out, exchange, entry, wall_end);
      return;
    case LogFormat::clf:
      append_clf(out, exchange, entry, wall_end);
      break;
    case LogFormat::combined:
      append_clf(out, exchange, entry, wall_end);
      append_agents(out, exchange);
      break;
  }
  out += '\n';
}

AccessLog::AccessLog(AccessLogWriter::Ring& ring, AccessLogOptions options, Random random)
    : ring_(&ring), options_(std::move(options)), random_(random) {}

bool AccessLog::is_sampled(const http::Exchange& exchange) noexcept {
  const int status = exchange.logged_status();
  const bool routine = status >= 200 && status < 300 && exchange.outcome == Outcome::complete;
  if (!routine || options_.sample >= 1) return true;
  // 53 bits are what a double holds exactly.
  return std::ldexp(static_cast<double>(random_() >> 11), -53) < options_.sample;
}

void AccessLog::on_finish(filters::Exchange& exchange, State&) noexcept {
  if (!options_.enabled || exchange.quiet || !is_sampled(exchange)) return;
  line_.clear();
  append_log_line(line_, exchange, options_, exchange.worker.now(),
                  std::chrono::system_clock::now());
  ring_->push(line_);
}

}  // namespace tyaprover::filters
