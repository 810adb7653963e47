#include "tyaprover/metrics/page.h"

#include <algorithm>
#include <array>
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
using detail::ShownFamily;
using detail::ShownLabels;

constexpr std::array kExpositions = {Exposition::text, Exposition::openmetrics,
                                     Exposition::protobuf};

// A weight of RFC 9110 §12.4.2 in thousandths; nothing if it is none.
std::optional<unsigned> weight(std::string_view text) noexcept {
  if (text.empty() || (text[0] != '0' && text[0] != '1')) return std::nullopt;
  unsigned value = text[0] == '1' ? 1000 : 0;
  text.remove_prefix(1);
  if (text.empty()) return value;
  if (text[0] != '.' || text.size() > 4) return std::nullopt;
  unsigned digit = 100;
  for (const char c : text.substr(1)) {
    if (c < '0' || c > '9') return std::nullopt;
    value += static_cast<unsigned>(c - '0') * digit;
    digit /= 10;
  }
  if (value > 1000) return std::nullopt;
  return value;
}

struct MediaRange {
  std::string_view type;
  std::string_view version;
  std::string_view proto;
  std::string_view encoding;
  std::optional<unsigned> weight = 1000;

  [[nodiscard]] bool accepts(Exposition exposition) const noexcept {
    if (type == "*/*") return true;
    switch (exposition) {
      case Exposition::text:
        return iequals(type, "text/*") ||
               (iequals(type, "text/plain") && (version.empty() || version == "0.0.4"));
      case Exposition::openmetrics:
        return iequals(type, "application/*") || (iequals(type, "application/openmetrics-text") &&
                                                  (version.empty() || version == "1.0.0"));
      case Exposition::protobuf:
        return iequals(type, "application/vnd.google.protobuf") &&
               proto == "io.prometheus.client.MetricFamily" && encoding == "delimited";
    }
    return false;
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
    if (iequals(name, "q")) range.weight = weight(value);
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
  // What a range names is refused by its own weight of 0, whatever a wider range says.
  const auto refused = [accept](Exposition exposition) {
    for (const std::string_view part : split(accept, ',')) {
      const MediaRange range = parse_range(part);
      if (range.weight == 0U && !range.type.ends_with("/*") && range.accepts(exposition)) {
        return true;
      }
    }
    return false;
  };
  Exposition best = Exposition::text;
  unsigned best_weight = 0;
  for (const std::string_view part : split(accept, ',')) {
    const MediaRange range = parse_range(part);
    if (!range.weight || *range.weight <= best_weight) continue;
    for (const Exposition exposition : kExpositions) {
      if (!range.accepts(exposition) || refused(exposition)) continue;
      best = exposition;
      best_weight = *range.weight;
      break;
    }
  }
  return best;
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

    [[nodiscard]] const FamilyDescription& description() const noexcept {
      return family ? (*family)->description() : collected->description;
    }
  };

  [[nodiscard]] bool done() const noexcept { return item == items.size(); }
  void step();
  void begin_item();
  void end_item();
  void show(std::string_view constant, const Registry::State& registry,
            const detail::SeriesLabels& labels, const Reading& reading);
  void finish();
  void add_registry(Registry::State& registry, const std::shared_ptr<Registry::State>& owner,
                    const PageOptions& options);
  void add_self_metrics();
  void add(Item made, const PageOptions& options);
  void settle();

  Exposition exposition = Exposition::text;
  std::unique_ptr<detail::Encoder> encoder;
  std::vector<std::shared_ptr<Registry::State>> registries;
  std::deque<Collection> collections;
  std::vector<Item> items;
  bool whole = true;  // not just some names: a scrape that counts for expiry
  const Clock* clock = nullptr;
  TimePoint started{};
  TimePoint deadline{};
  bool late = false;
  bool finished = false;

  std::size_t item = 0;
  bool item_begun = false;
  bool watch_duplicates = false;
  std::set<std::string, std::less<>> shown_labels;
  std::optional<std::size_t> next_series;
  std::vector<SeriesRef> batch;
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
  std::vector<std::shared_ptr<detail::Source>> sources;
  {
    const std::lock_guard lock(registry.mutex);
    sources = registry.sources;
    for (auto& [name, entry] : registry.families) {
      if (is_shown(entry.shown, options.naming) &&
          (entry.seed_name.empty() || options.naming != Naming::seed)) {
        Item made;
        made.name = name;
        made.family.emplace(*entry.family);
        made.registry = &registry;
        add(std::move(made), options);
      }
      if (!entry.seed_name.empty() && options.naming != Naming::prometheus) {
        Item second;
        second.name = entry.seed_name;
        second.family.emplace(*entry.family);
        second.registry = &registry;
        second.scale = entry.seed_scale;
        second.second_name = true;
        add(std::move(second), options);
      }
    }
  }
  std::vector<std::optional<Collection>> results = detail::collect_from(sources, options.timeout);
  for (std::size_t i = 0; i < results.size(); ++i) {
    if (!results[i]) {
      registry.count_collect_error(sources[i]->name);
      continue;
    }
    Collection& collection = collections.emplace_back(std::move(*results[i]));
    for (const Collection::Collected& family : collection.families_) {
      if (!is_shown(family.shown, options.naming)) continue;
      // Callbacks own their names; a collector's must not be somebody else's.
      const bool collides = [&] {
        const std::lock_guard lock(registry.mutex);
        const auto owner_of = registry.owners.find(family.description.name);
        return owner_of != registry.owners.end() && owner_of->second != sources[i]->name;
      }();
      if (collides) {
        registry.count_collect_error(sources[i]->name);
        continue;
      }
      Item made;
      made.name = family.description.name;
      made.collected = &family;
      made.registry = &registry;
      add(std::move(made), options);
    }
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

// Puts the items in order, and leaves out those whose name came with another type before.
void Page::State::settle() {
  std::stable_sort(items.begin(), items.end(),
                   [](const Item& a, const Item& b) { return a.name < b.name; });
  std::vector<Item> kept;
  for (Item& candidate : items) {
    if (!kept.empty() && kept.back().name == candidate.name) {
      const FamilyDescription& first = kept.back().description();
      const FamilyDescription& second = candidate.description();
      if (first.kind != second.kind || first.histogram.bounds != second.histogram.bounds ||
          kept.back().scale != candidate.scale) {
        candidate.registry->count_collect_error(candidate.name);
        continue;
      }
    }
    kept.push_back(std::move(candidate));
  }
  items = std::move(kept);
}

void Page::State::begin_item() {
  const Item& now = items[item];
  item_begun = true;
  next_series = 0;
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

void Page::State::show(std::string_view constant, const Registry::State& registry,
                       const detail::SeriesLabels& labels, const Reading& shown) {
  encoder->series(
      out,
      {.constant = constant, .constant_pairs = &registry.options.constant_labels, .own = labels},
      shown);
}

// One batch of series, or one collected family.
void Page::State::step() {
  if (!item_begun) begin_item();
  Item& now = items[item];
  // Two series may have the same text: of two registries, or with bytes that are not UTF-8.
  const auto duplicate = [&](const detail::SeriesLabels& labels) {
    if (!watch_duplicates && !labels.repaired) return false;
    std::string key = now.registry->constant_text;
    key += '\n';
    key += labels.text;
    if (shown_labels.insert(std::move(key)).second) return false;
    now.registry->count_collect_error(now.name);
    return true;
  };
  if (now.collected != nullptr) {
    for (const Collection::Sample& sample : now.collected->samples) {
      const detail::SeriesLabels labels{.text = sample.text,
                                        .raw = sample.raw,
                                        .plain = sample.plain,
                                        .repaired = true};  // a collector may repeat itself
      if (!duplicate(labels)) {
        show(now.registry->constant_text, *now.registry, labels, sample.reading);
      }
    }
    return end_item();
  }
  detail::Family& family = **now.family;
  batch.clear();
  next_series = family.list(*next_series, batch, kBatch);
  for (const SeriesRef& series : batch) {
    // A second name of the same cells must not count their rest twice.
    const bool counts = whole && !now.second_name;
    if (!family.read_for_page(*series.get(), reading, counts)) continue;
    const detail::SeriesLabels labels = series->label_text();
    if (duplicate(labels)) continue;
    show(now.registry->constant_text, *now.registry, labels, reading);
  }
  batch.clear();
  if (!next_series) end_item();
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
  // A chunk is filled to half, so that a series seldom lies across two; a series longer than that
  // is cut.
  if (state.sent == state.out.size()) {
    state.out.clear();
    state.sent = 0;
    while (state.out.size() < kMaxChunk / 2 && !state.late) {
      if (state.done()) {
        if (!state.finished) state.finish();
        break;
      }
      if (state.clock->now() >= state.deadline) {
        state.late = true;
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
  state->whole = options.names.empty();
  state->clock =
      registries.empty() ? &SteadyClock::instance() : &registries.front()->state_->options.clock;
  state->started = state->clock->now();
  state->deadline = state->started + options.timeout;
  for (Registry* registry : registries) {
    state->add_registry(*registry->state_, registry->state_, options);
  }
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
