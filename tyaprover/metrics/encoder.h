// Encoders: how families and series are written in each exposition.
//
// Not thread-safe; one encoder writes one page. Order: begin, series…, end for each family, then
// finish.
//
// Internal to the metrics library: use Page.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tyaprover/metrics/page.h"
#include "tyaprover/metrics/series.h"

namespace tyaprover::metrics::detail {

// A family as a page shows it.
struct ShownFamily {
  std::string_view name;
  const FamilyDescription* description = nullptr;
  double scale = 1;     // values, sums and bounds are multiplied by it
  bool native = false;  // whether native buckets are shown
};

// The labels of one series.
struct ShownLabels {
  std::string_view constant;  // name="value",… of the registry
  const std::vector<std::pair<std::string, std::string>>* constant_pairs = nullptr;
  PackedLabels own;
};

class Encoder {
 public:
  virtual ~Encoder() = default;
  virtual void begin(std::string& out, const ShownFamily& family) = 0;
  virtual void series(std::string& out, const ShownLabels& labels, const Reading& reading) = 0;
  virtual void end(std::string& out) = 0;
  virtual void finish(std::string& out) = 0;
};

[[nodiscard]] std::unique_ptr<Encoder> make_text_encoder();
[[nodiscard]] std::unique_ptr<Encoder> make_openmetrics_encoder();
[[nodiscard]] std::unique_ptr<Encoder> make_protobuf_encoder();

// The numbers of a reading, at the family's scale.
[[nodiscard]] double counter_value(const ShownFamily& family, const Reading& reading) noexcept;
[[nodiscard]] double histogram_sum(const ShownFamily& family, const Reading& reading) noexcept;
[[nodiscard]] double bound(const ShownFamily& family, std::size_t bucket) noexcept;

}  // namespace tyaprover::metrics::detail
