// A circuit breaker around a blocking function, with nothing linked but tyaprover::resilience.
//
// The function works, fails for a while and works again; the program prints what its callers see.
#include <chrono>
#include <cstdio>
#include <stdexcept>
#include <string>

#include "tyaprover/resilience/breaker_registry.h"

using namespace std::chrono_literals;
namespace resilience = tyaprover::resilience;

namespace {

bool service_is_up = true;

std::string ask_price(const std::string& item) {
  if (!service_is_up) throw std::runtime_error("connection refused");
  return item + " costs 3 euro";
}

}  // namespace

int main() {
  // Turned by hand, so that the example need not wait; a program leaves .clock out.
  tyaprover::ManualClock clock;
  auto price = resilience::circuit_breaker_registry().register_breaker(
      "prices", ask_price, {.failure_threshold = 3, .reset_timeout = 60s, .clock = &clock});

  const auto show = [&] {
    const auto answer = price.execute("tea");
    std::printf("%s\n", answer ? answer->c_str() : describe(answer.error()).c_str());
  };

  show();
  service_is_up = false;
  for (int i = 0; i < 4; ++i) show();  // the fourth does not reach the service
  const auto list_price = [](const std::string& item) { return item + " costs about 3 euro"; };
  std::printf("%s\n", price.execute_with_fallback(list_price, "tea")->c_str());

  service_is_up = true;
  clock.advance(60s);
  show();  // the trial
  std::printf("%s\n", to_json(resilience::circuit_breaker_registry().all_stats()).c_str());
}
