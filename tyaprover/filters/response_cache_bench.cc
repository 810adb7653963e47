// What a fresh hit costs on its worker: key, look-up, decision, fields, X-Cache and Cache-Status;
// the writing to the socket is not counted.
//
//   filters_bench --benchmark_filter=CacheHit
//
// The goal is no allocation.
#include <benchmark/benchmark.h>

#include <string>

#include "bench/allocations.h"
#include "tyaprover/filters/response_cache.h"
#include "tyaprover/filters/route_settings.h"
#include "tyaprover/http/worker.h"

namespace tyaprover::filters {
namespace {

class Answering final : public Origin {
 public:
  explicit Answering(std::size_t bytes, std::string_view vary) : body_(bytes, 'x'), vary_(vary) {}
  http::Task<void> call(Exchange& e) override {
    e.response.status = 200;
    e.response.fields.add("Cache-Control", "public, max-age=86400");
    e.response.fields.add("Content-Type", "image/png");
    e.response.fields.add("ETag", "\"1f2e3d\"");
    e.response.fields.add("Server", "origin");
    if (!vary_.empty()) e.response.fields.add("Vary", vary_);
    e.response.content = body_;
    co_return;
  }

 private:
  const std::string body_;
  const std::string_view vary_;
};

class NoClient final : public http::ConnectionControl {
 public:
  http::Task<bool> send_interim(int, const http::Fields&) override { co_return true; }
  void watch_client(std::function<void()>) override {}
  [[nodiscard]] bool body_invited() const noexcept override { return true; }
};

// Args: bytes of the body, whether it varies by Accept-Encoding.
void cache_hit(benchmark::State& state) {
  http::Worker worker(0);
  ResponseStore store({});
  Compression compression(worker);
  ResponseCache cache(worker, store, compression, {});
  Answering origin(static_cast<std::size_t>(state.range(0)),
                   state.range(1) != 0 ? "Accept-Encoding" : "");
  RouteSettings settings;
  settings.response_cache.mode = CacheMode::rfc9111;
  NoClient client;
  Exchange e(worker);

  const auto request = [&] {
    e.reset();
    e.connection = &client;
    e.settings = &settings;
    e.request.method = "GET";
    e.request.method_id = http::Method::get;
    e.request.target = e.request.path = e.request.origin_form = "/images/logo.png";
    e.request.authority = "shop.example.com";
    e.request.fields.add("Host", "shop.example.com");
    e.request.fields.add("User-Agent", "Mozilla/5.0 (X11; Linux x86_64)");
    e.request.fields.add("Accept", "image/*");
    e.request.fields.add("Accept-Encoding", "gzip, br");
    spawn(cache.handle(e, origin, 0));
    benchmark::DoNotOptimize(e.response.content.data());
  };
  for (int i = 0; i < 1000; ++i) request();
  if (e.cache != "hit") state.SkipWithError("it is no hit");
  const bench::AllocationCount count(state);
  for (auto _ : state) request();
}
BENCHMARK(cache_hit)
    ->Name("CacheHit")
    ->ArgNames({"bytes", "vary"})
    ->Args({1024, 0})
    ->Args({1024, 1})
    ->Args({65536, 0});

}  // namespace
}  // namespace tyaprover::filters
