// What a collector hands over at a scrape: values that a program has anyway, or asks another system
// for, instead of counting them here.
//
// Not thread-safe: one call of one collector fills one. A name that is wrong, or labels that do not
// fit, throw std::invalid_argument, and then all of the collector's families are left out of that
// page; a name that is taken, or a constant label of the registry, leaves out its family.
// tyaprover_metrics_collect_errors_total counts both.
//
//   registry.add_collector("pool", [&pool](metrics::Collection& out) {
//     for (const auto& [name, size] : pool.sizes()) {
//       out.gauge("pool_size", "Connections in the pool.", size, {{"pool", name}});
//     }
//   });
#pragma once

#include <concepts>
#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tyaprover/metrics/labels.h"
#include "tyaprover/metrics/series.h"

namespace tyaprover::metrics {

// In which naming profiles a family is shown: see Naming.
enum class ShownIn { always, seed_only, prometheus_only };

class Collection {
 public:
  // Samples of one name make one family; its first sample's help and kind count. A counter may go
  // back only when what it counts begins anew.
  void counter(std::string_view name, std::string_view help, std::uint64_t value,
               std::initializer_list<Label> labels = {});
  template <std::integral Integer>  // not negative
  void counter(std::string_view name, std::string_view help, Integer value,
               std::initializer_list<Label> labels = {}) {
    counter(name, help, static_cast<std::uint64_t>(value), labels);
  }
  void counter(std::string_view name, std::string_view help, double value,
               std::initializer_list<Label> labels = {});
  void gauge(std::string_view name, std::string_view help, double value,
             std::initializer_list<Label> labels = {});
  void gauge(std::string_view name, std::string_view help, double value,
             std::span<const Label> labels);
  void counter(std::string_view name, std::string_view help, double value,
               std::span<const Label> labels);
  // Counts by bucket (not cumulative), one more than bounds; the sum of the values.
  void histogram(std::string_view name, std::string_view help, std::span<const double> bounds,
                 std::span<const std::uint64_t> counts, double sum,
                 std::initializer_list<Label> labels = {});
  // The unit of the family of the last sample, which must end its name (before `_total`).
  void unit(std::string_view unit);
  // The families that follow are shown in these profiles only.
  void shown_in(ShownIn shown) noexcept { shown_ = shown; }

 private:
  friend class Registry;
  friend class Page;

  struct Sample {
    std::string packed_labels;  // name, value, …
    bool plain = true;
    detail::Reading reading;
  };
  struct Collected {
    detail::FamilyDescription description;
    ShownIn shown = ShownIn::always;
    std::vector<Sample> samples;
  };

  Collected& family(std::string_view name, std::string_view help, Kind kind);
  Sample& sample(Collected& family, std::span<const Label> labels);

  std::deque<Collected> families_;
  Collected* last_ = nullptr;
  ShownIn shown_ = ShownIn::always;
};

}  // namespace tyaprover::metrics
