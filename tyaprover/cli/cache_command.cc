#include "tyaprover/cli/cache_command.h"

#include <ostream>
#include <string>
#include <utility>

#include "tyaprover/base/text.h"
#include "tyaprover/cli/admin_client.h"
#include "tyaprover/gateway/yaml_tree.h"

namespace tyaprover::cli {
namespace {

using gateway::YamlNode;

std::string purge_path(const CacheArguments& arguments) {
  const std::pair<const char*, const std::string&> selectors[] = {{"key", arguments.url},
                                                                  {"prefix", arguments.prefix},
                                                                  {"pattern", arguments.pattern},
                                                                  {"tag", arguments.tag}};
  std::string path = "/cache?";
  for (const auto& [name, value] : selectors) {
    if (!value.empty()) path.append(name).append("=").append(percent_encoded(value));
  }
  if (arguments.all) path += "all=true";
  if (arguments.soft) path += "&soft=true";
  return path;
}

}  // namespace

int cache(const CacheArguments& arguments, const Surroundings& surroundings) {
  const GatewayAddress gateway =
      with_key_of_environment(arguments.gateway, surroundings.environment);
  const bool purges = arguments.action == "purge";
  const auto body = purges ? ask_gateway(gateway, http::Method::delete_, purge_path(arguments))
                           : ask_gateway(gateway, http::Method::get, "/cache");
  if (!body) {
    surroundings.err << "tyaprover: " << body.error() << '\n';
    return kWrong;
  }
  if (arguments.format == "json") {
    surroundings.out << trim(*body) << '\n';
    return kSuccess;
  }
  // The answers are JSON, which is YAML.
  const gateway::YamlTree answer = gateway::read_yaml(*body);
  if (answer.root == nullptr || answer.root->kind != YamlNode::Kind::map) {
    surroundings.err << "tyaprover: what answers at " << gateway.url
                     << " is no gateway: check --url\n";
    return kWrong;
  }
  for (const YamlNode::Entry& entry : answer.root->entries) {
    if (entry.value->kind != YamlNode::Kind::scalar) continue;
    surroundings.out << entry.key << ": " << entry.value->text << '\n';
  }
  return kSuccess;
}

}  // namespace tyaprover::cli
