#include "tyaprover/cache/vary.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "tyaprover/base/parse.h"

namespace tyaprover::cache {
namespace {

constexpr std::string_view kAcceptLanguage = "accept-language";
constexpr std::string_view kAcceptEncoding = "accept-encoding";

// Fields that list choices with weights: neither their order nor their case means anything
// (RFC 9110 §12.5).
bool is_negotiation_field(std::string_view name) noexcept {
  return name == "accept" || name == "accept-charset" || name == kAcceptEncoding ||
         name == kAcceptLanguage;
}

std::vector<std::string_view> members_of(std::string_view name, HeaderFields request) {
  std::vector<std::string_view> members;
  for_each_member(request, name, [&](std::string_view member) { members.push_back(member); });
  return members;
}

// A choice and its weight in thousandths (RFC 9110 §12.4.2).
struct Choice {
  std::string text;
  int weight = 1000;
};

Choice parse_choice(std::string_view member) {
  Choice choice;
  for (const std::string_view piece : split(member, ';')) {
    const std::string part = to_lower(trim(piece));
    if (!choice.text.empty() && part.starts_with("q=")) {
      if (const auto weight = parse_weight(std::string_view(part).substr(2))) {
        choice.weight = *weight;
        continue;
      }
    }
    if (!choice.text.empty()) choice.text += ';';
    choice.text += part;
  }
  return choice;
}

std::vector<Choice> choices_of(std::string_view name, HeaderFields request) {
  std::vector<Choice> choices;
  for (const std::string_view member : members_of(name, request)) {
    choices.push_back(parse_choice(member));
  }
  std::sort(choices.begin(), choices.end(), [](const Choice& a, const Choice& b) {
    return a.weight != b.weight ? a.weight > b.weight : a.text < b.text;
  });
  return choices;
}

// The language that the request prefers to every other, in lower case; empty without one.
std::string preferred_language(HeaderFields request) {
  const std::vector<Choice> choices = choices_of(kAcceptLanguage, request);
  if (choices.empty() || choices[0].weight == 0 || choices[0].text == "*") return {};
  if (choices.size() > 1 && choices[1].weight == choices[0].weight) return {};
  return choices[0].text;
}

void append_part(std::string& text, std::string_view part) {
  text.append(std::to_string(part.size())).append(":").append(part);
}

std::string key_text(const VaryNames& names, HeaderFields request, const VariantOptions& options) {
  std::string text;
  for (const std::string& name : names.names()) {
    append_part(text, name);
    if (name == kAcceptEncoding && options.negotiated_coding != nullptr) {
      append_part(text, *options.negotiated_coding);
    } else if (request.has(name)) {
      append_part(text, normalised_selecting_field(name, request));
    } else {
      text += '-';
    }
  }
  return text;
}

}  // namespace

VaryNames::VaryNames(HeaderFields response) {
  for_each_member(response, "vary", [&](std::string_view member) {
    all_ = all_ || member == "*";
    names_.push_back(to_lower(member));
  });
  if (all_) names_.clear();
  std::sort(names_.begin(), names_.end());
  names_.erase(std::unique(names_.begin(), names_.end()), names_.end());
}

VariantKey::VariantKey(VaryNames names, HeaderFields request, const VariantOptions& options)
    : VariantKey(std::move(names), request, {}, options) {}

VariantKey::VariantKey(VaryNames names, HeaderFields request, std::string_view content_language,
                       const VariantOptions& options)
    : names_(std::move(names)),
      text_(key_text(names_, request, options)),
      content_language_(to_lower(trim(content_language))) {
  // Several languages are no answer to one preference.
  if (content_language_.find(',') != std::string::npos) content_language_.clear();
}

bool VariantKey::matches(HeaderFields request, const VariantOptions& options) const {
  if (names_.all()) return false;
  if (key_text(names_, request, options) == text_) return true;
  if (content_language_.empty()) return false;
  if (names_.names().size() != 1 || names_.names()[0] != kAcceptLanguage) return false;
  return preferred_language(request) == content_language_;
}

std::string normalised_selecting_field(std::string_view name, HeaderFields request) {
  std::string text;
  if (!is_negotiation_field(name)) {
    for (const std::string_view member : members_of(name, request)) {
      if (!text.empty()) text += ',';
      text += member;
    }
    return text;
  }
  for (const Choice& choice : choices_of(name, request)) {
    if (!text.empty()) text += ',';
    text += choice.text;
    if (choice.weight == 1000) continue;
    const std::string thousandths = std::to_string(choice.weight);
    text.append(";q=0.").append(3 - thousandths.size(), '0').append(thousandths);
  }
  return text;
}

}  // namespace tyaprover::cache
