// SingleFlight: callers that ask for the same key at the same time share one call and its result.
//
// Thread-safe by one mutex, not held during calls. Results are copied, so they must be copyable. A
// breaker inside sees one outcome, however many wait:
//
//   SingleFlight<std::string, Page> flights;
//   auto page = flights.run(url, [&] { return breaker.execute(fetch, url); });
#pragma once

#include <functional>
#include <future>
#include <mutex>
#include <unordered_map>
#include <utility>

#include "tyaprover/resilience/call.h"

namespace tyaprover::resilience {

template <class Key, class T, class Hash = std::hash<Key>>
class SingleFlight {
 public:
  using Returned = Lifted<T>;

  // Calls fn(), or waits for the call of the same key that is under way. Blocks the thread. fn must
  // not ask for its own key.
  template <class F>
  Returned run(const Key& key, F&& fn) {
    std::promise<Returned> promise;
    {
      std::unique_lock lock(mutex_);
      const auto [flight, first] = flights_.try_emplace(key);
      if (!first) {
        const std::shared_future<Returned> running = flight->second;
        lock.unlock();
        return running.get();
      }
      flight->second = promise.get_future().share();
    }
    Returned result = call(std::forward<F>(fn), Deadline());
    {
      const std::lock_guard lock(mutex_);
      flights_.erase(key);
    }
    promise.set_value(result);
    return result;
  }

 private:
  std::mutex mutex_;
  std::unordered_map<Key, std::shared_future<Returned>, Hash> flights_;
};

}  // namespace tyaprover::resilience
