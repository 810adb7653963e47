// Registry: the families of metrics of a program, and the page that shows them.
//
// Thread-safe. Owns its families; they and their handles may be used from any thread. Registering
// is get-or-create: the same name with the same description gives the same family, a different one
// is std::invalid_argument and says what differs. The names of a family's samples (`x_count` of a
// histogram `x`) belong to it too. Destroying a registry leaves handles harmless.
//
//   Registry registry;
//   auto& jobs = registry.counter("jobs_total", "Jobs done.", {"queue"});
//   Counter mail = jobs.with({"mail"});
//   mail.inc();
//   std::string page = registry.expose({.accept = request.accept}).text();
#pragma once

#include <functional>
#include <initializer_list>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tyaprover/base/clock.h"
#include "tyaprover/metrics/collection.h"
#include "tyaprover/metrics/counter.h"
#include "tyaprover/metrics/gauge.h"
#include "tyaprover/metrics/histogram.h"
#include "tyaprover/metrics/page.h"
#include "tyaprover/metrics/summary.h"

namespace tyaprover::metrics {

// A family of one type of instrument. Lives as long as its registry.
template <class Instrument>
class FamilyOf {
 public:
  // The instrument with these label values, in the order of the label names; it is made at the
  // first call. Takes no lock once it exists. Beyond the family's max_series it is the one whose
  // label values are all `other`. Another number of values than of labels is std::invalid_argument.
  [[nodiscard]] Instrument with(std::span<const std::string_view> values) {
    check(values.size());
    return Instrument(family_->with(values));
  }
  [[nodiscard]] Instrument with(std::initializer_list<std::string_view> values) {
    return with(std::span(values.begin(), values.size()));
  }
  // By name, in any order; labels that are not named are empty. An unknown label is
  // std::invalid_argument.
  [[nodiscard]] Instrument with(std::span<const Label> labels) {
    return Instrument(family_->with(labels));
  }
  // Takes one off the page; handles to it stay harmless, and the next `with` makes a new one. False
  // if there is none.
  bool remove(std::initializer_list<std::string_view> values) {
    check(values.size());
    return family_->remove(std::span(values.begin(), values.size()));
  }
  // Takes all of them off the page.
  void clear() { family_->clear(); }
  // How many there are.
  [[nodiscard]] std::size_t size() const noexcept { return family_->size(); }

 private:
  friend class Registry;
  explicit FamilyOf(detail::Family& family) : family_(&family) {}
  void check(std::size_t values) const {
    const detail::FamilyDescription& description = family_->description();
    if (values == description.labels.size()) return;
    throw std::invalid_argument(description.name + " has " +
                                std::to_string(description.labels.size()) + " labels, not " +
                                std::to_string(values));
  }

  detail::Family* family_;
};

using CounterFamily = FamilyOf<Counter>;
using GaugeFamily = FamilyOf<Gauge>;
using HistogramFamily = FamilyOf<Histogram>;
using SummaryFamily = FamilyOf<Summary>;
using StateSetFamily = FamilyOf<StateSet>;

using LabelNames = std::initializer_list<std::string_view>;

struct FamilyOptions {
  std::vector<std::string> labels;
  // The unit, which must end the name (before `_total`): "seconds", "bytes". Empty: none is shown.
  std::string unit;
  // Further label sets share one series, whose label values are all `other`.
  std::size_t max_series = 2000;
  // A series that has not changed over so many pages leaves the page; its next use revives it from
  // zero. Unset: the registry's choice. 0: never.
  std::optional<unsigned> expire_after_scrapes;
  // Label names come with each look-up by name, and none is fixed here (the seed's facade).
  bool any_labels = false;
  ShownIn shown = ShownIn::always;
  // The same cells once more under the name that the seed gave them, multiplied by seed_scale.
  std::string seed_name;
  double seed_scale = 1;
};

struct HistogramOptions {
  std::vector<std::string> labels;
  std::vector<double> buckets = seconds_buckets();  // ascending; +Inf is added
  bool native = false;     // also exponential buckets, shown in the protobuf exposition
  bool durations = false;  // values are integer nanoseconds inside, seconds on the page
  std::string unit;
  std::size_t max_series = 2000;
  std::optional<unsigned> expire_after_scrapes;
  bool any_labels = false;
  ShownIn shown = ShownIn::always;
  std::string seed_name;
  double seed_scale = 1;
};

struct SummaryOptions {
  std::vector<std::string> labels;
  std::vector<double> quantiles = {0.5, 0.9, 0.95, 0.99};  // each from 0 to 1
  Nanos window = std::chrono::minutes(10);
  std::size_t slices = 5;  // parts of the window that are forgotten at once
  std::string unit;
  std::size_t max_series = 2000;
  std::optional<unsigned> expire_after_scrapes;
  ShownIn shown = ShownIn::always;
};

struct RegistryOptions {
  // On every series of this registry.
  std::vector<std::pair<std::string, std::string>> constant_labels;
  unsigned expire_after_scrapes = 0;  // of families that do not say otherwise; 0: never
  bool created_timestamps = false;    // OpenMetrics' _created samples
  // For summaries, exemplars and collectors' deadlines. Must outlive every handle.
  const Clock& clock = SteadyClock::instance();
};

class Registry {
 public:
  explicit Registry(RegistryOptions options = {});
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;
  // REQUIRES: no page of this registry is being made. A collector that hangs still then, and
  // returns later, must find what it refers to.
  ~Registry();

  // Names and labels: Prometheus' data model. Errors: std::invalid_argument with the name and what
  // is wrong with it.
  CounterFamily& counter(std::string_view name, std::string_view help, LabelNames labels = {});
  CounterFamily& counter(std::string_view name, std::string_view help, FamilyOptions options);
  GaugeFamily& gauge(std::string_view name, std::string_view help, LabelNames labels = {});
  GaugeFamily& gauge(std::string_view name, std::string_view help, FamilyOptions options);
  HistogramFamily& histogram(std::string_view name, std::string_view help,
                             HistogramOptions options = {});
  SummaryFamily& summary(std::string_view name, std::string_view help, SummaryOptions options = {});
  // Shows each state as a sample of 0 or 1, with the state as the value of a label that has the
  // family's name.
  StateSetFamily& state_set(std::string_view name, std::string_view help,
                            std::vector<std::string> states, FamilyOptions options = {});
  // Facts as labels; shown as NAME_info with value 1.
  void info(std::string_view name, std::string_view help,
            const std::vector<std::pair<std::string, std::string>>& facts);

  // Asked for its value at each page, by a thread of the registry's own, for one page at a time.
  // One that throws or takes longer than three quarters of the page's time is left out of that page
  // and counted in tyaprover_metrics_collect_errors_total.
  void gauge_callback(std::string_view name, std::string_view help, std::function<double()> value,
                      FamilyOptions options = {});
  void counter_callback(std::string_view name, std::string_view help, std::function<double()> value,
                        FamilyOptions options = {});
  // The same with whole families. `name` is for the error counter's label.
  void add_collector(std::string name, std::function<void(Collection&)> collect);

  // A page of this registry: see page.h.
  [[nodiscard]] Page expose(const PageOptions& options = {});

  // The family of this name and kind if it is registered, for the name-based facade.
  template <class Instrument>
  [[nodiscard]] FamilyOf<Instrument>* find(std::string_view name);

 private:
  friend class Page;
  struct State;
  template <class Instrument>
  FamilyOf<Instrument>& add(detail::FamilyDescription description, ShownIn shown,
                            std::string seed_name, double seed_scale);
  void add_callback(Kind kind, std::string_view name, std::string_view help,
                    std::function<double()> value, FamilyOptions options);

  std::shared_ptr<State> state_;
};

// The registry of programs that need just one. Never destroyed.
[[nodiscard]] Registry& default_registry();

}  // namespace tyaprover::metrics
