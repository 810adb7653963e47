// TracerProvider and Tracer: where spans come from.
//
// A provider owns the sampler, the processor and what the process says of itself. It is
// thread-safe; hold it in main() and let it outlive its tracers and spans. A Tracer is a small
// copyable handle that carries the name of the library that makes the spans; thread-safe.
//
//   TracerProvider provider({.resource = {{"service.name", "shop"}},
//                            .sampler = parent_based(ratio(0.1)),
//                            .processor = batch(exporter)});
//   const Tracer tracer = provider.tracer("my-lib", "1.0");
//   Span span = tracer.start_span("database-query");
//   …
//   provider.shutdown(5s);
//
// Watched by trace_bench: starting a span allocates nothing.
#pragma once

#include <coroutine>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "tyaprover/base/clock.h"
#include "tyaprover/trace/console_exporter.h"
#include "tyaprover/trace/context.h"
#include "tyaprover/trace/processor.h"
#include "tyaprover/trace/sampler.h"
#include "tyaprover/trace/span.h"

namespace tyaprover::trace {

// How much one span keeps; what is over is dropped and counted.
struct SpanLimits {
  static constexpr std::uint32_t kNoLimit = 0xffff'ffff;

  std::uint32_t attributes = 128;
  std::uint32_t events = 128;
  std::uint32_t links = 128;
  std::uint32_t attributes_per_event = 128;
  std::uint32_t attributes_per_link = 128;
  // Characters of a text value (of each element of an array); longer ones are cut.
  std::uint32_t value_length = kNoLimit;
};

// Attributes of a wrapped function, which outlives the call that wraps it.
struct TracedOptions {
  SpanContext parent = {};  // invalid = the context that is current when the function is called
  SpanKind kind = SpanKind::internal;
  std::vector<std::pair<std::string, std::string>> attributes = {};
};

namespace detail {

class ProviderCore;

// Whether calling F makes a coroutine of a type R whose coroutines can await it.
template <class R, class... Args>
concept CoroutineType = requires {
  typename std::coroutine_traits<R, Args...>::promise_type;
};

}  // namespace detail

class Tracer {
 public:
  [[nodiscard]] Span start_span(Text name, const SpanOptions& options = {}) const;

  // A span of kind client with the stable attributes of the HTTP conventions: http.request.method,
  // url.full without credentials, server.address, server.port. An unknown method becomes `_OTHER`
  // and the name `HTTP`. Attributes in `options` come last and win.
  [[nodiscard]] Span start_http_client_span(std::string_view method, std::string_view url,
                                            const SpanOptions& options = {}) const;

  // Calls `fn` inside a span that is current meanwhile, and returns what it returns. What it throws
  // is recorded, sets the status to error and is thrown on. `fn` may take the span: Span&.
  template <class F>
  auto trace_call(Text name, F&& fn, const SpanOptions& options = {}) const -> decltype(auto);

  // Wraps `fn`: every call of the result runs in a span of its own, as by trace_call(). When `fn`
  // is a coroutine (of any type whose coroutines can await that type), so is the result, and the
  // span ends when it does; arguments are then copied into it, and the span is not made current,
  // since a coroutine may go on elsewhere: let `fn` take the span as its first argument to have
  // children.
  template <class F>
  [[nodiscard]] auto trace_async(std::string name, F fn, TracedOptions options = {}) const;

 private:
  friend class TracerProvider;
  Tracer(detail::ProviderCore& core, const InstrumentationScope& scope) noexcept
      : core_(&core), scope_(&scope) {}

  [[nodiscard]] detail::Recording* start_recording(const SpanContext& context,
                                                   const SpanContext& parent, Text name,
                                                   const SpanOptions& options) const;
  [[nodiscard]] Span start_traced(std::string_view name, const TracedOptions& options) const;

  detail::ProviderCore* core_;
  const InstrumentationScope* scope_;
};

struct TracerProviderOptions {
  Resource resource = {{"service.name", "unknown_service"}};
  SamplerPtr sampler = parent_based(always_on());
  SpanProcessorPtr processor = nullptr;  // null = spans are made and go nowhere
  SpanLimits limits = {};
  const Clock* clock = &SteadyClock::instance();  // for durations
};

struct ProviderStats {
  std::uint64_t started_sampled = 0;
  std::uint64_t started_unsampled = 0;
  ProcessorStats processor;
};

class TracerProvider {
 public:
  // telemetry.sdk.* is added to the resource. Throws std::invalid_argument for a null sampler.
  explicit TracerProvider(TracerProviderOptions options = {});
  // Shuts down with a second's time.
  ~TracerProvider();
  TracerProvider(const TracerProvider&) = delete;
  TracerProvider& operator=(const TracerProvider&) = delete;

  // The process-wide provider, for programs that want no other. It is never destroyed: call
  // shutdown() before the end of main() to send what is queued.
  [[nodiscard]] static TracerProvider& instance();

  [[nodiscard]] Tracer tracer(std::string_view name, std::string_view version = {});

  // Replaces the processor. The old one is shut down with a second's time.
  void set_processor(SpanProcessorPtr processor);
  // A console writes each span at once, every other exporter gets a batch processor.
  void set_exporter(SpanExporterPtr exporter);
  template <std::derived_from<SpanExporter> E>
  void set_exporter(E exporter) {
    set_exporter(std::make_shared<E>(std::move(exporter)));
  }

  [[nodiscard]] FlushResult flush(Nanos timeout);
  FlushResult shutdown(Nanos timeout);
  [[nodiscard]] ProviderStats stats() const;
  [[nodiscard]] const Resource& resource() const noexcept { return resource_; }

 private:
  [[nodiscard]] SpanProcessorPtr processor() const;

  Resource resource_;
  std::unique_ptr<detail::ProviderCore> core_;
  mutable std::mutex mutex_;
  // Under mutex_. The last is in use; the others stay, since a span may be ending in one.
  std::vector<SpanProcessorPtr> processors_;
};

// The tracer "tyaprover" of TracerProvider::instance().
[[nodiscard]] const Tracer& global_tracer();

template <class F>
auto Tracer::trace_call(Text name, F&& fn, const SpanOptions& options) const -> decltype(auto) {
  Span span = start_span(name, options);
  const Scope scope(span);
  try {
    if constexpr (std::is_invocable_v<F&, Span&>) {
      return std::invoke(fn, span);
    } else {
      return std::invoke(fn);
    }
  } catch (...) {
    span.record_exception(std::current_exception());
    span.set_status(SpanStatus::error);
    throw;
  }
}

namespace detail {

template <class F, class... Args>
auto call_with_span(F& fn, Span& span, Args&&... args) -> decltype(auto) {
  if constexpr (std::is_invocable_v<F&, Span&, Args...>) {
    return std::invoke(fn, span, std::forward<Args>(args)...);
  } else {
    return std::invoke(fn, std::forward<Args>(args)...);
  }
}

// `fn` and the arguments live in this coroutine's frame until the one it awaits has ended.
template <class R, class F, class... Args>
R run_traced(Span started, std::shared_ptr<F> fn, Args... args) {
  // A local, because a parameter would live as long as the frame: until the result is thrown away.
  Span span = std::move(started);
  try {
    co_return co_await call_with_span(*fn, span, std::move(args)...);
  } catch (...) {
    span.record_exception(std::current_exception());
    span.set_status(SpanStatus::error);
    throw;
  }
}

}  // namespace detail

template <class F>
auto Tracer::trace_async(std::string name, F fn, TracedOptions options) const {
  return [tracer = *this, name = std::move(name), options = std::move(options),
          fn =
              std::make_shared<F>(std::move(fn))]<class... Args>(Args&&... args) -> decltype(auto) {
    using R =
        decltype(detail::call_with_span(*fn, std::declval<Span&>(), std::forward<Args>(args)...));
    Span span = tracer.start_traced(name, options);
    if constexpr (detail::CoroutineType<R, Span, std::shared_ptr<F>, std::decay_t<Args>...>) {
      return detail::run_traced<R, F, std::decay_t<Args>...>(std::move(span), fn,
                                                             std::forward<Args>(args)...);
    } else {
      const Scope scope(span);
      try {
        return detail::call_with_span(*fn, span, std::forward<Args>(args)...);
      } catch (...) {
        span.record_exception(std::current_exception());
        span.set_status(SpanStatus::error);
        throw;
      }
    }
  };
}

}  // namespace tyaprover::trace
