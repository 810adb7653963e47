#include "tyaprover/cli/admin_client.h"

#include <chrono>

#include "tyaprover/gateway/yaml_tree.h"
#include "tyaprover/http/client.h"
#include "tyaprover/http/http_url.h"
#include "tyaprover/http/worker.h"

namespace tyaprover::cli {
namespace {

using http::ReadHead;

constexpr std::chrono::seconds kLimit{10};
constexpr std::size_t kMostBody = std::size_t{16} << 20;
constexpr std::string_view kAdminPath = "/api/v1";
constexpr std::string_view kUnix = "unix:";

struct Place {
  http::Endpoint endpoint;
  std::string authority;
  std::string path;  // of the admin API
};

Result<Place, std::string> find_place(const std::string& url) {
  if (url.starts_with(kUnix)) {
    return Place{http::Endpoint::unix_path(url.substr(kUnix.size())), "localhost",
                 std::string(kAdminPath)};
  }
  const auto parts = http::parse_http_url(url);
  if (!parts) {
    return err("\"" + url +
               "\" is no URL of a gateway: write for example --url http://127.0.0.1:3000");
  }
  std::string problem;
  const auto endpoint = http::resolve(*parts, problem);
  if (!endpoint) return err(problem + ": check --url");
  std::string path = parts->target;
  while (path.ends_with('/')) path.pop_back();
  return Place{*endpoint, parts->authority, path.empty() ? std::string(kAdminPath) : path};
}

// One request and its answer.
struct Call {
  const Place& place;
  std::string head;
  http::Method method;
  int status = 0;
  std::string body = {};
  std::string problem = {};  // why there is no answer
};

std::string_view problem_of(ReadHead result) noexcept {
  switch (result) {
    case ReadHead::timeout:
      return "no answer in time";
    case ReadHead::closed:
      return "the connection was closed without an answer";
    case ReadHead::protocol:
      return "the answer is no HTTP";
    case ReadHead::aborted:
    case ReadHead::complete:
      break;
  }
  return "the call was given up";
}

http::Task<void> read_answer(http::ClientConnection& connection, TimePoint deadline, Call& call) {
  ReadHead result = ReadHead::complete;
  do {
    result = co_await connection.read_head(deadline);
  } while (result == ReadHead::complete && connection.head().status < 200);
  if (result != ReadHead::complete) {
    call.problem = problem_of(result);
    co_return;
  }
  for (;;) {
    const auto piece = co_await connection.read();
    if (!piece || call.body.size() + piece->data.size() > kMostBody) {
      call.problem = piece ? "the answer is too long" : to_string(piece.error());
      co_return;
    }
    call.body += piece->data;
    if (piece->last) break;
  }
  call.status = connection.head().status;
}

http::Task<void> run(http::Worker& worker, http::ConnectionPool& pool, Call& call) {
  http::ClientConnection& connection = *pool.create();
  const TimePoint deadline = worker.now() + kLimit;
  const http::IoError error = co_await connection.connect(call.place.endpoint, deadline);
  if (error == http::IoError::none) {
    connection.begin(call.method);
    static_cast<void>(co_await connection.write(call.head));
    co_await read_answer(connection, deadline, call);
  } else {
    call.problem = to_string(error);
  }
  connection.spoil();
  connection.release();
  worker.stop();
}

// What a problem+json answer says.
std::string detail_of(const Call& call) {
  const gateway::YamlTree problem = gateway::read_yaml(call.body);  // JSON is YAML
  if (problem.root != nullptr) {
    const auto* const detail = gateway::entry_of(*problem.root, "detail");
    if (detail != nullptr && !detail->value->text.empty()) return detail->value->text;
  }
  return "the gateway answered " + std::to_string(call.status);
}

}  // namespace

Result<std::string, std::string> ask_gateway(const GatewayAddress& address, http::Method method,
                                             std::string_view path) {
  const auto place = find_place(address.url);
  if (!place) return err(place.error());
  if (address.key.find_first_of("\r\n") != std::string::npos) {
    return err(std::string("the key has a line break: check --key and ADMIN_API_KEY"));
  }
  Call call{.place = *place, .head = {}, .method = method};
  call.head = std::string(http::to_string(method)) + " " + place->path + std::string(path) +
              " HTTP/1.1\r\nHost: " + place->authority +
              "\r\nAccept: application/json\r\nConnection: close\r\n";
  if (method == http::Method::post) call.head += "Content-Length: 0\r\n";
  if (!address.key.empty()) call.head += "x-api-key: " + address.key + "\r\n";
  call.head += "\r\n";
  {
    http::Worker worker(0);
    http::ConnectionPool pool(worker, {});
    worker.post([&] { spawn(run(worker, pool, call)); });
    worker.run();
  }
  if (!call.problem.empty()) {
    return err("cannot reach the gateway at " + address.url + ": " + call.problem +
               ": is it running? --url names another place");
  }
  if (call.status == 401 || call.status == 403) {
    return err("the gateway refused: " + detail_of(call) + ": give --key or set ADMIN_API_KEY");
  }
  if (call.status < 200 || call.status > 299) return err(detail_of(call));
  return std::move(call.body);
}

std::string percent_encoded(std::string_view text) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '_' || c == '.' || c == ':';
    if (plain) {
      out += c;
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    out += {'%', kHex[byte >> 4], kHex[byte & 15]};
  }
  return out;
}

GatewayAddress with_key_of_environment(GatewayAddress address,
                                       const gateway::EnvironmentLookup& environment) {
  if (address.key.empty()) address.key = environment("ADMIN_API_KEY").value_or("");
  return address;
}

}  // namespace tyaprover::cli
