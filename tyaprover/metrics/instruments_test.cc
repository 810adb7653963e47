#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "tyaprover/metrics/page_testing.h"
#include "tyaprover/metrics/registry.h"

namespace tyaprover::metrics {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

std::string invalid(Registry& registry, const std::string& family) {
  return samples(registry)["tyaprover_metrics_invalid_total{family=\"" + family + "\"}"];
}

TEST(Counter, HoldsIntegersExactlyToTheLast) {
  struct Case {
    std::vector<std::uint64_t> added;
    std::string shown;
  };
  const Case cases[] = {
      {{}, "0"},
      {{(1ULL << 53U), 1}, "9007199254740993"},
      {{(1ULL << 63U), (1ULL << 63U) - 1}, "18446744073709551615"},
  };
  for (const Case& c : cases) {
    Registry registry;
    Counter counter = registry.counter("c", "h").with({});
    for (const std::uint64_t n : c.added) counter.inc(n);
    EXPECT_EQ(samples(registry)["c"], c.shown);
    EXPECT_EQ(samples_of(page_text(registry, kOpenMetrics).substr(0))["c_total"], c.shown);
  }
}

TEST(Counter, AddsFractionsBesideIntegers) {
  Registry registry;
  Counter counter = registry.counter("c", "h").with({});
  counter.inc(0.25);
  counter.inc(2);
  counter.inc(3.0);
  std::thread([counter]() mutable { counter.inc(0.5); }).join();
  EXPECT_EQ(counter.value(), 5.75);
  EXPECT_EQ(samples(registry)["c"], "5.75");
}

TEST(Counter, IgnoresAndCountsWhatItCannotAdd) {
  Registry registry;
  Counter counter = registry.counter("c", "h").with({});
  counter.inc(-1);
  counter.inc(-0.5);
  counter.inc(kNan);
  counter.inc(kInf);
  counter.inc(-kInf);
  counter.inc(std::int8_t{-1});
  EXPECT_EQ(counter.value(), 0);
  EXPECT_EQ(invalid(registry, "c"), "6");
  counter.inc(-0.0);
  EXPECT_EQ(invalid(registry, "c"), "6");
}

TEST(Gauge, TakesAnyDouble) {
  Registry registry;
  Gauge gauge = registry.gauge("g", "h").with({});
  struct Case {
    double value;
    std::string text;
  };
  for (const Case& c : {Case{1.5, "1.5"},
                        {-3, "-3"},
                        {kNan, "NaN"},
                        {kInf, "+Inf"},
                        {-kInf, "-Inf"},
                        {1e-300, "1e-300"}}) {
    gauge.set(c.value);
    EXPECT_EQ(samples(registry)["g"], c.text);
  }
}

TEST(Gauge, GoesUpAndDownFromManyThreads) {
  Registry registry;
  Gauge gauge = registry.gauge("g", "h").with({});
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([gauge]() mutable {
      for (int i = 0; i < 1000; ++i) {
        gauge.inc(3);
        gauge.dec(2);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(gauge.value(), 4000);
}

TEST(Gauge, HoldsTheCurrentTimeInSeconds) {
  const auto seconds = [] {
    return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch())
        .count();
  };
  Registry registry;
  Gauge gauge = registry.gauge("g", "h").with({});
  const double before = seconds();
  gauge.set_to_current_time();
  EXPECT_GE(gauge.value(), before);
  EXPECT_LE(gauge.value(), seconds());
}

TEST(StateSet, ShowsEachStateAsZeroOrOne) {
  Registry registry;
  StateSet state =
      registry.state_set("s", "h", {"closed", "open"}, {.labels = {"name"}}).with({"x"});
  state.set(1);
  auto page = samples(registry);
  EXPECT_EQ((page["s{name=\"x\",s=\"closed\"}"]), "0");
  EXPECT_EQ((page["s{name=\"x\",s=\"open\"}"]), "1");
  state.set(2);
  EXPECT_EQ((samples(registry)["s{name=\"x\",s=\"open\"}"]), "1");
  EXPECT_EQ(invalid(registry, "s"), "1");
}

TEST(Histogram, CountsUpToAndIncludingTheBound) {
  Registry registry;
  Histogram histogram = registry.histogram("h", "h", {.buckets = {-1, 0, 0.1, 1}}).with({});
  struct Case {
    double value;
    std::string bucket;
  };
  const Case cases[] = {
      {-kInf, "-1"},
      {-1, "-1"},
      {std::nextafter(-1, kInf), "0"},
      {-0.0, "0"},
      {0.0, "0"},
      {5e-324, "0.1"},
      {0.1, "0.1"},
      {std::nextafter(0.1, kInf), "1"},
      {1, "1"},
      {std::nextafter(1, kInf), "+Inf"},
      {kInf, "+Inf"},
  };
  std::map<std::string, int> expected;
  for (const Case& c : cases) {
    histogram.observe(c.value);
    ++expected[c.bucket];
    auto page = samples(registry);
    int cumulative = 0;
    for (const std::string_view bound : {"-1", "0", "0.1", "1", "+Inf"}) {
      cumulative += expected[std::string(bound)];
      EXPECT_EQ(page["h_bucket{le=\"" + std::string(bound) + "\"}"], std::to_string(cumulative))
          << c.value << " in " << bound;
    }
    EXPECT_EQ(page["h_count"], std::to_string(cumulative));
  }
}

TEST(Histogram, FindsTheBucketAmongAnyNumberOfBounds) {
  for (const std::size_t bounds : {0U, 1U, 7U, 8U, 9U, 16U, 17U, 100U, 510U}) {
    Registry registry;
    Histogram histogram =
        registry.histogram("h", "h", {.buckets = linear_buckets(0, 1, bounds)}).with({});
    for (std::size_t i = 0; i < bounds; ++i) {
      histogram.observe(static_cast<double>(i));
      histogram.observe(static_cast<double>(i) + 0.5);
    }
    auto page = samples(registry);
    for (std::size_t i = 0; i < bounds; ++i) {
      ASSERT_EQ(page["h_bucket{le=\"" + std::to_string(i) + "\"}"], std::to_string(2 * i + 1));
    }
    EXPECT_EQ(page["h_count"], std::to_string(2 * bounds));
  }
}

TEST(Histogram, RefusesNaN) {
  Registry registry;
  Histogram histogram = registry.histogram("h", "h").with({});
  histogram.observe(kNan);
  histogram.observe(kNan, Exemplar{{"a", "b"}});
  EXPECT_EQ(histogram.count(), 0U);
  EXPECT_EQ(invalid(registry, "h"), "2");
}

TEST(Histogram, SumsDurationsAsIntegers) {
  Registry registry;
  Histogram histogram =
      registry.histogram("h", "h", {.buckets = {1e-9, 1}, .durations = true}).with({});
  for (int i = 0; i < 1000; ++i) histogram.observe(Nanos(100'000'000));  // a tenth, never exact
  histogram.observe(Nanos(1));
  histogram.observe(Nanos(2));
  histogram.observe(1.0);
  auto page = samples(registry);
  EXPECT_EQ(page["h_sum"], "101.000000003");
  EXPECT_EQ(page["h_bucket{le=\"1e-09\"}"], "1");
  EXPECT_EQ(page["h_bucket{le=\"1\"}"], "1003");
}

TEST(Histogram, OfDurationsTakesAnyDouble) {
  Registry registry;
  Histogram histogram = registry.histogram("h", "h", {.durations = true}).with({});
  for (const double value : {kInf, -kInf, 1e300, -1.0}) histogram.observe(value);
  EXPECT_EQ(samples(registry)["h_bucket{le=\"0.005\"}"], "2");
  EXPECT_EQ(samples(registry)["h_count"], "4");
}

TEST(Histogram, OfNumbersTakesADurationAsSeconds) {
  Registry registry;
  Histogram histogram = registry.histogram("h", "h").with({});
  histogram.observe(std::chrono::milliseconds(1500));
  EXPECT_EQ(histogram.sum(), 1.5);
}

TEST(Buckets, AreMadeByRule) {
  EXPECT_EQ(linear_buckets(1, 2, 3), (std::vector<double>{1, 3, 5}));
  EXPECT_EQ(exponential_buckets(1, 2, 4), (std::vector<double>{1, 2, 4, 8}));
  EXPECT_EQ(seconds_buckets().size(), 14U);
  EXPECT_EQ(bytes_buckets(), exponential_buckets(100, 10, 7));
}

TEST(Timer, ObservesItsScope) {
  ManualClock clock;
  Registry registry({.clock = clock});
  Histogram histogram = registry.histogram("h", "h", {.durations = true}).with({});
  {
    const Timer timer(histogram, clock);
    clock.advance(std::chrono::milliseconds(250));
  }
  EXPECT_EQ(histogram.count(), 1U);
  EXPECT_EQ(histogram.sum(), 0.25);
}

TEST(Timer, ObservesNothingWhenCancelled) {
  Registry registry;
  Histogram histogram = registry.histogram("h", "h").with({});
  {
    Timer timer(histogram);
    timer.cancel();
  }
  EXPECT_EQ(histogram.count(), 0U);
}

TEST(Summary, ShowsQuantilesOfItsWindow) {
  ManualClock clock;
  Registry registry({.clock = clock});
  Summary summary = registry.summary("s", "h", {.quantiles = {0.5, 1}}).with({});
  EXPECT_EQ(samples(registry)["s{quantile=\"0.5\"}"], "NaN");
  for (int i = 1; i <= 9; ++i) summary.observe(i);
  summary.observe(kNan);
  auto page = samples(registry);
  EXPECT_EQ(page["s{quantile=\"0.5\"}"], "5");
  EXPECT_EQ(page["s{quantile=\"1\"}"], "9");
  EXPECT_EQ(page["s_sum"], "45");
  EXPECT_EQ(page["s_count"], "9");
  EXPECT_EQ(invalid(registry, "s"), "1");
  clock.advance(std::chrono::minutes(10));
  page = samples(registry);
  EXPECT_EQ(page["s{quantile=\"1\"}"], "NaN");
  EXPECT_EQ(page["s_count"], "9");
}

TEST(Exemplar, IsEmptyWhenItBreaksALimit) {
  const std::string e_acute = "\xc3\xa9";
  std::string many;
  for (int i = 0; i < 60; ++i) many += e_acute;
  struct Case {
    Exemplar exemplar;
    bool kept;
  };
  const Case cases[] = {
      {Exemplar{}, false},
      {Exemplar{{"trace_id", std::string(120, 'a')}}, true},   // 128 characters
      {Exemplar{{"trace_id", std::string(121, 'a')}}, false},  // 129
      {Exemplar{{"trace_id", many}}, true},                    // 68 characters, 128 bytes
      {Exemplar{{"a", std::string(63, 'x')}, {"b", std::string(63, 'y')}}, true},
      {Exemplar{{"a", std::string(63, 'x')}, {"b", std::string(64, 'y')}}, false},
      {Exemplar{{"a", "\xff"}}, false},
      {Exemplar{{"a-b", "x"}}, false},
      {Exemplar{{"", "x"}}, false},
      {Exemplar{{"9", "x"}}, false},
      {Exemplar{{"a", ""}}, true},
      {Exemplar{{"a", "1"}, {"b", "2"}, {"c", "3"}, {"d", "4"}}, true},
      {Exemplar{{"a", "1"}, {"b", "2"}, {"c", "3"}, {"d", "4"}, {"e", "5"}}, false},
  };
  for (std::size_t i = 0; i < std::size(cases); ++i) {
    EXPECT_EQ(!cases[i].exemplar.empty(), cases[i].kept) << i;
  }
}

TEST(Exemplar, GivesItsLabelsBack) {
  const Exemplar exemplar{{"trace_id", "abc"}, {"span_id", ""}};
  ASSERT_EQ(exemplar.size(), 2U);
  EXPECT_EQ(exemplar.label(0), Label("trace_id", "abc"));
  EXPECT_EQ(exemplar.label(1), Label("span_id", ""));
}

// The lines of a page with an exemplar, without the exemplar's time.
std::vector<std::string> exemplars(Registry& registry) {
  std::vector<std::string> found;
  for (const std::string& line : lines_of(page_text(registry, kOpenMetrics))) {
    if (line.find(" # {") != std::string::npos) found.push_back(line.substr(0, line.rfind(' ')));
  }
  return found;
}

TEST(Exemplar, OfTheCallerIsTheLastOneOfACounterOrBucket) {
  ManualClock clock;
  Registry registry({.clock = clock});
  Counter counter = registry.counter("c", "h").with({});
  Histogram histogram = registry.histogram("h", "h", {.buckets = {1}}).with({});
  counter.inc(2, Exemplar{{"trace_id", "a\"b"}});
  histogram.observe(0.5, Exemplar{{"trace_id", "low"}});
  clock.advance(std::chrono::milliseconds(100));
  histogram.observe(4, Exemplar{{"trace_id", "high"}});
  clock.advance(std::chrono::milliseconds(100));
  histogram.observe(5, Exemplar{{"trace_id", "higher"}});
  EXPECT_EQ(exemplars(registry),
            (std::vector<std::string>{"c_total 2 # {trace_id=\"a\\\"b\"} 2",
                                      "h_bucket{le=\"1.0\"} 1 # {trace_id=\"low\"} 0.5",
                                      "h_bucket{le=\"+Inf\"} 3 # {trace_id=\"higher\"} 5"}));
}

TEST(Exemplar, IsTakenAtMostOncePerSeriesAndTenthOfASecond) {
  ManualClock clock;
  Registry registry({.clock = clock});
  auto& family = registry.counter("c", "h", {"a"});
  Counter counter = family.with({"x"});
  const auto label = [&] { return exemplars(registry).at(0); };
  counter.inc(1, Exemplar{{"n", "1"}});
  clock.advance(std::chrono::milliseconds(99));
  counter.inc(1, Exemplar{{"n", "2"}});
  EXPECT_EQ(label(), "c_total{a=\"x\"} 2 # {n=\"1\"} 1");
  family.with({"y"}).inc(1, Exemplar{{"n", "other series"}});
  EXPECT_EQ(exemplars(registry).size(), 2U);
  clock.advance(std::chrono::milliseconds(1));
  counter.inc(1, Exemplar{{"n", "3"}});
  EXPECT_EQ(label(), "c_total{a=\"x\"} 3 # {n=\"3\"} 1");
}

int hook_calls = 0;
bool span_is_sampled = true;
Exemplar active_span() noexcept {
  ++hook_calls;
  return span_is_sampled ? Exemplar{{"trace_id", "t"}} : Exemplar();
}

// The hook is for the whole process: each test takes it off again.
class ExemplarHookTest : public testing::Test {
 protected:
  void SetUp() override {
    hook_calls = 0;
    span_is_sampled = true;
    set_exemplar_hook(active_span);
  }
  void TearDown() override { set_exemplar_hook(nullptr); }

  ManualClock clock_;
  Registry registry_{RegistryOptions{.clock = clock_}};
};

TEST_F(ExemplarHookTest, TellsTheActiveSpan) {
  registry_.counter("a", "h").with({}).inc();
  registry_.counter("b", "h").with({}).inc(0.5);
  registry_.histogram("c", "h", {.buckets = {}}).with({}).observe(2);
  registry_.histogram("d", "h", {.buckets = {}, .durations = true})
      .with({})
      .observe(std::chrono::milliseconds(20));
  EXPECT_EQ(exemplars(registry_),
            (std::vector<std::string>{"a_total 1 # {trace_id=\"t\"} 1",
                                      "b_total 0.5 # {trace_id=\"t\"} 0.5",
                                      "c_bucket{le=\"+Inf\"} 1 # {trace_id=\"t\"} 2",
                                      "d_bucket{le=\"+Inf\"} 1 # {trace_id=\"t\"} 0.02"}));
}

TEST_F(ExemplarHookTest, IsNotAskedWhileASeriesHasAFreshOne) {
  Counter counter = registry_.counter("a", "h").with({});
  for (int i = 0; i < 100; ++i) counter.inc();
  EXPECT_EQ(hook_calls, 1);
  clock_.advance(std::chrono::milliseconds(100));
  counter.inc();
  EXPECT_EQ(hook_calls, 2);
}

TEST_F(ExemplarHookTest, MayHaveNone) {
  span_is_sampled = false;
  registry_.counter("a", "h").with({}).inc();
  EXPECT_TRUE(exemplars(registry_).empty());
}

TEST_F(ExemplarHookTest, GivesWayToTheCallersOwn) {
  registry_.counter("a", "h").with({}).inc(1, Exemplar{{"mine", "1"}});
  EXPECT_EQ(exemplars(registry_).at(0), "a_total 1 # {mine=\"1\"} 1");
  EXPECT_EQ(hook_calls, 0);
}

}  // namespace
}  // namespace tyaprover::metrics
