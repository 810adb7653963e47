#include "tyaprover/metrics/page.h"

#include <gtest/gtest.h>

#include <atomic>
#include <bit>
#include <cmath>
#include <limits>
#include <map>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "tyaprover/metrics/page_testing.h"

namespace tyaprover::metrics {
namespace {

TEST(Negotiation, FollowsRfc9110) {
  constexpr auto kText = Exposition::text;
  constexpr auto kOm = Exposition::openmetrics;
  constexpr auto kPb = Exposition::protobuf;
  const std::string pb(kProtobuf);
  struct Case {
    std::string accept;
    Exposition expected;
  };
  const Case cases[] = {
      // What Prometheus sends: 2.42; 2.42 with native histograms; 2.50 and later; 3.x.
      {"application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;"
       "q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
       kOm},
      {pb + ",application/openmetrics-text;version=1.0.0;q=0.8,application/openmetrics-text;"
            "version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
       kPb},
      {"application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;"
       "version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
       kOm},
      {pb + ";q=0.6,application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;"
            "version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
       kPb},
      {"application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
       "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;"
       "escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
       kOm},
      {"application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,"
       "application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;"
       "escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,/;q=0.1",
       kOm},
      {"text/plain;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=0.0.4;q=0.5,"
       "*/*;q=0.1",
       kText},
      // Without a preference, or one that we can serve.
      {"", kText},
      {" ", kText},
      {"*/*", kText},
      {"text/*", kText},
      {"text/plain", kText},
      {"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", kText},
      {"image/png", kText},
      {"application/json", kText},
      {"application/openmetrics-text;version=0.0.1", kText},
      {"application/openmetrics-text;version=2.0.0", kText},
      {"application/vnd.google.protobuf", kText},
      {"application/vnd.google.protobuf;proto=other;encoding=delimited", kText},
      {"application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=text",
       kText},
      // Names, values and spaces.
      {"application/openmetrics-text", kOm},
      {"Application/OpenMetrics-Text ; Version=\"1.0.0\" ; Q=0.5", kOm},
      {"application/openmetrics-text; charset=utf-8; version=1.0.0", kOm},
      {"application/*", kOm},
      {" , ,application/openmetrics-text", kOm},
      // Weights (§12.4.2).
      {"text/plain;q=0.5,application/openmetrics-text;q=0.6", kOm},
      {"text/plain;q=0.501,application/openmetrics-text;q=0.5", kText},
      {"text/plain,application/openmetrics-text", kText},
      {"application/openmetrics-text,text/plain", kOm},
      {"application/openmetrics-text,*/*", kOm},
      {"*/*,application/openmetrics-text", kText},
      {"application/openmetrics-text;q=0", kText},
      {"application/openmetrics-text;q=0,*/*", kText},
      {"text/plain;q=0,*/*", kOm},
      {"text/*;q=0," + pb, kPb},
      {"text/plain;q=0", kText},
      // The most specific range counts (§12.5.1).
      {"text/plain;q=0.1,*/*;q=0.9", kOm},
      {"application/openmetrics-text;q=0.2,*/*;q=0.9", kText},
      {"application/openmetrics-text;version=1.0.0;q=0.1,application/openmetrics-text;q=0.9,"
       "text/plain;q=0.5",
       kText},
      // What is no weight makes its range none.
      {"application/openmetrics-text;q=2", kText},
      {"application/openmetrics-text;q=x", kText},
      {"application/openmetrics-text;q=", kText},
      {"application/openmetrics-text;q=-1", kText},
      {"application/openmetrics-text;q=0.1234", kText},
      {"application/openmetrics-text;q=1.001", kText},
      {"application/openmetrics-text;q=1.000", kOm},
      {"application/openmetrics-text;q=1.", kOm},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(content_type(negotiate(c.accept)), content_type(c.expected)) << c.accept;
  }
}

TEST(ContentType, IsExact) {
  EXPECT_EQ(content_type(Exposition::text), "text/plain; version=0.0.4; charset=utf-8");
  EXPECT_EQ(content_type(Exposition::openmetrics),
            "application/openmetrics-text; version=1.0.0; charset=utf-8");
  EXPECT_EQ(content_type(Exposition::protobuf),
            "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; "
            "encoding=delimited");
}

// One family of each kind, for golden pages.
void fill(Registry& registry) {
  registry.counter("jobs_total", "Jobs \"done\"\\\n.", {"queue"}).with({"a\"b\\c\nd"}).inc(3);
  registry.gauge("depth_bytes", "Depth.", FamilyOptions{.unit = "bytes"}).with({}).set(2.5);
  Histogram histogram = registry.histogram("wait", "Wait.", {.buckets = {0.5, 1}}).with({});
  histogram.observe(0.5);
  histogram.observe(2);
  registry.summary("size", "Size.", {.quantiles = {0.5, 1}}).with({}).observe(4);
  registry.info("build", "Build.", {{"version", "1"}});
  registry.state_set("power", "Power.", {"on", "off"}).with({}).set(1);
}

TEST(TextPage, IsFormat004) {
  Registry registry;
  fill(registry);
  EXPECT_EQ(page_text(registry),
            "# HELP build_info Build.\n"
            "# TYPE build_info gauge\n"
            "build_info{version=\"1\"} 1\n"
            "# HELP depth_bytes Depth.\n"
            "# TYPE depth_bytes gauge\n"
            "depth_bytes 2.5\n"
            "# HELP jobs_total Jobs \"done\"\\\\\\n.\n"
            "# TYPE jobs_total counter\n"
            "jobs_total{queue=\"a\\\"b\\\\c\\nd\"} 3\n"
            "# HELP power Power.\n"
            "# TYPE power gauge\n"
            "power{power=\"on\"} 0\n"
            "power{power=\"off\"} 1\n"
            "# HELP size Size.\n"
            "# TYPE size summary\n"
            "size{quantile=\"0.5\"} 4\n"
            "size{quantile=\"1\"} 4\n"
            "size_sum 4\n"
            "size_count 1\n"
            "# HELP wait Wait.\n"
            "# TYPE wait histogram\n"
            "wait_bucket{le=\"0.5\"} 1\n"
            "wait_bucket{le=\"1\"} 1\n"
            "wait_bucket{le=\"+Inf\"} 2\n"
            "wait_sum 2.5\n"
            "wait_count 2\n");
}

TEST(OpenMetricsPage, IsVersion1) {
  Registry registry;
  fill(registry);
  EXPECT_EQ(page_text(registry, kOpenMetrics),
            "# TYPE build info\n"
            "# HELP build Build.\n"
            "build_info{version=\"1\"} 1\n"
            "# TYPE depth_bytes gauge\n"
            "# UNIT depth_bytes bytes\n"
            "# HELP depth_bytes Depth.\n"
            "depth_bytes 2.5\n"
            "# TYPE jobs counter\n"
            "# HELP jobs Jobs \\\"done\\\"\\\\\\n.\n"
            "jobs_total{queue=\"a\\\"b\\\\c\\nd\"} 3\n"
            "# TYPE power stateset\n"
            "# HELP power Power.\n"
            "power{power=\"on\"} 0\n"
            "power{power=\"off\"} 1\n"
            "# TYPE size summary\n"
            "# HELP size Size.\n"
            "size{quantile=\"0.5\"} 4\n"
            "size{quantile=\"1.0\"} 4\n"
            "size_sum 4\n"
            "size_count 1\n"
            "# TYPE wait histogram\n"
            "# HELP wait Wait.\n"
            "wait_bucket{le=\"0.5\"} 1\n"
            "wait_bucket{le=\"1.0\"} 1\n"
            "wait_bucket{le=\"+Inf\"} 2\n"
            "wait_sum 2.5\n"
            "wait_count 2\n"
            "# EOF\n");
}

TEST(OpenMetricsPage, AddsTotalToACounterThatLacksIt) {
  Registry registry;
  registry.counter("jobs", "").with({}).inc();
  EXPECT_EQ(page_text(registry), "# HELP jobs \n# TYPE jobs counter\njobs 1\n");
  EXPECT_EQ(page_text(registry, kOpenMetrics), "# TYPE jobs counter\njobs_total 1\n# EOF\n");
}

TEST(OpenMetricsPage, ShowsCreationTimesWhenAskedTo) {
  Registry registry({.created_timestamps = true});
  registry.counter("c", "h");
  registry.histogram("h", "h", {.buckets = {}});
  registry.summary("s", "h", {.quantiles = {}});
  const auto now =
      std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
  auto page = samples_of(page_text(registry, kOpenMetrics));
  for (const char* name : {"c_created", "h_created", "s_created"}) {
    EXPECT_NEAR(std::stod(page[name]), now, 60) << name;
  }
  EXPECT_EQ(page_text(registry).find("_created"), std::string::npos) << "not in 0.0.4";
}

// OpenMetrics 1.0 §5.3.4, §5.3.5.
TEST(OpenMetricsPage, HasNoSumThatMayHaveGoneDown) {
  Registry registry;
  registry.histogram("bounds", "h", {.buckets = {-1, 1}}).with({}).observe(5);
  registry.histogram("negative", "h", {.buckets = {1}}).with({}).observe(-5);
  Histogram nan = registry.histogram("nan", "h", {.buckets = {1}}).with({});
  nan.observe(HUGE_VAL);
  nan.observe(-HUGE_VAL);
  registry.summary("s", "h", {.quantiles = {0.5}}).with({}).observe(-5);
  const auto strict = samples_of(page_text(registry, kOpenMetrics));
  const auto lax = samples_of(page_text(registry));
  for (const std::string family : {"bounds", "negative", "nan", "s"}) {
    EXPECT_FALSE(strict.contains(family + "_sum")) << family;
    EXPECT_FALSE(strict.contains(family + "_count")) << family;
    EXPECT_TRUE(lax.contains(family + "_sum")) << family;
  }
  EXPECT_FALSE(strict.contains("s{quantile=\"0.5\"}"));
}

TEST(ProtobufPage, HoldsEveryKind) {
  Registry registry({.constant_labels = {{"zone", "z"}}, .created_timestamps = true});
  fill(registry);
  const std::string page = page_text(registry, kProtobuf);
  std::map<std::string, Message> families;
  for (const Message& family : families_of(page)) families.emplace(family.text(1), family);
  ASSERT_EQ(families.size(), 6U);

  const Message& jobs = families.at("jobs_total");
  EXPECT_EQ(jobs.text(2), "Jobs \"done\"\\\n.");
  EXPECT_EQ(jobs.integer(3), 0U);
  const Message job = jobs.message(4);
  ASSERT_EQ(job.messages(1).size(), 2U);
  EXPECT_EQ(job.messages(1)[0].text(1), "zone");
  EXPECT_EQ(job.messages(1)[1].text(2), "a\"b\\c\nd");
  EXPECT_EQ(job.message(3).real(1), 3);
  EXPECT_GT(job.message(3).message(3).integer(1), 1'600'000'000U) << "created";

  EXPECT_EQ(families.at("depth_bytes").integer(3), 1U);
  EXPECT_EQ(families.at("depth_bytes").message(4).message(2).real(1), 2.5);
  EXPECT_EQ(families.at("build_info").message(4).message(2).real(1), 1);
  const auto states = families.at("power").messages(4);
  ASSERT_EQ(states.size(), 2U);
  EXPECT_EQ(states[1].messages(1)[1].text(2), "off");
  EXPECT_EQ(states[1].message(2).real(1), 1);

  EXPECT_EQ(families.at("size").integer(3), 2U);
  const Message size = families.at("size").message(4).message(4);
  EXPECT_EQ(size.integer(1), 1U);
  EXPECT_EQ(size.real(2), 4);
  EXPECT_EQ(size.messages(3)[1].real(1), 1);
  EXPECT_EQ(size.messages(3)[1].real(2), 4);

  EXPECT_EQ(families.at("wait").integer(3), 4U);
  const Message wait = families.at("wait").message(4).message(7);
  EXPECT_EQ(wait.integer(1), 2U);
  EXPECT_EQ(wait.real(2), 2.5);
  ASSERT_EQ(wait.messages(3).size(), 3U);
  EXPECT_EQ(wait.messages(3)[0].integer(1), 1U);
  EXPECT_EQ(wait.messages(3)[0].real(2), 0.5);
  EXPECT_EQ(wait.messages(3)[2].integer(1), 2U);
  EXPECT_EQ(wait.messages(3)[2].real(2), HUGE_VAL);
  EXPECT_FALSE(wait.one(5).has_value()) << "no native histogram";
}

// The counts by index of one side of a native histogram.
std::map<std::int64_t, std::uint64_t> native_side(const Message& histogram, unsigned spans,
                                                  unsigned deltas) {
  std::map<std::int64_t, std::uint64_t> counts;
  if (!histogram.one(deltas)) return counts;
  std::string_view packed = histogram.one(deltas)->bytes;
  std::int64_t index = 0;
  std::int64_t count = 0;
  for (const Message& span : histogram.messages(spans)) {
    index += span.signed_integer(1);
    for (std::uint64_t i = 0; i < span.integer(2); ++i, ++index) {
      count += Message::unzigzag(Message::take_varint(packed));
      if (count != 0) counts[index] = static_cast<std::uint64_t>(count);
    }
  }
  EXPECT_TRUE(packed.empty());
  return counts;
}

TEST(ProtobufPage, HoldsNativeBucketsThatAgreeWithTheFormula) {
  for (unsigned seed = 1; seed <= 10; ++seed) {
    std::mt19937_64 random(seed);
    std::lognormal_distribution<double> magnitude(0, seed);
    Registry registry;
    Histogram histogram = registry.histogram("h", "h", {.buckets = {1}, .native = true}).with({});
    std::vector<double> values = {0, 0x1p-200, 1, 8, -1};
    for (int i = 0; i < 500; ++i) values.push_back(magnitude(random) * (i % 3 == 0 ? -1 : 1));
    for (const double value : values) histogram.observe(value);

    const std::string page = page_text(registry, kProtobuf);
    const Message shown = families_of(page).at(0).message(4).message(7);
    const std::int64_t schema = shown.signed_integer(5);
    std::map<std::int64_t, std::uint64_t> positive;
    std::map<std::int64_t, std::uint64_t> negative;
    for (const double value : values) {
      if (std::fabs(value) <= 0x1p-128) continue;
      const double index = std::ceil(std::log2(std::fabs(value)) * std::exp2(schema));
      ++(value > 0 ? positive : negative)[static_cast<std::int64_t>(index)];
    }
    EXPECT_EQ(shown.integer(1), values.size());
    EXPECT_EQ(shown.real(6), 0x1p-128);
    EXPECT_EQ(shown.integer(7), 2U);
    EXPECT_EQ(native_side(shown, 9, 10), negative) << "seed " << seed;
    EXPECT_EQ(native_side(shown, 12, 13), positive) << "seed " << seed;
    EXPECT_LE(positive.size() + negative.size(), 160U);
    EXPECT_EQ(shown.messages(3).back().integer(1), values.size());
    EXPECT_EQ(page_text(registry).find("native"), std::string::npos);
  }
}

TEST(ProtobufPage, ShowsNoNativeBucketsOfAnotherFamily) {
  Registry registry;
  registry.histogram("a", "h", {.native = true}).with({}).observe(1);
  registry.histogram("b", "h");
  const std::string page = page_text(registry, kProtobuf);
  const Message second = families_of(page).at(1).message(4).message(7);
  EXPECT_EQ(second.integer(1), 0U);
  EXPECT_FALSE(second.one(5).has_value());
}

TEST(ProtobufPage, WritesALargeFamilyAsSeveralMessages) {
  Registry registry;
  auto& family = registry.counter("c", "h", {"a"});
  for (int i = 0; i < 2000; ++i) family.with({std::to_string(i) + std::string(50, 'x')}).inc();
  const std::string page = page_text(registry, kProtobuf);
  std::size_t series = 0;
  const auto families = families_of(page);
  EXPECT_GT(families.size(), 1U);
  for (const Message& message : families) {
    EXPECT_EQ(message.text(1), "c");
    EXPECT_EQ(message.integer(3), 0U);
    series += message.messages(4).size();
  }
  EXPECT_EQ(series, 2000U);
}

TEST(Chunks, AreBoundedAndMakeTheWholePage) {
  for (const std::string_view accept : {std::string_view(), kOpenMetrics, kProtobuf}) {
    Registry registry;
    auto& family = registry.histogram(
        "h", "h", {.labels = {"a"}, .buckets = linear_buckets(0, 1, 510), .max_series = 100});
    for (int i = 0; i < 40; ++i)
      family.with({std::string(700, 'x') + std::to_string(i)}).observe(1);
    registry.add_collector("many", [](Collection& out) {
      for (int i = 0; i < 5000; ++i) {
        const std::string value = std::to_string(i);
        out.gauge("g", "h", i, {{"a", value}});
      }
    });
    const std::string whole = page_text(registry, accept);
    Page page = registry.expose({.accept = accept, .self_metrics = false});
    std::string joined;
    while (true) {
      const std::string_view chunk = page.next_chunk();
      if (chunk.empty()) break;
      EXPECT_LE(chunk.size(), Page::kMaxChunk);
      joined += chunk;
    }
    EXPECT_TRUE(joined == whole);
    EXPECT_GT(joined.size(), 3 * Page::kMaxChunk);
    EXPECT_TRUE(page.next_chunk().empty()) << "the end stays the end";
  }
}

TEST(Page, OfManySeriesEndsWhenItsTimeIsUp) {
  ManualClock clock;
  Registry registry({.clock = clock});
  auto& family = registry.counter("c", "h", {"a"});
  for (int i = 0; i < 2000; ++i) family.with({std::to_string(i) + std::string(100, 'x')}).inc();
  Page page = registry.expose({.timeout = std::chrono::seconds(5)});
  EXPECT_FALSE(page.next_chunk().empty());
  clock.advance(std::chrono::seconds(5));
  EXPECT_TRUE(page.next_chunk().empty());
  EXPECT_TRUE(page.out_of_time());
  EXPECT_TRUE(page.next_chunk().empty()) << "nothing follows";
}

TEST(Page, ShowsOnlyTheNamesAskedFor) {
  Registry registry;
  fill(registry);
  registry.gauge_callback("asked", "h", [] { return 1; });
  struct Case {
    std::vector<std::string> names;
    std::vector<std::string> shown;  // families
  };
  const Case cases[] = {
      {{"depth_bytes"}, {"depth_bytes"}},
      {{"depth_bytes", "asked"}, {"asked", "depth_bytes"}},
      {{"wait_bucket"}, {"wait"}},
      {{"size_count"}, {"size"}},
      {{"jobs"}, {"jobs_total"}},
      {{"build_info"}, {"build_info"}},
      {{"tyaprover_metrics_series"}, {"tyaprover_metrics_series"}},
      {{"nobody"}, {}},
      {{"dep"}, {}},
  };
  for (const Case& c : cases) {
    std::vector<std::string> shown;
    for (const std::string& line : lines_of(registry.expose({.names = c.names}).text())) {
      if (!line.starts_with("# TYPE ")) continue;
      shown.push_back(line.substr(7, line.find(' ', 7) - 7));
    }
    EXPECT_EQ(shown, c.shown);
  }
}

TEST(Page, KeepsTheOrderOfFamiliesBetweenScrapes) {
  Registry registry;
  for (const char* name : {"c", "a", "b"}) registry.gauge(name, "h");
  registry.gauge_callback("aa", "h", [] { return 1; });
  EXPECT_EQ(page_text(registry), page_text(registry));
}

TEST(Page, WithoutRegistriesIsEmpty) {
  EXPECT_EQ(expose({}).text(), "");
  EXPECT_EQ(expose({}, {.accept = kOpenMetrics}).text(), "# EOF\n");
}

TEST(Page, ShowsLabelValuesThatAnyReaderReadsBack) {
  Registry registry;
  auto& family = registry.gauge("g", "h", {"a"});
  std::mt19937 random(2);
  std::map<std::string, double> expected;
  for (int i = 0; i < 500; ++i) {
    std::string value;
    for (unsigned n = random() % 6; n > 0; --n) value += static_cast<char>(random());
    family.with({value}).set(i);
    expected.emplace(value.empty() ? value : detail::repaired(value), i);
  }
  // Reads text back as the format says, without the code that wrote it.
  std::map<std::string, double> read;
  for (const std::string& line : lines_of(page_text(registry))) {
    if (line.starts_with('#')) continue;
    std::string value;
    std::size_t at = 1;
    if (line[at] == '{') {
      ASSERT_EQ(line.substr(at, 4), "{a=\"");
      for (at += 4; line[at] != '"'; ++at) {
        if (line[at] == '\\') ++at;
        value += line[at] == 'n' && line[at - 1] == '\\' ? '\n' : line[at];
      }
      at += 2;
    }
    read[value] = std::stod(line.substr(at));
  }
  EXPECT_EQ(read.size(), expected.size());
  for (const auto& [value, number] : read) EXPECT_TRUE(expected.contains(value)) << value;
}

// While two threads observe and a third scrapes, on every page of every format the buckets ascend
// and the last one is the count.
TEST(Consistency, HoldsOnEveryPageWhileThreadsObserve) {
  Registry registry;
  auto& family =
      registry.histogram("h", "h", {.labels = {"a"}, .buckets = {0.25, 0.5, 0.75}, .native = true});
  auto& durations = registry.histogram("d", "h", {.buckets = {0.25, 0.5}, .durations = true});
  std::atomic<bool> stop{false};
  std::vector<std::thread> observers;
  for (unsigned t = 0; t < 2; ++t) {
    observers.emplace_back([&, t] {
      std::mt19937 random(t);
      std::uniform_real_distribution<double> uniform;
      Histogram same = family.with({"same"});
      Histogram own = family.with({std::to_string(t)});
      Histogram duration = durations.with({});
      while (!stop) {
        same.observe(uniform(random));
        own.observe(uniform(random) * 100);
        duration.observe(uniform(random));
      }
    });
  }
  const auto check_text = [](const std::string& text) {
    std::uint64_t last = 0;
    for (const std::string& line : lines_of(text)) {
      if (line.starts_with('#')) continue;
      const std::size_t space = line.rfind(' ');
      if (line.find("_bucket") != std::string::npos) {
        const std::uint64_t bucket = std::stoull(line.substr(space));
        const bool is_first = line.find("le=\"0.25\"") != std::string::npos;
        EXPECT_GE(bucket, is_first ? 0 : last);
        last = bucket;
      } else if (line.find("_count") != std::string::npos) {
        EXPECT_EQ(std::stoull(line.substr(space)), last) << line;
      }
    }
  };
  const auto check_protobuf = [](const std::string& page) {
    for (const Message& message : families_of(page)) {
      for (const Message& metric : message.messages(4)) {
        const Message histogram = metric.message(7);
        std::uint64_t last = 0;
        for (const Message& bucket : histogram.messages(3)) {
          EXPECT_GE(bucket.integer(1), last);
          last = bucket.integer(1);
        }
        EXPECT_EQ(histogram.integer(1), last);
        if (!histogram.one(5)) continue;
        std::uint64_t native = histogram.integer(7);
        for (const auto& [index, count] : native_side(histogram, 12, 13)) native += count;
        EXPECT_EQ(histogram.integer(1), native) << "Prometheus refuses what differs";
      }
    }
  };
  for (int scrape = 0; scrape < 150; ++scrape) {
    check_text(page_text(registry));
    check_text(page_text(registry, kOpenMetrics));
    check_protobuf(page_text(registry, kProtobuf));
  }
  stop = true;
  for (std::thread& observer : observers) observer.join();
  check_protobuf(page_text(registry, kProtobuf));
}

}  // namespace
}  // namespace tyaprover::metrics
