#include "tyaprover/metrics/collection.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <stdexcept>

namespace tyaprover::metrics {

Collection::Collected& Collection::family(std::string_view name, std::string_view help, Kind kind) {
  const auto known = std::find_if(families_.begin(), families_.end(), [&](const Collected& family) {
    return family.description.name == name;
  });
  if (known != families_.end()) {
    last_ = &*known;
    if (known->description.kind == kind) return *known;
    throw std::invalid_argument(std::string(name) + " is collected with two types");
  }
  if (auto problem = detail::metric_name_problem(name)) throw std::invalid_argument(*problem);
  Collected& added = families_.emplace_back();
  added.description.name = name;
  added.description.help = help;
  added.description.kind = kind;
  added.shown = shown_;
  last_ = &added;
  return added;
}

Collection::Sample& Collection::sample(Collected& family, std::span<const Label> labels) {
  Sample sample;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const auto& [name, value] = labels[i];
    if (auto problem = detail::label_name_problem(name, family.description.kind)) {
      throw std::invalid_argument(family.description.name + ": " + *problem);
    }
    for (std::size_t j = 0; j < i; ++j) {
      if (labels[j].first != name) continue;
      throw std::invalid_argument(family.description.name + ": the label \"" + std::string(name) +
                                  "\" is given twice");
    }
    if (value.empty()) continue;
    detail::pack(sample.packed_labels, name);
    detail::pack(sample.packed_labels, value);
    sample.plain = sample.plain && detail::is_plain(value);
  }
  return family.samples.emplace_back(std::move(sample));
}

void Collection::counter(std::string_view name, std::string_view help, std::uint64_t value,
                         std::initializer_list<Label> labels) {
  sample(family(name, help, Kind::counter), {labels.begin(), labels.size()}).reading.integer =
      value;
}

void Collection::counter(std::string_view name, std::string_view help, double value,
                         std::span<const Label> labels) {
  sample(family(name, help, Kind::counter), labels).reading.real = value;
}

void Collection::counter(std::string_view name, std::string_view help, double value,
                         std::initializer_list<Label> labels) {
  counter(name, help, value, std::span(labels.begin(), labels.size()));
}

void Collection::gauge(std::string_view name, std::string_view help, double value,
                       std::span<const Label> labels) {
  sample(family(name, help, Kind::gauge), labels).reading.real = value;
}

void Collection::gauge(std::string_view name, std::string_view help, double value,
                       std::initializer_list<Label> labels) {
  gauge(name, help, value, std::span(labels.begin(), labels.size()));
}

void Collection::unit(std::string_view unit) {
  if (last_ != nullptr) last_->description.unit = unit;
}

void Collection::histogram(std::string_view name, std::string_view help,
                           std::span<const double> bounds, std::span<const std::uint64_t> counts,
                           double sum, std::initializer_list<Label> labels) {
  if (counts.size() != bounds.size() + 1) {
    throw std::invalid_argument(std::string(name) + " has " + std::to_string(bounds.size()) +
                                " bounds and must have one count more, not " +
                                std::to_string(counts.size()));
  }
  if (auto problem = detail::bounds_problem(bounds)) {
    throw std::invalid_argument(std::string(name) + ": " + *problem);
  }
  Collected& to = family(name, help, Kind::histogram);
  if (to.samples.empty()) {
    to.description.histogram.bounds.assign(bounds.begin(), bounds.end());
  } else if (!std::equal(bounds.begin(), bounds.end(), to.description.histogram.bounds.begin(),
                         to.description.histogram.bounds.end())) {
    throw std::invalid_argument(std::string(name) + " is collected with two sets of bounds");
  }
  detail::Reading& reading = sample(to, {labels.begin(), labels.size()}).reading;
  reading.counts.assign(counts.begin(), counts.end());
  reading.real = sum;
}

}  // namespace tyaprover::metrics
