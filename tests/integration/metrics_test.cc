// The metrics page of the running program (the metrics specification, sections 4 and 5), and a real
// Prometheus that scrapes it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <cstdio>

#include "tests/integration/support.h"

namespace tyaprover::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr std::string_view kOpenMetrics = "Accept: application/openmetrics-text; version=1.0.0\r\n";
constexpr std::string_view kProtobuf =
    "Accept: application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;"
    "encoding=delimited\r\n";

std::string metrics_page(const Gateway& gateway, std::string_view query = "") {
  const Response page = get(gateway.port(), "/metrics" + std::string(query));
  EXPECT_EQ(page.status, 200) << page.body;
  EXPECT_TRUE(page.complete);
  return page.body;
}

// The value of the one line that begins with this sample; NaN if there is none.
double sample(const std::string& page, const std::string& name) {
  const std::string text = sample_text(page, name);
  return text.empty() ? NAN : std::stod(text);
}

std::string gunzip(std::string_view encoded) {
  z_stream stream{};
  inflateInit2(&stream, 15 + 16);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(encoded.data()));
  stream.avail_in = static_cast<uInt>(encoded.size());
  std::string out;
  char buffer[65536];
  int result = Z_OK;
  while (result == Z_OK) {
    stream.next_out = reinterpret_cast<Bytef*>(buffer);
    stream.avail_out = sizeof(buffer);
    result = inflate(&stream, Z_NO_FLUSH);
    out.append(buffer, sizeof(buffer) - stream.avail_out);
  }
  inflateEnd(&stream);
  EXPECT_EQ(result, Z_STREAM_END);
  return out;
}

CommandResult promtool_check(const std::string& page) {
  const TempDir directory;
  const std::string file = directory.write("page", page);
  return run_command({.arguments = {"sh", "-c", "promtool check metrics < " + file},
                      .environment = {},
                      .descriptors = {},
                      .directory = {}});
}

// --- the page

TEST(MetricsPage, HasTheSeedsMetricsM20) {
  Upstream upstream;
  Gateway gateway(proxy_to(upstream));
  get(gateway.port(), "/a?b=c");
  const std::string page = metrics_page(gateway);
  EXPECT_EQ(sample(page, "http_requests_total{method=\"GET\",route=\"/\",status=\"200\"}"), 1);
  EXPECT_EQ(
      sample(page, "http_request_duration_ms_count{method=\"GET\",route=\"/\",status=\"200\"}"), 1);
  EXPECT_GT(sample(page, "http_request_duration_ms_sum{method=\"GET\",route=\"/\",status=\"200\"}"),
            0);
  EXPECT_EQ(sample(page, "http_connections_active"), 1) << "the scrape's own";
  // ASan's allocator tells mallinfo() nothing.
  EXPECT_GE(sample(page, "process_memory_heap_used_bytes"), kSanitized ? 0 : 1);
  EXPECT_GE(sample(page, "process_memory_heap_total_bytes"), kSanitized ? 0 : 1);
  EXPECT_GT(sample(page, "process_memory_rss_bytes"), 0);
  EXPECT_GE(sample(page, "process_event_loop_lag_ms"), 0);
}

TEST(MetricsPage, HasPrometheusNamesM21) {
  Upstream upstream;
  Gateway gateway(proxy_to(upstream));
  get(gateway.port(), "/");
  const std::string page = metrics_page(gateway);
  for (const char* const name :
       {"process_cpu_seconds_total", "process_resident_memory_bytes",
        "process_virtual_memory_bytes", "process_open_fds", "process_max_fds",
        "process_start_time_seconds", "process_threads", "event_loop_lag_seconds{worker=\"0\"}",
        "tyaprover_log_lines_total", "tyaprover_log_lines_dropped_total",
        "tyaprover_compression_responses_total", "tyaprover_connections_accepted_total",
        "tyaprover_metrics_series"}) {
    EXPECT_FALSE(std::isnan(sample(page, name))) << name;
  }
  EXPECT_THAT(page,
              HasSubstr("tyaprover_build_info{version=\"" TYAPROVER_VERSION "\",revision=\""));
  const std::string target = "{app=\"app\",target=\"127.0.0.1:" + std::to_string(upstream.port());
  EXPECT_EQ(sample(page, "tyaprover_upstream_requests_total" + target + "\",result=\"2xx\"}"), 1)
      << page;
  EXPECT_EQ(sample(page, "tyaprover_upstream_connections_created_total" + target + "\"}"), 1);
}

TEST(MetricsPage, NamingProfilesM20) {
  Upstream upstream;
  for (const auto& [naming, complaints] :
       std::vector<std::pair<std::string, int>>{{"prometheus", 0}, {"both", 2}, {"seed", 2}}) {
    SCOPED_TRACE(naming);
    Gateway gateway(proxy_to(upstream, "metrics: {naming: " + naming + "}"));
    get(gateway.port(), "/");
    const std::string page = metrics_page(gateway);
    EXPECT_EQ(page.find("http_request_duration_ms") == std::string::npos, naming == "prometheus");
    EXPECT_EQ(page.find("http_request_duration_seconds") == std::string::npos, naming == "seed");
    EXPECT_EQ(page.find("process_event_loop_lag_ms") == std::string::npos, naming == "prometheus");
    EXPECT_EQ(page.find("event_loop_lag_seconds") == std::string::npos, naming == "seed");
    const CommandResult check = promtool_check(page);
    EXPECT_EQ(check.exit_code == 0, complaints == 0) << check.err;
    EXPECT_EQ(std::count(check.err.begin(), check.err.end(), '\n'), complaints) << check.err;
    if (complaints > 0) {
      EXPECT_THAT(check.err, HasSubstr("http_request_duration_ms metric names should not contain "
                                       "abbreviated units"));
      EXPECT_THAT(check.err, HasSubstr("process_event_loop_lag_ms metric names should not contain "
                                       "abbreviated units"));
    }
  }
}

TEST(MetricsPage, FormatIsNegotiatedM22) {
  Upstream upstream;
  Gateway gateway(proxy_to(upstream));
  const Response text = get(gateway.port(), "/metrics");
  EXPECT_EQ(text.header("Content-Type"), "text/plain; version=0.0.4; charset=utf-8");
  EXPECT_THAT(text.body, Not(HasSubstr("# EOF")));
  const Response openmetrics = get(gateway.port(), "/metrics", kOpenMetrics);
  EXPECT_EQ(openmetrics.header("Content-Type"),
            "application/openmetrics-text; version=1.0.0; charset=utf-8");
  EXPECT_TRUE(openmetrics.body.ends_with("\n# EOF\n"));
  const Response protobuf = get(gateway.port(), "/metrics", kProtobuf);
  EXPECT_EQ(protobuf.header("Content-Type"),
            "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; "
            "encoding=delimited");
  EXPECT_THAT(protobuf.body, HasSubstr("process_open_fds"));
  EXPECT_THAT(text.header("Vary"), HasSubstr("Accept"));
}

TEST(MetricsPage, GzipIsNegotiatedM26) {
  Upstream upstream;
  Gateway gateway(proxy_to(upstream));
  for (const auto& [accept, coding] : std::vector<std::pair<std::string, std::string>>{
           {"gzip", "gzip"}, {"gzip;q=0", ""}, {"br, zstd", ""}, {"br;q=1, gzip;q=0.1", "gzip"}}) {
    SCOPED_TRACE(accept);
    const Response page = get(gateway.port(), "/metrics", "Accept-Encoding: " + accept + "\r\n");
    EXPECT_EQ(page.header("Content-Encoding"), coding);
    const std::string body = coding.empty() ? page.body : gunzip(page.body);
    EXPECT_THAT(body, HasSubstr("\nprocess_open_fds "));
  }
}

TEST(MetricsPage, NamesSelectFamiliesM26) {
  Upstream upstream;
  Gateway gateway(proxy_to(upstream));
  const std::string page =
      metrics_page(gateway, "?name[]=process_open_fds&name%5B%5D=http%5fconnections_active");
  EXPECT_THAT(page, StartsWith("# HELP http_connections_active"));
  EXPECT_THAT(page, HasSubstr("\nprocess_open_fds "));
  EXPECT_EQ(std::count(page.begin(), page.end(), '\n'), 6) << page;
}

TEST(MetricsPage, OnlyGetAndHeadM26) {
  Upstream upstream;
  Gateway gateway(proxy_to(upstream));
  const Response post =
      fetch(gateway.port(), "POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(post.status, 405);
  EXPECT_EQ(post.header("Allow"), "GET, HEAD");
  RawClient client(gateway.port());
  client.send("HEAD /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
  const Response head = client.read_response(kDeadline, true);
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.header("Content-Type"), "text/plain; version=0.0.4; charset=utf-8");
  EXPECT_FALSE(head.has("Content-Length"));
  client.send("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(client.read_response().status, 200) << "the connection goes on";
  EXPECT_EQ(upstream.byte_count(), 0u);
}

TEST(MetricsPage, CanMoveAndBeOff) {
  Upstream upstream;
  Gateway moved(proxy_to(upstream, "endpoints: {metrics: /internal/metrics}"));
  EXPECT_THAT(get(moved.port(), "/internal/metrics").body, HasSubstr("process_open_fds"));
  EXPECT_EQ(get(moved.port(), "/metrics").body, "ok") << "the app's";
  Gateway off(proxy_to(upstream, "endpoints: {metrics: off}"));
  EXPECT_EQ(get(off.port(), "/metrics").body, "ok");
}

// --- who may see it (M27)

Gateway gateway_with(const Upstream& upstream, std::map<std::string, std::string> environment,
                     std::string_view settings = "") {
  return Gateway(GatewayOptions{.yaml = proxy_to(upstream, settings),
                                .arguments = {},
                                .environment = std::move(environment),
                                .descriptors = {}});
}

TEST(MetricsAccess, TheKeyIsAskedForInProductionM27) {
  Upstream upstream;
  const Gateway gateway =
      gateway_with(upstream, {{"METRICS_API_KEY", "s3cret"}, {"NODE_ENV", "production"}});
  EXPECT_EQ(get(gateway.port(), "/metrics").status, 403);
  EXPECT_EQ(get(gateway.port(), "/metrics", "x-api-key: s3creT\r\n").status, 403);
  EXPECT_EQ(get(gateway.port(), "/metrics", "x-api-key: s3cret2\r\n").status, 403);
  EXPECT_EQ(get(gateway.port(), "/metrics", "X-API-Key: s3cret\r\n").status, 200);
  const Response refused = get(gateway.port(), "/metrics");
  EXPECT_EQ(refused.reason(), "forbidden");
  EXPECT_THAT(refused.body, HasSubstr("Forbidden"));
  EXPECT_THAT(refused.body, Not(HasSubstr("s3cret")));
}

TEST(MetricsAccess, OutsideProductionThePageIsOpenM27) {
  Upstream upstream;
  const Gateway gateway = gateway_with(upstream, {{"METRICS_API_KEY", "s3cret"}});
  EXPECT_EQ(get(gateway.port(), "/metrics").status, 200);
}

TEST(MetricsAccess, WithoutAKeyProductionIsWarnedOnceM27) {
  Upstream upstream;
  const Gateway gateway = gateway_with(upstream, {{"NODE_ENV", "production"}});
  EXPECT_EQ(get(gateway.port(), "/metrics").status, 200);
  EXPECT_EQ(get(gateway.port(), "/metrics").status, 200);
  const std::string log = gateway.log();
  const std::size_t first = log.find("METRICS_API_KEY");
  EXPECT_NE(first, std::string::npos) << log;
  EXPECT_EQ(log.find("METRICS_API_KEY", first + 1), std::string::npos) << log;
}

TEST(MetricsAccess, CanBeTightenedM27) {
  Upstream upstream;
  // Our proxy on this machine says who the client is: it is believed.
  const std::string elsewhere = "X-Forwarded-For: 192.0.2.7\r\n";
  const std::string key = "x-api-key: k\r\n";
  struct Case {
    std::string access;
    int nobody, local, remote_with_key;
  };
  for (const Case& c : std::vector<Case>{{"[loopback]", 403, 200, 403},
                                         {"[key]", 403, 403, 200},
                                         {"[loopback, key]", 403, 200, 200}}) {
    SCOPED_TRACE(c.access);
    const Gateway gateway =
        gateway_with(upstream, {{"METRICS_API_KEY", "k"}}, "metrics: {access: " + c.access + "}");
    EXPECT_EQ(get(gateway.port(), "/metrics", elsewhere).status, c.nobody);
    EXPECT_EQ(get(gateway.port(), "/metrics").status, c.local);
    EXPECT_EQ(get(gateway.port(), "/metrics", elsewhere + key).status, c.remote_with_key);
  }
}

// --- what is counted

TEST(MetricsFilter, EveryKindOfEndIsCountedM31) {
  std::atomic<bool> arrived{false};
  Upstream upstream([&](UpstreamExchange& e) {
    if (e.request.target() == "/hang") {
      arrived = true;
      e.wait_for_close();
      return;
    }
    if (e.request.target() == "/upgrade") {
      e.send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
      e.wait_for_close();
      return;
    }
    e.send(ok("hello"));
  });
  Gateway gateway(proxy_to(upstream));
  {
    RawClient head(gateway.port());
    head.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
    head.read_response(kDeadline, true);
    RawClient leaver(gateway.port());
    leaver.send("GET /hang HTTP/1.1\r\nHost: a\r\n\r\n");
    ASSERT_TRUE(wait_until([&] { return arrived.load(); }));
    leaver.reset();
    RawClient upgraded(gateway.port());
    upgraded.send("GET /upgrade HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
    EXPECT_EQ(upgraded.read_head().status, 101);
    upgraded.close();
    fetch(gateway.port(), "GET / HTTP/9.9\r\n\r\n");
    fetch(gateway.port(), "BREW / HTTP/1.1\r\nHost: a\r\n\r\n");
  }
  const auto count = [&](std::string_view labels) {
    return sample(metrics_page(gateway), "http_requests_total{" + std::string(labels) + "}");
  };
  EXPECT_EQ(count(R"(method="HEAD",route="/",status="200")"), 1);
  EXPECT_EQ(count(R"(method="other",route="/",status="200")"), 1);
  EXPECT_EQ(count(R"(method="other",route="unmatched",status="505")"), 1);
  EXPECT_TRUE(wait_until([&] { return count(R"(method="GET",route="/",status="499")") == 1; }));
  EXPECT_TRUE(wait_until([&] { return count(R"(method="GET",route="/",status="101")") == 1; }))
      << metrics_page(gateway);
}

TEST(MetricsFilter, PathsAndAppsCanBeLeftOutM31) {
  Upstream upstream;
  Gateway gateway(
      "listen: [\"127.0.0.1:0\"]\nmetrics: {exclude: [/ping]}\napps:\n"
      "  - {name: a, path: /a, metrics: {enabled: false}, upstream: {targets: [\"" +
      upstream.url() + "\"]}}\n  - {name: b, upstream: {targets: [\"" + upstream.url() + "\"]}}\n");
  for (const char* const path : {"/a", "/a/x", "/ping", "/pong", "/health", "/metrics"}) {
    EXPECT_EQ(get(gateway.port(), path).status, 200) << path;
  }
  const std::string page = metrics_page(gateway, "?name[]=http_requests_total");
  EXPECT_EQ(std::count(page.begin(), page.end(), '\n'), 3) << page;
  EXPECT_EQ(sample(page, R"(http_requests_total{method="GET",route="/",status="200"})"), 1);
}

TEST(MetricsFilter, TheConnectionGaugeComesBackM30) {
  Upstream upstream([](UpstreamExchange& e) { e.wait_for_close(); });
  Gateway gateway(proxy_to(upstream));
  {
    std::vector<RawClient> clients;
    for (int i = 0; i < 100; ++i) {
      clients.emplace_back(gateway.port());
      clients.back().send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    EXPECT_TRUE(wait_until(
        [&] { return sample(metrics_page(gateway), "http_connections_active") == 101; }));
    for (std::size_t i = 0; i < clients.size(); ++i) {
      i % 2 == 0 ? clients[i].reset() : clients[i].close();
    }
  }
  EXPECT_TRUE(
      wait_until([&] { return sample(metrics_page(gateway), "http_connections_active") == 1; }));
}

// --- large pages

// A gateway with some hundred thousand lines on its page: requests of many methods and statuses.
class LargePage : public ::testing::Test {
 protected:
  static constexpr int kStatuses = kSanitized ? 60 : 400;

  LargePage() {
    const std::vector<std::string> methods = {"GET",     "POST",  "PUT",  "DELETE",
                                              "OPTIONS", "PATCH", "OTHER"};
    RawClient client(gateway.port());
    for (const std::string& method : methods) {
      for (int status = 200; status < 200 + kStatuses; ++status) {
        client.send(method + " /" + std::to_string(status) +
                    " HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
        const Response response = client.read_response();
        EXPECT_EQ(response.status, status);
      }
    }
  }

  Upstream upstream{[](UpstreamExchange& e) {
    e.send("HTTP/1.1 " + e.request.target().substr(1) + " X\r\nContent-Length: 0\r\n\r\n");
  }};
  Gateway gateway{proxy_to(upstream,
                           "metrics: {max_series: 100000}\n"
                           "limits: {requests_per_connection: 1000000}")};
};

TEST_F(LargePage, IsStreamedWithLittleMemoryM25) {
  static_cast<void>(get(gateway.port(), "/metrics"));  // the threads' and pools' first use
  const std::size_t before = gateway.resident_bytes();
  const Response page = get(gateway.port(), "/metrics");
  ASSERT_TRUE(page.complete);
  const std::size_t after = gateway.resident_bytes();
  const auto lines = std::count(page.body.begin(), page.body.end(), '\n');
  if (!kSanitized) {
    EXPECT_GT(lines, 100'000);
    EXPECT_LT(after, before + 4 * 1024 * 1024) << page.body.size();
  }
  EXPECT_EQ(page.header("Transfer-Encoding"), "chunked");
}

TEST_F(LargePage, FourScrapesAtOnceThen503M25) {
  if (kSanitized) GTEST_SKIP() << "the page is too small there to outlast a socket's buffer";
  std::vector<RawClient> slow;
  for (int i = 0; i < 4; ++i) {
    slow.emplace_back(gateway.port());
    slow.back().send("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
    EXPECT_EQ(slow.back().read_head().status, 200);
  }
  const Response fifth = get(gateway.port(), "/metrics");
  EXPECT_EQ(fifth.status, 503);
  EXPECT_EQ(fifth.reason(), "overloaded");
  EXPECT_EQ(fifth.header("Retry-After"), "1");
  EXPECT_EQ(get(gateway.port(), "/200").status, 200) << "requests go on meanwhile";
  slow.clear();  // scrapers that leave make room
  EXPECT_TRUE(wait_until([&] { return get(gateway.port(), "/metrics").status == 200; }));
}

TEST_F(LargePage, TheScrapeTimeoutBoundsItM25) {
  if (kSanitized) GTEST_SKIP() << "the page is too small there to outlast a socket's buffer";
  RawClient client(gateway.port());
  client.send(
      "GET /metrics HTTP/1.1\r\nHost: a\r\nX-Prometheus-Scrape-Timeout-Seconds: 0.5\r\n\r\n");
  Response page = client.read_head();
  EXPECT_EQ(page.status, 200);
  // Read no further until the time is up: what comes then is a cut page, not a page that looks
  // whole.
  EXPECT_TRUE(
      wait_until([&] { return gateway.log().find("a scrape took longer") != std::string::npos; }));
  client.read_body(page);
  EXPECT_FALSE(page.complete);
}

TEST_F(LargePage, EndsWithTheGateway) {
  RawClient client(gateway.port());
  client.send("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
  client.close();
  RawClient reading(gateway.port());
  reading.send("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(reading.read_head().status, 200);
  gateway.signal(SIGTERM);
  EXPECT_TRUE(reading.read_until("tyaprover_upstream_requests_total"));
  EXPECT_EQ(gateway.wait_for_exit(), 0);
}

// --- a real Prometheus

class Prometheus {
 public:
  Prometheus(const std::vector<std::pair<std::string, std::uint16_t>>& jobs,
             std::vector<std::string> arguments)
      : port_(unused_port()) {
    std::string config =
        "global: {scrape_interval: 500ms, scrape_timeout: 500ms}\nscrape_configs:\n";
    for (const auto& [job, port] : jobs) {
      config += "  - {job_name: " + job +
                ", static_configs: [{targets: ['127.0.0.1:" + std::to_string(port) + "']}]}\n";
    }
    std::vector<std::string> command = {
        "prometheus", "--config.file=" + directory_.write("prometheus.yml", config),
        "--storage.tsdb.path=" + directory_.path() + "/data",
        "--web.listen-address=127.0.0.1:" + std::to_string(port_), "--log.level=warn"};
    command.insert(command.end(), arguments.begin(), arguments.end());
    process_.emplace(ProcessOptions{
        .arguments = command, .environment = {}, .descriptors = {}, .directory = {}});
  }

  // The answer's `data`; null until there is one.
  Json ask(const std::string& path) const {
    try {
      return get(port_, path).json().value("data", Json());
    } catch (const std::exception&) {
      return {};
    }
  }
  // The value of an instant query with one result; NaN without.
  double query(const std::string& expression) const {
    std::string encoded;
    for (const char c : expression) {
      char hex[4];
      std::snprintf(hex, sizeof(hex), "%%%02X", static_cast<unsigned char>(c));
      encoded += hex;
    }
    const Json data = ask("/api/v1/query?query=" + encoded);
    if (!data.is_object() || data["result"].size() != 1) return NAN;
    return std::stod(data["result"][0]["value"][1].get<std::string>());
  }
  std::string log() const { return process_->err(); }

 private:
  TempDir directory_;
  std::uint16_t port_;
  std::optional<Process> process_;
};

// Requests at a steady pace until it ends; nine of ten answers take about 2 ms, the others 200 ms.
class Traffic {
 public:
  explicit Traffic(std::uint16_t port) : thread_([this, port] { run(port); }) {}
  ~Traffic() {
    stop_ = true;
    thread_.join();
  }
  // Of the requests that ended in the last kWindow, as the queries of the test look at them.
  double rate() const {
    return static_cast<double>(recent().size()) / std::chrono::duration<double>(kWindow).count();
  }
  double quantile(double q) const {
    const std::vector<double> sorted = recent();
    return sorted.at(static_cast<std::size_t>(q * static_cast<double>(sorted.size() - 1)));
  }

 private:
  void run(std::uint16_t port) {
    RawClient client(port);
    for (int sent = 0; !stop_; ++sent) {
      const TimePoint begin = std::chrono::steady_clock::now();
      client.send("GET /" + std::to_string(sent % 10 == 0 ? 200 : 2) +
                  " HTTP/1.1\r\nHost: a\r\n\r\n");
      if (client.read_response().status != 200) break;
      const TimePoint end = std::chrono::steady_clock::now();
      const std::lock_guard lock(mutex_);
      ended_.emplace_back(end, std::chrono::duration<double>(end - begin).count());
    }
  }

  static constexpr Millis kWindow = 8s;

  // Durations in seconds, in ascending order.
  std::vector<double> recent() const {
    std::vector<double> durations;
    const std::lock_guard lock(mutex_);
    const TimePoint begin = std::chrono::steady_clock::now() - kWindow;
    for (const auto& [end, seconds] : ended_) {
      if (end >= begin) durations.push_back(seconds);
    }
    std::sort(durations.begin(), durations.end());
    return durations;
  }

  std::atomic<bool> stop_{false};
  mutable std::mutex mutex_;
  std::vector<std::pair<TimePoint, double>> ended_;
  std::thread thread_;
};

// Answers /metrics with the gateway's page in text 0.0.4, whatever the scraper would like better.
Upstream::Script in_text(const Gateway& gateway) {
  return [&gateway](UpstreamExchange& e) {
    const Response page = get(gateway.port(), "/metrics", "Accept: text/plain; version=0.0.4\r\n");
    e.send(ok(page.body, "Content-Type: " + page.header("Content-Type") + "\r\n"));
  };
}

TEST(RealPrometheus, ScrapesAllFormatsUnderLoad) {
  Upstream upstream([](UpstreamExchange& e) {
    std::this_thread::sleep_for(Millis(std::stoi(e.request.target().substr(1))));
    e.send(ok("hello"));
  });
  Gateway gateway(proxy_to(upstream));
  Upstream text(in_text(gateway));
  // With native histograms Prometheus 2.42 asks for protobuf, without for OpenMetrics.
  const Prometheus native({{"protobuf", gateway.port()}, {"text", text.port()}},
                          {"--enable-feature=native-histograms,exemplar-storage"});
  const Prometheus classic({{"openmetrics", gateway.port()}},
                           {"--enable-feature=exemplar-storage"});
  const Traffic traffic(gateway.port());

  const auto ready = [&](const Prometheus& prometheus, const std::string& job) {
    return wait_until(
        [&] {
          return prometheus.query("count_over_time(http_requests_total{job=\"" + job +
                                  "\"}[1m])") >= 20;
        },
        60s);
  };
  ASSERT_TRUE(ready(native, "protobuf")) << native.log();
  ASSERT_TRUE(ready(native, "text")) << native.log();
  ASSERT_TRUE(ready(classic, "openmetrics")) << classic.log();

  for (const auto& scraped : std::vector<std::pair<const Prometheus*, std::string>>{
           {&native, "protobuf"}, {&native, "text"}, {&classic, "openmetrics"}}) {
    const Prometheus* const prometheus = scraped.first;
    const std::string& job = scraped.second;
    SCOPED_TRACE(job);
    EXPECT_EQ(prometheus->query("up{job=\"" + job + "\"}"), 1);
    // A scrape that comes late leaves a gap, and rate() divides by the window with the gap: on a
    // busy machine it takes a moment until a window without one is there.
    double seen = 0;
    double rate = 0;
    EXPECT_TRUE(wait_until(
        [&] {
          seen = prometheus->query("sum(rate(http_requests_total{job=\"" + job + "\"}[8s]))");
          rate = traffic.rate();
          return std::abs(seen - rate) <= rate * 0.15;
        },
        60s))
        << seen << " instead of " << rate;
    const double p95 = traffic.quantile(0.95);
    if (job == "protobuf") continue;  // has no classic buckets of what is native
    // The seed's query, as it must read: within the bucket of the true quantile.
    const double ms = prometheus->query(
        "histogram_quantile(0.95, sum by (le) (rate(http_request_duration_ms_bucket{job=\"" + job +
        "\"}[8s])))");
    EXPECT_GT(ms, 100);
    EXPECT_LE(ms, p95 < 0.25 ? 250 : 500) << "true: " << p95;
    const double s = prometheus->query(
        "histogram_quantile(0.95, sum by (le) (rate(http_request_duration_seconds_bucket{job=\"" +
        job + "\"}[8s])))");
    EXPECT_NEAR(s, ms / 1000, 0.05);
  }
  // The trace of a slow request, as both formats that carry exemplars brought it.
  for (const auto& asked : std::vector<std::pair<const Prometheus*, std::string>>{
           {&native, "http_request_duration_seconds"},
           {&classic, "http_request_duration_seconds_bucket"}}) {
    const Prometheus* const prometheus = asked.first;
    const std::string& series = asked.second;
    SCOPED_TRACE(series);
    Json exemplars;
    EXPECT_TRUE(wait_until([&] {
      exemplars = prometheus->ask("/api/v1/query_exemplars?start=0&end=9999999999&query=" + series);
      return exemplars.is_array() && !exemplars.empty();
    })) << prometheus->log();
    if (!exemplars.is_array() || exemplars.empty()) continue;
    const Json& labels = exemplars[0]["exemplars"][0]["labels"];
    const std::string trace_id = labels.value("trace_id", "");
    EXPECT_EQ(trace_id.size(), 32u) << exemplars[0];
    const Json lines = Json(gateway.access_log());
    EXPECT_TRUE(std::any_of(lines.begin(), lines.end(), [&](const Json& line) {
      return line.value("trace_id", "") == trace_id &&
             line.value("span_id", "") == labels.value("span_id", "?");
    })) << trace_id;
  }
  double from_native = 0;
  double p95 = 0;
  EXPECT_TRUE(wait_until(
      [&] {
        from_native = native.query(
            "histogram_quantile(0.95, "
            "sum(rate(http_request_duration_seconds{job=\"protobuf\"}[8s])))");
        p95 = traffic.quantile(0.95);
        return std::abs(from_native - p95) <= p95 * 0.10;
      },
      60s))
      << from_native << " instead of " << p95;

  for (const auto* prometheus : {&native, &classic}) {
    // On a busy machine one scrape may take longer than the half second that it has.
    Json targets;
    const auto all_up = [&] {
      targets = prometheus->ask("/api/v1/targets");
      if (!targets.is_object()) return false;
      const Json& active = targets["activeTargets"];
      return !active.empty() && std::all_of(active.begin(), active.end(), [](const Json& target) {
        return target.value("health", "") == "up" && target.value("lastError", "?").empty();
      });
    };
    EXPECT_TRUE(wait_until(all_up, 60s)) << targets;
    EXPECT_EQ(prometheus->log().find("level=error"), std::string::npos) << prometheus->log();
    EXPECT_EQ(prometheus->log().find("Error on ingesting"), std::string::npos) << prometheus->log();
  }
}

}  // namespace
}  // namespace tyaprover::test
