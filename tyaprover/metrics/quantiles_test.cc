#include "tyaprover/metrics/quantiles.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace tyaprover::metrics::detail {
namespace {

const std::vector<double> kQuantiles = {0, 0.01, 0.1, 0.5, 0.9, 0.95, 0.99, 0.999, 1};

// By how much of the number of values the rank of `value` differs from q: 0 within a run of equals.
double rank_error(const std::vector<double>& sorted, double value, double q) {
  const auto [first, last] = std::equal_range(sorted.begin(), sorted.end(), value);
  const auto count = static_cast<double>(sorted.size());
  const double lowest = static_cast<double>(first - sorted.begin()) / count;
  const double highest = static_cast<double>(last - sorted.begin()) / count;
  return std::max({0.0, lowest - q, q - highest});
}

struct Distribution {
  std::string name;
  std::function<double(std::mt19937_64&, int)> next;
};
const std::vector<Distribution> kDistributions = {
    {"uniform", [](auto& r, int) { return std::uniform_real_distribution<>()(r); }},
    {"normal", [](auto& r, int) { return std::normal_distribution<>()(r); }},
    {"lognormal", [](auto& r, int) { return std::lognormal_distribution<>(0, 3)(r); }},
    {"ascending", [](auto&, int i) { return static_cast<double>(i); }},
    {"descending", [](auto&, int i) { return static_cast<double>(-i); }},
    {"few values", [](auto& r, int) { return static_cast<double>(r() % 5); }},
    {"one value", [](auto&, int) { return 4.0; }},
    {"two hills",
     [](auto& r, int i) { return std::normal_distribution<>(i % 10 == 0 ? 1000 : 1)(r); }},
    {"in and out", [](auto&, int i) { return i % 2 == 0 ? i : -i; }},
};

TEST(RankSummary, IsWithinItsErrorForAnyDistribution) {
  for (const Distribution& distribution : kDistributions) {
    for (const int count : {1, 2, 10, 255, 256, 257, 5000, 100000}) {
      std::mt19937_64 random(static_cast<unsigned>(count));
      ManualClock clock;
      SlidingQuantiles quantiles(std::chrono::minutes(10), 5, clock);
      std::vector<double> values;
      for (int i = 0; i < count; ++i) {
        values.push_back(distribution.next(random, i));
        quantiles.observe(values.back());
      }
      std::sort(values.begin(), values.end());
      const auto reading = quantiles.read(kQuantiles);
      for (std::size_t q = 0; q < kQuantiles.size(); ++q) {
        EXPECT_LE(rank_error(values, reading.values[q], kQuantiles[q]), 0.01)
            << distribution.name << ", " << count << " values, quantile " << kQuantiles[q];
      }
    }
  }
}

TEST(RankSummary, IsWithinItsErrorAcrossSlices) {
  for (const Distribution& distribution : kDistributions) {
    std::mt19937_64 random(5);
    ManualClock clock;
    SlidingQuantiles quantiles(std::chrono::minutes(10), 5, clock);
    std::vector<double> values;
    // Slices of very different weight.
    int i = 0;
    for (const int count : {30000, 3, 500, 12000, 70}) {
      if (!values.empty()) clock.advance(std::chrono::minutes(2));
      for (int n = 0; n < count; ++n) {
        values.push_back(distribution.next(random, i++));
        quantiles.observe(values.back());
      }
    }
    std::sort(values.begin(), values.end());
    const auto reading = quantiles.read(kQuantiles);
    for (std::size_t q = 0; q < kQuantiles.size(); ++q) {
      EXPECT_LE(rank_error(values, reading.values[q], kQuantiles[q]), 0.01)
          << distribution.name << ", quantile " << kQuantiles[q];
    }
  }
}

TEST(RankSummary, KeepsFewValues) {
  RankSummary summary(SlidingQuantiles::kRankError);
  std::mt19937_64 random(9);
  std::uniform_real_distribution<> uniform;
  for (int batch = 0; batch < 4000; ++batch) {
    std::vector<double> values(256);
    for (double& value : values) value = uniform(random);
    std::sort(values.begin(), values.end());
    summary.insert(values);
  }
  EXPECT_EQ(summary.count(), 4000U * 256);
  EXPECT_LT(summary.kept(), 1000U);
}

TEST(SlidingQuantiles, AreNaNWithoutValues) {
  ManualClock clock;
  SlidingQuantiles quantiles(std::chrono::minutes(10), 5, clock);
  const auto reading = quantiles.read({0.5});
  EXPECT_TRUE(std::isnan(reading.values[0]));
  EXPECT_EQ(reading.count, 0U);
}

TEST(SlidingQuantiles, ForgetWhatIsOlderThanTheWindowButNotItsCountAndSum) {
  ManualClock clock;
  SlidingQuantiles quantiles(std::chrono::minutes(10), 5, clock);
  quantiles.observe(1);
  clock.advance(std::chrono::minutes(7));
  quantiles.observe(9);
  EXPECT_EQ(quantiles.read({0.0}).values[0], 1);
  clock.advance(std::chrono::minutes(3));
  EXPECT_EQ(quantiles.read({0.0}).values[0], 9) << "the first slice is full of age";
  clock.advance(std::chrono::minutes(10));
  const auto reading = quantiles.read({0.0});
  EXPECT_TRUE(std::isnan(reading.values[0]));
  EXPECT_EQ(reading.count, 2U);
  EXPECT_EQ(reading.sum, 10);
}

TEST(SlidingQuantiles, StandAnyPause) {
  ManualClock clock;
  SlidingQuantiles quantiles(std::chrono::minutes(10), 5, clock);
  quantiles.observe(1);
  clock.advance(std::chrono::hours(24 * 365));
  quantiles.observe(2);
  EXPECT_EQ(quantiles.read({0.0}).values[0], 2);
  clock.advance(std::chrono::minutes(9));
  EXPECT_EQ(quantiles.read({0.0}).values[0], 2) << "slices have their length again";
}

TEST(SlidingQuantiles, TakeInfinities) {
  ManualClock clock;
  SlidingQuantiles quantiles(std::chrono::minutes(10), 5, clock);
  constexpr double kInf = std::numeric_limits<double>::infinity();
  for (const double value : {-kInf, 0.0, kInf}) quantiles.observe(value);
  const auto reading = quantiles.read({0, 0.5, 1});
  EXPECT_EQ(reading.values, (std::vector<double>{-kInf, 0, kInf}));
}

TEST(SlidingQuantiles, CountEveryValueOfEveryThread) {
  ManualClock clock;
  SlidingQuantiles quantiles(std::chrono::minutes(10), 5, clock);
  std::vector<std::thread> threads;
  for (int t = 0; t < 2; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 5000; ++i) quantiles.observe(1);
    });
  }
  for (int i = 0; i < 50; ++i) static_cast<void>(quantiles.read({0.5}));
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(quantiles.read({0.5}).count, 10000U);
}

}  // namespace
}  // namespace tyaprover::metrics::detail
