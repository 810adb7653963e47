#include "tyaprover/metrics/exemplar.h"

#include <cstring>

#include "tyaprover/base/utf8.h"

namespace tyaprover::metrics {
namespace {

// The characters of a text; nothing if it is not UTF-8.
std::optional<std::size_t> characters(std::string_view text) noexcept {
  std::size_t count = 0;
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Sequence sequence = decode_utf8(text, at);
    if (!sequence.valid) return std::nullopt;
    at += sequence.length;
    ++count;
  }
  return count;
}

bool is_label_name(std::string_view name) noexcept {
  const auto fits = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (c >= '0' && c <= '9');
  };
  return !name.empty() && !(name[0] >= '0' && name[0] <= '9') &&
         std::all_of(name.begin(), name.end(), fits);
}

}  // namespace

Exemplar::Exemplar(std::initializer_list<Label> labels) noexcept {
  if (labels.size() > kMaxLabels) return;
  std::size_t size = 0;
  std::size_t length = 0;
  std::size_t part = 0;
  for (const auto& [name, value] : labels) {
    const auto value_characters = characters(value);
    if (!is_label_name(name) || !value_characters) return;
    length += name.size() + *value_characters;
    if (length > kMaxCharacters || size + name.size() + value.size() > kMaxBytes) return;
    for (const std::string_view text : {name, value}) {
      if (!text.empty()) std::memcpy(text_ + size, text.data(), text.size());
      size += text.size();
      ends_[part++] = static_cast<std::uint8_t>(size);
    }
  }
  label_count_ = static_cast<std::uint8_t>(labels.size());
}

Label Exemplar::label(std::size_t i) const noexcept {
  const std::size_t begin = i == 0 ? 0 : ends_[2 * i - 1];
  const std::size_t middle = ends_[2 * i];
  const std::size_t end = ends_[2 * i + 1];
  return {{text_ + begin, middle - begin}, {text_ + middle, end - middle}};
}

void set_exemplar_hook(ExemplarHook hook) noexcept {
  detail::exemplar_hook.store(hook, std::memory_order_relaxed);
}

}  // namespace tyaprover::metrics
