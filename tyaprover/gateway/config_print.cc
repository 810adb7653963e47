#include "tyaprover/gateway/config_print.h"

#include <algorithm>

#include "tyaprover/base/json_writer.h"
#include "tyaprover/base/text.h"
#include "tyaprover/base/utf8.h"
#include "tyaprover/gateway/config_keys.h"

namespace tyaprover::gateway {
namespace {

constexpr std::size_t kCommentColumn = 44;

// Read by the loader as the same text: plain where nothing can be misread, else in double quotes.
std::string yaml_scalar(std::string_view text) {
  const auto is_plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '/' ||
           c == '_' || c == '.';
  };
  const bool null_word = iequals(text, "null");
  if (!text.empty() && !null_word && is_plain(text.front()) &&
      std::ranges::all_of(text, [&](char c) { return is_plain(c) || c == '-'; })) {
    return std::string(text);
  }
  std::string escaped_reference;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text.substr(at).starts_with("${")) escaped_reference += '$';
    escaped_reference += text[at];
  }
  std::string out = "\"";
  append_json_escaped(out, escaped_reference);
  return out + "\"";
}

std::string yaml_value(const ConfigKey& key, const ValueText& value) {
  if (!key.is_list()) return yaml_scalar(value.items.front());
  std::string out = "[";
  for (const std::string& item : value.items) {
    if (out.size() > 1) out += ", ";
    out += yaml_scalar(item);
  }
  return out + "]";
}

std::size_t width(std::string_view text) {
  std::size_t characters = 0;
  for (std::size_t at = 0; at < text.size(); at += decode_utf8(text, at).length) ++characters;
  return characters;
}

std::string with_comment(std::string line, const Origin& origin) {
  const std::size_t used = width(line);
  line.append(used + 2 < kCommentColumn ? kCommentColumn - used : 2, ' ');
  return line + "# " + to_string(origin) + "\n";
}

// Keys that an app inherits when it does not set them.
bool is_inherited(const ConfigKey& key) {
  return find_key(key.path, KeyScope::gateway) != nullptr;
}

bool stands_in(const ConfigKey& key, KeyScope where) {
  return find_key(key.path, where) == &key;
}

std::string_view section_of(const ConfigKey& key) {
  const std::size_t dot = key.path.find('.');
  return dot == std::string_view::npos ? std::string_view() : key.path.substr(0, dot);
}

std::string_view name_of(const ConfigKey& key) {
  return key.path.substr(key.path.rfind('.') + 1);
}

class YamlPrinter {
 public:
  explicit YamlPrinter(const LoadedConfig& loaded) : loaded_(loaded), config_(loaded.config) {}

  // The apps stand between the short settings and the long sections.
  std::string print() {
    print_top([](const ConfigKey& key) { return !is_long_section(key); });
    print_apps();
    print_top(is_long_section);
    return std::move(out_);
  }

 private:
  static bool is_long_section(const ConfigKey& key) {
    return !section_of(key).empty() && section_of(key) != "endpoints";
  }

  template <class Filter>
  void print_top(const Filter& filter) {
    print_keys({config_}, "", "", [&](const ConfigKey& key) {
      return stands_in(key, KeyScope::gateway) && filter(key);
    });
  }

  template <class Filter>
  void print_keys(ConfigView view, std::string_view prefix, std::string_view indent,
                  const Filter& filter) {
    std::string_view open_section;
    for (const ConfigKey& key : config_keys()) {
      if (!filter(key)) continue;
      const std::string_view section = section_of(key);
      if (section != open_section && !section.empty()) {
        out_.append(indent).append(section).append(":\n");
      }
      open_section = section;
      std::string line(indent);
      if (!section.empty()) line += "  ";
      line.append(name_of(key)).append(": ").append(yaml_value(key, value_text(key, view)));
      out_ += with_comment(std::move(line),
                           loaded_.origin_of(std::string(prefix) + std::string(key.path)));
    }
  }

  void print_apps() {
    if (config_.apps.empty()) {
      out_ += "apps: []\n";
      return;
    }
    out_ += "apps:\n";
    for (std::size_t i = 0; i < config_.apps.size(); ++i) {
      const std::size_t start = out_.size();
      const std::string prefix = "apps[" + std::to_string(i) + "].";
      print_keys({config_, &config_.apps[i]}, prefix, "    ", [&](const ConfigKey& key) {
        return stands_in(key, KeyScope::app) &&
               (!is_inherited(key) || loaded_.is_set(prefix + std::string(key.path)));
      });
      out_[start + 2] = '-';
    }
  }

  const LoadedConfig& loaded_;
  Config config_;  // a copy, as a view can write
  std::string out_;
};

class JsonPrinter {
 public:
  explicit JsonPrinter(const LoadedConfig& loaded) : loaded_(loaded), config_(loaded.config) {}

  std::string print() {
    json_.begin_object().key("files").begin_array();
    for (const std::string& file : loaded_.files) json_.string(file);
    json_.end_array().key("config").begin_object();
    print_keys(KeyScope::gateway, {config_}, "");
    json_.key("apps").begin_array();
    for (std::size_t i = 0; i < config_.apps.size(); ++i) {
      json_.begin_object();
      print_keys(KeyScope::app, {config_, &config_.apps[i]}, "apps[" + std::to_string(i) + "].");
      json_.end_object();
    }
    json_.end_array().end_object().key("origins").begin_object();
    for (const std::string& path : paths_)
      json_.key(path).string(to_string(loaded_.origin_of(path)));
    json_.end_object().end_object();
    return std::move(out_);
  }

 private:
  void print_keys(KeyScope where, ConfigView view, std::string_view prefix) {
    std::string_view open_section;
    for (const ConfigKey& key : config_keys()) {
      if (!stands_in(key, where)) continue;
      const ValueText value = value_text(key, view);
      if (value.unset) continue;
      const std::string_view section = section_of(key);
      if (section != open_section) {
        if (!open_section.empty()) json_.end_object();
        if (!section.empty()) json_.key(section).begin_object();
        open_section = section;
      }
      json_.key(name_of(key));
      print_value(key, value);
      paths_.push_back(std::string(prefix) + std::string(key.path));
    }
    if (!open_section.empty()) json_.end_object();
  }

  void print_value(const ConfigKey& key, const ValueText& value) {
    if (key.is_list()) {
      json_.begin_array();
      for (const std::string& item : value.items) json_.string(item);
      json_.end_array();
    } else if (value.literal) {
      json_.raw(value.items.front());
    } else {
      json_.string(value.items.front());
    }
  }

  const LoadedConfig& loaded_;
  Config config_;
  std::vector<std::string> paths_;
  std::string out_;
  JsonWriter json_{out_};
};

}  // namespace

std::string config_as_yaml(const LoadedConfig& loaded) {
  return YamlPrinter(loaded).print();
}

std::string config_as_json(const LoadedConfig& loaded) {
  return JsonPrinter(loaded).print();
}

}  // namespace tyaprover::gateway
