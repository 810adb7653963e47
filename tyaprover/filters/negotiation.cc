#include "tyaprover/filters/negotiation.h"

#include <algorithm>

#include "tyaprover/base/text.h"

namespace tyaprover::filters {

using http::Fields;
using http::KnownField;

namespace {

constexpr Weight kFullWeight = 1000;

// Cuts the text before the next ';' that stands outside a quoted string off `rest`.
std::string_view next_parameter(std::string_view& rest) noexcept {
  bool quoted = false;
  std::size_t end = 0;
  for (; end < rest.size(); ++end) {
    const char c = rest[end];
    if (c == '"') quoted = !quoted;
    if (quoted && c == '\\') ++end;
    if (!quoted && c == ';') break;
  }
  end = std::min(end, rest.size());
  const std::string_view parameter = trim(rest.substr(0, end));
  rest.remove_prefix(std::min(end + 1, rest.size()));
  return parameter;
}

struct WeightedItem {
  std::string_view name;
  Weight weight = kFullWeight;
};

// `name [; parameter]… [; q=weight]`; nothing when the weight is none.
std::optional<WeightedItem> parse_item(std::string_view member) noexcept {
  WeightedItem item;
  item.name = next_parameter(member);
  while (!member.empty()) {
    const std::string_view parameter = next_parameter(member);
    if (parameter.size() < 2 || to_lower(parameter[0]) != 'q' || parameter[1] != '=') continue;
    const auto weight = parse_weight(parameter.substr(2));
    if (!weight) return std::nullopt;
    item.weight = *weight;
  }
  return item;
}

// The weight of one representation: that of the most specific range that matches it.
struct BestRange {
  int specificity = 0;
  Weight weight = 0;

  void consider(int candidate, Weight candidate_weight) noexcept {
    if (candidate < specificity) return;
    weight = candidate == specificity ? std::max(weight, candidate_weight) : candidate_weight;
    specificity = candidate;
  }
};

}  // namespace

std::string_view to_string(Coding coding) noexcept {
  switch (coding) {
    case Coding::identity:
      return "identity";
    case Coding::gzip:
      return "gzip";
    case Coding::br:
      return "br";
    case Coding::zstd:
      return "zstd";
  }
  return "identity";
}

std::optional<Coding> parse_coding(std::string_view name) noexcept {
  if (iequals(name, "gzip") || iequals(name, "x-gzip")) return Coding::gzip;
  if (iequals(name, "br")) return Coding::br;
  if (iequals(name, "zstd")) return Coding::zstd;
  if (iequals(name, "identity")) return Coding::identity;
  return std::nullopt;
}

void AcceptEncoding::add(std::string_view value) noexcept {
  for_each_list_member(value, [this](std::string_view member) {
    const auto item = parse_item(member);
    if (!item) return true;
    std::optional<Weight>* slot = nullptr;
    if (item->name == "*") {
      slot = &any_;
    } else if (const auto coding = parse_coding(item->name)) {
      slot = &named_[static_cast<std::size_t>(*coding)];
    }
    if (slot != nullptr) *slot = std::min(slot->value_or(kFullWeight), item->weight);
    return true;
  });
}

Weight AcceptEncoding::weight(Coding coding) const noexcept {
  const auto named = named_[static_cast<std::size_t>(coding)];
  if (named) return *named;
  return coding == Coding::identity ? Weight{0} : any_.value_or(0);
}

Coding AcceptEncoding::choose(std::span<const Coding> offered) const noexcept {
  Coding best = Coding::identity;
  Weight best_weight = 0;
  for (const Coding coding : offered) {
    if (weight(coding) > best_weight) {
      best = coding;
      best_weight = weight(coding);
    }
  }
  return weight(Coding::identity) > best_weight ? Coding::identity : best;
}

bool prefers_html(const Fields& request) noexcept {
  BestRange html;
  BestRange json;
  for (const http::Field& field : request) {
    if (field.id != KnownField::accept) continue;
    for_each_list_member(field.value, [&](std::string_view member) {
      const auto item = parse_item(member);
      if (!item) return true;
      const std::string_view range = item->name;
      if (iequals(range, "text/html")) html.consider(3, item->weight);
      if (iequals(range, "text/*")) html.consider(2, item->weight);
      if (iequals(range, "application/problem+json")) json.consider(4, item->weight);
      if (iequals(range, "application/json")) json.consider(3, item->weight);
      if (iequals(range, "application/*")) json.consider(2, item->weight);
      if (range == "*/*") {
        html.consider(1, item->weight);
        json.consider(1, item->weight);
      }
      return true;
    });
  }
  return html.weight > json.weight;
}

}  // namespace tyaprover::filters
