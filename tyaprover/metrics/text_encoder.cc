// The two text formats. They differ in the names of counters, in what stands at the end, in
// exemplars, units and creation times, and in how bounds are written.
#include <cmath>

#include "tyaprover/metrics/encoder.h"
#include "tyaprover/metrics/number_text.h"

namespace tyaprover::metrics::detail {

double counter_value(const ShownFamily& family, const Reading& reading) noexcept {
  return (static_cast<double>(reading.integer) + reading.real) * family.scale;
}

double histogram_sum(const ShownFamily& family, const Reading& reading) noexcept {
  if (!family.description->histogram.durations) return reading.real * family.scale;
  return static_cast<double>(reading.sum_nanos) / (1e9 / family.scale);
}

double bound(const ShownFamily& family, std::size_t bucket) noexcept {
  const HistogramLayout& layout = family.description->histogram;
  if (family.scale == 1) return layout.bounds[bucket];
  if (!layout.durations) return layout.bounds[bucket] * family.scale;
  return static_cast<double>(layout.nanos_bounds[bucket]) / (1e9 / family.scale);
}

namespace {

// Seconds since 1970 with milliseconds.
void append_time(std::string& out, std::chrono::system_clock::time_point time) {
  const auto millis =
      std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count();
  append_integer(out, static_cast<std::uint64_t>(millis / 1000));
  const auto rest = static_cast<unsigned>(millis % 1000);
  out += '.';
  for (unsigned digit = 100; digit > 0; digit /= 10) {
    out += static_cast<char>('0' + rest / digit % 10);
  }
}

class TextEncoder final : public Encoder {
 public:
  explicit TextEncoder(bool openmetrics) : openmetrics_(openmetrics) {}

  void begin(std::string& out, const ShownFamily& family) override {
    family_ = family;
    const FamilyDescription& description = *family.description;
    std::string_view name = family.name;
    sample_ = name;
    if (description.kind == Kind::counter && openmetrics_) {
      if (name.ends_with("_total")) name.remove_suffix(std::string_view("_total").size());
      sample_ = std::string(name) + "_total";
    }
    if (description.kind == Kind::info) {
      sample_ += "_info";
      if (!openmetrics_) name = sample_;
    }
    base_ = name;

    const auto help = [&] {
      if (openmetrics_ && description.help.empty()) return;
      out += "# HELP ";
      out += name;
      out += ' ';
      append_help(out, description.help, openmetrics_);
      out += '\n';
    };
    if (!openmetrics_) help();
    out += "# TYPE ";
    out += name;
    out += ' ';
    out += type(description.kind);
    out += '\n';
    if (!openmetrics_) return prepare_bounds();
    if (!description.unit.empty() && name.ends_with("_" + description.unit)) {
      out += "# UNIT ";
      out += name;
      out += ' ';
      out += description.unit;
      out += '\n';
    }
    help();
    prepare_bounds();
  }

  void series(std::string& out, const ShownLabels& labels, const Reading& reading) override {
    labels_.assign(labels.constant);
    labels.own.for_each([&](std::string_view name, std::string_view value) {
      if (!labels.own.plain) return append_label(labels_, name, value);
      if (!labels_.empty()) labels_ += ',';
      labels_ += name;
      labels_ += "=\"";
      labels_ += value;
      labels_ += '"';
    });
    switch (family_.description->kind) {
      case Kind::counter:
        begin_sample(out, sample_, "", "");
        if (reading.real == 0 && family_.scale == 1) {
          append_integer(out, reading.integer);
        } else {
          append_number(out, counter_value(family_, reading));
        }
        if (!reading.exemplars.empty()) append_exemplar(out, reading.exemplars[0]);
        out += '\n';
        append_created(out, reading);
        return;
      case Kind::gauge:
      case Kind::info:
        begin_sample(out, sample_, "", "");
        append_number(out, reading.real * family_.scale);
        out += '\n';
        return;
      case Kind::state_set:
        return append_states(out, reading);
      case Kind::histogram:
        return append_histogram(out, reading);
      case Kind::summary:
        return append_summary(out, reading);
    }
  }

  void end(std::string&) override {}
  void finish(std::string& out) override {
    if (openmetrics_) out += "# EOF\n";
  }

 private:
  [[nodiscard]] std::string_view type(Kind kind) const noexcept {
    if (!openmetrics_ && (kind == Kind::info || kind == Kind::state_set)) return "gauge";
    return to_string(kind);
  }

  // name_suffix{labels,extra} and a space.
  void begin_sample(std::string& out, std::string_view name, std::string_view suffix,
                    std::string_view extra) const {
    out += name;
    out += suffix;
    if (!labels_.empty() || !extra.empty()) {
      out += '{';
      out += labels_;
      if (!labels_.empty() && !extra.empty()) out += ',';
      out += extra;
      out += '}';
    }
    out += ' ';
  }

  void append_bound(std::string& out, double value) const {
    openmetrics_ ? append_canonical(out, value) : append_number(out, value);
  }

  void prepare_bounds() {
    bounds_.clear();
    const FamilyDescription& description = *family_.description;
    const auto add = [this](std::string_view label, double value) {
      std::string& text = bounds_.emplace_back(label);
      text += "=\"";
      append_bound(text, value);
      text += '"';
    };
    if (description.kind == Kind::histogram) {
      for (std::size_t i = 0; i < description.histogram.bounds.size(); ++i) {
        add("le", bound(family_, i));
      }
      bounds_.emplace_back("le=\"+Inf\"");
    }
    if (description.kind == Kind::summary) {
      for (const double quantile : description.quantiles) add("quantile", quantile);
    }
    if (description.kind == Kind::state_set) {
      for (const std::string& state : description.states) {
        append_label(bounds_.emplace_back(), description.name, state);
      }
    }
  }

  void append_exemplar(std::string& out, const ShownExemplar& shown) const {
    if (!openmetrics_ || shown.exemplar.empty()) return;
    std::string labels;
    for (std::size_t i = 0; i < shown.exemplar.size(); ++i) {
      const auto [name, value] = shown.exemplar.label(i);
      append_label(labels, name, value);
    }
    out += " # {";
    out += labels;
    out += "} ";
    append_number(out, shown.value * family_.scale);
    out += ' ';
    append_time(out, shown.time);
  }

  void append_created(std::string& out, const Reading& reading) const {
    // Of two registries that share a family, one may not keep these times.
    if (!openmetrics_ || reading.created == std::chrono::system_clock::time_point()) return;
    begin_sample(out, base_, "_created", "");
    append_time(out, reading.created);
    out += '\n';
  }

  void append_histogram(std::string& out, const Reading& reading) const {
    std::uint64_t cumulative = 0;
    for (std::size_t i = 0; i < bounds_.size(); ++i) {
      cumulative += reading.counts[i];
      begin_sample(out, sample_, "_bucket", bounds_[i]);
      append_integer(out, cumulative);
      if (!reading.exemplars.empty()) append_exemplar(out, reading.exemplars[i]);
      out += '\n';
    }
    // OpenMetrics 1.0 §5.3.4: a sum that negative values made smaller is none, and where there is
    // no sum there is no count.
    const auto& bounds = family_.description->histogram.bounds;
    const double sum = histogram_sum(family_, reading);
    if (!openmetrics_ || (sum >= 0 && (bounds.empty() || bounds.front() >= 0))) {
      append_sum_and_count(out, sum, cumulative);
    }
    append_created(out, reading);
  }

  void append_summary(std::string& out, const Reading& reading) const {
    // OpenMetrics 1.0 §5.3.5: neither quantiles nor the sum may be negative.
    for (std::size_t i = 0; i < bounds_.size(); ++i) {
      const double value = reading.summary.values[i] * family_.scale;
      if (openmetrics_ && value < 0) continue;
      begin_sample(out, sample_, "", bounds_[i]);
      append_number(out, value);
      out += '\n';
    }
    const double sum = reading.summary.sum * family_.scale;
    if (!openmetrics_ || sum >= 0) append_sum_and_count(out, sum, reading.summary.count);
    append_created(out, reading);
  }

  void append_sum_and_count(std::string& out, double sum, std::uint64_t count) const {
    begin_sample(out, sample_, "_sum", "");
    append_number(out, sum);
    out += '\n';
    begin_sample(out, sample_, "_count", "");
    append_integer(out, count);
    out += '\n';
  }

  void append_states(std::string& out, const Reading& reading) const {
    for (std::size_t i = 0; i < bounds_.size(); ++i) {
      begin_sample(out, sample_, "", bounds_[i]);
      out += i == reading.integer ? "1\n" : "0\n";
    }
  }

  const bool openmetrics_;
  ShownFamily family_;
  std::string sample_;  // name of the samples
  std::string base_;    // name of the family
  std::string labels_;
  std::vector<std::string> bounds_;  // le="…" of each bucket, or the like
};

}  // namespace

std::unique_ptr<Encoder> make_text_encoder() {
  return std::make_unique<TextEncoder>(false);
}
std::unique_ptr<Encoder> make_openmetrics_encoder() {
  return std::make_unique<TextEncoder>(true);
}

}  // namespace tyaprover::metrics::detail
