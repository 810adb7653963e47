#include "tyaprover/base/parse.h"

#include <gtest/gtest.h>

#include <limits>

#include "tyaprover/base/ids.h"

namespace tyaprover {
namespace {

using namespace std::chrono_literals;
using enum ParseError;

template <class T>
struct Good {
  std::string_view text;
  T value;
};
struct Bad {
  std::string_view text;
  ParseError error;
};

TEST(ParseU64, TakesDigitsOnly) {
  const Good<std::uint64_t> good[] = {
      {"0", 0}, {"7", 7}, {"007", 7}, {"18446744073709551615", ~std::uint64_t{0}}};
  for (const auto& c : good) EXPECT_EQ(parse_u64(c.text).value(), c.value) << c.text;
  const Bad bad[] = {{"", empty},
                     {"-1", negative},
                     {"-", not_a_number},
                     {"+1", not_a_number},
                     {" 1", not_a_number},
                     {"1 ", trailing_text},
                     {"1.0", trailing_text},
                     {"0x10", trailing_text},
                     {"1_000", trailing_text},
                     {"18446744073709551616", out_of_range}};
  for (const auto& c : bad) EXPECT_EQ(parse_u64(c.text).error(), c.error) << c.text;
}

TEST(ParseI64, TakesAMinus) {
  EXPECT_EQ(parse_i64("-9223372036854775808").value(), std::numeric_limits<std::int64_t>::min());
  EXPECT_EQ(parse_i64("42").value(), 42);
  const Bad bad[] = {{"", empty},
                     {"-", not_a_number},
                     {"--1", not_a_number},
                     {"+1", not_a_number},
                     {"9223372036854775808", out_of_range},
                     {"1-", trailing_text}};
  for (const auto& c : bad) EXPECT_EQ(parse_i64(c.text).error(), c.error) << c.text;
}

TEST(ParseDouble, IsFiniteAndWhole) {
  const Good<double> good[] = {
      {"0", 0}, {"1.5", 1.5}, {"-0.25", -0.25}, {"1e3", 1000}, {"2.5e-1", 0.25}};
  for (const auto& c : good) EXPECT_EQ(parse_double(c.text).value(), c.value) << c.text;
  const Bad bad[] = {{"", empty},
                     {"inf", not_a_number},
                     {"nan", not_a_number},
                     {".5", not_a_number},
                     {"5.", not_a_number},
                     {"+1", not_a_number},
                     {"-", not_a_number},
                     {"1e999", out_of_range},
                     {"1.5x", trailing_text},
                     {"0x1p3", trailing_text},
                     {" 1", not_a_number},
                     {"1 ", trailing_text}};
  for (const auto& c : bad) EXPECT_EQ(parse_double(c.text).error(), c.error) << c.text;
}

TEST(ParseDuration, TakesOneNumberAndOneUnit) {
  const Good<Nanos> good[] = {{"1ns", 1ns},
                              {"1us", 1us},
                              {"250ms", 250ms},
                              {"10s", 10s},
                              {"5m", 5min},
                              {"1h", 1h},
                              {"2d", 48h},
                              {"1.5s", 1500ms},
                              {"0s", 0ns},
                              {"0.5d", 12h},
                              {"2.5ns", 3ns},
                              {"0.000000001s", 1ns},
                              {"9223372036854775807ns", Nanos::max()},
                              {"9223372036.854775807s", Nanos::max()}};
  for (const auto& c : good) EXPECT_EQ(parse_duration(c.text).value(), c.value) << c.text;
  const Bad bad[] = {{"", empty},
                     {"10", missing_unit},
                     {"0", missing_unit},
                     {"1.5", missing_unit},
                     {"-1s", negative},
                     {"-s", not_a_number},
                     {"+1s", not_a_number},
                     {"s", not_a_number},
                     {".5s", not_a_number},
                     {"5.s", not_a_number},
                     {" 1s", not_a_number},
                     {"1 s", trailing_text},
                     {"1s ", trailing_text},
                     {"1h30m", trailing_text},
                     {"1,5s", trailing_text},
                     {"1S", unknown_unit},
                     {"1sec", unknown_unit},
                     {"1e3s", unknown_unit},
                     {"0.1ns", too_small},
                     {"0.0000000000000000000001d", too_small},
                     {"9223372036854775808ns", out_of_range},
                     {"106752d", out_of_range},
                     {"99999999999999999999999999999999999999999999s", out_of_range}};
  for (const auto& c : bad) EXPECT_EQ(parse_duration(c.text).error(), c.error) << c.text;
}

TEST(ParseSize, KnowsDecimalAndBinaryUnits) {
  const Good<std::uint64_t> good[] = {{"0", 0},
                                      {"0B", 0},
                                      {"1B", 1},
                                      {"1KB", 1'000},
                                      {"1KiB", 1'024},
                                      {"64KiB", 65'536},
                                      {"8MiB", 8ull << 20},
                                      {"2MB", 2'000'000},
                                      {"1.5GiB", 3ull << 29},
                                      {"3GB", 3'000'000'000},
                                      {"0.1MiB", 104'858},
                                      {"18446744073709551615B", ~std::uint64_t{0}}};
  for (const auto& c : good) EXPECT_EQ(parse_size(c.text).value(), c.value) << c.text;
  const Bad bad[] = {{"", empty},
                     {"1", missing_unit},
                     {"00", missing_unit},
                     {"-1KiB", negative},
                     {"1kib", unknown_unit},
                     {"1K", unknown_unit},
                     {"1 KiB", trailing_text},
                     {"KiB", not_a_number},
                     {"0.1B", too_small},
                     {"18446744073709551616B", out_of_range},
                     {"17179869184GiB", out_of_range}};
  for (const auto& c : bad) EXPECT_EQ(parse_size(c.text).error(), c.error) << c.text;
}

TEST(FormatDuration, WritesWhatPeopleWouldWrite) {
  const Good<Nanos> cases[] = {{"0s", 0ns},       {"250ms", 250ms}, {"1.5s", 1500ms}, {"10s", 10s},
                               {"1m", 60s},       {"90s", 90s},     {"15m", 15min},   {"1h", 1h},
                               {"1d", 24h},       {"50ms", 50ms},   {"100ms", 100ms}, {"1ns", 1ns},
                               {"-1.5s", -1500ms}};
  for (const auto& c : cases) EXPECT_EQ(format_duration(c.value), c.text);
}

TEST(FormatSize, WritesWhatPeopleWouldWrite) {
  const Good<std::uint64_t> cases[] = {{"0B", 0},
                                       {"1KiB", 1'024},
                                       {"64KiB", 65'536},
                                       {"100MiB", 100ull << 20},
                                       {"1.5GiB", 3ull << 29},
                                       {"250B", 250},
                                       {"1KB", 1'000},
                                       {"1025B", 1'025}};
  for (const auto& c : cases) EXPECT_EQ(format_size(c.value), c.text);
}

// Values of every magnitude: a random number of random bits, often with round decimal tails.
std::uint64_t some_value() {
  std::uint64_t value = random_u64() >> (random_u64() % 64);
  for (std::uint64_t i = random_u64() % 12; i > 0 && value < (1ull << 59); --i) value *= 10;
  return value;
}

TEST(FormatAndParse, AreInverse) {
  for (int i = 0; i < 50'000; ++i) {
    const std::uint64_t value = some_value();
    EXPECT_EQ(parse_u64(std::to_string(value)).value(), value);
    EXPECT_EQ(parse_size(format_size(value)).value(), value) << format_size(value);
    const Nanos duration(static_cast<std::int64_t>(value >> 1));
    EXPECT_EQ(parse_duration(format_duration(duration)).value(), duration)
        << format_duration(duration);
  }
  EXPECT_EQ(parse_size(format_size(~std::uint64_t{0})).value(), ~std::uint64_t{0});
  EXPECT_EQ(parse_duration(format_duration(Nanos::max())).value(), Nanos::max());
}

TEST(Parse, SurvivesArbitraryBytes) {
  constexpr std::string_view alphabet = "0123456789.-+eEsmhdnuKMGiB \t\x80";
  for (int i = 0; i < 50'000; ++i) {
    std::string text;
    for (std::uint64_t n = random_u64() % 24; n > 0; --n) {
      text += alphabet[random_u64() % alphabet.size()];
    }
    (void)parse_u64(text).has_value();
    (void)parse_i64(text).has_value();
    (void)parse_double(text).has_value();
    (void)parse_duration(text).has_value();
    (void)parse_size(text).has_value();
  }
}

TEST(ParseWeight, ReadsThousandths) {
  const std::pair<std::string_view, int> cases[] = {
      {"0", 0},     {"1", 1000},    {"0.", 0},     {"1.", 1000},    {"0.5", 500},   {"0.05", 50},
      {"0.005", 5}, {"0.123", 123}, {"1.0", 1000}, {"1.000", 1000}, {"0.999", 999}, {"", -1},
      {".5", -1},   {"2", -1},      {"1.1", -1},   {"1.001", -1},   {"0.1234", -1}, {"1.0000", -1},
      {"00", -1},   {"0,5", -1},    {"+1", -1},    {" 1", -1},      {"0x1", -1},
  };
  for (const auto& [text, expected] : cases) {
    const auto weight = parse_weight(text);
    EXPECT_EQ(weight ? int{*weight} : -1, expected) << '"' << text << '"';
  }
}

TEST(FormatDouble, IsTheShortestTextThatReadsBackEqual) {
  EXPECT_EQ(format_double(0.1), "0.1");
  EXPECT_EQ(format_double(1), "1");
  EXPECT_EQ(format_double(0.1 + 0.2), "0.30000000000000004");
}

}  // namespace
}  // namespace tyaprover
