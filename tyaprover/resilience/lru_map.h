// LruMap: a bounded map that makes room by dropping what was used longest ago.
//
// Not thread-safe; owns its values, whose addresses do not change while they are in it. For the
// keyed policies of this room, whose keys come from outside and must not fill the memory.
//
//   LruMap<std::string, Limiter> limiters(10'000);
//   Limiter* limiter = limiters.find_or_make(client, [] { return Limiter(...); });
#pragma once

#include <cstddef>
#include <functional>
#include <list>
#include <unordered_map>
#include <utility>

namespace tyaprover::resilience {

template <class Key, class Value, class Hash = std::hash<Key>>
class LruMap {
 public:
  explicit LruMap(std::size_t bound) : bound_(bound) {}

  // The value of `key`, now the most recently used; made by make() if there is none. Values for
  // which may_drop(value) is false stay: when no other can make room, the result is null.
  template <class Make, class MayDrop>
  [[nodiscard]] Value* find_or_make(const Key& key, Make&& make, MayDrop&& may_drop) {
    if (const auto found = index_.find(key); found != index_.end()) {
      order_.splice(order_.begin(), order_, found->second);
      return &found->second->second;
    }
    if (index_.size() >= bound_ && !drop_one(may_drop)) return nullptr;
    order_.emplace_front(key, make());
    index_.emplace(key, order_.begin());
    return &order_.front().second;
  }
  template <class Make>
  [[nodiscard]] Value& find_or_make(const Key& key, Make&& make) {
    return *find_or_make(key, std::forward<Make>(make), [](const Value&) { return true; });
  }

  [[nodiscard]] std::size_t size() const noexcept { return index_.size(); }
  // Calls visit(key, value) for all, the most recently used first.
  template <class Visit>
  void for_each(Visit&& visit) const {
    for (const auto& [key, value] : order_) visit(key, value);
  }

 private:
  using Order = std::list<std::pair<Key, Value>>;

  template <class MayDrop>
  bool drop_one(MayDrop& may_drop) {
    for (auto it = order_.rbegin(); it != order_.rend(); ++it) {
      if (!may_drop(it->second)) continue;
      index_.erase(it->first);
      order_.erase(std::next(it).base());
      return true;
    }
    return false;
  }

  std::size_t bound_;
  Order order_;  // most recently used first
  std::unordered_map<Key, typename Order::iterator, Hash> index_;
};

}  // namespace tyaprover::resilience
