// What a registry holds, as registry.cc fills it and page.cc shows it.
//
// Internal to the metrics library.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <variant>
#include <vector>

#include "tyaprover/metrics/registry.h"

namespace tyaprover::metrics {

namespace detail {

// A callback or collector.
struct Source {
  std::string name;  // label of its errors
  std::function<void(Collection&)> collect;

  // One page at a time calls it; the others wait. False when the deadline comes first, and at once
  // while a call goes on that has outlived its own: one that hangs is not called again until it
  // returns.
  [[nodiscard]] bool enter(std::chrono::steady_clock::time_point deadline);
  void leave();

  std::mutex mutex;  // guards what follows
  std::condition_variable idle;
  bool running = false;
  std::chrono::steady_clock::time_point running_until{};
};

// Calls every source in a thread beside the caller's and returns what each handed over, in their
// order: nothing from those that threw, had not returned at the deadline, or still hang since an
// earlier call. When one takes long, others are called in a further thread meanwhile.
[[nodiscard]] std::vector<std::optional<Collection>> collect_from(
    const std::vector<std::shared_ptr<Source>>& sources, Nanos timeout);

// The names on pages that belong to a family: its own and its samples'.
[[nodiscard]] std::vector<std::string> claimed_names(const FamilyDescription& description);

}  // namespace detail

struct Registry::State {
  struct Entry {
    std::variant<CounterFamily, GaugeFamily, HistogramFamily, SummaryFamily, StateSetFamily> handle;
    detail::Family* family;
    ShownIn shown;
    std::string seed_name;
    double seed_scale;
  };

  explicit State(RegistryOptions given) : options(std::move(given)) {}
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State();
  // Throws, and claims nothing, if a name of the family or of its second name belongs to another.
  void claim(const detail::FamilyDescription& description, const std::string& seed_name);
  void count_collect_error(const std::string& source);

  const RegistryOptions options;
  std::string constant_text;  // name="value",…

  std::mutex mutex;  // guards what follows
  std::map<std::string, Entry, std::less<>> families;
  std::map<std::string, std::string, std::less<>> owners;  // of every name on a page
  std::vector<std::shared_ptr<detail::Source>> sources;
  std::map<std::string, std::uint64_t, std::less<>> collect_errors;
  double last_page_seconds = 0;
};

}  // namespace tyaprover::metrics
