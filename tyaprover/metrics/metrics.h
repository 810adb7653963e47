// Metrics: the default registry by name, without handles.
//
// Thread-safe. Each call looks its metric up by name under a mutex and its series by labels; code
// that runs often keeps a handle instead (registry.h). Label names need not be given at
// registration. A name that was not registered with that type, and a label name that is not
// allowed, are std::invalid_argument.
//
//   Metrics::register_counter("my_custom_counter", "Description");
//   Metrics::increment_counter("my_custom_counter", {{"label", "value"}});
#pragma once

#include <initializer_list>
#include <string_view>
#include <vector>

#include "tyaprover/metrics/registry.h"

namespace tyaprover::metrics {

class Metrics {
 public:
  using Labels = std::initializer_list<Label>;

  // Registering twice with the same text changes nothing.
  static void register_counter(std::string_view name, std::string_view help);
  static void increment_counter(std::string_view name, Labels labels = {}, double by = 1);

  static void register_gauge(std::string_view name, std::string_view help);
  static void set_gauge(std::string_view name, double value, Labels labels = {});
  static void increment_gauge(std::string_view name, Labels labels = {}, double by = 1);
  static void decrement_gauge(std::string_view name, Labels labels = {}, double by = 1);

  static void register_histogram(std::string_view name, std::string_view help,
                                 std::vector<double> buckets = seconds_buckets());
  static void observe_histogram(std::string_view name, double value, Labels labels = {});
};

}  // namespace tyaprover::metrics
