#include "tyaprover/cli/breaker_command.h"

#include <algorithm>
#include <ostream>
#include <string>
#include <vector>

#include "tyaprover/base/text.h"
#include "tyaprover/cli/admin_client.h"
#include "tyaprover/gateway/yaml_tree.h"

namespace tyaprover::cli {
namespace {

using gateway::YamlNode;

// The answers are JSON, which is YAML.
std::string text_of(const YamlNode& breaker, std::string_view name) {
  const YamlNode::Entry* const entry = gateway::entry_of(breaker, name);
  const bool known = entry != nullptr && entry->value->kind == YamlNode::Kind::scalar;
  return known ? entry->value->text : "-";
}

void print_table(const YamlNode& breakers, std::ostream& out) {
  std::vector<std::vector<std::string>> rows = {
      {"NAME", "STATE", "FAILURES", "CALLS", "IN FLIGHT", "RETRY AFTER MS"}};
  for (const YamlNode::Entry& entry : breakers.entries) {
    const YamlNode& breaker = *entry.value;
    rows.push_back({entry.key, text_of(breaker, "state"), text_of(breaker, "failureCount"),
                    text_of(breaker, "recentRequests"), text_of(breaker, "inFlight"),
                    text_of(breaker, "retryAfterMs")});
  }
  std::vector<std::size_t> widths(rows.front().size(), 0);
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      line += row[i];
      if (i + 1 < row.size()) line.append(widths[i] - row[i].size() + 2, ' ');
    }
    out << line << '\n';
  }
}

int complain(const std::string& problem, const Surroundings& surroundings) {
  surroundings.err << "tyaprover: " << problem << '\n';
  return kWrong;
}

}  // namespace

int breaker(const BreakerArguments& arguments, const Surroundings& surroundings) {
  const GatewayAddress gateway =
      with_key_of_environment(arguments.gateway, surroundings.environment);
  const bool lists = arguments.action == "list";
  const auto body =
      lists ? ask_gateway(gateway, http::Method::get, "/breakers")
            : ask_gateway(gateway, http::Method::post,
                          "/breakers/" + percent_encoded(arguments.name) + "/" + arguments.action);
  if (!body) return complain(body.error(), surroundings);
  const gateway::YamlTree answer = gateway::read_yaml(*body);
  if (answer.root == nullptr || answer.root->kind != YamlNode::Kind::map) {
    return complain("what answers at " + gateway.url + " is no gateway: check --url", surroundings);
  }
  if (arguments.format == "json") {
    surroundings.out << trim(*body) << '\n';
  } else if (lists) {
    print_table(*answer.root, surroundings.out);
  } else {
    surroundings.out << arguments.name << ": " << text_of(*answer.root, "state") << '\n';
  }
  return kSuccess;
}

}  // namespace tyaprover::cli
