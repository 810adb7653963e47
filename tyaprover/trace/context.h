// Context: the span and the baggage that a piece of work belongs to; Scope: makes one current.
//
// A Context is a value that travels with a request, through coroutines and between threads. A Scope
// lives on the stack of synchronous code and is confined to its thread: spans started inside it
// have its span as parent. Nothing crosses threads by itself; bind() does it where one can see it.
// A coroutine must not hold a Scope while it waits: it may go on elsewhere. Pass the Context.
//
//   const Scope scope(span);                       // until the end of this block
//   pool.post(current_context().bind([] { … }));    // the same parent on another thread
#pragma once

#include <functional>
#include <memory>
#include <utility>

#include "tyaprover/trace/baggage.h"
#include "tyaprover/trace/span_context.h"

namespace tyaprover::trace {

class Span;

class Context {
 public:
  constexpr Context() noexcept = default;
  explicit Context(SpanContext span, std::shared_ptr<const Baggage> baggage = nullptr) noexcept
      : span_(std::move(span)), baggage_(std::move(baggage)) {}

  [[nodiscard]] const SpanContext& span_context() const noexcept { return span_; }
  // Null when there is none.
  [[nodiscard]] const std::shared_ptr<const Baggage>& baggage() const noexcept { return baggage_; }

  // `fn` wrapped so that this context is current while it runs, on whatever thread.
  template <class F>
  [[nodiscard]] auto bind(F fn) const;

 private:
  SpanContext span_;
  std::shared_ptr<const Baggage> baggage_;
};

class [[nodiscard]] Scope {
 public:
  // REQUIRES: `span` outlives the scope and is not moved meanwhile. Keeps the current baggage.
  explicit Scope(Span& span) noexcept;
  explicit Scope(Context context) noexcept;
  ~Scope();
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;

  // The innermost scope of this thread, or nullptr.
  [[nodiscard]] static const Scope* current() noexcept { return innermost; }

  [[nodiscard]] const Context& context() const noexcept { return context_; }
  // The span that was given, or nullptr for a scope of a context.
  [[nodiscard]] Span* span() const noexcept { return span_; }

 private:
  inline static constinit thread_local const Scope* innermost = nullptr;

  Context context_;
  Span* span_ = nullptr;
  const Scope* outer_;
};

namespace detail {
inline constinit const Context kNoContext;
}

// This thread's current context; an empty one outside every scope. A thread-local read.
[[nodiscard]] inline const Context& current_context() noexcept {
  const Scope* const scope = Scope::current();
  return scope == nullptr ? detail::kNoContext : scope->context();
}
// The span of the innermost scope, to add events and attributes to; nullptr outside every scope and
// in a scope of a context. A thread-local read.
[[nodiscard]] inline Span* current_span() noexcept {
  const Scope* const scope = Scope::current();
  return scope == nullptr ? nullptr : scope->span();
}

template <class F>
auto Context::bind(F fn) const {
  return [context = *this,
          fn = std::move(fn)]<class... Args>(Args&&... args) mutable -> decltype(auto) {
    const Scope scope(context);
    return std::invoke(fn, std::forward<Args>(args)...);
  };
}

}  // namespace tyaprover::trace
