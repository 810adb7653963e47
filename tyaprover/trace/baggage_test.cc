#include "tyaprover/trace/baggage.h"

#include <gtest/gtest.h>

#include <string>

namespace tyaprover::trace {
namespace {

// W3C Baggage §3.3: what comes in, and what would go out.
TEST(BaggageTest, FollowsTheStandard) {
  struct Case {
    std::string_view text;
    std::string_view expected;
    std::string_view rule;
  };
  const Case cases[] = {
      {"", "", "empty"},
      {"a=1", "a=1", "one member"},
      {"a=1,b=2", "a=1,b=2", "two members"},
      {" a = 1 \t,\tb = 2 ", "a=1,b=2", "blanks around keys, values and members"},
      {"a=", "a=", "an empty value"},
      {"a=1;p", "a=1;p", "a property without value"},
      {"a=1 ; p=2 ; q", "a=1;p=2 ; q", "properties as they came"},
      {"a=1;", "", "an empty property"},
      {"a=1;p=\"q\"", "", "a property's value breaks the grammar"},
      {"a=x%20y%2Cz", "a=x%20y%2Cz", "percent-encoding"},
      {"a=%C3%A4", "a=%C3%A4", "UTF-8"},
      {"a=%c3%a4", "a=%C3%A4", "either case of digits"},
      {"a=%FF", "a=%EF%BF%BD", "not UTF-8: replaced"},
      {"a=100%", "a=100%25", "a lone percent sign stands for itself"},
      {"a=%zz", "a=%25zz", "a percent sign that encodes nothing"},
      {"a=b=c", "a=b=c", "= in a value"},
      {"a", "", "no ="},
      {"=1", "", "no key"},
      {"a b=1", "", "a key is a token"},
      {"a=1 2", "", "a blank inside a value"},
      {"a=\"1\"", "", "quotes in a value"},
      {"a=\\1", "", "a backslash in a value"},
      {"a=\xc3\xa4", "", "beyond ASCII"},
      {"a=1,,b=2,", "a=1,b=2", "empty members"},
      {"a=1,rubbish,b=2", "a=1,b=2", "an invalid member is left out alone"},
      {"a=1,b=2,a=3", "a=3,b=2", "the last value of a key, in the first one's place"},
      {"A=1,a=2", "A=1,a=2", "keys differ in case"},
  };
  for (const Case& each : cases) {
    EXPECT_EQ(Baggage::parse(each.text).format(), each.expected) << each.rule;
  }
}

TEST(BaggageTest, DecodesValues) {
  const Baggage baggage = Baggage::parse("a=x%20y%2Cz");
  EXPECT_EQ(baggage.get("a"), "x y,z");
  EXPECT_EQ(baggage.get("b"), std::nullopt);
}

TEST(BaggageTest, HasAtMost64Members) {
  std::string text;
  for (int i = 0; i < 70; ++i) text += "k" + std::to_string(i) + "=v,";
  Baggage baggage = Baggage::parse(text);
  EXPECT_EQ(baggage.members().size(), 64u);
  EXPECT_FALSE(baggage.set("new", "v"));
  EXPECT_TRUE(baggage.set("k0", "other"));
  baggage.remove("k1");
  EXPECT_TRUE(baggage.set("new", "v"));
}

TEST(BaggageTest, HasAtMost8192Bytes) {
  Baggage baggage;
  EXPECT_TRUE(baggage.set("a", std::string(8190, 'x')));
  EXPECT_EQ(baggage.format().size(), 8192u);
  EXPECT_FALSE(baggage.set("a", std::string(8191, 'x')));
  EXPECT_FALSE(baggage.set("b", ""));
  EXPECT_FALSE(baggage.set("a", std::string(4000, ' ')));  // three bytes each once encoded
  EXPECT_TRUE(baggage.set("a", std::string(8190 - 3, 'y')));
  EXPECT_TRUE(baggage.set("b", ""));
  EXPECT_EQ(baggage.format().size(), 8192u);
}

TEST(BaggageTest, RefusesBadKeysAndProperties) {
  Baggage baggage;
  EXPECT_FALSE(baggage.set("", "v"));
  EXPECT_FALSE(baggage.set("a b", "v"));
  EXPECT_FALSE(baggage.set("a", "v", "p=,"));
  EXPECT_TRUE(baggage.empty());
}

TEST(BaggageTest, SurvivesFormatAndParse) {
  Baggage baggage;
  std::string all;
  for (char c = 1; c < 127; ++c) all += c;
  baggage.set("all", all, "p;q=1");
  const Baggage again = Baggage::parse(baggage.format());
  EXPECT_EQ(again.members(), baggage.members());
}

}  // namespace
}  // namespace tyaprover::trace
