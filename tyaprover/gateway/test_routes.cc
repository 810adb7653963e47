#include "tyaprover/gateway/test_routes.h"

#include <optional>
#include <string>

#include "tyaprover/gateway/json_reply.h"
#include "tyaprover/gateway/upstream_breaker.h"
#include "tyaprover/gateway/yaml_tree.h"
#include "tyaprover/http/worker.h"

namespace tyaprover::gateway {
namespace {

using http::Method;
using http::Reason;
using resilience::CircuitBreaker;

constexpr std::size_t kMostBody = 4096;

// The request's body; nothing if it is too long or does not come.
http::Task<std::optional<std::string>> read_body(filters::Exchange& e) {
  std::string text;
  while (e.request_body != nullptr) {
    const auto piece = co_await e.request_body->read();
    if (!piece || text.size() + piece->data.size() > kMostBody) co_return std::nullopt;
    text += piece->data;
    if (piece->last) break;
  }
  co_return text;
}

// What the body asks for: the action, empty if it names none; nothing if it is no JSON object.
std::optional<std::string> action_in(const std::string& body) {
  const YamlTree tree = read_yaml(body);  // JSON is YAML
  if (!tree.problems.empty()) return std::nullopt;
  if (tree.root == nullptr || tree.root->kind == YamlNode::Kind::null) return std::string();
  if (tree.root->kind != YamlNode::Kind::map) return std::nullopt;
  const YamlNode::Entry* const action = entry_of(*tree.root, "action");
  return action == nullptr ? std::string() : action->value->text;
}

// False if there is no such action.
bool move(CircuitBreaker& breaker, std::string_view action) {
  if (action.empty() || action == "fail" || action == "succeed") {
    auto permit = breaker.try_acquire();
    if (permit && action == "succeed") {
      permit->success();
    } else if (permit) {
      permit->failure();
    }
    return true;
  }
  return move_by_hand(breaker, action);
}

void fail(filters::Exchange& e, CircuitBreaker& breaker, const filters::ReplyOptions& reply) {
  const CausedBy cause(&e);
  auto permit = breaker.try_acquire();
  if (!permit) {
    e.breaker = to_string(permit.error().state);
    reply_circuit_open(e, breaker.name(), permit.error().retry_after, reply);
    return;
  }
  permit->failure();
  filters::reply(e, Reason::internal_error, "this endpoint always fails", reply);
}

}  // namespace

std::string_view TestRoutes::route_of(std::string_view path) noexcept {
  return path == kFailing ? kFailing : path == kBreaker ? kBreaker : std::string_view();
}

http::Task<void> TestRoutes::answer(filters::Exchange& e, const filters::ReplyOptions& reply) {
  CircuitBreaker* const breaker = breakers_.test();
  if (breaker == nullptr) {
    filters::reply(e, Reason::no_route, "there are no test routes in production", reply);
    co_return;
  }
  const bool failing = e.path == kFailing;
  const Method method = e.request.method_id;
  if (failing ? method != Method::get && method != Method::head : method != Method::post) {
    filters::reply(e, Reason::method_not_allowed, failing ? "only GET and HEAD" : "only POST",
                   reply);
    e.response.fields.add("Allow", failing ? "GET, HEAD" : "POST");
    co_return;
  }
  if (failing) co_return fail(e, *breaker, reply);
  const std::optional<std::string> body = co_await read_body(e);
  const std::optional<std::string> action = body ? action_in(*body) : std::nullopt;
  const CausedBy cause(&e);
  if (!action || !move(*breaker, *action)) {
    filters::reply(e, Reason::bad_request,
                   R"(the body is {"action":"fail|succeed|open|close|reset"}, or there is none)",
                   reply);
    co_return;
  }
  reply_json(e, to_json(breaker->stats()));
}

}  // namespace tyaprover::gateway
