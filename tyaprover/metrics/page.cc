#include "tyaprover/metrics/page.h"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <set>
#include <variant>

#include "tyaprover/base/parse.h"
#include "tyaprover/base/text.h"
#include "tyaprover/metrics/encoder.h"
#include "tyaprover/metrics/registry_state.h"

namespace tyaprover::metrics {
namespace {

using detail::FamilyDescription;
using detail::FamilyRef;
using detail::Reading;
using detail::SeriesRef;

constexpr std::array kExpositions = {Exposition::text, Exposition::openmetrics,
                                     Exposition::protobuf};

struct MediaRange {
  std::string_view type;
  std::string_view version;
  std::string_view proto;
  std::string_view encoding;
  std::optional<Weight> weight = Weight{1000};

  // How closely it names an exposition (RFC 9110 §12.5.1: the most specific range counts); 0: not
  // at all.
  [[nodiscard]] unsigned precision(Exposition exposition) const noexcept {
    if (type == "*/*") return 1;
    switch (exposition) {
      case Exposition::text:
        if (iequals(type, "text/*")) return 2;
        return iequals(type, "text/plain") ? of_version("0.0.4") : 0;
      case Exposition::openmetrics:
        if (iequals(type, "application/*")) return 2;
        return iequals(type, "application/openmetrics-text") ? of_version("1.0.0") : 0;
      case Exposition::protobuf:
        // Without these parameters it may be any message; `application/*` expects no protobuf.
        return iequals(type, "application/vnd.google.protobuf") &&
                       proto == "io.prometheus.client.MetricFamily" && encoding == "delimited"
                   ? 4
                   : 0;
    }
    return 0;
  }

 private:
  [[nodiscard]] unsigned of_version(std::string_view ours) const noexcept {
    if (version.empty()) return 3;
    return version == ours ? 4 : 0;
  }
};

MediaRange parse_range(std::string_view text) noexcept {
  MediaRange range;
  bool first = true;
  for (const std::string_view part : split(text, ';')) {
    const std::string_view trimmed = trim(part);
    if (first) {
      range.type = trimmed;
      first = false;
      continue;
    }
    const std::size_t equals = trimmed.find('=');
    if (equals == std::string_view::npos) continue;
    const std::string_view name = trim(trimmed.substr(0, equals));
    std::string_view value = trim(trimmed.substr(equals + 1));
    if (value.size() >= 2 && value.front() == '"' && value.back() == '"') {
      value = value.substr(1, value.size() - 2);
    }
    if (iequals(name, "q")) range.weight = parse_weight(value);
    if (iequals(name, "version")) range.version = value;
    if (iequals(name, "proto")) range.proto = value;
    if (iequals(name, "encoding")) range.encoding = value;
  }
  return range;
}

}  // namespace

std::string_view content_type(Exposition exposition) noexcept {
  switch (exposition) {
    case Exposition::text:
      return "text/plain; version=0.0.4; charset=utf-8";
    case Exposition::openmetrics:
      return "application/openmetrics-text; version=1.0.0; charset=utf-8";
    case Exposition::protobuf:
      return "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; "
             "encoding=delimited";
  }
  return {};
}

Exposition negotiate(std::string_view accept) noexcept {
  struct Offer {
    unsigned precision = 0;
    unsigned weight = 0;
    std::size_t position = 0;  // of the range that counts
  };
  std::array<Offer, kExpositions.size()> offers{};
  std::size_t position = 0;
  for (const std::string_view part : split(accept, ',')) {
    const MediaRange range = parse_range(part);
    ++position;
    if (!range.weight) continue;
    for (std::size_t i = 0; i < kExpositions.size(); ++i) {
      const unsigned precision = range.precision(kExpositions[i]);
      if (precision <= offers[i].precision) continue;
      offers[i] = {.precision = precision, .weight = *range.weight, .position = position};
    }
  }
  std::size_t best = 0;
  for (std::size_t i = 1; i < offers.size(); ++i) {
    if (offers[i].weight > offers[best].weight ||
        (offers[i].weight == offers[best].weight && offers[i].weight > 0 &&
         offers[i].position < offers[best].position)) {
      best = i;
    }
  }
  return kExpositions[best];
}

// What a page shows under one name from one registry.
struct Page::State {
  struct Item {
    std::string name;
    std::optional<FamilyRef> family;           // live, or
    const Collection::Collected* collected{};  // collected
    Registry::State* registry{};
    double scale = 1;
    bool second_name = false;
    bool counts_scrape = false;  // for expiry: once per family and page

    [[nodiscard]] const FamilyDescription& description() const noexcept {
      return family ? (*family)->description() : collected->description;
    }
  };

  [[nodiscard]] bool done() const noexcept { return item == items.size(); }
  void step();
  void begin_item();
  void end_item();
  [[nodiscard]] bool is_duplicate(const Item& now, const detail::PackedLabels& labels);
  void show(const Item& now, const detail::PackedLabels& labels, const Reading& reading);
  void finish();
  void add_registry(Registry::State& registry, const std::shared_ptr<Registry::State>& owner,
                    const PageOptions& options);
  void collect(const PageOptions& options);
  void add_collected(Registry::State& registry, const detail::Source& source,
                     const Collection& collection, const PageOptions& options);
  void add_self_metrics();
  void add(Item made, const PageOptions& options);
  void settle();

  Exposition exposition = Exposition::text;
  std::unique_ptr<detail::Encoder> encoder;
  std::vector<std::shared_ptr<Registry::State>> registries;
  std::vector<std::shared_ptr<detail::Source>> sources;
  std::vector<Registry::State*> source_owners;
  std::deque<Collection> collections;
  std::vector<Item> items;
  const Clock* clock = nullptr;
  TimePoint started{};
  TimePoint deadline{};
  bool late = false;
  bool finished = false;

  std::size_t item = 0;
  bool item_begun = false;
  bool watch_duplicates = false;
  std::set<std::string, std::less<>> shown_labels;
  std::optional<std::size_t> next_series;  // to list, of a live family
  std::vector<SeriesRef> batch;
  std::size_t next_shown = 0;  // of the batch, or of a collected family's samples
  Reading reading;

  std::string out;
  std::size_t sent = 0;
};

namespace {

constexpr std::size_t kBatch = 32;

bool is_shown(ShownIn shown, Naming naming) noexcept {
  switch (shown) {
    case ShownIn::always:
      return true;
    case ShownIn::seed_only:
      return naming != Naming::prometheus;
    case ShownIn::prometheus_only:
      return naming != Naming::seed;
  }
  return true;
}

}  // namespace

void Page::State::add(Item made, const PageOptions& options) {
  if (!options.names.empty()) {
    FamilyDescription named = made.description();
    named.name = made.name;
    const std::vector<std::string> names = detail::claimed_names(named);
    const bool wanted =
        std::any_of(options.names.begin(), options.names.end(), [&](const std::string& name) {
          return std::find(names.begin(), names.end(), name) != names.end();
        });
    if (!wanted) return;
  }
  items.push_back(std::move(made));
}

void Page::State::add_registry(Registry::State& registry,
                               const std::shared_ptr<Registry::State>& owner,
                               const PageOptions& options) {
  registries.push_back(owner);
  {
    const std::lock_guard lock(registry.mutex);
    for (const auto& source : registry.sources) {
      sources.push_back(source);
      source_owners.push_back(&registry);
    }
    for (auto& [name, entry] : registry.families) {
      if (is_shown(entry.shown, options.naming) &&
          (entry.seed_name.empty() || options.naming != Naming::seed)) {
        Item made;
        made.name = name;
        made.family.emplace(*entry.family);
        made.registry = &registry;
        // The first of two names counts, so that both leave the page at once.
        made.counts_scrape = options.names.empty() &&
                             (entry.seed_name.empty() || options.naming == Naming::prometheus ||
                              name < entry.seed_name);
        add(std::move(made), options);
      }
      if (!entry.seed_name.empty() && options.naming != Naming::prometheus) {
        Item second;
        second.name = entry.seed_name;
        second.family.emplace(*entry.family);
        second.registry = &registry;
        second.scale = entry.seed_scale;
        second.second_name = true;
        second.counts_scrape =
            options.names.empty() && (options.naming == Naming::seed || entry.seed_name < name);
        add(std::move(second), options);
      }
    }
  }
}

// Calls the callbacks and collectors of all registries.
void Page::State::collect(const PageOptions& options) {
  // The last quarter of the time is for writing the page: otherwise a source that hangs would
  // take all of it.
  std::vector<std::optional<Collection>> results =
      detail::collect_from(sources, options.timeout / 4 * 3);
  for (std::size_t i = 0; i < results.size(); ++i) {
    if (!results[i]) {
      source_owners[i]->count_collect_error(sources[i]->name);
      continue;
    }
    add_collected(*source_owners[i], *sources[i], collections.emplace_back(std::move(*results[i])),
                  options);
  }
}

void Page::State::add_collected(Registry::State& registry, const detail::Source& source,
                                const Collection& collection, const PageOptions& options) {
  for (const Collection::Collected& family : collection.families_) {
    if (!is_shown(family.shown, options.naming)) continue;
    // Callbacks own their names; a collector's must not be somebody else's, nor may its labels be
    // the registry's.
    const std::vector<std::string> names = detail::claimed_names(family.description);
    const auto is_taken = [&](const std::string& name) {
      const std::lock_guard lock(registry.mutex);
      const auto owner_of = registry.owners.find(name);
      return owner_of != registry.owners.end() && owner_of->second != source.name;
    };
    const bool collides =
        std::any_of(names.begin(), names.end(), is_taken) ||
        std::any_of(family.samples.begin(), family.samples.end(),
                    [&](const Collection::Sample& sample) {
                      bool constant = false;
                      const detail::PackedLabels labels{.bytes = sample.packed_labels};
                      labels.for_each([&](std::string_view name, std::string_view) {
                        for (const auto& [taken, value] : registry.options.constant_labels) {
                          constant = constant || name == taken;
                        }
                      });
                      return constant;
                    });
    if (collides) {
      registry.count_collect_error(source.name);
      continue;
    }
    Item made;
    made.name = family.description.name;
    made.collected = &family;
    made.registry = &registry;
    add(std::move(made), options);
  }
}

// Families about the metrics of each registry, as one more collection.
void Page::State::add_self_metrics() {
  Collection& self = collections.emplace_back();
  std::size_t series = 0;
  double last_page_seconds = 0;
  std::map<std::string, std::uint64_t> invalid;
  std::map<std::string, std::uint64_t> dropped;
  std::map<std::string, std::uint64_t> errors;
  for (const auto& registry : registries) {
    const std::lock_guard lock(registry->mutex);
    for (const auto& [name, entry] : registry->families) {
      series += entry.family->size();
      if (const std::uint64_t count = entry.family->invalid(); count > 0) invalid[name] += count;
      if (const std::uint64_t count = entry.family->dropped(); count > 0) dropped[name] += count;
    }
    for (const auto& [name, count] : registry->collect_errors) errors[name] += count;
    last_page_seconds = std::max(last_page_seconds, registry->last_page_seconds);
  }
  for (const auto& [name, count] : invalid) {
    self.counter("tyaprover_metrics_invalid_total",
                 "Values that were refused: negative, NaN or without a state.", count,
                 {{"family", name}});
  }
  for (const auto& [name, count] : dropped) {
    self.counter("tyaprover_metrics_series_dropped_total",
                 "Look-ups beyond a family's max_series, which got the series `other`.", count,
                 {{"family", name}});
  }
  for (const auto& [name, count] : errors) {
    self.counter("tyaprover_metrics_collect_errors_total",
                 "Collectors, families or series that were left out of a page.", count,
                 {{"collector", name}});
  }
  self.gauge("tyaprover_metrics_series", "Series in the registries of this page.",
             static_cast<double>(series));
  self.gauge("tyaprover_metrics_scrape_duration_seconds",
             "Time that the last complete page took to produce.", last_page_seconds);
  self.unit("seconds");
}

// Puts the items in order, and leaves out those that the ones before do not let on the page: of the
// same name, but not to be written in the same way, or with a sample of another one's name.
void Page::State::settle() {
  const auto agree = [](const Item& a, const Item& b) {
    const FamilyDescription& first = a.description();
    const FamilyDescription& second = b.description();
    return first.kind == second.kind && a.scale == b.scale &&
           first.histogram.bounds == second.histogram.bounds &&
           first.histogram.durations == second.histogram.durations &&
           first.quantiles == second.quantiles && first.states == second.states;
  };
  std::map<std::string, std::size_t, std::less<>> owners;  // of the names on the page
  std::vector<Item> kept;
  for (Item& candidate : items) {
    FamilyDescription named = candidate.description();
    named.name = candidate.name;
    const std::vector<std::string> names = detail::claimed_names(named);
    const bool fits = std::all_of(names.begin(), names.end(), [&](const std::string& name) {
      const auto owner = owners.find(name);
      return owner == owners.end() ||
             (kept[owner->second].name == candidate.name && agree(kept[owner->second], candidate));
    });
    if (!fits) {
      candidate.registry->count_collect_error(candidate.name);
      continue;
    }
    for (const std::string& name : names) owners.emplace(name, kept.size());
    kept.push_back(std::move(candidate));
  }
  items = std::move(kept);
  std::stable_sort(items.begin(), items.end(),
                   [](const Item& a, const Item& b) { return a.name < b.name; });
}

void Page::State::begin_item() {
  const Item& now = items[item];
  item_begun = true;
  next_series = 0;
  next_shown = 0;
  const bool same_as_before = item > 0 && items[item - 1].name == now.name;
  const bool same_as_next = item + 1 < items.size() && items[item + 1].name == now.name;
  if (!same_as_before) shown_labels.clear();
  watch_duplicates = same_as_before || same_as_next;
  if (same_as_before) return;
  encoder->begin(out, {.name = now.name,
                       .description = &now.description(),
                       .scale = now.scale,
                       .native = !now.second_name});
}

void Page::State::end_item() {
  const bool same_as_next = item + 1 < items.size() && items[item + 1].name == items[item].name;
  if (!same_as_next) encoder->end(out);
  item_begun = false;
  ++item;
}

// Two series may look the same: of two registries, with bytes that are not UTF-8, or when a
// collector repeats itself. The first one stays.
bool Page::State::is_duplicate(const Item& now, const detail::PackedLabels& labels) {
  if (!watch_duplicates && !labels.lookalikes && now.collected == nullptr) return false;
  std::vector<Label> pairs(now.registry->options.constant_labels.begin(),
                           now.registry->options.constant_labels.end());
  labels.for_each(
      [&pairs](std::string_view name, std::string_view value) { pairs.emplace_back(name, value); });
  std::sort(pairs.begin(), pairs.end());
  std::string key;
  for (const auto& [name, value] : pairs) detail::append_label(key, name, value);
  if (shown_labels.insert(std::move(key)).second) return false;
  now.registry->count_collect_error(now.name);
  return true;
}

void Page::State::show(const Item& now, const detail::PackedLabels& labels, const Reading& shown) {
  if (is_duplicate(now, labels)) return;
  encoder->series(out,
                  {.constant = now.registry->constant_text,
                   .constant_pairs = &now.registry->options.constant_labels,
                   .own = labels},
                  shown);
}

// One series, live or collected.
void Page::State::step() {
  if (!item_begun) begin_item();
  Item& now = items[item];
  if (now.collected != nullptr) {
    if (next_shown == now.collected->samples.size()) return end_item();
    const Collection::Sample& sample = now.collected->samples[next_shown++];
    return show(now, {.names = {}, .bytes = sample.packed_labels, .plain = sample.plain},
                sample.reading);
  }
  detail::Family& family = **now.family;
  if (next_shown == batch.size()) {
    batch.clear();
    next_shown = 0;
    if (!next_series) return end_item();
    next_series = family.list(*next_series, batch, kBatch);
    return;
  }
  const SeriesRef& series = batch[next_shown++];
  if (family.read_for_page(*series.get(), reading, now.counts_scrape)) {
    show(now, series->packed_labels(), reading);
  }
}

void Page::State::finish() {
  finished = true;
  encoder->finish(out);
  const double seconds = std::chrono::duration<double>(clock->now() - started).count();
  for (const auto& registry : registries) {
    const std::lock_guard lock(registry->mutex);
    registry->last_page_seconds = seconds;
  }
}

Page::Page(std::unique_ptr<State> state) noexcept : state_(std::move(state)) {}
Page::Page(Page&&) noexcept = default;
Page& Page::operator=(Page&&) noexcept = default;
Page::~Page() = default;

Exposition Page::exposition() const noexcept {
  return state_->exposition;
}
bool Page::out_of_time() const noexcept {
  return state_->late;
}

std::string_view Page::next_chunk() {
  State& state = *state_;
  // A chunk is filled to half, so that a series seldom lies across two; a longer one is cut.
  if (state.sent == state.out.size()) {
    state.out.clear();
    state.sent = 0;
    for (std::size_t steps = 0; state.out.size() < kMaxChunk / 2 && !state.late; ++steps) {
      if (state.done()) {
        if (!state.finished) state.finish();
        break;
      }
      if (steps % kBatch == 0 && state.clock->now() >= state.deadline) {
        state.late = true;
        state.out.clear();
        return {};
      }
      state.step();
    }
  }
  const std::string_view chunk = std::string_view(state.out).substr(state.sent, kMaxChunk);
  state.sent += chunk.size();
  return chunk;
}

std::string Page::text() {
  std::string text;
  for (std::string_view chunk = next_chunk(); !chunk.empty(); chunk = next_chunk()) text += chunk;
  return text;
}

Page expose(std::span<Registry* const> registries, const PageOptions& options) {
  return Page::make(registries, options);
}

Page Page::make(std::span<Registry* const> registries, const PageOptions& options) {
  auto state = std::make_unique<Page::State>();
  state->exposition = negotiate(options.accept);
  switch (state->exposition) {
    case Exposition::text:
      state->encoder = detail::make_text_encoder();
      break;
    case Exposition::openmetrics:
      state->encoder = detail::make_openmetrics_encoder();
      break;
    case Exposition::protobuf:
      state->encoder = detail::make_protobuf_encoder();
      break;
  }
  state->clock =
      registries.empty() ? &SteadyClock::instance() : &registries.front()->state_->options.clock;
  state->started = state->clock->now();
  state->deadline = state->started + options.timeout;
  for (Registry* registry : registries) {
    state->add_registry(*registry->state_, registry->state_, options);
  }
  state->collect(options);
  if (options.self_metrics && !registries.empty()) {
    state->add_self_metrics();
    for (const Collection::Collected& family : state->collections.back().families_) {
      Page::State::Item made;
      made.name = family.description.name;
      made.collected = &family;
      made.registry = registries.front()->state_.get();
      state->add(std::move(made), options);
    }
  }
  state->settle();
  return Page(std::move(state));
}

}  // namespace tyaprover::metrics
