// BreakerRegistry: breakers by name, for all who want to see or move them.
//
// Thread-safe by one mutex; calls through a breaker do not pass here. It shares its breakers: one
// that was removed lives on with who still holds it.
//
//   auto docker = circuit_breaker_registry().register_breaker("docker-api", {.timeout = 5s});
//   docker->execute(list_containers);
//   to_json(circuit_breaker_registry().all_stats());   // {"docker-api":{"state":"CLOSED",…}}
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "tyaprover/resilience/circuit_breaker.h"

namespace tyaprover::resilience {

class BreakerRegistry {
 public:
  // Makes a breaker of that name, which replaces options.name. Throws std::invalid_argument if
  // there is one already, or if an option is wrong.
  std::shared_ptr<CircuitBreaker> register_breaker(std::string_view name,
                                                   CircuitBreakerOptions options = {});
  // The same around a function; the result shares the breaker.
  template <class F>
  requires(!std::is_same_v<std::remove_cvref_t<F>, CircuitBreakerOptions>)
      [[nodiscard]] ProtectedFunction<F> register_breaker(std::string_view name, F fn,
                                                          CircuitBreakerOptions options = {}) {
    return ProtectedFunction<F>(register_breaker(name, std::move(options)), std::move(fn));
  }

  // Null if there is none.
  [[nodiscard]] std::shared_ptr<CircuitBreaker> find(std::string_view name) const;
  // Whether there was one.
  bool remove(std::string_view name);
  [[nodiscard]] std::vector<std::shared_ptr<CircuitBreaker>> all() const;
  [[nodiscard]] std::map<std::string, BreakerStats> all_stats() const;

  // Calls `visit` with every breaker that there is and that will be registered: where metrics and
  // logs attach their listeners. It must not call the registry.
  void on_register(std::function<void(CircuitBreaker&)> visit);

 private:
  mutable std::mutex mutex_;
  std::map<std::string, std::shared_ptr<CircuitBreaker>, std::less<>> breakers_;
  std::vector<std::function<void(CircuitBreaker&)>> visitors_;
};

// The registry of the process, for applications that want one.
[[nodiscard]] BreakerRegistry& circuit_breaker_registry();

}  // namespace tyaprover::resilience
