// A counter and its page.
#include <cstdio>
#include <string>

#include "tyaprover/metrics/registry.h"

int main() {
  tyaprover::metrics::Registry registry;
  registry.counter("requests_total", "Requests.").with({}).inc();
  const std::string page = registry.expose().text();
  std::puts(page.find("\nrequests_total 1\n") == std::string::npos ? page.c_str() : "counted");
  return 0;
}
