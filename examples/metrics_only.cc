// Metrics without a server of ours: a program counts its work and shows the page from its own loop.
//
// Links tyaprover::metrics, which needs the C++ standard library and nothing else. Without
// arguments the page goes to standard output once; with --loop the program does a piece of work for
// every line it reads and answers with a page, as it would answer a scrape on a socket of its own.
#include <chrono>
#include <cmath>
#include <iostream>
#include <string>

#include "tyaprover/metrics/metrics.h"

namespace metrics = tyaprover::metrics;

namespace {

// Something to measure.
double work(int size) {
  double sum = 0;
  for (int i = 1; i <= size; ++i) sum += std::sqrt(i);
  return sum;
}

class Jobs {
 public:
  explicit Jobs(metrics::Registry& registry)
      // Handles: looked up once, kept.
      : done_(registry.counter("example_jobs_total", "Jobs done.", {"size"}).with({"small"})),
        duration_(registry
                      .histogram("example_job_duration_seconds", "Time per job.",
                                 {.durations = true, .unit = "seconds"})
                      .with({})) {}

  void run(int size) {
    const metrics::Timer timer(duration_);
    last_ = work(size);
    done_.inc();
    // The same by name, without a handle.
    metrics::Metrics::increment_counter("example_custom_total", {{"kind", "by name"}});
  }
  [[nodiscard]] double last() const noexcept { return last_; }

 private:
  metrics::Counter done_;
  metrics::Histogram duration_;
  double last_ = 0;
};

// What a scrape gets, piece by piece; `accept` is the Accept field of its request.
void write_page(std::ostream& out, metrics::Registry& registry, std::string_view accept) {
  metrics::Page page = registry.expose({.accept = accept});
  out << "Content-Type: " << page.content_type() << "\n\n";
  for (auto chunk = page.next_chunk(); !chunk.empty(); chunk = page.next_chunk()) out << chunk;
  out << std::flush;
}

}  // namespace

int main(int argc, char** argv) {
  metrics::Registry& registry = metrics::default_registry();
  metrics::Metrics::register_counter("example_custom_total", "A counter that is used by name.");
  Jobs jobs(registry);
  registry.gauge_callback("example_last_result", "Result of the last job.",
                          [&jobs] { return jobs.last(); });

  if (argc > 1 && std::string_view(argv[1]) == "--loop") {
    for (std::string accept; std::getline(std::cin, accept);) {
      jobs.run(1000);
      write_page(std::cout, registry, accept);
    }
    return 0;
  }
  for (int i = 0; i < 3; ++i) jobs.run(1000);
  write_page(std::cout, registry, "");
  return 0;
}
