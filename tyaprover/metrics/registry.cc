#include "tyaprover/metrics/registry.h"

#include <algorithm>
#include <cmath>
#include <system_error>
#include <thread>

#include "tyaprover/metrics/registry_state.h"

namespace tyaprover::metrics {
namespace {

using detail::FamilyDescription;

[[noreturn]] void refuse(const std::string& name, const std::string& problem) {
  throw std::invalid_argument(name + ": " + problem);
}

std::string_view without_suffix(std::string_view name, std::string_view suffix) {
  return name.ends_with(suffix) ? name.substr(0, name.size() - suffix.size()) : name;
}

void check_names(const FamilyDescription& description) {
  if (auto problem = detail::metric_name_problem(description.name)) {
    throw std::invalid_argument(*problem);
  }
  constexpr std::size_t kMaxLabels = 64;
  if (description.labels.size() > kMaxLabels) {
    refuse(description.name, "at most " + std::to_string(kMaxLabels) + " labels");
  }
  for (std::size_t i = 0; i < description.labels.size(); ++i) {
    const std::string& label = description.labels[i];
    if (auto problem = detail::label_name_problem(label, description.kind)) {
      refuse(description.name, *problem);
    }
    if (std::count(description.labels.begin(), description.labels.end(), label) > 1) {
      refuse(description.name, "the label \"" + label + "\" is there twice");
    }
    if (description.kind == Kind::state_set && label == description.name) {
      refuse(description.name, "the label \"" + label + "\" is the one that shows the state");
    }
  }
  if (!description.unit.empty() &&
      !without_suffix(description.name, "_total").ends_with("_" + description.unit)) {
    refuse(description.name, "the name must end with its unit, _" + description.unit);
  }
  if (description.any_labels && !description.labels.empty()) {
    refuse(description.name, "labels are either named here or come with each look-up");
  }
  if (description.max_series == 0) refuse(description.name, "max_series must be at least 1");
}

FamilyDescription describe(std::string_view name, std::string_view help, Kind kind,
                           const FamilyOptions& options, const RegistryOptions& registry) {
  FamilyDescription description;
  description.name = name;
  description.help = help;
  description.kind = kind;
  description.unit = options.unit;
  description.labels = options.labels;
  description.any_labels = options.any_labels;
  description.max_series = options.max_series;
  description.expire_after_scrapes =
      options.expire_after_scrapes.value_or(registry.expire_after_scrapes);
  description.created_timestamps = registry.created_timestamps;
  return description;
}

FamilyOptions labelled(LabelNames labels) {
  return {.labels = std::vector<std::string>(labels.begin(), labels.end())};
}

}  // namespace

std::vector<std::string> detail::claimed_names(const FamilyDescription& description) {
  const std::string& name = description.name;
  std::vector<std::string> names = {name};
  switch (description.kind) {
    case Kind::counter: {
      // OpenMetrics names the family without `_total` and the sample with it.
      const std::string base(without_suffix(name, "_total"));
      names.push_back(base == name ? name + "_total" : base);
      if (description.created_timestamps) names.push_back(base + "_created");
      return names;
    }
    case Kind::gauge:
    case Kind::state_set:
      return names;
    case Kind::info:
      names.push_back(name + "_info");
      return names;
    case Kind::histogram:
      names.push_back(name + "_bucket");
      [[fallthrough]];
    case Kind::summary:
      names.push_back(name + "_sum");
      names.push_back(name + "_count");
      if (description.created_timestamps) names.push_back(name + "_created");
      return names;
  }
  return names;
}

Registry::State::~State() {
  for (auto& [name, entry] : families) entry.family->close();
}

void Registry::State::claim(const FamilyDescription& description, const std::string& seed_name) {
  std::vector<std::string> names = detail::claimed_names(description);
  if (!seed_name.empty()) {
    FamilyDescription second = description;
    second.name = seed_name;
    for (std::string& name : detail::claimed_names(second)) {
      if (std::find(names.begin(), names.end(), name) != names.end()) {
        refuse(description.name, "its second name " + seed_name + " would show " + name + " twice");
      }
      names.push_back(std::move(name));
    }
  }
  for (const std::string& name : names) {
    const auto taken = owners.find(name);
    if (taken != owners.end()) {
      refuse(description.name,
             name == description.name && taken->second == name
                 ? "this name is registered already"
                 : "its sample " + name + " would have the name of one of " + taken->second);
    }
  }
  for (const std::string& name : names) owners.emplace(name, description.name);
}

void Registry::State::count_collect_error(const std::string& source) {
  const std::lock_guard lock(mutex);
  ++collect_errors[source];
}

Registry::Registry(RegistryOptions options) : state_(std::make_shared<State>(std::move(options))) {
  std::vector<std::string> names;
  for (const auto& [name, value] : state_->options.constant_labels) {
    // Any registry may come to have histograms and summaries.
    for (const Kind kind : {Kind::histogram, Kind::summary}) {
      if (auto problem = detail::label_name_problem(name, kind)) {
        throw std::invalid_argument(*problem);
      }
    }
    if (std::find(names.begin(), names.end(), name) != names.end()) {
      throw std::invalid_argument("the constant label \"" + name + "\" is there twice");
    }
    if (value.empty()) throw std::invalid_argument("the constant label \"" + name + "\" is empty");
    names.push_back(name);
    detail::append_label(state_->constant_text, name, value);
  }
}

Registry::~Registry() = default;

template <class Instrument>
FamilyOf<Instrument>& Registry::add(FamilyDescription description, ShownIn shown,
                                    std::string seed_name, double seed_scale) {
  check_names(description);
  if (!seed_name.empty()) {
    if (auto problem = detail::metric_name_problem(seed_name))
      throw std::invalid_argument(*problem);
  }
  for (const auto& [name, value] : state_->options.constant_labels) {
    if (std::count(description.labels.begin(), description.labels.end(), name) > 0 ||
        (description.kind == Kind::state_set && description.name == name)) {
      refuse(description.name, "the label \"" + name + "\" is a constant label of its registry");
    }
    if (description.any_labels) description.taken_labels.push_back(name);
  }
  const std::lock_guard lock(state_->mutex);
  const auto known = state_->families.find(description.name);
  if (known != state_->families.end()) {
    State::Entry& entry = known->second;
    if (auto difference = description.difference(entry.family->description())) {
      refuse(description.name, "registered before, and " + *difference);
    }
    if (entry.seed_name != seed_name || entry.seed_scale != seed_scale || entry.shown != shown) {
      refuse(description.name, "registered before, and shown under other names");
    }
    return std::get<FamilyOf<Instrument>>(entry.handle);
  }
  state_->claim(description, seed_name);
  const std::string name = description.name;
  auto* family = new detail::Family(std::move(description), state_->options.clock);
  auto& entry = state_->families
                    .emplace(name, State::Entry{.handle = FamilyOf<Instrument>(*family),
                                                .family = family,
                                                .shown = shown,
                                                .seed_name = std::move(seed_name),
                                                .seed_scale = seed_scale})
                    .first->second;
  // What has no labels is there from the start, with zero.
  if (family->description().labels.empty() && !family->description().any_labels) {
    static_cast<void>(family->with(std::span<const std::string_view>()));
  }
  return std::get<FamilyOf<Instrument>>(entry.handle);
}

template <class Instrument>
FamilyOf<Instrument>* Registry::find(std::string_view name) {
  const std::lock_guard lock(state_->mutex);
  const auto known = state_->families.find(name);
  return known == state_->families.end() ? nullptr
                                         : std::get_if<FamilyOf<Instrument>>(&known->second.handle);
}
template CounterFamily* Registry::find<Counter>(std::string_view);
template GaugeFamily* Registry::find<Gauge>(std::string_view);
template HistogramFamily* Registry::find<Histogram>(std::string_view);

CounterFamily& Registry::counter(std::string_view name, std::string_view help,
                                 FamilyOptions options) {
  return add<Counter>(describe(name, help, Kind::counter, options, state_->options), options.shown,
                      std::move(options.seed_name), options.seed_scale);
}
CounterFamily& Registry::counter(std::string_view name, std::string_view help, LabelNames labels) {
  return counter(name, help, labelled(labels));
}

GaugeFamily& Registry::gauge(std::string_view name, std::string_view help, FamilyOptions options) {
  return add<Gauge>(describe(name, help, Kind::gauge, options, state_->options), options.shown,
                    std::move(options.seed_name), options.seed_scale);
}
GaugeFamily& Registry::gauge(std::string_view name, std::string_view help, LabelNames labels) {
  return gauge(name, help, labelled(labels));
}

HistogramFamily& Registry::histogram(std::string_view name, std::string_view help,
                                     HistogramOptions options) {
  FamilyDescription description = describe(name, help, Kind::histogram,
                                           {.labels = std::move(options.labels),
                                            .unit = std::move(options.unit),
                                            .max_series = options.max_series,
                                            .expire_after_scrapes = options.expire_after_scrapes,
                                            .any_labels = options.any_labels},
                                           state_->options);
  if (auto problem = detail::bounds_problem(options.buckets)) {
    refuse(description.name, *problem);
  }
  constexpr std::size_t kMaxBounds = detail::kMaxRange - 2;
  if (options.buckets.size() > kMaxBounds) {
    refuse(description.name, "at most " + std::to_string(kMaxBounds) + " buckets, not " +
                                 std::to_string(options.buckets.size()));
  }
  detail::HistogramLayout& layout = description.histogram;
  layout.native = options.native;
  layout.durations = options.durations;
  if (options.durations) {
    for (const double bound : options.buckets) {
      constexpr double kMostSeconds = 9.2e9;
      if (std::fabs(bound) > kMostSeconds) {
        refuse(description.name, "a bucket's bound does not fit in nanoseconds");
      }
      layout.nanos_bounds.push_back(std::llround(bound * 1e9));
    }
  }
  layout.bounds = std::move(options.buckets);
  return add<Histogram>(std::move(description), options.shown, std::move(options.seed_name),
                        options.seed_scale);
}

SummaryFamily& Registry::summary(std::string_view name, std::string_view help,
                                 SummaryOptions options) {
  FamilyDescription description = describe(name, help, Kind::summary,
                                           {.labels = std::move(options.labels),
                                            .unit = std::move(options.unit),
                                            .max_series = options.max_series,
                                            .expire_after_scrapes = options.expire_after_scrapes},
                                           state_->options);
  for (std::size_t i = 0; i < options.quantiles.size(); ++i) {
    if (!(options.quantiles[i] >= 0 && options.quantiles[i] <= 1)) {
      refuse(description.name, "a quantile is a number from 0 to 1");
    }
    if (i > 0 && !(options.quantiles[i - 1] < options.quantiles[i])) {
      refuse(description.name, "the quantiles must ascend");
    }
  }
  if (options.slices == 0 || options.window < Nanos(options.slices)) {
    refuse(description.name, "the window must be positive and have at least one slice");
  }
  description.quantiles = std::move(options.quantiles);
  description.window = options.window;
  description.slices = options.slices;
  return add<Summary>(std::move(description), options.shown, {}, 1);
}

StateSetFamily& Registry::state_set(std::string_view name, std::string_view help,
                                    std::vector<std::string> states, FamilyOptions options) {
  FamilyDescription description = describe(name, help, Kind::state_set, options, state_->options);
  if (states.empty()) refuse(description.name, "a state set needs states");
  if (!description.unit.empty()) refuse(description.name, "a state set has no unit");
  for (std::size_t i = 0; i < states.size(); ++i) {
    if (states[i].empty() || !detail::is_utf8(states[i])) {
      refuse(description.name, "a state must have a name, in UTF-8");
    }
    if (std::find(states.begin(), states.begin() + static_cast<std::ptrdiff_t>(i), states[i]) !=
        states.begin() + static_cast<std::ptrdiff_t>(i)) {
      refuse(description.name, "the state \"" + states[i] + "\" is there twice");
    }
  }
  description.states = std::move(states);
  return add<StateSet>(std::move(description), options.shown, {}, 1);
}

void Registry::info(std::string_view name, std::string_view help,
                    const std::vector<std::pair<std::string, std::string>>& facts) {
  FamilyOptions options;
  std::vector<std::string_view> values;
  for (const auto& [label, value] : facts) {
    options.labels.push_back(label);
    values.push_back(value);
  }
  FamilyDescription description =
      describe(without_suffix(name, "_info"), help, Kind::info, options, state_->options);
  add<Gauge>(std::move(description), ShownIn::always, {}, 1)
      .with(std::span<const std::string_view>(values))
      .set(1);
}

void Registry::add_callback(Kind kind, std::string_view name, std::string_view help,
                            std::function<double()> value, FamilyOptions options) {
  const FamilyDescription description = describe(name, help, kind, options, state_->options);
  check_names(description);
  if (!description.labels.empty()) {
    refuse(description.name, "a callback has no labels; use add_collector");
  }
  if (!options.seed_name.empty()) {
    if (auto problem = detail::metric_name_problem(options.seed_name)) {
      throw std::invalid_argument(*problem);
    }
  }
  auto source = std::make_shared<detail::Source>();
  source->name = description.name;
  source->collect = [description, value = std::move(value), shown = options.shown,
                     seed_name = options.seed_name,
                     seed_scale = options.seed_scale](Collection& out) {
    const auto add = [&](const std::string& as, double number) {
      if (description.kind == Kind::gauge) {
        out.gauge(as, description.help, number);
      } else {
        out.counter(as, description.help, number);
      }
      out.unit(as == description.name ? description.unit : std::string());
    };
    const double number = value();
    out.shown_in(seed_name.empty() ? shown : ShownIn::prometheus_only);
    add(description.name, number);
    if (seed_name.empty()) return;
    out.shown_in(ShownIn::seed_only);
    add(seed_name, number * seed_scale);
  };
  const std::lock_guard lock(state_->mutex);
  state_->claim(description, options.seed_name);
  state_->sources.push_back(std::move(source));
}

void Registry::gauge_callback(std::string_view name, std::string_view help,
                              std::function<double()> value, FamilyOptions options) {
  add_callback(Kind::gauge, name, help, std::move(value), std::move(options));
}

void Registry::counter_callback(std::string_view name, std::string_view help,
                                std::function<double()> value, FamilyOptions options) {
  add_callback(Kind::counter, name, help, std::move(value), std::move(options));
}

void Registry::add_collector(std::string name, std::function<void(Collection&)> collect) {
  auto source = std::make_shared<detail::Source>();
  source->name = std::move(name);
  source->collect = std::move(collect);
  const std::lock_guard lock(state_->mutex);
  state_->sources.push_back(std::move(source));
}

Page Registry::expose(const PageOptions& options) {
  Registry* const self = this;
  return metrics::expose({&self, 1}, options);
}

Registry& default_registry() {
  static Registry& registry = *new Registry;
  return registry;
}

namespace detail {
namespace {

using SteadyTime = std::chrono::steady_clock::time_point;

// One call of all sources: shared by the page and the threads that call.
struct Round {
  Round(const std::vector<std::shared_ptr<Source>>& called, SteadyTime until)
      : sources(called), deadline(until), results(called.size()) {}

  void run() {
    std::unique_lock lock(mutex);
    while (!closed && next < sources.size()) {
      const std::size_t mine = next++;
      Source& source = *sources[mine];
      lock.unlock();
      std::optional<Collection> result;
      if (source.enter(deadline)) {
        try {
          Collection collection;
          source.collect(collection);
          result = std::move(collection);
        } catch (...) {
          // Of whatever type: the page must not break. It is counted as an error by the page.
        }
        source.leave();
      }
      lock.lock();
      if (closed) return;  // the page has gone on without this one
      results[mine] = std::move(result);
      ++done;
      changed.notify_one();
    }
  }

  const std::vector<std::shared_ptr<Source>> sources;
  const SteadyTime deadline;
  std::mutex mutex;
  std::condition_variable changed;
  std::size_t next = 0;
  std::size_t done = 0;
  bool closed = false;
  std::vector<std::optional<Collection>> results;
};

}  // namespace

bool Source::enter(SteadyTime deadline) {
  std::unique_lock lock(mutex);
  while (running) {
    // Of a call that one page has given up, no other page expects anything.
    if (std::chrono::steady_clock::now() >= std::min(deadline, running_until)) return false;
    idle.wait_until(lock, std::min(deadline, running_until));
  }
  running = true;
  running_until = deadline;
  return true;
}

void Source::leave() {
  const std::lock_guard lock(mutex);
  running = false;
  idle.notify_one();
}

std::vector<std::optional<Collection>> collect_from(
    const std::vector<std::shared_ptr<Source>>& sources, Nanos timeout) {
  if (sources.empty()) return {};
  constexpr Nanos kPatience = std::chrono::milliseconds(20);
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  const auto round = std::make_shared<Round>(sources, deadline);
  // Detached: a source that hangs must not hang the page, and what a late one hands over is for
  // nobody. Without a thread those who would have been called in it are as if they were late.
  const auto start_thread = [&round] {
    try {
      std::thread([round] { round->run(); }).detach();
      return true;
    } catch (const std::system_error&) {
      return false;
    }
  };
  const bool called = start_thread();

  std::unique_lock lock(round->mutex);
  std::size_t seen = 0;
  while (called && round->done < sources.size()) {
    const auto now = std::chrono::steady_clock::now();
    if (now >= deadline) break;
    const bool progress = round->changed.wait_until(lock, std::min(deadline, now + kPatience),
                                                    [&] { return round->done != seen; });
    if (!progress && round->next < sources.size()) start_thread();
    seen = round->done;
  }
  round->closed = true;
  return std::move(round->results);
}

}  // namespace detail
}  // namespace tyaprover::metrics
