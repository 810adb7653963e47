#include "tyaprover/filters/request_id.h"

#include <algorithm>
#include <chrono>

#include "tyaprover/base/ids.h"
#include "tyaprover/filters/millis.h"
#include "tyaprover/http/worker.h"

namespace tyaprover::filters {

using http::KnownField;

namespace {

constexpr std::size_t kMaxId = 128;
constexpr std::size_t kUuid = 36;

bool is_id_byte(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("._:/+=-").find(c) != std::string_view::npos;
}

std::string_view new_id(http::Arena& arena) {
  char id[kUuid];
  write_uuid_v7(id, std::chrono::system_clock::now());
  return arena.store({id, kUuid});
}

// A refused head was never parsed; its time runs from its first byte.
TimePoint begin_of(const http::Timings& timings) noexcept {
  if (timings.head_parsed != TimePoint()) return timings.head_parsed;
  if (timings.head_begun != TimePoint()) return timings.head_begun;
  return timings.accepted;
}

}  // namespace

bool is_valid_request_id(std::string_view id) noexcept {
  return !id.empty() && id.size() <= kMaxId && std::all_of(id.begin(), id.end(), is_id_byte);
}

Verdict RequestId::on_request(Exchange& exchange, State&) noexcept {
  const http::Fields& fields = exchange.request.fields;
  if (exchange.peer_trusted && fields.count(KnownField::x_request_id) == 1) {
    const std::string_view id = fields.value(KnownField::x_request_id);
    if (is_valid_request_id(id)) exchange.request_id = id;
  }
  if (exchange.request_id.empty()) exchange.request_id = new_id(exchange.arena);
  return Verdict::proceed;
}

void RequestId::on_response(Exchange& exchange, State&) noexcept {
  const MillisText elapsed(exchange.worker.now() - begin_of(exchange.timings));
  http::Fields& fields = exchange.response.fields;
  fields.set(KnownField::x_request_id, exchange.request_id);
  fields.set(KnownField::x_response_time, exchange.arena.concat({elapsed.view(), "ms"}));
}

}  // namespace tyaprover::filters
