// What the codec costs per message, and that it allocates nothing once it is warm.
//
//   http_bench --benchmark_filter=Parse
#include <benchmark/benchmark.h>

#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

#include "bench/allocations.h"
#include "tyaprover/http/parser.h"

namespace tyaprover::http {
namespace {

const std::string kWrk =
    "GET /api/items/42 HTTP/1.1\r\n"
    "Host: 127.0.0.1:3000\r\n"
    "\r\n";

const std::string kFourFields =
    "GET /api/items/42?page=2 HTTP/1.1\r\n"
    "Host: shop.example.com\r\n"
    "User-Agent: curl/7.88.1\r\n"
    "Accept: */*\r\n"
    "X-Request-ID: 018f7e8e-9f0e-7cc3-b1d6-1a2b3c4d5e6f\r\n"
    "\r\n";

const std::string kBrowser =
    "GET /products/shoes?size=42&colour=red&sort=price HTTP/1.1\r\n"
    "Host: shop.example.com\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n"
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"
    "\r\n"
    "Accept-Language: de-DE,de;q=0.8,en-US;q=0.5,en;q=0.3\r\n"
    "Accept-Encoding: gzip, deflate, br, zstd\r\n"
    "Referer: https://shop.example.com/products\r\n"
    "Connection: keep-alive\r\n"
    "Cookie: session=6f1e0c2d9b7a48f3a5d4c3b2a1908f7e; theme=dark; consent=1; "
    "basket=3%2C17%2C42\r\n"
    "Upgrade-Insecure-Requests: 1\r\n"
    "Sec-Fetch-Dest: document\r\n"
    "Sec-Fetch-Mode: navigate\r\n"
    "If-None-Match: W/\"5f3b-18f7e8e9f0e\"\r\n"
    "\r\n";

const std::string kResponse =
    "HTTP/1.1 200 OK\r\n"
    "Server: nginx/1.22.1\r\n"
    "Date: Mon, 03 Jun 2024 10:00:00 GMT\r\n"
    "Content-Type: application/json\r\n"
    "Content-Length: 1024\r\n"
    "Last-Modified: Mon, 03 Jun 2024 09:00:00 GMT\r\n"
    "Connection: keep-alive\r\n"
    "ETag: \"665d8690-400\"\r\n"
    "Accept-Ranges: bytes\r\n"
    "\r\n";

void report(benchmark::State& state, std::size_t before, std::size_t bytes) {
  state.counters["allocations"] = benchmark::Counter(
      static_cast<double>(bench::allocations() - before), benchmark::Counter::kAvgIterations);
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(bytes));
}

void parse_request(benchmark::State& state, const std::string& input) {
  RequestParser parser({});
  RequestHead head;
  if (parser.parse(input, head) != ParseStatus::complete) state.SkipWithError("refused");
  const std::size_t before = bench::allocations();
  for (auto _ : state) {
    parser.reset();
    benchmark::DoNotOptimize(parser.parse(input, head));
  }
  report(state, before, input.size());
}

void parse_response(benchmark::State& state, const std::string& input) {
  ResponseParser parser({});
  ResponseHead head;
  if (parser.parse(input, Method::get, head) != ParseStatus::complete)
    state.SkipWithError("refused");
  const std::size_t before = bench::allocations();
  for (auto _ : state) {
    parser.reset();
    benchmark::DoNotOptimize(parser.parse(input, Method::get, head));
  }
  report(state, before, input.size());
}

// The worst case of a slow peer: one call per byte.
void parse_bytes(benchmark::State& state, const std::string& input) {
  RequestParser parser({});
  RequestHead head;
  for (std::size_t size = 1; size <= input.size(); ++size) {
    benchmark::DoNotOptimize(parser.parse(std::string_view(input).substr(0, size), head));
  }
  const std::size_t before = bench::allocations();
  for (auto _ : state) {
    parser.reset();
    for (std::size_t size = 1; size <= input.size(); ++size) {
      benchmark::DoNotOptimize(parser.parse(std::string_view(input).substr(0, size), head));
    }
  }
  report(state, before, input.size());
}

// 64 KiB of data in chunks of the given size.
void decode_chunked(benchmark::State& state) {
  const auto size = static_cast<std::size_t>(state.range(0));
  char line[20];
  std::snprintf(line, sizeof line, "%zx\r\n", size);
  std::string input;
  for (std::size_t done = 0; done < 64 * 1024; done += size) {
    input.append(line).append(size, 'x').append("\r\n");
  }
  input += "0\r\n\r\n";
  ChunkedDecoder decoder;
  const std::size_t before = bench::allocations();
  for (auto _ : state) {
    decoder.reset();
    std::string_view rest = input;
    std::size_t consumed = 0;
    std::string_view data;
    while (decoder.step(rest, consumed, data) == ChunkedDecoder::Status::data) {
      rest.remove_prefix(consumed);
      benchmark::DoNotOptimize(data);
    }
  }
  report(state, before, input.size());
}

BENCHMARK_CAPTURE(parse_request, wrk, kWrk);
BENCHMARK_CAPTURE(parse_request, four_fields, kFourFields);
BENCHMARK_CAPTURE(parse_request, browser, kBrowser);
BENCHMARK_CAPTURE(parse_response, nginx, kResponse);
BENCHMARK_CAPTURE(parse_bytes, browser, kBrowser);
BENCHMARK(decode_chunked)->Arg(16)->Arg(1024)->Arg(16 * 1024);

}  // namespace
}  // namespace tyaprover::http
