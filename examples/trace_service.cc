// A traced HTTP service on the toolkit, of the shape that the W3C Trace Context test harness
// drives: `POST /test` with a JSON array of {"url": …, "arguments": …} posts each `arguments` to
// its `url`, one after the other, every call in a client span of its own below the server span of
// the request.
//
//   trace_service [PORT]          # 0 or nothing: the kernel chooses; prints where it listens
//   curl -d '[{"url": "http://127.0.0.1:8080/", "arguments": []}]' http://127.0.0.1:PORT/test
//
// TRACE_EXPORTER_ENDPOINT=console prints the spans; OTEL_PROPAGATORS chooses the formats. Ends at
// SIGTERM or SIGINT, when what is running has been answered and its spans are sent.
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "tyaprover/base/parse.h"
#include "tyaprover/filters/pipeline.h"
#include "tyaprover/filters/route_settings.h"
#include "tyaprover/filters/trace_transport.h"
#include "tyaprover/filters/tracing.h"
#include "tyaprover/http/client.h"
#include "tyaprover/http/http_url.h"
#include "tyaprover/http/listen.h"
#include "tyaprover/http/server.h"
#include "tyaprover/http/worker.h"
#include "tyaprover/trace/environment.h"

namespace {

using namespace std::chrono_literals;
using namespace tyaprover;  // NOLINT(google-build-using-namespace): a program of its own
using Json = nlohmann::json;

constexpr std::size_t kMaxBody = 1024 * 1024;

class TraceService final : public http::Application {
 public:
  using Pipeline = filters::Pipeline<filters::Tracing>;
  using Exchange = Pipeline::PipelineExchange;

  TraceService(http::Worker& worker, const filters::HttpTracing& tracing)
      : worker_(worker), tracing_(tracing), pipeline_(filters::Tracing(&tracing)) {}

  std::unique_ptr<http::Exchange> new_exchange(http::Worker& worker) override {
    return std::make_unique<Exchange>(worker);
  }

  http::Task<void> handle(http::Exchange& base) override {
    auto& e = static_cast<Exchange&>(base);
    e.settings = &settings_;
    e.route = e.request.path == "/test" ? "/test" : "unmatched";
    if (pipeline_.on_request(e)) co_await answer(e);
    pipeline_.on_response(e);
  }

  void refuse(http::Exchange& base, const http::ParseError& error) override {
    auto& e = static_cast<Exchange&>(base);
    e.settings = &settings_;
    e.route = "unmatched";
    if (pipeline_.on_request(e)) say(e, error.status, error.detail);
    pipeline_.on_response(e);
  }

  void finish(http::Exchange& e) noexcept override {
    pipeline_.on_finish(static_cast<Exchange&>(e));
  }

 private:
  static void say(http::Exchange& e, int status, std::string_view text) {
    e.response.status = status;
    e.response.fields.add(http::KnownField::content_type, "text/plain; charset=utf-8");
    e.response.content = e.arena.concat({text, "\n"});
  }

  http::Task<void> answer(Exchange& e) {
    if (e.route != "/test") {
      say(e, 404, "only /test is here");
      co_return;
    }
    if (e.request.method_id != http::Method::post) {
      e.response.fields.add("Allow", "POST");
      say(e, 405, "POST a JSON array of {\"url\", \"arguments\"}");
      co_return;
    }
    e.body_limit = kMaxBody;
    std::string body;
    while (e.request_body != nullptr) {
      const auto piece = co_await e.request_body->read();
      if (!piece) {
        say(e, piece.error() == http::BodyError::too_large ? 413 : 400, to_string(piece.error()));
        co_return;
      }
      body += piece->data;
      if (piece->last) break;
    }
    const Json calls = Json::parse(body, nullptr, false);
    if (!calls.is_array()) {
      say(e, 400, "the body is not a JSON array");
      co_return;
    }
    for (const Json& call : calls) {
      if (!call.is_object() || !call.contains("url") || !call["url"].is_string() ||
          !http::parse_http_url(call["url"].get<std::string>())) {
        say(e, 400, "every element needs a \"url\" that begins with http://");
        co_return;
      }
    }
    int failed = 0;
    for (const Json& call : calls) {
      const std::string url = call["url"].get<std::string>();
      if (!co_await post(e, url, call.value("arguments", Json::array()).dump())) ++failed;
    }
    if (failed > 0) {
      say(e, 502, std::to_string(failed) + " of " + std::to_string(calls.size()) + " calls failed");
    } else {
      say(e, 200, "done");
    }
  }

  // One call in its span. True when it was answered, with whatever status.
  http::Task<bool> post(Exchange& e, std::string url, std::string body) {
    trace::Span span =
        tracing_.tracer().start_http_client_span("POST", url, {.parent = e.span.context()});
    const http::HttpUrl parts = *http::parse_http_url(url);
    std::string head =
        "POST " + parts.target + " HTTP/1.1\r\nHost: " + parts.authority +
        "\r\nContent-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) +
        "\r\n";
    trace::InjectedFields(trace::Context(span.context()), tracing_.options().propagators)
        .for_each([&](std::string_view name, std::string_view value) {
          head.append(name).append(": ").append(value).append("\r\n");
        });
    head += "\r\n";

    const TimePoint deadline = worker_.now() + 10s;
    const auto fail = [&](std::string_view why) {
      span.set_attribute("error.type", why);
      span.set_status(trace::SpanStatus::error, why);
      return false;
    };
    // The worker waits while a name is looked up: good for addresses and /etc/hosts. The gateway
    // has a resolver for all else.
    std::string problem;
    const auto endpoint = http::resolve(parts, problem);
    if (!endpoint) co_return fail("unknown_host");
    http::ConnectionPool& pool = pool_of(parts.authority);
    http::BodyPtr released(
        pool.create());  // without idle connections there is no race for a dying one
    auto& connection = static_cast<http::ClientConnection&>(*released);
    const http::IoError connected = co_await connection.connect(*endpoint, deadline);
    if (connected != http::IoError::none) co_return fail(to_string(connected));
    connection.begin(http::Method::post);
    if (co_await connection.write(head, body) != http::IoError::none) connection.spoil();
    http::ReadHead result = http::ReadHead::complete;
    do {
      result = co_await connection.read_head(deadline);
    } while (result == http::ReadHead::complete && connection.head().status < 200);
    if (result != http::ReadHead::complete) co_return fail("no_answer");
    const int status = connection.head().status;
    span.set_attribute("http.response.status_code", status);
    if (status >= 400) fail(std::to_string(status));
    for (std::size_t left = kMaxBody;;) {  // the answer's body says nothing to us
      const auto piece = co_await connection.read();
      if (!piece || piece->last || piece->data.size() >= left) break;
      left -= piece->data.size();
    }
    co_return true;
  }

  http::ConnectionPool& pool_of(const std::string& authority) {
    auto& pool = pools_[authority];
    if (pool == nullptr)
      pool = std::make_unique<http::ConnectionPool>(worker_, http::ClientOptions{.max_idle = 0});
    return *pool;
  }

  http::Worker& worker_;
  const filters::HttpTracing& tracing_;
  const filters::RouteSettings settings_;
  Pipeline pipeline_;
  std::map<std::string, std::unique_ptr<http::ConnectionPool>> pools_;
};

}  // namespace

int main(int argc, char** argv) {
  // Before any thread begins, so that the signals reach sigwait() alone.
  sigset_t signals;
  ::sigemptyset(&signals);
  ::sigaddset(&signals, SIGTERM);
  ::sigaddset(&signals, SIGINT);
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);

  const auto port = parse_u64(argc > 1 ? argv[1] : "0");
  if (argc > 2 || !port || *port > 65535) {
    std::fprintf(stderr, "usage: %s [PORT]\n", argv[0]);
    return 2;
  }
  trace::TraceSettings settings =
      trace::read_trace_environment([](std::string_view name) -> std::optional<std::string> {
        const char* const value = std::getenv(std::string(name).c_str());
        return value == nullptr ? std::nullopt : std::optional<std::string>(value);
      });
  for (const auto& warning : settings.warnings) {
    std::fprintf(stderr, "%s=%s: %s\n", warning.variable.c_str(), warning.value.c_str(),
                 warning.message.c_str());
  }
  if (settings.resource.empty()) settings.resource = {{"service.name", "trace-service"}};
  trace::TracerProvider provider(
      {.resource = settings.resource,
       .sampler = trace::make_sampler(settings.sampler),
       .processor = trace::make_processor(
           settings, {std::make_shared<filters::TraceTransport>(), filters::gzip_text}),
       .limits = settings.limits});
  const filters::HttpTracing tracing(provider.tracer("trace-service"),
                                     {.propagators = settings.propagators});

  auto sockets = http::listen_tcp("127.0.0.1", static_cast<std::uint16_t>(*port), 1);
  if (!sockets) {
    std::fprintf(stderr, "%s\n", sockets.error().c_str());
    return 1;
  }
  std::printf("http://%s\n", http::describe_listener(sockets->front()).c_str());
  std::fflush(stdout);

  http::Worker worker(0);
  TraceService service(worker, tracing);
  http::ServerCounters counters;
  http::Server server(worker, service, {}, counters);
  worker.post([&] { server.listen(sockets->front()); });
  std::thread thread([&] { worker.run(); });
  int signal = 0;
  ::sigwait(&signals, &signal);
  worker.post([&] { server.stop_listening([&] { server.drain([&] { worker.stop(); }); }); });
  thread.join();
  static_cast<void>(provider.shutdown(5s));
  return 0;
}
