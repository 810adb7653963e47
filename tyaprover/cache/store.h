// Store: where the bytes of cached objects live, behind one interface, so that a second tier can be
// added without anything else knowing.
//
// Implementations are thread-safe. Asynchronous: each call returns at once and gives its answer to
// the callback, once, on a thread of the store's choice; a store in memory answers before it
// returns. Callbacks must not throw.
//
//   MemoryStore store({.max_bytes = 64 << 20});
//   store.set("key", object, {.ttl = 60s}, [](bool stored) { … });
//   store.get("key", [](StoredObject object) { if (object) use(*object); });
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tyaprover/cache/cache.h"

namespace tyaprover::cache {

// Immutable and shared; null: there is none.
using StoredObject = std::shared_ptr<const std::string>;

class Store {
 public:
  virtual ~Store() = default;

  virtual void get(std::string_view key, std::function<void(StoredObject)> done) = 0;
  // Whether it is stored.
  virtual void set(std::string_view key, StoredObject object, EntryOptions options,
                   std::function<void(bool)> done) = 0;
  // How many were removed.
  virtual void erase(std::string_view key, std::function<void(std::size_t)> done) = 0;
  virtual void erase_tag(std::string_view tag, std::function<void(std::size_t)> done) = 0;
  // Keys that begin with `prefix`, in no order.
  virtual void scan(std::string_view prefix,
                    std::function<void(std::vector<std::string>)> done) = 0;
};

class MemoryStore final : public Store {
 public:
  using Objects = Cache<std::string, StoredObject>;

  // `options.weigher` is the store's own: the bytes of the object.
  explicit MemoryStore(Objects::Options options = {}) : objects_(weighed(std::move(options))) {}

  void get(std::string_view key, std::function<void(StoredObject)> done) override {
    done(objects_.get(key).value_or(nullptr));
  }
  void set(std::string_view key, StoredObject object, EntryOptions options,
           std::function<void(bool)> done) override {
    const SetResult result = objects_.set(key, std::move(object), options);
    done(result == SetResult::stored || result == SetResult::replaced);
  }
  void erase(std::string_view key, std::function<void(std::size_t)> done) override {
    done(objects_.erase(key) ? 1 : 0);
  }
  void erase_tag(std::string_view tag, std::function<void(std::size_t)> done) override {
    done(objects_.invalidate_tag(tag));
  }
  void scan(std::string_view prefix, std::function<void(std::vector<std::string>)> done) override {
    std::vector<std::string> keys;
    objects_.for_each([&](std::string_view key, const StoredObject&) {
      if (key.starts_with(prefix)) keys.emplace_back(key);
    });
    done(std::move(keys));
  }

  [[nodiscard]] Objects& objects() noexcept { return objects_; }

 private:
  static Objects::Options weighed(Objects::Options options) {
    options.weigher = [](const StoredObject& object) {
      // The block that make_shared allocates holds two counters, and a string three words.
      constexpr std::size_t kBlock = 64;
      return object ? object->capacity() + kBlock : 0;
    };
    return options;
  }

  Objects objects_;
};

}  // namespace tyaprover::cache
