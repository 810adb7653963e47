// Accept-Encoding and Accept: a naive reading agrees, the choice is the best that is offered, and
// neither letter case nor a repetition changes anything.
#include <algorithm>
#include <cctype>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "fuzz/require.h"
#include "tyaprover/filters/negotiation.h"

namespace tyaprover::filters {
namespace {

constexpr Coding kOffer[] = {Coding::zstd, Coding::br, Coding::gzip};

std::vector<std::string> naive_split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  std::string part;
  for (const char c : text + separator) {
    if (c != separator) {
      part += c;
      continue;
    }
    const std::size_t begin = part.find_first_not_of(" \t");
    const std::size_t end = part.find_last_not_of(" \t");
    parts.push_back(begin == std::string::npos ? "" : part.substr(begin, end - begin + 1));
    part.clear();
  }
  return parts;
}

// weight = "0" [ "." 0*3DIGIT ] / "1" [ "." 0*3"0" ]
std::optional<Weight> naive_weight(const std::string& text) {
  std::string digits = text;
  if (text.size() > 1) {
    if (text[1] != '.' || text.size() > 5) return std::nullopt;
    digits.erase(1, 1);
  }
  if (digits.empty() || digits[0] > '1') return std::nullopt;
  if (!std::all_of(digits.begin(), digits.end(), [](char c) { return c >= '0' && c <= '9'; })) {
    return std::nullopt;
  }
  digits.resize(4, '0');
  const int weight = std::atoi(digits.c_str());
  if (weight > 1000) return std::nullopt;
  return static_cast<Weight>(weight);
}

// The weight of each name, for lists without quoted strings.
std::map<std::string, Weight> naive_weights(const std::string& list) {
  std::map<std::string, Weight> weights;
  for (const std::string& member : naive_split(list, ',')) {
    const std::vector<std::string> parts = naive_split(member, ';');
    std::optional<Weight> weight = Weight{1000};
    for (std::size_t i = 1; i < parts.size(); ++i) {
      if (!parts[i].starts_with("q=") && !parts[i].starts_with("Q=")) continue;
      const auto parsed = naive_weight(parts[i].substr(2));
      weight = weight && parsed ? parsed : std::nullopt;
    }
    if (!weight) continue;
    std::string name = parts[0];
    for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    if (name == "x-gzip") name = "gzip";
    const auto [entry, is_new] = weights.emplace(name, *weight);
    if (!is_new) entry->second = std::min(entry->second, *weight);
  }
  return weights;
}

AcceptEncoding accept(std::string_view list) {
  AcceptEncoding result;
  result.add(list);
  return result;
}

void check_choice(const AcceptEncoding& accepted) {
  const Coding chosen = accepted.choose(kOffer);
  for (const Coding coding : kOffer) {
    if (chosen == Coding::identity) {
      require(accepted.weight(coding) == 0 ||
                  accepted.weight(coding) < accepted.weight(Coding::identity),
              "identity only when nothing else is wanted as much");
    } else {
      require(accepted.weight(coding) <= accepted.weight(chosen), "the largest weight wins");
      require(accepted.weight(chosen) > 0, "a refused coding is never chosen");
      if (accepted.weight(coding) == accepted.weight(chosen)) {
        require(std::find(std::begin(kOffer), std::end(kOffer), chosen) <=
                    std::find(std::begin(kOffer), std::end(kOffer), coding),
                "the earlier offer wins at equal weights");
      }
    }
  }
}

bool html(std::string_view list) {
  http::Fields fields;
  fields.add(http::KnownField::accept, list);
  return prefers_html(fields);
}

void check(const std::string& list) {
  const AcceptEncoding accepted = accept(list);
  check_choice(accepted);
  std::string upper = list;
  for (char& c : upper) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  require(accept(upper).choose(kOffer) == accepted.choose(kOffer), "letter case means nothing");
  require(html(upper) == html(list), "letter case means nothing in Accept");
  if (list.find('"') != std::string::npos) return;

  const std::map<std::string, Weight> weights = naive_weights(list);
  const auto any = weights.find("*");
  for (const Coding coding : kOffer) {
    const auto named = weights.find(std::string(to_string(coding)));
    const Weight expected = named != weights.end() ? named->second
                            : any != weights.end() ? any->second
                                                   : Weight{0};
    require(accepted.weight(coding) == expected, "a naive reading agrees");
  }
  AcceptEncoding twice = accept(list);
  twice.add(list);
  require(twice.choose(kOffer) == accepted.choose(kOffer), "saying it twice changes nothing");
  require(html(list + "," + list) == html(list), "saying it twice changes nothing in Accept");
}

}  // namespace
}  // namespace tyaprover::filters

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  tyaprover::filters::check(std::string(reinterpret_cast<const char*>(data), size));
  return 0;
}
