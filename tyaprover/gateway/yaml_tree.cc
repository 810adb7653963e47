#include "tyaprover/gateway/yaml_tree.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <istream>
#include <optional>
#include <streambuf>
#include <unordered_map>

#include "tyaprover/base/utf8.h"

namespace tyaprover::gateway {
namespace {

YamlPlace place_of(const YAML::Mark& mark) {
  return {.line = mark.line, .column = mark.column};
}

// Ends the reading from inside the parser's callbacks.
struct Stop {
  YamlProblem problem;
};

// A stream over bytes that are already in memory.
class ViewBuffer final : public std::streambuf {
 public:
  explicit ViewBuffer(std::string_view text) {
    char* begin = const_cast<char*>(text.data());  // a get area is only read
    setg(begin, begin, begin + text.size());
  }
};

// Builds the tree from the parser's events.
// Invariant: open_ holds the collections that have begun and not ended, outermost first.
class TreeBuilder final : public YAML::EventHandler {
 public:
  explicit TreeBuilder(YamlTree& tree) : tree_(tree) {}

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (++documents_ > 1) {
      throw Stop{{place_of(mark), "a second document begins here",
                  "a file holds one document: remove \"---\""}};
    }
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    if (wants_key()) {
      throw Stop{{place_of(mark), "a key is missing", ""}};
    }
    attach(add(YamlNode::Kind::null, mark, anchor));
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto found = anchors_.find(anchor);
    if (found == anchors_.end() || is_open(found->second)) {
      throw Stop{{place_of(mark), "this alias stands inside of what it repeats", ""}};
    }
    if (wants_key()) refuse_key(mark);
    attach(found->second);
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    refuse_tag(mark, tag);
    if (wants_key()) {
      set_key(mark, value);
      if (anchor != 0) anchors_[anchor] = scalar(mark, anchor, value);
      return;
    }
    attach(scalar(mark, anchor, value));
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value /*style*/) override {
    begin(YamlNode::Kind::sequence, mark, tag, anchor);
  }
  void OnSequenceEnd() override { end(); }

  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value /*style*/) override {
    begin(YamlNode::Kind::map, mark, tag, anchor);
  }
  void OnMapEnd() override { end(); }

  [[nodiscard]] const YamlNode* root() const { return root_; }

 private:
  struct Open {
    YamlNode* node;
    std::optional<YamlNode::Entry> entry = std::nullopt;  // a map's key that waits for its value
    bool duplicate = false;                               // … and its value will be dropped
    std::unordered_map<std::string, int> lines = {};      // of the map's keys
    std::uint64_t size = 1;                               // nodes in it, aliases followed
  };

  [[nodiscard]] bool wants_key() const {
    return !open_.empty() && open_.back().node->kind == YamlNode::Kind::map && !open_.back().entry;
  }
  [[nodiscard]] bool is_open(const YamlNode* node) const {
    for (const Open& open : open_) {
      if (open.node == node) return true;
    }
    return false;
  }

  [[noreturn]] static void refuse_key(const YAML::Mark& mark) {
    throw Stop{{place_of(mark), "a key must be plain text", ""}};
  }
  static void refuse_tag(const YAML::Mark& mark, const std::string& tag) {
    if (tag.empty() || tag == "?" || tag == "!") return;
    throw Stop{
        {place_of(mark), "tags are not supported", "remove the word that begins with \"!\""}};
  }

  YamlNode* add(YamlNode::Kind kind, const YAML::Mark& mark, YAML::anchor_t anchor) {
    YamlNode& node = tree_.nodes.emplace_back();
    node.kind = kind;
    node.place = place_of(mark);
    if (anchor != 0) anchors_[anchor] = &node;
    return &node;
  }

  YamlNode* scalar(const YAML::Mark& mark, YAML::anchor_t anchor, const std::string& value) {
    YamlNode* node = add(YamlNode::Kind::scalar, mark, anchor);
    node->text = value;
    return node;
  }

  void set_key(const YAML::Mark& mark, const std::string& key) {
    Open& map = open_.back();
    map.entry = YamlNode::Entry{.key = key, .place = place_of(mark)};
    const auto [first, is_new] = map.lines.emplace(key, mark.line);
    map.duplicate = !is_new;
    if (map.duplicate) {
      tree_.problems.push_back({place_of(mark), "the key \"" + key + "\" stands here a second time",
                                "it is set first on line " + std::to_string(first->second + 1)});
    }
  }

  void begin(YamlNode::Kind kind, const YAML::Mark& mark, const std::string& tag,
             YAML::anchor_t anchor) {
    refuse_tag(mark, tag);
    if (wants_key()) refuse_key(mark);
    if (open_.size() == kMaxYamlDepth) {
      throw Stop{
          {place_of(mark),
           "lists and maps are nested deeper than " + std::to_string(kMaxYamlDepth) + " levels",
           ""}};
    }
    open_.push_back({.node = add(kind, mark, anchor)});
  }

  void end() {
    YamlNode* node = open_.back().node;
    sizes_[node] = open_.back().size;
    open_.pop_back();
    attach(node);
  }

  void attach(const YamlNode* node) {
    if (open_.empty()) {
      root_ = node;
      return;
    }
    Open& parent = open_.back();
    const auto size = sizes_.find(node);
    parent.size += size == sizes_.end() ? 1 : size->second;
    if (parent.size > kMaxYamlNodes) {
      throw Stop{{parent.node->place,
                  "more than " + std::to_string(kMaxYamlNodes) + " values, aliases followed", ""}};
    }
    if (parent.node->kind == YamlNode::Kind::sequence) {
      parent.node->items.push_back(node);
      return;
    }
    if (!parent.duplicate) {
      parent.entry->value = node;
      parent.node->entries.push_back(std::move(*parent.entry));
    }
    parent.entry.reset();
  }

  YamlTree& tree_;
  const YamlNode* root_ = nullptr;
  int documents_ = 0;
  std::vector<Open> open_;
  std::unordered_map<YAML::anchor_t, const YamlNode*> anchors_;
  std::unordered_map<const YamlNode*, std::uint64_t> sizes_;  // of closed collections
};

// Text that people can see and edit: UTF-8 without controls. Also keeps the parser from guessing
// encodings.
std::optional<YamlProblem> find_bad_byte(std::string_view text) {
  YamlPlace place;
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Sequence sequence = decode_utf8(text, at);
    if (!sequence.valid)
      return YamlProblem{place, "this byte is not valid UTF-8", "save the file as UTF-8"};
    const std::uint32_t code = sequence.code;
    const bool line_end = code == '\n' || (code == '\r' && text.substr(at + 1).starts_with('\n'));
    if ((code < 0x20 && code != '\t' && !line_end) || (code >= 0x7f && code < 0xa0)) {
      return YamlProblem{place, "this control character may not stand in a configuration",
                         "remove it"};
    }
    if (code == '\n') {
      ++place.line;
      place.column = 0;
    } else {
      place.column += static_cast<int>(sequence.length);
    }
    at += sequence.length;
  }
  return std::nullopt;
}

std::string hint_for_syntax(std::string_view text, int line) {
  for (int i = 0; i < line && !text.empty(); ++i) {
    const std::size_t end = text.find('\n');
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  const std::string_view source = text.substr(0, text.find('\n'));
  if (source.find("${") != std::string_view::npos) {
    return "inside [ ] and { } a value with ${…} must stand in quotes";
  }
  if (source.find('\t') != std::string_view::npos) return "indent with spaces, not with tabs";
  if (source.find(": *") != std::string_view::npos ||
      source.find("- *") != std::string_view::npos) {
    return "a value that begins with * must stand in quotes";
  }
  return "";
}

}  // namespace

YamlTree read_yaml(std::string_view text) {
  YamlTree tree;
  if (text.size() > kMaxYamlBytes) {
    tree.problems.push_back({{}, "the file is larger than 1 MiB", "split it with include:"});
    return tree;
  }
  constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  if (std::optional<YamlProblem> problem = find_bad_byte(text)) {
    tree.problems.push_back(std::move(*problem));
    return tree;
  }

  try {
    ViewBuffer buffer(text);
    std::istream stream(&buffer);
    YAML::Parser parser(stream);
    TreeBuilder builder(tree);
    while (parser.HandleNextDocument(builder)) {
    }
    tree.root = builder.root();
  } catch (Stop& stop) {
    tree.problems.push_back(std::move(stop.problem));
  } catch (const YAML::Exception& failure) {
    const YamlPlace place = failure.mark.is_null() ? YamlPlace{} : place_of(failure.mark);
    tree.problems.push_back(
        {place, "this is not valid YAML: " + failure.msg, hint_for_syntax(text, place.line)});
  }
  return tree;
}

}  // namespace tyaprover::gateway
