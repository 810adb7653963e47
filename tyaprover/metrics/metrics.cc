#include "tyaprover/metrics/metrics.h"

namespace tyaprover::metrics {
namespace {

template <class Instrument>
Instrument instrument(std::string_view name, Metrics::Labels labels) {
  FamilyOf<Instrument>* family = default_registry().find<Instrument>(name);
  if (family == nullptr) {
    throw std::invalid_argument("no " + std::string(to_string(Instrument::kKind)) + " named \"" +
                                std::string(name) + "\" is registered");
  }
  return family->with(std::span(labels.begin(), labels.size()));
}

}  // namespace

void Metrics::register_counter(std::string_view name, std::string_view help) {
  default_registry().counter(name, help, FamilyOptions{.any_labels = true});
}
void Metrics::increment_counter(std::string_view name, Labels labels, double by) {
  instrument<Counter>(name, labels).inc(by);
}

void Metrics::register_gauge(std::string_view name, std::string_view help) {
  default_registry().gauge(name, help, FamilyOptions{.any_labels = true});
}
void Metrics::set_gauge(std::string_view name, double value, Labels labels) {
  instrument<Gauge>(name, labels).set(value);
}
void Metrics::increment_gauge(std::string_view name, Labels labels, double by) {
  instrument<Gauge>(name, labels).inc(by);
}
void Metrics::decrement_gauge(std::string_view name, Labels labels, double by) {
  instrument<Gauge>(name, labels).dec(by);
}

void Metrics::register_histogram(std::string_view name, std::string_view help,
                                 std::vector<double> buckets) {
  default_registry().histogram(name, help, {.buckets = std::move(buckets), .any_labels = true});
}
void Metrics::observe_histogram(std::string_view name, double value, Labels labels) {
  instrument<Histogram>(name, labels).observe(value);
}

}  // namespace tyaprover::metrics
