// The filter pipeline: which filters a request passes, in which order, and why in that order.
//
// One Pipeline per worker, confined to it; it owns its filters. A filter is any class with a
// `State` (reset for every request) and the hooks it needs:
//
//   struct Filter {
//     struct State { … };
//     // reply (having filled exchange.response) or proceed
//     Verdict on_request(Exchange&, State&) noexcept;
//     // may change the head and wrap the body
//     void on_response(Exchange&, State&) noexcept;
//     // exactly once per request that entered the filter
//     void on_finish(Exchange&, State&) noexcept;
//   };
//
// Hooks are synchronous and do not allocate after warm-up. Local replies pass on_response of the
// filters they had reached, like any other response.
//
//   Pipeline<RequestId, Compression> pipeline(RequestId(options), Compression(worker));
//   if (pipeline.on_request(exchange)) co_await handler(exchange);
//   pipeline.on_response(exchange);  …  pipeline.on_finish(exchange);
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <tuple>
#include <utility>

#include "tyaprover/http/exchange.h"
#include "tyaprover/resilience/bulkhead.h"
#include "tyaprover/trace/span.h"

namespace tyaprover::filters {

struct RouteSettings;  // per-route options of the filters: filters/route_settings.h

enum class Verdict : bool { proceed, reply };

// What travels through the filters: the server's exchange and the matched route's settings.
class Exchange : public http::Exchange {
 public:
  using http::Exchange::Exchange;
  ~Exchange() override { leave_follower(); }
  void reset() noexcept override {
    http::Exchange::reset();
    settings = nullptr;
    span = {};
    upstream_span = {};
    leave_upstream();
    stale_when_open = false;
    leave_follower();
  }
  // Never null between on_request and on_finish; unrouted requests get the gateway's defaults.
  const RouteSettings* settings = nullptr;

  // The request's span; one that keeps nothing when it is not traced or not sampled.
  [[nodiscard]] trace::Span& current_span() noexcept { return span; }
  trace::Span span;
  trace::Span upstream_span;  // of the try under way, or of the one that was answered

  // Gives back what the request holds of its upstream. Thread-safe counts; whoever waits goes on.
  void leave_upstream() noexcept {
    target_place.reset();
    target_place_of.reset();
    upstream_place.reset();
  }
  // Its places among the requests that the upstream, and the target of the last try, take at once;
  // held until the response is with the client.
  std::optional<resilience::BulkheadPlace> upstream_place;
  std::shared_ptr<void> target_place_of;  // keeps the target's count alive
  std::optional<resilience::BulkheadPlace> target_place;

  // Whoever calls the proxy has a stale response to fall back on: while the circuit is open, the
  // proxy then replies circuit_open and tries no other fallback (R33).
  bool stale_when_open = false;
  // A pointer to this exchange that becomes null when the request is over, for who may outlive it.
  Exchange** follower = nullptr;

 private:
  void leave_follower() noexcept {
    if (follower != nullptr) *std::exchange(follower, nullptr) = nullptr;
  }
};

// The order, and the reason for each place (docs/design.md, "The way of a request"). Filters in
// brackets are slots: their place is fixed, the part lands later.
//
//   Tracing          first: the trace context must exist before anything can be recorded in it
//   Metrics          next: its duration covers everything below, replies of every filter count
//   RequestId        before all that logs: every line and every reply carries the id
//   SecurityHeaders  above everything that can reply, so that local replies carry them too
//   Compression      below security headers, above the log, which counts the bytes that went out
//   AccessLog        sees the final head; above what rejects, so that rejections are logged
//   RequestTimeout   starts the clock of the whole request before anything can wait
//   [RateLimit]      before auth: guessing keys must cost the guesser
//   [Auth]           before the cache: a hit must not answer who may not ask
//   [Cors]           after auth: preflights of protected routes are answered per route
//   ResponseCache    no filter but a coroutine around the origin (response_cache.h); outside the
//                    breaker: a hit is no call, and stale content can be served while it is open
//   Breaker          no filter either, but the proxy's own (upstream_breaker.h): innermost, as it
//                    judges only what the upstream did
template <class... Filters>
class Pipeline {
 public:
  class PipelineExchange final : public Exchange {
   public:
    using Exchange::Exchange;
    void reset() noexcept override {
      Exchange::reset();
      states = {};
      entered = 0;
    }
    std::tuple<typename Filters::State...> states{};
    std::size_t entered = 0;  // filters whose on_request has proceeded
  };

  explicit Pipeline(Filters... filters) : filters_(std::move(filters)...) {}

  // True when every filter let the request through; else the reply stands in exchange.response.
  [[nodiscard]] bool on_request(PipelineExchange& e) noexcept { return request_from<0>(e); }

  // In reverse order, for the filters that were entered.
  void on_response(PipelineExchange& e) noexcept { response_from<kCount>(e); }
  void on_finish(PipelineExchange& e) noexcept { finish_from<kCount>(e); }

  template <class Filter>
  [[nodiscard]] Filter& get() noexcept {
    return std::get<Filter>(filters_);
  }

 private:
  static constexpr std::size_t kCount = sizeof...(Filters);

  template <std::size_t I>
  bool request_from(PipelineExchange& e) noexcept {
    if constexpr (I == kCount) {
      return true;
    } else {
      auto& filter = std::get<I>(filters_);
      auto& state = std::get<I>(e.states);
      if constexpr (requires { filter.on_request(e, state); }) {
        if (filter.on_request(e, state) == Verdict::reply) return false;
      }
      e.entered = I + 1;
      return request_from<I + 1>(e);
    }
  }

  template <std::size_t I>
  void response_from(PipelineExchange& e) noexcept {
    if constexpr (I > 0) {
      auto& filter = std::get<I - 1>(filters_);
      auto& state = std::get<I - 1>(e.states);
      if constexpr (requires { filter.on_response(e, state); }) {
        if (I <= e.entered) filter.on_response(e, state);
      }
      response_from<I - 1>(e);
    }
  }

  template <std::size_t I>
  void finish_from(PipelineExchange& e) noexcept {
    if constexpr (I > 0) {
      auto& filter = std::get<I - 1>(filters_);
      auto& state = std::get<I - 1>(e.states);
      if constexpr (requires { filter.on_finish(e, state); }) {
        if (I <= e.entered) filter.on_finish(e, state);
      }
      finish_from<I - 1>(e);
    }
  }

  std::tuple<Filters...> filters_;
};

}  // namespace tyaprover::filters
