#include "tyaprover/metrics/registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <limits>
#include <mutex>
#include <thread>

#include "tyaprover/metrics/page_testing.h"

namespace tyaprover::metrics {
namespace {

using testing::AllOf;
using testing::HasSubstr;

TEST(Registration, RefusesWhatIsWrongAndNamesTheFamilyTheTextAndTheRule) {
  struct Case {
    std::function<void(Registry&)> work;
    std::vector<std::string> said;
  };
  const Case cases[] = {
      {[](Registry& r) { r.counter("a-b", "h"); }, {"\"a-b\"", "letters, digits, `_` and `:`"}},
      {[](Registry& r) { r.counter("", "h"); }, {"needs a name"}},
      {[](Registry& r) { r.counter("a", "h", {"x-y"}); }, {"a: ", "\"x-y\"", "letters, digits"}},
      {[](Registry& r) { r.counter("a", "h", {"__x"}); }, {"a: ", "\"__x\"", "reserved"}},
      {[](Registry& r) {
         r.counter("a", "h", {"x", "x"});
       },
       {"a: ", "\"x\"", "twice"}},
      {[](Registry& r) { r.histogram("a", "h", {.labels = {"le"}}); }, {"a: ", "\"le\"", "bucket"}},
      {[](Registry& r) { r.summary("a", "h", {.labels = {"quantile"}}); },
       {"a: ", "\"quantile\"", "quantiles"}},
      {[](Registry& r) {
         r.histogram("a", "h", {.buckets = {1, 1}});
       },
       {"a: ", "ascend"}},
      {[](Registry& r) {
         r.histogram("a", "h", {.buckets = {std::numeric_limits<double>::infinity()}});
       },
       {"a: ", "+Inf"}},
      {[](Registry& r) { r.histogram("a", "h", {.buckets = std::vector<double>(511)}); },
       {"a: ", "ascend"}},
      {[](Registry& r) { r.histogram("a", "h", {.buckets = linear_buckets(0, 1, 511)}); },
       {"a: ", "at most 510 buckets"}},
      {[](Registry& r) { r.histogram("a", "h", {.buckets = {1e10}, .durations = true}); },
       {"a: ", "nanoseconds"}},
      {[](Registry& r) { r.summary("a", "h", {.quantiles = {1.1}}); }, {"a: ", "from 0 to 1"}},
      {[](Registry& r) {
         r.summary("a", "h", {.quantiles = {0.5, 0.5}});
       },
       {"a: ", "ascend"}},
      {[](Registry& r) { r.summary("a", "h", {.window = Nanos(0)}); }, {"a: ", "window"}},
      {[](Registry& r) { r.summary("a", "h", {.slices = 0}); }, {"a: ", "slice"}},
      {[](Registry& r) { r.counter("a", "h", FamilyOptions{.unit = "seconds"}); },
       {"a: ", "_seconds"}},
      {[](Registry& r) { r.counter("a", "h", FamilyOptions{.max_series = 0}); },
       {"a: ", "max_series"}},
      {[](Registry& r) { r.counter("a", "h", FamilyOptions{.labels = {"x"}, .any_labels = true}); },
       {"a: ", "labels"}},
      {[](Registry& r) { r.state_set("a", "h", {}); }, {"a: ", "states"}},
      {[](Registry& r) {
         r.state_set("a", "h", {"on", "on"});
       },
       {"a: ", "\"on\"", "twice"}},
      {[](Registry& r) { r.state_set("a", "h", {""}); }, {"a: ", "name"}},
      {[](Registry& r) { r.state_set("a", "h", {"on"}, {.labels = {"a"}}); }, {"a: ", "state"}},
      {[](Registry& r) { r.gauge_callback("a", "h", [] { return 1; }, {.labels = {"x"}}); },
       {"a: ", "no labels"}},
      {[](Registry& r) { r.gauge("a", "h", FamilyOptions{.seed_name = "a-b"}); }, {"\"a-b\""}},
  };
  for (std::size_t i = 0; i < std::size(cases); ++i) {
    Registry registry;
    const std::string said = refusal_of([&] { cases[i].work(registry); });
    for (const std::string& part : cases[i].said) EXPECT_THAT(said, HasSubstr(part)) << i;
    EXPECT_EQ(page_text(registry), "") << "nothing is registered after a refusal";
  }
}

TEST(Registration, GivesTheSameFamilyForTheSameDescription) {
  Registry registry;
  registry.counter("jobs_total", "Jobs.", {"queue"}).with({"mail"}).inc();
  registry.counter("jobs_total", "Jobs.", {"queue"}).with({"mail"}).inc();
  EXPECT_EQ(samples(registry)["jobs_total{queue=\"mail\"}"], "2");
  EXPECT_EQ(&registry.gauge("depth", "Depth."), &registry.gauge("depth", "Depth."));
}

TEST(Registration, SaysWhichFieldDiffersFromBefore) {
  struct Case {
    std::function<void(Registry&)> work;
    std::string said;
  };
  const Case cases[] = {
      {[](Registry& r) { r.gauge("c", "h", {"x"}); }, "its type is counter, not gauge"},
      {[](Registry& r) { r.counter("c", "other", {"x"}); }, "its help differs"},
      {[](Registry& r) { r.counter("c", "h", {"y"}); }, "its labels differ"},
      {[](Registry& r) { r.counter("c", "h", FamilyOptions{.labels = {"x"}, .max_series = 5}); },
       "its limit of series differs"},
      {[](Registry& r) {
         r.counter("c", "h", FamilyOptions{.labels = {"x"}, .expire_after_scrapes = 5});
       },
       "its expiry differs"},
      {[](Registry& r) {
         r.histogram("h", "h", {.buckets = {1, 3}});
       },
       "its buckets differ"},
      {[](Registry& r) {
         r.histogram("h", "h", {.buckets = {1, 2}, .native = true});
       },
       "only one of them has native buckets"},
      {[](Registry& r) {
         r.histogram("h", "h", {.buckets = {1, 2}, .durations = true});
       },
       "only one of them is of durations"},
      {[](Registry& r) { r.summary("s", "h", {.quantiles = {0.1}}); }, "its quantiles differ"},
      {[](Registry& r) { r.summary("s", "h", {.slices = 2}); }, "its window differs"},
      {[](Registry& r) { r.state_set("t", "h", {"on"}); }, "its states differ"},
  };
  for (const Case& c : cases) {
    Registry registry;
    registry.counter("c", "h", {"x"});
    registry.histogram("h", "h", {.buckets = {1, 2}});
    registry.summary("s", "h");
    registry.state_set("t", "h", {"on", "off"});
    EXPECT_THAT(refusal_of([&] { c.work(registry); }), HasSubstr(c.said));
  }
}

TEST(Registration, RefusesNamesThatTwoFamiliesWouldShow) {
  struct Case {
    std::function<void(Registry&)> first;
    std::function<void(Registry&)> second;
  };
  const Case cases[] = {
      {[](Registry& r) { r.summary("x", "h"); }, [](Registry& r) { r.gauge("x_count", "h"); }},
      {[](Registry& r) { r.gauge("x_count", "h"); }, [](Registry& r) { r.summary("x", "h"); }},
      {[](Registry& r) { r.histogram("x", "h"); }, [](Registry& r) { r.gauge("x_bucket", "h"); }},
      {[](Registry& r) { r.histogram("x", "h"); }, [](Registry& r) { r.counter("x_sum", "h"); }},
      {[](Registry& r) { r.counter("x_total", "h"); }, [](Registry& r) { r.gauge("x", "h"); }},
      {[](Registry& r) { r.counter("x", "h"); }, [](Registry& r) { r.counter("x_total", "h"); }},
      {[](Registry& r) {
         r.info("x", "h", {{"a", "b"}});
       },
       [](Registry& r) { r.gauge("x_info", "h"); }},
      {[](Registry& r) { r.gauge_callback("x", "h", [] { return 1; }); },
       [](Registry& r) { r.gauge_callback("x", "h", [] { return 1; }); }},
      {[](Registry& r) { r.gauge("x", "h", FamilyOptions{.seed_name = "y"}); },
       [](Registry& r) { r.gauge("y", "h"); }},
  };
  for (std::size_t i = 0; i < std::size(cases); ++i) {
    Registry registry;
    cases[i].first(registry);
    EXPECT_THAT(refusal_of([&] { cases[i].second(registry); }), HasSubstr("x")) << i;
  }
}

TEST(Registration, ThatFailsClaimsNoName) {
  Registry registry;
  registry.gauge("taken", "h");
  EXPECT_THAT(refusal_of([&] { registry.gauge("new", "h", FamilyOptions{.seed_name = "taken"}); }),
              HasSubstr("taken"));
  registry.gauge("new", "h").with({}).set(1);
  EXPECT_EQ(samples(registry)["new"], "1");
}

TEST(LookUp, RefusesAnotherNumberOfValuesOrAnUnknownLabel) {
  Registry registry;
  auto& jobs = registry.counter("jobs_total", "h", {"queue", "kind"});
  EXPECT_THAT(refusal_of([&] { static_cast<void>(jobs.with({"a"})); }),
              AllOf(HasSubstr("jobs_total"), HasSubstr("2 labels, not 1")));
  const Label unknown[] = {{"colour", "red"}};
  EXPECT_THAT(refusal_of([&] { static_cast<void>(jobs.with(std::span(unknown))); }),
              AllOf(HasSubstr("jobs_total"), HasSubstr("\"colour\"")));
  const Label twice[] = {{"queue", ""}, {"queue", "b"}};
  EXPECT_THAT(refusal_of([&] { static_cast<void>(jobs.with(std::span(twice))); }),
              HasSubstr("twice"));
}

TEST(LookUp, ByNameTakesAnyOrderAndMissingLabels) {
  Registry registry;
  auto& jobs = registry.counter("jobs_total", "h", {"queue", "kind"});
  const Label swapped[] = {{"kind", "k"}, {"queue", "q"}};
  jobs.with(std::span(swapped)).inc();
  const Label one[] = {{"kind", "k"}};
  jobs.with(std::span(one)).inc();
  auto page = samples(registry);
  EXPECT_EQ((page["jobs_total{queue=\"q\",kind=\"k\"}"]), "1");
  EXPECT_EQ((page["jobs_total{kind=\"k\"}"]), "1");
}

TEST(Families, WithoutLabelsAreThereFromTheStart) {
  Registry registry;
  registry.counter("jobs_total", "h");
  registry.gauge("depth", "h");
  registry.counter("labelled_total", "h", {"a"});
  EXPECT_EQ(page_text(registry),
            "# HELP depth h\n# TYPE depth gauge\ndepth 0\n"
            "# HELP jobs_total h\n# TYPE jobs_total counter\njobs_total 0\n"
            "# HELP labelled_total h\n# TYPE labelled_total counter\n");
}

TEST(ConstantLabels, AreOnEverySeriesAndAloneThere) {
  Registry registry({.constant_labels = {{"zone", "a\"b"}}});
  registry.counter("jobs_total", "h", {"queue"}).with({"mail"}).inc();
  registry.gauge("depth", "h");
  auto page = samples(registry);
  EXPECT_EQ((page["jobs_total{zone=\"a\\\"b\",queue=\"mail\"}"]), "1");
  EXPECT_EQ(page["depth{zone=\"a\\\"b\"}"], "0");
  EXPECT_THAT(refusal_of([&] { registry.gauge("x", "h", {"zone"}); }), HasSubstr("constant label"));
  auto& any = registry.gauge("any", "h", FamilyOptions{.any_labels = true});
  const Label zone[] = {{"zone", "b"}};
  EXPECT_THAT(refusal_of([&] { static_cast<void>(any.with(std::span(zone))); }),
              HasSubstr("constant label"));
}

TEST(ConstantLabels, AreChecked) {
  for (const std::string_view name : {"a-b", "__a", "le", "quantile"}) {
    EXPECT_THAT(refusal_of([&] {
                  Registry({.constant_labels = {{std::string(name), "x"}}});
                }),
                HasSubstr(name));
  }
  EXPECT_THAT(refusal_of([] {
                Registry({.constant_labels = {{"a", "1"}, {"a", "2"}}});
              }),
              HasSubstr("twice"));
}

TEST(Callbacks, AreAskedAtEachPage) {
  Registry registry;
  double value = 1;
  registry.gauge_callback("depth", "h", [&] { return value++; });
  registry.counter_callback("jobs_total", "h", [] { return 7; });
  EXPECT_EQ(samples(registry)["depth"], "1");
  EXPECT_EQ(samples(registry)["depth"], "2");
  EXPECT_EQ(samples(registry)["jobs_total"], "7");
}

TEST(Collectors, HandOverWholeFamilies) {
  Registry registry;
  registry.add_collector("pool", [](Collection& out) {
    out.gauge("pool_size", "Size.", 3, {{"pool", "a"}});
    out.gauge("pool_size", "Size.", 4, {{"pool", "b"}});
    out.counter("pool_bytes_total", "Bytes.", 12);
    const double bounds[] = {1, 2};
    const std::uint64_t counts[] = {1, 0, 2};
    out.histogram("pool_wait", "Wait.", bounds, counts, 9.5);
  });
  auto page = samples(registry);
  EXPECT_EQ(page["pool_size{pool=\"a\"}"], "3");
  EXPECT_EQ(page["pool_size{pool=\"b\"}"], "4");
  EXPECT_EQ(page["pool_bytes_total"], "12");
  EXPECT_EQ(page["pool_wait_bucket{le=\"2\"}"], "1");
  EXPECT_EQ(page["pool_wait_bucket{le=\"+Inf\"}"], "3");
  EXPECT_EQ(page["pool_wait_sum"], "9.5");
}

TEST(Collectors, ThatThrowAreLeftOutAndCounted) {
  Registry registry;
  registry.gauge("good", "h").with({}).set(1);
  registry.add_collector("throws", [](Collection& out) {
    out.gauge("half", "h", 1);
    throw 42;  // of whatever type
  });
  registry.add_collector("wrong", [](Collection& out) { out.gauge("a-b", "h", 1); });
  registry.gauge_callback("bad", "h", []() -> double { throw std::runtime_error("no"); });
  auto page = samples(registry);
  EXPECT_EQ(page["good"], "1");
  EXPECT_FALSE(page.contains("half"));
  EXPECT_FALSE(page.contains("bad"));
  for (const std::string_view name : {"throws", "wrong", "bad"}) {
    EXPECT_EQ(
        page["tyaprover_metrics_collect_errors_total{collector=\"" + std::string(name) + "\"}"],
        "1");
  }
}

TEST(Collectors, ThatWouldBreakThePageAreLeftOut) {
  Registry registry({.constant_labels = {{"zone", "a"}}});
  registry.histogram("x", "h", {.buckets = {1}}).with({}).observe(1);
  registry.add_collector("taken", [](Collection& out) { out.gauge("x", "h", 1); });
  registry.add_collector("derived", [](Collection& out) { out.gauge("x_count", "h", 1); });
  registry.add_collector("constant", [](Collection& out) {
    out.gauge("y", "h", 1, {{"zone", "b"}});
  });
  registry.add_collector("first", [](Collection& out) {
    out.gauge("z", "h", 1);
    out.gauge("z", "h", 2);
  });
  registry.add_collector("second", [](Collection& out) { out.counter("z", "h", 3); });
  auto page = samples(registry);
  EXPECT_EQ(page["x_count{zone=\"a\"}"], "1");
  EXPECT_FALSE(page.contains("y{zone=\"a\",zone=\"b\"}"));
  EXPECT_EQ(page["z{zone=\"a\"}"], "1");
  for (const std::string_view name : {"taken", "derived", "constant"}) {
    EXPECT_EQ(page["tyaprover_metrics_collect_errors_total{zone=\"a\",collector=\"" +
                   std::string(name) + "\"}"],
              "1")
        << name;
  }
  EXPECT_EQ(samples(registry)["tyaprover_metrics_collect_errors_total{zone=\"a\",collector=\"z\"}"],
            "2")
      << "the repeated series and the second type; what is found while writing shows on the next "
         "page";
}

// A collector that waits until the test lets it go.
class Gate {
 public:
  void wait() {
    std::unique_lock lock(mutex_);
    ++waiting_;
    changed_.notify_all();
    changed_.wait(lock, [&] { return open_; });
    --waiting_;
    changed_.notify_all();
  }
  void wait_for_somebody() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return waiting_ > 0; });
  }
  void open() {
    std::unique_lock lock(mutex_);
    open_ = true;
    changed_.notify_all();
    changed_.wait(lock, [&] { return waiting_ == 0; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int waiting_ = 0;
  bool open_ = false;
};

TEST(Collectors, ThatHangAreLeftOutAndThePageIsWholeAndInTime) {
  const auto gate = std::make_shared<Gate>();
  const auto calls = std::make_shared<std::atomic<int>>(0);
  Registry registry;
  registry.add_collector("hangs", [gate, calls](Collection& out) {
    ++*calls;
    gate->wait();
    out.gauge("late", "h", 1);
  });
  registry.gauge_callback("quick", "h", [] { return 5; });
  // A quarter of the time, half a second, is left for writing.
  Page page = registry.expose({.timeout = std::chrono::seconds(2)});
  auto shown = samples_of(page.text());
  EXPECT_FALSE(page.out_of_time());
  EXPECT_EQ(shown["quick"], "5") << "called although one before it hangs";
  EXPECT_FALSE(shown.contains("late"));
  EXPECT_EQ(shown["tyaprover_metrics_collect_errors_total{collector=\"hangs\"}"], "1");

  // While it hangs it is not called again, and pages do not wait for it: this one would for hours.
  shown = samples_of(registry.expose({.timeout = std::chrono::hours(10)}).text());
  EXPECT_EQ(shown["tyaprover_metrics_collect_errors_total{collector=\"hangs\"}"], "2");
  EXPECT_EQ(*calls, 1);

  gate->open();
  // It has returned or is about to.
  while (!samples_of(registry.expose().text()).contains("late")) std::this_thread::yield();
}

TEST(Collectors, AreCalledForOnePageAtATime) {
  Gate gate;
  std::atomic<int> inside{0};
  std::atomic<int> most{0};
  Registry registry;
  registry.gauge_callback("depth", "h", [&] {
    most = std::max(most.load(), ++inside);
    gate.wait();
    --inside;
    return 1;
  });
  std::thread first([&] { EXPECT_EQ(samples(registry)["depth"], "1"); });
  gate.wait_for_somebody();
  std::thread second([&] { EXPECT_EQ(samples(registry)["depth"], "1"); });
  gate.open();
  first.join();
  second.join();
  EXPECT_EQ(most, 1);
}

TEST(SeveralRegistries, MakeOnePage) {
  Registry first({.constant_labels = {{"part", "a"}}});
  Registry second({.constant_labels = {{"part", "b"}}});
  first.counter("jobs_total", "First help.").with({}).inc(1);
  second.counter("jobs_total", "Second help.").with({}).inc(2);
  second.gauge("only_second", "h").with({}).set(3);
  Registry* both[] = {&first, &second};
  EXPECT_EQ(expose(both, {.self_metrics = false}).text(),
            "# HELP jobs_total First help.\n# TYPE jobs_total counter\n"
            "jobs_total{part=\"a\"} 1\njobs_total{part=\"b\"} 2\n"
            "# HELP only_second h\n# TYPE only_second gauge\nonly_second{part=\"b\"} 3\n");
}

TEST(SeveralRegistries, LeaveOutASecondFamilyThatDisagrees) {
  struct Case {
    std::string name;
    std::function<void(Registry&)> first;
    std::function<void(Registry&)> second;
  };
  const Case cases[] = {
      {"x", [](Registry& r) { r.counter("x", "h"); }, [](Registry& r) { r.gauge("x", "h"); }},
      {"x", [](Registry& r) { r.histogram("x", "h", {.buckets = {1}}); },
       [](Registry& r) { r.histogram("x", "h", {.buckets = {2}}); }},
      {"x", [](Registry& r) { r.histogram("x", "h"); },
       [](Registry& r) { r.histogram("x", "h", {.durations = true}); }},
      {"x", [](Registry& r) { r.summary("x", "h"); },
       [](Registry& r) { r.summary("x", "h", {.quantiles = {}}); }},
      {"x", [](Registry& r) { r.state_set("x", "h", {"on"}); },
       [](Registry& r) {
         r.state_set("x", "h", {"off", "on"});
       }},
      {"x_count", [](Registry& r) { r.histogram("x", "h"); },
       [](Registry& r) { r.gauge("x_count", "h"); }},
  };
  for (std::size_t i = 0; i < std::size(cases); ++i) {
    Registry first;
    Registry second;
    cases[i].first(first);
    cases[i].second(second);
    Registry* both[] = {&first, &second};
    Registry* alone[] = {&first};
    EXPECT_EQ(expose(both, {.self_metrics = false}).text(),
              expose(alone, {.self_metrics = false}).text())
        << i;
    EXPECT_EQ(
        samples_of(expose(both).text())["tyaprover_metrics_collect_errors_total{collector=\"" +
                                        cases[i].name + "\"}"],
        "1")
        << i;
  }
}

TEST(SeveralRegistries, ShowASeriesThatBothHaveOnce) {
  Registry first;
  Registry second;
  first.counter("jobs_total", "h", {"a", "b"}).with({"1", "2"}).inc(1);
  second.counter("jobs_total", "h", {"b", "a"}).with({"2", "1"}).inc(2);
  Registry* both[] = {&first, &second};
  EXPECT_EQ(expose(both, {.self_metrics = false}).text(),
            "# HELP jobs_total h\n# TYPE jobs_total counter\njobs_total{a=\"1\",b=\"2\"} 1\n");
}

TEST(Naming, ShowsTheSameCellsUnderEitherNameOrBoth) {
  Registry registry;
  registry
      .histogram("wait_seconds", "h",
                 {.buckets = {.005, .75},
                  .durations = true,
                  .unit = "seconds",
                  .seed_name = "wait_ms",
                  .seed_scale = 1000})
      .with({})
      .observe(std::chrono::microseconds(750'250));
  registry.gauge("old", "h", FamilyOptions{.shown = ShownIn::seed_only}).with({}).set(1);
  registry.gauge("new", "h", FamilyOptions{.shown = ShownIn::prometheus_only}).with({}).set(2);
  double asked = 3;
  registry.gauge_callback("lag_seconds", "h", [&] { return asked; },
                          {.seed_name = "lag_ms", .seed_scale = 1000});
  const std::map<std::string, std::string> seed = {{"wait_ms_bucket{le=\"5\"}", "0"},
                                                   {"wait_ms_bucket{le=\"750\"}", "0"},
                                                   {"wait_ms_bucket{le=\"+Inf\"}", "1"},
                                                   {"wait_ms_sum", "750.25"},
                                                   {"wait_ms_count", "1"},
                                                   {"old", "1"},
                                                   {"lag_ms", "3000"}};
  const std::map<std::string, std::string> prometheus = {{"wait_seconds_bucket{le=\"0.005\"}", "0"},
                                                         {"wait_seconds_bucket{le=\"0.75\"}", "0"},
                                                         {"wait_seconds_bucket{le=\"+Inf\"}", "1"},
                                                         {"wait_seconds_sum", "0.75025"},
                                                         {"wait_seconds_count", "1"},
                                                         {"new", "2"},
                                                         {"lag_seconds", "3"}};
  std::map<std::string, std::string> both = seed;
  both.insert(prometheus.begin(), prometheus.end());
  const auto shown = [&](Naming naming) {
    return samples_of(registry.expose({.naming = naming, .self_metrics = false}).text());
  };
  EXPECT_EQ(shown(Naming::seed), seed);
  EXPECT_EQ(shown(Naming::prometheus), prometheus);
  EXPECT_EQ(shown(Naming::both), both);
}

TEST(SelfMetrics, TellOfSeriesAndOfRefusedValues) {
  Registry registry;
  registry.counter("c_total", "h").with({}).inc(-1);
  registry.counter("c_total", "h").with({}).inc(std::numeric_limits<double>::quiet_NaN());
  auto page = samples(registry);
  EXPECT_EQ(page["tyaprover_metrics_series"], "1");
  EXPECT_EQ(page["tyaprover_metrics_invalid_total{family=\"c_total\"}"], "2");
  EXPECT_TRUE(page.contains("tyaprover_metrics_scrape_duration_seconds"));
}

}  // namespace
}  // namespace tyaprover::metrics
