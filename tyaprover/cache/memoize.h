// memoize: a function that remembers its results.
//
// The memoized function is thread-safe if the function is, copyable (copies share what they
// remember), and calls that are equal and simultaneous run the function once. What it throws is
// thrown to all who called, and not remembered unless `negative_ttl` says so.
//
//   auto find_user = memoize([&](std::string id) { return db.query(id); },
//                            {.ttl = 5min, .key_generator = [](auto const& id) { return "user:" +
//                            id; }});
//   User user = find_user("user123");     // asks the database
//   User again = find_user("user123");    // does not
//   CacheInvalidation::by_pattern("user:");
#pragma once

#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "tyaprover/cache/argument_key.h"
#include "tyaprover/cache/cache.h"
#include "tyaprover/cache/cache_invalidation.h"

namespace tyaprover::cache {

template <class... Args>
struct MemoizeOptions {
  Nanos ttl = std::chrono::minutes(5);  // lifetime of results; kForever
  // The key of a call; absent: all arguments with their types.
  std::function<std::string(const Args&...)> key_generator{};
  std::size_t max_size = 500;  // results remembered
  Nanos stale_while_revalidate{};
  Nanos stale_if_error{};
  Nanos negative_ttl{};             // for so long a failure is remembered; 0: it is not
  std::vector<std::string> tags{};  // of every result
  const Clock* clock = nullptr;     // null: the steady clock
};

namespace detail {

// The arguments and result of anything that can be called in one way.
template <class F>
struct Signature : Signature<decltype(&F::operator())> {};
template <class R, class... Args>
struct Signature<R (*)(Args...)> {
  using Result = R;
  using Options = MemoizeOptions<std::remove_cvref_t<Args>...>;
  // What is remembered: a result that cannot be copied is shared.
  static constexpr bool kShared = !std::is_copy_constructible_v<R>;
  using Stored = std::conditional_t<kShared, std::shared_ptr<const R>, R>;
};
template <class R, class... Args>
struct Signature<R (*)(Args...) noexcept> : Signature<R (*)(Args...)> {};
template <class C, class R, class... Args>
struct Signature<R (C::*)(Args...) const> : Signature<R (*)(Args...)> {};
template <class C, class R, class... Args>
struct Signature<R (C::*)(Args...)> : Signature<R (*)(Args...)> {};
template <class C, class R, class... Args>
struct Signature<R (C::*)(Args...) const noexcept> : Signature<R (*)(Args...)> {};
template <class C, class R, class... Args>
struct Signature<R (C::*)(Args...) noexcept> : Signature<R (*)(Args...)> {};

// Result<V, E> is remembered as V; an error is not remembered, or as E.
template <class S>
struct Outcome {
  using Value = S;
  using Error = std::exception_ptr;
  static constexpr bool kIsResult = false;
};
template <class V, class E>
struct Outcome<Result<V, E>> {
  using Value = V;
  using Error = E;
  static constexpr bool kIsResult = true;
};

template <class Options>
struct MemoizeKey;
template <class... Args>
struct MemoizeKey<MemoizeOptions<Args...>> {
  static std::string of(const MemoizeOptions<Args...>& options, const Args&... arguments) {
    if (options.key_generator) return options.key_generator(arguments...);
    return argument_key(arguments...);
  }
};

}  // namespace detail

// What memoize returns.
template <class F>
class Memoized {
  using Signature = detail::Signature<F>;
  using Stored = typename Signature::Stored;
  using Outcome = detail::Outcome<Stored>;

 public:
  using Options = typename Signature::Options;
  using MemoCache = Cache<std::string, typename Outcome::Value, typename Outcome::Error>;

  Memoized(F function, Options options)
      : state_(std::make_shared<State>(std::move(function), std::move(options))) {}

  // The remembered or new result; of a function whose result cannot be copied, a shared pointer.
  template <class... Args>
  Stored operator()(const Args&... arguments) const {
    State& state = *state_;
    auto result = state.cache.get_or_load(
        key(arguments...),
        // Its own copies: a refresh may run when the call is long over.
        [state = state_.get(), arguments...] {
          if constexpr (Signature::kShared) {
            using R = typename Signature::Result;
            return Stored(std::make_shared<const R>(state->function(arguments...)));
          } else {
            return state->function(arguments...);
          }
        },
        {.tags = state.options.tags});
    if constexpr (Outcome::kIsResult) {
      return result;
    } else {
      if (!result) std::rethrow_exception(result.error());
      return *std::move(result);
    }
  }

  // Forgets one call's result; true when there was one.
  template <class... Args>
  bool forget(const Args&... arguments) const {
    return state_->cache.erase(key(arguments...));
  }
  void clear() const { state_->cache.clear(); }
  [[nodiscard]] CacheStats stats() const { return state_->cache.stats(); }

 private:
  struct State {
    State(F f, Options o)
        : function(std::move(f)),
          options(std::move(o)),
          cache({.max_entries = options.max_size,
                 .ttl = options.ttl,
                 .stale_while_revalidate = options.stale_while_revalidate,
                 .stale_if_error = options.stale_if_error,
                 .negative_ttl = options.negative_ttl,
                 .clock = options.clock}),
          registration(cache) {}

    F function;
    Options options;
    MemoCache cache;
    CacheRegistration registration;
  };

  template <class... Args>
  [[nodiscard]] std::string key(const Args&... arguments) const {
    return detail::MemoizeKey<Options>::of(state_->options, arguments...);
  }

  std::shared_ptr<State> state_;
};

// `function` is anything with one call signature that takes its arguments by value or const
// reference. Throws std::invalid_argument for options that a Cache refuses.
template <class F>
[[nodiscard]] auto memoize(F function,
                           typename detail::Signature<std::decay_t<F>>::Options options = {}) {
  return Memoized<std::decay_t<F>>(std::move(function), std::move(options));
}

}  // namespace tyaprover::cache
