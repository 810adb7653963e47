#include "tyaprover/filters/access_log.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <random>
#include <string>

#include "tyaprover/filters/test_exchange.h"

namespace tyaprover::filters {
namespace {

using http::Outcome;
using http::Reason;
using nlohmann::json;
using namespace std::chrono_literals;

// 6 November 1994, 08:49:37.123
constexpr std::chrono::system_clock::time_point kWallEnd{784111777123ms};

class LogLineTest : public ExchangeTest {
 protected:
  LogLineTest() {
    exchange.request.path = "/api/theme";
    exchange.request.query = "a=1&b=2";
    exchange.request.has_query = true;
    exchange.request.authority = "shop.example.com";
    exchange.client = "192.0.2.7";
    exchange.timings.last_byte = exchange.timings.head_parsed + 12'345us;
    exchange.bytes_in = 120;
    exchange.bytes_out = 2326;
  }
  std::string line() {
    std::string out;
    append_log_line(out, exchange, options, clock.now(), kWallEnd);
    return out;
  }
  json parsed() { return json::parse(line()); }

  AccessLogOptions options;
};

TEST_F(LogLineTest, JsonHasEveryField) {
  request_field("User-Agent", "curl/8");
  request_field("Referer", "https://example.com/");
  exchange.request_id = "id-1";
  exchange.trace_id = "4bf92f3577b34da6a3ce929d0e0e4736";
  exchange.span_id = "00f067aa0ba902b7";
  exchange.app = "shop";
  exchange.route = "/api";
  exchange.upstream = "http://127.0.0.1:8080";
  exchange.upstream_tries = 2;
  exchange.cache = "miss";
  exchange.breaker = "closed";
  exchange.timings.upstream_acquired = exchange.timings.head_parsed + 1ms;
  exchange.timings.upstream_first_byte = exchange.timings.head_parsed + 11'500us;
  EXPECT_EQ(parsed(), json({{"time", "1994-11-06T08:49:37.123Z"},
                            {"level", "info"},
                            {"msg", "request"},
                            {"request_id", "id-1"},
                            {"trace_id", "4bf92f3577b34da6a3ce929d0e0e4736"},
                            {"span_id", "00f067aa0ba902b7"},
                            {"method", "GET"},
                            {"path", "/api/theme"},
                            {"query", "a=1&b=2"},
                            {"host", "shop.example.com"},
                            {"route", "/api"},
                            {"app", "shop"},
                            {"status", 200},
                            {"reason", ""},
                            {"duration_ms", 12.345},
                            {"upstream", "http://127.0.0.1:8080"},
                            {"upstream_duration_ms", 10.5},
                            {"upstream_tries", 2},
                            {"bytes_in", 120},
                            {"bytes_out", 2326},
                            {"client", "192.0.2.7"},
                            {"user_agent", "curl/8"},
                            {"referer", "https://example.com/"},
                            {"protocol", "HTTP/1.1"},
                            {"cache", "miss"},
                            {"breaker", "closed"}}));
}

TEST_F(LogLineTest, DurationsHaveThreeDecimals) {
  exchange.timings.last_byte = exchange.timings.head_parsed + 5ms;
  EXPECT_NE(line().find(R"("duration_ms":5.000,)"), std::string::npos) << line();
}

TEST_F(LogLineTest, AnUpstreamThatNeverAnsweredTookUntilTheEnd) {
  EXPECT_TRUE(parsed()["upstream_duration_ms"].is_null());
  exchange.timings.upstream_acquired = exchange.timings.head_parsed + 2'345us;
  EXPECT_EQ(parsed()["upstream_duration_ms"], 10.0);
}

TEST_F(LogLineTest, ARequestWithoutAResponseEndsNow) {
  exchange.timings.last_byte = TimePoint();
  clock.advance(7ms);
  EXPECT_EQ(parsed()["duration_ms"], 7.0);
}

TEST_F(LogLineTest, TheQueryCanBeHidden) {
  options.query = false;
  EXPECT_EQ(parsed()["query"], "***");
  exchange.request.query = "";
  exchange.request.has_query = false;
  EXPECT_EQ(parsed()["query"], "");
}

TEST_F(LogLineTest, LevelsFollowTheStatusAndTheEnd) {
  struct Case {
    int status;
    Outcome outcome;
    std::string_view level;
  };
  for (const Case& c :
       {Case{200, Outcome::complete, "info"}, Case{304, Outcome::complete, "info"},
        Case{404, Outcome::complete, "warn"}, Case{502, Outcome::complete, "error"},
        Case{200, Outcome::truncated, "warn"}, Case{200, Outcome::client_timeout, "warn"},
        Case{200, Outcome::client_disconnected, "warn"}}) {
    exchange.response.status = c.status;
    exchange.outcome = c.outcome;
    EXPECT_EQ(parsed()["level"], c.level) << c.status;
  }
}

TEST_F(LogLineTest, AClientThatLeftIs499) {
  exchange.outcome = Outcome::client_disconnected;
  EXPECT_EQ(parsed()["status"], 499);
  EXPECT_EQ(parsed()["reason"], "client_disconnected");
}

TEST_F(LogLineTest, TheReasonIsTheRepliesWord) {
  exchange.response.status = 502;
  exchange.reason = Reason::upstream_reset;
  EXPECT_EQ(parsed()["reason"], "upstream_reset");
}

TEST_F(LogLineTest, CommonLogFormat) {
  options.format = LogFormat::clf;
  EXPECT_EQ(
      line(),
      "192.0.2.7 - - [06/Nov/1994:08:49:37 +0000] \"GET /api/theme?a=1&b=2 HTTP/1.1\" 200 2326\n");
  options.query = false;
  exchange.request.minor_version = 0;
  exchange.client = {};
  EXPECT_EQ(line(),
            "- - - [06/Nov/1994:08:49:37 +0000] \"GET /api/theme?*** HTTP/1.0\" 200 2326\n");
}

TEST_F(LogLineTest, CombinedLogFormat) {
  options.format = LogFormat::combined;
  request_field("User-Agent", "a \"quoted\\\" agent\t\xff");
  EXPECT_EQ(
      line(),
      "192.0.2.7 - - [06/Nov/1994:08:49:37 +0000] \"GET /api/theme?a=1&b=2 HTTP/1.1\" 200 2326 "
      "\"-\" \"a \\x22quoted\\x5C\\x22 agent\\x09\\xFF\"\n");
}

// Whatever bytes are in it, one request is one line, which JSON and a parser of quoted texts can
// read.
TEST_F(LogLineTest, IsAlwaysOneLine) {
  std::mt19937 random(42);
  for (int round = 0; round < 2000; ++round) {
    std::string bytes[7];
    for (std::string& text : bytes) {
      text.resize(random() % 40);
      for (char& c : text) c = static_cast<char>(random() % 3 == 0 ? random() % 32 : random());
    }
    exchange.request.fields.clear();
    request_field("User-Agent", bytes[0]);
    request_field("Referer", bytes[1]);
    exchange.request.path = bytes[2];
    exchange.request.query = bytes[3];
    exchange.request.authority = bytes[4];
    exchange.request.method = bytes[5];
    exchange.upstream = bytes[6];
    for (const LogFormat format : {LogFormat::json, LogFormat::clf, LogFormat::combined}) {
      options.format = format;
      const std::string text = line();
      ASSERT_EQ(std::count(text.begin(), text.end(), '\n'), 1);
      ASSERT_EQ(text.back(), '\n');
      if (format == LogFormat::json) {
        ASSERT_TRUE(json::accept(text)) << text;
      } else {
        const auto quotes = std::count(text.begin(), text.end(), '"');
        ASSERT_EQ(quotes, format == LogFormat::clf ? 2 : 6) << text;
        ASSERT_TRUE(std::all_of(text.begin(), text.end() - 1,
                                [](char c) { return c >= 0x20 && c < 0x7f; }));
      }
    }
  }
}

class AccessLogTest : public ExchangeTest {
 protected:
  AccessLogTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "access_log_XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
    writer_ = std::make_unique<AccessLogWriter>(
        AccessLogWriterOptions{.output = (folder_ / "log").string()});
  }

 public:
  ~AccessLogTest() override {
    writer_.reset();
    std::filesystem::remove_all(folder_);
  }

 protected:
  // The number of lines that requests with these statuses give.
  std::size_t lines(std::initializer_list<int> statuses, AccessLog::Random random = &random_u64) {
    AccessLogWriter::Ring& ring = writer_->add_ring(options.buffer);
    AccessLog filter(ring, options, random);
    AccessLog::State state;
    for (const int status : statuses) {
      exchange.response.status = status;
      filter.on_finish(exchange, state);
    }
    return ring.lines();
  }

  AccessLogOptions options{.buffer = 64 * 1024};
  std::filesystem::path folder_;
  std::unique_ptr<AccessLogWriter> writer_;
};

TEST_F(AccessLogTest, WritesALinePerRequest) {
  EXPECT_EQ(lines({200, 404, 500}), 3u);
  ASSERT_TRUE(writer_->flush(10s));
  std::ifstream file(folder_ / "log");
  const std::string all{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  EXPECT_EQ(std::count(all.begin(), all.end(), '\n'), 3);
}

TEST_F(AccessLogTest, LeavesQuietPathsOut) {
  exchange.quiet = true;
  EXPECT_EQ(lines({200, 503}), 0u);
}

TEST_F(AccessLogTest, CanBeOff) {
  options.enabled = false;
  EXPECT_EQ(lines({200, 500}), 0u);
}

TEST_F(AccessLogTest, SamplesSuccessesOnly) {
  options.sample = 0.5;
  const AccessLog::Random low = []() noexcept { return std::uint64_t{1} << 62; };
  const AccessLog::Random high = []() noexcept { return std::uint64_t{1} << 63; };
  EXPECT_EQ(lines({200, 201, 204}, low), 3u);
  EXPECT_EQ(lines({200, 201, 204}, high), 0u);
  EXPECT_EQ(lines({101, 301, 404, 500}, high), 4u);
  exchange.outcome = Outcome::truncated;
  EXPECT_EQ(lines({200}, high), 1u);
}

TEST_F(AccessLogTest, SamplesNothingOrAll) {
  const AccessLog::Random zero = []() noexcept { return std::uint64_t{0}; };
  const AccessLog::Random ones = []() noexcept { return ~std::uint64_t{0}; };
  options.sample = 0;
  EXPECT_EQ(lines({200}, zero), 0u);
  options.sample = 1;
  EXPECT_EQ(lines({200}, ones), 1u);
}

}  // namespace
}  // namespace tyaprover::filters
