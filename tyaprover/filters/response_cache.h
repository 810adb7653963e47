// ResponseCache: a shared HTTP cache in front of an app (RFC 9111, 5861, 9211, 9213).
//
// Confined to one worker; what is stored lies in the ResponseStore, which all workers share. It is
// no filter of the pipeline but a coroutine around the call of the origin, because it waits: for
// the answer of another's request to the same URL, or for its own. A request to the origin that may
// fill the store has an exchange of its own, so that it ends well when its client has left.
//
// A fresh hit runs no coroutine beyond the call itself, takes no lock and allocates nothing.
//
//   ResponseCache cache(worker, store, compression, {});
//   co_await cache.handle(exchange, origin, app);     // fills exchange.response
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "tyaprover/cache/cache_status.h"
#include "tyaprover/cache/freshness.h"
#include "tyaprover/filters/cache_fill.h"
#include "tyaprover/filters/compression.h"
#include "tyaprover/filters/error_reply.h"
#include "tyaprover/filters/pipeline.h"
#include "tyaprover/filters/response_store.h"

namespace tyaprover::filters {

// Who answers what the cache cannot.
class Origin {
 public:
  virtual ~Origin() = default;
  // Fills exchange.response; a failure is a local reply whose reason stands in the exchange. The
  // exchange may be one without a client, and then outlives the call.
  virtual http::Task<void> call(Exchange& exchange) = 0;
};

class ResponseCache {
 public:
  // Borrows all but the options. `compression` is that of the worker's pipeline: what is stored is
  // encoded by it once, and then left alone.
  ResponseCache(http::Worker& worker, ResponseStore& store, Compression& compression,
                const ReplyOptions& reply);
  ~ResponseCache();
  ResponseCache(const ResponseCache&) = delete;
  ResponseCache& operator=(const ResponseCache&) = delete;

  // `origin` outlives the requests that were made of it: see idle(). `app`: where it is counted.
  [[nodiscard]] http::Task<void> handle(Exchange& exchange, Origin& origin, std::size_t app);

  // Ends the requests to origins that are under way, soon; for the end of the process.
  void abort_fills();
  // None is under way.
  [[nodiscard]] bool idle() const noexcept { return first_job_ == nullptr; }

 private:
  struct Request;
  class FillExchange;
  struct Job;
  enum class Way : std::uint8_t { answered, past, fetch };

  [[nodiscard]] Way look_up(Exchange& e, Request& r);
  [[nodiscard]] Way decide(Exchange& e, Request& r);
  void build_key(const Exchange& e, Request& r);
  [[nodiscard]] bool is_skipped(const Exchange& e, const Request& r) const;
  http::Task<void> pass(Exchange& e, Origin& origin, Request& r);
  http::Task<void> fetch(Exchange& e, Origin& origin, Request& r);
  void invalidate(const Exchange& e, const Request& r);
  void learn_from_head(const Exchange& e, const Request& r);

  [[nodiscard]] std::shared_ptr<FillExchange> new_fill_exchange(const Exchange& e,
                                                                const Request& r);
  [[nodiscard]] std::unique_ptr<Job> new_job(const Exchange& e, const Request& r,
                                             std::shared_ptr<CacheFill> fill, std::string name);
  [[nodiscard]] static std::string fill_name(const Request& r);
  http::Task<void> run(std::unique_ptr<Job> job, Origin& origin);
  http::Task<void> run_job(Job& job, Origin& origin);
  http::Task<void> read_body(Job& job, std::shared_ptr<StoredHead> head);
  void refresh(const Exchange& e, Origin& origin, const Request& r);
  [[nodiscard]] bool confirm(Job& job);
  void renew(Job& job, const cache::ExchangeTimes& times);
  // By its fields alone; how long it is fresh then.
  [[nodiscard]] static bool is_storable(const Job& job, int status, cache::HeaderFields fields,
                                        const cache::ExchangeTimes& times,
                                        cache::Freshness& freshness);
  [[nodiscard]] bool may_store(Job& job, const cache::ExchangeTimes& times,
                               cache::Freshness& freshness);
  [[nodiscard]] std::shared_ptr<StoredHead> make_head(const Job& job, int status,
                                                      cache::HeaderFields fields,
                                                      const cache::Freshness& freshness,
                                                      bool by_coding);
  // Whether the origin's answer to one may answer another: only what need not be validated.
  [[nodiscard]] bool may_share(const StoredHead& head, const Request& r) const;
  void leave(Job& job);
  void break_off(Job& job);
  void stop_sharing(Job& job);
  void release(Job& job);
  static void let_go(Job& job, bool truncated);

  void answer(Exchange& e, const Request& r, const StoredResponse& stored,
              std::shared_ptr<const void> owner, CacheResult result,
              const cache::CacheStatus& status);
  void answer_range(Exchange& e, const Request& r, const StoredResponse& stored);
  void write_head(Exchange& e, const Request& r, const StoredHead& head, CacheResult result);
  void follow(Exchange& e, const Request& r, const std::shared_ptr<CacheFill>& fill,
              const std::shared_ptr<Wakeup>& wakeup, cache::CacheStatus status);
  void take_over(Exchange& e, const Request& r, const std::shared_ptr<FillExchange>& from);
  void note(Exchange& e, const Request& r, CacheResult result, const cache::CacheStatus& status);
  void add_age(Exchange& e, const StoredHead& head);

  http::Worker& worker_;
  ResponseStore& store_;
  const ReplyOptions reply_;
  CacheCounters& counters_;
  Compression& compression_;
  std::string key_;     // of the request that is looked up
  std::string status_;  // Cache-Status being written
  Job* first_job_ = nullptr;
};

}  // namespace tyaprover::filters
