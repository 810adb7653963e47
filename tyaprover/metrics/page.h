// Page: what a scrape gets, produced piece by piece.
//
// Not thread-safe; several pages of one registry may be produced at once, each in its thread. A
// page keeps what it shows alive and holds one chunk of memory, not the whole text: a hundred
// thousand series cost as much as one.
//
//   Page page = expose(registries, {.accept = accept, .timeout = 10s});
//   respond(page.content_type());
//   while (auto chunk = page.next_chunk(); !chunk.empty()) write(chunk);
//   if (page.out_of_time()) abort_connection();
#pragma once

#include <chrono>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tyaprover/base/clock.h"

namespace tyaprover::metrics {

class Registry;

// The formats of a page.
enum class Exposition {
  text,         // Prometheus text format 0.0.4
  openmetrics,  // OpenMetrics 1.0.0
  protobuf,     // io.prometheus.client.MetricFamily, each with its length before it
};

// The value of a page's Content-Type field.
[[nodiscard]] std::string_view content_type(Exposition exposition) noexcept;

// The exposition for an Accept field (RFC 9110 §12.5.1): each has the weight of the most specific
// range that matches it; the highest weight wins, of equals the one whose range comes first, and of
// those that one range names, in the order above. An empty field and one that accepts none of them
// give text 0.0.4.
[[nodiscard]] Exposition negotiate(std::string_view accept) noexcept;

// Which names are shown where the seed's and Prometheus' conventions differ (`…_ms`, `…_seconds`):
// the same numbers under one name, the other, or both.
enum class Naming { seed, prometheus, both };

struct PageOptions {
  std::string_view accept;                   // the Accept field
  std::vector<std::string> names;            // families (or samples) to show; empty: all
  Nanos timeout = std::chrono::seconds(10);  // for the page; collectors have three quarters of it
  Naming naming = Naming::both;
  bool self_metrics = true;  // families about the metrics themselves
};

class Page {
 public:
  static constexpr std::size_t kMaxChunk = 64 * 1024;

  Page(Page&&) noexcept;
  Page& operator=(Page&&) noexcept;
  ~Page();

  [[nodiscard]] Exposition exposition() const noexcept;
  [[nodiscard]] std::string_view content_type() const noexcept {
    return metrics::content_type(exposition());
  }

  // The next piece of the page, at most kMaxChunk bytes and valid until the next call; empty at the
  // end.
  [[nodiscard]] std::string_view next_chunk();
  // Whether the page ended early because its time was up. What was produced is then no page.
  [[nodiscard]] bool out_of_time() const noexcept;

  // All of it, for programs that want one string.
  [[nodiscard]] std::string text();

 private:
  friend Page expose(std::span<Registry* const> registries, const PageOptions& options);
  struct State;
  explicit Page(std::unique_ptr<State> state) noexcept;
  static Page make(std::span<Registry* const> registries, const PageOptions& options);

  std::unique_ptr<State> state_;
};

// One page of several registries. A family that two of them have is joined if its type agrees, and
// its bounds, quantiles or states; otherwise, as for a series that both have, the first stays and
// the other is left out and counted in tyaprover_metrics_collect_errors_total.
[[nodiscard]] Page expose(std::span<Registry* const> registries, const PageOptions& options = {});

}  // namespace tyaprover::metrics
