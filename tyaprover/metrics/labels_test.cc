#include "tyaprover/metrics/labels.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

namespace tyaprover::metrics::detail {
namespace {

TEST(MetricName, FollowsThePrometheusDataModel) {
  struct Case {
    std::string_view name;
    bool allowed;
  };
  const Case cases[] = {
      {"a", true},     {"_", true},   {":", true},    {"a9", true},   {"A:b_C", true},
      {"__a", true},   {"", false},   {"9a", false},  {"a-b", false}, {"a.b", false},
      {"a b", false},  {" a", false}, {"a\n", false}, {"é", false},   {"a\0b", true},
      {"\xff", false}, {"a{", false},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(!metric_name_problem(c.name).has_value(), c.allowed) << c.name;
  }
}

TEST(MetricName, IsQuotedInTheProblemWithInvalidBytesReplaced) {
  EXPECT_NE(metric_name_problem("a-b")->find("\"a-b\""), std::string::npos);
  EXPECT_NE(metric_name_problem("a\xff")->find("\"a\xEF\xBF\xBD\""), std::string::npos);
}

TEST(LabelName, FollowsThePrometheusDataModel) {
  struct Case {
    std::string_view name;
    Kind kind;
    bool allowed;
  };
  const Case cases[] = {
      {"a", Kind::counter, true},      {"_", Kind::counter, true},
      {"a9_B", Kind::counter, true},   {"", Kind::counter, false},
      {"9a", Kind::counter, false},    {"a:b", Kind::counter, false},
      {"__a", Kind::counter, false},   {"__name__", Kind::gauge, false},
      {"a-b", Kind::gauge, false},     {"\xc3\xa9", Kind::gauge, false},
      {"le", Kind::histogram, false},  {"le", Kind::counter, true},
      {"le", Kind::summary, true},     {"quantile", Kind::summary, false},
      {"quantile", Kind::gauge, true}, {"quantile", Kind::histogram, true},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(!label_name_problem(c.name, c.kind).has_value(), c.allowed)
        << c.name << " of a " << to_string(c.kind);
  }
}

TEST(Label, IsEscapedAndRepaired) {
  struct Case {
    std::string_view value;
    std::string_view text;
  };
  const Case cases[] = {
      {"", "a=\"\""},
      {"b", "a=\"b\""},
      {"\"", "a=\"\\\"\""},
      {"\\", "a=\"\\\\\""},
      {"\n", "a=\"\\n\""},
      {"\\n", "a=\"\\\\n\""},
      {"\r\t", "a=\"\r\t\""},
      {"\xc3\xa9", "a=\"\xc3\xa9\""},
      {"x\xffy", "a=\"x\xEF\xBF\xBDy\""},
      {"\xe2\x82", "a=\"\xEF\xBF\xBD\""},  // a truncated character is one subpart
      {"\xed\xa0\x80", "a=\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\""},  // a surrogate is three
  };
  for (const Case& c : cases) {
    std::string text;
    append_label(text, "a", c.value);
    EXPECT_EQ(text, c.text);
  }
}

TEST(Label, IsPlainWhenItStandsOnAPageAsItIs) {
  for (const std::string_view value : {"", "a b", "{}=,", "\xc3\xa9", "\t"}) {
    EXPECT_TRUE(is_plain(value)) << value;
  }
  for (const std::string_view value : {"\"", "\\", "a\nb", "\xff", "a\xc3"}) {
    EXPECT_FALSE(is_plain(value)) << value;
  }
}

TEST(PackedLabels, GiveBackWhatWasPacked) {
  const std::string long_text(70000, 'x');
  const std::vector<std::string> values = {
      "", "a", std::string("\0\xff\n", 3), std::string(254, 'y'), std::string(255, 'z'), long_text};
  std::vector<std::string> names;
  std::string bytes;
  for (const std::string& value : values) {
    names.push_back("n" + std::to_string(names.size()));
    pack(bytes, value);
  }
  std::vector<std::pair<std::string, std::string>> seen;
  PackedLabels{.names = names, .bytes = bytes}.for_each(
      [&](std::string_view name, std::string_view value) { seen.emplace_back(name, value); });
  ASSERT_EQ(seen.size(), values.size() - 1) << "the empty one is absent";
  for (std::size_t i = 1; i < values.size(); ++i) {
    EXPECT_EQ(seen[i - 1].first, names[i]);
    EXPECT_TRUE(seen[i - 1].second == values[i]) << i;
  }
}

TEST(PackedLabels, HoldTheirNamesWhenNoneAreGiven) {
  std::string bytes;
  for (const std::string_view text : {"b", "2", "a", "1"}) pack(bytes, text);
  std::string seen;
  PackedLabels{.names = {}, .bytes = bytes}.for_each(
      [&](std::string_view name, std::string_view value) {
        seen.append(name).append("=").append(value).append(";");
      });
  EXPECT_EQ(seen, "b=2;a=1;");
}

TEST(Bounds, AscendStrictlyAndAreNumbers) {
  constexpr double kInf = std::numeric_limits<double>::infinity();
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  struct Case {
    std::vector<double> bounds;
    bool allowed;
  };
  const Case cases[] = {
      {{}, true},      {{0}, true},           {{-1, 0, 1}, true},   {{-kInf, 0}, true},
      {{1, 1}, false}, {{2, 1}, false},       {{1, kInf}, false},   {{kInf}, false},
      {{kNan}, false}, {{1, kNan, 2}, false}, {{0.0, -0.0}, false}, {{1e-300, 1e300}, true},
  };
  for (std::size_t i = 0; i < std::size(cases); ++i) {
    EXPECT_EQ(!bounds_problem(cases[i].bounds).has_value(), cases[i].allowed) << i;
  }
}

TEST(Help, EscapesQuotesForOpenMetricsOnly) {
  std::string text;
  append_help(text, "a \"b\"\\\n\xff", false);
  EXPECT_EQ(text, "a \"b\"\\\\\\n\xEF\xBF\xBD");
  text.clear();
  append_help(text, "a \"b\"", true);
  EXPECT_EQ(text, "a \\\"b\\\"");
}

}  // namespace
}  // namespace tyaprover::metrics::detail
