// Uses a part of each core.
#include <cstdio>
#include <string>

#include "tyaprover/cache/lru_cache.h"
#include "tyaprover/metrics/registry.h"
#include "tyaprover/resilience/circuit_breaker.h"
#include "tyaprover/trace/tracer.h"

int main() {
  using namespace tyaprover;  // NOLINT(google-build-using-namespace): a program of its own
  metrics::Registry registry;
  registry.counter("requests_total", "Requests.").with({}).inc();

  resilience::CircuitBreaker breaker({.name = "shop"});
  const auto answer = breaker.execute([] { return 42; });

  cache::LruCache<std::string, int> cache({.max_size = 10});
  cache.set("answer", answer.value());

  const trace::Span span = trace::global_tracer().start_span("work");
  std::printf("%d %s %s\n", cache.get("answer").value_or(0), breaker.stats().name.c_str(),
              span.context().is_valid() ? "traced" : "not traced");
  return 0;
}
