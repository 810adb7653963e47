// Files and an environment in memory, for the tests of the configuration and its fuzzer.
//
// Not thread-safe; must outlive the load_config call that uses them.
//
//   MemoryFiles files{{{"tyaprover.yaml", "listen: [':1']"}}};
//   auto loaded = load_config({.file = "tyaprover.yaml", .environment = lookup_in({}), .files =
//   &files});
#pragma once

#include <fnmatch.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "tyaprover/gateway/config_load.h"

namespace tyaprover::gateway {

class MemoryFiles final : public ConfigFiles {
 public:
  MemoryFiles() = default;
  explicit MemoryFiles(std::map<std::string, std::string> contents) : files(std::move(contents)) {}

  Result<std::string, std::string> read(const std::string& path) const override {
    const auto found = files.find(path);
    if (found == files.end()) return err(std::string("does not exist"));
    return found->second;
  }
  std::vector<std::string> matching(const std::string& pattern) const override {
    std::vector<std::string> paths;
    for (const auto& [path, bytes] : files) {
      if (fnmatch(pattern.c_str(), path.c_str(), FNM_PATHNAME) == 0) paths.push_back(path);
    }
    return paths;
  }

  std::map<std::string, std::string> files;
};

inline EnvironmentLookup lookup_in(std::map<std::string, std::string> variables) {
  return [variables = std::move(variables)](const std::string& name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    return found == variables.end() ? std::nullopt : std::optional(found->second);
  };
}

}  // namespace tyaprover::gateway
