#include "tyaprover/resilience/breaker_registry.h"

#include <stdexcept>

namespace tyaprover::resilience {

std::shared_ptr<CircuitBreaker> BreakerRegistry::register_breaker(std::string_view name,
                                                                  CircuitBreakerOptions options) {
  options.name = name;
  auto breaker = std::make_shared<CircuitBreaker>(std::move(options));
  const std::lock_guard lock(mutex_);
  if (!breakers_.emplace(name, breaker).second) {
    throw std::invalid_argument("circuit breaker: there is already one named " + breaker->name());
  }
  for (const auto& visit : visitors_) visit(*breaker);
  return breaker;
}

std::shared_ptr<CircuitBreaker> BreakerRegistry::find(std::string_view name) const {
  const std::lock_guard lock(mutex_);
  const auto found = breakers_.find(name);
  return found != breakers_.end() ? found->second : nullptr;
}

bool BreakerRegistry::remove(std::string_view name) {
  const std::lock_guard lock(mutex_);
  const auto found = breakers_.find(name);
  if (found == breakers_.end()) return false;
  breakers_.erase(found);
  return true;
}

std::vector<std::shared_ptr<CircuitBreaker>> BreakerRegistry::all() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::shared_ptr<CircuitBreaker>> breakers;
  for (const auto& [name, breaker] : breakers_) breakers.push_back(breaker);
  return breakers;
}

std::map<std::string, BreakerStats> BreakerRegistry::all_stats() const {
  std::map<std::string, BreakerStats> stats;
  for (const auto& breaker : all()) stats.emplace(breaker->name(), breaker->stats());
  return stats;
}

void BreakerRegistry::on_register(std::function<void(CircuitBreaker&)> visit) {
  const std::lock_guard lock(mutex_);
  for (const auto& [name, breaker] : breakers_) visit(*breaker);
  visitors_.push_back(std::move(visit));
}

BreakerRegistry& circuit_breaker_registry() {
  static BreakerRegistry registry;
  return registry;
}

}  // namespace tyaprover::resilience
