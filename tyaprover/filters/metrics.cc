#include "tyaprover/filters/metrics.h"

#include <array>
#include <charconv>

#include "tyaprover/filters/route_settings.h"
#include "tyaprover/http/worker.h"

namespace tyaprover::filters {
namespace {

constexpr std::size_t kFirstSize = 64;
// More than this are a sign of statuses made up by an upstream: then all are looked up anew.
constexpr std::size_t kMaxKnown = 4096;

std::string_view method_label(http::Method method) noexcept {
  return method == http::Method::other ? "other" : to_string(method);
}

// Where to look first; the table's size is a power of two and taken by the caller.
std::size_t place(const char* route, std::uint32_t key) noexcept {
  constexpr std::uint64_t kFactor = 0x9E3779B97F4A7C15;  // 2^64 / golden ratio
  return ((reinterpret_cast<std::uintptr_t>(route) ^ key) * kFactor) >> 32U;
}

const std::vector<std::string> kLabels = {"method", "route", "status"};

constexpr Nanos kExemplarInterval = std::chrono::milliseconds(100);

}  // namespace

HttpMetrics::HttpMetrics(metrics::Registry& registry, HttpMetricsOptions options)
    : options_(options),
      requests_(registry.counter(
          "http_requests_total", "HTTP requests by method, route and status.",
          metrics::FamilyOptions{.labels = kLabels, .max_series = options.max_series})),
      duration_(registry.histogram("http_request_duration_seconds",
                                   "From the parsed head to the last byte of the response.",
                                   {.labels = kLabels,
                                    .native = options.native,
                                    .durations = true,
                                    .unit = "seconds",
                                    .max_series = options.max_series,
                                    .seed_name = "http_request_duration_ms",
                                    .seed_scale = 1000})),
      request_size_(registry.histogram("http_request_size_bytes",
                                       "Requests on the wire, heads included.",
                                       {.labels = kLabels,
                                        .buckets = metrics::bytes_buckets(),
                                        .unit = "bytes",
                                        .max_series = options.max_series})),
      response_size_(registry.histogram("http_response_size_bytes",
                                        "Responses on the wire, heads included.",
                                        {.labels = kLabels,
                                         .buckets = metrics::bytes_buckets(),
                                         .unit = "bytes",
                                         .max_series = options.max_series})) {}

HttpMetrics::Instruments HttpMetrics::instruments(std::string_view method, std::string_view route,
                                                  int status) const {
  char text[] = "000";
  const bool known = status >= 100 && status <= 999;
  if (known) std::to_chars(text, text + 3, status);
  if (known && options_.status_classes) text[1] = text[2] = 'x';
  const std::array<std::string_view, 3> labels = {method, route, std::string_view(text, 3)};
  return {.requests = requests_.with(labels),
          .duration = duration_.with(labels),
          .request_size = request_size_.with(labels),
          .response_size = response_size_.with(labels)};
}

Metrics::Metrics(const HttpMetrics& http) : http_(&http), known_(kFirstSize) {}

Metrics::Known& Metrics::find(std::string_view route, http::Method method, int status) {
  const std::uint32_t key =
      static_cast<std::uint32_t>(status) << 8U | static_cast<std::uint32_t>(method);
  const auto slot = [&]() -> Known& {
    for (std::size_t i = place(route.data(), key);; ++i) {
      Known& known = known_[i & (known_.size() - 1)];
      if (known.route == nullptr) return known;
      if (known.route == route.data() && known.key == key && known.name == route) return known;
    }
  };
  Known& known = slot();
  if (known.route != nullptr) return known;

  if (size_ >= kMaxKnown) {
    known_.assign(kFirstSize, {});
    size_ = 0;
  } else if ((size_ + 1) * 2 > known_.size()) {
    std::vector<Known> old(known_.size() * 2);
    old.swap(known_);
    for (Known& entry : old) {
      if (entry.route == nullptr) continue;
      std::size_t i = place(entry.route, entry.key);
      while (known_[i & (known_.size() - 1)].route != nullptr) ++i;
      known_[i & (known_.size() - 1)] = std::move(entry);
    }
  }
  Known& added = slot();
  added = {.route = route.data(),
           .key = key,
           .name = std::string(route),
           .instruments = http_->instruments(method_label(method), route, status),
           .next_exemplar = {}};
  ++size_;
  return added;
}

void Metrics::on_finish(Exchange& e, State&) noexcept {
  if (e.unmeasured || !e.settings->metrics.enabled) return;
  // A head that was refused may have named any method.
  const bool parsed = e.timings.head_parsed != TimePoint{};
  const http::Method method = parsed ? e.request.method_id : http::Method::other;
  Known& known = find(e.route, method, e.logged_status());
  HttpMetrics::Instruments& to = known.instruments;
  const TimePoint begin = parsed ? e.timings.head_parsed : e.timings.head_begun;
  const TimePoint end = e.timings.last_byte != TimePoint{} ? e.timings.last_byte : e.worker.now();
  const Nanos duration = begin != TimePoint{} ? end - begin : Nanos(0);
  if (e.trace_sampled && end >= known.next_exemplar) {
    // The trace of the request, for those who look at a slow bucket.
    const metrics::Exemplar exemplar{{"trace_id", e.trace_id}, {"span_id", e.span_id}};
    to.requests.inc(1, exemplar);
    to.duration.observe(duration, exemplar);
    known.next_exemplar = end + kExemplarInterval;
  } else {
    to.requests.inc();
    to.duration.observe(duration);
  }
  to.request_size.observe(static_cast<double>(e.bytes_in));
  to.response_size.observe(static_cast<double>(e.bytes_out));
}

}  // namespace tyaprover::filters
