// Fills a registry by chance and writes its three pages, beside what was recorded as JSON, for
// check_pages.py.
//
// usage: random_pages SEED FOLDER
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <random>
#include <set>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "tyaprover/metrics/registry.h"

namespace {

using namespace tyaprover::metrics;  // NOLINT(google-build-using-namespace)
using nlohmann::json;

// Bytes as they are given, and as a reader of UTF-8 is to see them.
struct Text {
  std::string given;
  std::string shown;
};

class Generator {
 public:
  explicit Generator(unsigned seed) : random_(seed) {}

  unsigned below(unsigned n) { return static_cast<unsigned>(random_() % n); }

  Text text() {
    static const std::vector<Text> parts = {
        {"a", "a"},
        {"B c", "B c"},
        {",", ","},
        {"\"", "\""},
        {"\\", "\\"},
        {"\n", "\n"},
        {"=", "="},
        {"{}", "{}"},
        {"\\n", "\\n"},
        {" # ", " # "},
        {"\xc3\xa9", "\xc3\xa9"},
        {"\xf0\x9f\x90\xa7", "\xf0\x9f\x90\xa7"},
        {"\xff", "\xEF\xBF\xBD"},
        {"\xed\xa0\x80z", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBDz"},
        {"\t", "\t"},
        {"\",x=\"", "\",x=\""}};
    Text text;
    for (unsigned n = below(5); n > 0; --n) {
      const Text& part = parts[below(static_cast<unsigned>(parts.size()))];
      text.given += part.given;
      text.shown += part.shown;
    }
    return text;
  }

  double number() {
    constexpr double kInf = std::numeric_limits<double>::infinity();
    switch (below(12)) {
      case 0:
        return std::numeric_limits<double>::quiet_NaN();
      case 1:
        return kInf;
      case 2:
        return -kInf;
      case 3:
        return 0;
      case 4:
        return -0.0;
      case 5:
        return below(1000);
      case 6:
        return 0.1 + 0.2;
      default:
        return finite();
    }
  }
  double finite() {
    return std::ldexp(std::uniform_real_distribution<double>(-1, 1)(random_),
                      static_cast<int>(below(80)) - 40);
  }
  std::uint64_t integer() { return random_() >> below(64); }

 private:
  std::mt19937_64 random_;
};

std::string number_text(double value) {
  char text[64];
  std::snprintf(text, sizeof(text), "%.17g", value);
  return text;
}

struct Labels {
  std::vector<std::string> given;
  json shown = json::object();
};

// Different sets, also for a reader of the page.
std::vector<Labels> label_sets(Generator& random, const std::vector<std::string>& names) {
  std::set<std::string> seen;
  std::vector<Labels> sets;
  for (unsigned i = random.below(8) + 1; i > 0; --i) {
    Labels labels;
    for (const std::string& name : names) {
      const Text value = random.text();
      labels.given.push_back(value.given);
      if (!value.shown.empty()) labels.shown[name] = value.shown;
    }
    if (seen.insert(labels.shown.dump()).second) sets.push_back(labels);
  }
  return sets;
}

template <class Family>
auto with(Family& family, const Labels& labels) {
  const std::vector<std::string_view> values(labels.given.begin(), labels.given.end());
  return family.with(std::span<const std::string_view>(values));
}

json counter(Generator& random, Registry& registry, const std::string& name, const Text& help,
             const std::vector<std::string>& names) {
  auto& family = registry.counter(name, help.given, FamilyOptions{.labels = names});
  json series = json::array();
  for (const Labels& labels : label_sets(random, names)) {
    Counter handle = with(family, labels);
    json one = {
        {"labels", labels.shown}, {"exemplar", ""}, {"exemplar_value", "0"}, {"whole", true}};
    const std::uint64_t whole = random.integer();
    if (random.below(3) == 0) {
      const std::string trace = std::to_string(random.integer());
      handle.inc(whole, Exemplar{{"trace_id", trace}});
      one["exemplar"] = trace;
      one["exemplar_value"] = number_text(static_cast<double>(whole));
    } else {
      handle.inc(whole);
    }
    one["value"] = std::to_string(whole);
    if (random.below(4) == 0) {
      handle.inc(0.5);
      one["value"] = number_text(static_cast<double>(whole) + 0.5);
      one["whole"] = false;
    }
    series.push_back(one);
  }
  return series;
}

json gauge(Generator& random, Registry& registry, const std::string& name, const Text& help,
           const std::vector<std::string>& names, const std::string& unit) {
  auto& family = registry.gauge(name, help.given, FamilyOptions{.labels = names, .unit = unit});
  json series = json::array();
  for (const Labels& labels : label_sets(random, names)) {
    const double value = random.number();
    with(family, labels).set(value);
    series.push_back({{"labels", labels.shown}, {"value", number_text(value)}});
  }
  return series;
}

json histogram(Generator& random, Registry& registry, const std::string& name, const Text& help,
               const std::vector<std::string>& names) {
  std::set<double> bounds;
  for (unsigned i = random.below(20); i > 0; --i) bounds.insert(random.finite());
  const std::vector<double> ascending(bounds.begin(), bounds.end());
  auto& family = registry.histogram(
      name, help.given, {.labels = names, .buckets = ascending, .native = random.below(2) == 0});
  json series = json::array();
  for (const Labels& labels : label_sets(random, names)) {
    Histogram handle = with(family, labels);
    std::vector<double> values;
    double sum = 0;
    for (unsigned i = random.below(50); i > 0; --i) {
      // Now and then a bound itself, which belongs to its bucket.
      double value = random.below(3) == 0 && !ascending.empty()
                         ? ascending[random.below(static_cast<unsigned>(ascending.size()))]
                         : random.number();
      if (std::isnan(value)) value = 1;
      values.push_back(value);
      sum += value;
      handle.observe(value);
    }
    json buckets = json::array();
    for (const double bound : ascending) {
      const auto count =
          std::count_if(values.begin(), values.end(), [&](double v) { return v <= bound; });
      buckets.push_back({number_text(bound), std::to_string(count)});
    }
    buckets.push_back({"+Inf", std::to_string(values.size())});
    series.push_back({{"labels", labels.shown},
                      {"buckets", buckets},
                      {"sum", number_text(sum)},
                      {"count", std::to_string(values.size())}});
  }
  return series;
}

json summary(Generator& random, Registry& registry, const std::string& name, const Text& help,
             const std::vector<std::string>& names) {
  auto& family = registry.summary(name, help.given, {.labels = names, .quantiles = {0, 0.5, 1}});
  json series = json::array();
  for (const Labels& labels : label_sets(random, names)) {
    Summary handle = with(family, labels);
    std::vector<double> values;
    double sum = 0;
    for (unsigned i = random.below(30); i > 0; --i) {
      values.push_back(random.finite());
      sum += values.back();
      handle.observe(values.back());
    }
    std::sort(values.begin(), values.end());
    json quantiles = json::array();
    for (const double q : {0.0, 0.5, 1.0}) {
      // So few values are all kept: the quantile is exact.
      const auto rank = static_cast<std::size_t>(
          std::max(1.0, std::ceil(q * static_cast<double>(values.size()))));
      quantiles.push_back({number_text(q), values.empty() ? "nan" : number_text(values[rank - 1])});
    }
    series.push_back({{"labels", labels.shown},
                      {"quantiles", quantiles},
                      {"sum", number_text(sum)},
                      {"count", std::to_string(values.size())}});
  }
  return series;
}

void write(const std::string& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary);
  file << text;
  if (!file.flush()) {
    std::fprintf(stderr, "cannot write %s\n", path.c_str());
    std::exit(1);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: %s SEED FOLDER\n", argv[0]);
    return 2;
  }
  Generator random(static_cast<unsigned>(std::strtoul(argv[1], nullptr, 10)));
  const std::string folder = argv[2];
  Registry registry;
  json families = json::array();
  for (unsigned i = 0; i < 20; ++i) {
    std::vector<std::string> names;
    for (unsigned n = random.below(4); n > 0; --n) names.push_back("label_" + std::to_string(n));
    Text help = random.text();
    help.given = "Help " + help.given + ".";
    help.shown = "Help " + help.shown + ".";
    std::string name = "family" + std::to_string(i);
    std::string unit;
    json family = {{"help", help.shown}};
    switch (random.below(4)) {
      case 0:
        name += "_total";
        family["type"] = "counter";
        family["series"] = counter(random, registry, name, help, names);
        break;
      case 1:
        if (random.below(2) == 0) {
          unit = "bytes";
          name += "_bytes";
        }
        family["type"] = "gauge";
        family["series"] = gauge(random, registry, name, help, names, unit);
        break;
      case 2:
        family["type"] = "histogram";
        family["series"] = histogram(random, registry, name, help, names);
        break;
      default:
        family["type"] = "summary";
        family["series"] = summary(random, registry, name, help, names);
    }
    family["name"] = name;
    family["unit"] = unit;
    families.push_back(family);
  }
  const auto page = [&](std::string_view accept) {
    return registry.expose({.accept = accept, .self_metrics = false}).text();
  };
  write(folder + "/page.txt", page("text/plain;version=0.0.4"));
  write(folder + "/page.om", page("application/openmetrics-text;version=1.0.0"));
  write(folder + "/page.pb",
        page("application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;"
             "encoding=delimited"));
  write(folder + "/expected.json", families.dump());
}
