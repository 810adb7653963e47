// YamlTree: a YAML document with the place of every value, read without trust.
//
// A value type that owns its nodes; not thread-safe. Aliases are shared nodes, so a node may be
// reached on several ways, but never from within itself. Hostile input costs little: beyond the
// limits below reading stops with an error. What YAML allows but a configuration has no use for is
// an error too: tags, several documents, keys that are not text, duplicate keys.
//
//   YamlTree tree = read_yaml(text);
//   for (const YamlProblem& problem : tree.problems) …
//   if (tree.root != nullptr) walk(*tree.root);
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tyaprover::gateway {

inline constexpr std::size_t kMaxYamlBytes = 1 << 20;
inline constexpr std::size_t kMaxYamlDepth = 32;
// Values reached when every alias is followed: what an "alias bomb" multiplies.
inline constexpr std::uint64_t kMaxYamlNodes = 100'000;

// Zero-based; the column counts bytes.
struct YamlPlace {
  int line = 0;
  int column = 0;
};

struct YamlNode {
  enum class Kind { null, scalar, sequence, map };
  struct Entry {
    std::string key;
    YamlPlace place;
    const YamlNode* value = nullptr;
  };

  Kind kind = Kind::null;
  YamlPlace place;
  std::string text;                    // scalar
  std::vector<const YamlNode*> items;  // sequence
  std::vector<Entry> entries;  // map, in the order of the file; the first of duplicate keys only
};
// Null if the map has no such key.
[[nodiscard]] inline const YamlNode::Entry* entry_of(const YamlNode& map, std::string_view key) {
  const auto found = std::ranges::find(map.entries, key, &YamlNode::Entry::key);
  return found == map.entries.end() ? nullptr : &*found;
}

struct YamlProblem {
  YamlPlace place;
  std::string message;
  std::string hint;
};

struct YamlTree {
  // Null if the text could not be read to its end, or is empty.
  const YamlNode* root = nullptr;
  std::vector<YamlProblem> problems;
  // Stable addresses: nodes point to each other.
  std::deque<YamlNode> nodes;
};

[[nodiscard]] YamlTree read_yaml(std::string_view text);

}  // namespace tyaprover::gateway
