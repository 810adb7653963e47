#include "tyaprover/metrics/series.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "tyaprover/metrics/metrics.h"
#include "tyaprover/metrics/page_testing.h"

namespace tyaprover::metrics {
namespace {

// Texts of few bytes, among them all that have a meaning on a page, so that many look alike.
std::string odd_text(std::mt19937& random) {
  static const std::vector<std::string> parts = {"a",
                                                 "b",
                                                 ",",
                                                 "\"",
                                                 "\\",
                                                 "\n",
                                                 "=",
                                                 "{",
                                                 "}",
                                                 "\",b=\"",
                                                 "\\n",
                                                 "\xff",
                                                 "\xc3",
                                                 "\xc3\xa9",
                                                 std::string("\0", 1),
                                                 "other",
                                                 std::string(300, 'x')};
  std::string text;
  for (unsigned i = random() % 4; i > 0; --i) text += parts[random() % parts.size()];
  return text;
}

TEST(Identity, IsThatOfAllValuesByteByByte) {
  for (unsigned seed = 1; seed <= 20; ++seed) {
    std::mt19937 random(seed);
    Registry registry;
    auto& family =
        registry.counter("c", "h", FamilyOptions{.labels = {"a", "b", "c"}, .max_series = 100000});
    std::map<std::vector<std::string>, std::uint64_t> model;
    for (int i = 0; i < 2000; ++i) {
      const std::vector<std::string> values = {odd_text(random), odd_text(random),
                                               odd_text(random)};
      family.with({values[0], values[1], values[2]}).inc();
      ++model[values];
    }
    EXPECT_EQ(family.size(), model.size()) << "seed " << seed;
    for (const auto& [values, count] : model) {
      ASSERT_EQ(family.with({values[0], values[1], values[2]}).value(), count) << "seed " << seed;
    }
    EXPECT_EQ(family.size(), model.size()) << "looking up made nothing";
  }
}

TEST(Identity, OfFamiliesWithAnyLabelsIsThatOfNamesAndValuesWithoutEmptyOnes) {
  std::mt19937 random(4);
  Registry registry;
  auto& family =
      registry.counter("c", "h", FamilyOptions{.max_series = 100000, .any_labels = true});
  std::map<std::map<std::string, std::string>, std::uint64_t> model;
  const std::vector<std::string> names = {"a", "b", "ab", "c"};
  for (int i = 0; i < 5000; ++i) {
    std::map<std::string, std::string> set;
    for (const std::string& name : names) {
      if (random() % 2 == 0) set[name] = odd_text(random);
    }
    std::vector<Label> labels(set.begin(), set.end());
    std::shuffle(labels.begin(), labels.end(), random);
    family.with(std::span<const Label>(labels)).inc();
    std::erase_if(set, [](const auto& label) { return label.second.empty(); });
    ++model[set];
  }
  EXPECT_EQ(family.size(), model.size());
  for (const auto& [set, count] : model) {
    const std::vector<Label> labels(set.begin(), set.end());
    ASSERT_EQ(family.with(std::span<const Label>(labels)).value(), count);
  }
}

TEST(Identity, KeepsApartWhatOnlyTheSeparatorsOfAPageTellApart) {
  Registry registry;
  auto& family = registry.counter("c", "h", {"a", "b"});
  const std::vector<std::pair<std::string, std::string>> sets = {
      {"a,b", "c"}, {"a", "b,c"}, {"x\",b=\"y", ""}, {"x", "y"},    {"", "x"},
      {"x", ""},    {"\\n", "1"}, {"\n", "1"},       {"\\\\", "1"}, {"\\", "1"}};
  for (const auto& [a, b] : sets) family.with({a, b}).inc();
  EXPECT_EQ(family.size(), sets.size());
  for (const auto& [a, b] : sets) EXPECT_EQ(family.with({a, b}).value(), 1);
}

TEST(Identity, OfInvalidBytesIsExactButAPageShowsLookalikesOnce) {
  Registry registry;
  auto& family = registry.counter("c", "h", {"a"});
  family.with({"\xff"}).inc(1);
  family.with({"\xfe"}).inc(2);
  family.with({"\xEF\xBF\xBD"}).inc(3);
  EXPECT_EQ(family.with({"\xff"}).value(), 1);
  EXPECT_EQ(page_text(registry), "# HELP c h\n# TYPE c counter\nc{a=\"\xEF\xBF\xBD\"} 1\n");
  EXPECT_EQ(samples(registry)["tyaprover_metrics_collect_errors_total{collector=\"c\"}"], "2");
}

TEST(Family, AgreesWithAModelWhileSeriesComeAndGo) {
  std::mt19937 random(11);
  Registry registry;
  auto& family = registry.counter("c", "h", FamilyOptions{.labels = {"a"}, .max_series = 100000});
  std::map<std::string, std::uint64_t> model;
  for (int i = 0; i < 200000; ++i) {
    const std::string value = std::to_string(random() % (i < 100000 ? 3000 : 40));
    switch (random() % 8) {
      case 0:
      case 1:
      case 2:
        EXPECT_EQ(family.remove({value}), model.erase(value) > 0);
        break;
      case 3:
        if (random() % 2000 == 0) {
          family.clear();
          model.clear();
        }
        break;
      default:
        family.with({value}).inc();
        ++model[value];
    }
    ASSERT_EQ(family.size(), model.size());
  }
  for (const auto& [value, count] : model) ASSERT_EQ(family.with({value}).value(), count);
}

TEST(Cap, GivesFurtherSetsOneSeriesAndCountsThem) {
  Registry registry;
  auto& family = registry.counter("c", "h", FamilyOptions{.labels = {"a", "b"}, .max_series = 3});
  for (int i = 0; i < 10; ++i) family.with({std::to_string(i), "x"}).inc();
  family.with({"1", "x"}).inc();
  auto page = samples(registry);
  EXPECT_EQ((page["c{a=\"1\",b=\"x\"}"]), "2");
  EXPECT_EQ((page["c{a=\"other\",b=\"other\"}"]), "7");
  EXPECT_EQ(page["tyaprover_metrics_series_dropped_total{family=\"c\"}"], "7");
  EXPECT_EQ(family.size(), 4U);
}

TEST(Cap, UsesASeriesThatIsReallyCalledOther) {
  Registry registry;
  auto& family = registry.counter("c", "h", FamilyOptions{.labels = {"a"}, .max_series = 1});
  family.with({"other"}).inc();
  family.with({"x"}).inc();
  EXPECT_EQ(samples(registry)["c{a=\"other\"}"], "2");
  EXPECT_EQ(family.size(), 1U);
}

TEST(Cap, HoldsForFamiliesWithAnyLabels) {
  Registry registry;
  auto& family = registry.counter("c", "h", FamilyOptions{.max_series = 1, .any_labels = true});
  for (const std::string_view value : {"1", "2", "3"}) {
    const Label labels[] = {{"a", value}};
    family.with(std::span(labels)).inc();
  }
  EXPECT_EQ(samples(registry)["c{a=\"other\"}"], "2");
}

TEST(Cap, MakesRoomWhenSeriesAreRemoved) {
  Registry registry;
  auto& family = registry.counter("c", "h", FamilyOptions{.labels = {"a"}, .max_series = 1});
  family.with({"1"}).inc();
  family.remove({"1"});
  family.with({"2"}).inc();
  EXPECT_EQ(samples(registry)["c{a=\"2\"}"], "1");
}

TEST(Handles, OfARemovedSeriesAreHarmlessAndInvisible) {
  Registry registry;
  auto& family = registry.counter("c", "h", {"a"});
  Counter old = family.with({"x"});
  EXPECT_TRUE(family.remove({"x"}));
  EXPECT_FALSE(family.remove({"x"}));
  old.inc();
  EXPECT_FALSE(samples(registry).contains("c{a=\"x\"}"));
  Counter again = family.with({"x"});
  old.inc();
  again.inc();
  EXPECT_EQ(samples(registry)["c{a=\"x\"}"], "1");
}

TEST(Handles, SurviveClear) {
  Registry registry;
  auto& family = registry.histogram("h", "h", {.labels = {"a"}});
  Histogram old = family.with({"x"});
  family.clear();
  old.observe(1);
  EXPECT_EQ(family.size(), 0U);
  EXPECT_EQ(family.with({"x"}).count(), 0U);
}

TEST(Handles, SurviveTheirRegistry) {
  auto registry = std::make_unique<Registry>();
  Counter counter = registry->counter("c", "h", {"a"}).with({"x"});
  Gauge gauge = registry->gauge("g", "h").with({});
  Histogram histogram = registry->histogram("h", "h", {.native = true}).with({});
  Summary summary = registry->summary("s", "h").with({});
  StateSet states = registry->state_set("t", "h", {"on"}).with({});
  registry.reset();
  counter.inc();
  counter.inc(0.5);
  counter.inc(-1);
  counter.inc(1, Exemplar{{"trace_id", "1"}});
  gauge.set(1);
  histogram.observe(1, Exemplar{{"trace_id", "1"}});
  summary.observe(1);
  states.set(0);
  states.set(7);
  const Counter copy = counter;
  EXPECT_EQ(copy.value(), 2.5);
}

TEST(Handles, OfNothingDoNothing) {
  Counter counter;
  counter.inc();
  counter.inc(0.5);
  counter.inc(-1);
  counter.inc(1, Exemplar{{"a", "b"}});
  Gauge().set(1);
  Gauge().inc();
  Histogram histogram;
  histogram.observe(1);
  histogram.observe(std::chrono::seconds(1));
  histogram.observe(1, Exemplar{{"a", "b"}});
  Summary().observe(1);
  StateSet().set(0);
  EXPECT_EQ(counter.value() + Gauge().value() + histogram.sum(), 0);
}

TEST(Pages, SurviveTheirRegistry) {
  auto registry = std::make_unique<Registry>();
  registry->counter("c", "h", {"a"}).with({"x"}).inc();
  Page page = registry->expose({.self_metrics = false});
  registry.reset();
  EXPECT_EQ(page.text(), "# HELP c h\n# TYPE c counter\nc{a=\"x\"} 1\n");
}

// One series of each kind that is used once and then left alone for `scrapes` pages.
TEST(Expiry, TakesAnUnchangedSeriesOffThePageAfterSoManyScrapes) {
  Registry registry({.expire_after_scrapes = 2});
  registry.counter("c", "h", {"a"}).with({"x"}).inc();
  registry.gauge("g", "h", {"a"}).with({"x"}).set(1);
  registry.histogram("h", "h", {.labels = {"a"}, .buckets = {}}).with({"x"}).observe(1);
  registry.summary("s", "h", {.labels = {"a"}, .quantiles = {}}).with({"x"}).observe(1);
  for (int scrape = 0; scrape < 2; ++scrape) {
    auto page = samples(registry);
    for (const char* sample :
         {"c{a=\"x\"}", "g{a=\"x\"}", "h_count{a=\"x\"}", "s_count{a=\"x\"}"}) {
      EXPECT_EQ(page[sample], "1") << sample << ", scrape " << scrape;
    }
  }
  const auto page = samples(registry);
  for (const char* sample : {"c{a=\"x\"}", "g{a=\"x\"}", "h_count{a=\"x\"}", "s_count{a=\"x\"}"}) {
    EXPECT_FALSE(page.contains(sample)) << sample;
  }
  EXPECT_EQ(registry.counter("c", "h", {"a"}).size(), 0U) << "nobody has a handle: it is gone";
}

TEST(Expiry, SparesLabellessFamiliesAndInfo) {
  Registry registry({.expire_after_scrapes = 1});
  registry.counter("c", "h");
  registry.info("build", "h", {{"version", "1"}});
  for (int scrape = 0; scrape < 5; ++scrape) {
    auto page = samples(registry);
    EXPECT_EQ(page["c"], "0");
    EXPECT_EQ(page["build_info{version=\"1\"}"], "1");
  }
}

TEST(Expiry, LetsAHandleReviveItsSeriesFromZero) {
  Registry registry({.expire_after_scrapes = 1});
  Counter counter = registry.counter("c", "h", {"a"}).with({"x"});
  Histogram histogram =
      registry.histogram("h", "h", {.labels = {"a"}, .buckets = {1}, .native = true}).with({"x"});
  counter.inc(5);
  counter.inc(0.25);
  histogram.observe(0.5);
  histogram.observe(0.5);
  static_cast<void>(samples(registry));
  EXPECT_FALSE(samples(registry).contains("c{a=\"x\"}"));
  counter.inc(2);
  histogram.observe(3);
  auto page = samples(registry);
  EXPECT_EQ(page["c{a=\"x\"}"], "2");
  EXPECT_EQ((page["h_bucket{a=\"x\",le=\"1\"}"]), "0");
  EXPECT_EQ(page["h_count{a=\"x\"}"], "1");
  EXPECT_EQ(page["h_sum{a=\"x\"}"], "3");
}

TEST(Expiry, DoesNotCountPagesOfSomeNames) {
  Registry registry({.expire_after_scrapes = 1});
  registry.counter("c", "h", {"a"}).with({"x"}).inc();
  for (int scrape = 0; scrape < 5; ++scrape) {
    EXPECT_EQ(samples_of(registry.expose({.names = {"c"}}).text())["c{a=\"x\"}"], "1");
  }
}

TEST(Expiry, CountsAFamilyOfTwoNamesOncePerPageInAnyProfile) {
  for (const Naming naming : {Naming::seed, Naming::prometheus, Naming::both}) {
    Registry registry({.expire_after_scrapes = 2});
    registry.gauge("g", "h", FamilyOptions{.labels = {"a"}, .seed_name = "f", .seed_scale = 1})
        .with({"x"})
        .set(1);
    const auto shown = [&] {
      return samples_of(registry.expose({.naming = naming, .self_metrics = false}).text()).size();
    };
    const std::size_t names = naming == Naming::both ? 2 : 1;
    EXPECT_EQ(shown(), names);
    EXPECT_EQ(shown(), names);
    EXPECT_EQ(shown(), 0U);
  }
}

// A counter may leave the page and come back from zero at any time; but each increment is on some
// page. The value of each life is the last one shown of it.
TEST(Expiry, LosesNoIncrementOfConcurrentLookUps) {
  constexpr int kWriters = 2;
  constexpr std::uint64_t kEach = 5000;
  Registry registry({.expire_after_scrapes = 1});
  auto& family = registry.counter("c", "h", {"a"});
  std::atomic<int> running{kWriters};
  std::vector<std::thread> writers;
  for (int t = 0; t < kWriters; ++t) {
    writers.emplace_back([&, t] {
      std::mt19937 random(static_cast<unsigned>(t));
      for (std::uint64_t i = 0; i < kEach; ++i) {
        family.with({"x"}).inc();
        // Leaves the series without a handle, now and then long enough to expire.
        for (unsigned n = random() % 64 == 0 ? random() % 8 : 0; n > 0; --n) {
          std::this_thread::yield();
        }
      }
      --running;
    });
  }
  std::uint64_t ended = 0;
  std::uint64_t last = 0;
  const auto scrape = [&] {
    const auto page = samples(registry);
    const auto shown = page.find("c{a=\"x\"}");
    const std::uint64_t value = shown == page.end() ? 0 : std::stoull(shown->second);
    if (value < last) ended += last;
    last = value;
  };
  while (running > 0) scrape();
  for (std::thread& writer : writers) writer.join();
  scrape();
  EXPECT_EQ(ended + last, kWriters * kEach);
}

TEST(LookUps, OfManyThreadsFindOneSeriesEach) {
  Registry registry;
  auto& family = registry.counter("c", "h", {"a"});
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int round = 0; round < 20; ++round) {
        for (int i = 0; i < 500; ++i) family.with({std::to_string(i)}).inc();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(family.size(), 500U);
  for (int i = 0; i < 500; ++i) EXPECT_EQ(family.with({std::to_string(i)}).value(), 80);
}

TEST(LookUps, StandRemovalAtTheSameTime) {
  Registry registry;
  auto& family = registry.counter("c", "h", {"a"});
  Counter kept = family.with({"kept"});
  std::atomic<bool> stop{false};
  std::thread remover([&] {
    while (!stop) {
      for (int i = 0; i < 50; ++i) family.remove({std::to_string(i)});
    }
  });
  std::vector<std::thread> users;
  for (int t = 0; t < 2; ++t) {
    users.emplace_back([&] {
      for (int i = 0; i < 40000; ++i) {
        family.with({std::to_string(i % 50)}).inc();
        family.with({"kept"}).inc();
      }
    });
  }
  for (std::thread& user : users) user.join();
  stop = true;
  remover.join();
  EXPECT_EQ(kept.value(), 80000);
}

TEST(Facade, CountsByName) {
  Metrics::register_counter("my_custom_counter", "Description");
  Metrics::register_counter("my_custom_counter", "Description");
  Metrics::increment_counter("my_custom_counter", {{"label", "value"}});
  Metrics::increment_counter("my_custom_counter", {{"label", "value"}}, 2);
  Metrics::increment_counter("my_custom_counter");
  Metrics::register_gauge("my_gauge", "Description");
  Metrics::set_gauge("my_gauge", 42, {{"label", "value"}});
  Metrics::increment_gauge("my_gauge", {{"label", "value"}});
  Metrics::decrement_gauge("my_gauge", {{"label", "value"}}, 3);
  Metrics::register_histogram("my_hist", "Description", {.1, 1, 10});
  Metrics::observe_histogram("my_hist", 0.3, {{"label", "value"}});
  auto page = samples(default_registry());
  EXPECT_EQ(page["my_custom_counter{label=\"value\"}"], "3");
  EXPECT_EQ(page["my_custom_counter"], "1");
  EXPECT_EQ(page["my_gauge{label=\"value\"}"], "40");
  EXPECT_EQ((page["my_hist_bucket{label=\"value\",le=\"1\"}"]), "1");
}

TEST(Facade, RefusesWhatIsNotRegisteredWithThatType) {
  Metrics::register_gauge("facade_gauge", "h");
  EXPECT_EQ(refusal_of([] { Metrics::increment_counter("facade_gauge"); }),
            "no counter named \"facade_gauge\" is registered");
  EXPECT_EQ(refusal_of([] { Metrics::set_gauge("nobody", 1); }),
            "no gauge named \"nobody\" is registered");
  EXPECT_NE(refusal_of([] {
              Metrics::set_gauge("facade_gauge", 1, {{"a-b", "c"}});
            }).find("facade_gauge: the label \"a-b\""),
            std::string::npos);
  EXPECT_NE(refusal_of([] { Metrics::register_gauge("facade_gauge", "other"); }).find("help"),
            std::string::npos);
}

}  // namespace
}  // namespace tyaprover::metrics
