#include "tyaprover/metrics/number_text.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <random>

namespace tyaprover::metrics::detail {
namespace {

std::string number(double value) {
  std::string text;
  append_number(text, value);
  return text;
}
std::string canonical(double value) {
  std::string text;
  append_canonical(text, value);
  return text;
}

TEST(Number, IsTheShortestText) {
  struct Case {
    double value;
    std::string_view text;
  };
  const Case cases[] = {
      {0, "0"},
      {-0.0, "-0"},
      {1, "1"},
      {-42, "-42"},
      {0.1, "0.1"},
      {0.1 + 0.2, "0.30000000000000004"},
      {1e6, "1000000"},
      {1e15, "1000000000000000"},
      {9007199254740993.0, "9007199254740992"},
      {1e17, "100000000000000000"},
      {1e21, "1e+21"},
      {5e-324, "5e-324"},
      {1.5e300, "1.5e+300"},
      {std::numeric_limits<double>::infinity(), "+Inf"},
      {-std::numeric_limits<double>::infinity(), "-Inf"},
      {std::numeric_limits<double>::quiet_NaN(), "NaN"},
      {-std::numeric_limits<double>::quiet_NaN(), "NaN"},
  };
  for (const Case& c : cases) EXPECT_EQ(number(c.value), c.text);
}

TEST(Number, ReadsBackEqual) {
  std::mt19937_64 random(1);
  for (int i = 0; i < 100000; ++i) {
    const auto value = std::bit_cast<double>(random());
    if (std::isnan(value)) continue;
    EXPECT_EQ(std::strtod(number(value).c_str(), nullptr), value);
  }
}

TEST(Integer, IsWrittenInFull) {
  std::string text;
  append_integer(text, std::numeric_limits<std::uint64_t>::max());
  EXPECT_EQ(text, "18446744073709551615");
}

// OpenMetrics 1.0 §4.1 (canonical numbers).
TEST(CanonicalNumber, HasAPointOrAnExponent) {
  EXPECT_EQ(canonical(0), "0.0");
  EXPECT_EQ(canonical(10), "10.0");
  EXPECT_EQ(canonical(0.005), "0.005");
  EXPECT_EQ(canonical(1e20), "1e+20");
  EXPECT_EQ(canonical(std::numeric_limits<double>::infinity()), "+Inf");
}

}  // namespace
}  // namespace tyaprover::metrics::detail
