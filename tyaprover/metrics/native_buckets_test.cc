#include "tyaprover/metrics/native_buckets.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <random>
#include <thread>
#include <vector>

namespace tyaprover::metrics {
namespace {

using detail::native_index;
using detail::NativeBuckets;

// Upper end of bucket i, in a type with more digits than a double has.
long double end_of(std::int32_t index, std::int32_t schema = 3) {
  return std::exp2(static_cast<long double>(index) * std::exp2(-static_cast<long double>(schema)));
}

TEST(NativeIndex, HoldsTheMagnitudeByTheFormula) {
  std::mt19937_64 random(7);
  std::uniform_real_distribution<double> exponent(-127, 1023);
  for (int i = 0; i < 200000; ++i) {
    const double value = std::exp2(exponent(random));
    const std::int32_t index = native_index(value);
    EXPECT_LE(value, end_of(index) * (1 + 1e-15L)) << value;
    EXPECT_GT(value, end_of(index - 1) * (1 - 1e-15L)) << value;
  }
}

TEST(NativeIndex, IncludesTheUpperEnd) {
  for (std::int32_t power = -127; power <= 1023; ++power) {
    const double end = std::ldexp(1.0, power);
    EXPECT_EQ(native_index(end), power * 8);
    EXPECT_EQ(native_index(std::nextafter(end, HUGE_VAL)), power * 8 + 1);
    EXPECT_EQ(native_index(std::nextafter(end, 0.0)), power * 8);
  }
}

TEST(NativeIndex, TakesAnInfinityForTheLargestNumber) {
  EXPECT_EQ(native_index(std::numeric_limits<double>::infinity()),
            native_index(std::numeric_limits<double>::max()));
}

TEST(NativeBuckets, CountByIndexAndSign) {
  NativeBuckets buckets;
  for (const double value : {1.0, 1.0, 1.05, -2.0, 0.0, -0.0, 0x1p-128, 0x1p-1074}) {
    buckets.observe(value);
  }
  const NativeCounts counts = buckets.read();
  EXPECT_EQ(counts.schema, 3);
  EXPECT_EQ(counts.zero_count, 4U);
  ASSERT_EQ(counts.positive.size(), 2U);
  EXPECT_EQ(counts.positive[0].index, 0);
  EXPECT_EQ(counts.positive[0].count, 2U);
  EXPECT_EQ(counts.positive[1].index, 1);
  ASSERT_EQ(counts.negative.size(), 1U);
  EXPECT_EQ(counts.negative[0].index, 8);
  EXPECT_EQ(counts.count(), 8U);
}

TEST(NativeBuckets, AgreeWithAModelAlsoWhenManyThreadsObserve) {
  constexpr int kThreads = 4;
  constexpr int kValues = 20000;
  const auto values_of = [](unsigned seed) {
    std::mt19937_64 random(seed);
    std::uniform_real_distribution<double> exponent(-126, 1000);
    std::vector<double> values;
    for (int i = 0; i < kValues; ++i) {
      const double magnitude = std::exp2(exponent(random));
      values.push_back(random() % 2 == 0 ? magnitude : -magnitude);
    }
    return values;
  };
  NativeBuckets buckets;
  std::map<std::int32_t, std::uint64_t> positive;
  std::map<std::int32_t, std::uint64_t> negative;
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < kThreads; ++t) {
    for (const double value : values_of(t)) {
      ++(value > 0 ? positive : negative)[native_index(std::fabs(value))];
    }
    threads.emplace_back([&, t] {
      for (const double value : values_of(t)) buckets.observe(value);
    });
  }
  for (std::thread& thread : threads) thread.join();
  const NativeCounts counts = buckets.read();
  const auto as_map = [](const std::vector<NativeCounts::Bucket>& side) {
    std::map<std::int32_t, std::uint64_t> map;
    for (const NativeCounts::Bucket& bucket : side) map[bucket.index] = bucket.count;
    return map;
  };
  EXPECT_EQ(as_map(counts.positive), positive);
  EXPECT_EQ(as_map(counts.negative), negative);
}

TEST(NativeCounts, ReducedStillHoldEachValueInItsBucket) {
  std::mt19937_64 random(3);
  std::lognormal_distribution<double> distribution(0, 8);
  std::vector<double> values;
  NativeBuckets buckets;
  for (int i = 0; i < 5000; ++i) {
    values.push_back(distribution(random));
    buckets.observe(values.back());
  }
  NativeCounts counts = buckets.read();
  ASSERT_GT(counts.positive.size(), 160U);
  counts.reduce_to(160);
  EXPECT_LE(counts.positive.size(), 160U);
  EXPECT_LT(counts.schema, 3);
  EXPECT_EQ(counts.count(), values.size());
  for (const NativeCounts::Bucket& bucket : counts.positive) {
    std::uint64_t expected = 0;
    for (const double value : values) {
      expected += value > end_of(bucket.index - 1, counts.schema) &&
                          value <= end_of(bucket.index, counts.schema)
                      ? 1
                      : 0;
    }
    EXPECT_EQ(bucket.count, expected) << bucket.index;
  }
}

TEST(NativeCounts, AreNotReducedBelowTheCoarsestSchema) {
  NativeCounts counts;
  for (std::int32_t i = -8000; i < 8000; i += 40) counts.positive.push_back({i, 1});
  counts.reduce_to(1);
  EXPECT_EQ(counts.schema, -4);
  EXPECT_EQ(counts.count(), 400U);
}

TEST(NativeCounts, SubtractAnEarlierReading) {
  NativeBuckets buckets;
  for (const double value : {1.0, 3.0, 0.0, -5.0}) buckets.observe(value);
  const NativeCounts earlier = buckets.read();
  for (const double value : {3.0, 7.0, 0.0, -5.0, -6.0}) buckets.observe(value);
  NativeCounts now = buckets.read();
  now.subtract(earlier);
  EXPECT_EQ(now.zero_count, 1U);
  ASSERT_EQ(now.positive.size(), 2U);
  EXPECT_EQ(now.positive[0].index, native_index(3));
  EXPECT_EQ(now.positive[1].index, native_index(7));
  ASSERT_EQ(now.negative.size(), 2U);
  EXPECT_EQ(now.count(), 5U);
}

}  // namespace
}  // namespace tyaprover::metrics
